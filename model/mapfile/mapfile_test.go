package mapfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/model/mapfile"
)

func writeFile(t *testing.T, n int) (string, []byte) {
	t.Helper()
	content := bytes.Repeat([]byte("siskin"), n/6+1)[:n]
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func TestOpen(t *testing.T) {
	for _, n := range []int{1, 4095, 4096, 4097, 300_000} {
		path, want := writeFile(t, n)
		f, err := mapfile.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Size() != int64(n) || f.Path() != path || !bytes.Equal(f.Bytes(), want) {
			t.Errorf("%d bytes: size %d, path %s", n, f.Size(), f.Path())
		}
		if err := f.Changed(); err != nil {
			t.Errorf("untouched file: %v", err)
		}
		start := reflect.ValueOf(f.Bytes()).Pointer()
		if f.Contains(start-1) || !f.Contains(start) || !f.Contains(start+uintptr(n)-1) || f.Contains(start+uintptr(n)) {
			t.Errorf("%d bytes: wrong about what is in the mapping", n)
		}
		if info, err := os.Stat(path); err != nil || !f.ModTime().Equal(info.ModTime()) {
			t.Errorf("modified at %v, %v", f.ModTime(), err)
		}
		for range 3 {
			if err := f.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if f.Bytes() != nil {
			t.Error("bytes after Close")
		}
		if err := f.AdviseAll(mapfile.Random); !errors.Is(err, mapfile.ErrClosed) {
			t.Errorf("advice after Close: %v", err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		kind error
		want string
	}{
		{filepath.Join(dir, "none.gguf"), fs.ErrNotExist, "does not exist: check the path"},
		{dir, mapfile.ErrNotRegular, "is a folder"},
		{empty, mapfile.ErrEmpty, "is empty"},
		{os.DevNull, mapfile.ErrNotRegular, "is a device"},
		{filepath.Join(empty, "x"), nil, "cannot be opened: not a directory"},
		{filepath.Join(dir, strings.Repeat("n", 300)), nil, "cannot be opened: file name too long"},
	} {
		f, err := mapfile.Open(c.path)
		var e *mapfile.Error
		if f != nil || !errors.As(err, &e) || e.Path != c.path {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: %v is not %v", c.path, err, c.kind)
		}
		if !strings.HasPrefix(err.Error(), c.path+" ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q does not say %q", err, c.want)
		}
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	path, _ := writeFile(t, 10)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	f, err := mapfile.Open(path)
	if os.Geteuid() == 0 {
		// root reads everything: then it has to work.
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "may not be read") {
		t.Errorf("error %v", err)
	}
}

func TestChanged(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(path string) error
		want   string
	}{
		{"removed", os.Remove, "was removed"},
		{"grown", func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		}, "went from 5000 to 5004 bytes"},
		{"cut", func(p string) error { return os.Truncate(p, 10) }, "went from 5000 to 10 bytes"},
		{"written", func(p string) error { return os.Chtimes(p, time.Time{}, time.Now().Add(time.Hour)) }, "was written to"},
		{"replaced", func(p string) error {
			if err := os.WriteFile(p+".new", make([]byte, 5000), 0o600); err != nil {
				return err
			}
			return os.Rename(p+".new", p)
		}, "was replaced"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, want := writeFile(t, 5000)
			f, err := mapfile.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			if err := f.Changed(); !errors.Is(err, mapfile.ErrChanged) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
			if c.name == "replaced" && !bytes.Equal(f.Bytes(), want) {
				t.Error("the mapping does not show the old file after a rename over it")
			}
		})
	}
}

func TestAdvise(t *testing.T) {
	path, want := writeFile(t, 100_000)
	f, err := mapfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for a := mapfile.Normal; a <= mapfile.DontNeed; a++ {
		for _, r := range [][2]int64{{0, 100_000}, {0, 0}, {100_000, 0}, {1, 1}, {4097, 50_000}, {99_999, 1}} {
			if err := f.Advise(a, r[0], r[1]); err != nil {
				t.Errorf("advice %d on %v: %v", a, r, err)
			}
		}
		if err := f.AdviseAll(a); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(f.Bytes(), want) {
			t.Fatalf("advice %d changed the contents", a)
		}
	}
	for _, r := range [][2]int64{{-1, 5}, {0, -1}, {0, 100_001}, {100_001, 0}, {1 << 62, 1 << 62}} {
		if err := f.Advise(mapfile.Random, r[0], r[1]); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("range %v: %v", r, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	path, _ := writeFile(t, 50_000)
	f, err := mapfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				err := f.AdviseAll(mapfile.WillNeed)
				if err != nil && !errors.Is(err, mapfile.ErrClosed) {
					t.Error(err)
				}
				if err := f.Changed(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
}
