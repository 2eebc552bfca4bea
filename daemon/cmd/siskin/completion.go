package main

import (
	"fmt"
	"strings"
)

// The three completions work alike: the words before the cursor that are names of commands make a path, such as
// /model/pull, and the path decides what may follow. What is neither command nor option is a file.

// shellQuote makes one word of s for bash, zsh and fish: in single quotes, of which s has none left.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "") + "'" }

// subKeys are the paths of all commands, quoted, as the alternatives of a case.
func subKeys(tree []commandEntry, separator string) string {
	var keys []string
	for _, e := range tree[1:] {
		keys = append(keys, shellQuote(e.key()))
	}
	return strings.Join(keys, separator)
}

// options are the long options of a command.
func (e *commandEntry) options() []string {
	var names []string
	for _, f := range e.flags {
		names = append(names, "--"+f.Name)
	}
	return names
}

func bashCompletion(tree []commandEntry) string {
	var b strings.Builder
	b.WriteString("# bash completion for siskin; made by siskin manual\n_siskin() {\n\tlocal path= word subs= options= cur=${COMP_WORDS[COMP_CWORD]}\n" +
		"\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n\t\tcase $path/$word in\n\t\t" + subKeys(tree, "|") + ") path=$path/$word ;;\n\t\tesac\n\tdone\n" +
		"\tcase $path in\n")
	for _, e := range tree {
		var subs []string
		for _, s := range e.subs {
			subs = append(subs, s.Name)
		}
		fmt.Fprintf(&b, "\t%s) subs='%s' options='%s' ;;\n", shellQuote(e.key()), strings.Join(subs, " "), strings.Join(e.options(), " "))
	}
	b.WriteString("\tesac\n\tcase $cur in\n\t-*) mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\") ;;\n" +
		"\t*) mapfile -t COMPREPLY < <(compgen -W \"$subs\" -- \"$cur\") ;;\n\tesac\n}\ncomplete -o default -F _siskin siskin\n")
	return b.String()
}

func zshCompletion(tree []commandEntry) string {
	var b strings.Builder
	b.WriteString("#compdef siskin\n# made by siskin manual\nlocal cmdpath= word\nlocal -a subs options\n" +
		"for word in ${words[2,CURRENT-1]}; do\n\tcase $cmdpath/$word in\n\t(" + subKeys(tree, "|") + ") cmdpath=$cmdpath/$word ;;\n\tesac\ndone\ncase $cmdpath in\n")
	describe := func(name, help string) string {
		return shellQuote(strings.ReplaceAll(name, ":", `\:`) + ":" + firstLine(help))
	}
	for _, e := range tree {
		fmt.Fprintf(&b, "(%s)\n", shellQuote(e.key()))
		for _, s := range e.subs {
			fmt.Fprintf(&b, "\tsubs+=(%s)\n", describe(s.Name, s.Help))
		}
		for _, f := range e.flags {
			fmt.Fprintf(&b, "\toptions+=(%s)\n", describe("--"+f.Name, f.Help))
		}
		b.WriteString("\t;;\n")
	}
	b.WriteString("esac\nif [[ $words[CURRENT] == -* ]]; then\n\t_describe -o option options\nelif (( $#subs )); then\n\t_describe command subs\nelse\n\t_files\nfi\n")
	return b.String()
}

func fishCompletion(tree []commandEntry) string {
	var b strings.Builder
	b.WriteString("# fish completion for siskin; made by siskin manual\nfunction __siskin_at\n\tset -l path ''\n\tfor word in (commandline -opc)[2..-1]\n" +
		"\t\tswitch \"$path/$word\"\n\t\t\tcase " + subKeys(tree, " ") + "\n\t\t\t\tset path \"$path/$word\"\n\t\tend\n\tend\n\ttest \"$path\" = \"$argv[1]\"\nend\n")
	for _, e := range tree {
		// Without the inner quotes an empty path would be no argument at all.
		at := fmt.Sprintf("-n %q", "__siskin_at '"+e.key()+"'")
		for _, s := range e.subs {
			fmt.Fprintf(&b, "complete -c siskin %s -f -a %s -d %s\n", at, s.Name, shellQuote(firstLine(s.Help)))
		}
		for _, f := range e.flags {
			value := ""
			if !f.IsBool() {
				value = " -r"
			}
			fmt.Fprintf(&b, "complete -c siskin %s -l %s%s -d %s\n", at, f.Name, value, shellQuote(firstLine(f.Help)))
		}
	}
	return b.String()
}

// firstLine is all that a menu has room for.
func firstLine(help string) string {
	line, _, _ := strings.Cut(help, "\n")
	return line
}
