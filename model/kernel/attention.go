package kernel

import (
	"math"
	"unsafe"

	"siskin/model/quant"
)

// KeyTile and ValueTile unpack a block of keys or values as quant.KeyTile and quant.ValueTile do. What lies at the same
// place of ahead, which is another block or empty, is brought into the cache meanwhile.
type (
	KeyTile   func(dst []float32, block, ahead []byte, headDim, n int)
	ValueTile func(dst []float32, block, ahead []byte, headDim, n int)
)

// Attention is the part of a Set that serves attention; see quant for what each function computes.
type Attention struct {
	KeyTile     [quant.NumKVFormats]KeyTile
	ValueTile   [quant.NumKVFormats]ValueTile
	TileProduct func(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32)
	SoftmaxTile func(scores []float32, m, cols int, top, sum, scale []float32)
	Rotate      func(x []float32, heads, headDim int, cos, sin []float32, scale float32)
}

func genericAttention() Attention {
	a := Attention{TileProduct: quant.TileProduct, SoftmaxTile: quant.SoftmaxTile, Rotate: quant.Rotate}
	for f := range quant.NumKVFormats {
		a.KeyTile[f] = func(dst []float32, block, _ []byte, headDim, n int) { quant.KeyTile(f, dst, block, headDim, n) }
		a.ValueTile[f] = func(dst []float32, block, _ []byte, headDim, n int) { quant.ValueTile(f, dst, block, headDim, n) }
	}
	return a
}

// Attend computes attention for some query vectors of one key-value head, page by page. It holds what a worker needs,
// which does not depend on the length of the context; it belongs to one goroutine.
type Attend struct {
	set    *Set
	format quant.KVFormat
	dim    int // columns of a head
	width  int // dim in whole vectors
	rows   int // query vectors under way

	tile   []float32 // (dim, 64) keys, then (64, width) values
	query  []float32 // (rows, dim)
	score  []float32 // (rows, 64)
	out    []float32 // (rows, width)
	top    []float32 // (rows)
	sum    []float32 // (rows, 16)
	scale  []float32 // (rows)
	hidden [quant.KVPage]float32
	acts   []byte // (dim/32) quant.Acts
}

// NewAttend makes one for at most rows query vectors of headDim columns over keys and values in format f.
func NewAttend(set *Set, f quant.KVFormat, headDim, rows int) *Attend {
	a := &Attend{set: set, format: f, dim: headDim, width: quant.KVWidth(headDim)}
	a.tile = aligned(quant.KVPage * a.width)
	a.query = aligned(rows * headDim)
	a.score = aligned(rows * quant.KVPage)
	a.out = aligned(rows * a.width)
	a.top, a.scale = aligned(rows), aligned(rows)
	a.sum = aligned(rows * sumLanes)
	for i := range a.hidden {
		a.hidden[i] = float32(math.Inf(-1))
	}
	a.acts = quant.NewActs((headDim + quant.ActBlock - 1) / quant.ActBlock * quant.ActBytes)
	return a
}

// sumLanes is the number of partial sums of the weights of a query.
const sumLanes = 16

// aligned returns n zeros that begin a cache line: a vector of 64 bytes that straddles two costs two loads.
func aligned(n int) []float32 {
	b := quant.NewActs(4 * n)
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// Bytes returns the memory that a holds.
func (a *Attend) Bytes() int {
	return 4*(len(a.tile)+len(a.query)+len(a.score)+len(a.out)+len(a.top)+len(a.sum)+len(a.scale)+len(a.hidden)) + len(a.acts)
}

// Store keeps the key and the value (headDim each) of position pos of a page in its blocks.
func (a *Attend) Store(keys, values []byte, pos int, key, value []float32) {
	if a.format == quant.KVQ8 {
		a.set.Quantize(a.acts, key, 1, 0)
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
	clear(a.out[:rows*a.width])
	clear(a.sum[:rows*sumLanes])
	for i := range rows {
		a.top[i] = float32(math.Inf(-1))
	}
}

// Query is the place of query vector r (headDim), multiplied by log2(e)/sqrt(headDim); to be filled after Start.
func (a *Attend) Query(r int) []float32 { return a.query[r*a.dim : (r+1)*a.dim] }

// Page is the keys and values of one page, and those that will follow.
type Page struct {
	Keys, Values         []byte
	NextKeys, NextValues []byte // empty after the last
}

// Page goes on with the next page. Query vector r sees its first visible + r/group positions; that may be none, and all
// from 64 on. At least one query vector sees one.
func (a *Attend) Page(p Page, visible, group int) {
	first := 0 // the first that sees something
	if visible < 1 {
		first = (1 - visible) * group
	}
	n := min(quant.KVPage, visible+(a.rows-1)/group)
	cols := (n + sumLanes - 1) / sumLanes * sumLanes
	m, set, dim, width := a.rows-first, a.set, a.dim, a.width
	score := a.score[first*quant.KVPage : a.rows*quant.KVPage]
	scale := a.scale[first:a.rows]

	set.KeyTile[a.format](a.tile[:dim*quant.KVPage], p.Keys, p.NextKeys, dim, n)
	set.TileProduct(score, quant.KVPage, a.query[first*dim:a.rows*dim], dim, a.tile, quant.KVPage, m, dim, cols, nil)
	for r := first; r < a.rows; r++ {
		if sees := visible + r/group; sees < cols {
			copy(score[(r-first)*quant.KVPage+sees:][:cols-sees], a.hidden[:])
		}
	}
	set.SoftmaxTile(score, m, cols, a.top[first:a.rows], a.sum[first*sumLanes:a.rows*sumLanes], scale)
	set.ValueTile[a.format](a.tile, p.Values, p.NextValues, dim, n)
	set.TileProduct(a.out[first*width:a.rows*width], width, score, quant.KVPage, a.tile, width, m, n, width, scale)
}

// Result writes the output of query vector r (headDim) to dst.
func (a *Attend) Result(r int, dst []float32) {
	s := (*[sumLanes]float32)(a.sum[r*sumLanes:])
	var half [8]float32
	for l := range half {
		half[l] = s[l] + s[l+8]
	}
	by := 1 / (((half[0] + half[4]) + (half[2] + half[6])) + ((half[1] + half[5]) + (half[3] + half[7])))
	for j, f := range a.out[r*a.width:][:len(dst)] {
		dst[j] = f * by
	}
}
