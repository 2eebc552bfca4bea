//go:build !purego

package kernel

import (
	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// candidates lists the sets in assembly that this CPU can run, the fastest first.
func candidates() []*Set {
	if !kernels.HasAVX2() {
		return nil
	}
	avx2 := avx2Set()
	if !kernels.HasAVX512VNNI() {
		return []*Set{avx2}
	}
	// VPDPBUSD concerns the 8-bit products alone.
	vnni := *avx2
	vnni.Name = "avx512vnni"
	vnni.MatMulQ8 = [NumTypes]MatMulQ8{
		quant.Q4_0: kernels.MatMulQ40Q8VNNI,
		quant.Q4_1: kernels.MatMulQ41Q8VNNI,
		quant.Q5_0: kernels.MatMulQ50Q8VNNI,
		quant.Q5_1: kernels.MatMulQ51Q8VNNI,
		quant.Q8_0: kernels.MatMulQ80Q8VNNI,
	}
	return []*Set{&vnni, avx2}
}

// avx2Set is for CPUs with AVX2, FMA and F16C: Intel since Haswell (2013), AMD since Excavator (2015).
func avx2Set() *Set {
	return &Set{
		Name:     "avx2",
		Quantize: kernels.QuantizeQ8AVX2,
		MatMulQ8: [NumTypes]MatMulQ8{
			quant.Q4_0: kernels.MatMulQ40Q8AVX2,
			quant.Q4_1: kernels.MatMulQ41Q8AVX2,
			quant.Q5_0: kernels.MatMulQ50Q8AVX2,
			quant.Q5_1: kernels.MatMulQ51Q8AVX2,
			quant.Q8_0: kernels.MatMulQ80Q8AVX2,
		},
		MatMulF32:      kernels.MatMulF32F32AVX2,
		MatMulF16:      kernels.MatMulF16F32AVX2,
		MatMulBF16:     kernels.MatMulBF16F32AVX2,
		WeightedSumF16: kernels.WeightedSumF16AVX2,
		ToF16:          kernels.ToF16AVX2,
		RMSNorm:        kernels.RMSNormAVX2,
		SiluMul:        kernels.SiluMulAVX2,
		Softmax:        kernels.SoftmaxAVX2,
	}
}
