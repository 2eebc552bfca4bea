package quant

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The formats of 1 to 3 bits with grids, of ternary weights, and of four-bit floats. Layouts are those of ggml-common.h and
// ggml-quants.c of llama.cpp, read 2026-11-26; values are tested against gguf-py.

// values2, values3XXS and values3S are what the places in the grids stand for.
var (
	values2    = [4]int8{8, 25, 43}
	values3XXS = [8]int8{4, 12, 20, 28, 36, 44, 52, 62}
	values3S   = [8]int8{1, 3, 5, 7, 9, 11, 13, 15}
)

// eight unpacks a row of a grid of 8 values and gives the signs of the bits of signs.
func eight(dst []int8, row uint16, signs byte) {
	for i := range dst[:8] {
		dst[i] = signed(values2[row>>(2*i)&3], signs>>i&1)
	}
}

// four is eight for a grid of 4 values.
func four(dst []int8, row uint16, values *[8]int8, signs byte) {
	for i := range dst[:4] {
		dst[i] = signed(values[row>>(3*i)&7], signs>>i&1)
	}
}

func signed(v int8, negative byte) int8 {
	if negative != 0 {
		return -v
	}
	return v
}

// evenSigns completes 7 signs to 8 so that their number is even.
func evenSigns(seven uint32) byte {
	seven &= 127
	return byte(seven | uint32(bits.OnesCount32(seven)&1)<<7)
}

// decodeIQ2_XXS: {f16 d; 64 bytes}; of each 8 bytes four are indices, and a word has four times 7 signs and a scale of 4 bits;
// value d*(scale+1/2)/4 * grid.
func decodeIQ2_XXS(src []byte, s int) (b Block) {
	qs := src[2+8*s : 10+8*s]
	word := binary.LittleEndian.Uint32(qs[4:])
	b.D = both(f16At(src, 0) * (0.5 + float32(word>>28)) * 0.25)
	for i := range 4 {
		eight(b.V[8*i:], gridIQ2XXS[qs[i]], evenSigns(word>>(7*i)))
	}
	return b
}

// halfScales are the scales of 16 columns each: of the nibbles of a byte.
func halfScales(d float32, nibbles byte) [2]float32 {
	return [2]float32{d * (0.5 + float32(nibbles&15)) * 0.25, d * (0.5 + float32(nibbles>>4)) * 0.25}
}

// decodeIQ2_XS: {f16 d; 32 uint16; 8 bytes of scales}; 9 bits of index and 7 signs.
func decodeIQ2_XS(src []byte, s int) (b Block) {
	b.D = halfScales(f16At(src, 0), src[66+s])
	for i := range 4 {
		q := binary.LittleEndian.Uint16(src[2+8*s+2*i:])
		eight(b.V[8*i:], gridIQ2XS[q&511], evenSigns(uint32(q>>9)))
	}
	return b
}

// decodeIQ2_S: {f16 d; 32 bytes of indices; 32 of signs; 8 of two more bits for each index; 8 of scales}.
func decodeIQ2_S(src []byte, s int) (b Block) {
	b.D = halfScales(f16At(src, 0), src[74+s])
	for i := range 4 {
		high := uint16(src[66+s]>>(2*i)&3) << 8
		eight(b.V[8*i:], gridIQ2S[uint16(src[2+4*s+i])|high], src[34+4*s+i])
	}
	return b
}

// decodeIQ3_XXS: {f16 d; 64 bytes of indices; 8 words of four times 7 signs and a scale}; value d*(scale+1/2)/2 * grid.
func decodeIQ3_XXS(src []byte, s int) (b Block) {
	word := binary.LittleEndian.Uint32(src[66+4*s:])
	b.D = both(f16At(src, 0) * (0.5 + float32(word>>28)) * 0.5)
	for i := range 8 {
		four(b.V[4*i:], gridIQ3XXS[src[2+8*s+i]], &values3XXS, evenSigns(word>>(7*(i/2)))>>(i%2*4))
	}
	return b
}

// decodeIQ3_S: {f16 d; 64 bytes of indices; 8 of their ninth bits; 32 of signs; 4 of scales}; value d*(2*scale+1) * grid.
func decodeIQ3_S(src []byte, s int) (b Block) {
	b.D = both(f16At(src, 0) * float32(1+2*int(src[106+s/2]>>(s%2*4)&15)))
	for i := range 8 {
		high := uint16(src[66+s]>>i&1) << 8
		four(b.V[4*i:], gridIQ3S[uint16(src[2+8*s+i])|high], &values3S, src[74+4*s+i/2]>>(i%2*4))
	}
	return b
}

// eighths unpacks a row of the grid of IQ1, moved by an eighth up or down, in eighths: integers, so that the scale is an eighth.
func eighths(dst []int8, row uint16, down bool) {
	move := int8(1)
	if down {
		move = -1
	}
	for i := range dst[:8] {
		dst[i] = 8*(int8(row>>(2*i)&3)-1) + move
	}
}

// decodeIQ1_S: {f16 d; 32 bytes of indices; 8 uint16 of four times 3 more bits, a scale of 3 bits and the direction of the eighth};
// value d*(2*scale+1) * (grid ± 1/8).
func decodeIQ1_S(src []byte, s int) (b Block) {
	high := binary.LittleEndian.Uint16(src[34+2*s:])
	b.D = both(f16At(src, 0) * float32(2*(high>>12&7)+1) / 8)
	for i := range 4 {
		eighths(b.V[8*i:], gridIQ1[uint16(src[2+4*s+i])|high>>(3*i)&7<<8], high&0x8000 != 0)
	}
	return b
}

// decodeIQ1_M: {32 bytes of indices; 16 bytes, for two indices each three more bits and the direction; 4 uint16 of four scales of 3
// bits and a quarter of the f16 d}.
func decodeIQ1_M(src []byte, s int) (b Block) {
	var d uint16
	for i := range 4 {
		d |= binary.LittleEndian.Uint16(src[48+2*i:]) >> 12 << (4 * i)
	}
	scales := binary.LittleEndian.Uint16(src[48+s/2*2:]) >> (s % 2 * 6)
	for h := range 2 {
		b.D[h] = F16ToF32(d) * float32(2*(scales>>(3*h)&7)+1) / 8
	}
	for i := range 4 {
		high := src[32+2*s+i/2] >> (i % 2 * 4)
		eighths(b.V[8*i:], gridIQ1[uint16(src[4*s+i])|uint16(high&7)<<8], high&8 != 0)
	}
	return b
}

// decodeTQ1_0: {48 bytes of five, 4 of four ternary digits; f16 d}. A byte times 3^n, of which the carry is lost, has digit n at its
// top. The digits of 32 bytes are columns 0 to 159, those of 16 bytes 160 to 239, those of four the last 16.
func decodeTQ1_0(src []byte, s int) (b Block) {
	b.D = both(f16At(src, 52))
	powers := [5]byte{1, 3, 9, 27, 81}
	for i := range b.V {
		c := 32*s + i
		var q byte
		switch {
		case c < 160:
			q = src[c%32] * powers[c/32]
		case c < 240:
			q = src[32+(c-160)%16] * powers[(c-160)/16]
		default:
			q = src[48+(c-240)%4] * powers[(c-240)/4]
		}
		b.V[i] = int8(uint16(q)*3>>8) - 1
	}
	return b
}

// decodeTQ2_0: {64 bytes; f16 d}; value d*(q-1), two bits of 32 bytes for each 32 columns.
func decodeTQ2_0(src []byte, s int) (b Block) {
	b.D = both(f16At(src, 64))
	for i, q := range src[s/4*32 : s/4*32+32] {
		b.V[i] = int8(q>>(s%4*2)&3) - 1
	}
	return b
}

// fourBitFloats are the values of E2M1, doubled (OCP Microscaling Formats 1.0, section 5.3.3).
var fourBitFloats = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// decodeMXFP4: {E8M0 e; 16 bytes}; value 2^(e-128) * fourBitFloats, nibbles as in Q4_0.
func decodeMXFP4(src []byte, _ int) (b Block) {
	e := uint32(src[0])
	if e < 2 {
		b.D = both(math.Float32frombits(0x00200000 << e)) // no normal numbers
	} else {
		b.D = both(math.Float32frombits((e - 1) << 23))
	}
	for i, q := range src[1:17] {
		b.V[i], b.V[i+16] = fourBitFloats[q&15], fourBitFloats[q>>4]
	}
	return b
}

// decodeNVFP4: {4 UE4M3; 32 bytes} for 64 columns; of 16 columns the first eight are the lower nibbles.
func decodeNVFP4(src []byte, s int) (b Block) {
	for h := range 2 {
		group := 2*s + h
		b.D[h] = eightBitScale(src[group])
		for i, q := range src[4+8*group : 12+8*group] {
			b.V[16*h+i], b.V[16*h+i+8] = fourBitFloats[q&15], fourBitFloats[q>>4]
		}
	}
	return b
}

// eightBitScale is half the value of an unsigned E4M3 number; 0x7f is none.
func eightBitScale(x byte) float32 {
	exponent, mantissa := int(x>>3&15), float64(x&7)
	switch {
	case x == 0x7f, x == 0:
		return 0
	case exponent == 0:
		return float32(math.Ldexp(mantissa, -10))
	default:
		return float32(math.Ldexp(1+mantissa/8, exponent-8))
	}
}
