// Package arena hands out memory that lies outside the Go heap: one anonymous mapping, cut into buffers from front to back.
//
// Buffers of a fixed size that live as long as their owner gain nothing from the garbage collector, but they double what it
// lets the heap grow to, and its limit (GOMEMLIMIT) counts them. In a mapping they are exactly as large as planned, come from
// the system page by page as they are first written, and can go back the same way (Release). The package does no locking: an
// arena belongs to its owner.
package arena

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// hugeFrom is the size from which an arena asks for huge pages. Attention at depth 2,048 walks over tens of megabytes in every
// token, and without them it waits for translations of addresses: 6.0 ms a token became 5.2 with keys and values in 16 bits, 4.9
// became 4.7 in 8 (2-core AMD EPYC, Zen 4, default model). Below it the last page, which is taken whole, would weigh too much.
const hugeFrom = 8 << 20

// align is where buffers begin: at a cache line, because a vector of 64 bytes that straddles two costs two loads.
const align = 64

// ErrMemory is wrapped when the system does not give the address space.
var ErrMemory = errors.New("no memory")

// Arena is a mapping and how much of it is handed out. The zero value has none: it only counts, and all its buffers are
// empty. So the same code says how much it needs, and takes it.
type Arena struct {
	data   []byte // nil while counting
	used   int
	huge   bool // huge pages are asked for
	closed bool
}

// New maps an arena of n bytes, all zero. It takes address space only; memory comes with the first write to each page. Where
// the system has huge pages for those who ask (transparent_hugepage is madvise or always) a large arena gets them: memory then
// comes in pieces of 2 MB, until the first Release.
// Errors: ErrMemory.
func New(n int) (*Arena, error) {
	if n <= 0 {
		return nil, fmt.Errorf("arena of %d bytes: %w", n, ErrMemory)
	}
	data, err := mapMemory(roundUp(n, os.Getpagesize()))
	if err != nil {
		return nil, fmt.Errorf("arena of %d bytes: %w: %w", n, ErrMemory, err)
	}
	a := &Arena{data: data, huge: n >= hugeFrom}
	if a.huge {
		hugePages(data, true)
	}
	return a, nil
}

// Len is the number of bytes handed out or counted so far, the gaps before buffers included.
func (a *Arena) Len() int { return a.used }

// Bytes returns n zeros that begin a cache line; an empty buffer while counting. It panics if the arena is too small: its
// owner has counted wrong.
func (a *Arena) Bytes(n int) []byte { return a.cut(n, align) }

// Pages returns n zeros that begin a page of memory, so that Release can give back whole ones.
func (a *Arena) Pages(n int) []byte { return a.cut(n, os.Getpagesize()) }

// Floats is Bytes for n float32 values.
func (a *Arena) Floats(n int) []float32 {
	b := a.Bytes(4 * n)
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

func (a *Arena) cut(n, align int) []byte {
	start := roundUp(a.used, align)
	a.used = start + n
	if a.data == nil {
		if a.closed {
			panic("arena: use after Close")
		}
		return nil
	}
	if a.used > len(a.data) {
		panic(fmt.Sprintf("arena: %d bytes are asked for behind %d of %d", n, start, len(a.data)))
	}
	return a.data[start:a.used:a.used]
}

// Release gives the memory of a buffer, or of a part of one, back to the system, as far as it is whole pages: it reads as
// zeros and is taken again by the next write. It reports the bytes given back.
func (a *Arena) Release(b []byte) int {
	if len(b) == 0 || a.data == nil {
		return 0
	}
	base := uintptr(unsafe.Pointer(unsafe.SliceData(a.data)))
	from := int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) - base)
	if from < 0 || from+len(b) > len(a.data) {
		panic("arena: release of memory that is not of this arena")
	}
	if a.huge { // else the system would fill the gaps again when it collects huge pages (khugepaged)
		a.huge = false
		hugePages(a.data, false)
	}
	page := os.Getpagesize()
	start, end := roundUp(from, page), (from+len(b))/page*page
	if start >= end || dropMemory(a.data[start:end]) != nil {
		return 0 // nothing is lost but memory
	}
	return end - start
}

// Close unmaps the arena; touching a buffer of it afterwards is a fault. It may be called again.
func (a *Arena) Close() error {
	if a == nil || a.data == nil {
		return nil
	}
	data := a.data
	a.data, a.closed = nil, true
	return unmapMemory(data)
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
