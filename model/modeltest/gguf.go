package modeltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"reflect"

	"siskin/model/gguf"
	"siskin/model/quant"
)

// KV is one metadata entry. Value is one of Go's sized integers, float32, float64, bool, string, a slice of one of these,
// or Raw.
type KV struct {
	Key   string
	Value any
}

// Raw is a metadata value written as it is, kind first, for files that are wrong on purpose.
type Raw struct {
	Kind  uint32
	Bytes []byte
}

// TensorData is one tensor: Dims has ne[0], the length of a row, first; Data is written as it is.
type TensorData struct {
	Name string
	Type quant.Type
	Dims []int
	Data []byte
}

// WriteGGUF writes a version 3 file with tensors in the given order, each aligned to general.alignment if that key is a
// uint32 power of two, else to 32 bytes. It checks nothing, so that wrong files can be made; its only errors are those of w
// and of a Value that it cannot write.
func WriteGGUF(w io.Writer, kvs []KV, tensors []TensorData) error {
	var b bytes.Buffer
	b.WriteString("GGUF")
	put(&b, uint32(3))
	put(&b, uint64(len(tensors)))
	put(&b, uint64(len(kvs)))
	align := 32
	for _, kv := range kvs {
		putString(&b, kv.Key)
		if err := putValue(&b, kv.Value); err != nil {
			return fmt.Errorf("%s: %w", kv.Key, err)
		}
		if a, ok := kv.Value.(uint32); ok && kv.Key == "general.alignment" && a > 0 && a&(a-1) == 0 && a <= gguf.MaxAlignment {
			align = int(a)
		}
	}
	offset := 0
	for _, t := range tensors {
		putString(&b, t.Name)
		put(&b, uint32(len(t.Dims)))
		for _, d := range t.Dims {
			put(&b, int64(d))
		}
		put(&b, uint32(t.Type))
		put(&b, uint64(offset))
		offset += len(t.Data) + padding(len(t.Data), align)
	}
	b.Write(make([]byte, padding(b.Len(), align)))
	for _, t := range tensors {
		b.Write(t.Data)
		b.Write(make([]byte, padding(len(t.Data), align)))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func padding(n, align int) int { return (align - n%align) % align }

func put(b *bytes.Buffer, v any) {
	// The only failure is a type without a fixed size; callers pass none.
	if err := binary.Write(b, binary.LittleEndian, v); err != nil {
		panic(err)
	}
}

func putString(b *bytes.Buffer, s string) {
	put(b, uint64(len(s)))
	b.WriteString(s)
}

// putValue writes kind and value.
func putValue(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case Raw:
		put(b, v.Kind)
		b.Write(v.Bytes)
		return nil
	case string:
		put(b, gguf.KindString)
		putString(b, v)
		return nil
	case []string:
		put(b, []uint32{uint32(gguf.KindArray), uint32(gguf.KindString)})
		put(b, uint64(len(v)))
		for _, s := range v {
			putString(b, s)
		}
		return nil
	}
	if kind, n := kindOf(v); n >= 0 {
		put(b, []uint32{uint32(gguf.KindArray), uint32(kind)})
		put(b, uint64(n))
		put(b, v)
		return nil
	} else if n == scalar {
		put(b, kind)
		put(b, v)
		return nil
	}
	return fmt.Errorf("a value of type %T cannot be written", v)
}

// What kindOf says instead of a length.
const (
	scalar  = -1
	unknown = -2
)

// kinds are GGUF's kinds of Go's values of fixed size.
var kinds = map[reflect.Kind]gguf.Kind{
	reflect.Uint8: gguf.KindUint8, reflect.Int8: gguf.KindInt8, reflect.Uint16: gguf.KindUint16, reflect.Int16: gguf.KindInt16,
	reflect.Uint32: gguf.KindUint32, reflect.Int32: gguf.KindInt32, reflect.Uint64: gguf.KindUint64, reflect.Int64: gguf.KindInt64,
	reflect.Float32: gguf.KindFloat32, reflect.Float64: gguf.KindFloat64, reflect.Bool: gguf.KindBool,
}

// kindOf maps a Go value of fixed size, or a slice of such, to GGUF's kind and the number of elements.
func kindOf(v any) (gguf.Kind, int) {
	if v == nil {
		return 0, unknown
	}
	t, n := reflect.TypeOf(v), scalar
	if t.Kind() == reflect.Slice {
		t, n = t.Elem(), reflect.ValueOf(v).Len()
	}
	kind, ok := kinds[t.Kind()]
	if !ok {
		return 0, unknown
	}
	return kind, n
}

// Encode quantises x to format t by the plain rule of each format, without a search for better scales: fit for tests, not
// for models people use. len(x) must be a multiple of the block length. Formats: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1,
// Q8_0; others panic.
func Encode(t quant.Type, x []float32) []byte {
	var b bytes.Buffer
	switch t {
	case quant.F32:
		put(&b, x)
	case quant.F16:
		for _, v := range x {
			put(&b, quant.F32ToF16(v))
		}
	case quant.BF16:
		for _, v := range x {
			put(&b, quant.F32ToBF16(v))
		}
	default:
		if len(x)%32 != 0 {
			panic(fmt.Sprintf("modeltest: %d values are not whole blocks of %s", len(x), t))
		}
		for ; len(x) > 0; x = x[32:] {
			encodeBlock(&b, t, x[:32])
		}
	}
	return b.Bytes()
}

// encodeBlock writes one block of 32: integers 0..2^bits-1 with v = (q-zero)*d or q*d + min.
func encodeBlock(b *bytes.Buffer, t quant.Type, x []float32) {
	lo, hi := x[0], x[0]
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	amax := max(-lo, hi)
	if t == quant.Q8_0 {
		d := quant.F16ToF32(quant.F32ToF16(amax / 127))
		put(b, quant.F32ToF16(d))
		for _, v := range x {
			put(b, int8(min(max(quantum(v, d), -127), 127)))
		}
		return
	}
	steps, zero := 15, 8
	switch t {
	case quant.Q4_0, quant.Q4_1:
	case quant.Q5_0, quant.Q5_1:
		steps, zero = 31, 16
	default:
		panic("modeltest: cannot encode " + t.String())
	}
	d, m := quant.F32ToF16(amax/float32(zero-1)), uint16(0)
	hasMin := t == quant.Q4_1 || t == quant.Q5_1
	if hasMin {
		d, m, zero = quant.F32ToF16((hi-lo)/float32(steps)), quant.F32ToF16(lo), 0
	}
	put(b, d)
	if hasMin {
		put(b, m)
	}
	var low [16]byte
	var high uint32
	for i, v := range x {
		q := min(max(quantum(v-quant.F16ToF32(m), quant.F16ToF32(d))+zero, 0), steps)
		low[i%16] |= byte(q&15) << (i / 16 * 4)
		high |= uint32(q>>4) << i
	}
	if steps == 31 {
		put(b, high)
	}
	b.Write(low[:])
}

func quantum(v, d float32) int {
	if d == 0 {
		return 0
	}
	return int(math.RoundToEven(float64(v / d)))
}
