//go:build !purego

package kernels

import "unsafe"

// MatMulQ40AVX2 is kernel.Set.MatMulQ8 for Q4_0 weights.
func MatMulQ40AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ40, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ40PackedAVX2 is kernel.Set.MatMulPacked for Q4_0 weights, packed with units of 4 bytes.
func MatMulQ40PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ40, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ41AVX2 is kernel.Set.MatMulQ8 for Q4_1 weights.
func MatMulQ41AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ41, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ41PackedAVX2 is kernel.Set.MatMulPacked for Q4_1 weights, packed with units of 4 bytes.
func MatMulQ41PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ41, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ50AVX2 is kernel.Set.MatMulQ8 for Q5_0 weights.
func MatMulQ50AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ50, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ50PackedAVX2 is kernel.Set.MatMulPacked for Q5_0 weights, packed with units of 4 bytes.
func MatMulQ50PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ50, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ51AVX2 is kernel.Set.MatMulQ8 for Q5_1 weights.
func MatMulQ51AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ51, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ51PackedAVX2 is kernel.Set.MatMulPacked for Q5_1 weights, packed with units of 4 bytes.
func MatMulQ51PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ51, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ80AVX2 is kernel.Set.MatMulQ8 for Q8_0 weights.
func MatMulQ80AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ80, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ80PackedAVX2 is kernel.Set.MatMulPacked for Q8_0 weights, packed with units of 4 bytes.
func MatMulQ80PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ80, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4NLAVX2 is kernel.Set.MatMulQ8 for IQ4_NL weights.
func MatMulIQ4NLAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileIQ4NL, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4NLPackedAVX2 is kernel.Set.MatMulPacked for IQ4_NL weights, packed with units of 4 bytes.
func MatMulIQ4NLPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileIQ4NL, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4XSAVX2 is kernel.Set.MatMulQ8 for IQ4_XS weights.
func MatMulIQ4XSAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileIQ4XS, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4XSPackedAVX2 is kernel.Set.MatMulPacked for IQ4_XS weights, packed with units of 4 bytes.
func MatMulIQ4XSPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileIQ4XS, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ4KAVX2 is kernel.Set.MatMulQ8 for Q4_K weights.
func MatMulQ4KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ4K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ4KPackedAVX2 is kernel.Set.MatMulPacked for Q4_K weights, packed with units of 4 bytes.
func MatMulQ4KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ4K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ5KAVX2 is kernel.Set.MatMulQ8 for Q5_K weights.
func MatMulQ5KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ5K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ5KPackedAVX2 is kernel.Set.MatMulPacked for Q5_K weights, packed with units of 4 bytes.
func MatMulQ5KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ5K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ6KAVX2 is kernel.Set.MatMulQ8 for Q6_K weights.
func MatMulQ6KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ6K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ6KPackedAVX2 is kernel.Set.MatMulPacked for Q6_K weights, packed with units of 4 bytes.
func MatMulQ6KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ6K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ2KAVX2 is kernel.Set.MatMulQ8 for Q2_K weights.
func MatMulQ2KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ2K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ2KPackedAVX2 is kernel.Set.MatMulPacked for Q2_K weights, packed with units of 4 bytes.
func MatMulQ2KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ2K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ3KAVX2 is kernel.Set.MatMulQ8 for Q3_K weights.
func MatMulQ3KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ3K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ3KPackedAVX2 is kernel.Set.MatMulPacked for Q3_K weights, packed with units of 4 bytes.
func MatMulQ3KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVX2, tileQ3K, true, dst, dstStride, w, rows, cols, acts, n)
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
