//go:build !purego && unix

package kernels_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// lengths of vectors under test: every remainder of eight several times, and more than one assembly call.
func lengths() []int {
	var out []int
	for n := range 70 {
		out = append(out, n)
	}
	return append(out, 576, 1536, 1<<16+13)
}

// relative returns the error of got as a part of want, or of 2^-106 where want is smaller: a part of 1e-6 of that is
// 2^-126, below which exponentials are flushed.
func relative(got float32, want float64) float64 {
	return math.Abs(float64(got)-want) / max(math.Abs(want), 0x1p-106)
}

// within fails the test unless every element is within a relative error; it returns the largest.
func within(t *testing.T, what string, got []float32, want []float64, bound float64) float64 {
	t.Helper()
	var worst float64
	for i := range want {
		e := relative(got[i], want[i])
		if !(e <= bound) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
		worst = max(worst, e)
	}
	return worst
}

// sameActs fails the test at the first difference between Acts; any NaN equals any other.
func sameActs(t *testing.T, what string, got, want []byte) {
	t.Helper()
	g := quant.ActsOf(got)
	for i, w := range quant.ActsOf(want) {
		sameBits(t, fmt.Sprintf("%s: Act %d: D, S, SA, SB", what, i),
			[]float32{g[i].D, g[i].S, g[i].SA, g[i].SB}, []float32{w.D, w.S, w.SA, w.SB})
		if g[i].Q != w.Q || g[i].N != w.N || g[i].NA != w.NA || g[i].NB != w.NB || g[i].M != w.M {
			t.Fatalf("%s: Act %d is %+v, want %+v", what, i, g[i], w)
		}
	}
}

func TestQuantizeEqualsReference(t *testing.T) {
	needAVX2(t)
	rng := rand.New(rand.NewPCG(1, 2))
	mem := newArena(t, rng)
	check := func(what string, x []float32) {
		t.Helper()
		const rows, row, low = 3, 1, 2
		want := quant.NewActs(len(x) / quant.ActBlock * rows * quant.ActBytes)
		for i := range want {
			want[i] = 0x55
		}
		mem.reset()
		got := put(mem, quant.ActsOf(want))
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(got))), len(want))
		in := put(mem, x)
		kernels.QuantizeAVX2(bytes, in, rows, row)
		quant.Quantize(want, x, rows, row)
		mem.check(what)
		sameActs(t, what, bytes, want)
		kernels.QuantizeRefinedAVX2(bytes, in, rows, row, low)
		quant.QuantizeRefined(want, x, rows, row, low)
		mem.check(what)
		sameActs(t, what+", refined", bytes, want)
	}
	for _, n := range []int{0, 32, 64, 96, 576, 1<<16 + 64} {
		check(fmt.Sprintf("%d values", n), normals(rng, n))
	}
	// All sizes of values, where division and rounding go through subnormals and up to the largest.
	for e := -149; e < 128; e++ {
		x := normals(rng, 64)
		for i := range x {
			x[i] = float32(math.Ldexp(float64(x[i]), e))
		}
		check(fmt.Sprintf("exponent %d", e), x)
	}
	for k := range 1000 {
		x := make([]float32, 32)
		for i := range x {
			x[i] = math.Float32frombits(rng.Uint32N(512)) // the smallest numbers that there are
		}
		check(fmt.Sprintf("subnormals %d", k), x)
	}
	ties := make([]float32, 512)
	for i := range ties {
		ties[i] = float32(i-256) / 2
		if i%32 == 0 {
			ties[i] = 127
		}
	}
	check("ties", ties)
	for _, special := range []float64{
		0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, 1 << 106,
		-float64(math.Nextafter32(1<<106, 0)), 1.0 / (1 << 93), float64(math.Nextafter32(1.0/(1<<93), 0)),
	} {
		x := make([]float32, 96)
		x[40] = float32(special)
		check(fmt.Sprint(special), x)
		x = normals(rng, 96)
		x[31], x[64] = float32(special), float32(special)
		check(fmt.Sprint("normals and ", special), x)
	}
}

func TestToF16EqualsReference(t *testing.T) {
	needAVX2(t)
	rng := rand.New(rand.NewPCG(3, 4))
	mem := newArena(t, rng)
	check := func(what string, x []float32) {
		t.Helper()
		mem.reset()
		dst := put(mem, make([]byte, 2*len(x)))
		kernels.ToF16AVX2(dst, put(mem, x))
		mem.check(what)
		for i, f := range x {
			got, want := binary.LittleEndian.Uint16(dst[2*i:]), quant.F32ToF16(f)
			if got != want && !(f != f && got&0x7c00 == 0x7c00 && got&0x3ff != 0) {
				t.Fatalf("%s: %v is %#04x, want %#04x", what, f, got, want)
			}
		}
	}
	for _, n := range lengths() {
		check(fmt.Sprintf("%d values", n), normals(rng, n))
	}
	// Every binary16, what lies half-way to the next, and the float32 around both.
	var x []float32
	for h := range 1 << 16 {
		bits := math.Float32bits(quant.F16ToF32(uint16(h)))
		for _, add := range []uint32{0, 1, 0xfff, 0x1000, 0x1001} {
			x = append(x, math.Float32frombits(bits+add))
		}
	}
	for len(x) > 0 {
		n := min(len(x), 100_000)
		check("halves", x[:n])
		x = x[n:]
	}
}

func TestRMSNorm(t *testing.T) {
	needAVX2(t)
	rng := rand.New(rand.NewPCG(5, 6))
	mem := newArena(t, rng)
	var worst float64
	for _, n := range lengths() {
		const eps = 1e-5
		x, w := normals(rng, n), normals(rng, n)
		if n%2 == 0 && n > 0 {
			x[n/2] = 1e18 // its square is near the end of float32
		}
		var sum float64
		for _, f := range x {
			sum += float64(f) * float64(f)
		}
		want := make([]float64, n)
		for i, f := range x {
			want[i] = float64(f) / math.Sqrt(sum/float64(n)+float64(float32(eps))) * float64(w[i])
		}
		what := fmt.Sprintf("%d values", n)
		mem.reset()
		dst := put(mem, filled(n))
		kernels.RMSNormAVX2(dst, put(mem, x), put(mem, w), eps)
		mem.check(what)
		worst = max(worst, within(t, what, dst, want, 2e-7))
		kernels.RMSNormAVX2(x, x, w, eps)
		sameBits(t, what+", in place", x, dst)
	}
	t.Logf("largest relative error: %.2g", worst)
}

func TestSiluMul(t *testing.T) {
	needAVX2(t)
	rng := rand.New(rand.NewPCG(7, 8))
	mem := newArena(t, rng)
	var worst float64
	check := func(what string, gate, up []float32) {
		t.Helper()
		want := make([]float64, len(gate))
		for i, g := range gate {
			want[i] = float64(g) / (1 + math.Exp(-float64(g))) * float64(up[i])
		}
		mem.reset()
		dst := put(mem, filled(len(gate)))
		kernels.SiluMulAVX2(dst, put(mem, gate), put(mem, up))
		mem.check(what)
		worst = max(worst, within(t, what, dst, want, 1e-6))
		kernels.SiluMulAVX2(gate, gate, up)
		sameBits(t, what+", in place", gate, dst)
	}
	for _, n := range lengths() {
		check(fmt.Sprintf("%d values", n), normals(rng, n), normals(rng, n))
	}
	sweep, ones := make([]float32, 60_000), make([]float32, 60_000)
	for i := range sweep {
		sweep[i], ones[i] = -87+float32(i)/300, 1
	}
	check("sweep", sweep, ones)
	t.Logf("largest relative error: %.2g", worst)

	gate := []float32{-88.5, -90, -1e4, -math.MaxFloat32 / 4, 1e4, math.MaxFloat32, float32(math.Inf(1)), 0}
	up := []float32{1, 1, 1, 1, 1, 1, 1, 1}
	got := make([]float32, len(gate))
	kernels.SiluMulAVX2(got, gate, up)
	for i, g := range gate {
		if want := max(g, 0); g > 0 && got[i] != want || g <= 0 && g > -1e6 && math.Abs(float64(got[i])) > 1e-34 {
			t.Errorf("gate %v gives %v", g, got[i])
		}
	}
	kernels.SiluMulAVX2(got[:1], []float32{float32(math.NaN())}, up[:1])
	if got[0] == got[0] {
		t.Errorf("gate NaN gives %v", got[0])
	}
}
