package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"siskin/model/goldentest"
)

// place writes a file of this name into a folder of its own.
func place(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// notices collects what Pull tells.
func notices(opt *Options) *strings.Builder {
	var b strings.Builder
	opt.Notice = func(text string) { b.WriteString(text + "\n") }
	return &b
}

// sameFile reports whether two paths name one file.
func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return os.SameFile(x, y)
}

func TestLocalLink(t *testing.T) {
	data := modelFile(t, 200, 24)
	good := place(t, "my#model.gguf", data)
	opt := quick(t)
	told := notices(&opt)
	path := mustPull(t, good, opt, data)
	if !sameFile(t, good, path) || !strings.Contains(told.String(), "is linked, not copied") {
		t.Errorf("not linked, or not said so: %q", told)
	}
	mustPull(t, good, opt, data) // the same again
	mustPull(t, path, opt, data) // the file of the folder itself
	mustPull(t, good+"#sha256="+sumOf(data), opt, data)
	if _, err := Pull(t.Context(), good+"#sha256="+sumOf(nil), opt); !errors.Is(err, ErrSum) {
		t.Errorf("the file itself, with another sum: %v", err)
	}
	// The original is replaced, as it should be: the folder keeps the old one.
	changed := modelFile(t, 200, 25)
	if err := os.Rename(place(t, "new", changed), good); err != nil {
		t.Fatal(err)
	}
	checkFolder(t, opt.Dir, path, data)
	if _, err := Pull(t.Context(), good, opt); !errors.Is(err, ErrExists) {
		t.Errorf("over another file: %v", err)
	}
	opt.Replace = true
	mustPull(t, good, opt, changed)

	// A symbolic link is followed; what an interrupted pull left is cleaned away.
	opt = quick(t)
	sym := filepath.Join(t.TempDir(), "sym.gguf")
	if err := os.Symlink(good, sym); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{"sym.gguf.part", "sym.gguf.part.link"} {
		if err := os.WriteFile(filepath.Join(opt.Dir, left), data[:100], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path = mustPull(t, sym, opt, changed)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || !sameFile(t, path, good) {
		t.Errorf("symbolic link: %v %v", info, err)
	}
}

func TestLocalCopy(t *testing.T) {
	data := modelFile(t, 200, 24)
	good := place(t, "m.gguf", data)
	opt := quick(t)
	opt.Copy = true
	path := mustPull(t, good, opt, data)
	if sameFile(t, good, path) {
		t.Error("linked although a copy was asked for")
	}
	mustPull(t, good, opt, data) // the same contents again
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	opt = quick(t)
	opt.Copy = true
	if _, err := Pull(ctx, good, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled copy: %v", err)
	}
	if names := folder(t, opt.Dir); len(names) != 0 {
		t.Errorf("left %v", names)
	}
	// Where a link fails, a copy is made and said.
	opt = quick(t)
	told := notices(&opt)
	inTheWay := filepath.Join(opt.Dir, "m.gguf.part.link")
	if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	path, err := Pull(t.Context(), good, opt)
	if err != nil || sameFile(t, good, path) || !strings.Contains(told.String(), "is copied, since it cannot be linked (") {
		t.Errorf("link that fails: %v, told %q", err, told)
	}
}

// TestLocalOtherFileSystem: where the machine has a second file system, a copy crosses over to it.
func TestLocalOtherFileSystem(t *testing.T) {
	data := modelFile(t, 200, 26)
	opt := quick(t)
	other, err := os.MkdirTemp("/dev/shm", "siskin-store-")
	if err != nil {
		goldentest.Missing(t, "no second file system at /dev/shm: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(other); err != nil {
			t.Error(err)
		}
	})
	var a, b syscall.Stat_t
	if err := errors.Join(syscall.Stat(other, &a), syscall.Stat(opt.Dir, &b)); err != nil {
		t.Fatal(err)
	}
	if a.Dev == b.Dev {
		goldentest.Missing(t, "/dev/shm is on the file system of the test's folder")
	}
	src := filepath.Join(other, "m.gguf")
	if err := os.WriteFile(src, data, 0o600); err != nil {
		t.Fatal(err)
	}
	told := notices(&opt)
	mustPull(t, src, opt, data)
	if !strings.Contains(told.String(), "cannot be linked (invalid cross-device link)") {
		t.Errorf("told %q", told)
	}
}

func TestLocalRefused(t *testing.T) {
	data := modelFile(t, 200, 27)
	good := place(t, "m.gguf", data)
	for _, forceCopy := range []bool{false, true} {
		check := func(path string, kind error, want string) {
			opt := quick(t)
			opt.Copy = forceCopy
			refusePull(t, path, opt, kind, want)
			if names := folder(t, opt.Dir); len(names) != 0 {
				t.Errorf("left %v", names)
			}
		}
		check(place(t, "cut.gguf", data[:len(data)-40]), ErrNotModel, "beyond the end")
		check(place(t, "empty.gguf", nil), ErrNotModel, "is empty")
		check(place(t, "text.gguf", []byte("hello")), ErrNotModel, "not a GGUF file")
		check(good+"#sha256="+sumOf(nil), ErrSum, "instead of")
		check(good+"#sha256=123", ErrSource, "64 hexadecimal digits")
		dir := filepath.Join(t.TempDir(), "folder.gguf")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		check(dir, ErrNotModel, "is a folder")
	}
	if got, err := os.ReadFile(good); err != nil || sumOf(got) != sumOf(data) {
		t.Errorf("the original of a refused pull changed: %v", err)
	}
}
