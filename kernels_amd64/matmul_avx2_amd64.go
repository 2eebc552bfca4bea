//go:build !purego

package kernels

import "unsafe"

const (
	groupRows  = 16  // rows of a packed group and of a tile
	tileCols   = 256 // columns of a tile
	tileRecord = 768 // bytes of a tile for 32 columns; as in _asm
	wideRecord = tileRecord + 512
	sumTokens  = 64 // activation rows whose sums are held together, as many as still fit the caches with their activations; and of a mask
	cacheLine  = 64
)

// tileISA is the instruction set of the products of tiles.
type tileISA uint8

const (
	isaAVX2 tileISA = iota
	isaAVXVNNI
)

// tileSpace is the memory of a product: a tile and sums. It lives on the stack, which aligns less than vectors want.
type tileSpace struct {
	raw [wideRecord*tileCols/actLen + 4*sumTokens*groupRows + cacheLine]byte
}

// parts returns the aligned tile and the sums, (sumTokens, groupRows).
func (s *tileSpace) parts() (tile *byte, sums *[sumTokens * groupRows]float32) {
	skip := -uintptr(unsafe.Pointer(s)) % cacheLine
	tile = &s.raw[skip]
	sums = (*[sumTokens * groupRows]float32)(unsafe.Pointer(&s.raw[skip+wideRecord*tileCols/actLen]))
	return tile, sums
}

// tileProduct is what a product was asked for, after the checks.
type tileProduct struct {
	isa       tileISA
	format    Format
	packed    bool
	dst       []float32
	dstStride int
	w         []byte
	rowBytes  int
	wblocks   int // of weights in a row
	blocks    int // of 32 columns in a row
	acts      []byte
	n         int
	keep      []uint64 // masks of the rows that count, see MatMulListedAVX2; nil: all
}

// mulTiles checks and computes a product.
func mulTiles(
	isa tileISA, f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64,
) {
	size, _ := f.block()
	wblocks := f.blocks(cols)
	must(!packed || rows%groupRows == 0, "packed rows are not whole groups", rows, rows/groupRows*groupRows)
	p := tileProduct{isa, f, packed, dst, dstStride, w, wblocks * size, wblocks, cols / actLen, acts, n, keep}
	checkProduct(dst, dstStride, w, p.rowBytes, rows, cols, n)
	must(len(acts) == n*p.blocks*actBytes, "quantised activations", len(acts), n*p.blocks*actBytes)
	if keep != nil {
		must(len(keep) == p.blocks*maskWords(n), "masks of activation rows", len(keep), p.blocks*maskWords(n))
	}
	if rows == 0 || n == 0 {
		return
	}
	raceRead(acts)
	switch {
	case packed && n <= f.mostRows():
		p.vec(rows)
	case !packed && n <= f.mostPlain() && rows >= groupRows:
		p.plain(rows)
	default:
		p.all(rows)
	}
}

// vecBytes bounds the weights of one assembly call, so that it ends within 250 us at 4 GB/s. againBytes bounds those that
// are read again for more activation rows: they are then still in a cache.
const (
	vecBytes   = 1 << 20
	againBytes = 32 << 10
)

// mostRows is how many activation rows are multiplied without a tile; see weights.mostRows in _asm.
func (f Format) mostRows() int {
	switch f {
	case Q80:
		return 8 // four at a time
	case Q40, Q41, IQ4NL:
		return 4
	case IQ4XS, Q4K, Q6K:
		return 2
	default:
		return 1
	}
}

// mostPlain is mostRows for plain rows.
func (f Format) mostPlain() int {
	if f == Q5K {
		return 0
	}
	return min(2, f.mostRows())
}

// rowsWithin is how many rows one call takes: all, or whole groups of so many bytes, but at least one. Most calls need no division.
func (p *tileProduct) rowsWithin(bytes, rows int) int {
	if rows*p.rowBytes <= bytes {
		return rows
	}
	return max(1, bytes/(groupRows*p.rowBytes)) * groupRows
}

// plain computes plain rows, at least a group, for a few activation rows. Where rows is not a multiple of 16, the last group overlaps
// the one before.
func (p *tileProduct) plain(rows int) {
	some, whole := p.rowsWithin(vecBytes, rows), rows/groupRows*groupRows
	for r := 0; r < whole; r += some {
		p.plainGroups(r, min(some, whole-r)/groupRows)
	}
	if whole < rows {
		p.plainGroups(rows-groupRows, 1)
	}
}

// plainGroups computes some groups of plain rows from row r on.
func (p *tileProduct) plainGroups(r, groups int) {
	multiply := matVecPlain
	if p.isa == isaAVXVNNI {
		multiply = matVecPlainVNNI
	}
	multiply(p.format, p.n, &p.dst[r], p.dstStride, &p.w[r*p.rowBytes], p.rowBytes, groups, p.wblocks, &p.acts[0], p.n*actBytes)
}

// vec computes packed rows for a few activation rows.
func (p *tileProduct) vec(rows int) {
	bytes := vecBytes
	if p.n > 2 {
		bytes = againBytes
	}
	some, stride := p.rowsWithin(bytes, rows), p.n*actBytes
	for r := 0; r < rows; r += some {
		groups, w := min(some, rows-r)/groupRows, &p.w[r*p.rowBytes]
		for t := 0; t < p.n; {
			// Five rows are three and two: one alone costs nearly as much as two.
			some := min(4, p.n-t)
			if p.n-t == 5 {
				some = 3
			}
			p.vecRows(some, &p.dst[t*p.dstStride+r], w, groups, p.wblocks, &p.acts[t*actBytes], stride)
			t += some
		}
	}
}

// vecRows computes some activation rows, at most 4.
func (p *tileProduct) vecRows(some int, dst *float32, w *byte, groups, blocks int, acts *byte, stride int) {
	switch vnni := p.isa == isaAVXVNNI; {
	case some == 1 && vnni:
		matVecVNNI(p.format, dst, p.dstStride, w, groups, blocks, acts, stride)
	case some == 1:
		matVec(p.format, dst, p.dstStride, w, groups, blocks, acts, stride)
	case some == 2 && vnni:
		matVec2VNNI(p.format, dst, p.dstStride, w, groups, blocks, acts, stride)
	case some == 2:
		matVec2(p.format, dst, p.dstStride, w, groups, blocks, acts, stride)
	case some == 3 && vnni:
		matVec3VNNI(p.format, dst, p.dstStride, w, groups, blocks, acts, stride)
	case some == 3:
		matVec3(p.format, dst, p.dstStride, w, groups, blocks, acts, stride)
	case vnni:
		matVec4VNNI(p.format, dst, p.dstStride, w, groups, blocks, acts, stride)
	default:
		matVec4(p.format, dst, p.dstStride, w, groups, blocks, acts, stride)
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
	for b := 0; b < p.blocks; b += tileCols / actLen {
		blocks := min(tileCols/actLen, p.blocks-b)
		from := &w[b*actLen/cols*size]
		act, actStride := &p.acts[(b*p.n+t)*actBytes], p.n*actBytes
		vnni, words := p.isa == isaAVXVNNI, maskWords(p.n)
		if vnni {
			unpackTileVNNI(p.format, p.packed, tile, from, stride, blocks*actLen/cols)
		} else {
			unpackTile(p.format, p.packed, tile, from, stride, blocks*actLen/cols)
		}
		switch listed := p.keep != nil && !allCount(p.keep[b*words+t/sumTokens:], words, blocks, n); {
		case listed && vnni:
			mulTileListedVNNI(p.format, &sums[0], tile, blocks, act, actStride, &p.keep[b*words+t/sumTokens], 8*words)
		case listed:
			mulTileListed(p.format, &sums[0], tile, blocks, act, actStride, &p.keep[b*words+t/sumTokens], 8*words)
		case vnni:
			mulTileVNNI(p.format, &sums[0], tile, blocks, act, actStride, n)
		default:
			mulTile(p.format, &sums[0], tile, blocks, act, actStride, n)
		}
	}
}

// allCount reports whether the masks of some blocks, words apart, name all of n rows: then the product without masks is faster.
// With masks for everything a prefill lost 4 to 16 % (decision record 0013).
func allCount(keep []uint64, words, blocks, n int) bool {
	all := ^uint64(0) >> (sumTokens - n)
	for b := range blocks {
		if keep[b*words] != all {
			return false
		}
	}
	return true
}
