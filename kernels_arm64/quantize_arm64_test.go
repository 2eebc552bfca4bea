//go:build !purego

package kernels_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// checkQuantize compares x, and both planes of it, as rows 1 and 3 of 5, with the reference; the other rows must stay as they are.
func checkQuantize(t *testing.T, what string, x []float32) {
	t.Helper()
	size := len(x) / quant.ActBlock * 5 * quant.ActBytes
	for _, kind := range []string{"plain", "refined"} {
		got, want := quant.NewActs(size), quant.NewActs(size)
		for i := range got {
			got[i], want[i] = byte(i), byte(i)
		}
		switch kind {
		case "plain":
			quant.Quantize(want, x, 5, 1)
			kernels.QuantizeNEON(got, x, 5, 1)
		default:
			quant.QuantizeRefined(want, x, 5, 1, 3)
			kernels.QuantizeRefinedNEON(got, x, 5, 1, 3)
		}
		a, b := quant.ActsOf(got), quant.ActsOf(want)
		for i := range a {
			sameBits(t, fmt.Sprintf("%s: floats of block %d", what, i), []float32{a[i].D, a[i].S, a[i].SA, a[i].SB},
				[]float32{b[i].D, b[i].S, b[i].SA, b[i].SB})
			for _, act := range []*quant.Act{&a[i], &b[i]} { // NaN is unequal to itself
				act.D, act.S, act.SA, act.SB = 0, 0, 0, 0
			}
			if a[i] != b[i] {
				t.Fatalf("%s: block %d is %+v, want %+v", what, i, a[i], b[i])
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%s: the rest of a block has changed", what)
		}
	}
}

func TestQuantizeEqualsReference(t *testing.T) {
	needNEON(t)
	rng := noise(2463534242)
	for n := 0; n <= 320; n += 32 {
		checkQuantize(t, fmt.Sprint(n, " values"), rng.floats(n))
	}
	checkQuantize(t, "several calls", rng.floats(2*4096+32))
	for exponent := -149; exponent <= 127; exponent++ {
		x := rng.floats(64)
		for i := range x {
			x[i] = float32(math.Ldexp(float64(x[i]), exponent))
		}
		checkQuantize(t, fmt.Sprint("exponent ", exponent), x)
	}
	// Ties: with the largest value 127 the scale is 1, so halves are ties.
	x := make([]float32, 256)
	for i := range x {
		x[i] = float32(i-128) / 2
		if i%32 == 0 {
			x[i] = 127
		}
	}
	checkQuantize(t, "ties", x)
	// Close to the middle between two integers, where a product with the reciprocal could round to the other one.
	for range 40 {
		d := 1 + rng.float()/2
		for i := range x {
			x[i] = d * (float32(int(rng.next()%253))/2 - 63 + rng.float()*float32(math.Ldexp(1, -int(rng.next()%12)-10)))
			if i%32 == 0 {
				x[i] = d * 127
			}
		}
		checkQuantize(t, "near ties", x)
	}
}

func TestQuantizeExtremes(t *testing.T) {
	needNEON(t)
	special := []float32{
		0, float32(math.Copysign(0, -1)), nan32, -nan32, inf32, -inf32, math.MaxFloat32, -math.MaxFloat32,
		math.SmallestNonzeroFloat32, -190 * math.SmallestNonzeroFloat32,
		1 << 106, math.Nextafter32(1<<106, 0), 1.0 / (1 << 93), -math.Nextafter32(1.0/(1<<93), 0),
	}
	for place := range 32 {
		for i, v := range special {
			x := make([]float32, 96)
			for j := range x {
				x[j] = special[(i+j)%2] // zeros of both signs
			}
			x[place+32] = v
			checkQuantize(t, fmt.Sprintf("%g at %d", v, place), x)
		}
	}
}

func TestQuantizeMemory(t *testing.T) {
	needNEON(t)
	rng := noise(96)
	x := rng.floats(96)
	want := quant.NewActs(3 * quant.ActBytes)
	quant.Quantize(want, x, 1, 0)
	for _, atEnd := range []bool{true, false} {
		got := guard(t, make([]byte, len(want)), atEnd)
		kernels.QuantizeNEON(got, guard(t, x, atEnd), 1, 0)
		if !bytes.Equal(got, want) {
			t.Error("against an inaccessible page: other activations")
		}
		kernels.QuantizeRefinedNEON(guard(t, make([]byte, 2*len(want)), atEnd), guard(t, x, atEnd), 2, 0, 1)
	}
	for offset := range 64 {
		got := shifted(make([]byte, len(want)), offset)
		kernels.QuantizeNEON(got, shifted(x, offset%16), 1, 0)
		if !bytes.Equal(got, want) {
			t.Errorf("offset %d: other activations", offset)
		}
	}
	acts := quant.NewActs(6 * quant.ActBytes)
	if got := testing.AllocsPerRun(20, func() {
		kernels.QuantizeNEON(acts, x, 2, 1)
		kernels.QuantizeRefinedNEON(acts, x, 2, 0, 1)
	}); got != 0 {
		t.Errorf("%g allocations per run", got)
	}
	for what, f := range map[string]func(){
		"columns":     func() { kernels.QuantizeNEON(acts, x[:33], 2, 0) },
		"row":         func() { kernels.QuantizeNEON(acts, x, 2, 2) },
		"refined row": func() { kernels.QuantizeRefinedNEON(acts, x, 2, 0, -1) },
		"bytes":       func() { kernels.QuantizeNEON(acts[:len(acts)-1], x, 2, 1) },
	} {
		mustPanic(t, what, f)
	}
}
