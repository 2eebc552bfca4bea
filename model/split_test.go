package model_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// splitTiny writes a tiny model, whole and as parts, into folder.
func splitTiny(t *testing.T, folder string, shape modeltest.Tiny, count int) (whole string, parts []string) {
	t.Helper()
	write := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	names, files := shape.Split(count)
	for i := range names {
		parts = append(parts, write(names[i], files[i]))
	}
	return write("whole.gguf", shape.File()), parts
}

// A split model gives the logits of the whole one, whichever part is named, also with weights that are streamed and after it was
// opened anew; conversations are saved under a stamp of all parts.
func TestSplit(t *testing.T) {
	shape := modeltest.Tiny{Seed: 5, Type: quant.Q4_1, Layers: 5, Context: 256}
	whole, parts := splitTiny(t, t.TempDir(), shape, 3)
	set := kernel.All()[0]
	m := open(t, whole)
	want := run(t, newState(t, m, set, tinyLimits), 0, byteTokens, 20)
	for i, path := range parts {
		split := open(t, path)
		if got := run(t, newState(t, split, set, tinyLimits), 0, byteTokens, 20); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("opened by part %d: other logits than the whole model", i+1)
		}
		var bytes int64
		for _, p := range parts {
			info, err := os.Stat(p)
			if err != nil {
				t.Fatal(err)
			}
			bytes += info.Size()
		}
		if split.FileBytes() != bytes {
			t.Errorf("FileBytes is %d, want %d", split.FileBytes(), bytes)
		}
		streamed := newState(t, split, set, tinyLimits)
		if streamed.Stream(0, 2) == nil {
			t.Fatal("no reader")
		}
		if got := run(t, streamed, 0, byteTokens, 20); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("streamed, part %d: other logits than the whole model", i+1)
		}
		fresh, err := model.Open(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := split.Replace(fresh); err != nil {
			t.Fatal(err)
		}
		streamed.Truncate(0, 0)
		if got := run(t, streamed, 0, byteTokens, 20); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("replaced, part %d: other logits than the whole model", i+1)
		}
		if n := len(split.PackParts(set)); n != 0 {
			t.Errorf("%d matrices of a split model are to be packed", n)
		}
	}
}

// What is wrong with the parts is said, with the part.
func TestBadSplit(t *testing.T) {
	shape := modeltest.Tiny{Seed: 5, Type: quant.Q8_0, Layers: 2, Context: 64}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, folder string, parts []string) (open string)
		want  string
	}{
		"missing": {func(t *testing.T, _ string, parts []string) string {
			remove(t, parts[1])
			return parts[0]
		}, "tiny-00002-of-00003.gguf"},
		"missing first": {func(t *testing.T, _ string, parts []string) string {
			remove(t, parts[0])
			return parts[2]
		}, "part 1 of 3"},
		"renamed": {func(t *testing.T, folder string, parts []string) string {
			return rename(t, parts[0], filepath.Join(folder, "model.gguf"))
		}, "NAME-00001-of-00003.gguf"},
		"swapped": {func(t *testing.T, folder string, parts []string) string {
			aside := rename(t, parts[1], filepath.Join(folder, "x"))
			rename(t, parts[2], parts[1])
			rename(t, aside, parts[2])
			return parts[0]
		}, "in the place of part 2 of 3 says that it is part 3"},
		"twice": {func(t *testing.T, _ string, parts []string) string {
			data, err := os.ReadFile(parts[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(parts[1], data, 0o600); err != nil {
				t.Fatal(err)
			}
			return parts[0]
		}, "in the place of part 2 of 3 says that it is part 1"},
		"cut": {func(t *testing.T, _ string, parts []string) string {
			if err := os.Truncate(parts[2], 100); err != nil {
				t.Fatal(err)
			}
			return parts[0]
		}, "tiny-00003-of-00003.gguf: model file is damaged"},
		"of another model": {func(t *testing.T, _ string, parts []string) string {
			other := shape
			other.Layers = 3
			_, theirs := splitTiny(t, t.TempDir(), other, 3)
			rename(t, theirs[2], parts[2])
			return parts[0]
		}, "split.tensors.count"},
		"number beyond the count": {func(t *testing.T, folder string, _ []string) string {
			path := filepath.Join(folder, "odd-00001-of-00003.gguf")
			kvs := append(shape.KVs(), modeltest.KV{Key: "split.no", Value: uint16(9)}, modeltest.KV{Key: "split.count", Value: uint16(3)})
			if err := os.WriteFile(path, modeltest.Bytes(kvs, shape.Tensors()), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, "split.no is 9"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			_, parts := splitTiny(t, folder, shape, 3)
			m, err := model.Open(c.spoil(t, folder, parts))
			if err == nil {
				_ = m.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	_, parts := splitTiny(t, t.TempDir(), shape, 2)
	data, err := os.ReadFile(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := model.Parse(data); err == nil || !strings.Contains(err.Error(), "part 1 of 2") {
		t.Errorf("a part alone in memory: %v", err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// rename returns the new path.
func rename(t *testing.T, from, to string) string {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	return to
}
