package kernel

import (
	"fmt"
	"math"

	"siskin/model/quant"
)

// The self-test multiplies small pseudo-random matrices with every kernel of a set and compares with the reference in
// plain Go. It takes well under a millisecond for an assembly set and runs before every model load: a CPU that
// misreports a feature, or a damaged binary, is found before it answers anybody.
const (
	testRows = 9  // odd, so that a tile's remainder is met
	testCols = 96 // three blocks: an odd number of pairs
	testN    = 5  // a tile of four and one more
	// testTolerance is the largest accepted error, relative to the root mean square of the reference: kernels add in
	// another order and fuse multiplications, each worth about 2^-24; a wrong nibble is worth 2^-4.
	testTolerance = 1e-4
)

// noise is a xorshift generator (Marsaglia 2003): the test data must not depend on a library's generator.
type noise uint32

func (n *noise) next() uint32 {
	x := uint32(*n)
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	*n = noise(x)
	return x
}

// float returns a value in [-1, 1).
func (n *noise) float() float32 { return float32(int32(n.next())) / (1 << 31) }

func (n *noise) floats(count int) []float32 {
	out := make([]float32, count)
	for i := range out {
		out[i] = n.float()
	}
	return out
}

// SelfTest compares every kernel of s with the generic one on known data; the error names the first that differs.
func SelfTest(s *Set) error {
	if s.Name == "generic" {
		return nil
	}
	ref := Generic()
	rng := noise(2463534242)
	x := rng.floats(testN * testCols)
	q, d, sums := make([]int8, len(x)), make([]float32, len(x)/32), make([]float32, len(x)/32)
	if err := testQuantize(s, x, q, d, sums); err != nil {
		return err
	}
	want, got := make([]float32, testRows*testN), make([]float32, testRows*testN)
	for t := range quant.Type(NumTypes) {
		if ref.Supports(t) != s.Supports(t) {
			return fmt.Errorf("kernel set %s: %v: supported %v, reference %v", s.Name, t, s.Supports(t), ref.Supports(t))
		}
		if !s.Supports(t) {
			continue
		}
		w, err := testWeights(&rng, t)
		if err != nil {
			return err
		}
		if t.IsFloat() {
			ref.Float(t)(want, testRows, w, testRows, testCols, x, testN)
			s.Float(t)(got, testRows, w, testRows, testCols, x, testN)
		} else {
			ref.Q8(t)(want, testRows, w, testRows, testCols, q, d, sums, testN)
			s.Q8(t)(got, testRows, w, testRows, testCols, q, d, sums, testN)
		}
		if err := compare(s.Name, "matmul "+t.String(), got, want); err != nil {
			return err
		}
	}
	return testVectorKernels(s, ref, x)
}

func testQuantize(s *Set, x []float32, q []int8, d, sums []float32) error {
	quant.QuantizeQ8(q, d, sums, x)
	q2, d2, s2 := make([]int8, len(q)), make([]float32, len(d)), make([]float32, len(d))
	s.Quantize(q2, d2, s2, x)
	for i := range q {
		// A reciprocal instead of a division may move a value that lies on a rounding boundary by one step.
		if diff := int(q[i]) - int(q2[i]); diff < -1 || diff > 1 {
			return fmt.Errorf("kernel set %s: quantize: value %d is %d, want %d", s.Name, i, q2[i], q[i])
		}
	}
	if err := compare(s.Name, "quantize scale", d2, d); err != nil {
		return err
	}
	for b := range d2 {
		var sum int
		for _, v := range q2[b*32 : b*32+32] {
			sum += int(v)
		}
		if want := float64(d2[b]) * float64(sum); math.Abs(float64(s2[b])-want) > 1e-4*(1+math.Abs(want)) {
			return fmt.Errorf("kernel set %s: quantize: block %d has sum %g, want %g", s.Name, b, s2[b], want)
		}
	}
	return nil
}

func testVectorKernels(s, ref *Set, x []float32) error {
	const dim, group = 24, 3
	rng := noise(88172645)
	v := make([]byte, testRows*dim*2)
	quant.ToF16(v, rng.floats(testRows*dim))
	want, got := make([]float32, group*dim), make([]float32, group*dim)
	ref.WeightedSumF16(want, x, testRows+1, v, testRows, dim, group)
	s.WeightedSumF16(got, x, testRows+1, v, testRows, dim, group)
	if err := compare(s.Name, "weighted sum", got, want); err != nil {
		return err
	}
	half := make([]byte, 2*len(x))
	s.ToF16(half, x)
	for i, f := range x {
		if h := uint16(half[2*i]) | uint16(half[2*i+1])<<8; h != quant.F32ToF16(f) {
			return fmt.Errorf("kernel set %s: to f16: %g gives %#04x, want %#04x", s.Name, f, h, quant.F32ToF16(f))
		}
	}
	a, b := make([]float32, len(x)), make([]float32, len(x))
	y := rng.floats(len(x))
	for _, k := range []struct {
		name string
		run  func(s *Set, dst []float32)
	}{
		{"rms norm", func(s *Set, dst []float32) { s.RMSNorm(dst, x, y, 1e-5) }},
		{"silu", func(s *Set, dst []float32) { s.SiluMul(dst, x, y) }},
		{"softmax", func(s *Set, dst []float32) { copy(dst, x); s.Softmax(dst) }},
	} {
		k.run(ref, a)
		k.run(s, b)
		if err := compare(s.Name, k.name, b, a); err != nil {
			return err
		}
	}
	return nil
}

// testWeights makes testRows rows of type t from noise, with scales of ordinary size.
func testWeights(rng *noise, t quant.Type) ([]byte, error) {
	rowBytes, err := t.RowBytes(testCols)
	if err != nil {
		return nil, fmt.Errorf("kernel self-test: %w", err)
	}
	w := make([]byte, testRows*rowBytes)
	if t.IsFloat() {
		for i := 0; i < len(w); i += t.BlockBytes() {
			putFloat(w[i:], t, rng.float())
		}
		return w, nil
	}
	for i := range w {
		w[i] = byte(rng.next() >> 8)
	}
	for i := 0; i < len(w); i += t.BlockBytes() {
		putFloat(w[i:], quant.F16, 0.01*rng.float())
		if t == quant.Q4_1 || t == quant.Q5_1 {
			putFloat(w[i+2:], quant.F16, 0.1*rng.float())
		}
	}
	return w, nil
}

func putFloat(dst []byte, t quant.Type, f float32) {
	bits := math.Float32bits(f)
	switch t {
	case quant.F16:
		bits = uint32(quant.F32ToF16(f))
	case quant.BF16:
		bits >>= 16
	}
	for i := range t.BlockBytes() {
		dst[i] = byte(bits >> (8 * i))
	}
}

func compare(set, what string, got, want []float32) error {
	var square float64
	for _, f := range want {
		square += float64(f) * float64(f)
	}
	limit := testTolerance * math.Sqrt(square/float64(len(want)))
	for i := range want {
		// Written so that NaN fails too.
		if diff := math.Abs(float64(got[i]) - float64(want[i])); !(diff <= limit) {
			return fmt.Errorf("kernel set %s: %s: value %d is %g, want %g", set, what, i, got[i], want[i])
		}
	}
	return nil
}
