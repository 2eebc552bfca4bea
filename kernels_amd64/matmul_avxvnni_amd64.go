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

// mulTileListedVNNI multiplies a tile with the activation rows that masks name.
func mulTileListedVNNI(f Format, sums *float32, tile *byte, blocks int, acts *byte, stride int, keep *uint64, next int) {
	switch f {
	case Q41, Q51, Q4K, Q5K:
		mulTileU8MinListedAVXVNNI(sums, tile, blocks, acts, stride, keep, next)
	case Q40, Q50, Q80, IQ4NL, IQ4XS:
		mulTileU8ListedAVXVNNI(sums, tile, blocks, acts, stride, keep, next)
	case Q2K:
		mulTileU8HalvesMinListedAVXVNNI(sums, tile, blocks, acts, stride, keep, next)
	case Q6K, Q3K:
		mulTileU8HalvesListedAVXVNNI(sums, tile, blocks, acts, stride, keep, next)
	}
}

// matVecVNNI multiplies packed rows with one activation row.
func matVecVNNI(f Format, dst *float32, dstStride int, w *byte, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVecQ40PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q41:
		matVecQ41PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q50:
		matVecQ50PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q51:
		matVecQ51PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q80:
		matVecQ80PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4NL:
		matVecIQ4NLPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4XS:
		matVecIQ4XSPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q4K:
		matVecQ4KPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q5K:
		matVecQ5KPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q6K:
		matVecQ6KPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q2K:
		matVecQ2KPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q3K:
		matVecQ3KPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	}
}

// matVec2VNNI multiplies packed rows with two activation rows.
func matVec2VNNI(f Format, dst *float32, dstStride int, w *byte, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVec2Q40PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q41:
		matVec2Q41PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q80:
		matVec2Q80PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4NL:
		matVec2IQ4NLPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4XS:
		matVec2IQ4XSPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q4K:
		matVec2Q4KPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q6K:
		matVec2Q6KPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	}
}

// matVec3VNNI multiplies packed rows with three activation rows.
func matVec3VNNI(f Format, dst *float32, dstStride int, w *byte, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVec3Q40PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q41:
		matVec3Q41PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q80:
		matVec3Q80PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4NL:
		matVec3IQ4NLPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	}
}

// matVec4VNNI multiplies packed rows with four activation rows.
func matVec4VNNI(f Format, dst *float32, dstStride int, w *byte, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVec4Q40PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q41:
		matVec4Q41PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case Q80:
		matVec4Q80PackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4NL:
		matVec4IQ4NLPackedAVXVNNI(dst, dstStride, w, groups, blocks, acts, stride)
	}
}
