//go:build !purego

package kernels

// unpackTile fills a tile from packed rows, or from plain rows that are stride bytes apart.
func unpackTile(f tileFormat, packed bool, tile, w *byte, stride, blocks int) {
	if packed {
		unpackPacked(f, tile, w, blocks)
	} else {
		unpackPlain(f, tile, w, stride, blocks)
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
