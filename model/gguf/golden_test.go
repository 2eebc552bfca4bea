package gguf_test

import (
	"os"
	"path/filepath"
	"testing"

	"siskin/model/gguf"
	"siskin/model/goldentest"
)

// goldenFiles lists the files of a folder of the reference data that match; none is a failure.
func goldenFiles(t testing.TB, folder, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldentest.Path(t, folder), pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s/%s: %d files (%v)", folder, pattern, len(files), err)
	}
	return files
}

func TestGoldenFilesParse(t *testing.T) {
	for _, folder := range []string{"archs", "tokenizers"} {
		for _, path := range goldenFiles(t, folder, "*.gguf") {
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
	data, err := os.ReadFile(goldentest.Model(t))
	if err != nil {
		t.Fatal(err)
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
