//go:build !purego

package kernels_test

import (
	"fmt"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// BenchmarkMatMulQ8 multiplies a matrix of a small model, from tight and from packed rows, with the numbers of activation
// rows of decoding, of checking drafts and of a prompt. It reports weight bytes and multiplications per second.
func BenchmarkMatMulQ8(b *testing.B) {
	const rows, cols = 512, 1536
	sets := map[string]func(s *kernels.Scratch, f kernels.Format, packed bool, dst []float32, dstStride int, w []byte, rows,
		cols int, acts []byte, n int){}
	if kernels.HasNEON() {
		sets["neon"] = kernels.MatMulNEON
	}
	if kernels.HasDotProd() {
		sets["dotprod"] = kernels.MatMulDotProd
	}
	for isa, mul := range sets {
		for typ, format := range formats {
			for _, n := range []int{1, 4, 64} {
				for _, packed := range []bool{false, true} {
					b.Run(fmt.Sprintf("%s/%s/packed=%v/n=%d", isa, typ, packed, n), func(b *testing.B) {
						rng := noise(1)
						w, acts := rng.weights(b, typ, rows, cols), rng.acts(n, cols)
						if packed {
							w = pack(typ, w, rows, cols)
						}
						dst, scratch := make([]float32, n*rows), new(kernels.Scratch)
						b.SetBytes(int64(len(w)))
						b.ReportAllocs()
						for b.Loop() {
							mul(scratch, format, packed, dst, rows, w, rows, cols, acts, n)
						}
						b.ReportMetric(float64(rows*cols*n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
					})
				}
			}
		}
	}
}

// BenchmarkQuantize reports bytes of float32.
func BenchmarkQuantize(b *testing.B) {
	const cols = 1536
	rng := noise(1)
	x, acts := rng.floats(cols), quant.NewActs(cols/quant.ActBlock*2*quant.ActBytes)
	for name, f := range map[string]func(){
		"Quantize":        func() { kernels.QuantizeNEON(acts, x, 2, 0) },
		"QuantizeRefined": func() { kernels.QuantizeRefinedNEON(acts, x, 2, 0, 1) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 * cols)
			for b.Loop() {
				f()
			}
		})
	}
}
