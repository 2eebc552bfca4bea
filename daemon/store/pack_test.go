package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/pack"
	"siskin/model/quant"
)

var tiny = modeltest.Tiny{Seed: 5, Type: quant.Q4_1, Layers: 1, Context: 64}

// packed packs path and reports what came of it.
func packed(t *testing.T, path string, set *kernel.Set, opt PackOptions) Packed {
	t.Helper()
	p, err := Pack(t.Context(), path, set, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// use opens the model with its packed file.
func use(t *testing.T, path string, set *kernel.Set, cache string) (string, error) {
	t.Helper()
	m, err := model.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() // read-only
	err = UsePacked(m, path, set, cache)
	return m.Packed(), err
}

func TestPack(t *testing.T) {
	set := modeltest.Packing(kernel.Generic(), 4)
	path := place(t, "m.gguf", tiny.File())
	if _, err := use(t, path, set, ""); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "m.gguf.packed-4-1") {
		t.Errorf("before: %v", err)
	}
	steps := 0
	p := packed(t, path, set, PackOptions{Step: func(done, total int64) {
		if steps++; done > total {
			t.Errorf("%d of %d", done, total)
		}
	}})
	info, err := os.Stat(p.Path)
	if err != nil || p.Path != path+".packed-4-1" || !p.Made || p.Parts != 8 || p.Bytes != info.Size() || steps == 0 {
		t.Errorf("%+v, %d steps, %v", p, steps, err)
	}
	if used, err := use(t, path, set, ""); err != nil || used != p.Path {
		t.Errorf("used %q, %v", used, err)
	}
	if again := packed(t, path, set, PackOptions{}); again.Made || again.Path != p.Path {
		t.Errorf("again: %+v", again)
	}
	if again := packed(t, path, set, PackOptions{Again: true}); !again.Made {
		t.Errorf("again by force: %+v", again)
	}
	output := filepath.Join(t.TempDir(), "x")
	if other := packed(t, path, set, PackOptions{Output: output}); other.Path != output || !other.Made {
		t.Errorf("elsewhere: %+v", other)
	}
	if items := folder(t, filepath.Dir(path)); len(items) != 2 {
		t.Errorf("left behind: %v", items)
	}
}

func TestPackRefuses(t *testing.T) {
	set := modeltest.Packing(kernel.Generic(), 4)
	path := place(t, "m.gguf", tiny.File())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		path string
		set  *kernel.Set
		opt  PackOptions
		want error
		says string
	}{
		"kernels that do not pack": {t.Context(), path, kernel.Generic(), PackOptions{}, ErrNoPacking, "generic"},
		"a full disk":              {t.Context(), path, set, PackOptions{Margin: 1 << 60}, ErrNoSpace, "must stay free"},
		"cancelled":                {ended, path, set, PackOptions{}, context.Canceled, "was not packed"},
		"no model":                 {t.Context(), path + "x", set, PackOptions{}, fs.ErrNotExist, "does not exist"},
		"no folder":                {t.Context(), path, set, PackOptions{Output: filepath.Join(path, "x", "y")}, nil, "not a directory"},
	} {
		_, err := Pack(c.ctx, c.path, c.set, c.opt)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %v with %q", name, err, c.want, c.says)
		}
	}
	if items := folder(t, filepath.Dir(path)); len(items) != 1 {
		t.Errorf("left behind: %v", items)
	}
	if _, err := use(t, path, kernel.Generic(), ""); !errors.Is(err, ErrNoPacking) {
		t.Errorf("used with kernels that do not pack: %v", err)
	}
}

// Where the model's folder cannot be written to, the cache folder takes the file, and models of one name do not meet.
func TestPackCache(t *testing.T) {
	set := modeltest.Packing(kernel.Generic(), 4)
	if os.Geteuid() != 0 {
		path := place(t, "m.gguf", tiny.File())
		if err := os.Chmod(filepath.Dir(path), 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Dir(path), 0o700) })
		if _, err := Pack(t.Context(), path, set, PackOptions{}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("without a cache folder: %v", err)
		}
		cache := filepath.Join(t.TempDir(), "a", "b")
		if p := packed(t, path, set, PackOptions{Cache: cache}); filepath.Dir(p.Path) != cache {
			t.Errorf("%+v", p)
		}
	}
	cache := t.TempDir()
	other := tiny
	other.Seed++
	for _, shape := range []modeltest.Tiny{tiny, other} {
		path := place(t, "m.gguf", shape.File())
		paths := packedPaths(path, set.Packing, cache)
		if len(paths) != 2 || filepath.Dir(paths[1]) != cache {
			t.Fatal(paths)
		}
		packed(t, path, set, PackOptions{Output: paths[1]})
		if used, err := use(t, path, set, cache); err != nil || used != paths[1] {
			t.Errorf("used %q, %v, want %q", used, err, paths[1])
		}
		if _, err := use(t, path, set, ""); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without the cache folder: %v", err)
		}
		// What is wrong beside the model is told only if the cache has nothing better.
		if err := os.WriteFile(paths[0], []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		if used, err := use(t, path, set, cache); err != nil || used != paths[1] {
			t.Errorf("used %q, %v, want %q", used, err, paths[1])
		}
		if _, err := use(t, path, set, t.TempDir()); !errors.Is(err, pack.ErrDamaged) || !strings.Contains(err.Error(), paths[0]) {
			t.Errorf("nonsense: %v", err)
		}
	}
	if items := folder(t, cache); len(items) != 2 {
		t.Errorf("cache: %v", items)
	}
}

// A model that was copied keeps its packed file if the recorded sum vouches for it; one that was replaced loses it.
func TestPackedStale(t *testing.T) {
	set := modeltest.Packing(kernel.Generic(), 4)
	opt := quick(t)
	opt.Copy = true
	source := place(t, "m.gguf", tiny.File())
	path := mustPull(t, source, opt, tiny.File())
	p := packed(t, path, set, PackOptions{})
	for i := range 2 {
		old := time.Now().Add(-time.Duration(i+1) * time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		_, err := use(t, path, set, "")
		switch {
		case i == 0 && err != nil:
			t.Errorf("touched, with a recorded sum: %v", err)
		case i == 1 && (!errors.Is(err, pack.ErrStale) || !strings.Contains(err.Error(), "written after")):
			t.Errorf("touched, without: %v", err)
		}
		if err := os.Remove(sumPath(path)); i == 0 && err != nil {
			t.Fatal(err)
		}
	}
	if p := packed(t, path, set, PackOptions{}); !p.Made {
		t.Error("a stale file was not replaced")
	}
	other := tiny
	other.Seed++
	opt.Replace = true
	if err := os.WriteFile(source, other.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), source, opt); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the packed file of a replaced model: %v", err)
	}
}

func TestInspectPacked(t *testing.T) {
	path := place(t, "m.gguf", tiny.File())
	for _, unit := range []int{4, 8} {
		packed(t, path, modeltest.Packing(kernel.Generic(), unit), PackOptions{})
	}
	bad := path + ".packed-1-1"
	for _, name := range []string{bad, path + ".packed-4-1.tmp", path + ".other"} {
		if err := os.WriteFile(name, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	info, err := Inspect(path)
	if err != nil || len(info.Packed) != 3 {
		t.Fatalf("%+v %v", info.Packed, err)
	}
	if p := info.Packed[0]; p.Path != bad || p.Size != 8 || !strings.Contains(p.Problem, "damaged") || strings.Contains(p.Problem, path) {
		t.Errorf("%+v", p)
	}
	for i, unit := range []int{4, 8} {
		if p := info.Packed[1+i]; p.Unit != unit || p.Problem != "" || p.Size == 0 {
			t.Errorf("%+v", p)
		}
	}
	if entries, err := List(filepath.Dir(path)); err != nil || len(entries) != 1 || len(entries[0].Info.Packed) != 3 {
		t.Errorf("list: %+v %v", entries, err)
	}
}

func TestVerify(t *testing.T) {
	opt := quick(t)
	opt.Copy = true
	path := mustPull(t, place(t, "m.gguf", tiny.File()), opt, tiny.File())
	p := packed(t, path, modeltest.Packing(kernel.Generic(), 4), PackOptions{})
	verify := func() (Verified, error) { return Verify(t.Context(), path, func(int64, int64) {}) }
	v, err := verify()
	if err != nil || v.SHA256 != sumOf(tiny.File()) || !v.Recorded || len(v.Packed) != 1 || v.Packed[0].Problem != "" {
		t.Fatalf("%+v %v", v, err)
	}
	flip := func(path string, at int64) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, err = f.ReadAt(b, at)
		b[0] ^= 8
		_, err2 := f.WriteAt(b, at)
		if err := errors.Join(err, err2, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	flip(p.Path, 5000)
	if v, err := verify(); err != nil || !strings.Contains(v.Packed[0].Problem, "blk.0.attn_q.weight") {
		t.Errorf("a flipped bit of a packed file: %+v %v", v, err)
	}
	flip(p.Path, 5000)
	soon := time.Now().Add(time.Minute)
	flip(path, int64(len(tiny.File()))-1)
	if err := os.Chtimes(sumPath(path), soon, soon); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(); !errors.Is(err, ErrSum) {
		t.Errorf("a flipped bit of the model: %v", err)
	}
	if err := os.Remove(sumPath(path)); err != nil {
		t.Fatal(err)
	}
	if v, err := verify(); err != nil || v.Recorded || !strings.Contains(v.Packed[0].Problem, "another model") {
		t.Errorf("a model without a recorded sum, that was changed after packing: %+v %v", v, err)
	}
}
