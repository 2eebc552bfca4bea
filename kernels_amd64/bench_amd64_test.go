//go:build !purego && unix

package kernels_test

import (
	"bytes"
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

// BenchmarkMatMulQ8 has weights that stay in the cache, for one token, a verified draft, and a prompt.
func BenchmarkMatMulQ8(b *testing.B) {
	const rows, cols = 1536, 576
	cases := q8Cases(b)
	for _, t := range []quant.Type{quant.Q4_1, quant.Q8_0} {
		cases = append(cases, q8Case{"generic/" + t.String(), t, func(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int) {
			quant.MatMulQ8(t, dst, dstStride, w, rows, cols, q, d, s, n)
		}})
	}
	for _, k := range cases {
		w := q8Weights(rand.New(rand.NewPCG(1, 2)), k.typ, rows, cols)
		for _, n := range []int{1, 4, 8, 64} {
			a, dst := quantised(normals(rand.New(rand.NewPCG(3, 4)), n*cols), n), make([]float32, n*rows)
			benchProduct(b, k.name, w, rows, cols, n, func() { k.mul(dst, rows, w, rows, cols, a.q, a.d, a.s, n) })
		}
	}
}

// BenchmarkStream has one token and weights far larger than the caches: the bandwidth of decoding.
func BenchmarkStream(b *testing.B) {
	for _, k := range q8Cases(b) {
		for _, cols := range []int{576, 1536} {
			rows := 64 << 20 / cols / 64 * 64
			w := bytes.Repeat(q8Weights(rand.New(rand.NewPCG(1, 2)), k.typ, rows/64, cols), 64)
			a, dst := quantised(normals(rand.New(rand.NewPCG(3, 4)), cols), 1), make([]float32, rows)
			benchProduct(b, k.name, w, rows, cols, 1, func() { k.mul(dst, rows, w, rows, cols, a.q, a.d, a.s, 1) })
		}
	}
}

// BenchmarkMatMulFloat has a layer's matrix and the scores of three heads over 1024 positions.
func BenchmarkMatMulFloat(b *testing.B) {
	for _, d := range []struct{ rows, cols, n int }{{1536, 576, 1}, {1536, 576, 8}, {1024, 64, 3}} {
		for _, k := range floatCases(b) {
			rng := rand.New(rand.NewPCG(1, 2))
			w, x, dst := floatWeights(k.typ, normals(rng, d.rows*d.cols)), normals(rng, d.n*d.cols), make([]float32, d.n*d.rows)
			benchProduct(b, k.name, w, d.rows, d.cols, d.n, func() { k.mul(dst, d.rows, w, d.rows, d.cols, x, d.n) })
		}
	}
}

func BenchmarkWeightedSumF16(b *testing.B) {
	needAVX2(b)
	const nPos, dim = 1024, 64
	for _, n := range []int{1, 3, 4} {
		rng := rand.New(rand.NewPCG(1, 2))
		v, p, dst := floatWeights(quant.F16, normals(rng, nPos*dim)), normals(rng, n*nPos), make([]float32, n*dim)
		benchProduct(b, "AVX2", v, nPos, dim, n, func() { kernels.WeightedSumF16AVX2(dst, p, nPos, v, nPos, dim, n) })
	}
}

func BenchmarkVector(b *testing.B) {
	needAVX2(b)
	const n = 1536
	x := normals(rand.New(rand.NewPCG(1, 2)), n)
	y, out, half, a := append([]float32(nil), x...), make([]float32, n), make([]byte, 2*n), quantised(x, 1)
	for name, f := range map[string]func(){
		"QuantizeQ8":         func() { kernels.QuantizeQ8AVX2(a.q, a.d, a.s, x) },
		"QuantizeQ8/generic": func() { quant.QuantizeQ8(a.q, a.d, a.s, x) },
		"ToF16":              func() { kernels.ToF16AVX2(half, x) },
		"RMSNorm":            func() { kernels.RMSNormAVX2(out, x, y, 1e-5) },
		"SiluMul":            func() { kernels.SiluMulAVX2(out, x, y) },
		"Softmax":            func() { copy(out, x); kernels.SoftmaxAVX2(out) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				f()
			}
		})
	}
}
