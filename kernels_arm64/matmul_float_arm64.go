//go:build !purego

package kernels

// MatMulF32F32NEON multiplies rows of little-endian float32 weights with float32 activations:
//
//	dst[t*dstStride+r] = dot(w row r, x row t)   for r < rows, t < n
//
// w is (rows, cols), tight; x is (n, cols); cols is at least 1; dst holds (n-1)*dstStride+rows values.
//
// Column c goes to one of four partial sums, c mod 4, in increasing order with fused multiply-add; they are added as
// (0+1)+(2+3). So the error of one element is at most (cols/4+3) * 2^-24 * sum |w*x| (first order). It panics if a length
// does not fit.
func MatMulF32F32NEON(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	matMulFloat(f32NEON, 4, dst, dstStride, w, rows, cols, x, n)
}

// MatMulF16F32NEON is MatMulF32F32NEON for binary16 weights, which are converted exactly.
func MatMulF16F32NEON(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	matMulFloat(f16NEON, 2, dst, dstStride, w, rows, cols, x, n)
}

// MatMulBF16F32NEON is MatMulF32F32NEON for bfloat16 weights, which are converted exactly.
func MatMulBF16F32NEON(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	matMulFloat(bf16NEON, 2, dst, dstStride, w, rows, cols, x, n)
}

func matMulFloat(k kernel, size int, dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	p := product{
		kernel: k, dst: dst, dstStride: dstStride, w: w, rowBytes: cols * size, rows: rows, cols: cols, n: n,
		x: x,
	}
	if !p.check() {
		return
	}
	mustLen("activations", len(x), n*cols)
	raceRead(w[:rows*p.rowBytes])
	raceRead(x)
	for t := range n {
		raceWrite(dst[t*dstStride:][:rows])
	}
	p.run()
}

// The assembly is in matmul_float_arm64.s.

//go:noescape
func matMulF32NEON1(t *tile)

//go:noescape
func matMulF32NEON4(t *tile)

//go:noescape
func matMulF16NEON1(t *tile)

//go:noescape
func matMulF16NEON4(t *tile)

//go:noescape
func matMulBF16NEON1(t *tile)

//go:noescape
func matMulBF16NEON4(t *tile)
