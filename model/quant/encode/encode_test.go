package encode

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"siskin/model/modeltest"
	"siskin/model/quant"
)

// decoded is x as format t has it.
func decoded(t *testing.T, f quant.Type, x []float32) []float32 {
	t.Helper()
	n, err := f.RowBytes(len(x))
	if err != nil {
		t.Fatal(err)
	}
	b, y := make([]byte, n), make([]float32, len(x))
	if err := Row(f, b, x); err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	if err := quant.Dequantize(f, y, b); err != nil {
		t.Fatal(err)
	}
	return y
}

// rmse is the root of the mean squared difference.
func rmse(x, y []float32) float64 {
	var sum float64
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(x)))
}

func normals(n int, spread float64) []float32 {
	rng, x := rand.New(rand.NewPCG(7, 11)), make([]float32, n)
	for i := range x {
		x[i] = float32(spread * rng.NormFloat64())
	}
	return x
}

// The bounds and the data are those of llama.cpp's test-quantize-fns: root of the sum of squares over the count.
func TestRoundTripBounds(t *testing.T) {
	x := make([]float32, 32*128)
	for i := range x {
		x[i] = float32(0.1 + 2*math.Cos(float64(i)))
	}
	bounds := map[quant.Type]float64{quant.Q2_K: 0.0075, quant.Q3_K: 0.004}
	for _, f := range Types() {
		bound, ok := bounds[f]
		if !ok {
			bound = 0.002
		}
		if got := rmse(x, decoded(t, f, x)) / math.Sqrt(float64(len(x))); got > bound {
			t.Errorf("%s: %.5f, want at most %.4f", f, got, bound)
		}
	}
}

// Error of normal weights, relative to their spread: what llama.cpp 0.3.36 (ggml_quantize_chunk without an importance matrix)
// makes of 524,288 of them, decoded by gguf-py, 2026-11-26. Ours must not be larger.
func TestErrorAgainstPeer(t *testing.T) {
	peer := map[quant.Type]float64{
		quant.F16: 0.000208, quant.BF16: 0.001664, quant.Q8_0: 0.005367, quant.Q4_0: 0.086167, quant.Q4_1: 0.078305,
		quant.Q5_0: 0.042782, quant.Q5_1: 0.037872, quant.IQ4_NL: 0.076210, quant.IQ4_XS: 0.076799, quant.Q2_K: 0.296864,
		quant.Q3_K: 0.151082, quant.Q4_K: 0.071442, quant.Q5_K: 0.036173, quant.Q6_K: 0.017766, quant.F32: 0,
	}
	const spread = 0.02 // of ordinary weights
	x := normals(256*512, spread)
	for _, f := range Types() {
		want, ok := peer[f]
		if !ok {
			t.Fatalf("%s: no value to compare with", f)
		}
		// Another sample of that size differs by a few parts in a thousand.
		if got := rmse(x, decoded(t, f, x)) / spread; got > 1.005*want {
			t.Errorf("%s: error %.6f of the spread, llama.cpp %.6f", f, got, want)
		}
	}
}

// A search must gain on taking the extremes to the ends of the range.
func TestBetterThanPlainRounding(t *testing.T) {
	x := normals(256*64, 0.02)
	for f, gain := range map[quant.Type]float64{quant.Q4_0: 0.9, quant.Q4_1: 0.9, quant.Q5_0: 0.95, quant.Q5_1: 0.95, quant.Q8_0: 1.0001} {
		plain := make([]float32, len(x))
		if err := quant.Dequantize(f, plain, modeltest.Encode(f, x)); err != nil {
			t.Fatal(err)
		}
		if ours, theirs := rmse(x, decoded(t, f, x)), rmse(x, plain); ours > gain*theirs {
			t.Errorf("%s: error %.6g, plain rounding %.6g: want at most %.2f of it", f, ours, theirs, gain)
		}
	}
}

// What is on the grid of a format already stays there: encoding again loses next to nothing.
func TestEncodingAgain(t *testing.T) {
	x := normals(256*16, 0.02)
	for _, f := range Types() {
		once := decoded(t, f, x)
		if again := rmse(once, decoded(t, f, once)); again > 0.3*rmse(x, once)+1e-9 {
			t.Errorf("%s: encoded again, the error is %.3g; the first time it was %.3g", f, again, rmse(x, once))
		}
	}
}

// Blocks that are unlike weights: no format makes infinities of them, or an error larger than its coarsest step allows.
func TestUnusualBlocks(t *testing.T) {
	fill := func(f func(i int) float64) []float32 {
		x := make([]float32, 512)
		for i := range x {
			x[i] = float32(f(i))
		}
		return x
	}
	for name, x := range map[string][]float32{
		"zero":           fill(func(int) float64 { return 0 }),
		"constant":       fill(func(int) float64 { return 0.3 }),
		"negative":       fill(func(int) float64 { return -0.3 }),
		"above zero":     fill(func(i int) float64 { return 1 + 0.01*float64(i%32) }),
		"one outlier":    fill(func(i int) float64 { return map[bool]float64{true: 50, false: 0.01 * float64(i%5-2)}[i == 300] }),
		"tiny":           fill(func(i int) float64 { return 1e-7 * float64(i%7-3) }),
		"below binary16": fill(func(i int) float64 { return 1e-30 * float64(i%7-3) }),
		"largest":        fill(func(i int) float64 { return MaxHalf * float64(i%3-1) }),
		"two values":     fill(func(i int) float64 { return float64(i%2*2 - 1) }),
	} {
		var top float64
		for _, v := range x {
			top = max(top, math.Abs(float64(v)))
		}
		for _, f := range Types() {
			for i, y := range decoded(t, f, x) {
				// Half a step of 2 bits over the whole range, and what binary16 cannot tell from zero.
				if diff := math.Abs(float64(y) - float64(x[i])); !(diff <= top/2+1e-5) {
					t.Fatalf("%s, %s: value %d is %g, was %g", name, f, i, y, x[i])
				}
			}
		}
	}
}

func TestRowRefuses(t *testing.T) {
	x := make([]float32, 256)
	for name, c := range map[string]struct {
		format quant.Type
		bytes  int
		at     float32
		want   error
	}{
		"no encoder":     {quant.IQ2_S, 82, 0, ErrFormat},
		"unknown type":   {quant.Type(99), 82, 0, ErrFormat},
		"short":          {quant.Q4_K, 143, 0, quant.ErrShape},
		"not a number":   {quant.Q4_K, 144, float32(math.NaN()), ErrValue},
		"infinite":       {quant.F32, 1024, float32(math.Inf(-1)), ErrValue},
		"too large":      {quant.F16, 512, 65505, ErrValue},
		"large in BF16":  {quant.BF16, 512, 1e38, nil},
		"largest in F16": {quant.F16, 512, 65504, nil},
	} {
		x[77] = c.at
		dst := make([]byte, c.bytes)
		err := Row(c.format, dst, x)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		var bad *ValueError
		if errors.As(err, &bad) && bad.Index != 77 {
			t.Errorf("%s: column %d, want 77", name, bad.Index)
		}
	}
	if err := Row(quant.Q4_0, make([]byte, 18), x[:33]); !errors.Is(err, quant.ErrShape) {
		t.Errorf("33 columns: %v", err)
	}
}

func TestNearestCode(t *testing.T) {
	for v := float32(-130); v < 130; v += 0.13 {
		best := 0
		for c, value := range nonlinear4 {
			if math.Abs(float64(v)-float64(value)) < math.Abs(float64(v)-float64(nonlinear4[best])) {
				best = c
			}
		}
		if got := code4(v); int(got) != best {
			t.Errorf("%g: code %d, want %d", v, got, best)
		}
	}
}
