package kernel

import (
	"math"
	"unsafe"

	"siskin/model/quant"
)

// Attention is the part of a Set that serves attention; see quant for what each function computes. What lies at the same
// place of ahead, which is another block or empty, is brought into the cache meanwhile.
type Attention struct {
	// KeyTile and ValueTile unpack blocks in F16 as quant.KeyTile and quant.ValueTile do.
	KeyTile, ValueTile func(dst []float32, block, ahead []byte, headDim, n int)
	TileProduct        func(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32)

	// KeyProduct and ValueProduct are KeyTile and ValueTile with the product in one, with the same bits, for few query
	// vectors: scores is (m, 64), q (m, headDim), p (m, 64), out (m, headDim) with headDim in whole vectors of 16. nil
	// where there are none.
	KeyProduct   func(scores, q []float32, keys, ahead []byte, headDim, m, n int)
	ValueProduct func(out, p, keep []float32, values, ahead []byte, headDim, m, n int)

	// Hadamard and QuantizeKV are what quant has of these names, for Q8 and Q4.
	Hadamard   func(x []float32, block int, scale float32)
	QuantizeKV func(dst []byte, scale, x []float32, block int)
	// QuantizeRows is for KeyScores and MixValues of the same set: it arranges the integers as they like it.
	QuantizeRows func(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int)
	// KeyScores and MixValues by format; nil for F16.
	KeyScores [quant.NumKVFormats]KeyScores
	MixValues [quant.NumKVFormats]MixValues

	SoftmaxTile func(scores []float32, m, cols int, top, sum, scale []float32)
	FoldRows    func(dst, src []float32, width, m int, keep, add []float32)
	Rotate      func(x []float32, heads, headDim int, cos, sin []float32, scale float32)
	// RotateHalves is Rotate for the other order of pairs, see quant.
	RotateHalves func(x []float32, heads, headDim int, cos, sin []float32, scale float32)
}

// KeyScores computes the scores of query vectors with the keys of one page, as quant.KeyScores does.
type KeyScores func(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int)

// MixValues adds the weighted values of one page to results, as quant.MixValues does.
type MixValues func(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int)

func genericAttention() Attention {
	a := Attention{
		KeyTile: func(dst []float32, block, _ []byte, headDim, n int) {
			quant.KeyTile(quant.KVF16, dst, block, headDim, n)
		},
		ValueTile: func(dst []float32, block, _ []byte, headDim, n int) {
			quant.ValueTile(quant.KVF16, dst, block, headDim, n)
		},
		TileProduct: quant.TileProduct, Hadamard: quant.Hadamard, QuantizeKV: quant.QuantizeKV, QuantizeRows: quant.QuantizeRows,
		SoftmaxTile: quant.SoftmaxTile, FoldRows: quant.FoldRows, Rotate: quant.Rotate,
		RotateHalves: quant.RotateHalves,
	}
	for _, f := range []quant.KVFormat{quant.KVQ8, quant.KVQ4} {
		a.KeyScores[f] = func(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, _ []byte, headDim, m, n int) {
			quant.KeyScores(f, scores, q, scale, sum, x, keys, headDim, m, n)
		}
		a.MixValues[f] = func(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, _ []byte, headDim, m, n int) {
			quant.MixValues(f, out, p, scale, sum, keep, values, headDim, m, n)
		}
	}
	return a
}

// Attend computes attention for some query vectors of one key-value head: for each part of the context Begin, Page for its
// pages, and Fold. Parts may be computed by several workers, if one of them folds all in order. An Attend holds what a
// worker needs, which does not depend on the length of the context; it belongs to one goroutine.
type Attend struct {
	set    *Set
	format quant.KVFormat
	head   int     // columns of a head
	block  int     // columns that share a scale, of Q8 and Q4
	dim    int     // columns that the format keeps of it; those beyond head are zero
	width  int     // dim in whole vectors
	rows   int     // query vectors under way
	cap    float32 // limit of scores, as an exponent of two; 0: none

	tile    []float32 // (dim, 64) keys, then (64, width) values, of F16
	query   []float32 // (rows, dim)
	score   []float32 // (rows, 64)
	scale   []float32 // (rows)
	own     []float32 // a part, where the caller has no place for it
	whole   []float32 // the parts that were folded
	part    Part      // under way
	total   Part      // in whole
	divided bool      // total.out is the result
	unused  []float32 // (rows, 16) sums that nobody asks for
	hidden  [quant.KVPage]float32
	stored  []byte // (dim) what is kept of a key or a value: binary16 or, for Q8 and Q4, integers

	// Of Q8 and Q4:
	less      []float32 // (dim) a key or a value on the way to stored
	scales    []float32 // (dim/block) of stored
	quantised bool      // queries are those of query, which is turned
	queries   integers  // (rows) of dim values
	weights   integers  // (rows, dim/block) of 64 values
}

// Part is what attention over some pages leaves for some query vectors.
type Part struct {
	out []float32 // (rows, width)
	sum []float32 // (rows, 16)
	top []float32 // (rows)
}

// PartLen is the number of float32 values of a Part of some query vectors over keys and values in format f.
func PartLen(f quant.KVFormat, headDim, rows int) int {
	return rows*(f.KVWidth(headDim)+sumLanes) + (rows+sumLanes-1)/sumLanes*sumLanes
}

// partIn divides memory of PartLen values.
func (a *Attend) partIn(memory []float32, rows int) Part {
	sums := memory[rows*a.width:]
	return Part{out: memory[:rows*a.width], sum: sums[:rows*sumLanes], top: sums[rows*sumLanes:][:rows]}
}

func (p *Part) reset() {
	clear(p.out)
	clear(p.sum)
	for i := range p.top {
		p.top[i] = float32(math.Inf(-1))
	}
}

// NewAttend makes one for at most rows query vectors of headDim columns over keys and values in format f.
func NewAttend(set *Set, f quant.KVFormat, headDim, rows int) *Attend {
	a := &Attend{set: set, format: f, head: headDim, dim: f.KVColumns(headDim), width: f.KVWidth(headDim)}
	a.query = AlignedFloats(rows * a.dim)
	a.score = AlignedFloats(rows * quant.KVPage)
	a.scale = AlignedFloats(2 * rows)
	a.own, a.whole = AlignedFloats(PartLen(f, headDim, rows)), AlignedFloats(PartLen(f, headDim, rows))
	a.unused = AlignedFloats(rows * sumLanes)
	for i := range a.hidden {
		a.hidden[i] = float32(math.Inf(-1))
	}
	if f == quant.KVF16 {
		a.tile = AlignedFloats(quant.KVPage * a.width)
		a.stored = make([]byte, 2*headDim)
		return a
	}
	a.block = f.KVBlock(headDim)
	blocks := a.dim / a.block
	a.stored, a.less, a.scales = make([]byte, a.dim), AlignedFloats(a.dim), make([]float32, blocks)
	a.queries = newIntegers(rows, a.dim, rows*blocks)
	a.weights = newIntegers(rows*blocks, quant.KVPage, rows*blocks)
	return a
}

// integers is what QuantizeRows makes of rows.
type integers struct {
	q     []byte
	scale []float32
	sum   []int32
}

func newIntegers(vectors, n, sums int) integers {
	return integers{q: quant.NewActs(2 * vectors * n), scale: make([]float32, vectors), sum: make([]int32, sums)}
}

// from is what belongs to the vectors from v on, with n values and some sums each.
func (i *integers) from(v, n, sums int) (q []byte, scale []float32, sum []int32) {
	return i.q[2*v*n:], i.scale[v:], i.sum[v*sums:]
}

func (i *integers) bytes() int { return len(i.q) + 4*len(i.scale) + 4*len(i.sum) }

// sumLanes is the number of partial sums of the weights of a query.
const sumLanes = 16

// AlignedFloats returns n zeros that begin a cache line: a vector of 64 bytes that straddles two costs two loads.
func AlignedFloats(n int) []float32 {
	b := quant.NewActs(4 * n)
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// Bytes returns the memory that a holds.
func (a *Attend) Bytes() int {
	floats := len(a.tile) + len(a.query) + len(a.score) + len(a.scale) + len(a.own) + len(a.whole) + len(a.unused) + len(a.less) + len(a.scales) + len(a.hidden)
	return 4*floats + len(a.stored) + a.queries.bytes() + a.weights.bytes()
}

// Store keeps the key and the value (headDim each) of position pos of a page in its blocks. Position 0 comes first.
func (a *Attend) Store(keys, values []byte, pos int, key, value []float32) {
	if a.format == quant.KVF16 {
		a.set.ToF16(a.stored, key)
		quant.KeyF16(keys, a.stored, pos)
		a.set.ToF16(quant.ValueRow(values, pos), value)
		return
	}
	keyTurn, _ := a.format.KeyTurn(a.head)
	copy(a.less, key)
	clear(a.less[a.head:])
	a.set.Hadamard(a.less, a.block, keyTurn)
	if pos == 0 {
		a.format.FirstKey(keys, a.less)
	}
	a.format.KeyDifference(a.less, keys)
	a.set.QuantizeKV(a.stored, a.scales, a.less, a.block)
	a.format.StoreKey(keys, a.stored, a.scales, pos)
	copy(a.less, value)
	clear(a.less[a.head:])
	if turn, _, turned := a.format.ValueTurn(a.head); turned {
		a.set.Hadamard(a.less, a.block, turn)
	}
	a.set.QuantizeKV(a.stored, a.scales, a.less, a.block)
	a.format.StoreValue(values, a.stored, a.scales, pos)
}

// Start begins the attention of rows query vectors.
func (a *Attend) Start(rows int) {
	a.rows, a.quantised, a.divided = rows, false, false
	a.total = a.partIn(a.whole, rows)
	a.total.reset()
}

// Query is the place of query vector r (headDim), multiplied by log2(e)/sqrt(headDim); to be filled after Start, all before
// the first Page.
func (a *Attend) Query(r int) []float32 { return a.query[r*a.dim:][:a.head] }

// Page is the keys and values of one page, and those that will follow.
type Page struct {
	Keys, Values         []byte
	NextKeys, NextValues []byte // empty after the last
}

// Begin starts a part in memory, PartLen values, or in a place of its own for nil.
func (a *Attend) Begin(memory []float32) {
	if memory == nil {
		memory = a.own
	}
	a.part = a.partIn(memory, a.rows)
	a.part.reset()
}

// Span says which positions of a page the query vectors see: vector r those in [From + r/Group, To + r/Group), of which
// there may be none, and which may reach beyond the page on either side. Group is the number of query vectors of a row, so
// that each row sees one position more; with AllAlike all see the same, as in an encoder. From is 1 - window and more where
// attention slides, and NoWindow where a row sees all that came before.
//
// End is the number of positions that there are, where vectors may see beyond those; 0: as many as they see.
type Span struct{ From, To, Group, End int }

const (
	// NoWindow is the From of a span without a lower end.
	NoWindow = math.MinInt / 2
	// AllAlike is the Group of query vectors that see the same positions.
	AllAlike = math.MaxInt
)

// Of returns the positions of the page, [from, to), that query vector r sees; none if from >= to.
func (s Span) Of(r int) (from, to int) {
	end := quant.KVPage
	if s.End > 0 {
		end = min(end, s.End)
	}
	return max(0, s.From+r/s.Group), min(end, s.To+r/s.Group)
}

// Rows returns the query vectors, [first, last) of m, that see something of the page. They follow each other.
func (s Span) Rows(m int) (first, last int) {
	for first < m && !s.sees(first) {
		first++
	}
	for last = m; last > first && !s.sees(last-1); last-- {
	}
	return first, last
}

// all reports whether the query vectors from first to last see all of the first cols positions.
func (s Span) all(first, last, cols int) bool {
	_, to := s.Of(first) // the others see more at the end
	from, _ := s.Of(last)
	return from == 0 && to >= cols
}

func (s Span) sees(r int) bool {
	from, to := s.Of(r)
	return from < to
}

// fewVectors is up to how many query vectors a page is not unpacked to a tile first: as many rows as the product has in
// registers at a time (productRows in the generator of kernels_amd64), so that nothing is converted twice.
const fewVectors = 6

// Page goes on with the next page of the part. No query vector needs to see any of it, but each sees something of some page
// of some part.
func (a *Attend) Page(p Page, sees Span) {
	first, last := sees.Rows(a.rows)
	if first == last {
		return
	}
	_, n := sees.Of(last - 1)
	scores, cols := a.score[first*quant.KVPage:last*quant.KVPage], (n+sumLanes-1)/sumLanes*sumLanes
	m, dim, part, set := last-first, a.dim, &a.part, a.set
	few := a.format == quant.KVF16 && m <= fewVectors && set.KeyProduct != nil && dim == a.width
	switch {
	case few:
		set.KeyProduct(scores, a.query[first*dim:last*dim], p.Keys, p.NextKeys, dim, m, n)
	case a.format == quant.KVF16:
		set.KeyTile(a.tile[:dim*quant.KVPage], p.Keys, p.NextKeys, dim, n)
		set.TileProduct(scores, quant.KVPage, a.query[first*dim:last*dim], dim, a.tile, quant.KVPage, m, dim, cols, nil)
	default:
		a.quantiseQueries()
		q, scale, sum := a.queries.from(first, dim, dim/a.block)
		set.KeyScores[a.format](scores, q, scale, sum, a.query[first*dim:last*dim], p.Keys, p.NextKeys, dim, m, n)
	}
	if a.cap > 0 {
		a.capScores(scores, cols)
	}
	if !sees.all(first, last-1, cols) {
		a.hide(scores, cols, first, sees)
	}
	keep, out := a.scale[:m], part.out[first*a.width:last*a.width]
	set.SoftmaxTile(scores, m, cols, part.top[first:], part.sum[first*sumLanes:], keep)
	if few {
		set.ValueProduct(out, scores, keep, p.Values, p.NextValues, dim, m, n)
		return
	}
	if a.format == quant.KVF16 {
		set.ValueTile(a.tile, p.Values, p.NextValues, dim, n)
		set.TileProduct(out, a.width, scores, quant.KVPage, a.tile, a.width, m, n, a.width, keep)
		return
	}
	w, blocks := &a.weights, dim/a.block
	set.QuantizeRows(w.q, w.scale, w.sum, scores, quant.KVPage, a.format.Scales(p.Values, dim), m, blocks, cols, cols)
	set.MixValues[a.format](out, w.q, w.scale, w.sum, keep, p.Values, p.NextValues, dim, m, cols)
}

// quantiseQueries turns all query vectors and makes integers of them, once.
func (a *Attend) quantiseQueries() {
	if a.quantised {
		return
	}
	a.quantised = true
	x, q := a.query[:a.rows*a.dim], &a.queries
	for r := range a.rows {
		clear(x[r*a.dim:][a.head:a.dim]) // what is there of the last ones was turned
	}
	_, turn := a.format.KeyTurn(a.head)
	a.set.Hadamard(x, a.block, turn)
	a.set.QuantizeRows(q.q, q.scale, q.sum, x, a.dim, nil, a.rows, 1, a.dim, a.block)
}

// hide overwrites the scores of positions that the query vectors from first on do not see.
func (a *Attend) hide(scores []float32, cols, first int, sees Span) {
	for r := 0; r < len(scores); r += quant.KVPage {
		from, to := sees.Of(first + r/quant.KVPage)
		row := scores[r:][:cols]
		copy(row[:from], a.hidden[:])
		if to < cols {
			copy(row[to:], a.hidden[:])
		}
	}
}

// Cap makes each score x/sqrt(headDim) limit*tanh(x/limit) from now on (Gemma Team 2024, arXiv 2408.00118, section 2); 0
// leaves scores as they are.
func (a *Attend) Cap(limit float32) { a.cap = limit * math.Log2E }

// capScores caps the first cols of each row of scores. With x = score*2*log2(e)/cap, 2^x is e^(2*score/cap), and
// tanh(y) = 1 - 2/(e^2y + 1).
func (a *Attend) capScores(scores []float32, cols int) {
	by := 2 * math.Log2E / float64(a.cap)
	for r := 0; r < len(scores); r += quant.KVPage {
		for j, x := range scores[r:][:cols] {
			scores[r+j] = a.cap * float32(1-2/(math.Exp2(float64(x)*by)+1))
		}
	}
}

// Fold adds the part in memory, or the one in the place of its own for nil, to the result.
func (a *Attend) Fold(memory []float32) {
	if memory == nil {
		memory = a.own
	}
	p, m := a.partIn(memory, a.rows), a.rows
	// The maximum of the part is one more score.
	for r := range m {
		row := a.score[r*quant.KVPage:][:sumLanes]
		copy(row, a.hidden[:])
		// A part of which the query sees nothing counts as one with a finite maximum below all others: the difference of two
		// infinities would be none.
		row[0] = max(p.top[r], -math.MaxFloat32)
	}
	keep, add := a.scale[:m], a.scale[m:2*m]
	a.set.SoftmaxTile(a.score, m, sumLanes, a.total.top, a.unused, keep)
	for r := range m {
		add[r] = a.score[r*quant.KVPage]
	}
	a.set.FoldRows(a.total.out, p.out, a.width, m, keep, add)
	a.set.FoldRows(a.total.sum, p.sum, sumLanes, m, keep, add)
}

// Result writes the output of query vector r (headDim) to dst, after the last Fold.
func (a *Attend) Result(r int, dst []float32) {
	if !a.divided {
		a.divide()
	}
	copy(dst, a.total.out[r*a.width:][:len(dst)])
}

// divide divides all outputs by the sums of their weights, once.
func (a *Attend) divide() {
	a.divided = true
	by, none := a.scale[:a.rows], a.scale[a.rows:2*a.rows]
	for r := range by {
		s := (*[sumLanes]float32)(a.total.sum[r*sumLanes:])
		var half [8]float32
		for l := range half {
			half[l] = s[l] + s[l+8]
		}
		by[r], none[r] = 1/(((half[0]+half[4])+(half[2]+half[6]))+((half[1]+half[5])+(half[3]+half[7]))), 0
	}
	a.set.FoldRows(a.total.out, a.total.out, a.width, a.rows, by, none)
	if _, turn, turned := a.format.ValueTurn(a.head); turned {
		a.set.Hadamard(a.total.out, a.block, turn)
	}
}
