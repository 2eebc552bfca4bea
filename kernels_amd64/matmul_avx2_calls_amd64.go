//go:build !purego

package kernels

// unpackTile fills a tile from packed rows, or from plain rows that are stride bytes apart.
func unpackTile(f Format, packed bool, tile, w *byte, stride, blocks int) {
	if packed {
		unpackPacked(f, tile, w, blocks)
	} else {
		unpackPlain(f, tile, w, stride, blocks)
	}
}

// unpackPacked fills a tile from packed rows.
func unpackPacked(f Format, tile, w *byte, blocks int) {
	switch f {
	case Q40:
		unpackQ40PackedAVX2(tile, w, 0, blocks)
	case Q41:
		unpackQ41PackedAVX2(tile, w, 0, blocks)
	case Q50:
		unpackQ50PackedAVX2(tile, w, 0, blocks)
	case Q51:
		unpackQ51PackedAVX2(tile, w, 0, blocks)
	case Q80:
		unpackQ80PackedAVX2(tile, w, 0, blocks)
	case IQ4NL:
		unpackIQ4NLPackedAVX2(tile, w, 0, blocks)
	case IQ4XS:
		unpackIQ4XSPackedAVX2(tile, w, 0, blocks)
	case Q4K:
		unpackQ4KPackedAVX2(tile, w, 0, blocks)
	case Q5K:
		unpackQ5KPackedAVX2(tile, w, 0, blocks)
	case Q6K:
		unpackQ6KPackedAVX2(tile, w, 0, blocks)
	case Q2K:
		unpackQ2KPackedAVX2(tile, w, 0, blocks)
	case Q3K:
		unpackQ3KPackedAVX2(tile, w, 0, blocks)
	}
}

// unpackPlain fills a tile from rows that are stride bytes apart.
func unpackPlain(f Format, tile, w *byte, stride, blocks int) {
	switch f {
	case Q40:
		unpackQ40PlainAVX2(tile, w, stride, blocks)
	case Q41:
		unpackQ41PlainAVX2(tile, w, stride, blocks)
	case Q50:
		unpackQ50PlainAVX2(tile, w, stride, blocks)
	case Q51:
		unpackQ51PlainAVX2(tile, w, stride, blocks)
	case Q80:
		unpackQ80PlainAVX2(tile, w, stride, blocks)
	case IQ4NL:
		unpackIQ4NLPlainAVX2(tile, w, stride, blocks)
	case IQ4XS:
		unpackIQ4XSPlainAVX2(tile, w, stride, blocks)
	case Q4K:
		unpackQ4KPlainAVX2(tile, w, stride, blocks)
	case Q5K:
		unpackQ5KPlainAVX2(tile, w, stride, blocks)
	case Q6K:
		unpackQ6KPlainAVX2(tile, w, stride, blocks)
	case Q2K:
		unpackQ2KPlainAVX2(tile, w, stride, blocks)
	case Q3K:
		unpackQ3KPlainAVX2(tile, w, stride, blocks)
	}
}

// mulTile multiplies a tile.
func mulTile(f Format, sums *float32, tile *byte, blocks int, acts *byte, stride, n int) {
	switch f {
	case Q40:
		mulTileU4AVX2(sums, tile, blocks, acts, stride, n)
	case Q41, Q4K:
		mulTileU4MinAVX2(sums, tile, blocks, acts, stride, n)
	case Q50:
		mulTileU5AVX2(sums, tile, blocks, acts, stride, n)
	case Q51, Q5K:
		mulTileU5MinAVX2(sums, tile, blocks, acts, stride, n)
	case Q80, IQ4NL, IQ4XS:
		mulTileU8AVX2(sums, tile, blocks, acts, stride, n)
	case Q6K:
		mulTileU6HalvesAVX2(sums, tile, blocks, acts, stride, n)
	case Q2K:
		mulTileU2HalvesMinAVX2(sums, tile, blocks, acts, stride, n)
	case Q3K:
		mulTileU3HalvesAVX2(sums, tile, blocks, acts, stride, n)
	}
}

// mulTileListed multiplies a tile with the activation rows that masks name.
func mulTileListed(f Format, sums *float32, tile *byte, blocks int, acts *byte, stride int, keep *uint64, next int) {
	switch f {
	case Q40:
		mulTileU4ListedAVX2(sums, tile, blocks, acts, stride, keep, next)
	case Q41, Q4K:
		mulTileU4MinListedAVX2(sums, tile, blocks, acts, stride, keep, next)
	case Q50:
		mulTileU5ListedAVX2(sums, tile, blocks, acts, stride, keep, next)
	case Q51, Q5K:
		mulTileU5MinListedAVX2(sums, tile, blocks, acts, stride, keep, next)
	case Q80, IQ4NL, IQ4XS:
		mulTileU8ListedAVX2(sums, tile, blocks, acts, stride, keep, next)
	case Q6K:
		mulTileU6HalvesListedAVX2(sums, tile, blocks, acts, stride, keep, next)
	case Q2K:
		mulTileU2HalvesMinListedAVX2(sums, tile, blocks, acts, stride, keep, next)
	case Q3K:
		mulTileU3HalvesListedAVX2(sums, tile, blocks, acts, stride, keep, next)
	}
}

// matVec multiplies packed rows with one activation row.
func matVec(f Format, dst *float32, dstStride int, w *byte, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVecQ40PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q41:
		matVecQ41PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q50:
		matVecQ50PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q51:
		matVecQ51PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q80:
		matVecQ80PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4NL:
		matVecIQ4NLPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4XS:
		matVecIQ4XSPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q4K:
		matVecQ4KPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q5K:
		matVecQ5KPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q6K:
		matVecQ6KPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q2K:
		matVecQ2KPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q3K:
		matVecQ3KPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	}
}

// matVec2 multiplies packed rows with two activation rows.
func matVec2(f Format, dst *float32, dstStride int, w *byte, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVec2Q40PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q41:
		matVec2Q41PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q80:
		matVec2Q80PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4NL:
		matVec2IQ4NLPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4XS:
		matVec2IQ4XSPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q4K:
		matVec2Q4KPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q6K:
		matVec2Q6KPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	}
}

// matVec3 multiplies packed rows with three activation rows.
func matVec3(f Format, dst *float32, dstStride int, w *byte, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVec3Q40PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q41:
		matVec3Q41PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q80:
		matVec3Q80PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4NL:
		matVec3IQ4NLPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	}
}

// matVec4 multiplies packed rows with four activation rows.
func matVec4(f Format, dst *float32, dstStride int, w *byte, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVec4Q40PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q41:
		matVec4Q41PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case Q80:
		matVec4Q80PackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	case IQ4NL:
		matVec4IQ4NLPackedAVX2(dst, dstStride, w, groups, blocks, acts, stride)
	}
}
