//go:build !purego

package kernel

import (
	"unsafe"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// withAVX2 gives s the 8-bit products for AVX2.
func withAVX2(s *Set) *Set {
	s.Packing = quant.Packing{Unit: 4}
	s.MatMulQ8 = [quant.NumTypes]MatMulQ8{
		quant.Q4_0:   kernels.MatMulQ40AVX2,
		quant.Q4_1:   kernels.MatMulQ41AVX2,
		quant.Q5_0:   kernels.MatMulQ50AVX2,
		quant.Q5_1:   kernels.MatMulQ51AVX2,
		quant.Q8_0:   kernels.MatMulQ80AVX2,
		quant.IQ4_NL: kernels.MatMulIQ4NLAVX2,
		quant.IQ4_XS: kernels.MatMulIQ4XSAVX2,
		quant.Q4_K:   kernels.MatMulQ4KAVX2,
		quant.Q5_K:   kernels.MatMulQ5KAVX2,
		quant.Q6_K:   kernels.MatMulQ6KAVX2,
		quant.Q2_K:   kernels.MatMulQ2KAVX2,
		quant.Q3_K:   kernels.MatMulQ3KAVX2,
	}
	s.MatMulPacked = [quant.NumTypes]MatMulQ8{
		quant.Q4_0:   kernels.MatMulQ40PackedAVX2,
		quant.Q4_1:   kernels.MatMulQ41PackedAVX2,
		quant.Q5_0:   kernels.MatMulQ50PackedAVX2,
		quant.Q5_1:   kernels.MatMulQ51PackedAVX2,
		quant.Q8_0:   kernels.MatMulQ80PackedAVX2,
		quant.IQ4_NL: kernels.MatMulIQ4NLPackedAVX2,
		quant.IQ4_XS: kernels.MatMulIQ4XSPackedAVX2,
		quant.Q4_K:   kernels.MatMulQ4KPackedAVX2,
		quant.Q5_K:   kernels.MatMulQ5KPackedAVX2,
		quant.Q6_K:   kernels.MatMulQ6KPackedAVX2,
		quant.Q2_K:   kernels.MatMulQ2KPackedAVX2,
		quant.Q3_K:   kernels.MatMulQ3KPackedAVX2,
	}
	s.MatMulTile = func(dst []float32, dstStride int, tile *Tile, acts []byte, stride, n int) {
		kernels.MatMulTileAVX2(dst, dstStride, (*byte)(unsafe.Pointer(&tile.Block)), tile.Blocks, acts, stride, n)
	}
	return s
}

// avxvnniSet is for CPUs with VPDPBUSD but without AVX-512: Intel since Alder Lake (2021). It goes on from the set for AVX2.
func avxvnniSet(s Set) *Set {
	s.Name = "avxvnni"
	s.MatMulQ8 = [quant.NumTypes]MatMulQ8{
		quant.Q4_0:   kernels.MatMulQ40AVXVNNI,
		quant.Q4_1:   kernels.MatMulQ41AVXVNNI,
		quant.Q5_0:   kernels.MatMulQ50AVXVNNI,
		quant.Q5_1:   kernels.MatMulQ51AVXVNNI,
		quant.Q8_0:   kernels.MatMulQ80AVXVNNI,
		quant.IQ4_NL: kernels.MatMulIQ4NLAVXVNNI,
		quant.IQ4_XS: kernels.MatMulIQ4XSAVXVNNI,
		quant.Q4_K:   kernels.MatMulQ4KAVXVNNI,
		quant.Q5_K:   kernels.MatMulQ5KAVXVNNI,
		quant.Q6_K:   kernels.MatMulQ6KAVXVNNI,
		quant.Q2_K:   kernels.MatMulQ2KAVXVNNI,
		quant.Q3_K:   kernels.MatMulQ3KAVXVNNI,
	}
	s.MatMulPacked = [quant.NumTypes]MatMulQ8{
		quant.Q4_0:   kernels.MatMulQ40PackedAVXVNNI,
		quant.Q4_1:   kernels.MatMulQ41PackedAVXVNNI,
		quant.Q5_0:   kernels.MatMulQ50PackedAVXVNNI,
		quant.Q5_1:   kernels.MatMulQ51PackedAVXVNNI,
		quant.Q8_0:   kernels.MatMulQ80PackedAVXVNNI,
		quant.IQ4_NL: kernels.MatMulIQ4NLPackedAVXVNNI,
		quant.IQ4_XS: kernels.MatMulIQ4XSPackedAVXVNNI,
		quant.Q4_K:   kernels.MatMulQ4KPackedAVXVNNI,
		quant.Q5_K:   kernels.MatMulQ5KPackedAVXVNNI,
		quant.Q6_K:   kernels.MatMulQ6KPackedAVXVNNI,
		quant.Q2_K:   kernels.MatMulQ2KPackedAVXVNNI,
		quant.Q3_K:   kernels.MatMulQ3KPackedAVXVNNI,
	}
	return complete(&s)
}
