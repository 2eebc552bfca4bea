package daemon_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"siskin/model/goldentest"
)

// TestThreatModel holds the lists of the threat model against the code: every fuzzer is listed, and every test that it names is there.
func TestThreatModel(t *testing.T) {
	root := goldentest.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "daemon", "doc", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string][]string{} // by folder
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				functions[folder] = append(functions[folder], f.Name.Name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for folder, names := range functions {
		var fuzzers []string
		for _, name := range names {
			all[name] = true
			if strings.HasPrefix(name, "Fuzz") {
				fuzzers = append(fuzzers, "`"+name+"`")
			}
		}
		slices.Sort(fuzzers)
		if line := fmt.Sprintf("| `%s` | %s |\n", filepath.ToSlash(folder), strings.Join(fuzzers, ", ")); len(fuzzers) > 0 && !strings.Contains(string(text), line) {
			t.Errorf("the list of fuzzers wants this line: %s", line)
		}
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)(…?)`").FindAllStringSubmatch(string(text), -1) {
		found := all[m[1]]
		for name := range all {
			found = found || m[2] != "" && strings.HasPrefix(name, m[1])
		}
		if !found {
			t.Errorf("there is no %s", m[1])
		}
	}
}
