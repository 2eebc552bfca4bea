//go:build !purego && unix

package kernels_test

import (
	"math/rand/v2"
	"testing"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
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
			x, dst := normals(rng, n*cols), make([]float32, n*rows)
			for _, k := range floatCases(t) {
				w := floatWeights(k.typ, normals(rng, rows*cols))
				want0(k.name, func() { k.mul(dst, rows, w, rows, cols, x, n) })
			}
		}
	}
	x, y, half := normals(rng, cols), normals(rng, cols), make([]byte, 2*cols)
	acts := quant.NewActs(cols / quant.ActBlock * 2 * quant.ActBytes)
	want0("Quantize", func() { kernels.QuantizeAVX2(acts, x, 2, 0) })
	want0("QuantizeRefined", func() { kernels.QuantizeRefinedAVX2(acts, x, 2, 0, 1) })
	want0("ToF16", func() { kernels.ToF16AVX2(half, x) })
	want0("RMSNorm", func() { kernels.RMSNormAVX2(x, x, y, 1e-5) })
	want0("SiluMul", func() { kernels.SiluMulAVX2(x, x, y) })
}

// TestBrokenLengths wants a panic, and before any memory is touched, from each wrong length.
func TestBrokenLengths(t *testing.T) {
	needAVX2(t)
	f, b, acts := make([]float32, 1000), make([]byte, 1000), quant.NewActs(1024)
	float := func(dst, stride, w, rows, cols, x, n int) func() {
		return func() { kernels.MatMulF16F32AVX2(f[:dst], stride, b[:w], rows, cols, f[:x], n) }
	}
	kernels.QuantizeAVX2(acts[:256], f[:64], 2, 1)
	kernels.QuantizeRefinedAVX2(acts[:256], f[:64], 2, 1, 0)
	float(18, 9, 180, 9, 10, 20, 2)()
	for name, call := range map[string]func(){
		"float: short dst":         float(17, 9, 180, 9, 10, 20, 2),
		"float: short weights":     float(18, 9, 179, 9, 10, 20, 2),
		"float: short activations": float(18, 9, 180, 9, 10, 19, 2),
		"float: no columns":        float(18, 9, 180, 9, 0, 0, 2),
		"quantize: part":           func() { kernels.QuantizeAVX2(acts[:64], f[:31], 1, 0) },
		"quantize: short":          func() { kernels.QuantizeAVX2(acts[:255], f[:64], 2, 1) },
		"quantize: row":            func() { kernels.QuantizeAVX2(acts[:256], f[:64], 2, 2) },
		"quantize: negative row":   func() { kernels.QuantizeAVX2(acts[:256], f[:64], 2, -1) },
		"refined: part":            func() { kernels.QuantizeRefinedAVX2(acts[:128], f[:31], 2, 0, 1) },
		"refined: short":           func() { kernels.QuantizeRefinedAVX2(acts[:255], f[:64], 2, 0, 1) },
		"refined: row":             func() { kernels.QuantizeRefinedAVX2(acts[:256], f[:64], 2, 2, 0) },
		"refined: same row":        func() { kernels.QuantizeRefinedAVX2(acts[:256], f[:64], 2, 1, 1) },
		"refined: low row":         func() { kernels.QuantizeRefinedAVX2(acts[:256], f[:64], 2, 1, 2) },
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
