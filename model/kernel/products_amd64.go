//go:build !purego

package kernel

import (
	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// addAVX2 gives s the 8-bit products with AVX2.
func addAVX2(s *Set) {
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
}

// avxvnniSet is for CPUs with VPDPBUSD but without AVX-512: Intel since Alder Lake (2021), AMD since Zen 5 (2024).
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
