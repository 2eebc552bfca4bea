//go:build !purego

package kernels

import "fmt"

// blockLen is the number of columns that share a scale, of weights and of activations.
const blockLen = 32

// Bytes of a block: llama.cpp, ggml/src/ggml-common.h (read 2026-11).
const (
	q40Bytes = 2 + 16
	q41Bytes = 2 + 2 + 16
	q50Bytes = 2 + 4 + 16
	q51Bytes = 2 + 2 + 4 + 16
	q80Bytes = 2 + 32
)

// kernel names a pair of assembly functions. It is a number, not a function value, because a pointer that is passed
// through a function value would move the tile to the heap.
type kernel uint8

const (
	q40NEON kernel = iota
	q41NEON
	q50NEON
	q51NEON
	q80NEON
	q40DotProd
	q41DotProd
	q50DotProd
	q51DotProd
	q80DotProd
	f32NEON
	f16NEON
	bf16NEON
)

// MatMulQ40Q8NEON multiplies rows of Q4_0 weights with int8 activations:
//
//	dst[t*dstStride+r] = dot(w row r, activation row t)   for r < rows, t < n
//
// w is (rows, cols) in tight blocks of 32, q is (n, cols) within [-127, 127], d and s are (n, cols/32) as QuantizeQ8NEON
// makes them; cols is a positive multiple of 32; dst holds (n-1)*dstStride+rows values. The bits are those of the scalar
// reference. It panics if a length does not fit.
func MatMulQ40Q8NEON(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q40NEON, q40Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ41Q8NEON is MatMulQ40Q8NEON for Q4_1 weights.
func MatMulQ41Q8NEON(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q41NEON, q41Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ50Q8NEON is MatMulQ40Q8NEON for Q5_0 weights.
func MatMulQ50Q8NEON(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q50NEON, q50Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ51Q8NEON is MatMulQ40Q8NEON for Q5_1 weights.
func MatMulQ51Q8NEON(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q51NEON, q51Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ80Q8NEON is MatMulQ40Q8NEON for Q8_0 weights.
func MatMulQ80Q8NEON(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q80NEON, q80Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ40Q8DotProd is MatMulQ40Q8NEON with SDOT; the CPU must have it (HasDotProd).
func MatMulQ40Q8DotProd(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q40DotProd, q40Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ41Q8DotProd is MatMulQ41Q8NEON with SDOT; the CPU must have it (HasDotProd).
func MatMulQ41Q8DotProd(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q41DotProd, q41Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ50Q8DotProd is MatMulQ50Q8NEON with SDOT; the CPU must have it (HasDotProd).
func MatMulQ50Q8DotProd(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q50DotProd, q50Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ51Q8DotProd is MatMulQ51Q8NEON with SDOT; the CPU must have it (HasDotProd).
func MatMulQ51Q8DotProd(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q51DotProd, q51Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ80Q8DotProd is MatMulQ80Q8NEON with SDOT; the CPU must have it (HasDotProd).
func MatMulQ80Q8DotProd(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	matMulQ8(q80DotProd, q80Bytes, dst, dstStride, w, rows, cols, q, d, s, n)
}

func matMulQ8(k kernel, blockBytes int, dst []float32, dstStride int, w []byte, rows, cols int, q []int8,
	d, s []float32, n int,
) {
	if cols%blockLen != 0 {
		panic(fmt.Sprintf("kernels: %d columns are not a multiple of %d", cols, blockLen))
	}
	blocks := cols / blockLen
	p := product{
		kernel: k, dst: dst, dstStride: dstStride, w: w, rowBytes: blocks * blockBytes, rows: rows, cols: cols,
		n: n, q: q, d: d, s: s,
	}
	if !p.check() {
		return
	}
	mustLen("quantised activations", len(q), n*cols)
	mustLen("activation scales", len(d), n*blocks)
	mustLen("activation sums", len(s), n*blocks)
	raceRead(w[:rows*p.rowBytes])
	raceRead(q)
	raceRead(d)
	raceRead(s)
	for t := range n {
		raceWrite(dst[t*dstStride:][:rows])
	}
	p.run()
}

// run1 computes groups of four weight rows for one activation row, the first of the tile.
func (k kernel) run1(t *tile) {
	switch k {
	case q40NEON:
		matMulQ40Q8NEON1(t)
	case q41NEON:
		matMulQ41Q8NEON1(t)
	case q50NEON:
		matMulQ50Q8NEON1(t)
	case q51NEON:
		matMulQ51Q8NEON1(t)
	case q80NEON:
		matMulQ80Q8NEON1(t)
	case q40DotProd:
		matMulQ40Q8DotProd1(t)
	case q41DotProd:
		matMulQ41Q8DotProd1(t)
	case q50DotProd:
		matMulQ50Q8DotProd1(t)
	case q51DotProd:
		matMulQ51Q8DotProd1(t)
	case q80DotProd:
		matMulQ80Q8DotProd1(t)
	case f32NEON:
		matMulF32NEON1(t)
	case f16NEON:
		matMulF16NEON1(t)
	case bf16NEON:
		matMulBF16NEON1(t)
	}
}

// run4 computes groups of four weight rows for four activation rows.
func (k kernel) run4(t *tile) {
	switch k {
	case q40NEON:
		matMulQ40Q8NEON4(t)
	case q41NEON:
		matMulQ41Q8NEON4(t)
	case q50NEON:
		matMulQ50Q8NEON4(t)
	case q51NEON:
		matMulQ51Q8NEON4(t)
	case q80NEON:
		matMulQ80Q8NEON4(t)
	case q40DotProd:
		matMulQ40Q8DotProd4(t)
	case q41DotProd:
		matMulQ41Q8DotProd4(t)
	case q50DotProd:
		matMulQ50Q8DotProd4(t)
	case q51DotProd:
		matMulQ51Q8DotProd4(t)
	case q80DotProd:
		matMulQ80Q8DotProd4(t)
	case f32NEON:
		matMulF32NEON4(t)
	case f16NEON:
		matMulF16NEON4(t)
	case bf16NEON:
		matMulBF16NEON4(t)
	}
}

// The assembly is in matmul_neon_arm64.s and matmul_dotprod_arm64.s.

//go:noescape
func matMulQ40Q8NEON1(t *tile)

//go:noescape
func matMulQ40Q8NEON4(t *tile)

//go:noescape
func matMulQ41Q8NEON1(t *tile)

//go:noescape
func matMulQ41Q8NEON4(t *tile)

//go:noescape
func matMulQ50Q8NEON1(t *tile)

//go:noescape
func matMulQ50Q8NEON4(t *tile)

//go:noescape
func matMulQ51Q8NEON1(t *tile)

//go:noescape
func matMulQ51Q8NEON4(t *tile)

//go:noescape
func matMulQ80Q8NEON1(t *tile)

//go:noescape
func matMulQ80Q8NEON4(t *tile)

//go:noescape
func matMulQ40Q8DotProd1(t *tile)

//go:noescape
func matMulQ40Q8DotProd4(t *tile)

//go:noescape
func matMulQ41Q8DotProd1(t *tile)

//go:noescape
func matMulQ41Q8DotProd4(t *tile)

//go:noescape
func matMulQ50Q8DotProd1(t *tile)

//go:noescape
func matMulQ50Q8DotProd4(t *tile)

//go:noescape
func matMulQ51Q8DotProd1(t *tile)

//go:noescape
func matMulQ51Q8DotProd4(t *tile)

//go:noescape
func matMulQ80Q8DotProd1(t *tile)

//go:noescape
func matMulQ80Q8DotProd4(t *tile)
