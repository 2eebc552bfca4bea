package gguf_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"siskin/model/gguf"
	"siskin/model/modeltest"
)

func parse(t *testing.T, data []byte) *gguf.File {
	t.Helper()
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// got turns "value, ok" into one comparable thing.
func got[T any](v T, ok bool) any {
	if !ok {
		return nil
	}
	return v
}

func TestGetters(t *testing.T) {
	f := parse(t, small(t))
	if f.Alignment != 64 || f.DataOffset%64 != 0 {
		t.Errorf("alignment %d, data at %d", f.Alignment, f.DataOffset)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"str", got(f.Str("general.architecture")), "llama"},
		{"empty str", got(f.Str("empty")), ""},
		{"u8", got(f.Uint("u8")), uint64(200)},
		{"i8 negative", got(f.Uint("i8")), nil},
		{"i8", got(f.Int("i8")), int64(-3)},
		{"u16", got(f.Uint("u16")), uint64(65535)},
		{"i16", got(f.Int("i16")), int64(-300)},
		{"u32", got(f.Int("u32")), int64(1 << 31)},
		{"i32", got(f.Int("i32")), int64(-70000)},
		{"u64", got(f.Uint("u64")), uint64(math.MaxUint64)},
		{"u64 as int", got(f.Int("u64")), nil},
		{"i64", got(f.Int("i64")), int64(math.MinInt64)},
		{"f32", got(f.Float("f32")), 1.5},
		{"f64", got(f.Float("f64")), 2.25},
		{"yes", got(f.Bool("yes")), true},
		{"no", got(f.Bool("no")), false},
		{"absent", got(f.Str("nope")), nil},
		{"str as int", got(f.Uint("empty")), nil},
		{"int as str", got(f.Str("u8")), nil},
		{"int as float", got(f.Float("u8")), nil},
		{"float as int", got(f.Int("f32")), nil},
		{"int as bool", got(f.Bool("u8")), nil},
		{"array as int", got(f.Uint("au8")), nil},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
	if k, ok := f.KindOf("as"); !ok || k != gguf.KindArray {
		t.Errorf("kind of as: %v %v", k, ok)
	}
	if _, ok := f.KindOf("nope"); ok {
		t.Error("kind of an absent key")
	}
}

func TestArrays(t *testing.T) {
	f := parse(t, small(t))
	for key, want := range map[string][]int64{
		"au8": {1, 2}, "ai8": {-1}, "au16": {9}, "ai16": {-9}, "au32": {7, 8}, "ai32": {-7, 8}, "au64": {1 << 40}, "ai64": {-1 << 40}, "nothing": nil,
	} {
		a, ok := f.Ints(key)
		var v []int64
		for _, x := range a.All() {
			v = append(v, x)
		}
		if !ok || !slices.Equal(v, want) || a.Len() != len(want) {
			t.Errorf("%s: %v %v, want %v", key, v, ok, want)
		}
	}
	if _, ok := f.Ints("big64"); ok {
		t.Error("an integer beyond int64 was taken")
	}
	if a, ok := f.Floats("af32"); !ok || a.Len() != 2 || a.At(0) != 0.5 || a.At(1) != -1 {
		t.Errorf("af32: %v", a)
	}
	if a, ok := f.Floats("af64"); !ok || a.Len() != 1 || a.At(0) != 0.25 {
		t.Errorf("af64: %v", a)
	}
	if a, ok := f.Bools("ab"); !ok || a.Len() != 3 || !a.At(0) || a.At(1) || !a.At(2) {
		t.Errorf("ab: %v", a)
	}
	a, ok := f.Strings("as")
	var s []string
	for i, b := range a.All() {
		if i != len(s) {
			t.Errorf("string %d has index %d", len(s), i)
		}
		s = append(s, string(b))
	}
	if !ok || !slices.Equal(s, []string{"a", "", "longer \xff"}) {
		t.Errorf("as: %q", s)
	}
	for i := range a.All() {
		if i == 1 {
			break
		}
	}
}

// TestStringsReferenceTheFile: the vocabulary is not copied.
func TestStringsReferenceTheFile(t *testing.T) {
	data := small(t)
	a, _ := parse(t, data).Strings("as")
	at := bytes.Index(data, []byte("longer \xff"))
	for i, b := range a.All() {
		if i == 2 && &b[0] != &data[at] {
			t.Error("a string of an array is a copy")
		}
	}
	n := testing.AllocsPerRun(10, func() {
		for range a.All() {
		}
	})
	if n != 0 {
		t.Errorf("%v allocations to go through an array", n)
	}
}

func TestReaderTellsWrongKindFromAbsent(t *testing.T) {
	f := parse(t, small(t))
	r := f.Reader()
	r.Str("general.architecture")
	r.Uint("nope")
	r.Ints("nope")
	if err := r.Err(); err != nil {
		t.Fatalf("right and absent keys gave %v", err)
	}
	r.Uint("f32")
	r.Uint("i8")
	r.Int("u64")
	r.Str("u8")
	r.Float("u32")
	r.Bool("as")
	r.Strings("au8")
	r.Ints("as")
	r.Ints("big64")
	r.Floats("ai32")
	r.Bools("au8")
	r.Need("general.architecture", "llama.context_length")
	err := r.Err()
	var e *gguf.Error
	if !errors.As(err, &e) || e.Offset == 0 {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{
		`"f32" is float32, not an integer`, `"i8" is -3, which is negative`, `"u64" holds 18446744073709551615, which is too large`,
		`"u8" is uint8, not string`, `"u32" is uint32, not a float`, `"as" is array of string, not bool`,
		`"au8" is array of uint8, not array of string`, `"as" is array of string, not array of integers`, `"big64" holds`,
		`"ai32" is array of int32, not array of floats`, `"au8" is array of uint8, not array of bool`, `"llama.context_length" is missing`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}

func TestIntsOrInt(t *testing.T) {
	f := parse(t, small(t))
	r := f.Reader()
	if a, ok := r.IntsOrInt("u8"); !ok || a.Len() != 1 || a.At(0) != 200 {
		t.Errorf("scalar: %v %v", a, ok)
	}
	if a, ok := r.IntsOrInt("ai32"); !ok || a.Len() != 2 || a.At(0) != -7 {
		t.Errorf("array: %v %v", a, ok)
	}
	if _, ok := r.IntsOrInt("nope"); ok || r.Err() != nil {
		t.Errorf("absent: %v", r.Err())
	}
	if _, ok := r.IntsOrInt("u64"); ok || r.Err() == nil {
		t.Error("a number beyond int64 was taken")
	}
	r = f.Reader()
	if _, ok := r.IntsOrInt("as"); ok || r.Err() == nil {
		t.Error("strings were taken")
	}
}

func TestKeysPrintable(t *testing.T) {
	long := strings.Repeat("ä", 1000)
	many := make([]int32, 1000)
	f := parse(t, write(t, []modeltest.KV{
		kv("s", "a\n\x00"), kv("long", long), kv("many", many), kv("u", uint64(math.MaxUint64)), kv("b", true), kv("f", float32(0.1)),
		kv("as", []string{long, "x"}), kv("none", []bool{}),
	}, nil))
	want := map[string]string{"s": `"a\n\x00"`, "many": "[0, 0, 0, 0, 0, 0, …]", "u": "18446744073709551615", "b": "true", "f": "0.1", "none": "[]"}
	n := 0
	for e := range f.Keys() {
		n++
		if w, ok := want[e.Key]; ok && e.Value != w {
			t.Errorf("%s: %s, want %s", e.Key, e.Value, w)
		}
		if len(e.Value) > 400 {
			t.Errorf("%s: %d bytes", e.Key, len(e.Value))
		}
	}
	if n != 8 {
		t.Errorf("%d keys", n)
	}
	for range f.Keys() {
		break
	}
}
