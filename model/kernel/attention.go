package kernel

import (
	"math"
	"unsafe"

	"siskin/model/quant"
)

// KeyTile unpacks a block of keys as quant.KeyTile does. What lies at the same place of ahead, which is another block or
// empty, is brought into the cache meanwhile.
type KeyTile func(dst []float32, block, ahead []byte, headDim, n int)

// ValueTile is KeyTile for values, as quant.ValueTile does.
type ValueTile func(dst []float32, block, ahead []byte, headDim, n int)

// Attention is the part of a Set that serves attention; see quant for what each function computes.
type Attention struct {
	KeyTile     [quant.NumKVFormats]KeyTile
	ValueTile   [quant.NumKVFormats]ValueTile
	TileProduct func(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32)
	SoftmaxTile func(scores []float32, m, cols int, top, sum, scale []float32)
	FoldRows    func(dst, src []float32, width, m int, keep, add []float32)
	Rotate      func(x []float32, heads, headDim int, cos, sin []float32, scale float32)
}

func genericAttention() Attention {
	a := Attention{
		TileProduct: quant.TileProduct, SoftmaxTile: quant.SoftmaxTile, FoldRows: quant.FoldRows, Rotate: quant.Rotate,
	}
	for f := range quant.NumKVFormats {
		a.KeyTile[f] = func(dst []float32, block, _ []byte, headDim, n int) { quant.KeyTile(f, dst, block, headDim, n) }
		a.ValueTile[f] = func(dst []float32, block, _ []byte, headDim, n int) { quant.ValueTile(f, dst, block, headDim, n) }
	}
	return a
}

// Attend computes attention for some query vectors of one key-value head: for each part of the context Begin, Page for its
// pages, and Fold. Parts may be computed by several workers, if one of them folds all in order. An Attend holds what a
// worker needs, which does not depend on the length of the context; it belongs to one goroutine.
type Attend struct {
	set    *Set
	format quant.KVFormat
	dim    int     // columns of a head
	width  int     // dim in whole vectors
	rows   int     // query vectors under way
	cap    float32 // limit of scores, as an exponent of two; 0: none

	tile   []float32 // (dim, 64) keys, then (64, width) values
	query  []float32 // (rows, dim)
	score  []float32 // (rows, 64)
	scale  []float32 // (rows)
	own    []float32 // a part, where the caller has no place for it
	whole  []float32 // the parts that were folded
	part   Part      // under way
	total  Part      // in whole
	unused []float32 // (rows, 16) sums that nobody asks for
	less   []float32 // (dim) what is kept of a key
	hidden [quant.KVPage]float32
	acts   []byte // (dim/32) quant.Acts
}

// Part is what attention over some pages leaves for some query vectors.
type Part struct {
	out []float32 // (rows, width)
	sum []float32 // (rows, 16)
	top []float32 // (rows)
}

// PartLen is the number of float32 values of a Part of some query vectors.
func PartLen(headDim, rows int) int {
	return rows*(quant.KVWidth(headDim)+sumLanes) + (rows+sumLanes-1)/sumLanes*sumLanes
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
	a := &Attend{set: set, format: f, dim: headDim, width: quant.KVWidth(headDim)}
	a.tile = AlignedFloats(quant.KVPage * a.width)
	a.query = AlignedFloats(rows * headDim)
	a.score = AlignedFloats(rows * quant.KVPage)
	a.scale = AlignedFloats(2 * rows)
	a.own, a.whole = AlignedFloats(PartLen(headDim, rows)), AlignedFloats(PartLen(headDim, rows))
	a.less = AlignedFloats(headDim)
	a.unused = AlignedFloats(rows * sumLanes)
	for i := range a.hidden {
		a.hidden[i] = float32(math.Inf(-1))
	}
	a.acts = quant.NewActs((headDim + quant.ActBlock - 1) / quant.ActBlock * quant.ActBytes)
	return a
}

// sumLanes is the number of partial sums of the weights of a query.
const sumLanes = 16

// AlignedFloats returns n zeros that begin a cache line: a vector of 64 bytes that straddles two costs two loads.
func AlignedFloats(n int) []float32 {
	b := quant.NewActs(4 * n)
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// Bytes returns the memory that a holds.
func (a *Attend) Bytes() int {
	return 4*(len(a.tile)+len(a.query)+len(a.score)+len(a.scale)+len(a.own)+len(a.whole)+len(a.unused)+len(a.less)+len(a.hidden)) + len(a.acts)
}

// Store keeps the key and the value (headDim each) of position pos of a page in its blocks. Position 0 comes first.
func (a *Attend) Store(keys, values []byte, pos int, key, value []float32) {
	if a.format == quant.KVQ8 {
		if pos == 0 {
			quant.FirstKeyQ8(keys, key)
		}
		quant.KeyDifference(a.less, keys, key)
		a.set.Quantize(a.acts, a.less, 1, 0)
		quant.KeyQ8(keys, a.acts, pos)
		a.set.Quantize(a.acts, value, 1, 0)
		quant.ValueQ8(values, a.acts, pos)
		return
	}
	row := a.acts[:2*a.dim]
	a.set.ToF16(row, key)
	quant.KeyF16(keys, row, pos)
	a.set.ToF16(quant.ValueRow(values, pos), value)
}

// Start begins the attention of rows query vectors.
func (a *Attend) Start(rows int) {
	a.rows = rows
	a.total = a.partIn(a.whole, rows)
	a.total.reset()
}

// Query is the place of query vector r (headDim), multiplied by log2(e)/sqrt(headDim); to be filled after Start.
func (a *Attend) Query(r int) []float32 { return a.query[r*a.dim : (r+1)*a.dim] }

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
type Span struct{ From, To, Group int }

const (
	// NoWindow is the From of a span without a lower end.
	NoWindow = math.MinInt / 2
	// AllAlike is the Group of query vectors that see the same positions.
	AllAlike = math.MaxInt
)

// Of returns the positions of the page, [from, to), that query vector r sees; none if from >= to.
func (s Span) Of(r int) (from, to int) {
	return max(0, s.From+r/s.Group), min(quant.KVPage, s.To+r/s.Group)
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

func (s Span) sees(r int) bool {
	from, to := s.Of(r)
	return from < to
}

// Page goes on with the next page of the part. No query vector needs to see any of it, but each sees something of some page
// of some part.
func (a *Attend) Page(p Page, sees Span) {
	first, last := sees.Rows(a.rows)
	if first == last {
		return
	}
	_, n := sees.Of(last - 1)
	cols := (n + sumLanes - 1) / sumLanes * sumLanes
	m, set, dim, width, part := last-first, a.set, a.dim, a.width, &a.part
	score := a.score[first*quant.KVPage : last*quant.KVPage]
	scale := a.scale[:m]

	set.KeyTile[a.format](a.tile[:dim*quant.KVPage], p.Keys, p.NextKeys, dim, n)
	set.TileProduct(score, quant.KVPage, a.query[first*dim:last*dim], dim, a.tile, quant.KVPage, m, dim, cols, nil)
	if a.cap > 0 {
		a.capScores(score, cols)
	}
	for r := range m {
		from, to := sees.Of(first + r)
		row := score[r*quant.KVPage:][:cols]
		copy(row[:from], a.hidden[:])
		if to < cols {
			copy(row[to:], a.hidden[:])
		}
	}
	set.SoftmaxTile(score, m, cols, part.top[first:], part.sum[first*sumLanes:], scale)
	set.ValueTile[a.format](a.tile, p.Values, p.NextValues, dim, n)
	set.TileProduct(part.out[first*width:], width, score, quant.KVPage, a.tile, width, m, n, width, scale)
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

// Result writes the output of query vector r (headDim) to dst.
func (a *Attend) Result(r int, dst []float32) {
	s := (*[sumLanes]float32)(a.total.sum[r*sumLanes:])
	var half [8]float32
	for l := range half {
		half[l] = s[l] + s[l+8]
	}
	by := 1 / (((half[0] + half[4]) + (half[2] + half[6])) + ((half[1] + half[5]) + (half[3] + half[7])))
	for j, f := range a.total.out[r*a.width:][:len(dst)] {
		dst[j] = f * by
	}
}
