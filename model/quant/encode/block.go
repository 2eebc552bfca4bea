package encode

import "encoding/binary"

// The layouts are those that quant's decoders document.

// symmetric32 chooses the scale of a block of 32, stores it, and quantises.
func symmetric32(dst []byte, x []float32, g grid) (q [32]int8) {
	d := putHalf(dst, g.scale(x))
	g.quantise(q[:], x, d)
	return q
}

func encodeQ4_0(dst []byte, x []float32) {
	q := symmetric32(dst, x, levels(8))
	for i := range 16 {
		dst[2+i] = byte(q[i]+8) | byte(q[i+16]+8)<<4
	}
}

func encodeQ5_0(dst []byte, x []float32) {
	q := symmetric32(dst, x, levels(16))
	for i := range q {
		q[i] += 16
	}
	putFiveBits(dst[2:], &q)
}

// putFiveBits stores the word of fifth bits and the nibbles.
func putFiveBits(dst []byte, q *[32]int8) {
	var high uint32
	for i, v := range q {
		high |= uint32(v) >> 4 << i
	}
	binary.LittleEndian.PutUint32(dst, high)
	for i := range 16 {
		dst[4+i] = byte(q[i]&15) | byte(q[i+16]&15)<<4
	}
}

// line32 chooses scale and minimum of a block of 32, stores them, and quantises.
func line32(dst []byte, x []float32, top int) (q [32]int8) {
	l := bestLine(x, top, false)
	l.d, l.m = half(l.d), half(l.m)
	l.quantise(q[:], x, top)
	putHalf(dst, l.d)
	putHalf(dst[2:], l.m)
	return q
}

func encodeQ4_1(dst []byte, x []float32) {
	q := line32(dst, x, 15)
	for i := range 16 {
		dst[4+i] = byte(q[i]) | byte(q[i+16])<<4
	}
}

func encodeQ5_1(dst []byte, x []float32) {
	q := line32(dst, x, 31)
	putFiveBits(dst[4:], &q)
}

// encodeQ8_0 takes the largest weight to 127: with 255 steps a search gains nothing (0.1 % of the error).
func encodeQ8_0(dst []byte, x []float32) {
	var top float32
	for _, v := range x {
		top = max(top, abs(v))
	}
	d := putHalf(dst, top/127)
	inv := inverse(d)
	for i, v := range x {
		dst[2+i] = byte(int8(round(min(max(v*inv, -127), 127))))
	}
}

func encodeIQ4_NL(dst []byte, x []float32) {
	d := putHalf(dst, nonlinear().scale(x))
	putCodes(dst[2:], x, d)
}

// putCodes stores the codes of 32 weights in nibbles.
func putCodes(dst []byte, x []float32, d float32) {
	inv := inverse(d)
	for i := range 16 {
		dst[i] = code4(min(max(x[i]*inv, -128), 127)) | code4(min(max(x[i+16]*inv, -128), 127))<<4
	}
}
