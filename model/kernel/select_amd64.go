//go:build !purego

package kernel

import kernels "siskin/kernels_amd64"

// candidates lists the sets in assembly that this CPU can run, the fastest first.
func candidates() []*Set {
	if !kernels.HasAVX2() {
		return nil
	}
	avx2 := avx2Set()
	sets := []*Set{avx2}
	if kernels.HasAVXVNNI() {
		sets = append([]*Set{avxvnniSet(*avx2)}, sets...)
	}
	if !kernels.HasAVX512VNNI() {
		return sets
	}
	vnni := *avx2
	vnni.Name = "avx512vnni"
	return append([]*Set{&vnni}, sets...)
}

// avx2Set is for CPUs with AVX2, FMA and F16C: Intel since Haswell (2013), AMD since Excavator (2015).
func avx2Set() *Set {
	return complete(withAVX2(&Set{
		Name:           "avx2",
		MatMulF32:      kernels.MatMulF32F32AVX2,
		MatMulF16:      kernels.MatMulF16F32AVX2,
		MatMulBF16:     kernels.MatMulBF16F32AVX2,
		WeightedSumF16: kernels.WeightedSumF16AVX2,
		ToF16:          kernels.ToF16AVX2,
		RMSNorm:        kernels.RMSNormAVX2,
		SiluMul:        kernels.SiluMulAVX2,
		Softmax:        kernels.SoftmaxAVX2,
	}))
}
