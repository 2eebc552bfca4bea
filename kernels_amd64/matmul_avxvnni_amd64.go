//go:build !purego

package kernels

// unpackTileVNNI is unpackTile for mulTileVNNI. Unsigned weights without an offset have the same tiles as for AVX2.
func unpackTileVNNI(f Format, packed bool, tile, w *byte, stride, blocks int) {
	switch {
	case f.hasMin():
		unpackTile(f, packed, tile, w, stride, blocks)
	case packed:
		unpackPackedVNNI(f, tile, w, blocks)
	default:
		unpackPlainVNNI(f, tile, w, stride, blocks)
	}
}

// unpackPackedVNNI fills a tile from packed rows of a format with an offset.
func unpackPackedVNNI(f Format, tile, w *byte, blocks int) {
	switch f {
	case Q40:
		unpackQ40PackedAVXVNNI(tile, w, 0, blocks)
	case Q50:
		unpackQ50PackedAVXVNNI(tile, w, 0, blocks)
	case Q80:
		unpackQ80PackedAVXVNNI(tile, w, 0, blocks)
	case IQ4NL:
		unpackIQ4NLPackedAVXVNNI(tile, w, 0, blocks)
	case IQ4XS:
		unpackIQ4XSPackedAVXVNNI(tile, w, 0, blocks)
	case Q6K:
		unpackQ6KPackedAVXVNNI(tile, w, 0, blocks)
	case Q3K:
		unpackQ3KPackedAVXVNNI(tile, w, 0, blocks)
	}
}

// unpackPlainVNNI fills a tile from plain rows of a format with an offset.
func unpackPlainVNNI(f Format, tile, w *byte, stride, blocks int) {
	switch f {
	case Q40:
		unpackQ40PlainAVXVNNI(tile, w, stride, blocks)
	case Q50:
		unpackQ50PlainAVXVNNI(tile, w, stride, blocks)
	case Q80:
		unpackQ80PlainAVXVNNI(tile, w, stride, blocks)
	case IQ4NL:
		unpackIQ4NLPlainAVXVNNI(tile, w, stride, blocks)
	case IQ4XS:
		unpackIQ4XSPlainAVXVNNI(tile, w, stride, blocks)
	case Q6K:
		unpackQ6KPlainAVXVNNI(tile, w, stride, blocks)
	case Q3K:
		unpackQ3KPlainAVXVNNI(tile, w, stride, blocks)
	}
}

// mulTileVNNI multiplies a tile with VPDPBUSD.
func mulTileVNNI(f Format, sums *float32, tile *byte, blocks int, acts *byte, stride, n int) {
	switch f {
	case Q41, Q51, Q4K, Q5K:
		mulTileU8MinAVXVNNI(sums, tile, blocks, acts, stride, n)
	case Q40, Q50, Q80, IQ4NL, IQ4XS:
		mulTileU8AVXVNNI(sums, tile, blocks, acts, stride, n)
	case Q2K:
		mulTileU8HalvesMinAVXVNNI(sums, tile, blocks, acts, stride, n)
	case Q6K, Q3K:
		mulTileU8HalvesAVXVNNI(sums, tile, blocks, acts, stride, n)
	}
}

// matVecVNNI multiplies packed rows with one activation row.
func matVecVNNI(f Format, dst *float32, w *byte, groups, blocks int, acts *byte) {
	switch f {
	case Q40:
		matVecQ40PackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q41:
		matVecQ41PackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q50:
		matVecQ50PackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q51:
		matVecQ51PackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q80:
		matVecQ80PackedAVXVNNI(dst, w, groups, blocks, acts)
	case IQ4NL:
		matVecIQ4NLPackedAVXVNNI(dst, w, groups, blocks, acts)
	case IQ4XS:
		matVecIQ4XSPackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q4K:
		matVecQ4KPackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q5K:
		matVecQ5KPackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q6K:
		matVecQ6KPackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q2K:
		matVecQ2KPackedAVXVNNI(dst, w, groups, blocks, acts)
	case Q3K:
		matVecQ3KPackedAVXVNNI(dst, w, groups, blocks, acts)
	}
}

// matVec2VNNI multiplies packed rows of a format that twoRows names with two activation rows.
func matVec2VNNI(f Format, dst, second *float32, w *byte, groups, blocks int, acts *byte) {
	switch f {
	case Q40:
		matVec2Q40PackedAVXVNNI(dst, second, w, groups, blocks, acts)
	case Q41:
		matVec2Q41PackedAVXVNNI(dst, second, w, groups, blocks, acts)
	case Q80:
		matVec2Q80PackedAVXVNNI(dst, second, w, groups, blocks, acts)
	case IQ4NL:
		matVec2IQ4NLPackedAVXVNNI(dst, second, w, groups, blocks, acts)
	case IQ4XS:
		matVec2IQ4XSPackedAVXVNNI(dst, second, w, groups, blocks, acts)
	case Q4K:
		matVec2Q4KPackedAVXVNNI(dst, second, w, groups, blocks, acts)
	case Q6K:
		matVec2Q6KPackedAVXVNNI(dst, second, w, groups, blocks, acts)
	}
}
