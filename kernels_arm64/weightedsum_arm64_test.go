//go:build !purego

package kernels_test

import (
	"fmt"
	"math"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// TestWeightedSum compares with fused multiply-add in float32, position by position: those bits must come out.
func TestWeightedSum(t *testing.T) {
	needNEON(t)
	rng := noise(2463534242)
	for _, dim := range []int{1, 7, 8, 9, 16, 24, 64, 67} {
		for _, nPos := range []int{0, 1, 2, 5, 127, 128, 129, 300} {
			for n := range 10 {
				if nPos > 5 && n%4 != 1 {
					continue
				}
				checkWeightedSum(t, &rng, nPos, dim, n)
			}
		}
	}
}

func checkWeightedSum(t *testing.T, rng *noise, nPos, dim, n int) {
	t.Helper()
	stride := nPos + int(rng.next()%5)
	v, p, got := rng.weights(t, quant.F16, nPos, dim), rng.floats(n*stride), rng.floats(n*dim+1)
	want := append([]float32(nil), got...)
	exact, size := make([]float64, n*dim), make([]float64, n*dim)
	for g := range n {
		for i := range dim {
			at := g*dim + i
			exact[at] = float64(want[at])
			for pos := range nPos {
				b := v[2*(pos*dim+i):]
				f := quant.F16ToF32(uint16(b[0]) | uint16(b[1])<<8)
				w := p[g*stride+pos]
				exact[at] += float64(w) * float64(f)
				size[at] += math.Abs(float64(w) * float64(f))
				// The last rounding could differ from that of a float32 instruction only if the sum in float64 was rounded to a
				// tie of float32; this seed has no such case.
				want[at] = float32(math.FMA(float64(w), float64(f), float64(want[at])))
			}
		}
	}
	first := min(nPos, 3)
	parts := append([]float32(nil), got...)
	kernels.WeightedSumF16NEON(got, p, stride, v, nPos, dim, n)
	what := fmt.Sprintf("%d positions, %d columns, %d heads", nPos, dim, n)
	sameBits(t, what, got, want)
	for i := range exact {
		if diff := math.Abs(float64(got[i]) - exact[i]); !(diff <= float64(nPos)*0x1p-24*(size[i]+1)) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], exact[i])
		}
	}
	if n > 0 && nPos > 0 {
		kernels.WeightedSumF16NEON(parts, p, stride, v, first, dim, n)
		kernels.WeightedSumF16NEON(parts, p[first:], stride, v[2*first*dim:], nPos-first, dim, n)
		sameBits(t, what+" in two parts", parts, got)
	}
}

func TestWeightedSumGuard(t *testing.T) {
	needNEON(t)
	rng := noise(96)
	for _, atEnd := range []bool{true, false} {
		for n := 1; n <= 5; n++ {
			for _, dim := range []int{3, 8, 21} {
				const nPos = 6
				v, p, dst := rng.weights(t, quant.F16, nPos, dim), rng.floats(n*nPos), make([]float32, n*dim)
				got := guard(t, dst, atEnd)
				kernels.WeightedSumF16NEON(got, guard(t, p, atEnd), nPos, guard(t, v, atEnd), nPos, dim, n)
				kernels.WeightedSumF16NEON(dst, p, nPos, v, nPos, dim, n)
				sameBits(t, fmt.Sprintf("%d heads, %d columns", n, dim), got, dst)
			}
		}
	}
}
