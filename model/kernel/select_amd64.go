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
	base := avx2Set()
	own := *base
	avx2 := withLists(&own, kernels.MatMulListedAVX2)
	sets := []*Set{avx2}
	if kernels.HasAVXVNNI() {
		avxvnni := *base
		avxvnni.Name = "avxvnni"
		avxvnni.Attention = avxvnniAttention()
		sets = []*Set{withLists(withProducts(&avxvnni, kernels.MatMulAVXVNNI), kernels.MatMulListedAVXVNNI), avx2}
	}
	if !kernels.HasAVX512VNNI() {
		return sets
	}
	vnni := *base
	vnni.Name = "avx512vnni"
	vnni.Attention = avx512Attention()
	return append([]*Set{withLists(withProducts(&vnni, kernels.MatMulVNNI), kernels.MatMulListedVNNI)}, sets...)
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
		KeyTile:      kernels.KeyTileF16AVX2,
		ValueTile:    kernels.ValueTileF16AVX2,
		TileProduct:  kernels.TileProductAVX2,
		KeyProduct:   kernels.KeyProductAVX2,
		ValueProduct: kernels.ValueProductAVX2,
		Hadamard:     kernels.HadamardAVX2,
		QuantizeKV:   kernels.QuantizeKVAVX2,
		QuantizeRows: kernels.QuantizeRowsAVX2,
		KeyScores:    [quant.NumKVFormats]KeyScores{quant.KVQ8: kernels.KeyScoresQ8AVX2, quant.KVQ4: kernels.KeyScoresQ4AVX2},
		MixValues:    [quant.NumKVFormats]MixValues{quant.KVQ8: kernels.MixValuesQ8AVX2, quant.KVQ4: kernels.MixValuesQ4AVX2},
		SoftmaxTile:  kernels.SoftmaxTileAVX2,
		FoldRows:     kernels.FoldRowsAVX2,
		Rotate:       kernels.RotateAVX2,
		RotateHalves: quant.RotateHalves,
	}
}

// avxvnniAttention is that of AVX2 but for the products of integers.
func avxvnniAttention() Attention {
	a := avx2Attention()
	a.QuantizeRows = kernels.QuantizeRowsVNNI
	a.KeyScores = [quant.NumKVFormats]KeyScores{quant.KVQ8: kernels.KeyScoresQ8AVXVNNI, quant.KVQ4: kernels.KeyScoresQ4AVXVNNI}
	a.MixValues = [quant.NumKVFormats]MixValues{quant.KVQ8: kernels.MixValuesQ8AVXVNNI, quant.KVQ4: kernels.MixValuesQ4AVXVNNI}
	return a
}

func avx512Attention() Attention {
	return Attention{
		KeyTile:      kernels.KeyTileF16AVX512,
		ValueTile:    kernels.ValueTileF16AVX512,
		TileProduct:  kernels.TileProductAVX512,
		KeyProduct:   kernels.KeyProductAVX512,
		ValueProduct: kernels.ValueProductAVX512,
		Hadamard:     kernels.HadamardAVX2,
		QuantizeKV:   kernels.QuantizeKVAVX2,
		QuantizeRows: kernels.QuantizeRowsAVX512,
		KeyScores:    [quant.NumKVFormats]KeyScores{quant.KVQ8: kernels.KeyScoresQ8VNNI, quant.KVQ4: kernels.KeyScoresQ4VNNI},
		MixValues:    [quant.NumKVFormats]MixValues{quant.KVQ8: kernels.MixValuesQ8VNNI, quant.KVQ4: kernels.MixValuesQ4VNNI},
		SoftmaxTile:  kernels.SoftmaxTileAVX512,
		FoldRows:     kernels.FoldRowsAVX512,
		Rotate:       kernels.RotateAVX2,
		RotateHalves: quant.RotateHalves,
	}
}
