package daemon_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"siskin/model/goldentest"
)

// module is the path of this module.
const module = "siskin"

// allowed is the import policy: for each package the packages of this module that its non-test files may import. Data
// flows one way: nothing imports a package of a higher level. A new package or edge is one line here, to be reviewed;
// never change it only to make a build pass.
var allowed = map[string][]string{
	// Level 0: know nothing of this module.
	"kernels_amd64":           {},
	"kernels_arm64":           {},
	"model/quant":             {},
	"model/mapfile":           {},
	"model/arena":             {}, // memory outside the heap, for who holds large buffers
	"model/budget":            {}, // what fits: numbers only
	"model/draft":             {},
	"model/sample":            {},
	"model/chat/jinja/pytext": {},
	"mqtt/message":            {},
	"mqtt/topic":              {},
	"mqtt/embedded":           {"mqtt/topic"},
	"daemon/config":           {},
	"daemon/cores":            {},
	"daemon/memory":           {},
	"daemon/outbox":           {},
	"daemon/relay":            {},
	"systemd/journald":        {},
	"systemd/notify":          {},

	// Level 1 and 2: formats, and what stands on one of the above.
	"model/chat/jinja/value":  {"model/chat/jinja/pytext"},
	"model/chat/jinja/syntax": {"model/chat/jinja/pytext", "model/chat/jinja/value"},
	"model/kernel":            {"kernels_amd64", "kernels_arm64", "model/quant"},
	"model/gguf":              {"model/quant"},
	"model/quant/encode":      {"model/quant"}, // apart from quant, which only decodes: what runs needs no encoder
	"model/kvcache":           {"model/quant"},
	"model/recurrent":         {"model/arena", "model/kernel"},
	"model/stream":            {"model/mapfile"},
	"model/lora":              {"model/gguf", "model/mapfile", "model/quant"},
	"model/pack":              {"model/gguf", "model/mapfile", "model/quant"},
	"model/requant":           {"model/gguf", "model/mapfile", "model/quant", "model/quant/encode"},
	"model/tokenizer":         {"model/gguf"},
	"daemon/queue":            {"mqtt/message"},
	"daemon/metrics":          {"mqtt/message"},
	"daemon/task":             {"mqtt/message"},
	"model/chat/jinja":        {"model/chat/jinja/pytext", "model/chat/jinja/syntax", "model/chat/jinja/value"},
	"model/chat":              {"model/chat/jinja", "model/chat/jinja/pytext", "model/chat/jinja/value", "model/tokenizer"},
	"mqtt":                    {"mqtt/topic"},
	"mqtt/hermes":             {},
	"mqtt/homeassistant":      {"mqtt/message", "mqtt/topic"},

	// Level 3: the model.
	"model": {
		"model/arena", "model/gguf", "model/kernel", "model/kvcache", "model/lora", "model/mapfile", "model/pack", "model/quant", "model/recurrent", "model/stream",
	},

	"model/embed": {"model"},

	// The book of requests on its journal.
	"daemon/access":  {},
	"daemon/sources": {"mqtt/topic"},
	"daemon/journal": {},
	"daemon/ledger":  {"daemon/journal"},

	// Level 4: one conversation; the speed of a model; the folder of models, which asks the model whether a file will run.
	"daemon/bench": {"model", "model/kernel", "model/kvcache"},
	"daemon/store": {"model", "model/gguf", "model/kernel", "model/lora", "model/mapfile", "model/pack", "model/quant"},
	"daemon/session": {
		"daemon/task", "model", "model/chat", "model/draft", "model/kvcache", "model/lora", "model/sample", "model/tokenizer",
		"mqtt/message",
	},

	// What measures the model.
	"daemon/tune": {"model", "model/kernel"},

	// Level 5 and 6: the composition root, and the command.
	"daemon": {
		"daemon/access", "daemon/config", "daemon/cores", "daemon/journal", "daemon/ledger", "daemon/memory", "daemon/metrics", "daemon/outbox", "daemon/queue", "daemon/relay", "daemon/session", "daemon/sources", "daemon/store", "daemon/task", "daemon/tune",
		"model", "model/budget", "model/chat", "model/draft", "model/kernel", "model/kvcache", "model/sample", "model/stream", "model/tokenizer",
		"mqtt", "mqtt/embedded", "mqtt/hermes", "mqtt/homeassistant", "mqtt/message", "mqtt/topic",
	},
	"daemon/cmd/siskin": {
		"daemon", "daemon/bench", "daemon/config", "daemon/cores", "daemon/journal", "daemon/ledger", "daemon/memory", "daemon/store",
		"model", "model/budget", "model/chat", "model/embed", "model/gguf", "model/kernel", "model/kvcache", "model/lora", "model/mapfile", "model/quant",
		"model/quant/encode", "model/requant", "model/sample", "model/tokenizer",
		"mqtt", "mqtt/embedded", "mqtt/message", "mqtt/topic",
		"systemd/journald", "systemd/notify",
	},

	// For tests only: no non-test file may import them.
	"daemon/journal/journaltest": {"daemon/journal"},
	"model/goldentest":           {},
	"model/modeltest":            {"model/gguf", "model/kernel", "model/quant"},
	"mqtt/mqtttest":              {"mqtt/embedded"},
}

// doors names for each outside module, and for two packages of the standard library, the only packages that may import
// it. The rest of the code sees our own types.
var doors = map[string][]string{
	"github.com/alecthomas/kong":          {"daemon/cmd/siskin"},
	"github.com/eclipse/paho.golang":      {"mqtt"},
	"github.com/eclipse/paho.mqtt.golang": {"mqtt"},
	"github.com/edsrzf/mmap-go":           {"model/mapfile"},
	"github.com/mochi-mqtt/server/v2":     {"mqtt/embedded"},
	"github.com/pelletier/go-toml/v2":     {"daemon/config"},
	"golang.org/x/sys/cpu":                {"kernels_amd64", "kernels_arm64"},
	"golang.org/x/sys/unix":               {"model/arena", "model/mapfile", "model/kernel", "daemon/journal", "daemon/ledger", "daemon/memory", "daemon/store", "systemd/journald", "systemd/notify"},
	"golang.org/x/text/unicode/norm":      {"model/tokenizer"}, // canonical decomposition, for BERT
	"unsafe":                              {"kernels_amd64", "kernels_arm64", "model/arena", "model/kernel", "model/quant"},
	"os/exec":                             {"mqtt/mqtttest"}, // starts the broker that tests talk to
}

// TestImports holds the whole tree against the policy. It parses, so it sees the files of all machines and tags at once.
func TestImports(t *testing.T) {
	tree, err := imports(goldentest.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range checkImports(tree, allowed, doors) {
		t.Error(problem)
	}
}

// imports reads the imports of all non-test files below root: package folder -> imported path -> one file that does.
// As the go tool does, it skips testdata and names that begin with a dot or an underscore.
func imports(root string) (map[string]map[string]string, error) {
	tree := map[string]map[string]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if skip := d.Name() == "testdata" || d.Name()[0] == '.' || d.Name()[0] == '_'; skip && file != root {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Dir(rel)
		if tree[pkg] == nil {
			tree[pkg] = map[string]string{}
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", rel, err)
			}
			tree[pkg][imported] = rel
		}
		return nil
	})
	return tree, err
}

// checkImports returns what in the tree is against the policy, sorted.
func checkImports(tree map[string]map[string]string, allowed, doors map[string][]string) []string {
	var problems []string
	for pkg, imported := range tree {
		edges, listed := allowed[pkg]
		if !listed {
			problems = append(problems, fmt.Sprintf("%s: this package has no line in the table", pkg))
			continue
		}
		for target, file := range imported {
			if inside, ok := strings.CutPrefix(target, module+"/"); ok {
				if !slices.Contains(edges, inside) {
					problems = append(problems, fmt.Sprintf("%s: %s may not import %s", file, pkg, inside))
				}
				continue
			}
			door, found := doorOf(target, doors)
			switch first, _, _ := strings.Cut(target, "/"); {
			case found && !slices.Contains(door, pkg):
				problems = append(problems, fmt.Sprintf("%s: %s may be imported only by %s", file, target, strings.Join(door, ", ")))
			case !found && strings.Contains(first, "."):
				problems = append(problems, fmt.Sprintf("%s: %s is of a module without a door", file, target))
			}
		}
	}
	for pkg := range allowed {
		if tree[pkg] == nil {
			problems = append(problems, fmt.Sprintf("%s: the table has a line for it, but it is gone", pkg))
		}
	}
	slices.Sort(problems)
	return problems
}

// doorOf finds the door of an imported path: that of the path itself or of the module that it is in.
func doorOf(target string, doors map[string][]string) ([]string, bool) {
	for p := target; p != "."; p = path.Dir(p) {
		if door, ok := doors[p]; ok {
			return door, true
		}
	}
	return nil, false
}

// TestImportsSeesAll checks the check: each kind of violation is found in a tree that has it.
func TestImportsSeesAll(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"low/a.go":                "package low\nimport \"unsafe\"\n",
		"low/a_arm64.go":          "//go:build purego\npackage low\nimport \"siskin/high\"\n",
		"low/a_test.go":           "package low\nimport \"siskin/anything\"\n",
		"low/testdata/b.go":       "package nonsense\nimport \"siskin/anything\"\n",
		"_asm/b.go":               "package main\nimport \"siskin/anything\"\n",
		".hidden/b.go":            "package main\nimport \"siskin/anything\"\n",
		"high/c.go":               "package high\nimport (\n\"fmt\"\n\"siskin/low\"\n\"example.org/free/sub\"\n\"example.org/door/v2/sub\"\n)\n",
		"high/d.go":               "package high\nimport \"os/exec\"\n",
		"stranger/deep/down/e.go": "package down\n",
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := imports(root)
	if err != nil {
		t.Fatal(err)
	}
	got := checkImports(tree, map[string][]string{"low": {}, "high": {"low"}, "gone": {}}, map[string][]string{
		"unsafe": {"low"}, "os/exec": {}, "example.org/door/v2": {"low"},
	})
	want := []string{
		"gone: the table has a line for it, but it is gone",
		"high/c.go: example.org/door/v2/sub may be imported only by low",
		"high/c.go: example.org/free/sub is of a module without a door",
		"high/d.go: os/exec may be imported only by ",
		"low/a_arm64.go: low may not import high",
		"stranger/deep/down: this package has no line in the table",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
