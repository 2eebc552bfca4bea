//go:build !purego

package kernels

// MatMulQ40AVX2 is kernel.Set.MatMulQ8 for Q4_0 weights.
func MatMulQ40AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ40, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ40PackedAVX2 is kernel.Set.MatMulPacked for Q4_0 weights, packed with units of 4 bytes.
func MatMulQ40PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ40, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ41AVX2 is kernel.Set.MatMulQ8 for Q4_1 weights.
func MatMulQ41AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ41, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ41PackedAVX2 is kernel.Set.MatMulPacked for Q4_1 weights, packed with units of 4 bytes.
func MatMulQ41PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ41, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ50AVX2 is kernel.Set.MatMulQ8 for Q5_0 weights.
func MatMulQ50AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ50, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ50PackedAVX2 is kernel.Set.MatMulPacked for Q5_0 weights, packed with units of 4 bytes.
func MatMulQ50PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ50, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ51AVX2 is kernel.Set.MatMulQ8 for Q5_1 weights.
func MatMulQ51AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ51, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ51PackedAVX2 is kernel.Set.MatMulPacked for Q5_1 weights, packed with units of 4 bytes.
func MatMulQ51PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ51, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ80AVX2 is kernel.Set.MatMulQ8 for Q8_0 weights.
func MatMulQ80AVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ80, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ80PackedAVX2 is kernel.Set.MatMulPacked for Q8_0 weights, packed with units of 4 bytes.
func MatMulQ80PackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ80, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4NLAVX2 is kernel.Set.MatMulQ8 for IQ4_NL weights.
func MatMulIQ4NLAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileIQ4NL, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4NLPackedAVX2 is kernel.Set.MatMulPacked for IQ4_NL weights, packed with units of 4 bytes.
func MatMulIQ4NLPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileIQ4NL, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4XSAVX2 is kernel.Set.MatMulQ8 for IQ4_XS weights.
func MatMulIQ4XSAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileIQ4XS, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4XSPackedAVX2 is kernel.Set.MatMulPacked for IQ4_XS weights, packed with units of 4 bytes.
func MatMulIQ4XSPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileIQ4XS, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ4KAVX2 is kernel.Set.MatMulQ8 for Q4_K weights.
func MatMulQ4KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ4K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ4KPackedAVX2 is kernel.Set.MatMulPacked for Q4_K weights, packed with units of 4 bytes.
func MatMulQ4KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ4K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ5KAVX2 is kernel.Set.MatMulQ8 for Q5_K weights.
func MatMulQ5KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ5K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ5KPackedAVX2 is kernel.Set.MatMulPacked for Q5_K weights, packed with units of 4 bytes.
func MatMulQ5KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ5K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ6KAVX2 is kernel.Set.MatMulQ8 for Q6_K weights.
func MatMulQ6KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ6K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ6KPackedAVX2 is kernel.Set.MatMulPacked for Q6_K weights, packed with units of 4 bytes.
func MatMulQ6KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ6K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ2KAVX2 is kernel.Set.MatMulQ8 for Q2_K weights.
func MatMulQ2KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ2K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ2KPackedAVX2 is kernel.Set.MatMulPacked for Q2_K weights, packed with units of 4 bytes.
func MatMulQ2KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ2K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ3KAVX2 is kernel.Set.MatMulQ8 for Q3_K weights.
func MatMulQ3KAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ3K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ3KPackedAVX2 is kernel.Set.MatMulPacked for Q3_K weights, packed with units of 4 bytes.
func MatMulQ3KPackedAVX2(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(tileQ3K, true, dst, dstStride, w, rows, cols, acts, n)
}
