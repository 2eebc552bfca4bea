//go:build !purego

package kernel

import (
	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

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
