package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siskin/model/goldentest"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// cli runs one command line and returns its exit code and what it printed.
func cli(t *testing.T, stdin string, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &streams{strings.NewReader(stdin), &o, &e})
	return code, o.String(), e.String()
}

// file writes a file into the test's folder and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func tinyModel(t *testing.T) string {
	t.Helper()
	return file(t, "tiny.gguf", string(modeltest.Tiny{Seed: 3, Type: quant.Q8_0, Layers: 1, Context: 256}.File()))
}

func TestExitCodesAndMessages(t *testing.T) {
	model := tinyModel(t)
	bad := file(t, "bad.toml", "device = \"x\"\nspeed = 9\n[model]\ncontext = 1\n")
	broken := file(t, "broken.gguf", "GGUF\x03\x00\x00\x00")
	refuses := file(t, "refuses.jinja", "{{ raise_exception('no such role') }}")
	talk := file(t, "talk.json", `{"messages":[{"role":"user","content":"hi"}]}`)
	for _, c := range []struct {
		args []string
		code int
		want string // in what it prints to standard error
	}{
		{[]string{"version"}, 0, ""},
		{[]string{"--help"}, 0, ""},
		{[]string{"fly"}, 2, "fly"},
		{[]string{"bench"}, 2, "--model"},
		{[]string{"bench", "--model", model, "--prompts", "0"}, 2, "--prompts"},
		{[]string{"bench", "--model", model, "--kernels", "abacus"}, 2, "abacus"},
		{[]string{"bench", "--model", "/nowhere.gguf"}, 1, "/nowhere.gguf"},
		{[]string{"check", "--config", bad}, 78, "speed"},
		{[]string{"run", "--config", bad}, 78, "model.context"},
		{[]string{"run", "--config", "/nowhere.toml"}, 78, "/nowhere.toml"},
		{[]string{"model", "inspect", broken}, 1, "broken.gguf"},
		{[]string{"tokenize", "--model", model}, 2, "--lines"},
		{[]string{"tokenize", "--model", model, "--lines", talk}, 2, "array of strings"},
		{[]string{"eval", "logprobs", "--model", model, "--tokens", talk}, 2, "tokens"},
		{[]string{"eval", "logprobs", "--model", model, "--tokens", file(t, "t.json", `{"tokens":[1,99999]}`)}, 1, "99999"},
		{[]string{"template", "render", "--template", refuses, "--conversation", talk}, 1, "no such role"},
		{[]string{"model", "pull", "ftp://x/y.gguf", "--dir", t.TempDir()}, 1, "ftp"},
		{[]string{"ask", "--broker", "tcp://127.0.0.1:1", "hello"}, 1, "127.0.0.1:1"},
		{[]string{"ask", "--broker", "gopher://x", "hello"}, 2, "gopher"},
		{[]string{"ask"}, 2, "no question"},
	} {
		code, out, err := cli(t, "", c.args...)
		if code != c.code || !strings.Contains(err, c.want) {
			t.Errorf("siskin %s: exit code %d, want %d; standard error %q, want %q in it", strings.Join(c.args, " "), code, c.code, err, c.want)
		}
		if c.code != 0 && out != "" && c.args[0] != "model" && c.args[0] != "eval" {
			t.Errorf("siskin %s failed, but printed %q", strings.Join(c.args, " "), out)
		}
	}
}

// eval logprobs agrees with the reference on the first tokens of a text.
func TestEvalLogprobs(t *testing.T) {
	var golden map[string]struct {
		Tokens []int32   `json:"tokens"`
		Next   []float64 `json:"reference_next_logprob"`
	}
	goldentest.JSON(t, &golden, "smollm2-135m-instruct-q4_1", "logits.json")
	text := golden["text-en.txt"]
	const n = 40 // more than one pass
	tokens, err := json.Marshal(map[string]any{"tokens": text.Tokens[:n]})
	if err != nil {
		t.Fatal(err)
	}
	code, out, stderr := cli(t, "", "eval", "logprobs", "--model", goldentest.Model(t), "--tokens", file(t, "t.json", string(tokens)), "--top", "5")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != n {
		t.Fatalf("%d lines, want %d", len(lines), n)
	}
	for i, line := range lines {
		var p struct {
			Pos  int
			Next *float64
			Top  [][2]float64
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		if p.Pos != i || len(p.Top) != 5 || p.Top[0][1] < p.Top[4][1] || p.Top[0][1] > 0 {
			t.Fatalf("line %d: %s", i, line)
		}
		switch {
		case i == n-1 && p.Next != nil, i < n-1 && p.Next == nil:
			t.Fatalf("line %d: next is %v", i, p.Next)
		case i < n-1 && math.Abs(*p.Next-text.Next[i]) > 1:
			t.Errorf("position %d: next %.3f, reference %.3f", i, *p.Next, text.Next[i])
		}
	}
}

func TestTokenize(t *testing.T) {
	model := goldentest.Model(t)
	lines := file(t, "lines.json", `["<|im_start|>user", "", "Hello"]`)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--special"}, "[[1,4093],[],[19556]]\n"},
		{nil, ""},
	} {
		code, out, stderr := cli(t, "", append([]string{"tokenize", "--model", model, "--lines", lines}, c.args...)...)
		if code != 0 || c.want != "" && out != c.want {
			t.Errorf("%v: exit code %d (%s), %q, want %q", c.args, code, stderr, out, c.want)
		}
		var ids [][]int32
		if err := json.Unmarshal([]byte(out), &ids); err != nil || len(ids) != 3 {
			t.Errorf("%v: %q: %v", c.args, out, err)
		}
		if c.args == nil && len(ids[0]) < 4 {
			t.Errorf("without --special the control token was parsed: %v", ids[0])
		}
	}
	code, out, _ := cli(t, "", "tokenize", "--model", model, "Hello")
	if code != 0 || out != "[19556]\n" {
		t.Errorf("one text: exit code %d, %q", code, out)
	}
}

func TestTemplateRender(t *testing.T) {
	template := file(t, "t.jinja", "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{{ strftime_now('%Y') }}")
	talk := file(t, "c.json", `{"bos_token":"<s>","messages":[{"role":"user","content":"<|x|> é"}]}`)
	code, out, stderr := cli(t, "", "template", "render", "--template", template, "--conversation", talk, "--now", "2031-02-03T04:05:06")
	if want := "<s>[user] <|x|> é\n2031"; code != 0 || out != want {
		t.Errorf("exit code %d (%s), %q, want %q", code, stderr, out, want)
	}
}

func TestModelCommands(t *testing.T) {
	source, dir := tinyModel(t), t.TempDir()
	code, out, stderr := cli(t, "", "model", "pull", source, "--dir", dir)
	if code != 0 || strings.TrimSpace(out) != filepath.Join(dir, "tiny.gguf") {
		t.Fatalf("pull: exit code %d, %q, %s", code, out, stderr)
	}
	code, out, _ = cli(t, "", "model", "list", "--dir", dir)
	if code != 0 || !strings.Contains(out, "tiny.gguf") || !strings.Contains(out, "yes") {
		t.Errorf("list: exit code %d, %q", code, out)
	}
	code, out, _ = cli(t, "", "model", "inspect", filepath.Join(dir, "tiny.gguf"), "--json")
	var info struct {
		Architecture string
		Supported    bool
	}
	if err := json.Unmarshal([]byte(out), &info); code != 0 || err != nil || info.Architecture != "llama" || !info.Supported {
		t.Errorf("inspect: exit code %d, %q", code, out)
	}
}

func TestCheck(t *testing.T) {
	model := tinyModel(t)
	settings := file(t, "ok.toml", "device = \"kitchen\"\n[model]\npath = \""+model+"\"\ncontext = 128\n")
	code, out, stderr := cli(t, "", "check", "--config", settings)
	if code != 0 || !strings.Contains(out, "the configuration is valid") || !strings.Contains(out, "kitchen") || !strings.Contains(out, " for answers, ") {
		t.Errorf("check: exit code %d, %q, %s", code, out, stderr)
	}
}

// eval hidden prints a row for every position, those of the reference among them; embed prints one for every text.
func TestHiddenAndEmbed(t *testing.T) {
	bert, reference := goldentest.Path(t, "archs", "bert.gguf"), goldentest.Path(t, "archs", "bert.json")
	code, out, stderr := cli(t, "", "eval", "hidden", "--model", bert, "--tokens", reference)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var want struct {
		Tokens    []int32
		Positions []int
		Rows      [][]float64
	}
	goldentest.JSON(t, &want, "archs", "bert.json")
	rows := strings.Split(strings.TrimSpace(out), "\n")
	if len(rows) != len(want.Tokens) {
		t.Fatalf("%d rows for %d tokens", len(rows), len(want.Tokens))
	}
	for i, pos := range want.Positions {
		var got []float64
		if err := json.Unmarshal([]byte(rows[pos]), &got); err != nil || len(got) != len(want.Rows[i]) {
			t.Fatalf("position %d: %d values, %v", pos, len(got), err)
		}
		for j, v := range got {
			if math.Abs(v-want.Rows[i][j]) > 0.01 {
				t.Fatalf("position %d, column %d: %g, want %g", pos, j, v, want.Rows[i][j])
			}
		}
	}
	if code, _, stderr := cli(t, "", "eval", "logprobs", "--model", bert, "--tokens", reference); code != 1 || !strings.Contains(stderr, "encoder") {
		t.Errorf("log-probabilities of an encoder: %d, %s", code, stderr)
	}
	code, out, stderr = cli(t, "one\n\ntwo words\n", "embed", "--model", tinyModel(t), "--pooling", "mean", "--json")
	if code != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, `{"text":"two words","tokens":`) {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
	if code, _, stderr := cli(t, "", "embed", "--model", tinyModel(t), "x"); code != 1 || !strings.Contains(stderr, "choose mean") {
		t.Errorf("no pooling: %d, %s", code, stderr)
	}
}

// An adapter is added, listed and removed by name.
func TestAdapterCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "adapters")
	source, base := goldentest.Path(t, "archs", "llama-lora.gguf"), goldentest.Path(t, "archs", "llama.gguf")
	if code, out, stderr := cli(t, "", "adapter", "add", "--dir", dir, "--name", "kitchen", "--model", base, source); code != 0 || !strings.Contains(out, "kitchen.gguf") {
		t.Fatalf("add: %d, %s%s", code, out, stderr)
	}
	if code, out, _ := cli(t, "", "adapter", "list", "--dir", dir); code != 0 || !strings.Contains(out, "kitchen  llama  rank 8  alpha 16  24 matrices") {
		t.Errorf("list: %d, %s", code, out)
	}
	if code, _, stderr := cli(t, "", "adapter", "add", "--dir", dir, base); code != 1 || !strings.Contains(stderr, "adapter") {
		t.Errorf("a model: %d, %s", code, stderr)
	}
	if code, _, stderr := cli(t, "", "adapter", "remove", "--dir", dir, "kitchen"); code != 0 {
		t.Errorf("remove: %d, %s", code, stderr)
	}
	if code, out, _ := cli(t, "", "adapter", "list", "--dir", dir); code != 0 || out != "" {
		t.Errorf("list: %d, %q", code, out)
	}
}
