//go:build !purego

package kernels

// vnniTokens is how many activation rows one assembly call takes, and vnniWord how many a mask has, as in _asm.
const vnniTokens, vnniWord = 128, 64

// Bounds of one assembly call, so that it ends within 250 us: at 40 GMAC/s for many activation rows, a quarter of what a
// CPU with AVX-512 VNNI at 2 GHz does, and at 4 GB/s for one.
const (
	vnniMACs  = 8 << 20
	vnniBytes = 1 << 20
)

// vnniProduct is what a product was asked for, after the checks.
type vnniProduct struct {
	format    Format
	dst       []float32
	dstStride int
	w         []byte
	rowBytes  int
	stride    int // bytes from row to row of w; negative: w is packed
	blocks    int // of a row
	cols      int
	acts      []byte
	n         int
	keep      []uint64 // masks of the rows that count, see MatMulListedVNNI; nil: all
}

// MatMulVNNI is kernel.Set.MatMulQ8 for weights of format f with AVX-512 VNNI, or, for packed ones with units of 4 bytes,
// kernel.Set.MatMulPacked, with the same bits.
func MatMulVNNI(f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	MatMulListedVNNI(f, packed, dst, dstStride, w, rows, cols, acts, n, nil)
}

// MatMulListedVNNI is MatMulVNNI for activations of which many blocks are zeros: keep is (cols/32, n/64 rounded up) masks, bit
// t%64 of mask t/64 of a block says that it has to be multiplied for activation row t. The others have to be zeros; then the
// results have the same bits. nil stands for all.
func MatMulListedVNNI(
	f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64,
) {
	bytes, _ := f.block()
	blocks := f.blocks(cols)
	p := vnniProduct{f, dst, dstStride, w, blocks * bytes, blocks * bytes, blocks, cols, acts, n, keep}
	if packed {
		must(rows%groupRows == 0, "rows are not whole groups", rows, rows/groupRows*groupRows)
		p.stride = -1
	}
	checkProduct(dst, dstStride, w, p.rowBytes, rows, cols, n)
	must(len(acts) == n*cols/actLen*actBytes, "quantised activations", len(acts), n*cols/actLen*actBytes)
	if keep != nil {
		must(len(keep) == cols/actLen*maskWords(n), "masks of activation rows", len(keep), cols/actLen*maskWords(n))
	}
	if rows == 0 || n == 0 {
		return
	}
	raceRead(acts)
	if rows < groupRows {
		p.few(rows)
	} else {
		p.many(rows)
	}
}

// maskWords is the number of masks of a block of n activation rows.
func maskWords(n int) int { return (n + vnniWord - 1) / vnniWord }

// many computes at least a group of rows. Where rows are not pairs of groups, the last pair overlaps the one before, or its
// groups overlap each other, and some results are stored twice.
func (p *vnniProduct) many(rows int) {
	const pair = 2 * groupRows
	tokens, pairs := min(p.n, vnniTokens), 1
	if most := max(1, vnniMACs/(pair*p.cols)); tokens > most {
		tokens = most
		if most >= vnniWord {
			tokens = vnniWord
		} else {
			p.keep = nil // a call takes whole masks
		}
	}
	if rows >= 2*pair {
		pairs = max(1, min(vnniMACs/(pair*p.cols*tokens), vnniBytes/(pair*p.rowBytes)))
	}
	for r := 0; r < rows; r += pairs * pair {
		some := min(pairs*pair, rows-r)
		for t := 0; t < p.n; t += tokens {
			n := min(tokens, p.n-t)
			if some >= pair {
				p.call(p.dst[t*p.dstStride+r:], groupRows, p.w[r*p.rowBytes:], some/pair, t, n)
			}
			if some%pair != 0 {
				last := max(0, rows-pair)
				p.call(p.dst[t*p.dstStride+last:], min(groupRows, rows-last-groupRows), p.w[last*p.rowBytes:], 1, t, n)
			}
		}
	}
}

// few computes fewer rows than a group has: each in all lanes at once.
func (p *vnniProduct) few(rows int) {
	var out [vnniTokens * groupRows]float32
	tokens := max(1, min(vnniTokens, vnniMACs/(2*groupRows*p.cols)))
	one := *p
	one.stride, one.dstStride, one.keep = 0, groupRows, nil
	for r := range rows {
		for t := 0; t < p.n; t += tokens {
			n := min(tokens, p.n-t)
			one.call(out[:], 0, p.w[r*p.rowBytes:], 1, t, n)
			for i := range n {
				p.dst[(t+i)*p.dstStride+r] = out[i*groupRows]
			}
		}
	}
}

// call runs the function for pairs of groups from w on, the second group second rows after the first, and n tokens from
// token t on; dst[0] is the first result.
func (p *vnniProduct) call(dst []float32, second int, w []byte, pairs, t, n int) {
	all := [vnniTokens / vnniWord]uint64{^uint64(0), ^uint64(0)}
	all[(n-1)/vnniWord] >>= -n % vnniWord & (vnniWord - 1)
	keep, next := &all[0], 0
	if p.keep != nil {
		keep, next = &p.keep[t/vnniWord], 8*maskWords(p.n)
	}
	d, wp, acts, apart := &dst[0], &w[0], &p.acts[t*actBytes], second*p.rowBytes
	switch p.format {
	case Q40:
		mulQ40VNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q41:
		mulQ41VNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q50:
		mulQ50VNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q51:
		mulQ51VNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q80:
		mulQ80VNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case IQ4NL:
		mulIQ4NLVNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case IQ4XS:
		mulIQ4XSVNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q2K:
		mulQ2KVNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q3K:
		mulQ3KVNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q4K:
		mulQ4KVNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q5K:
		mulQ5KVNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	case Q6K:
		mulQ6KVNNI(d, p.dstStride, second, wp, p.stride, apart, pairs, p.blocks, acts, p.n, n, keep, next)
	}
}
