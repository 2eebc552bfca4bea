//go:build !purego

package kernels_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkMatMulQ8(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, shape := range []struct{ rows, cols int }{{1536, 576}, {576, 1536}} {
		for _, k := range q8Kernels(b) {
			w := q8Weights(rng, k.typ, shape.rows, shape.cols)
			for _, n := range []int{1, 2, 4, 8, 64} {
				a, dst := randomActivations(rng, n, shape.cols), make([]float32, n*shape.rows)
				b.Run(fmt.Sprintf("%s/%dx%d/n=%d", k.name, shape.rows, shape.cols, n), func(b *testing.B) {
					b.SetBytes(int64(len(w)))
					for b.Loop() {
						k.mul(dst, shape.rows, w, shape.rows, shape.cols, a.q, a.d, a.s, n)
					}
					macs := float64(shape.rows) * float64(shape.cols) * float64(n) * float64(b.N)
					b.ReportMetric(macs/b.Elapsed().Seconds()/1e9, "GMAC/s")
				})
			}
		}
	}
}
