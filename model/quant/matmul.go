package quant

import "fmt"

// tileRows is how many activation rows share one decoding of the weights: the partial sums stay on the stack.
const tileRows = 16

// MatMulQ8 multiplies rows of quantised weights with 8-bit activations:
// dst[t*dstStride+r] = dot(row r of w, activation row t), r < rows, t < n. w is (rows, RowBytes(cols)), tight; acts is
// (cols/32, n) Acts; cols is a multiple of the format's block length.
//
// The dot product goes over blocks of 32 columns in increasing order. With isum the exact integer product of a block,
// dw and mw its scale and minimum, dx and s those of the activations, and fma rounding once:
//
//	acc = fma(dw*dx, isum, acc), then, if the format has a minimum, acc = fma(mw, s, acc)
//
// Where 16 columns share a scale, with a and b for the halves:
//
//	acc = fma(fma(dwb, isumb, dwa*isuma), dx, acc), then acc = fma(mwa, sa, acc), acc = fma(mwb, sb, acc)
//
// One element has the same bits however many rows are computed together. Here fma rounds to float64 in between, which
// differs from one rounding in about one of 2^29 cases. It panics if a length does not fit or the format has no decoder.
func MatMulQ8(t Type, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	decode := decoders[t.clamp()]
	if decode == nil {
		panic("quant: no 8-bit product for " + t.String())
	}
	rowBytes := checkMatMul(t, len(dst), dstStride, len(w), rows, cols, n)
	blocks := cols / ActBlock
	mustLen("quantised activations", len(acts), n*blocks*ActBytes)
	all := ActsOf(acts)
	size, subs := t.BlockBytes(), t.BlockLen()/ActBlock
	hasMin, halves := t.HasMin(), t.HasHalves()
	for r := range rows {
		row := w[r*rowBytes:][:rowBytes]
		for first := 0; first < n; first += tileRows {
			last := min(first+tileRows, n)
			var acc [tileRows]float32
			for i := range blocks {
				b := decode(row[i/subs*size:][:size], i%subs)
				for j := range all[i*n+first : i*n+last] {
					addBlock(&acc[j], &b, &all[i*n+first+j], hasMin, halves)
				}
			}
			for t := first; t < last; t++ {
				dst[t*dstStride+r] = acc[t-first]
			}
		}
	}
}

func addBlock(acc *float32, b *Block, a *Act, hasMin, halves bool) {
	sa, sb := dotInt8(b.V[:16], a.Q[:16]), dotInt8(b.V[16:], a.Q[16:])
	if !halves {
		*acc = fma(b.D[0]*a.D, float32(sa+sb), *acc)
		if hasMin {
			*acc = fma(b.M[0], a.S, *acc)
		}
		return
	}
	*acc = fma(fma(b.D[1], float32(sb), b.D[0]*float32(sa)), a.D, *acc)
	if hasMin {
		*acc = fma(b.M[0], a.SA, *acc)
		*acc = fma(b.M[1], a.SB, *acc)
	}
}

// fma is x*y + z. The product is exact in float64.
func fma(x, y, z float32) float32 { return float32(float64(x)*float64(y) + float64(z)) }

// dotInt8 is the exact integer product of two halves of a block; at most 16*128*127 in size.
func dotInt8(a, b []int8) int32 {
	b = b[:len(a)]
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
