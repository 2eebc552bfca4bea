//go:build !purego

package kernel

import (
	"sync"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// candidates lists the sets in assembly that this CPU can run, the fastest first.
func candidates() []*Set {
	if !kernels.HasNEON() {
		return nil
	}
	sets := []*Set{armSet("neon", kernels.MatMulNEON, neonAttention())}
	if kernels.HasDotProd() {
		sets = append([]*Set{armSet("dotprod", kernels.MatMulDotProd, dotProdAttention())}, sets...)
	}
	if kernels.HasI8MM() {
		sets = append([]*Set{armSet("i8mm", kernels.MatMulI8MM, dotProdAttention())}, sets...)
	}
	return sets
}

// armMatMul is the form of the int8 products of package kernels_arm64.
type armMatMul = func(s *kernels.Scratch, f kernels.Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte,
	n int)

// armSet is a set for a 64-bit ARM CPU; the sets differ in the int8 products.
func armSet(name string, mul armMatMul, attention Attention) *Set {
	s := &Set{
		Name:            name,
		Quantize:        kernels.QuantizeNEON,
		QuantizeRefined: kernels.QuantizeRefinedNEON,
		Packing:         quant.Packing{Unit: 4},
		MatMulF32:       kernels.MatMulF32F32NEON,
		MatMulF16:       kernels.MatMulF16F32NEON,
		MatMulBF16:      kernels.MatMulBF16F32NEON,
		Attention:       attention,
		ToF16:           kernels.ToF16NEON,
		RMSNorm:         kernels.RMSNormNEON,
		SiluMul:         kernels.SiluMulNEON,
		Add:             kernels.AddNEON,
	}
	pool := &sync.Pool{New: func() any { return new(kernels.Scratch) }}
	for t, f := range map[quant.Type]kernels.Format{
		quant.Q4_0: kernels.Q40, quant.Q4_1: kernels.Q41, quant.Q5_0: kernels.Q50, quant.Q5_1: kernels.Q51,
		quant.Q8_0: kernels.Q80, quant.IQ4_NL: kernels.IQ4NL, quant.IQ4_XS: kernels.IQ4XS, quant.Q2_K: kernels.Q2K,
		quant.Q3_K: kernels.Q3K, quant.Q4_K: kernels.Q4K, quant.Q5_K: kernels.Q5K, quant.Q6_K: kernels.Q6K,
	} {
		s.MatMulQ8[t] = armProduct(pool, mul, f, false)
		s.MatMulPacked[t] = armProduct(pool, mul, f, true)
	}
	return complete(s)
}

// armProduct makes a kernel of a product of package kernels_arm64; pool holds *kernels.Scratch.
func armProduct(pool *sync.Pool, mul armMatMul, f kernels.Format, packed bool) MatMulQ8 {
	return func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
		s := pool.Get().(*kernels.Scratch)
		mul(s, f, packed, dst, dstStride, w, rows, cols, acts, n)
		pool.Put(s)
	}
}

func neonAttention() Attention {
	return Attention{
		KeyTile:      kernels.KeyTileF16NEON,
		ValueTile:    kernels.ValueTileF16NEON,
		TileProduct:  kernels.TileProductNEON,
		Hadamard:     kernels.HadamardNEON,
		QuantizeKV:   kernels.QuantizeKVNEON,
		QuantizeRows: kernels.QuantizeRowsNEON,
		KeyScores:    [quant.NumKVFormats]KeyScores{quant.KVQ8: kernels.KeyScoresQ8NEON, quant.KVQ4: kernels.KeyScoresQ4NEON},
		MixValues:    [quant.NumKVFormats]MixValues{quant.KVQ8: kernels.MixValuesQ8NEON, quant.KVQ4: kernels.MixValuesQ4NEON},
		SoftmaxTile:  kernels.SoftmaxTileNEON,
		FoldRows:     kernels.FoldRowsNEON,
		Rotate:       kernels.RotateNEON,
		RotateHalves: quant.RotateHalves,
	}
}

// dotProdAttention is that of NEON but for the products of integers.
func dotProdAttention() Attention {
	a := neonAttention()
	a.QuantizeRows = kernels.QuantizeRowsDotProd
	a.KeyScores = [quant.NumKVFormats]KeyScores{quant.KVQ8: kernels.KeyScoresQ8DotProd, quant.KVQ4: kernels.KeyScoresQ4DotProd}
	a.MixValues = [quant.NumKVFormats]MixValues{quant.KVQ8: kernels.MixValuesQ8DotProd, quant.KVQ4: kernels.MixValuesQ4DotProd}
	return a
}
