package model

import (
	"siskin/model/arena"
	"siskin/model/quant"
)

// input is what the products of a region share: rows of the residual stream, normalised, or rows of x.
type input struct {
	norm *Norm     // of the residual stream; nil: x is taken as it is
	x    []float32 // (rows, cols)
	cols int
	// refined adds a second plane of 8 bits that holds what the first leaves: the products of both are added, so the
	// activation has 16 bits. The kernels see it as one more activation row, for which the weights are not read again.
	// Measured on SmolLM2-135M (daemon/doc/decisions/0005-refined-activations.md): the projections of the attention and the
	// output matrix cause most of the divergence from exact arithmetic and are a quarter of the work of a pass.
	refined bool
	// listed: small blocks of the second plane are left out (quant.DropSmall): those matter least, and the second plane is a
	// fifth of the products of a pass. Only where a region multiplies for every row: decoding waits for memory, not for it.
	listed bool
	// ready: the region before has quantised x already, see product.next.
	ready bool
	// then is the region that follows at once, if it is known, see State.ahead.
	then region
}

// product is one matrix product of a region: dst (rows, w.Rows) = w · input row, for every row of the pass.
type product struct {
	w   *Matrix
	dst []float32
	// stride of the rows of dst; 0: w.Rows.
	stride int
	add    bool // add to dst instead of replacing it: the residual connection
	act    Activation
	up     *Matrix // if set: dst = act(w·x) * (up·x), the gated unit in one region
	// The biases (w.Rows) are added to the products, or nil; then comes scale, 0 as 1, and cap, see Config.LogitCap.
	bias, upBias []float32
	scale, cap   float32
	// next is the matrix that dst is multiplied with in the region that follows: dst is then quantised for it, piece by
	// piece while it is in the cache.
	next *Matrix
}

const (
	// maxProducts in one region: those of a gated delta net; attention has three.
	maxProducts = 4
	// A piece of a region that a worker claims ends after chunkBytes of weights, which a slow memory takes 10 us to
	// deliver, or chunkWork multiply-accumulates, twice as long on a fast core: dear enough to hide the claim, short enough that
	// the workers end together, that a descheduled one holds up little, and that garbage collection, which waits for assembly
	// to return, is never delayed noticeably.
	chunkBytes = 16 << 10
	chunkWork  = 2_000_000
	// chunkAlign keeps pieces of a matrix on whole tiles of rows, and their results on whole blocks of activations.
	chunkAlign = 32
	// serialRows is the number of rows up to which row-wise steps run on the caller: waking a worker costs more than
	// normalising two rows.
	serialRows = 2
)

// phase holds the arguments of the parallel region under way and the task functions bound once, so that starting a
// region allocates nothing.
type phase struct {
	input
	products  [maxProducts]product
	chunks    [maxProducts]int // pieces of each product
	step      [maxProducts]int // matrix rows in a piece
	count     int              // products in use
	of        *Attention       // under way
	post      *Norm            // that addNormed adds by
	quantise  bool             // the attention quantises its result
	storeLate bool             // the attention stores keys and values, see State.store
	keep      []uint64         // (cols/32, 2 * rows / 64) masks of the blocks of acts that are not zeros, of a listed input
	kept      []uint64         // (rows, quant.KeptWords) blocks of the second plane that were kept, of a listed input
	acts      []byte           // (cols/32, planes*rows) quant.Acts: the quantised input
	next      []byte           // the same for the region that follows
	scratch   []float32        // (workers, 2 * rows of a pass, matrix rows of a piece) results on their way to dst

	multiplyTask, prepareTask, dropTask, addNormedTask, endTask, wideNormTask, storeTask, attendTask, partTask func(worker, i int)
}

func (p *phase) bind(s *State) {
	p.multiplyTask, p.prepareTask, p.dropTask, p.addNormedTask = s.multiplyChunk, s.prepareRow, s.dropRow, s.addNormedRow
	p.endTask = s.endRow
	p.wideNormTask, p.storeTask, p.attendTask, p.partTask = s.wideNormRow, s.storeStretch, s.attendBlock, s.attendOne
}

// place takes the buffers of a pool of so many workers from a.
func (p *phase) place(s *State, a *arena.Arena, workers int) {
	c := &s.model.Config
	p.scratch = a.Floats(workers * s.scratchLen())
	size := s.limits.Rows * max(c.Dim, c.FFN, 2*c.refinedWidth()) / quant.ActBlock * quant.ActBytes
	p.acts, p.next = a.Bytes(size), a.Bytes(size)
	p.keep = make([]uint64, quant.ListWords(2*s.limits.Rows, c.refinedWidth()))
	p.kept = make([]uint64, s.limits.Rows*quant.KeptWords(c.refinedWidth()))
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

// multiply runs the products of one input as one region. The input is normalised and quantised once, row by row, if any
// of the matrices needs it; a refined one is at most refinedWidth wide.
func (s *State) multiply(in input, products ...product) {
	p := &s.phase
	p.input, p.count = in, copy(p.products[:], products)
	total, quantised := 0, false
	for i := range p.count {
		total += s.split(i)
		quantised = quantised || needsQ8(&p.products[i])
	}
	if in.norm != nil {
		p.x = s.normal
	}
	p.listed = in.listed && quantised && s.set.MatMulListed[p.products[0].w.Type] != nil
	switch {
	case in.norm != nil || quantised && !in.ready:
		s.each(p.prepareTask)
	case p.listed:
		s.each(p.dropTask)
	}
	s.adaptRegion()
	if p.listed {
		n := len(s.rows)
		quant.ListKept(p.keep[:quant.ListWords(2*n, p.cols)], p.kept[:n*quant.KeptWords(p.cols)], n, p.cols/quant.ActBlock)
	}
	s.pool.RunAhead(total, p.multiplyTask, s.ahead(in.then))
	if p.products[0].next != nil {
		p.acts, p.next = p.next, p.acts
	}
	clear(p.products[:]) // keep no reference to weights that may be unmapped
}

func needsQ8(p *product) bool { return !p.w.Type.IsFloat() || p.up != nil && !p.up.Type.IsFloat() }

// leastRefined is the square of a block's scale, against the mean of its row, from which on it has a second plane. Decision
// record 0013 has what it costs and gains.
const leastRefined = 0.5

// planes is the quantised input of n rows, those of both planes.
func (p *phase) planes(n int) []byte { return p.acts[:n*p.cols/quant.ActBlock*quant.ActBytes] }

// dropRow drops the small blocks of the second plane of row i, for a set that gains by a list of the others.
func (s *State) dropRow(_, i int) {
	n := len(s.rows)
	words := quant.KeptWords(s.phase.cols)
	quant.DropSmall(s.phase.planes(2*n), n, i, leastRefined, s.phase.kept[i*words:(i+1)*words])
}

// prepareRow normalises row i of the input if it is to be, and quantises it. A region of float weights alone does not look
// at the quantised form; no known model has more than a few of them.
func (s *State) prepareRow(_, i int) {
	p, cols, n := &s.phase, s.phase.cols, len(s.rows)
	x := p.x[i*cols : (i+1)*cols]
	if p.norm != nil {
		s.normalise(x, s.x[i*cols:(i+1)*cols], p.norm)
	}
	if cols%quant.ActBlock != 0 {
		return // no block format has such rows
	}
	if p.refined {
		s.set.QuantizeRefined(p.acts, x, 2*n, i, n+i)
		if p.listed {
			s.dropRow(0, i)
		}
		return
	}
	s.set.Quantize(p.acts, x, n, i)
}

// split divides product i into pieces of about equal size and returns their number.
func (s *State) split(i int) int {
	p := &s.phase
	pr := &p.products[i]
	perRow, rowBytes := p.cols*len(s.rows), pr.w.rowBytes
	if pr.up != nil {
		perRow, rowBytes = 2*perRow, 2*rowBytes
	}
	if p.refined {
		perRow *= 2
	}
	step := max(1, min(chunkBytes/rowBytes, chunkWork/perRow)/chunkAlign) * chunkAlign
	if pr.add || pr.act != NoActivation || p.refined {
		step = min(step, s.maxStep())
	}
	p.chunks[i] = (pr.w.Rows + step - 1) / step
	even := (pr.w.Rows + p.chunks[i] - 1) / p.chunks[i]
	p.step[i] = (even + chunkAlign - 1) / chunkAlign * chunkAlign
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
	if from >= to {
		return // the pieces before were rounded up
	}
	stride := pr.rowStride()
	switch {
	case pr.act != NoActivation:
		s.gateChunk(worker, which, from, to)
	case pr.add || s.twoPlanes(pr.w):
		sum := s.workerScratch(worker)
		s.product(pr.w, from, to, sum, to-from)
		s.adapt(worker, which*factorsOf, pr.w, from, to, sum, to-from)
		pr.finishRows(sum, to-from, len(s.rows), from, to)
		for i := range s.rows {
			dst, src := pr.dst[i*stride+from:i*stride+to], sum[i*(to-from):(i+1)*(to-from)]
			if pr.add {
				s.set.Add(dst, src)
			} else {
				copy(dst, src)
			}
		}
	default:
		s.product(pr.w, from, to, pr.dst[from:], stride)
		s.adapt(worker, which*factorsOf, pr.w, from, to, pr.dst[from:], stride)
		pr.finishRows(pr.dst[from:], stride, len(s.rows), from, to)
	}
}

func (pr *product) rowStride() int {
	if pr.stride != 0 {
		return pr.stride
	}
	return pr.w.Rows
}

// finishRows is finish for n rows of results of the matrix rows [from, to), stride apart.
func (pr *product) finishRows(x []float32, stride, n, from, to int) {
	if pr.bias == nil && (pr.scale == 0 || pr.scale == 1) && pr.cap == 0 {
		return // calls that do nothing, one for each row of each piece, took 1 % of a prefill
	}
	for i := range n {
		pr.finish(x[i*stride:][:to-from], from)
	}
}

// finish applies bias, scale and cap to results of the matrix rows from from on.
func (pr *product) finish(x []float32, from int) {
	if pr.bias != nil {
		addBias(x, pr.bias[from:])
	}
	if pr.scale != 0 && pr.scale != 1 {
		scale(x, pr.scale)
	}
	if pr.cap != 0 {
		softCap(x, pr.cap)
	}
}

func addBias(x, bias []float32) {
	for i := range x {
		x[i] += bias[i]
	}
}

// gateChunk computes columns [from, to) of the unit, of all rows together in the worker's scratch, and quantises them for the matrix
// that follows. As numbers they are kept only where somebody else reads them.
func (s *State) gateChunk(worker, which, from, to int) {
	pr, memory := &s.phase.products[which], s.workerScratch(worker)
	cols, n := to-from, len(s.rows)
	gate, up := memory[:n*cols], memory[n*cols:2*n*cols]
	s.product(pr.w, from, to, gate, cols)
	s.adapt(worker, which*factorsOf, pr.w, from, to, gate, cols)
	pr.finishRows(gate, cols, n, from, to)
	if pr.up == nil {
		s.activateAlone(pr.act, gate, up)
	} else {
		s.product(pr.up, from, to, up, cols)
		s.adapt(worker, which*factorsOf+1, pr.up, from, to, up, cols)
		if pr.upBias != nil {
			for i := range n {
				addBias(up[i*cols:(i+1)*cols], pr.upBias[from:])
			}
		}
		s.activate(pr.act, gate, up)
	}
	quantised := pr.next != nil && !pr.next.Type.IsFloat()
	if quantised {
		next := s.phase.next[from/quant.ActBlock*n*quant.ActBytes:]
		if cols == quant.ActBlock { // the blocks of all rows lie side by side
			s.set.Quantize(next[:n*quant.ActBytes], gate, 1, 0)
		} else {
			for i := range n {
				s.set.Quantize(next, gate[i*cols:(i+1)*cols], n, i)
			}
		}
	}
	if !quantised || len(s.adapters.list) > 0 {
		stride := pr.rowStride()
		for i := range n {
			copy(pr.dst[i*stride+from:i*stride+to], gate[i*cols:(i+1)*cols])
		}
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
		float(dst, dstStride, w.slice(from, to), to-from, cols, s.phase.x[:n*cols], n)
		return
	}
	planes, keep := n, []uint64(nil)
	if s.twoPlanes(w) {
		planes = 2 * n
		if s.phase.listed {
			keep = s.phase.keep[:quant.ListWords(planes, cols)]
		}
	}
	acts := s.phase.planes(planes)
	s.matmul(w, dst, dstStride, from, to, acts, planes, keep)
	if planes > n {
		s.set.Add(dst[:n*dstStride], dst[n*dstStride:2*n*dstStride])
	}
}
