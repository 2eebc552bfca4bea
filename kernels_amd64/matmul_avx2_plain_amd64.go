//go:build !purego

package kernels

// matVecPlain multiplies plain rows, rowStride bytes long and apart, with n activation rows, at most mostPlain.
func matVecPlain(f Format, n int, dst *float32, dstStride int, w *byte, rowStride, groups, blocks int, acts *byte, stride int) {
	if n == 2 {
		matVec2Plain(f, dst, dstStride, w, rowStride, groups, blocks, acts, stride)
		return
	}
	switch f {
	case Q40:
		matVecQ40PlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q41:
		matVecQ41PlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q50:
		matVecQ50PlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q51:
		matVecQ51PlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q80:
		matVecQ80PlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case IQ4NL:
		matVecIQ4NLPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case IQ4XS:
		matVecIQ4XSPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q4K:
		matVecQ4KPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q6K:
		matVecQ6KPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q2K:
		matVecQ2KPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q3K:
		matVecQ3KPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	}
}

func matVec2Plain(f Format, dst *float32, dstStride int, w *byte, rowStride, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVec2Q40PlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q41:
		matVec2Q41PlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q80:
		matVec2Q80PlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case IQ4NL:
		matVec2IQ4NLPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case IQ4XS:
		matVec2IQ4XSPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q4K:
		matVec2Q4KPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q6K:
		matVec2Q6KPlainAVX2(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	}
}

// matVecPlainVNNI is matVecPlain for AVX-VNNI.
func matVecPlainVNNI(f Format, n int, dst *float32, dstStride int, w *byte, rowStride, groups, blocks int, acts *byte, stride int) {
	if n == 2 {
		matVec2PlainVNNI(f, dst, dstStride, w, rowStride, groups, blocks, acts, stride)
		return
	}
	switch f {
	case Q40:
		matVecQ40PlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q41:
		matVecQ41PlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q50:
		matVecQ50PlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q51:
		matVecQ51PlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q80:
		matVecQ80PlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case IQ4NL:
		matVecIQ4NLPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case IQ4XS:
		matVecIQ4XSPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q4K:
		matVecQ4KPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q6K:
		matVecQ6KPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q2K:
		matVecQ2KPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q3K:
		matVecQ3KPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	}
}

func matVec2PlainVNNI(f Format, dst *float32, dstStride int, w *byte, rowStride, groups, blocks int, acts *byte, stride int) {
	switch f {
	case Q40:
		matVec2Q40PlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q41:
		matVec2Q41PlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q80:
		matVec2Q80PlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case IQ4NL:
		matVec2IQ4NLPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case IQ4XS:
		matVec2IQ4XSPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q4K:
		matVec2Q4KPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	case Q6K:
		matVec2Q6KPlainAVXVNNI(dst, dstStride, w, rowStride, groups, blocks, acts, stride)
	}
}
