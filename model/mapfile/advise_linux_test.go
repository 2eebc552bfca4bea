package mapfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

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

// TestPieces: a fault reads the piece of 2 MiB around it, and a fetch a page, however far the system is set to read ahead.
func TestPieces(t *testing.T) {
	const piece = 2 << 20
	path, _ := writeFile(t, 8*piece)
	f, err := mapfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Sync(); err != nil { // what is not on disk cannot be dropped
		t.Fatal(err)
	}
	if err := f.Drop(0, f.Size()); err != nil {
		t.Fatal(err)
	}
	if n := cached(t, f.Bytes()); n != 0 {
		t.Skipf("SKIPPED: the file system keeps %d pages", n)
	}
	if err := f.Fetch(5*piece+5000, 100); err != nil {
		t.Fatal(err)
	}
	if n := cached(t, f.Bytes()); n != 1 {
		t.Errorf("a fetch of 100 bytes read %d pages", n)
	}
	if err := f.Pieces(0, f.Size()); err != nil {
		t.Fatal(err)
	}
	if err := f.Populate(3*piece+9000, 10); err != nil {
		t.Fatal(err)
	}
	n := cached(t, f.Bytes()) - 1
	t.Logf("a fault read %d pages", n)
	if n > piece/os.Getpagesize() {
		t.Errorf("a fault read %d pages, a piece has %d", n, piece/os.Getpagesize())
	}
	if err := f.Pieces(1, f.Size()); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a range outside the file: %v", err)
	}
	if err := f.Fetch(-1, 1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a range outside the file: %v", err)
	}
}

// cached is how many pages of a mapping are in the page cache: mincore(2).
func cached(t *testing.T, b []byte) (n int) {
	t.Helper()
	pages := make([]byte, (len(b)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, p := range pages {
		n += int(p & 1)
	}
	return n
}
