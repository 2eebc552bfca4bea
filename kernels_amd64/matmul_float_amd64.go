//go:build !purego

package kernels

// tileRows is the number of rows that the float products compute at once; as in _asm.
const tileRows = 4

// Bounds of one assembly call, so that it ends within 250 us: at 4 GMAC/s for many activation rows, at 4 GB/s for one.
const (
	floatCallMACs  = 1 << 20
	floatCallBytes = 1 << 20
)

// floatKernel is one assembly function; a number for the reason that vnniKernel gives.
type floatKernel uint8

const (
	f32AVX2 floatKernel = iota
	f16AVX2
	bf16AVX2
)

// floatProduct is what a MatMulFloat function was asked for, after the checks.
type floatProduct struct {
	dst       []float32
	dstStride int
	w         []byte
	stride    int // bytes from row to row of w
	cols      int
	x         []float32
	n         int
}

// mulFloat checks and computes a product with function k.
func mulFloat(k floatKernel, dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	p := floatProduct{dst, dstStride, w, 2 * cols, cols, x, n}
	if k == f32AVX2 {
		p.stride = 4 * cols
	}
	checkProduct(dst, dstStride, w, p.stride, rows, cols, n)
	must(len(x) == n*cols, "activations", len(x), n*cols)
	if rows == 0 || n == 0 {
		return
	}
	raceRead(x)
	if rows < tileRows {
		p.few(k, rows)
	} else {
		p.many(k, rows)
	}
}

// many computes at least tileRows rows; see vnniProduct.many.
func (p *floatProduct) many(k floatKernel, rows int) {
	groupMACs := tileRows * p.cols
	tokens := min(p.n, max(1, floatCallMACs/groupMACs))
	chunk := tileRows * max(1, min(floatCallMACs/(groupMACs*tokens), floatCallBytes/(tileRows*p.stride)))
	for r := 0; r < rows; r += chunk {
		some := min(chunk, rows-r)
		for t := 0; t < p.n; t += tokens {
			n := min(tokens, p.n-t)
			if groups := some / tileRows; groups > 0 {
				p.call(k, p.dst[t*p.dstStride+r:], p.w[r*p.stride:], groups, t, n)
			}
			if some%tileRows != 0 {
				last := r + some - tileRows
				p.call(k, p.dst[t*p.dstStride+last:], p.w[last*p.stride:], 1, t, n)
			}
		}
	}
}

// few computes fewer rows than a group has: each in all places of the group.
func (p *floatProduct) few(k floatKernel, rows int) {
	var out [tileRows]float32
	one := *p
	one.stride = 0
	for r := range rows {
		for t := range p.n {
			one.call(k, out[:], p.w[r*p.stride:], 1, t, 1)
			p.dst[t*p.dstStride+r] = out[0]
		}
	}
}

// call runs function k for groups of rows from w on and n tokens from token t on; dst[0] is the first result.
func (p *floatProduct) call(k floatKernel, dst []float32, w []byte, groups, t, n int) {
	x := &p.x[t*p.cols]
	switch k {
	case f32AVX2:
		mulF32AVX2(&dst[0], p.dstStride, &w[0], p.stride, groups, p.cols, x, n)
	case f16AVX2:
		mulF16AVX2(&dst[0], p.dstStride, &w[0], p.stride, groups, p.cols, x, n)
	case bf16AVX2:
		mulBF16AVX2(&dst[0], p.dstStride, &w[0], p.stride, groups, p.cols, x, n)
	}
}

// MatMulF32F32AVX2 is kernel.Set.MatMulF32. Its error against exact arithmetic is at most (cols/8 + 4) * 2^-24 times
// the sum of the products' magnitudes; so it is for the other float products, whose weights convert exactly.
func MatMulF32F32AVX2(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	mulFloat(f32AVX2, dst, dstStride, w, rows, cols, x, n)
}

// MatMulF16F32AVX2 is kernel.Set.MatMulF16.
func MatMulF16F32AVX2(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	mulFloat(f16AVX2, dst, dstStride, w, rows, cols, x, n)
}

// MatMulBF16F32AVX2 is kernel.Set.MatMulBF16.
func MatMulBF16F32AVX2(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
	mulFloat(bf16AVX2, dst, dstStride, w, rows, cols, x, n)
}
