package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"siskin/model/gguf"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// le joins values: integers little-endian with their own width, strings length-prefixed, bytes as they are.
func le(t testing.TB, vals ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, v := range vals {
		if s, ok := v.(string); ok {
			v = append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...)
		}
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatalf("%T: %v", v, err)
		}
	}
	return b.Bytes()
}

// u32 and friends keep the tables short.
type (
	u8  = uint8
	u32 = uint32
	u64 = uint64
)

var magic = []byte("GGUF")

// small is a valid file with every kind of value and three tensors.
func small(t testing.TB) []byte {
	t.Helper()
	kvs := []modeltest.KV{
		kv("general.architecture", "llama"), kv("general.alignment", u32(64)),
		kv("u8", u8(200)), kv("i8", int8(-3)), kv("u16", uint16(65535)), kv("i16", int16(-300)), kv("u32", u32(1<<31)), kv("i32", int32(-70000)),
		kv("u64", u64(math.MaxUint64)), kv("i64", int64(math.MinInt64)), kv("f32", float32(1.5)), kv("f64", 2.25), kv("yes", true), kv("no", false),
		kv("empty", ""), kv("au8", []u8{1, 2}), kv("ai8", []int8{-1}), kv("au16", []uint16{9}), kv("ai16", []int16{-9}), kv("au32", []u32{7, 8}),
		kv("ai32", []int32{-7, 8}), kv("au64", []u64{1 << 40}), kv("big64", []u64{1, math.MaxUint64}), kv("ai64", []int64{-1 << 40}),
		kv("af32", []float32{0.5, -1}), kv("af64", []float64{0.25}), kv("ab", []bool{true, false, true}),
		kv("as", []string{"a", "", "longer \xff"}), kv("none", []string{}), kv("nothing", []int32{}),
	}
	x := make([]float32, 64*3)
	for i := range x {
		x[i] = float32(i)
	}
	return write(t, kvs, []modeltest.TensorData{
		{Name: "q", Type: quant.Q4_1, Dims: []int{64, 3}, Data: modeltest.Encode(quant.Q4_1, x)},
		{Name: "f", Type: quant.F32, Dims: []int{3}, Data: modeltest.Encode(quant.F32, x[:3])},
		{Name: "h", Type: quant.F16, Dims: []int{2, 1, 2, 1}, Data: modeltest.Encode(quant.F16, x[:4])},
	})
}

// kv is one metadata entry.
func kv(key string, value any) modeltest.KV { return modeltest.KV{Key: key, Value: value} }

func write(t testing.TB, kvs []modeltest.KV, tensors []modeltest.TensorData) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := modeltest.WriteGGUF(&b, kvs, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// refuse parses data, which must fail with an *Error that contains want, at an offset inside the file or just behind it.
func refuse(t *testing.T, data []byte, want string) {
	t.Helper()
	f, err := gguf.Parse(data)
	var e *gguf.Error
	if f != nil || !errors.As(err, &e) {
		t.Fatalf("accepted or untyped error: %v", err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
	if e.Offset < 0 || e.Offset > int64(len(data)) {
		t.Errorf("error %q: offset %d in a file of %d bytes", err, e.Offset, len(data))
	}
	if len(err.Error()) > 500 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestCutAtEveryByte(t *testing.T) {
	data := small(t)
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	last := f.Tensors()[2]
	end := int(last.Offset) + len(last.Data)
	for n := range end {
		if _, err := gguf.Parse(data[:n:n]); err == nil {
			t.Fatalf("accepted the first %d of %d bytes", n, end)
		}
	}
	if _, err := gguf.Parse(data[:end:end]); err != nil {
		t.Errorf("padding behind the last tensor is not needed, yet: %v", err)
	}
}

// TestFlipEveryByte: whatever one byte says, the file is refused or still keeps every promise.
func TestFlipEveryByte(t *testing.T) {
	data := small(t)
	for i := range data {
		for _, v := range []byte{0, 0x7f, 0xff, data[i] + 1, data[i] ^ 0x40} {
			mut := bytes.Clone(data)
			mut[i] = v
			if f, err := gguf.Parse(mut); err == nil {
				if err := checkInside(f, mut); err != nil {
					t.Fatalf("byte %d set to %#02x: %v", i, v, err)
				}
			}
		}
	}
}

func TestHeader(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "only 0 bytes"},
		{"three bytes", magic[:3], "only 3 bytes"},
		{"magic only", magic, "file ends inside the version"},
		{"other magic", []byte("GGUX\x03\x00\x00\x00"), "not a GGUF file"},
		{"zeros", make([]byte, 4096), "did not finish"},
		{"LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "Git LFS pointer"},
		{"web page", []byte("\n<!DOCTYPE html><html>"), "web page"},
		{"zip", []byte("PK\x03\x04xxxxxxx"), "ZIP"},
		{"safetensors", []byte("\x40\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\":{}}"), "safetensors"},
		{"GGML", []byte("tjggxxxxx"), "predecessor"},
		{"version 0", le(t, magic, u32(0), u64(0), u64(0)), "version 0 is obsolete"},
		{"version 1", le(t, magic, u32(1), u64(0), u64(0)), "version 1 is obsolete"},
		{"version 4", le(t, magic, u32(4), u64(0), u64(0)), "version 4 is not known"},
		{"big endian", le(t, magic, u32(3<<24), u64(0), u64(0)), "big-endian"},
		{"no counts", le(t, magic, u32(3)), "the number of tensors"},
		{"no key count", le(t, magic, u32(3), u64(0)), "the number of metadata entries"},
		{"negative tensors", le(t, magic, u32(3), int64(-1), u64(0)), "-1 tensors"},
		{"negative keys", le(t, magic, u32(3), u64(0), int64(math.MinInt64)), "-9223372036854775808 metadata entries"},
		{"tensors 2^40", le(t, magic, u32(3), u64(1<<40), u64(0)), "at most 65536"},
		{"tensors 65537", le(t, magic, u32(3), u64(65537), u64(0)), "at most 65536"},
		{"keys 4097", le(t, magic, u32(3), u64(0), u64(4097)), "at most 4096"},
		{"tensors beyond file", le(t, magic, u32(3), u64(65536), u64(0)), "cannot be in 24 bytes"},
		{"keys beyond file", le(t, magic, u32(3), u64(0), u64(4096)), "cannot be in 24 bytes"},
		{"one key missing", le(t, magic, u32(3), u64(0), u64(1)), "metadata key 0"},
		{"one tensor missing", le(t, magic, u32(3), u64(1), u64(0), make([]byte, 7)), "the name of tensor 0"},
	} {
		t.Run(c.name, func(t *testing.T) { refuse(t, c.data, c.want) })
	}
	for n := range 33 {
		if _, err := gguf.Parse(le(t, magic, u32(3), u64(1), u64(1), make([]byte, 32))[:n]); err == nil {
			t.Errorf("accepted %d bytes", n)
		}
	}
	for _, v := range []u32{2, 3} {
		f, err := gguf.Parse(le(t, magic, v, u64(0), u64(0)))
		if err != nil || f.Version != v || len(f.Tensors()) != 0 {
			t.Errorf("empty file of version %d: %v", v, err)
		}
	}
}

func TestMetadataRefused(t *testing.T) {
	pad := make([]byte, 64) // so that counts fail for their own reason
	for _, c := range []struct {
		name string
		kv   []byte
		want string
	}{
		{"empty key", le(t, "", u32(4), u32(1)), "key 0 is empty"},
		{"key length 2^60", le(t, u64(1<<60)), "claims 1152921504606846976 bytes"},
		{"key length 2^64-1", le(t, u64(math.MaxUint64)), "claims 18446744073709551615 bytes"},
		{"key of 65536 bytes", le(t, strings.Repeat("k", 65536), u32(4), u32(1)), "at most 65535"},
		{"kind 13", le(t, "k", u32(13), u32(1)), "unknown kind 13"},
		{"kind 2^32-1", le(t, "k", u32(math.MaxUint32)), "unknown kind 4294967295"},
		{"string length 2^60", le(t, "k", u32(8), u64(1<<60)), `value of "k" claims`},
		{"string length 2^63", le(t, "k", u32(8), u64(1<<63)), `value of "k" claims`},
		{"string to the last byte and one", le(t, "k", u32(8), u64(65)), "claims 65 bytes, 64 are left"},
		{"array of arrays", le(t, "k", u32(9), u32(9), u64(1)), "array of arrays"},
		{"array of kind 13", le(t, "k", u32(9), u32(13), u64(1)), "unknown element kind 13"},
		{"array 2^40", le(t, "k", u32(9), u32(5), u64(1<<40)), "claims 1099511627776 elements of int32"},
		{"array 2^62 of uint64", le(t, "k", u32(9), u32(10), u64(1<<62)), "claims 4611686018427387904"},
		{"array 2^61 of uint64 wraps", le(t, "k", u32(9), u32(10), u64(1<<61)), "claims"},
		{"array 2^64-1 of bytes", le(t, "k", u32(9), u32(0), u64(math.MaxUint64)), "claims"},
		{"array 2^40 of strings", le(t, "k", u32(9), u32(8), u64(1<<40)), "elements of string"},
		{"array of one int too many", le(t, "k", u32(9), u32(4), u64(17)), "claims 17 elements of uint32, 64 bytes are left"},
		{"array string 2^60", le(t, "k", u32(9), u32(8), u64(2), "a", u64(1<<60)), `element of "k" claims`},
		{"bool 2", le(t, "k", u32(7), u8(2)), "boolean 2"},
		{"bool array", le(t, "k", u32(9), u32(7), u64(3), u8(1), u8(0), u8(255)), "boolean 255"},
		{"alignment 0", le(t, "general.alignment", u32(4), u32(0)), "general.alignment is 0"},
		{"alignment 3", le(t, "general.alignment", u32(4), u32(3)), "general.alignment is 3"},
		{"alignment 2^31", le(t, "general.alignment", u32(4), u32(1<<31)), "general.alignment is 2147483648"},
		{"alignment 2^21", le(t, "general.alignment", u32(4), u32(1<<21)), "not a power of two up to 1048576"},
		{"alignment 2^32-1", le(t, "general.alignment", u32(4), u32(math.MaxUint32)), "not a power of two"},
		{"alignment uint64", le(t, "general.alignment", u32(10), u64(32)), "general.alignment is uint64, not uint32"},
		{"alignment string", le(t, "general.alignment", u32(8), "32"), "general.alignment is string"},
		{"alignment array", le(t, "general.alignment", u32(9), u32(4), u64(1), u32(32)), "array of uint32"},
	} {
		t.Run(c.name, func(t *testing.T) { refuse(t, le(t, magic, u32(3), u64(0), u64(1), c.kv, pad), c.want) })
	}
	twice := le(t, "k", u32(4), u32(1), "k", u32(4), u32(1))
	refuse(t, le(t, magic, u32(3), u64(0), u64(2), twice, pad), `"k" is there twice`)
	long := strings.Repeat("x", 40<<20)
	refuse(t, le(t, magic, u32(3), u64(0), u64(2), "a", u32(8), long, "b", u32(8), long), "more than 67108864 bytes in all")
}

// tensorInfo is one description; dims are written as they are.
func tensorInfo(t *testing.T, name string, dims []u64, typ u32, off u64) []byte {
	return le(t, name, u32(len(dims)), dims, typ, off)
}

func TestTensorsRefused(t *testing.T) {
	const q41, f32, i8 = 3, 0, 24
	one := []u64{1}
	for _, c := range []struct {
		name string
		n    int
		info []byte
		want string
	}{
		{"empty name", 1, tensorInfo(t, "", one, f32, 0), "name of tensor 0 is empty"},
		{"name of 64 bytes", 1, tensorInfo(t, strings.Repeat("n", 64), one, f32, 0), "at most 63"},
		{"name 2^60", 1, le(t, u64(1<<60), make([]byte, 32)), "claims"},
		{"5 dimensions", 1, tensorInfo(t, "w", []u64{1, 1, 1, 1, 1}, f32, 0), "5 dimensions"},
		{"2^32-1 dimensions", 1, le(t, "w", u32(math.MaxUint32), make([]byte, 64)), "4294967295 dimensions"},
		{"zero dimension", 1, tensorInfo(t, "w", []u64{0}, f32, 0), `"w" has the dimension 0`},
		{"zero second dimension", 1, tensorInfo(t, "w", []u64{32, 0}, f32, 0), "dimension 0"},
		{"negative dimension", 1, tensorInfo(t, "w", []u64{32, math.MaxUint64}, f32, 0), "dimension -1"},
		{"dimensions wrap to 0", 1, tensorInfo(t, "w", []u64{1 << 32, 1 << 32}, f32, 0), "more values than can be counted"},
		{"dimensions wrap to 32", 1, tensorInfo(t, "w", []u64{32, 1<<59 + 1}, f32, 0), "more values than can be counted"},
		{"2^42+1 and bytes wrap", 1, tensorInfo(t, "w", []u64{1<<42 + 1, 1 << 20}, f32, 0), "beyond the end"},
		{"bytes wrap to 0", 1, tensorInfo(t, "w", []u64{1 << 62}, f32, 0), "too large"},
		{"rows times bytes wrap", 1, tensorInfo(t, "w", []u64{1 << 30, 1 << 32}, 27, 0), "beyond the end"},
		{"type 4", 1, tensorInfo(t, "w", []u64{32}, 4, 0), `"w" has the unknown type 4`},
		{"type 43", 1, tensorInfo(t, "w", []u64{32}, 43, 0), "unknown type 43"},
		{"type 2^32-1", 1, tensorInfo(t, "w", []u64{32}, math.MaxUint32, 0), "unknown type 4294967295"},
		{"part of a block", 1, tensorInfo(t, "w", []u64{33}, q41, 0), "multiple of 32"},
		{"part of a block, whole in all", 1, tensorInfo(t, "w", []u64{16, 2}, q41, 0), "multiple of 32"},
		{"part of a K block", 1, tensorInfo(t, "w", []u64{128, 2}, 12, 0), "multiple of 256"},
		{"one byte too long", 1, tensorInfo(t, "w", []u64{257}, i8, 0), "beyond the end"},
		{"offset one row too far", 1, tensorInfo(t, "w", []u64{32}, i8, 256), "beyond the end"},
		{"offset past the end", 1, tensorInfo(t, "w", []u64{32}, i8, 1<<40), "beyond the end"},
		{"offset near 2^63", 1, tensorInfo(t, "w", []u64{32}, i8, 1<<63-32), "beyond the end"},
		{"offset 2^64-32", 1, tensorInfo(t, "w", []u64{32}, i8, math.MaxUint64-31), "is at the offset 18446744073709551584"},
		{"offset not aligned", 1, tensorInfo(t, "w", []u64{32}, i8, 16), "not aligned to 32"},
		{"same data", 2, le(t, tensorInfo(t, "a", []u64{32}, i8, 0), tensorInfo(t, "b", []u64{32}, i8, 0)), `"a" and "b" overlap`},
		{"overlap by a byte", 2, le(t, tensorInfo(t, "a", []u64{1}, i8, 64), tensorInfo(t, "b", []u64{65}, i8, 0)), `"b" and "a" overlap`},
		{"inside another", 2, le(t, tensorInfo(t, "a", []u64{256}, i8, 0), tensorInfo(t, "b", []u64{1}, i8, 96)), "overlap"},
		{"name twice", 2, le(t, tensorInfo(t, "a", one, i8, 0), tensorInfo(t, "a", one, i8, 32)), `tensor "a" is there twice`},
	} {
		t.Run(c.name, func(t *testing.T) {
			head := le(t, magic, u32(3), u64(c.n), u64(0), c.info)
			data := append(head, make([]byte, (32-len(head)%32)%32+256)...)
			refuse(t, data, c.want)
		})
	}
}

// TestTypesEndAtTheFile: a tensor of each type that just fits is accepted, one byte less is not.
func TestTypesEndAtTheFile(t *testing.T) {
	for id := range u32(quant.NumTypes) {
		typ := quant.Type(id)
		if !typ.Known() {
			continue
		}
		head := le(t, magic, u32(3), u64(1), u64(0), tensorInfo(t, "w", []u64{u64(typ.BlockLen()), 3}, id, 0))
		data := append(head, make([]byte, (32-len(head)%32)%32+3*typ.BlockBytes())...)
		f, err := gguf.Parse(data)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		if w, _ := f.Tensor("w"); len(w.Data) != 3*typ.BlockBytes() || w.Rows() != 3 || w.Cols() != typ.BlockLen() {
			t.Errorf("%s: %d bytes, dims %v", typ, len(w.Data), w.Dims)
		}
		refuse(t, data[:len(data)-1], "beyond the end")
	}
}

func TestGapsAndOrder(t *testing.T) {
	// Tensors out of order with a gap between them, and one value without dimensions.
	info := le(t, tensorInfo(t, "b", []u64{4}, 24, 128), tensorInfo(t, "a", []u64{32, 2}, 24, 0), tensorInfo(t, "s", nil, 0, 192))
	head := le(t, magic, u32(2), u64(3), u64(0), info)
	data := append(head, make([]byte, (32-len(head)%32)%32)...)
	base := len(data)
	data = append(data, make([]byte, 196)...)
	data[base+128] = 42
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := f.Tensor("b"); b.Data[0] != 42 || b.Offset != int64(base+128) {
		t.Errorf("b is %v at %d", b.Data, b.Offset)
	}
	if s, _ := f.Tensor("s"); s.Elements() != 1 || len(s.Dims) != 1 || len(s.Data) != 4 {
		t.Errorf("single value: %+v", s)
	}
	if err := checkInside(f, data); err != nil {
		t.Error(err)
	}
}

// TestAllocationIsBounded: no file of 2 KB takes more than 1 MB, whether it is accepted or not.
func TestAllocationIsBounded(t *testing.T) {
	many := le(t, magic, u32(3), u64(0), u64(100))
	for i := range 100 {
		many = append(many, le(t, fmt.Sprintf("%02d", i), u32(0), u8(1))...)
	}
	tensors := le(t, magic, u32(3), u64(70), u64(0))
	for i := range 70 {
		tensors = append(tensors, tensorInfo(t, fmt.Sprintf("%02d", i), nil, 24, u64(i*32))...)
	}
	pad := func(b []byte) []byte { return append(b, make([]byte, max(0, 2048-len(b)))...) }
	for name, data := range map[string][]byte{
		"counts":  pad(le(t, magic, u32(3), u64(60), u64(145))),
		"strings": pad(le(t, magic, u32(3), u64(0), u64(1), "k", u32(9), u32(8), u64(240))),
		"array":   pad(le(t, magic, u32(3), u64(0), u64(1), "k", u32(9), u32(0), u64(2000))),
		"keys":    pad(many),
		"tensors": pad(tensors),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := gguf.Parse(data)
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(f)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes allocated (error %v)", name, n, err)
		}
	}
}
