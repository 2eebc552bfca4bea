package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The getters of File answer "there, and of this kind". A key of another kind reads like an absent one there; who must tell
// the two apart, as everyone must who builds a model from the values, uses a Reader, which remembers every such fault.

// Str is the value of a string key.
func (f *File) Str(key string) (string, bool) { v, ok, _ := f.str(key); return v, ok }

// Uint is the value of a key of any integer kind, if it is not negative.
func (f *File) Uint(key string) (uint64, bool) { v, ok, _ := f.uint(key); return v, ok }

// Int is the value of a key of any integer kind, if it fits an int64.
func (f *File) Int(key string) (int64, bool) { v, ok, _ := f.int(key); return v, ok }

// Float is the value of a float32 or float64 key. It may be NaN or infinite.
func (f *File) Float(key string) (float64, bool) { v, ok, _ := f.float(key); return v, ok }

// Bool is the value of a boolean key.
func (f *File) Bool(key string) (bool, bool) { v, ok, _ := f.bool(key); return v, ok }

// Strings is an array of strings.
func (f *File) Strings(key string) (StringArray, bool) { v, ok, _ := f.stringArray(key); return v, ok }

// Ints is an array of any integer kind whose values all fit an int64.
func (f *File) Ints(key string) (IntArray, bool) { v, ok, _ := f.intArray(key); return v, ok }

// Floats is an array of float32 or float64.
func (f *File) Floats(key string) (FloatArray, bool) { v, ok, _ := f.floatArray(key); return v, ok }

// Bools is an array of booleans.
func (f *File) Bools(key string) (BoolArray, bool) { v, ok, _ := f.boolArray(key); return v, ok }

// Reader has the getters of File and remembers each key that was asked for and is there with another kind or an impossible
// value. Read everything, then look at Err once. Not safe for concurrent use.
type Reader struct {
	f    *File
	errs []error
}

// Reader starts a Reader.
func (f *File) Reader() *Reader { return &Reader{f: f} }

// File is the file that r reads: for a key that may be of several kinds.
func (r *Reader) File() *File { return r.f }

// Err is all faults so far, joined; each is an *Error. Nil if there is none.
func (r *Reader) Err() error { return errors.Join(r.errs...) }

// note passes on what a getter found and keeps its error.
func note[T any](r *Reader, v T, ok bool, err error) (T, bool) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
	return v, ok
}

// Need records a fault for each of the keys that is not there.
func (r *Reader) Need(keys ...string) {
	for _, k := range keys {
		if _, ok := r.f.keyIndex[k]; !ok {
			r.errs = append(r.errs, &Error{What: fmt.Sprintf("metadata key %s is missing", quoted(k))})
		}
	}
}

// Str is like File.Str.
func (r *Reader) Str(key string) (string, bool) {
	v, ok, err := r.f.str(key)
	return note(r, v, ok, err)
}

// Uint is like File.Uint.
func (r *Reader) Uint(key string) (uint64, bool) {
	v, ok, err := r.f.uint(key)
	return note(r, v, ok, err)
}

// Int is like File.Int.
func (r *Reader) Int(key string) (int64, bool) {
	v, ok, err := r.f.int(key)
	return note(r, v, ok, err)
}

// Float is like File.Float.
func (r *Reader) Float(key string) (float64, bool) {
	v, ok, err := r.f.float(key)
	return note(r, v, ok, err)
}

// Bool is like File.Bool.
func (r *Reader) Bool(key string) (bool, bool) {
	v, ok, err := r.f.bool(key)
	return note(r, v, ok, err)
}

// Strings is like File.Strings.
func (r *Reader) Strings(key string) (StringArray, bool) {
	v, ok, err := r.f.stringArray(key)
	return note(r, v, ok, err)
}

// Ints is like File.Ints.
func (r *Reader) Ints(key string) (IntArray, bool) {
	v, ok, err := r.f.intArray(key)
	return note(r, v, ok, err)
}

// Floats is like File.Floats.
func (r *Reader) Floats(key string) (FloatArray, bool) {
	v, ok, err := r.f.floatArray(key)
	return note(r, v, ok, err)
}

// Bools is like File.Bools.
func (r *Reader) Bools(key string) (BoolArray, bool) {
	v, ok, err := r.f.boolArray(key)
	return note(r, v, ok, err)
}

// IntsOrInt reads a key that is either one integer for all layers or an array with one for each, such as head_count_kv.
// A single one becomes an array of length 1. Len tells them apart, unless there is but one layer, where it does not matter.
func (r *Reader) IntsOrInt(key string) (IntArray, bool) {
	if e, ok := r.f.find(key); ok && e.kind.isInt() {
		a, err := r.f.ints(e, e.kind)
		return note(r, a, err == nil, err)
	}
	return r.Ints(key)
}

func (f *File) find(key string) (*entry, bool) {
	i, ok := f.keyIndex[key]
	if !ok {
		return nil, false
	}
	return &f.entries[i], true
}

func (f *File) bytes(e *entry) []byte { return f.data[e.off:e.end:e.end] }

func wrongKind(e *entry, want string) error {
	return &Error{Offset: int64(e.off), What: fmt.Sprintf("metadata key %s is %s, not %s", quoted(e.key), e.kindName(), want)}
}

func (f *File) str(key string) (string, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return "", false, nil
	case e.kind != KindString:
		return "", false, wrongKind(e, "string")
	}
	return string(f.bytes(e)), true, nil
}

func (f *File) uint(key string) (uint64, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return 0, false, nil
	case !e.kind.isInt():
		return 0, false, wrongKind(e, "an integer")
	case e.kind == KindUint64:
		return binary.LittleEndian.Uint64(f.bytes(e)), true, nil
	}
	v, _ := intAt(e.kind, f.bytes(e))
	if v < 0 {
		return 0, false, &Error{Offset: int64(e.off), What: fmt.Sprintf("metadata key %s is %d, which is negative", quoted(key), v)}
	}
	return uint64(v), true, nil
}

func (f *File) int(key string) (int64, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return 0, false, nil
	case !e.kind.isInt():
		return 0, false, wrongKind(e, "an integer")
	}
	a, err := f.ints(e, e.kind)
	if err != nil {
		return 0, false, err
	}
	return a.At(0), true, nil
}

func (f *File) float(key string) (float64, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return 0, false, nil
	case !e.kind.isFloat():
		return 0, false, wrongKind(e, "a float")
	}
	return floatAt(e.kind, f.bytes(e)), true, nil
}

func (f *File) bool(key string) (bool, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return false, false, nil
	case e.kind != KindBool:
		return false, false, wrongKind(e, "bool")
	}
	return f.bytes(e)[0] != 0, true, nil
}

func (f *File) stringArray(key string) (StringArray, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return StringArray{}, false, nil
	case e.kind != KindArray || e.elem != KindString:
		return StringArray{}, false, wrongKind(e, "array of string")
	}
	return StringArray{f.bytes(e), e.count}, true, nil
}

func (f *File) intArray(key string) (IntArray, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return IntArray{}, false, nil
	case e.kind != KindArray || !e.elem.isInt():
		return IntArray{}, false, wrongKind(e, "array of integers")
	}
	a, err := f.ints(e, e.elem)
	return a, err == nil, err
}

// ints views the integers of kind k in the value of e; it refuses one that does not fit an int64.
func (f *File) ints(e *entry, k Kind) (IntArray, error) {
	a := IntArray{f.bytes(e), k, e.count}
	if k != KindUint64 {
		return a, nil
	}
	for i := range a.n {
		if v, ok := intAt(k, a.data[8*i:]); !ok {
			return IntArray{}, &Error{Offset: int64(e.off + 8*i), What: fmt.Sprintf("metadata key %s holds %d, which is too large", quoted(e.key), uint64(v))}
		}
	}
	return a, nil
}

func (f *File) floatArray(key string) (FloatArray, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return FloatArray{}, false, nil
	case e.kind != KindArray || !e.elem.isFloat():
		return FloatArray{}, false, wrongKind(e, "array of floats")
	}
	return FloatArray{f.bytes(e), e.elem, e.count}, true, nil
}

func (f *File) boolArray(key string) (BoolArray, bool, error) {
	e, ok := f.find(key)
	switch {
	case !ok:
		return BoolArray{}, false, nil
	case e.kind != KindArray || e.elem != KindBool:
		return BoolArray{}, false, wrongKind(e, "array of bool")
	}
	return BoolArray{f.bytes(e)}, true, nil
}
