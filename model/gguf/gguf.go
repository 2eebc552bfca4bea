package gguf

import (
	"fmt"
	"iter"

	"siskin/model/quant"
)

// Limits of what is accepted; larger numbers are refused as damage.
const (
	MaxKeys        = 4096     // metadata entries; real files have up to about 100
	MaxTensors     = 65536    // real files of the models in reach have up to about 2000
	MaxStringBytes = 64 << 20 // all strings of a file together; the largest vocabularies need about 15 MB
	MaxKeyLen      = 65535    // bytes, from the specification
	MaxNameLen     = 63       // bytes of a tensor name, from ggml
	MaxDims        = 4        // dimensions of a tensor, from ggml
	MaxAlignment   = 1 << 20  // bytes; files use 32, rarely 4096

	defaultAlignment = 32
)

// Error says what is wrong with a file and at which byte.
type Error struct {
	Offset int64  // position in the file of the item that is at fault
	What   string // what is wrong there, with the name of the key or tensor
}

// Error is the text for a person.
func (e *Error) Error() string {
	return fmt.Sprintf("model file is damaged or unsupported: at byte %d: %s", e.Offset, e.What)
}

// File is a parsed container. It is read-only and safe for concurrent use.
type File struct {
	Version    uint32 // 2 or 3
	Alignment  int    // bytes; a power of two
	DataOffset int64  // where tensor data starts, in bytes from the start of the file

	data     []byte
	entries  []entry
	keyIndex map[string]int
	tensors  []Tensor
	tenIndex map[string]int
}

// Tensor is one entry of the directory, with its checked data.
type Tensor struct {
	Name   string
	Type   quant.Type // always Known
	Dims   []int      // ne[0], the length of a row, first; 1 to 4 of them, all >= 1; the product fits an int
	Offset int64      // of Data in the file, in bytes
	Data   []byte     // tight rows; references the bytes given to Parse
}

// Elements is the number of values.
func (t Tensor) Elements() int {
	n := 1
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Cols is the length of a row, ne[0].
func (t Tensor) Cols() int { return t.Dims[0] }

// Rows is the number of rows, the product of all dimensions but the first.
func (t Tensor) Rows() int { return t.Elements() / t.Dims[0] }

// Tensors is the directory in file order. The slice must not be modified.
func (f *File) Tensors() []Tensor { return f.tensors }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.tenIndex[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Parse reads the container in data, which must be the whole file. Every failure is an *Error.
func Parse(data []byte) (*File, error) {
	c := &cursor{data: data}
	f := &File{data: data, Alignment: defaultAlignment}
	nTensors, nKeys := f.header(c)
	if c.err == nil {
		f.metadata(c, nKeys)
	}
	if c.err == nil {
		f.alignment(c)
	}
	if c.err == nil {
		f.directory(c, nTensors)
	}
	if c.err == nil {
		f.noOverlap(c)
	}
	if c.err != nil {
		return nil, c.err
	}
	return f, nil
}

// Entry describes one metadata entry for people.
type Entry struct {
	Key   string
	Kind  Kind
	Elem  Kind   // of an array: the kind of its elements
	Len   int    // of an array: elements; of a string: bytes; else 1
	Value string // printable and short: long strings and arrays are cut and end in "…"
}

// Keys goes through the metadata in file order.
func (f *File) Keys() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range f.entries {
			if !yield(Entry{Key: e.key, Kind: e.kind, Elem: e.elem, Len: e.count, Value: f.printable(e)}) {
				return
			}
		}
	}
}

// Raw goes through the metadata in file order: each key, and its kind and value as the bytes of the file, which must not be
// modified. Whoever writes another file carries them over so.
func (f *File) Raw() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, e := range f.entries {
			if !yield(e.key, f.data[e.at:e.end:e.end]) {
				return
			}
		}
	}
}

// KindOf tells the kind of a key, and whether it is there.
func (f *File) KindOf(key string) (Kind, bool) {
	i, ok := f.keyIndex[key]
	if !ok {
		return 0, false
	}
	return f.entries[i].kind, true
}
