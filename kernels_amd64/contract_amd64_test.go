//go:build !purego && unix

package kernels_test

import (
	"math/rand/v2"
	"testing"

	kernels "siskin/kernels_amd64"
)

// TestNoAllocation runs every kernel in a tile and in a remainder.
func TestNoAllocation(t *testing.T) {
	const cols = 96
	rng := rand.New(rand.NewPCG(1, 2))
	want0 := func(name string, f func()) {
		t.Helper()
		if got := testing.AllocsPerRun(10, f); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
	for _, rows := range []int{3, 35} {
		for _, n := range []int{1, 18} {
			a, x, dst := quantised(normals(rng, n*cols), n), normals(rng, n*cols), make([]float32, n*rows)
			for _, k := range q8Cases(t) {
				w := q8Weights(rng, k.typ, rows, cols)
				want0(k.name, func() { k.mul(dst, rows, w, rows, cols, a.q, a.d, a.s, n) })
			}
			for _, k := range floatCases(t) {
				w := floatWeights(k.typ, normals(rng, rows*cols))
				want0(k.name, func() { k.mul(dst, rows, w, rows, cols, x, n) })
			}
		}
	}
	x, y, half := normals(rng, cols), normals(rng, cols), make([]byte, 2*cols)
	a := quantised(x, 1)
	want0("QuantizeQ8", func() { kernels.QuantizeQ8AVX2(a.q, a.d, a.s, x) })
	want0("ToF16", func() { kernels.ToF16AVX2(half, x) })
	want0("WeightedSumF16", func() { kernels.WeightedSumF16AVX2(y, x, 4, half, 3, cols/3, 3) })
	want0("RMSNorm", func() { kernels.RMSNormAVX2(x, x, y, 1e-5) })
	want0("SiluMul", func() { kernels.SiluMulAVX2(x, x, y) })
	want0("Softmax", func() { kernels.SoftmaxAVX2(x) })
}

// TestBrokenLengths wants a panic, and before any memory is touched, from each wrong length.
func TestBrokenLengths(t *testing.T) {
	needAVX2(t)
	f, b, q := make([]float32, 1000), make([]byte, 1000), make([]int8, 1000)
	q8 := func(dst, stride, w, rows, cols, q8, d, s, n int) func() {
		return func() {
			kernels.MatMulQ41Q8AVX2(f[:dst], stride, b[:w], rows, cols, q[:q8], f[:d], f[:s], n)
		}
	}
	float := func(dst, stride, w, rows, cols, x, n int) func() {
		return func() { kernels.MatMulF16F32AVX2(f[:dst], stride, b[:w], rows, cols, f[:x], n) }
	}
	sum := func(dst, p, stride, v, nPos, dim, n int) func() {
		return func() { kernels.WeightedSumF16AVX2(f[:dst], f[:p], stride, b[:v], nPos, dim, n) }
	}
	q8(18, 9, 360, 9, 64, 128, 4, 4, 2)()
	float(18, 9, 180, 9, 10, 20, 2)()
	sum(14, 10, 5, 70, 5, 7, 2)()
	for name, call := range map[string]func(){
		"q8: short dst":            q8(17, 9, 360, 9, 64, 128, 4, 4, 2),
		"q8: stride under rows":    q8(18, 8, 360, 9, 64, 128, 4, 4, 2),
		"q8: short weights":        q8(18, 9, 359, 9, 64, 128, 4, 4, 2),
		"q8: negative rows":        q8(18, 9, 360, -1, 64, 128, 4, 4, 2),
		"q8: part of a block":      q8(18, 9, 360, 9, 63, 126, 4, 4, 2),
		"q8: no columns":           q8(18, 9, 360, 9, 0, 0, 0, 0, 2),
		"q8: short activations":    q8(18, 9, 360, 9, 64, 127, 4, 4, 2),
		"q8: short scales":         q8(18, 9, 360, 9, 64, 128, 3, 4, 2),
		"q8: short sums":           q8(18, 9, 360, 9, 64, 128, 4, 3, 2),
		"q8: negative tokens":      q8(18, 9, 360, 9, 64, 128, 4, 4, -1),
		"float: short dst":         float(17, 9, 180, 9, 10, 20, 2),
		"float: short weights":     float(18, 9, 179, 9, 10, 20, 2),
		"float: short activations": float(18, 9, 180, 9, 10, 19, 2),
		"float: no columns":        float(18, 9, 180, 9, 0, 0, 2),
		"sum: short dst":           sum(13, 10, 5, 70, 5, 7, 2),
		"sum: short weights":       sum(14, 9, 5, 70, 5, 7, 2),
		"sum: short values":        sum(14, 10, 5, 69, 5, 7, 2),
		"sum: stride":              sum(14, 10, 4, 70, 5, 7, 2),
		"sum: negative":            sum(14, 10, 5, 70, -5, 7, 2),
		"quantize: part":           func() { kernels.QuantizeQ8AVX2(q[:31], f[:0], f[:0], f[:31]) },
		"quantize: short":          func() { kernels.QuantizeQ8AVX2(q[:63], f[:2], f[:2], f[:64]) },
		"quantize: scales":         func() { kernels.QuantizeQ8AVX2(q[:64], f[:1], f[:2], f[:64]) },
		"quantize: sums":           func() { kernels.QuantizeQ8AVX2(q[:64], f[:2], f[:1], f[:64]) },
		"half":                     func() { kernels.ToF16AVX2(b[:9], f[:5]) },
		"norm: dst":                func() { kernels.RMSNormAVX2(f[:4], f[:5], f[:5], 1) },
		"norm: weights":            func() { kernels.RMSNormAVX2(f[:5], f[:5], f[:4], 1) },
		"silu: dst":                func() { kernels.SiluMulAVX2(f[:4], f[:5], f[:5]) },
		"silu: up":                 func() { kernels.SiluMulAVX2(f[:5], f[:5], f[:4]) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}
