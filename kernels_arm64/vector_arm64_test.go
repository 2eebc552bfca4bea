//go:build !purego

package kernels_test

import (
	"fmt"
	"math"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

var (
	nan32 = float32(math.NaN())
	inf32 = float32(math.Inf(1))
)

func TestToF16EqualsReference(t *testing.T) {
	needNEON(t)
	x := make([]float32, 0, 1<<18)
	for h := range 1 << 16 {
		f := quant.F16ToF32(uint16(h))
		x = append(x, f, math.Nextafter32(f, inf32), math.Nextafter32(f, -inf32))
		if next := quant.F16ToF32(uint16(h + 1)); h&0x7fff < 0x7c00 && !math.IsInf(float64(next), 0) {
			x = append(x, (f+next)/2) // tie
		}
	}
	got, want := make([]byte, 2*len(x)), make([]byte, 2*len(x))
	kernels.ToF16NEON(got, x)
	quant.ToF16(want, x)
	for i := range x {
		if got[2*i] != want[2*i] || got[2*i+1] != want[2*i+1] {
			t.Fatalf("%g is % x, want % x", x[i], got[2*i:2*i+2], want[2*i:2*i+2])
		}
	}
	for n := range 35 {
		got := make([]byte, 2*n+2)
		got[2*n] = 0xa5
		kernels.ToF16NEON(got[:2*n], x[1000:1000+n])
		if string(got[:2*n]) != string(want[2000:2000+2*n]) || got[2*n] != 0xa5 {
			t.Fatalf("%d values: % x, want % x", n, got, want[2000:2000+2*n])
		}
	}
}

// vectorLengths are all short lengths, and such as need several calls of assembly.
func vectorLengths() []int {
	lengths := []int{576, 4095, 4096, 4097, 20001}
	for n := 1; n <= 35; n++ {
		lengths = append(lengths, n)
	}
	return lengths
}

// near fails unless got is within the relative error of want.
func near(t *testing.T, what string, got float32, want, relative float64) {
	t.Helper()
	if diff := math.Abs(float64(got) - want); !(diff <= relative*math.Abs(want)+math.SmallestNonzeroFloat32) {
		t.Fatalf("%s is %g, want %g, relative error %g", what, got, want, diff/math.Abs(want))
	}
}

func TestRMSNorm(t *testing.T) {
	needNEON(t)
	rng := noise(99)
	for _, n := range vectorLengths() {
		for _, size := range []float32{1, 1e-10, 1e19} {
			x, w := rng.floats(n), rng.floats(n)
			var sum float64
			for i := range x {
				x[i] *= size
				sum += float64(x[i]) * float64(x[i])
			}
			scale := 1 / math.Sqrt(sum/float64(n)+float64(float32(1e-5)))
			got := canaries(n + 1)
			kernels.RMSNormNEON(got[:n], x, w, 1e-5)
			for i := range x {
				near(t, fmt.Sprintf("%d values of size %g: value %d", n, size, i), got[i], float64(x[i])*scale*float64(w[i]), 2.4e-7)
			}
			sameBits(t, "behind", got[n:], canaries(1))
			kernels.RMSNormNEON(x, x, w, 1e-5)
			sameBits(t, "in place", x, got[:n])
		}
	}
	kernels.RMSNormNEON(nil, nil, nil, 1)
}

func silu(gate, up float32) float64 {
	return float64(gate) / (1 + math.Exp(-float64(gate))) * float64(up)
}

func TestSiluMul(t *testing.T) {
	needNEON(t)
	rng := noise(98)
	for _, n := range vectorLengths() {
		gate, up := rng.floats(n), rng.floats(n)
		for i := range gate {
			gate[i] *= 20
		}
		got := canaries(n + 1)
		kernels.SiluMulNEON(got[:n], gate, up)
		for i := range gate {
			near(t, fmt.Sprintf("%d values: gate %g, up %g", n, gate[i], up[i]), got[i], silu(gate[i], up[i]), 4e-7)
		}
		sameBits(t, "behind", got[n:], canaries(1))
		kernels.SiluMulNEON(gate, gate, up)
		sameBits(t, "in place", gate, got[:n])
	}
	worst := 0.0
	var gate, got, up [64]float32
	for i := range up {
		up[i] = 1
	}
	for v := float32(-87); v < 120; v += 0.07 {
		for i := range gate {
			gate[i] = v + float32(i)*0.001
		}
		kernels.SiluMulNEON(got[:], gate[:], up[:])
		for i, g := range gate {
			worst = max(worst, math.Abs(float64(got[i])/silu(g, 1)-1))
		}
	}
	t.Logf("largest relative error %.2g", worst)
	if !(worst <= 3e-7) {
		t.Errorf("relative error %g", worst)
	}
	for _, g := range []float32{-88, -90, -104, -1e4, -1e30} {
		for i := range 9 {
			gate := make([]float32, 9)
			gate[i] = g
			kernels.SiluMulNEON(got[:9], gate, up[:9])
			if diff := math.Abs(float64(got[i]) - silu(g, 1)); !(diff <= 1e-36*max(1, -float64(g)/88)) {
				t.Errorf("gate %g at %d gives %g", g, i, got[i])
			}
		}
	}
	kernels.SiluMulNEON(got[:3], []float32{nan32, inf32, 0}, up[:3])
	if got[0] == got[0] || got[1] != inf32 || got[2] != 0 {
		t.Errorf("NaN, infinity, 0 give %v", got[:3])
	}
}

func TestVectorGuard(t *testing.T) {
	needNEON(t)
	rng := noise(96)
	for _, atEnd := range []bool{true, false} {
		for _, n := range []int{1, 7, 8, 15, 32, 37} {
			x, y := rng.floats(n), rng.floats(n)
			g, h := guard(t, x, atEnd), guard(t, y, atEnd)
			want, got := make([]float32, n), guard(t, make([]float32, n), atEnd)
			kernels.RMSNormNEON(want, x, y, 1e-5)
			kernels.RMSNormNEON(got, g, h, 1e-5)
			sameBits(t, "norm", got, want)
			kernels.SiluMulNEON(want, x, y)
			kernels.SiluMulNEON(got, g, h)
			sameBits(t, "silu", got, want)
			kernels.ToF16NEON(guard(t, make([]byte, 2*n), atEnd), g)
		}
	}
}

func TestVectorAlignment(t *testing.T) {
	needNEON(t)
	rng := noise(95)
	x, y := rng.floats(96), rng.floats(96)
	norm, gated, half := make([]float32, 96), make([]float32, 96), make([]byte, 192)
	kernels.RMSNormNEON(norm, x, y, 1e-5)
	kernels.SiluMulNEON(gated, x, y)
	kernels.ToF16NEON(half, x)
	for offset := range 64 {
		got := shifted(make([]float32, 96), offset%16)
		kernels.RMSNormNEON(got, shifted(x, offset%15), shifted(y, offset%14), 1e-5)
		sameBits(t, "norm", got, norm)
		kernels.SiluMulNEON(got, shifted(x, offset%15), shifted(y, offset%14))
		sameBits(t, "silu", got, gated)
		bytes := shifted(make([]byte, 192), offset)
		kernels.ToF16NEON(bytes, shifted(x, offset%15))
		for i := range x {
			if bytes[2*i] != half[2*i] || bytes[2*i+1] != half[2*i+1] {
				t.Fatalf("offset %d: value %d differs", offset, i)
			}
		}
	}
}

func TestVectorAllocations(t *testing.T) {
	needNEON(t)
	rng := noise(94)
	x, y, dst, half := rng.floats(96), rng.floats(96), make([]float32, 96), make([]byte, 192)
	if got := testing.AllocsPerRun(20, func() {
		kernels.ToF16NEON(half, x)
		kernels.RMSNormNEON(dst[:91], x[:91], y[:91], 1e-5)
		kernels.SiluMulNEON(dst[:91], x[:91], y[:91])
	}); got != 0 {
		t.Errorf("%g allocations per run", got)
	}
}

func TestVectorPanics(t *testing.T) {
	needNEON(t)
	x := make([]float32, 64)
	for what, f := range map[string]func(){
		"to f16":   func() { kernels.ToF16NEON(make([]byte, 127), x) },
		"norm dst": func() { kernels.RMSNormNEON(x[1:], x, x, 1) },
		"norm w":   func() { kernels.RMSNormNEON(x, x, x[1:], 1) },
		"silu dst": func() { kernels.SiluMulNEON(x[1:], x, x) },
		"silu up":  func() { kernels.SiluMulNEON(x, x, x[1:]) },
	} {
		mustPanic(t, what, f)
	}
}
