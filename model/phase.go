package model

import (
	"siskin/model/quant"
)

// product is one matrix product of a region: dst (rows, w.Rows) = w · input row, for every row of the pass.
type product struct {
	w   *Matrix
	dst []float32
	add bool    // add to dst instead of replacing it: the residual connection
	up  *Matrix // if set: dst = silu(w·x) * (up·x), the gated unit in one region
}

const (
	// maxProducts in one region: Q, K and V.
	maxProducts = 3
	// chunkWork is the aim for one claimed piece of a region, in multiply-accumulates: about 15 us at 20 GMAC/s, dear
	// enough to hide the claim, short enough that a descheduled worker holds up little and that garbage collection,
	// which waits for assembly to return, is never delayed noticeably.
	chunkWork = 300_000
	// chunkAlign keeps pieces of a matrix on whole tiles of rows.
	chunkAlign = 16
	// serialRows is the number of rows up to which row-wise steps run on the caller: waking a worker costs more than
	// normalising two rows.
	serialRows = 2
)

// phase holds the arguments of the parallel region under way and the task functions bound once, so that starting a
// region allocates nothing.
type phase struct {
	products [maxProducts]product
	chunks   [maxProducts]int // pieces of each product
	step     [maxProducts]int // matrix rows in a piece
	count    int              // products in use
	cols     int
	input    []float32
	norm     []float32
	layer    int
	refined  bool
	scratch  []float32 // (workers, 2 * rows of a pass, matrix rows of a piece) results on their way to dst

	multiplyTask, quantizeTask, normalizeTask, rotateTask, attendTask func(worker, i int)
}

func (p *phase) bind(s *State) {
	p.multiplyTask, p.quantizeTask, p.normalizeTask = s.multiplyChunk, s.quantizeRow, s.normalizeRow
	p.rotateTask, p.attendTask = s.rotateRow, s.attendGroup
	p.scratch = make([]float32, s.pool.Workers()*s.scratchLen())
}

// scratchLen is the length of one worker's scratch: a piece never has more matrix rows than maxStep.
func (s *State) scratchLen() int { return 2 * s.limits.Rows * s.maxStep() }

// maxStep bounds the matrix rows of a piece whose results pass through scratch.
func (s *State) maxStep() int { return max(chunkAlign, 4096/s.limits.Rows/chunkAlign*chunkAlign) }

// each runs task for every row of the pass: on the caller when there are few.
func (s *State) each(task func(worker, i int)) {
	if len(s.rows) <= serialRows {
		for i := range s.rows {
			task(0, i)
		}
		return
	}
	s.pool.Run(len(s.rows), task)
}

// normalize sets normed = rmsnorm(x) * weight for every row of the pass.
func (s *State) normalize(weight []float32) {
	s.phase.norm = weight
	s.each(s.phase.normalizeTask)
}

func (s *State) normalizeRow(_, i int) {
	dim := s.model.Config.Dim
	s.set.RMSNorm(s.normed[i*dim:(i+1)*dim], s.x[i*dim:(i+1)*dim], s.phase.norm, s.model.Config.NormEpsilon)
}

// precision says how an input is quantised for the formats that want 8-bit activations.
type precision bool

const (
	// plain is one plane of 8 bits.
	plain precision = false
	// refined adds a second plane of 8 bits that holds what the first leaves: the products of both are added, so the
	// activation has 16 bits. The kernels see it as one more activation row, for which the weights are not read again.
	// Measured on SmolLM2-135M (daemon/doc/decisions/0005-refined-activations.md): the projections of
	// the attention and the output matrix cause most of the divergence from exact arithmetic and are a quarter of the
	// work of a pass.
	refined precision = true
)

// multiply runs the products of one input (rows, cols) as one region. The input is quantised once if any of the
// matrices needs it; a refined one is at most refinedWidth wide.
func (s *State) multiply(input []float32, cols int, as precision, products ...product) {
	p := &s.phase
	p.input, p.cols, p.count, p.refined = input, cols, copy(p.products[:], products), bool(as)
	total := 0
	for i := range p.count {
		total += s.split(i)
	}
	for i := range p.count {
		if needsQ8(&p.products[i]) {
			s.each(p.quantizeTask)
			break
		}
	}
	s.pool.Run(total, p.multiplyTask)
	clear(p.products[:]) // keep no reference to weights that may be unmapped
}

func needsQ8(p *product) bool { return !p.w.Type.IsFloat() || p.up != nil && !p.up.Type.IsFloat() }

func (s *State) quantizeRow(_, i int) {
	p, cols, n := &s.phase, s.phase.cols, len(s.rows)
	x := p.input[i*cols : (i+1)*cols]
	if p.refined {
		s.set.QuantizeRefined(s.acts, x, 2*n, i, n+i)
		return
	}
	s.set.Quantize(s.acts, x, n, i)
}

// split divides product i into pieces of about chunkWork and returns their number.
func (s *State) split(i int) int {
	p := &s.phase
	rows := p.products[i].w.Rows
	perRow := p.cols * len(s.rows)
	if p.products[i].up != nil || p.refined {
		perRow *= 2
	}
	step := max(1, chunkWork/perRow/chunkAlign) * chunkAlign
	if p.products[i].add || p.products[i].up != nil || p.refined {
		step = min(step, s.maxStep())
	}
	p.step[i] = step
	p.chunks[i] = (rows + step - 1) / step
	return p.chunks[i]
}

// multiplyChunk computes one piece: matrix rows [from, to) of one product, for all rows of the pass.
func (s *State) multiplyChunk(worker, chunk int) {
	p := &s.phase
	which := 0
	for chunk >= p.chunks[which] {
		chunk -= p.chunks[which]
		which++
	}
	pr := &p.products[which]
	from := chunk * p.step[which]
	to := min(from+p.step[which], pr.w.Rows)
	stride := pr.w.Rows
	switch {
	case pr.up != nil:
		s.product(pr.w, from, to, pr.dst[from:], stride)
		up := s.workerScratch(worker)
		s.product(pr.up, from, to, up, to-from)
		for i := range s.rows {
			gate := pr.dst[i*stride+from : i*stride+to]
			s.set.SiluMul(gate, gate, up[i*(to-from):(i+1)*(to-from)])
		}
	case pr.add || s.twoPlanes(pr.w):
		sum := s.workerScratch(worker)
		s.product(pr.w, from, to, sum, to-from)
		for i := range s.rows {
			dst, src := pr.dst[i*stride+from:i*stride+to], sum[i*(to-from):(i+1)*(to-from)]
			if !pr.add {
				copy(dst, src)
				continue
			}
			for j, f := range src {
				dst[j] += f
			}
		}
	default:
		s.product(pr.w, from, to, pr.dst[from:], stride)
	}
}

// twoPlanes reports whether the products with w are sums over two planes of activations.
func (s *State) twoPlanes(w *Matrix) bool { return s.phase.refined && !w.Type.IsFloat() }

func (s *State) workerScratch(worker int) []float32 {
	n := s.scratchLen()
	return s.phase.scratch[worker*n : (worker+1)*n]
}

// product multiplies matrix rows [from, to) with the region's input. For two planes dst must be tight and have room for
// twice the rows: the second half holds the products of the second plane until they are added.
func (s *State) product(w *Matrix, from, to int, dst []float32, dstStride int) {
	cols, n := s.phase.cols, len(s.rows)
	if float := s.set.Float(w.Type); float != nil {
		float(dst, dstStride, w.slice(from, to), to-from, cols, s.phase.input[:n*cols], n)
		return
	}
	planes := n
	if s.twoPlanes(w) {
		planes = 2 * n
	}
	acts := s.acts[:planes*cols/quant.ActBlock*quant.ActBytes]
	s.matmul(w, dst, dstStride, from, to, acts, planes)
	if planes == n {
		return
	}
	low := dst[n*dstStride : 2*n*dstStride]
	for i, f := range low {
		dst[i] += f
	}
}
