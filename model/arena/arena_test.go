package arena_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"siskin/model/arena"
)

// take asks for the same buffers of any arena.
func take(a *arena.Arena) (one []byte, floats []float32, pages []byte) {
	return a.Bytes(3), a.Floats(100), a.Pages(5 * os.Getpagesize())
}

func TestCountsWhatItGives(t *testing.T) {
	var counter arena.Arena
	one, floats, pages := take(&counter)
	if len(one)+len(floats)+len(pages) != 0 {
		t.Error("a counting arena gave memory")
	}
	a, err := arena.New(counter.Len())
	if err != nil {
		t.Fatal(err)
	}
	one, floats, pages = take(a)
	if a.Len() != counter.Len() {
		t.Errorf("took %d bytes, counted %d", a.Len(), counter.Len())
	}
	if len(one) != 3 || cap(one) != 3 || len(floats) != 100 || cap(floats) != 100 || len(pages) != 5*os.Getpagesize() {
		t.Errorf("lengths %d, %d, %d", len(one), len(floats), len(pages))
	}
	for _, p := range []uintptr{uintptr(unsafe.Pointer(&one[0])), uintptr(unsafe.Pointer(&floats[0]))} {
		if p%64 != 0 {
			t.Errorf("a buffer begins at %#x, inside a cache line", p)
		}
	}
	if p := uintptr(unsafe.Pointer(&pages[0])); p%uintptr(os.Getpagesize()) != 0 {
		t.Errorf("pages begin at %#x", p)
	}
	for i := range floats {
		if floats[i] != 0 {
			t.Fatal("not zero")
		}
		floats[i] = 1
	}
	for range 2 {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTooMuch(t *testing.T) {
	for _, n := range []int{0, -1, math.MaxInt &^ 0xffff} {
		if a, err := arena.New(n); a != nil || !errors.Is(err, arena.ErrMemory) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	a, err := arena.New(100)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer func() {
		if recover() == nil {
			t.Error("a buffer behind the end was given")
		}
	}()
	a.Bytes(os.Getpagesize() + 1)
}

// resident is the resident anonymous memory of this process (proc(5)).
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("SKIPPED: no /proc/self/status")
	}
	_, rest, ok := bytes.Cut(status, []byte("RssAnon:"))
	if !ok {
		t.Skip("SKIPPED: no RssAnon")
	}
	n, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// Memory comes with the first write, and goes with Release, whole pages of it.
func TestRelease(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: memory is given back on Linux only")
	}
	const size = 32 << 20
	a, err := arena.New(size)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	before := resident(t)
	b := a.Pages(size)
	if got := resident(t) - before; got > size/4 {
		t.Errorf("%d bytes are resident before the first write", got)
	}
	for i := range b {
		b[i] = 1
	}
	if got := resident(t) - before; got < size*3/4 {
		t.Errorf("%d bytes are resident when all is written", got)
	}
	page := os.Getpagesize()
	if n := a.Release(b[1 : 2*page+1]); n != page {
		t.Errorf("a part that holds one whole page gave back %d bytes", n)
	}
	if b[page-1] != 1 || b[page] != 0 || b[2*page-1] != 0 || b[2*page] != 1 {
		t.Error("Release took more or less than the page")
	}
	if n := a.Release(b); n != size {
		t.Errorf("gave back %d of %d bytes", n, size)
	}
	if got := resident(t) - before; got > size/4 {
		t.Errorf("%d bytes are resident after Release", got)
	}
	if n := a.Release(nil); n != 0 {
		t.Errorf("nothing gave back %d bytes", n)
	}
}

// What was given back stays away, though a large arena asks for huge pages.
func TestReleaseOfHugePages(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is given back on Linux only")
	}
	const size = 32 << 20
	a, err := arena.New(size)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	before := resident(t)
	pages := a.Pages(size)
	for i := range pages {
		pages[i] = 1
	}
	if grown := resident(t) - before; grown < size*9/10 {
		t.Errorf("%d bytes became resident, of %d written", grown, size)
	}
	kept := 0
	for i := 0; i+(64<<10) <= size; i += 64 << 10 { // all but the first 4 KiB of each 64
		kept += 4 << 10
		a.Release(pages[i+4<<10:][:60<<10])
	}
	pages[size/2+8<<10] = 1
	if grown := resident(t) - before; grown > kept+(1<<20) {
		t.Errorf("%d bytes are resident, %d were kept", grown, kept)
	}
}
