//go:build !purego

package kernels

// MatMulQ40AVXVNNI is kernel.Set.MatMulQ8 for Q4_0 weights with AVX-VNNI.
func MatMulQ40AVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ40, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ40PackedAVXVNNI is kernel.Set.MatMulPacked for Q4_0 weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ40PackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ40, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ41AVXVNNI is kernel.Set.MatMulQ8 for Q4_1 weights with AVX-VNNI.
func MatMulQ41AVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ41, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ41PackedAVXVNNI is kernel.Set.MatMulPacked for Q4_1 weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ41PackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ41, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ50AVXVNNI is kernel.Set.MatMulQ8 for Q5_0 weights with AVX-VNNI.
func MatMulQ50AVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ50, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ50PackedAVXVNNI is kernel.Set.MatMulPacked for Q5_0 weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ50PackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ50, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ51AVXVNNI is kernel.Set.MatMulQ8 for Q5_1 weights with AVX-VNNI.
func MatMulQ51AVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ51, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ51PackedAVXVNNI is kernel.Set.MatMulPacked for Q5_1 weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ51PackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ51, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ80AVXVNNI is kernel.Set.MatMulQ8 for Q8_0 weights with AVX-VNNI.
func MatMulQ80AVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ80, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ80PackedAVXVNNI is kernel.Set.MatMulPacked for Q8_0 weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ80PackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ80, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4NLAVXVNNI is kernel.Set.MatMulQ8 for IQ4_NL weights with AVX-VNNI.
func MatMulIQ4NLAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileIQ4NL, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4NLPackedAVXVNNI is kernel.Set.MatMulPacked for IQ4_NL weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulIQ4NLPackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileIQ4NL, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4XSAVXVNNI is kernel.Set.MatMulQ8 for IQ4_XS weights with AVX-VNNI.
func MatMulIQ4XSAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileIQ4XS, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4XSPackedAVXVNNI is kernel.Set.MatMulPacked for IQ4_XS weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulIQ4XSPackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileIQ4XS, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ4KAVXVNNI is kernel.Set.MatMulQ8 for Q4_K weights with AVX-VNNI.
func MatMulQ4KAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ4K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ4KPackedAVXVNNI is kernel.Set.MatMulPacked for Q4_K weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ4KPackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ4K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ5KAVXVNNI is kernel.Set.MatMulQ8 for Q5_K weights with AVX-VNNI.
func MatMulQ5KAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ5K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ5KPackedAVXVNNI is kernel.Set.MatMulPacked for Q5_K weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ5KPackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ5K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ6KAVXVNNI is kernel.Set.MatMulQ8 for Q6_K weights with AVX-VNNI.
func MatMulQ6KAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ6K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ6KPackedAVXVNNI is kernel.Set.MatMulPacked for Q6_K weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ6KPackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ6K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ2KAVXVNNI is kernel.Set.MatMulQ8 for Q2_K weights with AVX-VNNI.
func MatMulQ2KAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ2K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ2KPackedAVXVNNI is kernel.Set.MatMulPacked for Q2_K weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ2KPackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ2K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ3KAVXVNNI is kernel.Set.MatMulQ8 for Q3_K weights with AVX-VNNI.
func MatMulQ3KAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ3K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ3KPackedAVXVNNI is kernel.Set.MatMulPacked for Q3_K weights with AVX-VNNI, packed with units of 4 bytes.
func MatMulQ3KPackedAVXVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulTiles(isaAVXVNNI, tileQ3K, true, dst, dstStride, w, rows, cols, acts, n)
}
