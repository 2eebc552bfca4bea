package gguf_test

import (
	"os"
	"path/filepath"
	"testing"

	"siskin/model/gguf"
)

// repoRoot is the folder with go.mod.
func repoRoot(t testing.TB) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := wd; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the test's folder")
	return ""
}

// skip skips loudly, or fails where SISKIN_TEST_REQUIRE=1.
func skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("SISKIN_TEST_REQUIRE") == "1" {
		t.Fatalf("SKIP IS A FAILURE HERE: %s", reason)
	}
	t.Skipf("SKIPPED: %s", reason)
}

// goldenFiles lists the files of the golden folder that match; none is a skip.
func goldenFiles(t testing.TB, pattern string) []string {
	t.Helper()
	dir := os.Getenv("SISKIN_GOLDEN")
	if dir == "" {
		dir = filepath.Join(filepath.Dir(repoRoot(t)), "shared", "golden")
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		skip(t, "no "+pattern+" under "+dir+" (set SISKIN_GOLDEN)")
	}
	return files
}

func TestGoldenFilesParse(t *testing.T) {
	for _, pattern := range []string{"archs/*.gguf", "tokenizers/*.gguf"} {
		for _, path := range goldenFiles(t, pattern) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := gguf.Parse(data)
			if err != nil {
				t.Errorf("%s: %v", filepath.Base(path), err)
				continue
			}
			if arch, ok := f.Str("general.architecture"); !ok || arch == "" {
				t.Errorf("%s: no architecture", filepath.Base(path))
			}
			if err := checkInside(f, data); err != nil {
				t.Errorf("%s: %v", filepath.Base(path), err)
			}
		}
	}
}

func TestDefaultModelParses(t *testing.T) {
	path := os.Getenv("SISKIN_TEST_MODEL")
	if path == "" {
		path = filepath.Join(repoRoot(t), "models", "SmolLM2-135M-Instruct.Q4_1.gguf")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		skip(t, err.Error()+" (set SISKIN_TEST_MODEL)")
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(f.Tensors()); got != 272 {
		t.Errorf("%d tensors, want 272", got)
	}
	if n, ok := f.Uint("llama.block_count"); !ok || n != 30 {
		t.Errorf("llama.block_count %d %v, want 30", n, ok)
	}
	tokens, ok := f.Strings("tokenizer.ggml.tokens")
	if !ok || tokens.Len() != 49152 {
		t.Errorf("%d tokens %v, want 49152", tokens.Len(), ok)
	}
	if w, ok := f.Tensor("token_embd.weight"); !ok || w.Cols() != 576 || w.Rows() != 49152 {
		t.Errorf("token_embd.weight is %v", w.Dims)
	}
	if err := checkInside(f, data); err != nil {
		t.Error(err)
	}
}
