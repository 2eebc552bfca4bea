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
	vnni := *avx2
	vnni.Name = "avx512vnni"
	vnni.Attention = avx512Attention()
	addVNNI(&vnni)
	return []*Set{&vnni, avx2}
}

// avx2Set is for CPUs with AVX2, FMA and F16C: Intel since Haswell (2013), AMD since Excavator (2015).
func avx2Set() *Set {
	return complete(&Set{
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
	})
}

// addVNNI gives s the 8-bit products with AVX-512 VNNI.
func addVNNI(s *Set) {
	s.MatMulQ8 = [quant.NumTypes]MatMulQ8{
		quant.Q4_0:   kernels.MatMulQ40VNNI,
		quant.Q4_1:   kernels.MatMulQ41VNNI,
		quant.Q5_0:   kernels.MatMulQ50VNNI,
		quant.Q5_1:   kernels.MatMulQ51VNNI,
		quant.Q8_0:   kernels.MatMulQ80VNNI,
		quant.IQ4_NL: kernels.MatMulIQ4NLVNNI,
		quant.IQ4_XS: kernels.MatMulIQ4XSVNNI,
		quant.Q2_K:   kernels.MatMulQ2KVNNI,
		quant.Q3_K:   kernels.MatMulQ3KVNNI,
		quant.Q4_K:   kernels.MatMulQ4KVNNI,
		quant.Q5_K:   kernels.MatMulQ5KVNNI,
		quant.Q6_K:   kernels.MatMulQ6KVNNI,
	}
	s.Packing = quant.Packing{Unit: 4}
	s.MatMulPacked = [quant.NumTypes]MatMulQ8{
		quant.Q4_0:   kernels.MatMulQ40PackedVNNI,
		quant.Q4_1:   kernels.MatMulQ41PackedVNNI,
		quant.Q5_0:   kernels.MatMulQ50PackedVNNI,
		quant.Q5_1:   kernels.MatMulQ51PackedVNNI,
		quant.Q8_0:   kernels.MatMulQ80PackedVNNI,
		quant.IQ4_NL: kernels.MatMulIQ4NLPackedVNNI,
		quant.IQ4_XS: kernels.MatMulIQ4XSPackedVNNI,
		quant.Q2_K:   kernels.MatMulQ2KPackedVNNI,
		quant.Q3_K:   kernels.MatMulQ3KPackedVNNI,
		quant.Q4_K:   kernels.MatMulQ4KPackedVNNI,
		quant.Q5_K:   kernels.MatMulQ5KPackedVNNI,
		quant.Q6_K:   kernels.MatMulQ6KPackedVNNI,
	}
}

func avx2Attention() Attention {
	return Attention{
		KeyTile:     [quant.NumKVFormats]KeyTile{kernels.KeyTileF16AVX2, kernels.KeyTileQ8AVX2},
		ValueTile:   [quant.NumKVFormats]ValueTile{kernels.ValueTileF16AVX2, kernels.ValueTileQ8AVX2},
		TileProduct: kernels.TileProductAVX2,
		SoftmaxTile: kernels.SoftmaxTileAVX2,
		Rotate:      kernels.RotateAVX2,
	}
}

func avx512Attention() Attention {
	return Attention{
		KeyTile:     [quant.NumKVFormats]KeyTile{kernels.KeyTileF16AVX512, kernels.KeyTileQ8AVX512},
		ValueTile:   [quant.NumKVFormats]ValueTile{kernels.ValueTileF16AVX512, kernels.ValueTileQ8AVX512},
		TileProduct: kernels.TileProductAVX512,
		SoftmaxTile: kernels.SoftmaxTileAVX512,
		Rotate:      kernels.RotateAVX2,
	}
}
