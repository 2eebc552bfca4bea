//go:build !purego && unix

package kernels_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// benchProduct reports weight bytes and multiplications per second.
func benchProduct(b *testing.B, name string, w []byte, rows, cols, n int, f func()) {
	b.Run(fmt.Sprintf("%s/%dx%d/n=%d", name, rows, cols, n), func(b *testing.B) {
		b.SetBytes(int64(len(w)))
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
		macs := float64(rows) * float64(cols) * float64(n) * float64(b.N)
		b.ReportMetric(macs/b.Elapsed().Seconds()/1e9, "GMAC/s")
	})
}

// BenchmarkMatMulFloat has a layer's matrix and the scores of three heads over 1024 positions.
func BenchmarkMatMulFloat(b *testing.B) {
	for _, d := range []struct{ rows, cols, n int }{{1536, 576, 1}, {1536, 576, 8}, {1024, 64, 3}, {32, 768, 64}, {32, 2048, 64}} {
		for _, k := range floatCases(b) {
			rng := rand.New(rand.NewPCG(1, 2))
			w, x, dst := floatWeights(k.typ, normals(rng, d.rows*d.cols)), normals(rng, d.n*d.cols), make([]float32, d.n*d.rows)
			benchProduct(b, k.name, w, d.rows, d.cols, d.n, func() { k.mul(dst, d.rows, w, d.rows, d.cols, x, d.n) })
		}
	}
}

func BenchmarkVector(b *testing.B) {
	needAVX2(b)
	const n = 1536
	x := normals(rand.New(rand.NewPCG(1, 2)), n)
	y, out, half, acts := append([]float32(nil), x...), make([]float32, n), make([]byte, 2*n), quant.NewActs(4*n)
	for name, f := range map[string]func(){
		"Quantize":         func() { kernels.QuantizeAVX2(acts, x, 2, 0) },
		"Quantize/generic": func() { quant.Quantize(acts, x, 2, 0) },
		"QuantizeRefined":  func() { kernels.QuantizeRefinedAVX2(acts, x, 2, 0, 1) },
		"ToF16":            func() { kernels.ToF16AVX2(half, x) },
		"RMSNorm":          func() { kernels.RMSNormAVX2(out, x, y, 1e-5) },
		"SiluMul":          func() { kernels.SiluMulAVX2(out, x, y) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				f()
			}
		})
	}
}
