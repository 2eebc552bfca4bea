package gguf_test

import (
	"fmt"

	"siskin/model/gguf"
)

// checkInside verifies what Parse promises of a file it accepts: tensor data lies where Offset says, has the size that type
// and shape give, is inside the input, aligned, and apart; every value can be read.
func checkInside(f *gguf.File, data []byte) error {
	for _, t := range f.Tensors() {
		row, err := t.Type.RowBytes(t.Cols())
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if len(t.Data) != row*t.Rows() || len(t.Data) == 0 || cap(t.Data) != len(t.Data) {
			return fmt.Errorf("%s: %d bytes (capacity %d) for %d rows of %d", t.Name, len(t.Data), cap(t.Data), t.Rows(), row)
		}
		if t.Offset < f.DataOffset || t.Offset > int64(len(data)-len(t.Data)) || &data[t.Offset] != &t.Data[0] {
			return fmt.Errorf("%s: data is not at offset %d", t.Name, t.Offset)
		}
		if t.Offset%int64(f.Alignment) != 0 {
			return fmt.Errorf("%s: offset %d, alignment %d", t.Name, t.Offset, f.Alignment)
		}
		if got, ok := f.Tensor(t.Name); !ok || got.Offset != t.Offset {
			return fmt.Errorf("%s: not found by name", t.Name)
		}
	}
	for _, a := range f.Tensors() {
		if len(f.Tensors()) > 500 {
			break // quadratic
		}
		for _, b := range f.Tensors() {
			if a.Name != b.Name && a.Offset < b.Offset+int64(len(b.Data)) && b.Offset < a.Offset+int64(len(a.Data)) {
				return fmt.Errorf("%s and %s overlap", a.Name, b.Name)
			}
		}
	}
	for e := range f.Keys() {
		if len(e.Value) > 6000 {
			return fmt.Errorf("%s: printed as %d bytes", e.Key, len(e.Value))
		}
		if err := readAll(f, e); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads a value through the getter of its kind, and checks that no other getter takes it.
func readAll(f *gguf.File, e gguf.Entry) error {
	n := 0
	if _, ok := f.Str(e.Key); ok {
		n++
	}
	_, isInt := f.Int(e.Key)
	_, isUint := f.Uint(e.Key)
	if isInt || isUint {
		n++
	}
	if _, ok := f.Float(e.Key); ok {
		n++
	}
	if _, ok := f.Bool(e.Key); ok {
		n++
	}
	if a, ok := f.Strings(e.Key); ok {
		n++
		count := 0
		for range a.All() {
			count++
		}
		if count != a.Len() || count != e.Len {
			return fmt.Errorf("%s: %d strings, Len %d, entry %d", e.Key, count, a.Len(), e.Len)
		}
	}
	if a, ok := f.Ints(e.Key); ok {
		n++
		for i, v := range a.All() {
			if a.At(i) != v {
				return fmt.Errorf("%s: element %d", e.Key, i)
			}
		}
	}
	if a, ok := f.Floats(e.Key); ok {
		n++
		for i := range a.Len() {
			a.At(i)
		}
	}
	if a, ok := f.Bools(e.Key); ok {
		n++
		for i := range a.Len() {
			a.At(i)
		}
	}
	tooLarge := e.Kind == gguf.KindArray && e.Elem == gguf.KindUint64
	if n != 1 && !tooLarge {
		return fmt.Errorf("%s (%s): taken by %d getters", e.Key, e.Kind, n)
	}
	return nil
}
