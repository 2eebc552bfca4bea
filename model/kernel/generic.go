package kernel

import (
	"math"

	"siskin/model/quant"
)

// Generic returns the set in plain Go: the reference for every other one.
func Generic() *Set {
	s := &Set{
		Name:            "generic",
		Quantize:        quant.Quantize,
		QuantizeRefined: quant.QuantizeRefined,
		MatMulF32:       genericFloat(quant.F32),
		MatMulF16:       genericFloat(quant.F16),
		MatMulBF16:      genericFloat(quant.BF16),
		Attention:       genericAttention(),
		ToF16:           quant.ToF16,
		RMSNorm:         rmsNorm,
		SiluMul:         siluMul,
		Add:             add,
	}
	for t := range quant.Type(quant.NumTypes) {
		if t.Supported() && !t.IsFloat() {
			s.MatMulQ8[t] = genericQ8(t)
		}
	}
	return s
}

func genericQ8(t quant.Type) MatMulQ8 {
	return func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
		quant.MatMulQ8(t, dst, dstStride, w, rows, cols, acts, n)
	}
}

func genericFloat(t quant.Type) MatMulFloat {
	return func(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int) {
		quant.MatMulFloat(t, dst, dstStride, w, rows, cols, x, n)
	}
}

func rmsNorm(dst, x, w []float32, eps float32) {
	var sum float64
	for _, f := range x {
		sum += float64(f) * float64(f)
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(x))+float64(eps)))
	for i, f := range x {
		dst[i] = float32(f*scale) * w[i]
	}
}

func siluMul(dst, gate, up []float32) {
	for i, g := range gate {
		dst[i] = float32(float64(g)/(1+math.Exp(-float64(g)))) * up[i]
	}
}

func add(dst, x []float32) {
	for i, f := range x[:len(dst)] {
		dst[i] += f
	}
}
