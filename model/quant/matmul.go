package quant

import (
	"fmt"
	"math"
)

// ActBlock is the number of activations that share one scale.
const ActBlock = 32

// QuantizeQ8 turns activations into 8-bit blocks of 32. Of each block: d = max|x| / 127, q = x/d rounded to nearest even
// and within [-127, 127], s = d * sum(q). x is (n), q is (n), d and s are (n/32); n is a multiple of 32. A block whose
// scale underflows to zero becomes zeros. A block with a NaN or an infinity gets d = s = NaN and q = 0, so that products
// with it show the fault instead of a plausible number. It panics if the lengths do not fit.
func QuantizeQ8(q []int8, d, s, x []float32) {
	n := len(x)
	if n%ActBlock != 0 {
		panic(fmt.Sprintf("quant: %d activations are not a multiple of %d", n, ActBlock))
	}
	mustLen("quantised activations", len(q), n)
	mustLen("activation scales", len(d), n/ActBlock)
	mustLen("activation sums", len(s), n/ActBlock)
	for b := range d {
		d[b], s[b] = quantizeBlock(q[b*ActBlock:][:ActBlock], x[b*ActBlock:][:ActBlock])
	}
}

// quantizeBlock fills q, (32), from x, (32), and returns scale and scaled sum.
func quantizeBlock(q []int8, x []float32) (d, s float32) {
	var amax float32
	finite := true
	for _, v := range x {
		a := math.Float32frombits(math.Float32bits(v) & 0x7fffffff)
		amax = max(amax, a)
		finite = finite && a <= math.MaxFloat32
	}
	d = amax / 127
	if !finite || d == 0 {
		clear(q)
		if !finite {
			d = float32(math.NaN())
		}
		return d, d
	}
	sum := 0
	for i, v := range x {
		r := math.RoundToEven(float64(v / d))
		// Only a subnormal d is coarse enough for a quotient beyond 127.
		k := int(min(max(r, -127), 127))
		q[i] = int8(k)
		sum += k
	}
	return d, float32(d * float32(sum))
}

// tileRows is how many activation rows share one decoding of the weights: the partial sums stay on the stack.
const tileRows = 16

// MatMulQ8 multiplies rows of 32-wide quantised weights with 8-bit activations:
// dst[t*dstStride+r] = dot(row r of w, activation row t), r < rows, t < n. w is (rows, RowBytes(cols)), tight; q is
// (n, cols), d and s are (n, cols/32) as QuantizeQ8 makes them; cols is a multiple of 32.
//
// The dot product goes over blocks in increasing order, all in float32 and never fused: with isum the integer product of
// a block, acc += (dw*dx)*isum, and for formats with a minimum m, acc2 += m*s; the result is acc + acc2. So one element has
// the same bits however many rows are computed together. It panics if a length does not fit or the format has no decoder.
func MatMulQ8(t Type, dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	decode := decoders[t.clamp()]
	if decode == nil {
		panic("quant: no 8-bit product for " + t.String())
	}
	rowBytes := checkMatMul(t, len(dst), dstStride, len(w), rows, cols, n)
	blocks := cols / ActBlock
	mustLen("quantised activations", len(q), n*cols)
	mustLen("activation scales", len(d), n*blocks)
	mustLen("activation sums", len(s), n*blocks)
	size := t.BlockBytes()
	hasMin := t == Q4_1 || t == Q5_1
	for r := range rows {
		row := w[r*rowBytes:][:rowBytes]
		for first := 0; first < n; first += tileRows {
			last := min(first+tileRows, n)
			var acc, acc2 [tileRows]float32
			for i := range blocks {
				b := decode(row[i*size:][:size])
				for t := first; t < last; t++ {
					isum := dotInt8(&b.v, q[t*cols+i*ActBlock:][:ActBlock])
					acc[t-first] += float32(float32(b.d*d[t*blocks+i]) * float32(isum))
					if hasMin {
						acc2[t-first] += float32(b.m * s[t*blocks+i])
					}
				}
			}
			for t := first; t < last; t++ {
				dst[t*dstStride+r] = acc[t-first] + acc2[t-first]
			}
		}
	}
}

// dotInt8 is the exact integer product of two blocks; at most 32*128*127 in size.
func dotInt8(a *[32]int8, b []int8) int32 {
	b = b[:32]
	var sum int32
	for i, v := range a {
		sum += int32(v) * int32(b[i])
	}
	return sum
}

// floatChunk is how many weights MatMulFloat decodes at a time; a multiple of the eight partial sums.
const floatChunk = 512

// MatMulFloat multiplies rows of F32, F16 or BF16 weights with float32 activations:
// dst[t*dstStride+r] = dot(row r of w, x row t), r < rows, t < n. w is (rows, RowBytes(cols)), tight; x is (n, cols);
// cols >= 1. Column c goes to partial sum c mod 8; these are added as ((0+4)+(1+5)) + ((2+6)+(3+7)). All in float32, not
// fused. It panics if a length does not fit or t is not a float format.
func MatMulFloat(t Type, dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	if !t.IsFloat() {
		panic("quant: no float product for " + t.String())
	}
	rowBytes := checkMatMul(t, len(dst), dstStride, len(w), rows, cols, n)
	mustLen("activations", len(x), n*cols)
	var buf [floatChunk]float32
	for r := range rows {
		row := w[r*rowBytes:][:rowBytes]
		for first := 0; first < n; first += tileRows {
			last := min(first+tileRows, n)
			var acc [tileRows][8]float32
			for c := 0; c < cols; c += floatChunk {
				part := buf[:min(floatChunk, cols-c)]
				decodeFloat(t, part, row[c*t.BlockBytes():])
				for i := first; i < last; i++ {
					dotLanes(&acc[i-first], part, x[i*cols+c:][:len(part)])
				}
			}
			for i := first; i < last; i++ {
				a := &acc[i-first]
				dst[i*dstStride+r] = ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]))
			}
		}
	}
}

// dotLanes adds the products of a and b to the eight partial sums, column c to sum c mod 8.
func dotLanes(acc *[8]float32, a, b []float32) {
	for len(a) >= 8 && len(b) >= 8 {
		for l := range 8 {
			acc[l] += float32(a[l] * b[l])
		}
		a, b = a[8:], b[8:]
	}
	for l := range a {
		acc[l] += float32(a[l] * b[l])
	}
}

// WeightedSumF16 adds rows of binary16 values, weighted: dst[g*dim+i] += sum over pos of p[g*pStride+pos] * v[pos][i],
// pos < nPos, g < n. It is the value half of attention: v is (nPos, dim) little-endian binary16, p holds the softmax of n
// heads at stride pStride, dst is (n, dim). Each product is rounded and added to dst in increasing pos, so a sum may be
// cut into several calls without a change of its bits. It panics if a length does not fit.
func WeightedSumF16(dst, p []float32, pStride int, v []byte, nPos, dim, n int) {
	if nPos < 0 || dim < 0 || n < 0 || (n > 0 && pStride < nPos) {
		panic(fmt.Sprintf("quant: weighted sum of %d positions, dim %d, %d heads, stride %d", nPos, dim, n, pStride))
	}
	mustAtLeast("values", len(v), 2*nPos*dim)
	mustAtLeast("sums", len(dst), n*dim)
	if n > 0 {
		mustAtLeast("weights", len(p), (n-1)*pStride+nPos)
	}
	for pos := range nPos {
		row := v[2*pos*dim:][:2*dim]
		for i := range dim {
			val := f16At(row, 2*i)
			for g := range n {
				dst[g*dim+i] += float32(p[g*pStride+pos] * val)
			}
		}
	}
}

// checkMatMul panics unless dst and w hold what a product of these dimensions touches; it returns the bytes of a row.
func checkMatMul(t Type, dst, dstStride, w, rows, cols, n int) int {
	rowBytes, err := t.RowBytes(cols)
	if err != nil {
		panic("quant: " + err.Error())
	}
	if rows < 0 || n < 0 || cols < 1 || (n > 1 && dstStride < rows) {
		panic(fmt.Sprintf("quant: product of %d rows, %d columns, %d activation rows, stride %d", rows, cols, n, dstStride))
	}
	mustAtLeast("weight bytes", w, rows*rowBytes)
	if n > 0 && rows > 0 {
		mustAtLeast("destination", dst, (n-1)*dstStride+rows)
	}
	return rowBytes
}

func mustLen(what string, got, want int) {
	if got != want {
		panic(fmt.Sprintf("quant: %s: length %d, want %d", what, got, want))
	}
}

func mustAtLeast(what string, got, want int) {
	if got < want {
		panic(fmt.Sprintf("quant: %s: length %d, want at least %d", what, got, want))
	}
}
