package kernel

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"

	"siskin/model/quant"
)

// The self-test multiplies small pseudo-random matrices with every kernel of a set and compares with the reference in
// plain Go. It takes well under a millisecond for an assembly set and runs before every model load: a CPU that
// misreports a feature, or a damaged binary, is found before it answers anybody.
const (
	testRows = 2*quant.PackRows + 1 // odd, so that a tile's remainder is met
	testCols = 512                  // two blocks of the K formats
	testN    = 5                    // a tile of four and one more
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
	acts := quant.NewActs(testN * testCols / quant.ActBlock * quant.ActBytes)
	for t := range testN {
		quant.Quantize(acts, x[t*testCols:(t+1)*testCols], testN, t)
	}
	if err := testQuantize(s, ref, x[:testCols]); err != nil {
		return err
	}
	for t := range quant.Type(quant.NumTypes) {
		if ref.Supports(t) != s.Supports(t) {
			return fmt.Errorf("kernel set %s: %v: supported %v, reference %v", s.Name, t, s.Supports(t), ref.Supports(t))
		}
		if !s.Supports(t) {
			continue
		}
		if err := testProducts(s, ref, &rng, t, x, acts); err != nil {
			return err
		}
	}
	return testVectorKernels(s, ref, x)
}

// testProducts compares the products of one format, the packed one with the plain one bit for bit.
func testProducts(s, ref *Set, rng *noise, t quant.Type, x []float32, acts []byte) error {
	w, err := testWeights(rng, t)
	if err != nil {
		return err
	}
	want, got := make([]float32, testRows*testN), make([]float32, testRows*testN)
	if t.IsFloat() {
		ref.Float(t)(want, testRows, w, testRows, testCols, x, testN)
		s.Float(t)(got, testRows, w, testRows, testCols, x, testN)
		return compare(s.Name, "matmul "+t.String(), got, want)
	}
	ref.Q8(t)(want, testRows, w, testRows, testCols, acts, testN)
	s.Q8(t)(got, testRows, w, testRows, testCols, acts, testN)
	if err := compare(s.Name, "matmul "+t.String(), got, want); err != nil {
		return err
	}
	mul := s.Packed(t)
	if mul == nil {
		return nil
	}
	const rows = testRows / quant.PackRows * quant.PackRows
	packed := make([]byte, len(w)/testRows*rows)
	for group := len(w) / testRows * quant.PackRows; len(w) >= group; w = w[group:] {
		quant.PackGroup(t, s.Packing, packed[len(packed)-len(w)/group*group:][:group], w[:group], testCols)
	}
	again := make([]float32, testRows*testN)
	mul(again, testRows, packed, rows, testCols, acts, testN)
	for i := range again {
		if i%testRows < rows && math.Float32bits(again[i]) != math.Float32bits(got[i]) {
			return fmt.Errorf("kernel set %s: packed matmul %v: value %d is %g, plain gives %g", s.Name, t, i, again[i], got[i])
		}
	}
	return nil
}

// testQuantize compares both planes of one row, and the row as keys and values have it, with the reference: the bits are the same.
func testQuantize(s, ref *Set, x []float32) error {
	size := len(x) / quant.ActBlock * 2 * quant.ActBytes
	want, got := quant.NewActs(size), quant.NewActs(size)
	check := func(row int, what string) error {
		a, b := quant.ActsOf(got), quant.ActsOf(want)
		for i := row; i < len(a); i += 2 {
			if a[i] != b[i] {
				return fmt.Errorf("kernel set %s: quantize: %s, block %d is %+v, want %+v", s.Name, what, i/2, a[i], b[i])
			}
		}
		return nil
	}
	quant.QuantizeRefined(want, x, 2, 1, 0)
	s.Quantize(got, x, 2, 1)
	err := check(1, "plane 0")
	s.QuantizeRefined(got, x, 2, 1, 0)
	err = cmp.Or(err, check(1, "plane 0 of two"), check(0, "plane 1"))
	if err != nil {
		return err
	}
	for _, block := range []int{32, 64} {
		var values [2][]float32
		var kept [2][]byte
		for i, a := range []*Attention{&ref.Attention, &s.Attention} {
			values[i], kept[i] = append(slices.Clone(x), make([]float32, len(x)/block)...), make([]byte, len(x))
			a.Hadamard(values[i][:len(x)], block, 0.125)
			a.QuantizeKV(kept[i], values[i][len(x):], values[i][:len(x)], block)
		}
		if !slices.Equal(values[0], values[1]) || !bytes.Equal(kept[0], kept[1]) {
			return fmt.Errorf("kernel set %s: quantize: keys and values in blocks of %d", s.Name, block)
		}
	}
	return nil
}

func testVectorKernels(s, ref *Set, x []float32) error {
	rng := noise(88172645)
	if err := testAttention(s, ref, &rng); err != nil {
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
		{"add", func(s *Set, dst []float32) { copy(dst, x); s.Add(dst, y) }},
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
		t.Tame(w[i:])
		for _, at := range t.Halves() {
			putFloat(w[i+at:], quant.F16, 0.01*rng.float())
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
