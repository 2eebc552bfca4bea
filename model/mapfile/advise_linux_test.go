package mapfile_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"siskin/model/mapfile"
)

// TestPipe: a pipe without a writer is refused at once instead of waiting for one.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mapfile.Open(path); !errors.Is(err, mapfile.ErrNotRegular) {
		t.Errorf("error %v", err)
	}
}

// TestUnknownAdvice: the call reaches the kernel only with what it knows.
func TestUnknownAdvice(t *testing.T) {
	path, _ := writeFile(t, 10)
	f, err := mapfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, a := range []mapfile.Advice{-1, 99} {
		if err := f.AdviseAll(a); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("advice %d: %v", a, err)
		}
	}
}
