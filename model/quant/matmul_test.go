package quant_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"siskin/model/modeltest"
	"siskin/model/quant"
)

var q8Types = []quant.Type{
	quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q5_1, quant.Q8_0, quant.IQ4_NL, quant.IQ4_XS,
	quant.Q2_K, quant.Q3_K, quant.Q4_K, quant.Q5_K, quant.Q6_K,
}

func normal(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// randomBlocks is blocks of any bit pattern, but with finite scales.
func randomBlocks(rng *rand.Rand, typ quant.Type, blocks int) []byte {
	b := make([]byte, blocks*typ.BlockBytes())
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	for i := range blocks {
		typ.Tame(b[i*typ.BlockBytes():])
		for _, at := range typ.Halves() {
			b[i*typ.BlockBytes()+at+1] &= 0xbf // exponent below 16
		}
	}
	return b
}

// quantize makes the Acts of n rows of cols activations.
func quantize(x []float32, n int) []byte {
	cols := len(x) / n
	out := quant.NewActs(n * cols / 32 * quant.ActBytes)
	for t := range n {
		quant.Quantize(out, x[t*cols:(t+1)*cols], n, t)
	}
	return out
}

// Blocks are what the documentation says.
func TestQuantize(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		x := normal(rng, 64)
		for i := range x {
			x[i] *= float32(math.Exp(rng.NormFloat64() * 10))
		}
		acts := quant.NewActs(2 * quant.ActBytes)
		quant.Quantize(acts, x, 1, 0)
		for b, a := range quant.ActsOf(acts) {
			var amax float64
			var sums [2]int32
			for i, q := range a.Q {
				v := x[b*32+i]
				amax = max(amax, math.Abs(float64(v)))
				sums[i/16] += int32(q)
				if off := math.Abs(float64(v)/float64(a.D) - float64(q)); off > 0.5+127*0x1p-22 || q < -127 {
					t.Fatalf("value %v, scale %v: %d, off by %v", v, a.D, q, off)
				}
			}
			_, exp := math.Frexp(amax / 127)
			steps := math.Ceil(math.Ldexp(amax/127, 5-exp) * (1 - 0x1p-22)) // of five bits; the scale is rounded up from a float32
			if want := math.Ldexp(steps, exp-5); math.Abs(float64(a.D)/want-1) > 0x1p-22 {
				t.Fatalf("largest magnitude %v: scale %v, want %v", amax, a.D, want)
			}
			sum := sums[0] + sums[1]
			want := quant.Act{
				Q: a.Q, D: a.D, S: a.D * float32(sum), SA: a.D * float32(sums[0]), SB: a.D * float32(sums[1]),
				N: -128 * sum, NA: -128 * sums[0], NB: -128 * sums[1], M: a.M,
			}
			if a != want {
				t.Fatalf("block %+v, want %+v", a, want)
			}
			_, e := math.Frexp(float64(a.D)) // D in [2^(e-1), 2^e)
			if got := math.Float32frombits(a.M); float64(got) != math.Ldexp(1.5, 23+e-1) {
				t.Fatalf("scale %v: M is %v", a.D, got)
			}
			for _, k := range []int32{0, 1, -1, 1<<22 - 1, -1 << 22} {
				made := math.Float32frombits(a.M+uint32(k)) - math.Float32frombits(a.M)
				if float64(made) != math.Ldexp(float64(k), e-1) {
					t.Fatalf("scale %v: M makes %v of %d", a.D, made, k)
				}
			}
		}
	}
}

// A refined input is the first plane as always, and what it leaves as the second.
func TestQuantizeRefined(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	x := normal(rng, 96)
	out := quant.NewActs(3 * 4 * quant.ActBytes)
	quant.QuantizeRefined(out, x, 4, 2, 1)
	acts, first := quant.ActsOf(out), quant.ActsOf(quantize(x, 1))
	for i, v := range x {
		high, low := &acts[i/32*4+2], &acts[i/32*4+1]
		if *high != first[i/32] {
			t.Fatal("the first plane differs from that of a plain input")
		}
		got := float64(high.D)*float64(high.Q[i%32]) + float64(low.D)*float64(low.Q[i%32])
		if math.Abs(got-float64(v)) > float64(low.D)*0.51 || low.D > high.D/200 {
			t.Fatalf("value %d: %v, want %v; scales %v and %v", i, got, v, high.D, low.D)
		}
	}
	for _, row := range []int{0, 3} {
		for b := range 3 {
			if acts[b*4+row] != (quant.Act{}) {
				t.Fatal("wrote to the place of another row")
			}
		}
	}
}

func TestQuantizeExtremes(t *testing.T) {
	block := func(v ...float32) []float32 { return append(v, make([]float32, 32-len(v))...) }
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		name string
		x    []float32
		q0   int8
		nan  bool
	}{
		{"zeros", block(), 0, false},
		{"largest", block(math.Nextafter32(1<<106, 0), -1), 120, false},
		{"too large", block(1<<106, -1), 0, true},
		{"largest float", block(math.MaxFloat32, -1), 0, true},
		{"negative", block(-127, 1), -127, false},
		{"smallest", block(-1.0/(1<<93), 0), -120, false},
		{"too small", block(math.Nextafter32(1.0/(1<<93), 0)), 0, false},
		{"smallest float", block(math.SmallestNonzeroFloat32), 0, false},
		{"tie to even", block(0.5, 127), 0, false},
		{"tie to even up", block(1.5, 127), 2, false},
		{"infinity", block(1, inf), 0, true},
		{"minus infinity", block(-inf), 0, true},
		{"NaN", block(1, nan, 2), 0, true},
		{"NaN last", append(make([]float32, 31), nan), 0, true},
	} {
		a := quant.ActsOf(quantize(c.x, 1))[0]
		if a.Q[0] != c.q0 {
			t.Errorf("%s: first is %d, want %d", c.name, a.Q[0], c.q0)
		}
		if gotNaN := a.D != a.D && a.S != a.S && a.SA != a.SA && a.SB != a.SB; gotNaN != c.nan {
			t.Errorf("%s: scale %v, sum %v", c.name, a.D, a.S)
		}
	}
}

// TestMatMulQ8Definition recomputes single elements by the formula of the documentation from dequantised integers.
func TestMatMulQ8Definition(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const rows, n = 5, 4
	for _, typ := range q8Types {
		for _, blocks := range []int{1, 3, 18} {
			cols := blocks * typ.BlockLen()
			w := randomBlocks(rng, typ, rows*blocks)
			x := normal(rng, n*cols)
			acts := quantize(x, n)
			dst := make([]float32, n*(rows+2))
			quant.MatMulQ8(typ, dst, rows+2, w, rows, cols, acts, n)
			dense := make([]float32, rows*cols)
			if err := quant.Dequantize(typ, dense, w); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				for r := range rows {
					var exact, size float64
					for c := range cols {
						a := &quant.ActsOf(acts)[c/32*n+i]
						p := float64(dense[r*cols+c]) * float64(a.Q[c%32]) * float64(a.D)
						exact += p
						size += math.Abs(p)
					}
					if got := float64(dst[i*(rows+2)+r]); math.Abs(got-exact) > size*2e-6+1e-12 {
						t.Fatalf("%s cols %d element %d,%d: got %v, exact %v", typ, cols, i, r, got, exact)
					}
				}
				if dst[i*(rows+2)+rows] != 0 || dst[i*(rows+2)+rows+1] != 0 {
					t.Fatalf("%s: wrote between the rows of the destination", typ)
				}
			}
			oneByOne(t, typ, dst, w, rows, cols, x, n)
		}
	}
}

// oneByOne checks that every element has the same bits when computed alone.
func oneByOne(t *testing.T, typ quant.Type, dst []float32, w []byte, rows, cols int, x []float32, n int) {
	t.Helper()
	rowBytes, err := typ.RowBytes(cols)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		for r := range rows {
			var one [1]float32
			row, act := w[r*rowBytes:][:rowBytes], x[i*cols:][:cols]
			if typ.IsFloat() {
				quant.MatMulFloat(typ, one[:], 1, row, 1, cols, act, 1)
			} else {
				quant.MatMulQ8(typ, one[:], 1, row, 1, cols, quantize(act, 1), 1)
			}
			if got := dst[i*(rows+2)+r]; math.Float32bits(got) != math.Float32bits(one[0]) {
				t.Fatalf("%s element %d,%d: %v in a batch, %v alone", typ, i, r, got, one[0])
			}
		}
	}
}

func TestMatMulQ8KnownBits(t *testing.T) {
	// One Q4_1 block: d = 0.5, m = -2, all nibbles 3; activations 1..32 by hand: d = 32/127, rounded up to 17/64.
	w := []byte{0x00, 0x38, 0x00, 0xc0}
	for range 16 {
		w = append(w, 0x33)
	}
	x := make([]float32, 32)
	for i := range x {
		x[i] = float32(i + 1)
	}
	acts := quantize(x, 1)
	var sum int
	for _, q := range quant.ActsOf(acts)[0].Q {
		sum += int(q)
	}
	var dst [1]float32
	quant.MatMulQ8(quant.Q4_1, dst[:], 1, w, 1, 32, acts, 1)
	d := float32(17) / 64
	want := float32(float32(0.5*d)*float32(3*sum)) + float32(-2*float32(d*float32(sum)))
	if dst[0] != want {
		t.Errorf("got %v, want %v", dst[0], want)
	}
}

// TestMatMulQ8Extremes: the largest integers of each format must not overflow anything.
func TestMatMulQ8Extremes(t *testing.T) {
	x := make([]float32, 32)
	for i := range x {
		x[i] = -127
	}
	acts := quantize(x, 1)
	for _, c := range []struct {
		typ  quant.Type
		fill byte
		v    float64
	}{{quant.Q4_0, 0, -8}, {quant.Q4_0, 0xff, 7}, {quant.Q4_1, 0xff, 15}, {quant.Q5_0, 0, -16}, {quant.Q5_0, 0xff, 15}, {quant.Q5_1, 0xff, 31}, {quant.Q8_0, 0x80, -128}} {
		w := make([]byte, c.typ.BlockBytes())
		for i := range w {
			w[i] = c.fill
		}
		w[0], w[1] = 0, 0x3c // d = 1
		if c.typ == quant.Q4_1 || c.typ == quant.Q5_1 {
			w[2], w[3] = 0, 0 // m = 0
		}
		var dst [1]float32
		quant.MatMulQ8(c.typ, dst[:], 1, w, 1, 32, acts, 1)
		if want := c.v * -127 * 32; float64(dst[0]) != want {
			t.Errorf("%s filled with %#02x: got %v, want %v", c.typ, c.fill, dst[0], want)
		}
	}
}

func TestMatMulFloat(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const rows, n = 3, 3
	for _, typ := range []quant.Type{quant.F32, quant.F16, quant.BF16} {
		for _, cols := range []int{1, 7, 8, 64, 100, 511, 512, 513, 1100} {
			w := modeltest.Encode(typ, normal(rng, rows*cols))
			x := normal(rng, n*cols)
			dst := make([]float32, n*(rows+2))
			quant.MatMulFloat(typ, dst, rows+2, w, rows, cols, x, n)
			dense := make([]float32, rows*cols)
			if err := quant.Dequantize(typ, dense, w); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				for r := range rows {
					var exact, size float64
					for c := range cols {
						p := float64(dense[r*cols+c]) * float64(x[i*cols+c])
						exact += p
						size += math.Abs(p)
					}
					if got := float64(dst[i*(rows+2)+r]); math.Abs(got-exact) > size*1e-6+1e-30 {
						t.Fatalf("%s cols %d element %d,%d: got %v, exact %v", typ, cols, i, r, got, exact)
					}
				}
			}
			oneByOne(t, typ, dst, w, rows, cols, x, n)
		}
	}
}

// TestShapesPanic: a wrong length is a broken invariant of the caller; the reference says so instead of reading beyond.
func TestShapesPanic(t *testing.T) {
	acts := quantize(make([]float32, 64), 1)
	w := make([]byte, 40)
	dst := make([]float32, 4)
	for i, f := range []func(){
		func() { quant.Quantize(acts, make([]float32, 33), 1, 0) },
		func() { quant.Quantize(acts[64:], make([]float32, 64), 1, 0) },
		func() { quant.Quantize(acts, make([]float32, 32), 2, 2) },
		func() { quant.ActsOf(acts[:65]) },
		func() { quant.ActsOf(acts[1:65]) },
		func() { quant.MatMulQ8(quant.Q4_1, dst, 1, w, 1, 64, acts[64:], 1) },
		func() { quant.MatMulQ8(quant.Q4_1, dst, 1, w[1:], 1, 64, acts, 1) },
		func() { quant.MatMulQ8(quant.Q4_1, dst, 1, w, 1, 33, acts, 1) },
		func() { quant.MatMulQ8(quant.Q4_1, dst[:0], 1, w, 1, 64, acts, 1) },
		func() { quant.MatMulQ8(quant.Q4_K, dst, 1, w, 1, 64, acts, 1) },
		func() { quant.MatMulQ8(99, dst, 1, w, 1, 64, acts, 1) },
		func() { quant.MatMulQ8(quant.F16, dst, 1, w, 1, 64, acts, 1) },
		func() { quant.PackGroup(quant.Q4_1, quant.Packing{Unit: 4}, make([]byte, 320), make([]byte, 319), 32) },
		func() { quant.PackGroup(quant.Q4_1, quant.Packing{}, make([]byte, 320), make([]byte, 320), 32) },
		func() { quant.PackGroup(quant.F16, quant.Packing{Unit: 4}, make([]byte, 1024), make([]byte, 1024), 32) },
		func() { quant.MatMulFloat(quant.Q4_1, dst, 1, w, 1, 4, make([]float32, 4), 1) },
		func() { quant.MatMulFloat(quant.F32, dst, 1, w, 1, 11, make([]float32, 11), 1) },
		func() { quant.MatMulFloat(quant.F32, dst, 1, w, 1, 4, make([]float32, 3), 1) },
		func() { quant.MatMulFloat(quant.F32, dst, 1, w, 1, 0, nil, 1) },
		func() { quant.MatMulFloat(quant.F32, dst, 1, w, 2, 4, make([]float32, 8), 2) },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func BenchmarkMatMulQ8(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	const rows, cols = 64, 768
	for _, typ := range q8Types {
		b.Run(typ.String(), func(b *testing.B) {
			w := randomBlocks(rng, typ, rows*cols/typ.BlockLen())
			acts := quantize(normal(rng, cols), 1)
			dst := make([]float32, rows)
			b.SetBytes(int64(len(w)))
			for b.Loop() {
				quant.MatMulQ8(typ, dst, rows, w, rows, cols, acts, 1)
			}
		})
	}
}
