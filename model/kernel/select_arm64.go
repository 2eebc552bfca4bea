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
	dotprod := *neon
	dotprod.Name = "dotprod"
	return []*Set{&dotprod, neon}
}

// neonSet is for every 64-bit ARM CPU.
func neonSet() *Set {
	return complete(&Set{
		Name:       "neon",
		MatMulF32:  kernels.MatMulF32F32NEON,
		MatMulF16:  kernels.MatMulF16F32NEON,
		MatMulBF16: kernels.MatMulBF16F32NEON,
		Attention:  neonAttention(),
		ToF16:      kernels.ToF16NEON,
		RMSNorm:    kernels.RMSNormNEON,
		SiluMul:    kernels.SiluMulNEON,
		Add:        kernels.AddNEON,
	})
}

func neonAttention() Attention {
	return Attention{
		KeyTile:     [quant.NumKVFormats]KeyTile{kernels.KeyTileF16NEON, kernels.KeyTileQ8NEON},
		ValueTile:   [quant.NumKVFormats]ValueTile{kernels.ValueTileF16NEON, kernels.ValueTileQ8NEON},
		TileProduct: kernels.TileProductNEON,
		SoftmaxTile: kernels.SoftmaxTileNEON,
		FoldRows:    kernels.FoldRowsNEON,
		Rotate:      kernels.RotateNEON,
	}
}
