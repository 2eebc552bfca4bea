package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Block is 32 decoded weights: value i = D[i/16]*V[i] + M[i/16]. V is within [-128, 127].
type Block struct {
	D, M [2]float32
	V    [32]int8
}

// decoders split sub-block s, 32 columns, of one block of a quantised format into scales, minima and integers; nil where
// there is none yet. They return a value: a pointer given to a function value would make every caller allocate.
var decoders = [NumTypes]func(src []byte, s int) Block{
	Q4_0:   decodeQ4_0,
	Q4_1:   decodeQ4_1,
	Q5_0:   decodeQ5_0,
	Q5_1:   decodeQ5_1,
	Q8_0:   decodeQ8_0,
	Q2_K:   decodeQ2_K,
	Q3_K:   decodeQ3_K,
	Q4_K:   decodeQ4_K,
	Q5_K:   decodeQ5_K,
	Q6_K:   decodeQ6_K,
	IQ4_NL: decodeIQ4_NL,
	IQ4_XS: decodeIQ4_XS,

	IQ1_S:   decodeIQ1_S,
	IQ1_M:   decodeIQ1_M,
	IQ2_XXS: decodeIQ2_XXS,
	IQ2_XS:  decodeIQ2_XS,
	IQ2_S:   decodeIQ2_S,
	IQ3_XXS: decodeIQ3_XXS,
	IQ3_S:   decodeIQ3_S,
	TQ1_0:   decodeTQ1_0,
	TQ2_0:   decodeTQ2_0,
	MXFP4:   decodeMXFP4,
	NVFP4:   decodeNVFP4,
}

// HasMin reports whether weights of the type are scale*integer + minimum with a minimum other than zero.
func (t Type) HasMin() bool {
	return t == Q4_1 || t == Q5_1 || t == Q2_K || t == Q4_K || t == Q5_K
}

// HasHalves reports whether 16 columns, not 32, share a scale.
func (t Type) HasHalves() bool {
	switch t {
	case Q2_K, Q3_K, Q6_K, IQ2_XS, IQ2_S, IQ1_M, NVFP4:
		return true
	default:
		return false
	}
}

// DecodeBlock decodes columns [32*s, 32*s+32) of one block of format t; src is the block. It panics if t has no decoder.
func DecodeBlock(t Type, src []byte, s int) Block { return decoders[t](src, s) }

func both(f float32) [2]float32 { return [2]float32{f, f} }

// decodeQ4_0: {f16 d; 16 bytes}; value (nibble-8)*d. Low nibbles are columns 0..15, high nibbles 16..31.
func decodeQ4_0(src []byte, _ int) (b Block) {
	src = src[:18]
	b.D = both(f16At(src, 0))
	for i, q := range src[2:18] {
		b.V[i] = int8(q&15) - 8
		b.V[i+16] = int8(q>>4) - 8
	}
	return b
}

// decodeQ4_1: {f16 d; f16 m; 16 bytes}; value nibble*d + m.
func decodeQ4_1(src []byte, _ int) (b Block) {
	src = src[:20]
	b.D, b.M = both(f16At(src, 0)), both(f16At(src, 2))
	for i, q := range src[4:20] {
		b.V[i] = int8(q & 15)
		b.V[i+16] = int8(q >> 4)
	}
	return b
}

// decodeQ5_0: {f16 d; u32 h; 16 bytes}; bit j of h is the fifth bit of column j; value (v-16)*d.
func decodeQ5_0(src []byte, _ int) (b Block) {
	src = src[:22]
	b.D = both(f16At(src, 0))
	h := binary.LittleEndian.Uint32(src[2:])
	for i, q := range src[6:22] {
		b.V[i] = int8(uint32(q&15)|h>>i&1<<4) - 16
		b.V[i+16] = int8(uint32(q>>4)|h>>(i+16)&1<<4) - 16
	}
	return b
}

// decodeQ5_1: {f16 d; f16 m; u32 h; 16 bytes}; value v*d + m.
func decodeQ5_1(src []byte, _ int) (b Block) {
	src = src[:24]
	b.D, b.M = both(f16At(src, 0)), both(f16At(src, 2))
	h := binary.LittleEndian.Uint32(src[4:])
	for i, q := range src[8:24] {
		b.V[i] = int8(uint32(q&15) | h>>i&1<<4)
		b.V[i+16] = int8(uint32(q>>4) | h>>(i+16)&1<<4)
	}
	return b
}

// decodeQ8_0: {f16 d; 32 int8}; value v*d.
func decodeQ8_0(src []byte, _ int) (b Block) {
	src = src[:34]
	b.D = both(f16At(src, 0))
	for i, q := range src[2:34] {
		b.V[i] = int8(q)
	}
	return b
}

// decodeIQ4_NL: {f16 d; 16 bytes}; value d*nonlinear4[nibble], nibbles as in Q4_0.
func decodeIQ4_NL(src []byte, _ int) (b Block) {
	src = src[:18]
	b.D = both(f16At(src, 0))
	decodeNonlinear(&b, src[2:])
	return b
}

// nonlinear4 are the 16 values of IQ4_NL and IQ4_XS (ggml-common.h, kvalues_iq4nl).
var nonlinear4 = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func decodeNonlinear(b *Block, qs []byte) {
	for i, q := range qs[:16] {
		b.V[i] = nonlinear4[q&15]
		b.V[i+16] = nonlinear4[q>>4]
	}
}

func f16At(src []byte, i int) float32 { return F16ToF32(binary.LittleEndian.Uint16(src[i:])) }

// Dequantize writes the values of src, whole blocks of format t, to dst, for the formats that Supported names. Errors:
// ErrUnknownType, ErrUnsupported (a layout without a decoder), ErrShape (len(dst) is not a multiple of BlockLen or
// len(src) is not its size); dst is untouched then.
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
	for size, subs := t.BlockBytes(), t.BlockLen()/32; len(src) > 0; src = src[size:] {
		for s := range subs {
			b := decode(src[:size], s)
			for i, v := range b.V {
				dst[i] = float32(b.D[i/16]*float32(v)) + b.M[i/16]
			}
			dst = dst[32:]
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
