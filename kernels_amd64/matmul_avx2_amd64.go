//go:build !purego

package kernels

import "unsafe"

const (
	groupRows  = 16  // rows of a packed group and of a tile
	tileCols   = 256 // columns of a tile
	actBytes   = 64  // of a quant.Act, 32 activations
	tileRecord = 768 // bytes of a tile for 32 columns; as in _asm
	wideRecord = tileRecord + 512
	sumTokens  = 64 // activation rows whose sums are held together: as many as still fit the caches with their activations
	cacheLine  = 64
)

// tileFormat is a format of weights. A number, not a set of function values: pointers that go through a function value
// escape to the heap.
type tileFormat uint8

const (
	tileQ40 tileFormat = iota
	tileQ41
	tileQ50
	tileQ51
	tileQ80
	tileIQ4NL
	tileIQ4XS
	tileQ4K
	tileQ5K
	tileQ6K
	tileQ2K
	tileQ3K
)

// block returns bytes and columns of a block.
func (f tileFormat) block() (size, cols int) {
	size = [...]int{18, 20, 22, 24, 34, 18, 136, 144, 176, 210, 84, 110}[f]
	if f < tileIQ4XS {
		return size, 32
	}
	return size, 256
}

// tileSpace is the memory of a product: a tile and sums. It lives on the stack, which aligns less than vectors want.
type tileSpace struct {
	raw [wideRecord*tileCols/blockLen + 4*sumTokens*groupRows + cacheLine]byte
}

// parts returns the aligned tile and the sums, (sumTokens, groupRows).
func (s *tileSpace) parts() (tile *byte, sums *[sumTokens * groupRows]float32) {
	skip := -uintptr(unsafe.Pointer(s)) % cacheLine
	tile = &s.raw[skip]
	sums = (*[sumTokens * groupRows]float32)(unsafe.Pointer(&s.raw[skip+wideRecord*tileCols/blockLen]))
	return tile, sums
}

// tileProduct is what a product was asked for, after the checks.
type tileProduct struct {
	format    tileFormat
	packed    bool
	dst       []float32
	dstStride int
	w         []byte
	rowBytes  int
	blocks    int // of 32 columns in a row
	acts      []byte
	n         int
}

// mulTiles checks and computes a product.
func mulTiles(f tileFormat, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	size, blockCols := f.block()
	must(cols%blockCols == 0, "columns are not whole blocks", cols, cols/blockCols*blockCols)
	must(!packed || rows%groupRows == 0, "packed rows are not whole groups", rows, rows/groupRows*groupRows)
	p := tileProduct{f, packed, dst, dstStride, w, cols / blockCols * size, cols / blockLen, acts, n}
	checkProduct(dst, dstStride, w, p.rowBytes, rows, cols, n)
	must(len(acts) == n*p.blocks*actBytes, "quantised activations", len(acts), n*p.blocks*actBytes)
	if rows == 0 || n == 0 {
		return
	}
	raceRead(acts)
	if packed && n == 1 {
		p.vec(rows)
		return
	}
	p.all(rows)
}

// vecBytes bounds the weights of one assembly call with one activation row, so that it ends within 250 us at 4 GB/s.
const vecBytes = 1 << 20

// vec computes packed rows for one activation row.
func (p *tileProduct) vec(rows int) {
	_, cols := p.format.block()
	blocks := p.blocks * blockLen / cols
	some := max(1, vecBytes/(groupRows*p.rowBytes)) * groupRows
	for r := 0; r < rows; r += some {
		matVec(p.format, &p.dst[r], &p.w[r*p.rowBytes], min(some, rows-r)/groupRows, blocks, &p.acts[0])
	}
}

// all computes the product group by group. Where rows is not a multiple of 16, the last group overlaps the one before and
// some results are stored twice.
func (p *tileProduct) all(rows int) {
	var space tileSpace
	tile, sums := space.parts()
	for t := 0; t < p.n; t += sumTokens {
		n := min(sumTokens, p.n-t)
		if rows < groupRows {
			p.few(rows, t, n, tile, sums)
			continue
		}
		for r := 0; r < rows; r += groupRows {
			r := min(r, rows-groupRows)
			p.group(p.w[r*p.rowBytes:], p.rowBytes, t, n, tile, sums)
			storeSumsAVX2(&p.dst[t*p.dstStride+r], p.dstStride, &sums[0], n)
		}
	}
}

// few computes fewer than 16 rows: each in all lanes at once.
func (p *tileProduct) few(rows, t, n int, tile *byte, sums *[sumTokens * groupRows]float32) {
	for r := range rows {
		p.group(p.w[r*p.rowBytes:], 0, t, n, tile, sums)
		for i := range n {
			p.dst[(t+i)*p.dstStride+r] = sums[i*groupRows]
		}
	}
}

// group computes the sums of 16 rows, stride bytes apart if they are plain, for n activation rows from row t on.
func (p *tileProduct) group(w []byte, stride, t, n int, tile *byte, sums *[sumTokens * groupRows]float32) {
	clear(sums[:n*groupRows])
	size, cols := p.format.block()
	if p.packed {
		size *= groupRows
	}
	for b := 0; b < p.blocks; b += tileCols / blockLen {
		blocks := min(tileCols/blockLen, p.blocks-b)
		from := &w[b*blockLen/cols*size]
		if p.packed {
			unpackPacked(p.format, tile, from, blocks*blockLen/cols)
		} else {
			unpackPlain(p.format, tile, from, stride, blocks*blockLen/cols)
		}
		mulTile(p.format, &sums[0], tile, blocks, &p.acts[(b*p.n+t)*actBytes], p.n*actBytes, n)
	}
}

// unpackPacked fills a tile from packed rows.
func unpackPacked(f tileFormat, tile, w *byte, blocks int) {
	switch f {
	case tileQ40:
		unpackQ40PackedAVX2(tile, w, 0, blocks)
	case tileQ41:
		unpackQ41PackedAVX2(tile, w, 0, blocks)
	case tileQ50:
		unpackQ50PackedAVX2(tile, w, 0, blocks)
	case tileQ51:
		unpackQ51PackedAVX2(tile, w, 0, blocks)
	case tileQ80:
		unpackQ80PackedAVX2(tile, w, 0, blocks)
	case tileIQ4NL:
		unpackIQ4NLPackedAVX2(tile, w, 0, blocks)
	case tileIQ4XS:
		unpackIQ4XSPackedAVX2(tile, w, 0, blocks)
	case tileQ4K:
		unpackQ4KPackedAVX2(tile, w, 0, blocks)
	case tileQ5K:
		unpackQ5KPackedAVX2(tile, w, 0, blocks)
	case tileQ6K:
		unpackQ6KPackedAVX2(tile, w, 0, blocks)
	case tileQ2K:
		unpackQ2KPackedAVX2(tile, w, 0, blocks)
	case tileQ3K:
		unpackQ3KPackedAVX2(tile, w, 0, blocks)
	}
}

// unpackPlain fills a tile from rows that are stride bytes apart.
func unpackPlain(f tileFormat, tile, w *byte, stride, blocks int) {
	switch f {
	case tileQ40:
		unpackQ40PlainAVX2(tile, w, stride, blocks)
	case tileQ41:
		unpackQ41PlainAVX2(tile, w, stride, blocks)
	case tileQ50:
		unpackQ50PlainAVX2(tile, w, stride, blocks)
	case tileQ51:
		unpackQ51PlainAVX2(tile, w, stride, blocks)
	case tileQ80:
		unpackQ80PlainAVX2(tile, w, stride, blocks)
	case tileIQ4NL:
		unpackIQ4NLPlainAVX2(tile, w, stride, blocks)
	case tileIQ4XS:
		unpackIQ4XSPlainAVX2(tile, w, stride, blocks)
	case tileQ4K:
		unpackQ4KPlainAVX2(tile, w, stride, blocks)
	case tileQ5K:
		unpackQ5KPlainAVX2(tile, w, stride, blocks)
	case tileQ6K:
		unpackQ6KPlainAVX2(tile, w, stride, blocks)
	case tileQ2K:
		unpackQ2KPlainAVX2(tile, w, stride, blocks)
	case tileQ3K:
		unpackQ3KPlainAVX2(tile, w, stride, blocks)
	}
}

// mulTile multiplies a tile.
func mulTile(f tileFormat, sums *float32, tile *byte, blocks int, acts *byte, stride, n int) {
	switch f {
	case tileQ40:
		mulTileU4AVX2(sums, tile, blocks, acts, stride, n)
	case tileQ41, tileQ4K:
		mulTileU4MinAVX2(sums, tile, blocks, acts, stride, n)
	case tileQ50:
		mulTileU5AVX2(sums, tile, blocks, acts, stride, n)
	case tileQ51, tileQ5K:
		mulTileU5MinAVX2(sums, tile, blocks, acts, stride, n)
	case tileQ80, tileIQ4NL, tileIQ4XS:
		mulTileU8AVX2(sums, tile, blocks, acts, stride, n)
	case tileQ6K:
		mulTileU6HalvesAVX2(sums, tile, blocks, acts, stride, n)
	case tileQ2K:
		mulTileU2HalvesMinAVX2(sums, tile, blocks, acts, stride, n)
	case tileQ3K:
		mulTileU3HalvesAVX2(sums, tile, blocks, acts, stride, n)
	}
}

// matVec multiplies packed rows with one activation row.
func matVec(f tileFormat, dst *float32, w *byte, groups, blocks int, acts *byte) {
	switch f {
	case tileQ40:
		matVecQ40PackedAVX2(dst, w, groups, blocks, acts)
	case tileQ41:
		matVecQ41PackedAVX2(dst, w, groups, blocks, acts)
	case tileQ50:
		matVecQ50PackedAVX2(dst, w, groups, blocks, acts)
	case tileQ51:
		matVecQ51PackedAVX2(dst, w, groups, blocks, acts)
	case tileQ80:
		matVecQ80PackedAVX2(dst, w, groups, blocks, acts)
	case tileIQ4NL:
		matVecIQ4NLPackedAVX2(dst, w, groups, blocks, acts)
	case tileIQ4XS:
		matVecIQ4XSPackedAVX2(dst, w, groups, blocks, acts)
	case tileQ4K:
		matVecQ4KPackedAVX2(dst, w, groups, blocks, acts)
	case tileQ5K:
		matVecQ5KPackedAVX2(dst, w, groups, blocks, acts)
	case tileQ6K:
		matVecQ6KPackedAVX2(dst, w, groups, blocks, acts)
	case tileQ2K:
		matVecQ2KPackedAVX2(dst, w, groups, blocks, acts)
	case tileQ3K:
		matVecQ3KPackedAVX2(dst, w, groups, blocks, acts)
	}
}
