//go:build !purego

package kernels

// MatMulQ40VNNI is kernel.Set.MatMulQ8 for Q4_0 weights with AVX-512 VNNI.
func MatMulQ40VNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ40, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ40PackedVNNI is kernel.Set.MatMulPacked for Q4_0 weights, units of 4 bytes, with the bits of MatMulQ40VNNI.
func MatMulQ40PackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ40, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ41VNNI is kernel.Set.MatMulQ8 for Q4_1 weights with AVX-512 VNNI.
func MatMulQ41VNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ41, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ41PackedVNNI is kernel.Set.MatMulPacked for Q4_1 weights, units of 4 bytes, with the bits of MatMulQ41VNNI.
func MatMulQ41PackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ41, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ50VNNI is kernel.Set.MatMulQ8 for Q5_0 weights with AVX-512 VNNI.
func MatMulQ50VNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ50, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ50PackedVNNI is kernel.Set.MatMulPacked for Q5_0 weights, units of 4 bytes, with the bits of MatMulQ50VNNI.
func MatMulQ50PackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ50, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ51VNNI is kernel.Set.MatMulQ8 for Q5_1 weights with AVX-512 VNNI.
func MatMulQ51VNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ51, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ51PackedVNNI is kernel.Set.MatMulPacked for Q5_1 weights, units of 4 bytes, with the bits of MatMulQ51VNNI.
func MatMulQ51PackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ51, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ80VNNI is kernel.Set.MatMulQ8 for Q8_0 weights with AVX-512 VNNI.
func MatMulQ80VNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ80, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ80PackedVNNI is kernel.Set.MatMulPacked for Q8_0 weights, units of 4 bytes, with the bits of MatMulQ80VNNI.
func MatMulQ80PackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ80, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4NLVNNI is kernel.Set.MatMulQ8 for IQ4_NL weights with AVX-512 VNNI.
func MatMulIQ4NLVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniIQ4NL, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4NLPackedVNNI is kernel.Set.MatMulPacked for IQ4_NL weights, units of 4 bytes, with the bits of MatMulIQ4NLVNNI.
func MatMulIQ4NLPackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniIQ4NL, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4XSVNNI is kernel.Set.MatMulQ8 for IQ4_XS weights with AVX-512 VNNI.
func MatMulIQ4XSVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniIQ4XS, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulIQ4XSPackedVNNI is kernel.Set.MatMulPacked for IQ4_XS weights, units of 4 bytes, with the bits of MatMulIQ4XSVNNI.
func MatMulIQ4XSPackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniIQ4XS, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ2KVNNI is kernel.Set.MatMulQ8 for Q2_K weights with AVX-512 VNNI.
func MatMulQ2KVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ2K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ2KPackedVNNI is kernel.Set.MatMulPacked for Q2_K weights, units of 4 bytes, with the bits of MatMulQ2KVNNI.
func MatMulQ2KPackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ2K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ3KVNNI is kernel.Set.MatMulQ8 for Q3_K weights with AVX-512 VNNI.
func MatMulQ3KVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ3K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ3KPackedVNNI is kernel.Set.MatMulPacked for Q3_K weights, units of 4 bytes, with the bits of MatMulQ3KVNNI.
func MatMulQ3KPackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ3K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ4KVNNI is kernel.Set.MatMulQ8 for Q4_K weights with AVX-512 VNNI.
func MatMulQ4KVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ4K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ4KPackedVNNI is kernel.Set.MatMulPacked for Q4_K weights, units of 4 bytes, with the bits of MatMulQ4KVNNI.
func MatMulQ4KPackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ4K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ5KVNNI is kernel.Set.MatMulQ8 for Q5_K weights with AVX-512 VNNI.
func MatMulQ5KVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ5K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ5KPackedVNNI is kernel.Set.MatMulPacked for Q5_K weights, units of 4 bytes, with the bits of MatMulQ5KVNNI.
func MatMulQ5KPackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ5K, true, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ6KVNNI is kernel.Set.MatMulQ8 for Q6_K weights with AVX-512 VNNI.
func MatMulQ6KVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ6K, false, dst, dstStride, w, rows, cols, acts, n)
}

// MatMulQ6KPackedVNNI is kernel.Set.MatMulPacked for Q6_K weights, units of 4 bytes, with the bits of MatMulQ6KVNNI.
func MatMulQ6KPackedVNNI(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
	mulVNNI(vnniQ6K, true, dst, dstStride, w, rows, cols, acts, n)
}
