package kernel

import (
	"sync"

	"siskin/model/quant"
)

// TileBlocks is the most blocks of 32 columns in a Tile: 256 columns, one block of the K formats.
const TileBlocks = 8

// Tile is up to TileBlocks blocks of quant.PackRows rows, unpacked: the form in which formats without a kernel of their
// own meet the activations. Rows are the innermost dimension, so that a vector lane is a row.
type Tile struct {
	Blocks int // in use
	Block  [TileBlocks]TileBlock
}

// TileBlock is 32 columns of quant.PackRows rows: value of column c of row r = D[c/16][r]*W[c/4][r][c%4] + M[c/16][r].
// If the format has one scale for 32 columns, both halves of D and M are equal.
type TileBlock struct {
	W    [8][quant.PackRows][4]int8
	D, M [2][quant.PackRows]float32
}

// set writes one decoded block as row r.
func (t *TileBlock) set(r int, b *quant.Block) {
	for c, v := range b.V {
		t.W[c/4][r][c%4] = v
	}
	for h := range 2 {
		t.D[h][r], t.M[h][r] = b.D[h], b.M[h]
	}
}

// MatMulTile multiplies a tile with quantised activations and adds to dst, r < quant.PackRows, t < n:
//
//	dst[t*dstStride+r] += dot(tile row r, activation row t)
//
// Row t of block b is the Act number b*stride+t of acts.
type MatMulTile func(dst []float32, dstStride int, tile *Tile, acts []byte, stride, n int)

// Tiled makes the product of format t from a product of tiles.
func Tiled(t quant.Type, mul MatMulTile) MatMulQ8 {
	// A tile is handed to a function value, so it lives on the heap; a pool makes that free in the long run.
	pool := sync.Pool{New: func() any { return &tiler{format: t, mul: mul} }}
	return func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
		rowBytes := cols / t.BlockLen() * t.BlockBytes()
		p := pool.Get().(*tiler)
		for first := 0; first < rows; first += quant.PackRows {
			in := min(quant.PackRows, rows-first)
			p.group(dst[first:], dstStride, w[first*rowBytes:][:in*rowBytes], in, cols, acts, n)
		}
		pool.Put(p)
	}
}

// tiler multiplies one group of rows at a time.
type tiler struct {
	format quant.Type
	mul    MatMulTile
	tile   Tile
	few    [quant.PackRows]float32
}

// group computes the products of in <= quant.PackRows rows.
func (p *tiler) group(dst []float32, dstStride int, w []byte, in, cols int, acts []byte, n int) {
	for t := range n {
		clear(dst[t*dstStride:][:in])
	}
	blocks, rowBytes := cols/quant.ActBlock, len(w)/in
	for b := 0; b < blocks; b += TileBlocks {
		p.tile.Blocks = min(TileBlocks, blocks-b)
		for r := range in {
			p.decode(r, w[r*rowBytes:][:rowBytes], b)
		}
		part := acts[b*n*quant.ActBytes:][:p.tile.Blocks*n*quant.ActBytes]
		if in == quant.PackRows {
			p.mul(dst, dstStride, &p.tile, part, n, n)
			continue
		}
		for t := range n {
			copy(p.few[:], dst[t*dstStride:][:in])
			p.mul(p.few[:], quant.PackRows, &p.tile, part[t*quant.ActBytes:], n, 1)
			copy(dst[t*dstStride:][:in], p.few[:])
		}
	}
}

// decode fills row r of the tile from block b of 32 columns on.
func (p *tiler) decode(r int, row []byte, b int) {
	subs, size := p.format.BlockLen()/quant.ActBlock, p.format.BlockBytes()
	for i := range p.tile.Blocks {
		block := quant.DecodeBlock(p.format, row[(b+i)/subs*size:][:size], (b+i)%subs)
		p.tile.Block[i].set(r, &block)
	}
}
