package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siskin/daemon/store"
	"siskin/model/kernel"
	"siskin/model/modeltest"
)

func TestPackCommand(t *testing.T) {
	path := tinyModel(t)
	code, out, stderr := cli(t, "", "model", "pack", path, "--kernels", "generic")
	if code != 0 || !strings.Contains(out, "is not packed: the kernels generic are as fast without") {
		t.Errorf("generic: exit code %d, %q, %s", code, out, stderr)
	}
	if items, err := os.ReadDir(filepath.Dir(path)); err != nil || len(items) != 1 {
		t.Errorf("left behind: %v %v", items, err)
	}
	if code, _, stderr := cli(t, "", "model", "pack", path, "--kernels", "abacus"); code != 2 || !strings.Contains(stderr, "abacus") {
		t.Errorf("unknown kernels: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := cli(t, "", "model", "pack", path+"x"); code != 1 || !strings.Contains(stderr, "does not exist") {
		t.Errorf("no model: exit code %d, %s", code, stderr)
	}
}

// What is packed is told by list, inspect and verify, and found damaged by verify.
func TestPackedIsShown(t *testing.T) {
	path := tinyModel(t)
	set := modeltest.Packing(kernel.Generic(), 4)
	var stdout, stderr bytes.Buffer
	for _, want := range []string{"8 matrices", "is there already"} {
		stdout.Reset()
		s := &streams{strings.NewReader(""), &stdout, &stderr}
		if err := packModel(t.Context(), s, s.out, path, set, store.PackOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(stdout.String(), want) || !strings.Contains(stdout.String(), path+".packed-4-1") {
			t.Errorf("got %q, want %q", stdout.String(), want)
		}
	}
	if !strings.Contains(stderr.String(), "100 %") {
		t.Errorf("no progress: %q", stderr.String())
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"list", "--dir", filepath.Dir(path)}, "PACKED"},
		{[]string{"list", "--dir", filepath.Dir(path)}, " MB  yes"},
		{[]string{"inspect", path}, "tiny.gguf.packed-4-1, 0.1 MB, units of 4 bytes"},
		{[]string{"verify", path}, "tiny.gguf.packed-4-1: whole, and of this model"},
	} {
		if code, out, stderr := cli(t, "", append([]string{"model"}, c.args...)...); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit code %d, %q, want %q; %s", c.args, code, out, c.want, stderr)
		}
	}
	data, err := os.ReadFile(path + ".packed-4-1")
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2]++
	if err := os.WriteFile(path+".packed-4-1", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := cli(t, "", "model", "verify", path); code != 1 || !strings.Contains(stderr, "--again") || !strings.Contains(stderr, "damaged") {
		t.Errorf("damaged: exit code %d, %s", code, stderr)
	}
	if err := os.WriteFile(path+".packed-4-1", data[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, out, _ := cli(t, "", "model", "inspect", path); !strings.Contains(out, "not used: packed file is damaged") {
		t.Errorf("inspect of a damaged one: %q", out)
	}
	if _, out, _ := cli(t, "", "model", "list", "--dir", filepath.Dir(path)); !strings.Contains(out, "no      yes") {
		t.Errorf("list with a damaged one: %q", out)
	}
}
