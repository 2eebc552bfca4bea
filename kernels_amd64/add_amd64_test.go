//go:build !purego

package kernels

import (
	"math"
	"testing"
)

// Every length and alignment, with canaries on both sides.
func TestAddAVX2(t *testing.T) {
	for n := range 70 {
		for skip := range 4 {
			x, dst := make([]float32, n+skip), make([]float32, n+skip+1)
			for i := range x {
				x[i], dst[i] = float32(i)+0.5, 1000*float32(i)
			}
			canary := float32(math.Pi)
			dst[n+skip] = canary
			AddAVX2(dst[skip:n+skip], x[skip:])
			for i, got := range dst[:n+skip] {
				want := 1000 * float32(i)
				if i >= skip {
					want += float32(i) + 0.5
				}
				if got != want {
					t.Fatalf("length %d from %d: value %d is %v, want %v", n, skip, i, got, want)
				}
			}
			if dst[n+skip] != canary {
				t.Fatalf("length %d from %d: wrote behind the end", n, skip)
			}
		}
	}
}
