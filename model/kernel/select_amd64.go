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
	sets := []*Set{avx2}
	if kernels.HasAVXVNNI() {
		avxvnni := *avx2
		avxvnni.Name = "avxvnni"
		sets = []*Set{withProducts(&avxvnni, kernels.MatMulAVXVNNI), avx2}
	}
	if !kernels.HasAVX512VNNI() {
		return sets
	}
	vnni := *avx2
	vnni.Name = "avx512vnni"
	vnni.Attention = avx512Attention()
	return append([]*Set{withProducts(&vnni, kernels.MatMulVNNI)}, sets...)
}

// avx2Set is for CPUs with AVX2, FMA and F16C: Intel since Haswell (2013), AMD since Excavator (2015).
func avx2Set() *Set {
	return complete(withProducts(&Set{
		Name:            "avx2",
		Quantize:        kernels.QuantizeAVX2,
		QuantizeRefined: kernels.QuantizeRefinedAVX2,
		MatMulF32:       kernels.MatMulF32F32AVX2,
		MatMulF16:       kernels.MatMulF16F32AVX2,
		MatMulBF16:      kernels.MatMulBF16F32AVX2,
		Attention:       avx2Attention(),
		ToF16:           kernels.ToF16AVX2,
		RMSNorm:         kernels.RMSNormAVX2,
		SiluMul:         kernels.SiluMulAVX2,
		Add:             kernels.AddAVX2,
		MatMulTile:      mulTileAVX2,
	}, kernels.MatMulAVX2))
}

func avx2Attention() Attention {
	return Attention{
		KeyTile:      [quant.NumKVFormats]KeyTile{kernels.KeyTileF16AVX2, kernels.KeyTileQ8AVX2},
		ValueTile:    [quant.NumKVFormats]ValueTile{kernels.ValueTileF16AVX2, kernels.ValueTileQ8AVX2},
		TileProduct:  kernels.TileProductAVX2,
		SoftmaxTile:  kernels.SoftmaxTileAVX2,
		FoldRows:     kernels.FoldRowsAVX2,
		Rotate:       kernels.RotateAVX2,
		RotateHalves: quant.RotateHalves,
	}
}

func avx512Attention() Attention {
	return Attention{
		KeyTile:      [quant.NumKVFormats]KeyTile{kernels.KeyTileF16AVX512, kernels.KeyTileQ8AVX512},
		ValueTile:    [quant.NumKVFormats]ValueTile{kernels.ValueTileF16AVX512, kernels.ValueTileQ8AVX512},
		TileProduct:  kernels.TileProductAVX512,
		SoftmaxTile:  kernels.SoftmaxTileAVX512,
		FoldRows:     kernels.FoldRowsAVX512,
		Rotate:       kernels.RotateAVX2,
		RotateHalves: quant.RotateHalves,
	}
}
