package quant

import (
	"math"
	"math/rand/v2"
	"testing"
)

// wantF16 is the value of a binary16 pattern by its definition, with math.Ldexp.
func wantF16(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exp, man := int(h>>10&0x1f), float64(h&0x3ff)
	switch {
	case exp == 0x1f && man != 0:
		return math.NaN()
	case exp == 0x1f:
		return sign * math.Inf(1)
	case exp == 0:
		return sign * math.Ldexp(man, -24)
	}
	return sign * math.Ldexp(1024+man, exp-25)
}

func TestF16AllPatterns(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f, want := F16ToF32(h), wantF16(h)
		if math.IsNaN(want) {
			if f == f || F32ToF16(f) != h|0x200 {
				t.Fatalf("%#04x: NaN became %v, then %#04x", h, f, F32ToF16(f))
			}
			continue
		}
		if float64(f) != want || math.Signbit(float64(f)) != (h&0x8000 != 0) {
			t.Fatalf("%#04x: got %v, want %v", h, f, want)
		}
		if back := F32ToF16(f); back != h {
			t.Fatalf("%#04x: came back as %#04x", h, back)
		}
	}
}

// nearestF16 finds the nearest finite neighbour, ties to the even pattern, by search over the definition.
func nearestF16(f float32) uint16 {
	a := math.Abs(float64(f))
	lo, hi := 0, 0x7c00 // pattern order is value order; 0x7c00 stands for 65536 here
	val := func(h int) float64 {
		if h == 0x7c00 {
			return 65536
		}
		return wantF16(uint16(h))
	}
	if a >= 65536 {
		lo = 0x7c00
	}
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; val(mid) <= a {
			lo = mid
		} else {
			hi = mid
		}
	}
	best := lo
	if lo < hi {
		dl, dh := a-val(lo), val(hi)-a
		if dh < dl || (dh == dl && hi%2 == 0) {
			best = hi
		}
	}
	if math.Signbit(float64(f)) {
		best |= 0x8000
	}
	return uint16(best)
}

func TestF32ToF16RoundsToNearestEven(t *testing.T) {
	check := func(f float32) {
		t.Helper()
		if got, want := F32ToF16(f), nearestF16(f); got != want {
			t.Fatalf("%v (%#08x): got %#04x, want %#04x", f, math.Float32bits(f), got, want)
		}
	}
	// Every midpoint between neighbours, and the float32 just beside it.
	for h := range 0x7c00 {
		next := 65536.0
		if h+1 < 0x7c00 {
			next = wantF16(uint16(h + 1))
		}
		mid := float32((wantF16(uint16(h)) + next) / 2)
		for _, f := range []float32{mid, math.Nextafter32(mid, 0), math.Nextafter32(mid, 1e9)} {
			check(f)
			check(-f)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		f := math.Float32frombits(rng.Uint32())
		if f == f && !math.IsInf(float64(f), 0) {
			check(f)
		}
	}
	for _, c := range []struct {
		in   float32
		want uint16
	}{
		{float32(math.Inf(1)), 0x7c00},
		{float32(math.Inf(-1)), 0xfc00},
		{65504, 0x7bff},
		{65519.996, 0x7bff},
		{65520, 0x7c00},
		{0, 0},
		{float32(math.Copysign(0, -1)), 0x8000},
		{1, 0x3c00},
		{-2, 0xc000},
		{math.MaxFloat32, 0x7c00},
	} {
		if got := F32ToF16(c.in); got != c.want {
			t.Errorf("%v: got %#04x, want %#04x", c.in, got, c.want)
		}
	}
}

func TestBF16(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := BF16ToF32(h)
		want := h
		if f != f {
			want |= 0x40
		}
		if got := F32ToBF16(f); got != want {
			t.Fatalf("%#04x: came back as %#04x", h, got)
		}
	}
	for _, c := range []struct {
		in   uint32
		want uint16
	}{
		{0x3f808000, 0x3f80},
		{0x3f808001, 0x3f81},
		{0x3f818000, 0x3f82},
		{0x3f817fff, 0x3f81},
		{0x7f7fffff, 0x7f80},
		{0xff7fffff, 0xff80},
		{0x7f800001, 0x7fc0},
		{0xffffffff, 0xffff},
		{0x00008000, 0},
		{0x00018000, 2},
	} {
		if got := F32ToBF16(math.Float32frombits(c.in)); got != c.want {
			t.Errorf("%#08x: got %#04x, want %#04x", c.in, got, c.want)
		}
	}
}

func TestF16Rows(t *testing.T) {
	x := []float32{0, 1, -1.5, 3.1415927, 70000, 1e-8, 6.1e-5}
	row := make([]byte, 2*len(x))
	ToF16(row, x)
	back := make([]float32, len(x))
	FromF16(back, row)
	for i, f := range x {
		if want := F16ToF32(F32ToF16(f)); back[i] != want {
			t.Errorf("value %v: got %v, want %v", f, back[i], want)
		}
	}
	mustPanic(t, "short destination", func() { ToF16(row[1:], x) })
	mustPanic(t, "short source", func() { FromF16(back, row[1:]) })
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}
