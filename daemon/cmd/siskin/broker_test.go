package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siskin/mqtt/embedded"
)

// TestBrokerPasswd: users are added, changed and taken out, and comments stay.
func TestBrokerPasswd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	passwd := func(code int, input string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), append([]string{"broker", "passwd", path}, args...), &streams{strings.NewReader(input), &out, &errs}); got != code {
			t.Errorf("%v: exit code %d, want %d: %s", args, got, code, errs.String())
		}
		return errs.String()
	}
	if err := os.WriteFile(path, []byte("# who may prompt\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	passwd(0, "one\n", "porch")
	passwd(0, "two", "hall")
	passwd(0, "three\r\n", "porch")
	passwd(0, "", "--delete", "hall")
	passwd(2, "", "porch")
	passwd(2, "x\n", "a:b")
	passwd(1, "", "--delete", "hall")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u, err := embedded.ParseUsers(data)
	if err != nil || !u.Check("porch", []byte("three")) || u.Check("porch", []byte("one")) || u.Check("hall", []byte("two")) || !strings.HasPrefix(string(data), "# who") {
		t.Errorf("%s: %v", data, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}
