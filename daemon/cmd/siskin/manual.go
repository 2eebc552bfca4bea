package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// manualCommand writes what a package holds beside the program and is made from its command line: siskin(1),
// siskin.toml(5), and the completions of three shells. It is made at each release, so it cannot be stale.
type manualCommand struct {
	Folder  string `arg:"" type:"path" help:"Folder to write to; made if absent."`
	Example string `required:"" type:"existingfile" help:"The annotated configuration, from which siskin.toml(5) is made."`
	Date    string `required:"" help:"Date in the head of the pages, such as 2026-11-27."`
}

func (c *manualCommand) Run(ctx *kong.Context) error {
	example, err := os.ReadFile(c.Example)
	if err != nil {
		return fmt.Errorf("manual: %w", err)
	}
	if err := os.MkdirAll(c.Folder, 0o755); err != nil { //nolint:gosec // manual pages are for everybody
		return fmt.Errorf("manual: %w", err)
	}
	tree := commandTree(ctx.Model)
	for name, text := range map[string]string{
		"siskin.1":      commandPage(tree, c.Date),
		"siskin.toml.5": configPage(string(example), c.Date),
		"siskin.bash":   bashCompletion(tree),
		"_siskin":       zshCompletion(tree),
		"siskin.fish":   fishCompletion(tree),
	} {
		if err := os.WriteFile(filepath.Join(c.Folder, name), []byte(text), 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("manual: %w", err)
		}
	}
	return nil
}

// commandEntry is one command or subcommand as people see it.
type commandEntry struct {
	path  []string // without "siskin"; the program itself has none
	help  string
	subs  []*kong.Node
	args  []*kong.Positional
	flags []*kong.Flag
}

// key is the path in one word, such as "/model/pull"; "" for the program itself.
func (e *commandEntry) key() string {
	if len(e.path) == 0 {
		return ""
	}
	return "/" + strings.Join(e.path, "/")
}

// commandTree lists the program and all its commands that are not hidden, each before its subcommands.
func commandTree(app *kong.Application) []commandEntry {
	var tree []commandEntry
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		e := commandEntry{path: path, help: n.Help, args: n.Positional}
		for _, f := range n.Flags {
			if !f.Hidden {
				e.flags = append(e.flags, f)
			}
		}
		for _, sub := range n.Children {
			if !sub.Hidden {
				e.subs = append(e.subs, sub)
			}
		}
		tree = append(tree, e)
		for _, sub := range e.subs {
			walk(sub, append(path[:len(path):len(path)], sub.Name))
		}
	}
	walk(app.Node, nil)
	return tree
}

// roffColumns is how many bytes a line of a page may have: mandoc -T lint warns from 80 on, and counts eight for an ellipsis.
const roffColumns = 64

// roff escapes text for a page in the form of man(7), where no letter of it is taken for a macro or a dash of typography, and
// breaks its lines, which pages fill again.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
		case column+1+len(word) > roffColumns:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		if column == 0 && word[0] == '.' {
			word = `\&` + word
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// commandPage is siskin(1).
func commandPage(tree []commandEntry, date string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH SISKIN 1 %q siskin \"User Commands\"\n", date)
	b.WriteString(".SH NAME\nsiskin \\- private language assistant for small boards\n")
	b.WriteString(".SH SYNOPSIS\n.B siskin\n.I command\n.RI [ options ]\n")
	b.WriteString(".SH DESCRIPTION\nMaps a quantised model from disk, runs it under a memory budget,\nand exchanges prompts and answers over MQTT.\n" +
		"As a service it is described in\n.BR siskin.service (8),\nits configuration in\n.BR siskin.toml (5).\n")
	b.WriteString(".SH OPTIONS\n")
	writeFlags(&b, tree[0].flags)
	b.WriteString(".SH COMMANDS\n")
	for _, e := range tree[1:] {
		if len(e.subs) > 0 {
			continue // its subcommands say all
		}
		fmt.Fprintf(&b, ".SS siskin %s", roff(strings.Join(e.path, " ")))
		for _, a := range e.args {
			fmt.Fprintf(&b, " %s", roff(a.Summary()))
		}
		fmt.Fprintf(&b, "\n%s\n", roff(e.help))
		for _, a := range e.args {
			writeTagged(&b, `\fI`+roff(a.Name)+`\fR`, a.Help)
		}
		writeFlags(&b, e.flags)
	}
	b.WriteString(".SH EXIT STATUS\n" +
		".TP\n.B 0\nDone.\n.TP\n.B 1\nWhat was asked for failed or was refused.\n.TP\n.B 2\nThe command line is wrong.\n.TP\n.B 78\nThe configuration is wrong; the service manager does not start it again.\n" +
		".SH FILES\n.TP\n.I /etc/siskin/siskin.toml\nConfiguration of the service.\n.TP\n.I /var/lib/siskin\nModels, and the journal of requests and answers.\n" +
		".TP\n.I /var/cache/siskin\nPacked files of models, made anew when they are gone.\n" +
		".SH SEE ALSO\n.BR siskin.toml (5),\n.BR siskin.service (8),\n.BR mosquitto (8)\n")
	return b.String()
}

// writeTagged writes one item of a list of terms; one without a text is not a term.
func writeTagged(b *strings.Builder, tag, text string) {
	if text != "" {
		fmt.Fprintf(b, ".TP\n%s\n%s\n", tag, roff(text))
	}
}

func writeFlags(b *strings.Builder, flags []*kong.Flag) {
	for _, f := range flags {
		tag := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Short != 0 {
			tag = `\fB` + roff("-"+string(f.Short)) + `\fR, ` + tag
		}
		if !f.IsBool() {
			tag += `=\fI` + roff(f.FormatPlaceHolder()) + `\fR`
		}
		text := f.Help
		if f.Required {
			text += " Required."
		}
		if len(f.Envs) > 0 {
			text += " From the environment: " + strings.Join(f.Envs, ", ") + "."
		}
		writeTagged(b, tag, text)
	}
}

// configPage is siskin.toml(5): the annotated example, whose comments become the text and whose settings the terms.
// A comment stands before what it speaks of; settings that follow one another without a comment share it.
func configPage(example, date string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH SISKIN.TOML 5 %q siskin \"File Formats\"\n", date)
	b.WriteString(".SH NAME\nsiskin.toml \\- configuration of siskin\n.SH DESCRIPTION\n")
	var comment []string
	closed := false // a term has ended the comment
	for line := range strings.Lines(example) {
		line = strings.TrimSpace(line)
		text, isComment := strings.CutPrefix(line, "#")
		text = strings.TrimSpace(text)
		switch {
		case isComment && !isSetting(text):
			if closed {
				comment, closed = nil, false
			}
			comment = append(comment, text)
		case line == "":
			if !closed && len(comment) > 0 {
				b.WriteString(roff(strings.Join(comment, "\n")) + "\n.PP\n")
			}
			comment, closed = nil, false
		case strings.HasPrefix(line, "[") || isComment && strings.HasPrefix(text, "["):
			if strings.HasPrefix(line, "[") {
				fmt.Fprintf(&b, ".SH %s\n", roff(line))
			} else if !closed {
				fmt.Fprintf(&b, ".SH %s\n%s\n", roff(text), roff(strings.Join(comment, "\n")))
			}
			comment, closed = nil, isComment
		default:
			fmt.Fprintf(&b, ".TP\n.B \"%s\"\n", strings.ReplaceAll(roff(strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ")), `"`, `\(dq`))
			if !closed && len(comment) > 0 {
				b.WriteString(roff(strings.Join(comment, "\n")) + "\n")
			} else {
				b.WriteString("See above.\n")
			}
			closed = true
		}
	}
	b.WriteString(".SH FILES\n.TP\n.I /etc/siskin/siskin.toml\nThe configuration that the service reads.\n.SH SEE ALSO\n.BR siskin (1),\n.BR siskin.service (8)\n")
	return strings.ReplaceAll(b.String(), ".PP\n.TP\n", ".TP\n")
}

// isSetting says whether a comment is a setting or a table that is commented out: "[tasks.weather]", "device = …".
func isSetting(text string) bool {
	if strings.HasPrefix(text, "[") {
		return strings.HasSuffix(text, "]")
	}
	key, _, found := strings.Cut(text, " = ")
	return found && !strings.ContainsAny(key, " ,.:;\"")
}
