package model_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/pack"
	"siskin/model/quant"
)

// packingSets are the sets of this CPU that pack, and the best one with stand-ins for packed products of every format.
func packingSets(t *testing.T, unit int) []*kernel.Set {
	sets := []*kernel.Set{modeltest.Packing(kernel.All()[0], unit)}
	for _, set := range testSets(t) {
		if set.Packing.Packed() {
			sets = append(sets, set)
		}
	}
	return sets
}

// openPacked packs the model at path for set and opens it once more with the packed file.
func openPacked(t testing.TB, path string, set *kernel.Set) *model.Model {
	t.Helper()
	m := open(t, path)
	dst := filepath.Join(t.TempDir(), "packed")
	if err := pack.Create(dst, pack.Job{Model: path, Packing: set.Packing, Tensors: m.PackParts(set)}); err != nil {
		t.Fatal(err)
	}
	usePacked(t, m, dst, set)
	return m
}

func usePacked(t testing.TB, m *model.Model, path string, set *kernel.Set) {
	t.Helper()
	source, err := m.Source()
	if err == nil {
		err = m.UsePacked(path, &source, set)
	}
	if err != nil {
		t.Fatal(err)
	}
	if m.Packed() != path {
		t.Fatalf("%q is in use, want %q", m.Packed(), path)
	}
}

// Packed weights give the logits of plain ones to the bit: every format, tails of groups, tied and untied embeddings.
func TestPackedChangesNothing(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(goldentest.Path(t, "archs"), "llama*.gguf"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	packed := 0
	for i, path := range files {
		m, err := model.Open(path)
		if err != nil {
			continue // an adapter, or another architecture
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		for _, set := range packingSets(t, []int{4, 8, 1}[i%3]) {
			plain := open(t, path)
			if len(plain.PackParts(set)) == 0 {
				continue
			}
			packed++
			tokens := tinyTokens(30)
			if tokenLimit(t) < math.MaxInt {
				tokens = tokens[:6]
			}
			want := run(t, newState(t, plain, set, tinyLimits), 0, tokens, 11)
			got := run(t, newState(t, openPacked(t, path, set), set, tinyLimits), 0, tokens, 11)
			equalLogits(t, got, want, filepath.Base(path), set.Name)
		}
	}
	if packed < 10 {
		t.Errorf("only %d models were packed", packed)
	}
}

// A tied embedding with a tail of three rows: lookups and logits of rows inside and behind the groups.
func TestPackedTail(t *testing.T) {
	for _, typ := range []quant.Type{quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q5_1, quant.Q8_0} {
		shape := tiny
		shape.Type = typ
		path := filepath.Join(t.TempDir(), "tiny.gguf")
		if err := os.WriteFile(path, shape.File(), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, set := range packingSets(t, 4) {
			m := openPacked(t, path, set)
			if n := len(m.PackParts(set)); n != 1+7*tiny.Layers {
				t.Errorf("%v: %d parts", typ, n)
			}
			want := run(t, newState(t, open(t, path), set, tinyLimits), 0, byteTokens, 20)
			equalLogits(t, run(t, newState(t, m, set, tinyLimits), 0, byteTokens, 20), want, typ, set.Name)
		}
	}
}

func TestPackedDefaultModel(t *testing.T) {
	if tokenLimit(t) < 1000 {
		t.Skip("packing 98 MB takes too long where every instruction is emulated")
	}
	path := goldentest.Model(t)
	limits := model.Limits{Rows: 4, Logits: 4, Sequences: 1, Context: 32}
	tokens := []int32{1, 4093, 198, 49151, 0, 17}
	sets := packingSets(t, 4)
	if len(sets) > 1 {
		sets = sets[1:] // the real ones
	}
	for _, set := range sets {
		want := run(t, newState(t, open(t, path), set, limits), 0, tokens, 4)
		equalLogits(t, run(t, newState(t, openPacked(t, path, set), set, limits), 0, tokens, 4), want, "default model", set.Name)
	}
}

// Sets that do not pack have nothing to pack, and refuse what is packed for others.
func TestPackedForOtherKernels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := os.WriteFile(path, tiny.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, set := kernel.Generic(), modeltest.Packing(kernel.Generic(), 4)
	m := openPacked(t, path, set)
	if parts := m.PackParts(plain); len(parts) != 0 {
		t.Errorf("a set without packing wants %v packed", parts)
	}
	if err := m.Check(set); err != nil {
		t.Error(err)
	}
	for _, other := range []*kernel.Set{plain, modeltest.Packing(plain, 8)} {
		if err := m.Check(other); !errors.Is(err, model.ErrUnsupported) || !strings.Contains(err.Error(), "packed for other kernels") {
			t.Errorf("%s: %v", other.Name, err)
		}
	}
}

// Whatever is wrong with a packed file, the model stays plain and works.
func TestPackedRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	set := modeltest.Packing(kernel.Generic(), 4)
	path := write("tiny.gguf", tiny.File())
	m := open(t, path)
	make1 := func(name, model string, parts []pack.Part) string {
		dst := filepath.Join(dir, name)
		if err := pack.Create(dst, pack.Job{Model: model, Packing: set.Packing, Tensors: parts}); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	parts := m.PackParts(set)
	good := make1("good", path, parts)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	other := tiny
	other.Seed++
	otherShape := slices.Clone(parts)
	otherShape[0].Rows -= 16
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"absent":        {filepath.Join(dir, "none"), fs.ErrNotExist},
		"a folder":      {dir, nil},
		"half":          {write("half", data[:len(data)/2]), pack.ErrDamaged},
		"zeros":         {write("zeros", make([]byte, len(data))), pack.ErrDamaged},
		"another model": {make1("other", write("other.gguf", other.File()), parts), pack.ErrStale},
		"fewer tensors": {make1("fewer", path, parts[1:]), pack.ErrStale},
		"another shape": {make1("shape", path, otherShape), pack.ErrStale},
	} {
		source, err := m.Source()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.UsePacked(c.path, &source, set); err == nil || (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
		if m.Packed() != "" {
			t.Fatalf("%s is in use", name)
		}
	}
	usePacked(t, m, good, set)
	source, err := m.Source()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.UsePacked(good, &source, set); err == nil {
		t.Error("a second packed file was taken")
	}
	inMemory, err := model.Parse(modeltest.Bytes(tiny.KVs(), tiny.Tensors()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inMemory.Source(); err == nil {
		t.Error("a model in memory has a source")
	}
}
