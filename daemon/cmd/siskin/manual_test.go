package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"siskin/model/goldentest"
)

// writeManual runs the command that packages are made with and returns its folder.
func writeManual(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "manual")
	example := filepath.Join(goldentest.Root(t), "daemon/config/example.toml")
	var out bytes.Buffer
	if code := run(context.Background(), []string{"manual", dir, "--example", example, "--date", "2026-11-27"}, &streams{nil, &out, &out}); code != 0 {
		t.Fatalf("manual: code %d: %s", code, &out)
	}
	return dir
}

func readText(t *testing.T, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tool is a program that the test needs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		goldentest.Missing(t, name+" is missing: sudo apt install "+name)
	}
	return path
}

// TestManualIsWhole: each command and option that people see is in siskin(1), each setting and table in siskin.toml(5).
func TestManualIsWhole(t *testing.T) {
	dir := writeManual(t)
	page := strings.ReplaceAll(readText(t, dir, "siskin.1"), `\-`, "-")
	app, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	tree := commandTree(app.Model)
	if len(tree) < 20 {
		t.Fatalf("%d commands", len(tree))
	}
	for _, e := range tree[1:] {
		head := ".SS siskin " + strings.Join(e.path, " ")
		_, section, found := strings.Cut(page, head)
		if len(e.subs) > 0 {
			continue
		}
		if !found {
			t.Errorf("siskin.1: no %q", head)
			continue
		}
		section, _, _ = strings.Cut(section, "\n.S")
		for _, o := range e.options() {
			if !strings.Contains(section, `\fB`+o+`\fR`) {
				t.Errorf("siskin.1: %s: no %s", head, o)
			}
		}
	}
	if strings.Contains(page, "siskin busy") || strings.Contains(page, "siskin manual") {
		t.Error("siskin.1: speaks of a hidden command")
	}
	page = strings.ReplaceAll(readText(t, dir, "siskin.toml.5"), `\-`, "-")
	example := readText(t, goldentest.Root(t), "daemon/config/example.toml")
	for _, m := range regexp.MustCompile(`(?m)^(?:# )?(\[[a-z.]+\]|[a-z_]+ = )`).FindAllStringSubmatch(example, -1) {
		if !strings.Contains(page, `"`+m[1]) && !strings.Contains(page, ".SH "+m[1]) {
			t.Errorf("siskin.toml.5: no %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\.SH (\[.*)$`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(example, m[1]+"\n") {
			t.Errorf("siskin.toml.5: %s is no table", m[1])
		}
	}
}

// TestManualLint: mandoc warns of nothing, in the page that is written by hand either.
func TestManualLint(t *testing.T) {
	lint, dir := tool(t, "mandoc"), writeManual(t)
	for _, page := range []string{
		filepath.Join(dir, "siskin.1"), filepath.Join(dir, "siskin.toml.5"),
		filepath.Join(goldentest.Root(t), "systemd/siskin.service.8"),
	} {
		if out, err := exec.Command(lint, "-T", "lint", "-W", "warning", page).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// completionCases are command lines and what must and must not be offered behind them.
var completionCases = []struct {
	words      []string // the last one is being written
	want, deny string
}{
	{[]string{""}, "model", "pull"},
	{[]string{"mo"}, "model", "run"},
	{[]string{"model", ""}, "pull", "demo"},
	{[]string{"model", "pull", "--"}, "--dir", "--config"},
	{[]string{"run", "--co"}, "--config", "--dir"},
}

// checkOffers runs each case and holds what is offered against it. Zsh has a test of its own below.
func checkOffers(t *testing.T, offered func(words []string) *exec.Cmd) {
	t.Helper()
	for _, c := range completionCases {
		out, err := offered(c.words).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", c.words, err, out)
		}
		var offers []string
		for line := range strings.Lines(string(out)) {
			offer, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			offers = append(offers, offer)
		}
		all := " " + strings.Join(offers, " ") + " "
		if !strings.Contains(all, " "+c.want+" ") || strings.Contains(all, " "+c.deny+" ") {
			t.Errorf("%q: offered%s", c.words, all)
		}
	}
}

func TestBashCompletion(t *testing.T) {
	shell, dir := tool(t, "bash"), writeManual(t)
	const script = `set -eu; source "$1"; shift; COMP_WORDS=(siskin "$@"); COMP_CWORD=$#; _siskin; printf '%s\n' "${COMPREPLY[@]}"`
	checkOffers(t, func(words []string) *exec.Cmd {
		return exec.Command(shell, append([]string{"-c", script, "bash", filepath.Join(dir, "siskin.bash")}, words...)...)
	})
}

func TestFishCompletion(t *testing.T) {
	shell, dir := tool(t, "fish"), writeManual(t)
	home := t.TempDir()
	checkOffers(t, func(words []string) *exec.Cmd {
		cmd := exec.Command(shell, "--no-config", "-c", `source $argv[1]; complete -C "$argv[2]"`, filepath.Join(dir, "siskin.fish"), "siskin "+strings.Join(words, " "))
		cmd.Env = append(os.Environ(), "HOME="+home)
		return cmd
	})
}

// TestZshCompletion lets the file run with stand-ins for the two functions of zsh's own system that it calls, which needs a terminal.
func TestZshCompletion(t *testing.T) {
	shell, dir := tool(t, "zsh"), writeManual(t)
	const script = `file=$1; shift; words=(siskin "$@"); CURRENT=$#words
_describe() { print -rl -- ${(P)@[-1]} }
_files() { print -r FILES }
_siskin() { source $file }
_siskin | sed 's/:.*//' | while read -r offer; do [[ $offer == $words[CURRENT]* ]] && print -r -- $offer; done; true`
	checkOffers(t, func(words []string) *exec.Cmd {
		return exec.Command(shell, append([]string{"-f", "-c", script, "zsh", filepath.Join(dir, "_siskin")}, words...)...)
	})
}
