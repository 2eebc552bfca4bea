package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siskin/model"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// A model is quantised, the new file runs, and the output says what did not become as asked. The tiny model's rows have 64
// and 96 columns, which Q4_K cannot have.
func TestModelQuantize(t *testing.T) {
	source := file(t, "tiny.gguf", string(modeltest.Tiny{Seed: 3, Type: quant.F16, Layers: 1, Context: 256}.File()))
	dest := filepath.Join(t.TempDir(), "small.gguf")
	code, out, stderr := cli(t, "", "model", "quantize", source, "q4_k", dest)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{dest, "1 × Q8_0", "token_embd.weight", "7 × Q5_0", "not whole blocks of Q4_K", "3 × F32"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
	if strings.Contains(out, "quantised already") || stderr != "" {
		t.Errorf("a float source: %q, %q", out, stderr)
	}
	m, err := model.Open(dest)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	again := filepath.Join(t.TempDir(), "again.gguf")
	if code, out, _ := cli(t, "", "model", "quantize", dest, "Q8_0", again, "--threads", "1"); code != 0 || !strings.Contains(out, "quantised already") {
		t.Errorf("a quantised source: exit code %d, %q", code, out)
	}
	before, err := os.ReadFile(dest)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{source, "Q4_K_M", again}, 2, "Q4_K_M"},
		{[]string{source, "Q4_0", source}, 1, "same file"},
		{[]string{source, "Q4_0", dest}, 1, "--replace"},
		{[]string{source, "Q4_0", filepath.Join(dest, "x.gguf")}, 1, "x.gguf"},
		{[]string{"/nowhere.gguf", "Q4_0", again}, 1, "/nowhere.gguf"},
		{[]string{source, "Q4_0", again, "--threads", "-1"}, 2, "--threads"},
	} {
		code, _, stderr := cli(t, "", append([]string{"model", "quantize"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, want %d; %q, want %q in it", c.args, code, c.code, stderr, c.want)
		}
	}
	if after, err := os.ReadFile(dest); err != nil || string(after) != string(before) {
		t.Errorf("a refused run changed the file (%v)", err)
	}
}
