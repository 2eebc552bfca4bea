//go:build !purego

package kernels

// unpackTileVNNI is unpackTile for mulTileVNNI. Unsigned weights without an offset have the same tiles as for AVX2.
func unpackTileVNNI(f tileFormat, packed bool, tile, w *byte, stride, blocks int) {
	switch {
	case f.hasMin():
		unpackTile(f, packed, tile, w, stride, blocks)
	case packed:
		unpackPackedVNNI(f, tile, w, blocks)
	default:
		unpackPlainVNNI(f, tile, w, stride, blocks)
	}
}

// hasMin tells the formats with a minimum instead of an offset.
func (f tileFormat) hasMin() bool {
	switch f {
	case tileQ41, tileQ51, tileQ4K, tileQ5K, tileQ2K:
		return true
	default:
		return false
	}
}

// unpackPackedVNNI fills a tile from packed rows of a format with an offset.
func unpackPackedVNNI(f tileFormat, tile, w *byte, blocks int) {
	switch f {
	case tileQ40:
		unpackQ40PackedAVXVNNI(tile, w, 0, blocks)
	case tileQ50:
		unpackQ50PackedAVXVNNI(tile, w, 0, blocks)
	case tileQ80:
		unpackQ80PackedAVXVNNI(tile, w, 0, blocks)
	case tileIQ4NL:
		unpackIQ4NLPackedAVXVNNI(tile, w, 0, blocks)
	case tileIQ4XS:
		unpackIQ4XSPackedAVXVNNI(tile, w, 0, blocks)
	case tileQ6K:
		unpackQ6KPackedAVXVNNI(tile, w, 0, blocks)
	case tileQ3K:
		unpackQ3KPackedAVXVNNI(tile, w, 0, blocks)
	}
}

// unpackPlainVNNI fills a tile from plain rows of a format with an offset.
func unpackPlainVNNI(f tileFormat, tile, w *byte, stride, blocks int) {
	switch f {
	case tileQ40:
		unpackQ40PlainAVXVNNI(tile, w, stride, blocks)
	case tileQ50:
		unpackQ50PlainAVXVNNI(tile, w, stride, blocks)
	case tileQ80:
		unpackQ80PlainAVXVNNI(tile, w, stride, blocks)
	case tileIQ4NL:
		unpackIQ4NLPlainAVXVNNI(tile, w, stride, blocks)
	case tileIQ4XS:
		unpackIQ4XSPlainAVXVNNI(tile, w, stride, blocks)
	case tileQ6K:
		unpackQ6KPlainAVXVNNI(tile, w, stride, blocks)
	case tileQ3K:
		unpackQ3KPlainAVXVNNI(tile, w, stride, blocks)
	}
}

// mulTileVNNI multiplies a tile with VPDPBUSD.
func mulTileVNNI(f tileFormat, sums *float32, tile *byte, blocks int, acts *byte, stride, n int) {
	switch f {
	case tileQ41, tileQ51, tileQ4K, tileQ5K:
		mulTileU8MinAVXVNNI(sums, tile, blocks, acts, stride, n)
	case tileQ40, tileQ50, tileQ80, tileIQ4NL, tileIQ4XS:
		mulTileU8AVXVNNI(sums, tile, blocks, acts, stride, n)
	case tileQ2K:
		mulTileU8HalvesMinAVXVNNI(sums, tile, blocks, acts, stride, n)
	case tileQ6K, tileQ3K:
		mulTileU8HalvesAVXVNNI(sums, tile, blocks, acts, stride, n)
	}
}

// matVecVNNI multiplies packed rows with one activation row.
func matVecVNNI(f tileFormat, dst *float32, w *byte, groups, blocks int, acts *byte) {
	switch f {
	case tileQ40:
		matVecQ40PackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ41:
		matVecQ41PackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ50:
		matVecQ50PackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ51:
		matVecQ51PackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ80:
		matVecQ80PackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileIQ4NL:
		matVecIQ4NLPackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileIQ4XS:
		matVecIQ4XSPackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ4K:
		matVecQ4KPackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ5K:
		matVecQ5KPackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ6K:
		matVecQ6KPackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ2K:
		matVecQ2KPackedAVXVNNI(dst, w, groups, blocks, acts)
	case tileQ3K:
		matVecQ3KPackedAVXVNNI(dst, w, groups, blocks, acts)
	}
}
