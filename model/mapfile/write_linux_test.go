package mapfile_test

import (
	"bytes"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"siskin/model/mapfile"
)

// The lock is that of one descriptor and ends with it.
func TestTryLock(t *testing.T) {
	path, _ := writeFile(t, 10)
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := open(), open()
	for _, c := range []struct {
		f    *os.File
		want bool
	}{{a, true}, {b, false}, {a, true}} {
		if got, err := mapfile.TryLock(c.f); err != nil || got != c.want {
			t.Errorf("locked %v, %v, want %v", got, err, c.want)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := mapfile.TryLock(b); err != nil || !got {
		t.Errorf("after the holder is gone: %v, %v", got, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := mapfile.TryLock(b); err == nil {
		t.Error("a closed file was locked")
	}
}

// resident counts the pages of a file that are in memory.
func resident(t *testing.T, f *os.File, size int) int {
	t.Helper()
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(data); err != nil {
			t.Error(err)
		}
	}()
	pages := make([]byte, (size+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&data[0])), uintptr(size), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	n := 0
	for _, p := range pages {
		n += int(p & 1)
	}
	return n
}

// What is flushed is on disk and no longer in memory.
func TestFlush(t *testing.T) {
	path, want := writeFile(t, 1<<20)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // read-only
	before := resident(t, f, len(want))
	mapfile.Flush(f, 0, int64(len(want)))
	after := resident(t, f, len(want))
	if before == 0 || after > before/2 {
		var s unix.Statfs_t
		if err := unix.Statfs(path, &s); err == nil && s.Type == unix.TMPFS_MAGIC {
			t.Skip("SKIPPED: the test's folder is in memory itself")
		}
		t.Errorf("%d pages in memory before, %d after", before, after)
	}
	mapfile.Forget(f, 0, int64(len(want)))
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("contents changed: %v", err)
	}
}
