//go:build !purego

package kernels_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// Turned values, scales and integers have the bits of the reference for all sizes of values, and nothing else is touched.
func TestKVStoreEqualsReference(t *testing.T) {
	needNEON(t)
	rng := noise(37)
	for _, block := range []int{32, 64} {
		for _, blocks := range []int{1, 2, 5, 90} {
			for e := -140; e < 128; e += 17 {
				what, atEnd := fmt.Sprintf("%d blocks of %d, exponent %d", blocks, block, e), e%2 == 0
				x := rng.floats(blocks * block)
				for i := range x {
					x[i] = float32(math.Ldexp(float64(x[i]), e))
				}
				want, integers, scale := slices.Clone(x), make([]byte, len(x)), make([]float32, blocks)
				quant.Hadamard(want, block, 0.125)
				quant.QuantizeKV(integers, scale, want, block)
				got, kept, scales := guard(t, x, atEnd), guard(t, make([]byte, len(x)), atEnd), guard(t, make([]float32, blocks), atEnd)
				kernels.HadamardNEON(got, block, 0.125)
				kernels.QuantizeKVNEON(kept, scales, got, block)
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
	needNEON(t)
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		x, scale := make([]float32, 64), make([]float32, 1)
		x[37] = float32(bad)
		kernels.QuantizeKVNEON(make([]byte, 64), scale, x, 64)
		if s := float64(scale[0]); !math.IsNaN(s) && !math.IsInf(s, 0) {
			t.Errorf("%v has the scale %v", bad, s)
		}
	}
}

func TestBrokenKVStoreLengths(t *testing.T) {
	needNEON(t)
	f, b := make([]float32, 128), make([]byte, 128)
	for what, call := range map[string]func(){
		"turned order":    func() { kernels.HadamardNEON(f, 128, 1) },
		"turned part":     func() { kernels.HadamardNEON(f[:96], 64, 1) },
		"part of a block": func() { kernels.QuantizeKVNEON(b, f, f[:96], 64) },
		"part of a unit":  func() { kernels.QuantizeKVNEON(b, f, f[:96], 48) },
		"integers":        func() { kernels.QuantizeKVNEON(b[:127], f, f, 64) },
		"scales":          func() { kernels.QuantizeKVNEON(b, f[:1], f, 64) },
	} {
		mustPanic(t, what, call)
	}
}
