package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"siskin/model/modeltest"
	"siskin/model/quant"
)

func TestAnswering(t *testing.T) {
	dir := t.TempDir()
	tiny := modeltest.Tiny{Seed: 1, Type: quant.Q4_1, Layers: 1, Context: 64}
	strange := tiny.KVs()
	strange[0].Value = "strange"
	for name, data := range map[string][]byte{
		"b.GGUF": tiny.File(), "a.b.gguf": tiny.File(), "broken.gguf": []byte("no"), "c.gguf.part": []byte("no"),
		"strange.gguf": modeltest.Bytes(strange, tiny.Tensors()), "readme": []byte("no"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := Answering(dir)
	if err != nil || !slices.Equal(names, []string{"a.b", "b"}) {
		t.Errorf("names %v, %v", names, err)
	}
	if names, err := Answering(filepath.Join(dir, "none")); err != nil || names != nil {
		t.Errorf("no folder: %v, %v", names, err)
	}
	for name, want := range map[string]string{"b": "b.GGUF", "a.b": "a.b.gguf", "broken": "broken.gguf", "readme": "", "": "", "../x": "", "b.GGUF": ""} {
		path, err := Find(dir, name)
		if want == "" {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%q: %s, %v", name, path, err)
			}
			continue
		}
		if err != nil || path != filepath.Join(dir, want) || Name(path) != name {
			t.Errorf("%q: %s, %v", name, path, err)
		}
	}
	for name, ok := range map[string]bool{"b.GGUF": true, "broken.gguf": false, "strange.gguf": false} {
		if _, err := InspectAnswering(filepath.Join(dir, name)); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
