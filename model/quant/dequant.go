package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// block is one decoded block of 32 weights: value i = d*v[i] + m. v is within [-128, 127].
type block struct {
	d, m float32
	v    [32]int8
}

// decoders split one block of a quantised format into scale, minimum and integers; nil where there is none yet. They return
// a value: a pointer given to a function value would make every caller allocate.
var decoders = [NumTypes]func(src []byte) block{
	Q4_0: decodeQ4_0,
	Q4_1: decodeQ4_1,
	Q5_0: decodeQ5_0,
	Q5_1: decodeQ5_1,
	Q8_0: decodeQ8_0,
}

// decodeQ4_0: {f16 d; 16 bytes}; value (nibble-8)*d. Low nibbles are columns 0..15, high nibbles 16..31.
func decodeQ4_0(src []byte) (b block) {
	src = src[:18]
	b.d, b.m = f16At(src, 0), 0
	for i, q := range src[2:18] {
		b.v[i] = int8(q&15) - 8
		b.v[i+16] = int8(q>>4) - 8
	}
	return b
}

// decodeQ4_1: {f16 d; f16 m; 16 bytes}; value nibble*d + m.
func decodeQ4_1(src []byte) (b block) {
	src = src[:20]
	b.d, b.m = f16At(src, 0), f16At(src, 2)
	for i, q := range src[4:20] {
		b.v[i] = int8(q & 15)
		b.v[i+16] = int8(q >> 4)
	}
	return b
}

// decodeQ5_0: {f16 d; u32 h; 16 bytes}; bit j of h is the fifth bit of column j; value (v-16)*d.
func decodeQ5_0(src []byte) (b block) {
	src = src[:22]
	b.d, b.m = f16At(src, 0), 0
	h := binary.LittleEndian.Uint32(src[2:])
	for i, q := range src[6:22] {
		b.v[i] = int8(uint32(q&15)|h>>i&1<<4) - 16
		b.v[i+16] = int8(uint32(q>>4)|h>>(i+16)&1<<4) - 16
	}
	return b
}

// decodeQ5_1: {f16 d; f16 m; u32 h; 16 bytes}; value v*d + m.
func decodeQ5_1(src []byte) (b block) {
	src = src[:24]
	b.d, b.m = f16At(src, 0), f16At(src, 2)
	h := binary.LittleEndian.Uint32(src[4:])
	for i, q := range src[8:24] {
		b.v[i] = int8(uint32(q&15) | h>>i&1<<4)
		b.v[i+16] = int8(uint32(q>>4) | h>>(i+16)&1<<4)
	}
	return b
}

// decodeQ8_0: {f16 d; 32 int8}; value v*d.
func decodeQ8_0(src []byte) (b block) {
	src = src[:34]
	b.d, b.m = f16At(src, 0), 0
	for i, q := range src[2:34] {
		b.v[i] = int8(q)
	}
	return b
}

func f16At(src []byte, i int) float32 { return F16ToF32(binary.LittleEndian.Uint16(src[i:])) }

// Dequantize writes the values of src, whole blocks of format t, to dst. Formats: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1,
// Q8_0. Errors: ErrUnknownType, ErrUnsupported (a layout without a decoder), ErrShape (len(dst) is not a multiple of
// BlockLen or len(src) is not its size); dst is untouched then.
func Dequantize(t Type, dst []float32, src []byte) error {
	need, err := t.RowBytes(len(dst))
	if err != nil {
		return err
	}
	if len(src) != need {
		return fmt.Errorf("%s row of %d values: %w: %d bytes given, %d needed", t, len(dst), ErrShape, len(src), need)
	}
	if t.IsFloat() {
		decodeFloat(t, dst, src)
		return nil
	}
	decode := decoders[t]
	if decode == nil {
		return fmt.Errorf("%s: %w", t, ErrUnsupported)
	}
	for size := t.BlockBytes(); len(src) > 0; src, dst = src[size:], dst[32:] {
		b := decode(src)
		for i, v := range b.v {
			dst[i] = float32(b.d*float32(v)) + b.m
		}
	}
	return nil
}

// decodeFloat reads len(dst) values of a float format from the start of src.
func decodeFloat(t Type, dst []float32, src []byte) {
	switch t {
	case F32:
		src = src[:4*len(dst)]
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case F16:
		FromF16(dst, src[:2*len(dst)])
	case BF16:
		src = src[:2*len(dst)]
		for i := range dst {
			dst[i] = BF16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	default:
		panic("quant: " + t.String() + " is not a float format")
	}
}
