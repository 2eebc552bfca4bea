package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// A split model is one line of the list with the numbers of the whole; packing says why it does not; parts without the first, or
// with one missing, are shown with the reason.
func TestSplitModel(t *testing.T) {
	shape, dir := modeltest.Tiny{Seed: 5, Type: quant.Q4_1, Layers: 2, Context: 64}, t.TempDir()
	names, files := shape.Split(3)
	var bytes int64
	for i := range names {
		if err := os.WriteFile(filepath.Join(dir, names[i]), files[i], 0o600); err != nil {
			t.Fatal(err)
		}
		bytes += int64(len(files[i]))
	}
	list, err := List(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d entries, error %v", len(list), err)
	}
	if i := list[0].Info; list[0].Name != names[0] || list[0].Size != bytes || i == nil || !i.Supported || i.Parts != 3 || i.Tensors != len(shape.Tensors()) {
		t.Errorf("entry %+v, info %+v", list[0], i)
	}
	if _, err := Pack(t.Context(), filepath.Join(dir, names[0]), kernel.All()[0], PackOptions{}); !errors.Is(err, ErrNoPacking) || !strings.Contains(err.Error(), "split") {
		t.Errorf("packing: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, names[1])); err != nil {
		t.Fatal(err)
	}
	if info, err := Inspect(filepath.Join(dir, names[0])); err != nil || info.Supported || !strings.Contains(info.Reason, names[1]) {
		t.Errorf("without part 2: %+v, %v", info, err)
	}
	if err := os.Remove(filepath.Join(dir, names[0])); err != nil {
		t.Fatal(err)
	}
	if list, err = List(dir); err != nil || len(list) != 1 || list[0].Name != names[2] || list[0].Info == nil || list[0].Info.Supported {
		t.Errorf("without the first part: %+v, %v", list, err)
	}
}

func TestParts(t *testing.T) {
	const hub = "hf:o/r/q4/m-00002-of-00003.gguf"
	for text, want := range map[string][]string{
		hub: {"hf:o/r/q4/m-00001-of-00003.gguf", hub, "hf:o/r/q4/m-00003-of-00003.gguf"},
		"https://x/m-00001-of-00002.gguf?download=true": {"https://x/m-00001-of-00002.gguf?download=true", "https://x/m-00002-of-00002.gguf?download=true"},
		"/models/m.gguf":                {"/models/m.gguf"},
		"/models/m-00001-of-00001.gguf": {"/models/m-00001-of-00001.gguf"},
		"/models/m-00001-of-99999.gguf": {"/models/m-00001-of-99999.gguf"},
		"/models/m-1-of-2.gguf":         {"/models/m-1-of-2.gguf"},
	} {
		if got, err := Parts(text, Options{}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, opt := range []Options{{Name: "x.gguf"}, {SHA256: strings.Repeat("a", 64)}} {
		if _, err := Parts(hub, opt); !errors.Is(err, ErrSource) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
	if _, err := Parts(hub+"#sha256="+strings.Repeat("a", 64), Options{}); !errors.Is(err, ErrSource) {
		t.Errorf("one sum for three parts: %v", err)
	}
}
