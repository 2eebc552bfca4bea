package gguf

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"siskin/model/quant"
)

// Least bytes that one item takes in the file, so that a count can be checked before memory is taken for it.
const (
	minEntry  = 8 + 1 + 4 + 1         // key length, key, kind, value
	minTensor = 8 + 1 + 4 + 0 + 4 + 8 // name length, name, n_dims, no dims, type, offset
)

// entry is one metadata entry; the value stays in the file.
type entry struct {
	key   string
	kind  Kind
	elem  Kind // of an array
	count int  // of an array: elements; of a string: bytes; else 1
	at    int  // of the kind, which the value follows
	off   int  // of the value: of a string its bytes, of an array its first element (or its length prefix)
	end   int
}

// cursor reads forward and keeps the first error; after it every read gives zero.
type cursor struct {
	data    []byte
	pos     int
	strings int // bytes of all strings so far
	err     error
}

func (c *cursor) failAt(off int, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{Offset: int64(off), What: fmt.Sprintf(format, args...)}
	}
}

// take returns the next n bytes, nil if they are not there.
func (c *cursor) take(n int, what string) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.data)-c.pos {
		c.failAt(c.pos, "file ends inside %s (%d bytes wanted, %d left): download it again", what, n, len(c.data)-c.pos)
		return nil
	}
	b := c.data[c.pos:][:n:n]
	c.pos += n
	return b
}

func (c *cursor) u32(what string) uint32 {
	if b := c.take(4, what); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64(what string) uint64 {
	if b := c.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// str reads a length-prefixed string of at most limit bytes.
func (c *cursor) str(what string, limit int) []byte {
	start := c.pos
	head := c.take(8, what)
	if head == nil {
		return nil
	}
	n := binary.LittleEndian.Uint64(head)
	if n > uint64(len(c.data)-c.pos) {
		c.failAt(start, "%s claims %d bytes, %d are left", what, n, len(c.data)-c.pos)
		return nil
	}
	if n > uint64(limit) {
		c.failAt(start, "%s has %d bytes, at most %d are accepted", what, n, limit)
		return nil
	}
	if c.strings += int(n); c.strings > MaxStringBytes {
		c.failAt(start, "strings take more than %d bytes in all", MaxStringBytes)
		return nil
	}
	return c.take(int(n), what)
}

// header reads magic, version and counts. The counts are within their limits and not more than the file can hold.
func (f *File) header(c *cursor) (nTensors, nKeys int) {
	if len(c.data) < 4 || string(c.data[:4]) != "GGUF" {
		c.failAt(0, "not a GGUF file%s", guessFormat(c.data))
		return
	}
	c.pos = 4
	f.Version = c.u32("the version")
	switch v := f.Version; {
	case c.err != nil:
		return
	case v != 0 && v&0xffff == 0:
		c.failAt(4, "version %#08x is of a big-endian file: get the little-endian one", v)
	case v < 2:
		c.failAt(4, "version %d is obsolete: convert the model again (versions 2 and 3 are read)", v)
	case v > 3:
		c.failAt(4, "version %d is not known (versions 2 and 3 are read)", v)
	}
	nTensors = c.count("tensors", MaxTensors, minTensor)
	nKeys = c.count("metadata entries", MaxKeys, minEntry)
	return nTensors, nKeys
}

// guessFormat names what people mistake for a model.
func guessFormat(data []byte) string {
	head := data[:min(len(data), 512)]
	switch {
	case len(head) < 4:
		return fmt.Sprintf(": only %d bytes long", len(data))
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return " but a Git LFS pointer to one: download the real file"
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		return " but a web page: check the address it was downloaded from"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return " but a ZIP archive"
	case bytes.HasPrefix(head, []byte("lmgg")), bytes.HasPrefix(head, []byte("tjgg")), bytes.HasPrefix(head, []byte("fmgg")):
		return " but its predecessor GGML: convert the model again"
	case bytes.HasPrefix(head[min(8, len(head)):], []byte(`{"`)):
		return " but perhaps safetensors: it has to be converted"
	case string(head[:4]) == "\x00\x00\x00\x00":
		return " but zeros: the download did not finish"
	}
	return ""
}

// count reads a signed 64-bit count and refuses one beyond limit or beyond what is left of the file.
func (c *cursor) count(what string, limit, minBytes int) int {
	start := c.pos
	n := c.u64("the number of " + what)
	switch {
	case c.err != nil:
		return 0
	case n > uint64(limit):
		c.failAt(start, "%d %s: at most %d are accepted", int64(n), what, limit)
		return 0
	case n > uint64(len(c.data)/minBytes):
		c.failAt(start, "%d %s cannot be in %d bytes", n, what, len(c.data))
		return 0
	}
	return int(n)
}

// metadata reads n entries, remembering where the values are.
func (f *File) metadata(c *cursor, n int) {
	f.entries = make([]entry, 0, n)
	f.keyIndex = make(map[string]int, n)
	for i := range n {
		start := c.pos
		e := entry{key: string(c.str(fmt.Sprintf("metadata key %d", i), MaxKeyLen))}
		if c.err == nil && e.key == "" {
			c.failAt(start, "metadata key %d is empty", i)
		}
		at := c.pos
		e.at = at
		e.kind = Kind(c.u32("the kind of " + quoted(e.key)))
		if c.err != nil {
			return
		}
		if _, dup := f.keyIndex[e.key]; dup {
			c.failAt(start, "metadata key %s is there twice", quoted(e.key))
			return
		}
		if !e.kind.valid() {
			c.failAt(at, "%s has the unknown kind %d", quoted(e.key), uint32(e.kind))
			return
		}
		e.value(c)
		if c.err != nil {
			return
		}
		f.keyIndex[e.key] = len(f.entries)
		f.entries = append(f.entries, e)
	}
}

// value passes over the value of e and fills in where it is.
func (e *entry) value(c *cursor) {
	e.off, e.count = c.pos, 1
	switch e.kind {
	case KindString:
		s := c.str("the value of "+quoted(e.key), MaxStringBytes)
		e.off, e.count = c.pos-len(s), len(s)
	case KindArray:
		e.array(c)
	default:
		b := c.take(e.kind.size(), "the value of "+quoted(e.key))
		e.checkBools(c, b)
	}
	e.end = c.pos
}

// array passes over an array.
func (e *entry) array(c *cursor) {
	at := c.pos
	e.elem = Kind(c.u32("the element kind of " + quoted(e.key)))
	n := c.u64("the length of " + quoted(e.key))
	if c.err != nil {
		return
	}
	if e.elem == KindArray {
		c.failAt(at, "%s is an array of arrays, which is not accepted", quoted(e.key))
		return
	}
	if !e.elem.valid() {
		c.failAt(at, "%s has the unknown element kind %d", quoted(e.key), uint32(e.elem))
		return
	}
	size := e.elem.size()
	if e.elem == KindString {
		size = 8 // the length of each
	}
	if left := len(c.data) - c.pos; n > uint64(left/size) {
		c.failAt(at, "%s claims %d elements of %s, %d bytes are left", quoted(e.key), n, e.elem, left)
		return
	}
	e.off, e.count = c.pos, int(n)
	if e.elem != KindString {
		e.checkBools(c, c.take(e.count*size, "the array "+quoted(e.key)))
		return
	}
	what := "an element of " + quoted(e.key)
	for range e.count {
		c.str(what, MaxStringBytes)
		if c.err != nil {
			return
		}
	}
}

// checkBools refuses booleans other than 0 and 1 in the value bytes b of e.
func (e *entry) checkBools(c *cursor, b []byte) {
	if e.kind != KindBool && e.elem != KindBool {
		return
	}
	for i, v := range b {
		if v > 1 {
			c.failAt(e.off+i, "%s has the boolean %d, which is neither 0 nor 1", quoted(e.key), v)
			return
		}
	}
}

// alignment takes general.alignment into account.
func (f *File) alignment(c *cursor) {
	i, ok := f.keyIndex["general.alignment"]
	if !ok {
		return
	}
	e := f.entries[i]
	if e.kind != KindUint32 {
		c.failAt(e.off, "general.alignment is %s, not uint32", e.kindName())
		return
	}
	a := binary.LittleEndian.Uint32(c.data[e.off:])
	if a == 0 || a > MaxAlignment || a&(a-1) != 0 {
		c.failAt(e.off, "general.alignment is %d, not a power of two up to %d", a, MaxAlignment)
		return
	}
	f.Alignment = int(a)
}

// directory reads n tensor descriptions and slices their data.
func (f *File) directory(c *cursor, n int) {
	f.tensors = make([]Tensor, 0, n)
	f.tenIndex = make(map[string]int, n)
	for i := range n {
		start := c.pos
		t := Tensor{Name: string(c.str(fmt.Sprintf("the name of tensor %d", i), MaxNameLen))}
		if c.err == nil && t.Name == "" {
			c.failAt(start, "the name of tensor %d is empty", i)
		}
		if _, dup := f.tenIndex[t.Name]; dup {
			c.failAt(start, "tensor %s is there twice", quoted(t.Name))
		}
		t.shape(c)
		if c.err != nil {
			return
		}
		f.tenIndex[t.Name] = len(f.tensors)
		f.tensors = append(f.tensors, t)
	}
	pad := uint64(f.Alignment) - 1
	base := (uint64(c.pos) + pad) &^ pad
	f.DataOffset = int64(base)
	for i := range f.tensors {
		f.tensors[i].locate(c, base, uint64(f.Alignment))
		if c.err != nil {
			return
		}
	}
}

// shape reads dimensions, type and relative offset of t; the latter goes to t.Offset for now.
func (t *Tensor) shape(c *cursor) {
	start := c.pos
	nDims := c.u32("the number of dimensions of " + quoted(t.Name))
	if c.err == nil && nDims > MaxDims {
		c.failAt(start, "tensor %s has %d dimensions, at most %d are accepted", quoted(t.Name), nDims, MaxDims)
	}
	if c.err != nil {
		return
	}
	t.Dims = make([]int, 0, max(nDims, 1))
	elements := uint64(1)
	for range nDims {
		at := c.pos
		d := c.u64("a dimension of " + quoted(t.Name))
		if c.err != nil {
			return
		}
		if d == 0 || d > math.MaxInt64 {
			c.failAt(at, "tensor %s has the dimension %d", quoted(t.Name), int64(d))
			return
		}
		if d > math.MaxInt/elements {
			c.failAt(at, "tensor %s has more values than can be counted", quoted(t.Name))
			return
		}
		elements *= d
		t.Dims = append(t.Dims, int(d))
	}
	if nDims == 0 {
		t.Dims = append(t.Dims, 1) // a single value
	}
	at := c.pos
	t.Type = quant.Type(c.u32("the type of " + quoted(t.Name)))
	if c.err == nil && !t.Type.Known() {
		c.failAt(at, "tensor %s has the unknown type %d", quoted(t.Name), uint32(t.Type))
	}
	at = c.pos
	off := c.u64("the offset of " + quoted(t.Name))
	if c.err == nil && off > math.MaxInt64 {
		c.failAt(at, "tensor %s is at the offset %d", quoted(t.Name), off)
	}
	t.Offset = int64(off)
}

// locate checks the range of t against the file and slices it. base and align are those of the data section.
func (t *Tensor) locate(c *cursor, base, align uint64) {
	if uint64(t.Offset)%align != 0 {
		c.failAt(int(base), "tensor %s at data offset %d is not aligned to %d bytes", quoted(t.Name), t.Offset, align)
		return
	}
	rowBytes, err := t.Type.RowBytes(t.Dims[0])
	if err != nil {
		c.failAt(int(base), "tensor %s: %v", quoted(t.Name), err)
		return
	}
	size, have := uint64(len(c.data)), uint64(t.Rows())
	// Subtractions and a division only, so that nothing can wrap.
	if base > size || uint64(t.Offset) > size-base || have > (size-base-uint64(t.Offset))/uint64(rowBytes) {
		c.failAt(int(min(base, size)), "tensor %s, %d rows of %d bytes at data offset %d, reaches beyond the end of the file: download it again",
			quoted(t.Name), have, rowBytes, t.Offset)
		return
	}
	start := int(base) + int(t.Offset)
	end := start + int(have)*rowBytes
	t.Offset = int64(start)
	t.Data = c.data[start:end:end]
}

// noOverlap refuses tensors that share bytes.
func (f *File) noOverlap(c *cursor) {
	order := make([]int, len(f.tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(f.tensors[a].Offset, f.tensors[b].Offset) })
	for i := 1; i < len(order); i++ {
		a, b := &f.tensors[order[i-1]], &f.tensors[order[i]]
		if a.Offset+int64(len(a.Data)) > b.Offset {
			c.failAt(int(b.Offset), "tensors %s and %s overlap", quoted(a.Name), quoted(b.Name))
			return
		}
	}
}

// quoted shows a name from the file in an error: escaped and short.
func quoted(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%.80q…", s)
	}
	return fmt.Sprintf("%q", s)
}
