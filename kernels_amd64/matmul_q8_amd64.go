//go:build !purego

package kernels

const (
	blockLen   = 32   // columns that share a scale, in all formats here and in the activations
	maxTokens  = 32   // activation rows of one assembly call; as in _asm
	maxOffsets = 4096 // blocks of all activation rows of one assembly call, for formats with an offset; as in _asm
)

// Bounds of one assembly call, so that it ends within 250 us: at 17 GMAC/s for many activation rows, a third of what slow
// CPUs with AVX2 do, and at 4 GB/s for one.
const (
	callMACs  = 4 << 20
	callBytes = 1 << 20
)

// q8Kernel is one assembly function. A number, not a function value: pointers that go through a function value escape to
// the heap.
type q8Kernel uint8

const (
	q40AVX2 q8Kernel = iota
	q41AVX2
	q50AVX2
	q51AVX2
	q80AVX2
	q40VNNI
	q41VNNI
	q50VNNI
	q51VNNI
	q80VNNI
)

// lanes is the number of rows that the function computes at once.
func (k q8Kernel) lanes() int {
	if k >= q40VNNI {
		return 16
	}
	return 8
}

// avx2 is the function for the same format with 8 rows; it gives the same bits.
func (k q8Kernel) avx2() q8Kernel {
	if k >= q40VNNI {
		return k - q40VNNI + q40AVX2
	}
	return k
}

// blockBytes is the size of a block of weights.
func (k q8Kernel) blockBytes() int {
	return [...]int{q40AVX2: 18, q41AVX2: 20, q50AVX2: 22, q51AVX2: 24, q80AVX2: 34}[k.avx2()]
}

// hasOffset tells the functions that sum up activations on their stack.
func (k q8Kernel) hasOffset() bool {
	return k == q40AVX2 || k == q50AVX2 || k == q40VNNI || k == q50VNNI || k == q80VNNI
}

// q8Product is what a MatMulQ8 function was asked for, after the checks.
type q8Product struct {
	dst       []float32
	dstStride int
	w         []byte
	stride    int // bytes from row to row of w
	blocks    int // of a row
	q         []int8
	d, s      []float32
	n         int
}

// mulQ8 checks and computes a product with function k.
func mulQ8(k q8Kernel, dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	must(cols%blockLen == 0, "columns are not a multiple of 32", cols, cols/blockLen*blockLen)
	p := q8Product{dst, dstStride, w, cols / blockLen * k.blockBytes(), cols / blockLen, q, d, s, n}
	checkProduct(dst, dstStride, w, p.stride, rows, cols, n)
	must(len(q) == n*cols, "quantised activations", len(q), n*cols)
	must(len(d) == n*p.blocks, "activation scales", len(d), n*p.blocks)
	must(len(s) == n*p.blocks, "activation sums", len(s), n*p.blocks)
	if rows == 0 || n == 0 {
		return
	}
	raceRead(q)
	raceRead(d)
	raceRead(s)
	if rows < k.lanes() || p.blocks > maxOffsets {
		k = k.avx2()
	}
	switch {
	case k.hasOffset() && p.blocks > maxOffsets:
		p.wide(k, rows)
	case rows < k.lanes():
		p.few(k, rows)
	default:
		p.many(k, rows)
	}
}

// many computes at least k.lanes() rows. Where rows is not a multiple of the lanes, the last group overlaps the one before
// and some results are stored twice.
func (p *q8Product) many(k q8Kernel, rows int) {
	lanes := k.lanes()
	groupMACs := lanes * p.blocks * blockLen
	tokens := min(p.n, maxTokens, max(1, callMACs/groupMACs))
	if k.hasOffset() {
		tokens = min(tokens, maxOffsets/p.blocks)
	}
	chunk := lanes * max(1, min(callMACs/(groupMACs*tokens), callBytes/(lanes*p.stride)))
	for r := 0; r < rows; r += chunk {
		some := min(chunk, rows-r)
		for t := 0; t < p.n; t += tokens {
			n := min(tokens, p.n-t)
			if groups := some / lanes; groups > 0 {
				p.call(k, p.dst[t*p.dstStride+r:], p.w[r*p.stride:], groups, t, n)
			}
			if some%lanes != 0 {
				last := r + some - lanes
				p.call(k, p.dst[t*p.dstStride+last:], p.w[last*p.stride:], 1, t, n)
			}
		}
	}
}

// few computes fewer rows than k has lanes: each in all lanes at once.
func (p *q8Product) few(k q8Kernel, rows int) {
	var out [16]float32
	one := *p
	one.stride = 0
	for r := range rows {
		for t := range p.n {
			one.call(k, out[:], p.w[r*p.stride:], 1, t, 1)
			p.dst[t*p.dstStride+r] = out[0]
		}
	}
}

// wide computes rows that are too long for the offsets of one call, in pieces that depend on nothing but the length.
// Each row takes all lanes, so it is slow, but no known model has such rows.
func (p *q8Product) wide(k q8Kernel, rows int) {
	var out [16]float32
	for r := range rows {
		for t := range p.n {
			var sum float32
			for b := 0; b < p.blocks; b += maxOffsets {
				at, end := t*p.blocks+b, t*p.blocks+min(b+maxOffsets, p.blocks)
				piece := q8Product{blocks: end - at, q: p.q[at*blockLen:], d: p.d[at:], s: p.s[at:]}
				piece.call(k, out[:], p.w[r*p.stride+b*k.blockBytes():], 1, 0, 1)
				sum += out[0]
			}
			p.dst[t*p.dstStride+r] = sum
		}
	}
}

// call runs function k for groups of rows from w on and n tokens from token t on; dst[0] is the first result.
func (p *q8Product) call(k q8Kernel, dst []float32, w []byte, groups, t, n int) {
	q, d, s := &p.q[t*p.blocks*blockLen], &p.d[t*p.blocks], &p.s[t*p.blocks]
	switch k {
	case q40AVX2:
		mulQ40AVX2(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q41AVX2:
		mulQ41AVX2(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q50AVX2:
		mulQ50AVX2(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q51AVX2:
		mulQ51AVX2(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q80AVX2:
		mulQ80AVX2(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q40VNNI:
		mulQ40VNNI(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q41VNNI:
		mulQ41VNNI(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q50VNNI:
		mulQ50VNNI(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q51VNNI:
		mulQ51VNNI(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	case q80VNNI:
		mulQ80VNNI(&dst[0], p.dstStride, &w[0], p.stride, groups, p.blocks, q, d, s, n)
	}
}

// MatMulQ40Q8AVX2 is kernel.Set.MatMulQ8 for Q4_0 weights, bit for bit that of the reference.
func MatMulQ40Q8AVX2(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q40AVX2, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ40Q8VNNI is kernel.Set.MatMulQ8 for Q4_0 weights with AVX-512 VNNI, bit for bit that of the reference.
func MatMulQ40Q8VNNI(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q40VNNI, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ41Q8AVX2 is kernel.Set.MatMulQ8 for Q4_1 weights, bit for bit that of the reference.
func MatMulQ41Q8AVX2(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q41AVX2, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ41Q8VNNI is kernel.Set.MatMulQ8 for Q4_1 weights with AVX-512 VNNI, bit for bit that of the reference.
func MatMulQ41Q8VNNI(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q41VNNI, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ50Q8AVX2 is kernel.Set.MatMulQ8 for Q5_0 weights, bit for bit that of the reference.
func MatMulQ50Q8AVX2(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q50AVX2, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ50Q8VNNI is kernel.Set.MatMulQ8 for Q5_0 weights with AVX-512 VNNI, bit for bit that of the reference.
func MatMulQ50Q8VNNI(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q50VNNI, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ51Q8AVX2 is kernel.Set.MatMulQ8 for Q5_1 weights, bit for bit that of the reference.
func MatMulQ51Q8AVX2(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q51AVX2, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ51Q8VNNI is kernel.Set.MatMulQ8 for Q5_1 weights with AVX-512 VNNI, bit for bit that of the reference.
func MatMulQ51Q8VNNI(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q51VNNI, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ80Q8AVX2 is kernel.Set.MatMulQ8 for Q8_0 weights, bit for bit that of the reference.
func MatMulQ80Q8AVX2(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q80AVX2, dst, dstStride, w, rows, cols, q, d, s, n)
}

// MatMulQ80Q8VNNI is kernel.Set.MatMulQ8 for Q8_0 weights with AVX-512 VNNI, bit for bit that of the reference.
func MatMulQ80Q8VNNI(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
	mulQ8(q80VNNI, dst, dstStride, w, rows, cols, q, d, s, n)
}
