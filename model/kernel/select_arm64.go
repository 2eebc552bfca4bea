//go:build !purego

package kernel

import (
	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// candidates lists the sets in assembly that this CPU can run, the fastest first.
func candidates() []*Set {
	if !kernels.HasNEON() {
		return nil
	}
	neon := neonSet()
	if !kernels.HasDotProd() {
		return []*Set{neon}
	}
	// The dot-product extension (Armv8.2 FEAT_DotProd) concerns the 8-bit products alone.
	dotprod := *neon
	dotprod.Name = "dotprod"
	dotprod.MatMulQ8 = [NumTypes]MatMulQ8{
		quant.Q4_0: kernels.MatMulQ40Q8DotProd,
		quant.Q4_1: kernels.MatMulQ41Q8DotProd,
		quant.Q5_0: kernels.MatMulQ50Q8DotProd,
		quant.Q5_1: kernels.MatMulQ51Q8DotProd,
		quant.Q8_0: kernels.MatMulQ80Q8DotProd,
	}
	return []*Set{&dotprod, neon}
}

// neonSet is for every 64-bit ARM CPU.
func neonSet() *Set {
	return &Set{
		Name:     "neon",
		Quantize: kernels.QuantizeQ8NEON,
		MatMulQ8: [NumTypes]MatMulQ8{
			quant.Q4_0: kernels.MatMulQ40Q8NEON,
			quant.Q4_1: kernels.MatMulQ41Q8NEON,
			quant.Q5_0: kernels.MatMulQ50Q8NEON,
			quant.Q5_1: kernels.MatMulQ51Q8NEON,
			quant.Q8_0: kernels.MatMulQ80Q8NEON,
		},
		MatMulF32:      kernels.MatMulF32F32NEON,
		MatMulF16:      kernels.MatMulF16F32NEON,
		MatMulBF16:     kernels.MatMulBF16F32NEON,
		WeightedSumF16: kernels.WeightedSumF16NEON,
		ToF16:          kernels.ToF16NEON,
		RMSNorm:        kernels.RMSNormNEON,
		SiluMul:        kernels.SiluMulNEON,
		Softmax:        kernels.SoftmaxNEON,
	}
}
