package quant

import "encoding/binary"

// The K formats have blocks of 256 columns, eight sub-blocks of 32. The structures are those of ggml-common.h, the order
// of the values that of dequantize_row_q*_K in ggml-quants.c.

// decodeQ2_K: {16 bytes scales; 64 bytes; f16 d; f16 dmin}; 16 columns share a scale (low nibble) and a minimum (high
// nibble); value d*scale*v - dmin*minimum, v of 2 bits.
func decodeQ2_K(src []byte, s int) (b Block) {
	src = src[:84]
	d, dmin := f16At(src, 80), f16At(src, 82)
	for h := range 2 {
		sc := src[2*s+h]
		b.D[h], b.M[h] = d*float32(sc&15), -float32(dmin*float32(sc>>4))
	}
	for i, q := range src[16+s/4*32:][:32] {
		b.V[i] = int8(q >> (s % 4 * 2) & 3)
	}
	return b
}

// decodeQ3_K: {32 bytes high bits; 64 bytes; 12 bytes scales; f16 d}; 16 columns share a scale of 6 bits, less 32; value
// d*scale*(v-4), v of 3 bits: bit s of high byte i belongs to column i of sub-block s.
func decodeQ3_K(src []byte, s int) (b Block) {
	src = src[:110]
	d, scales := f16At(src, 108), src[96:108]
	for h := range 2 {
		i := 2*s + h
		low := scales[i%8] >> (i / 8 * 4) & 15
		high := scales[8+i%4] >> (i / 4 * 2) & 3
		b.D[h] = d * float32(int(low|high<<4)-32)
	}
	for i, q := range src[32+s/4*32:][:32] {
		b.V[i] = int8(q>>(s%4*2)&3|src[i]>>s&1<<2) - 4
	}
	return b
}

// scaleMin gives scale and minimum, 6 bits each, of sub-block s of Q4_K and Q5_K (get_scale_min_k4).
func scaleMin(p []byte, s int) (scale, minimum byte) {
	if s < 4 {
		return p[s] & 63, p[s+4] & 63
	}
	return p[s+4]&15 | p[s-4]>>6<<4, p[s+4]>>4 | p[s]>>6<<4
}

// decodeQ4_K: {f16 d; f16 dmin; 12 bytes scales and minima; 128 bytes}; value d*scale*v - dmin*minimum; the low nibbles of
// 32 bytes are an even sub-block, the high nibbles the next.
func decodeQ4_K(src []byte, s int) (b Block) {
	src = src[:144]
	sc, m := scaleMin(src[4:16], s)
	b.D, b.M = both(f16At(src, 0)*float32(sc)), both(-float32(f16At(src, 2)*float32(m)))
	for i, q := range src[16+s/2*32:][:32] {
		b.V[i] = int8(q >> (s % 2 * 4) & 15)
	}
	return b
}

// decodeQ5_K: {f16 d; f16 dmin; 12 bytes scales and minima; 32 bytes fifth bits; 128 bytes}: Q4_K, and bit s of fifth byte
// i belongs to column i of sub-block s.
func decodeQ5_K(src []byte, s int) (b Block) {
	src = src[:176]
	sc, m := scaleMin(src[4:16], s)
	b.D, b.M = both(f16At(src, 0)*float32(sc)), both(-float32(f16At(src, 2)*float32(m)))
	for i, q := range src[48+s/2*32:][:32] {
		b.V[i] = int8(q>>(s%2*4)&15 | src[16+i]>>s&1<<4)
	}
	return b
}

// decodeQ6_K: {128 bytes low nibbles; 64 bytes high pairs of bits; 16 int8 scales; f16 d}; 16 columns share a scale; value
// d*scale*(v-32). Of each 128 columns, low byte i holds columns i and i+64 (i < 64), high byte i columns i, i+32, i+64,
// i+96 (i < 32).
func decodeQ6_K(src []byte, s int) (b Block) {
	src = src[:210]
	d := f16At(src, 208)
	for h := range 2 {
		b.D[h] = d * float32(int8(src[192+2*s+h]))
	}
	half, j := s/4, s%4
	low, high := src[64*half+j%2*32:][:32], src[128+32*half:][:32]
	for i, q := range low {
		b.V[i] = int8(q>>(j/2*4)&15|high[i]>>(2*j)&3<<4) - 32
	}
	return b
}

// decodeIQ4_XS: {f16 d; u16 high; 4 bytes low; 128 bytes}; the scale of a sub-block has 4 low and 2 high bits, less 32;
// value d*scale*nonlinear4[nibble], the nibbles of a sub-block as in Q4_0.
func decodeIQ4_XS(src []byte, s int) (b Block) {
	src = src[:136]
	low, high := src[4+s/2]>>(s%2*4)&15, binary.LittleEndian.Uint16(src[2:])>>(2*s)&3
	b.D = both(f16At(src, 0) * float32(int(low)|int(high)<<4-32))
	decodeNonlinear(&b, src[8+16*s:])
	return b
}
