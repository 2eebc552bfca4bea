//go:build !purego

package kernels

import "unsafe"

// MatMulAVX2 is kernel.Set.MatMulQ8 for weights of format f, or, for packed ones with units of 4 bytes,
// kernel.Set.MatMulPacked, with the same bits.
func MatMulAVX2(f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, f, packed, dst, dstStride, w, rows, cols, acts, n, nil)
}

// MatMulListedAVX2 is MatMulAVX2 for activations of which many blocks are zeros: keep is (cols/32, n/64 rounded up) masks, bit t%64
// of mask t/64 of a block is set if that block of row t is to be multiplied. Blocks that are not must be zeros: with few rows
// they are multiplied all the same.
func MatMulListedAVX2(
	f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64,
) {
	mulTiles(isaAVX2, f, packed, dst, dstStride, w, rows, cols, acts, n, keep)
}

// MatMulAVXVNNI is MatMulAVX2 with AVX-VNNI.
func MatMulAVXVNNI(f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, f, packed, dst, dstStride, w, rows, cols, acts, n, nil)
}

// MatMulListedAVXVNNI is MatMulListedAVX2 with AVX-VNNI.
func MatMulListedAVXVNNI(
	f Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64,
) {
	mulTiles(isaAVXVNNI, f, packed, dst, dstStride, w, rows, cols, acts, n, keep)
}

// MatMulTileAVX2 is kernel.Set.MatMulTile: dst[t*dstStride+r] += dot(tile row r, activation row t), r < 16, t < n. tile is
// the first of blocks kernel.TileBlocks, which have 768 bytes each and are not checked; row t of block b is the Act number
// b*stride+t of acts. It panics if another length does not fit.
func MatMulTileAVX2(dst []float32, dstStride int, tile *byte, blocks int, acts []byte, stride, n int) {
	must(n >= 0, "activation rows at least", n, 0)
	must(blocks >= 0, "blocks at least", blocks, 0)
	if n == 0 || blocks == 0 {
		return
	}
	must(n <= 1 || dstStride >= groupRows, "destination stride at least", dstStride, groupRows)
	must(stride >= n, "activation stride at least", stride, n)
	must(len(dst) >= (n-1)*dstStride+groupRows, "destination length at least", len(dst), (n-1)*dstStride+groupRows)
	most := ((blocks-1)*stride + n) * actBytes
	must(len(acts) >= most, "quantised activations at least", len(acts), most)
	raceRead(unsafe.Slice(tile, blocks*tileRecord))
	raceRead(acts[:most])
	var sums [sumTokens * groupRows]float32
	for first := 0; first < n; first += sumTokens {
		some := min(sumTokens, n-first)
		for t := range some {
			copy(sums[t*groupRows:][:groupRows], dst[(first+t)*dstStride:])
			raceWrite(dst[(first+t)*dstStride:][:groupRows])
		}
		mulTileS8HalvesMinAVX2(&sums[0], tile, blocks, &acts[first*actBytes], stride*actBytes, some)
		storeSumsAVX2(&dst[first*dstStride], dstStride, &sums[0], some)
	}
}
