package quant

import (
	"encoding/binary"
	"math"
)

// F16ToF32 converts an IEEE 754 binary16 bit pattern; every one has an exact float32. Of a NaN the payload is kept and it
// becomes quiet, as the conversion instructions of the CPUs do.
func F16ToF32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	man := uint32(h) & 0x3ff
	switch exp {
	case 0:
		// Subnormal: man * 2^-24, exact in float32.
		f := float32(man) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	case 0x1f:
		if man != 0 {
			man |= 0x200
		}
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}

// F32ToF16 converts to binary16, rounding to nearest, ties to even: values from 65520 on become infinity, values up to
// 2^-25 become zero. NaN stays NaN and becomes quiet; the top ten payload bits are kept.
func F32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN
		return sign | 0x7e00 | uint16(b>>13)&0x3ff
	case b >= 0x477ff000: // 65520 and more
		return sign | 0x7c00
	case b >= 0x38800000: // normal in binary16: 2^-14 and more
		b += 0xfff + b>>13&1
		return sign | uint16(b>>13-112<<10)
	case b <= 0x33000000: // 2^-25 ties to even, which is zero
		return sign
	}
	// Subnormal: the value is man * 2^(exp-150), the unit is 2^-24.
	shift := 126 - b>>23 // 14 to 24
	man := b&0x7fffff | 0x800000
	man += 1<<(shift-1) - 1 + man>>shift&1
	return sign | uint16(man>>shift)
}

// BF16ToF32 converts a bfloat16 bit pattern, the upper half of a float32.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 converts to bfloat16, rounding to nearest, ties to even. NaN stays NaN and becomes quiet.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// ToF16 writes x as little-endian binary16, rounded to nearest even. It panics unless len(dst) = 2*len(x).
func ToF16(dst []byte, x []float32) {
	mustLen("destination bytes", len(dst), 2*len(x))
	for i, v := range x {
		binary.LittleEndian.PutUint16(dst[2*i:], F32ToF16(v))
	}
}

// FromF16 reads little-endian binary16. It panics unless len(src) = 2*len(dst).
func FromF16(dst []float32, src []byte) {
	mustLen("source bytes", len(src), 2*len(dst))
	for i := range dst {
		dst[i] = F16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}
