package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/lora"
)

// An adapter is added under a name, listed, opened, replaced only if asked for, and removed; what does not fit the model, is no
// adapter, or has a name that leads out of the folder is refused, and nothing of it stays.
func TestAdapters(t *testing.T) {
	source := goldentest.Path(t, "archs", "llama-lora.gguf")
	base, err := model.Open(goldentest.Path(t, "archs", "llama.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	folder := Adapters{Dir: filepath.Join(t.TempDir(), "adapters")}
	if names, err := folder.List(); err != nil || len(names) != 0 {
		t.Errorf("no folder: %v, %v", names, err)
	}
	if _, err := folder.Stamp("kitchen"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no adapter: %v", err)
	}
	path, err := folder.Add(source, "kitchen", base, false)
	if err != nil || path != filepath.Join(folder.Dir, "kitchen.gguf") {
		t.Fatalf("%s, %v", path, err)
	}
	before, err := folder.Stamp("kitchen")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Add(source, "kitchen", nil, false); !errors.Is(err, ErrExists) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := folder.Add(source, "kitchen", base, true); err != nil {
		t.Errorf("replaced: %v", err)
	}
	if after, err := folder.Stamp("kitchen"); err != nil || after == before {
		t.Errorf("the stamp %q stays: %v", after, err)
	}
	a, err := folder.Open("kitchen")
	if err != nil || len(a.Pairs) != 24 {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"../kitchen", "a/b", ".hidden", "", "ä", string(make([]byte, 65))} {
		if _, err := folder.Add(source, name, nil, false); name != "" && !errors.Is(err, ErrName) {
			t.Errorf("name %q: %v", name, err)
		}
		if _, err := folder.Stamp(name); !errors.Is(err, ErrName) {
			t.Errorf("stamp of %q: %v", name, err)
		}
	}
	if err := folder.Remove("llama-lora"); err != nil {
		t.Errorf("the name of the file is the default: %v", err)
	}
	if _, err := folder.Add(goldentest.Path(t, "archs", "llama.gguf"), "model", base, false); !errors.Is(err, lora.ErrBad) {
		t.Errorf("a model: %v", err)
	}
	other, err := model.Open(goldentest.Path(t, "archs", "qwen2.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := folder.Add(source, "other", other, false); !errors.Is(err, model.ErrAdapter) {
		t.Errorf("for another model: %v", err)
	}
	if names, err := folder.List(); err != nil || !slices.Equal(names, []string{"kitchen"}) {
		t.Errorf("%v, %v", names, err)
	}
	if err := folder.Remove("kitchen"); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(folder.Dir); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
