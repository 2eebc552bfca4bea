package gguf

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
)

// Kind is the type of a metadata value, with GGUF's numbers.
type Kind uint32

// The kinds of metadata.
const (
	KindUint8   Kind = 0
	KindInt8    Kind = 1
	KindUint16  Kind = 2
	KindInt16   Kind = 3
	KindUint32  Kind = 4
	KindInt32   Kind = 5
	KindFloat32 Kind = 6
	KindBool    Kind = 7
	KindString  Kind = 8
	KindArray   Kind = 9
	KindUint64  Kind = 10
	KindInt64   Kind = 11
	KindFloat64 Kind = 12
)

var kinds = [...]struct {
	name string
	size int // bytes of one value, 0 where it varies
}{
	{"uint8", 1},
	{"int8", 1},
	{"uint16", 2},
	{"int16", 2},
	{"uint32", 4},
	{"int32", 4},
	{"float32", 4},
	{"bool", 1},
	{"string", 0},
	{"array", 0},
	{"uint64", 8},
	{"int64", 8},
	{"float64", 8},
}

func (k Kind) valid() bool { return int64(k) < int64(len(kinds)) }

func (k Kind) size() int { return kinds[k].size }

// isInt reports whether the kind is an integer of any width, signed or not.
func (k Kind) isInt() bool {
	return k <= KindInt32 || k == KindUint64 || k == KindInt64
}

func (k Kind) isFloat() bool { return k == KindFloat32 || k == KindFloat64 }

// String is the name of the kind, such as "uint32".
func (k Kind) String() string {
	if k.valid() {
		return kinds[k].name
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

func (e *entry) kindName() string {
	if e.kind == KindArray {
		return "array of " + e.elem.String()
	}
	return e.kind.String()
}

// intAt reads an integer of kind k at the start of b. ok is false for a uint64 beyond int64.
func intAt(k Kind, b []byte) (v int64, ok bool) {
	switch k {
	case KindUint8:
		return int64(b[0]), true
	case KindInt8:
		return int64(int8(b[0])), true
	case KindUint16:
		return int64(binary.LittleEndian.Uint16(b)), true
	case KindInt16:
		return int64(int16(binary.LittleEndian.Uint16(b))), true
	case KindUint32:
		return int64(binary.LittleEndian.Uint32(b)), true
	case KindInt32:
		return int64(int32(binary.LittleEndian.Uint32(b))), true
	}
	u := binary.LittleEndian.Uint64(b)
	return int64(u), k == KindInt64 || u <= math.MaxInt64
}

func floatAt(k Kind, b []byte) float64 {
	if k == KindFloat32 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// StringArray is an array of strings that lie in the file.
type StringArray struct {
	data []byte // length-prefixed strings, checked by Parse
	n    int
}

// Len is the number of strings.
func (a StringArray) Len() int { return a.n }

// All goes through index and bytes. The bytes reference the file and must not be modified; they need not be UTF-8.
func (a StringArray) All() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		rest := a.data
		for i := range a.n {
			n := 8 + int(binary.LittleEndian.Uint64(rest))
			if !yield(i, rest[8:n:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// IntArray is an array of integers of any width that lie in the file.
type IntArray struct {
	data []byte
	kind Kind
	n    int
}

// Len is the number of integers.
func (a IntArray) Len() int { return a.n }

// At is integer i; it panics if i is out of range.
func (a IntArray) At(i int) int64 {
	v, _ := intAt(a.kind, a.data[i*a.kind.size():])
	return v
}

// All goes through index and value.
func (a IntArray) All() iter.Seq2[int, int64] {
	return func(yield func(int, int64) bool) {
		for i := range a.n {
			if !yield(i, a.At(i)) {
				return
			}
		}
	}
}

// FloatArray is an array of float32 or float64 numbers that lie in the file.
type FloatArray struct {
	data []byte
	kind Kind
	n    int
}

// Len is the number of values.
func (a FloatArray) Len() int { return a.n }

// At is value i, rounded to float32; it panics if i is out of range.
func (a FloatArray) At(i int) float32 { return float32(floatAt(a.kind, a.data[i*a.kind.size():])) }

// All goes through index and value.
func (a FloatArray) All() iter.Seq2[int, float32] {
	return func(yield func(int, float32) bool) {
		for i := range a.n {
			if !yield(i, a.At(i)) {
				return
			}
		}
	}
}

// BoolArray is an array of booleans that lie in the file.
type BoolArray struct{ data []byte }

// Len is the number of values.
func (a BoolArray) Len() int { return len(a.data) }

// At is value i; it panics if i is out of range.
func (a BoolArray) At(i int) bool { return a.data[i] != 0 }

// Most that Keys shows of a value.
const (
	shownBytes    = 120
	shownElements = 6
)

// printable shows the value of e, cut to a length that fits a line or two.
func (f *File) printable(e entry) string {
	if e.kind != KindArray {
		return show(e.kind, f.data[e.off:e.end])
	}
	var parts []string
	if e.elem == KindString {
		for i, s := range (StringArray{f.data[e.off:e.end], e.count}).All() {
			if i == shownElements {
				break
			}
			parts = append(parts, show(KindString, s))
		}
	} else {
		size := e.elem.size()
		for i := range min(e.count, shownElements) {
			parts = append(parts, show(e.elem, f.data[e.off+i*size:][:size]))
		}
	}
	if e.count > shownElements {
		parts = append(parts, "…")
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// show prints one value of kind k that fills b.
func show(k Kind, b []byte) string {
	switch {
	case k == KindString && len(b) > shownBytes:
		return strconv.Quote(string(b[:shownBytes])) + "…"
	case k == KindString:
		return strconv.Quote(string(b))
	case k == KindBool:
		return strconv.FormatBool(b[0] != 0)
	case k.isFloat():
		return strconv.FormatFloat(floatAt(k, b), 'g', -1, 8*k.size())
	}
	v, ok := intAt(k, b)
	if !ok {
		return strconv.FormatUint(uint64(v), 10)
	}
	return strconv.FormatInt(v, 10)
}
