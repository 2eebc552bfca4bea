//go:build !purego && unix

package kernels_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// Turned values, scales and integers have the bits of the reference for all sizes of values, and nothing else is touched.
func TestKVStoreEqualsReference(t *testing.T) {
	needAVX2(t)
	rng := rand.New(rand.NewPCG(9, 10))
	mem := newArena(t, rng)
	for _, block := range []int{32, 64} {
		for _, blocks := range []int{0, 1, 2, 5, 300} {
			for e := -140; e < 128; e += 17 {
				what := fmt.Sprintf("%d blocks of %d, exponent %d", blocks, block, e)
				x := normals(rng, blocks*block)
				for i := range x {
					x[i] = float32(math.Ldexp(float64(x[i]), e))
				}
				want, integers, scale := slices.Clone(x), make([]byte, len(x)), make([]float32, blocks)
				quant.Hadamard(want, block, 0.125)
				quant.QuantizeKV(integers, scale, want, block)
				mem.reset()
				got, kept, scales := put(mem, x), put(mem, make([]byte, len(x))), put(mem, make([]float32, blocks))
				kernels.HadamardAVX2(got, block, 0.125)
				kernels.QuantizeKVAVX2(kept, scales, got, block)
				mem.check(what)
				sameBits(t, what+", turned", got, want)
				sameBits(t, what+", scales", scales, scale)
				if !bytes.Equal(kept, integers) {
					t.Fatalf("%s: other integers", what)
				}
			}
		}
	}
}

// What is no number has no finite scale.
func TestKVStoreOfNoNumbers(t *testing.T) {
	needAVX2(t)
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		x, scale := make([]float32, 64), make([]float32, 1)
		x[37] = float32(bad)
		kernels.QuantizeKVAVX2(make([]byte, 64), scale, x, 64)
		if s := float64(scale[0]); !math.IsNaN(s) && !math.IsInf(s, 0) {
			t.Errorf("%v has the scale %v", bad, s)
		}
	}
}

func TestBrokenKVStoreLengths(t *testing.T) {
	needAVX2(t)
	f, b := make([]float32, 128), make([]byte, 128)
	for name, call := range map[string]func(){
		"turned order":    func() { kernels.HadamardAVX2(f, 128, 1) },
		"turned part":     func() { kernels.HadamardAVX2(f[:96], 64, 1) },
		"part of a block": func() { kernels.QuantizeKVAVX2(b, f, f[:96], 64) },
		"part of a unit":  func() { kernels.QuantizeKVAVX2(b, f, f[:96], 48) },
		"integers":        func() { kernels.QuantizeKVAVX2(b[:127], f, f, 64) },
		"scales":          func() { kernels.QuantizeKVAVX2(b, f[:1], f, 64) },
	} {
		t.Run(name, func(t *testing.T) { panics(t, call) })
	}
}
