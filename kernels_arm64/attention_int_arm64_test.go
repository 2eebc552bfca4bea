//go:build !purego

package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

type (
	keyScores = func(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int)
	mixValues = func(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int)
)

// integers is what a quantiser makes of rows.
type integers struct {
	q     []byte
	scale []float32
	sum   []int32
}

func newIntegers(vectors, n, per int) integers {
	return integers{make([]byte, 2*vectors*n), make([]float32, vectors), make([]int32, vectors*(n/per))}
}

// guarded has the same lengths between pages that cannot be touched.
func (i integers) guarded(t *testing.T, atEnd bool) integers {
	return integers{guard(t, i.q, atEnd), guard(t, i.scale, atEnd), guard(t, i.sum, atEnd)}
}

// integerSet is the products of integers of one instruction set.
type integerSet struct {
	name     string
	quantize func(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int)
	arrange  func(q []byte) // from the order of the reference
	keys     map[quant.KVFormat]keyScores
	values   map[quant.KVFormat]mixValues
}

func integerSets(t *testing.T) []integerSet {
	t.Helper()
	needNEON(t)
	sets := []integerSet{{
		"NEON", kernels.QuantizeRowsNEON, func([]byte) {},
		map[quant.KVFormat]keyScores{quant.KVQ8: kernels.KeyScoresQ8NEON, quant.KVQ4: kernels.KeyScoresQ4NEON},
		map[quant.KVFormat]mixValues{quant.KVQ8: kernels.MixValuesQ8NEON, quant.KVQ4: kernels.MixValuesQ4NEON},
	}}
	if !kernels.HasDotProd() {
		return sets
	}
	return append(sets, integerSet{
		"DotProd", kernels.QuantizeRowsDotProd, planes,
		map[quant.KVFormat]keyScores{quant.KVQ8: kernels.KeyScoresQ8DotProd, quant.KVQ4: kernels.KeyScoresQ4DotProd},
		map[quant.KVFormat]mixValues{quant.KVQ8: kernels.MixValuesQ8DotProd, quant.KVQ4: kernels.MixValuesQ4DotProd},
	})
}

// planes turns words q = 256*high + low, low signed, into bytes: of each eight words the high ones of four, then the low ones,
// then both of the other four.
func planes(q []byte) {
	for ; len(q) > 0; q = q[16:] {
		var out [16]byte
		for i := range 8 {
			word := int16(q[2*i]) | int16(q[2*i+1])<<8
			low := int8(word)
			out[i/4*8+i%4], out[i/4*8+4+i%4] = byte((int(word)-int(low))/256), byte(low)
		}
		copy(q, out[:])
	}
}

// Scores and sums of values are those of the reference up to the rounding of a few float32 operations; integers, scales and
// sums of the rows are equal, and nothing outside the slices is touched: with the extremes of all integers as well.
func TestIntegerAttention(t *testing.T) {
	rng := noise(73)
	for _, k := range integerSets(t) {
		for f := range k.keys {
			for _, dim := range []int{32, 64, 96, 128, 160, 256} {
				for m := 1; m <= 9; m++ {
					n := 1 + int(rng.next()%quant.KVPage)
					what := fmt.Sprintf("%s, %v, %d columns, %d positions, %d rows", k.name, f, dim, n, m)
					testKeyScores(t, what, &rng, f, k, dim, m, n)
					testMixValues(t, what, &rng, f, k, dim, m, n)
				}
			}
		}
	}
}

func testKeyScores(t *testing.T, what string, rng *noise, f quant.KVFormat, k integerSet, dim, m, n int) {
	t.Helper()
	keys, x, atEnd := kvBlock(rng, f, dim, f.KeyBytes(dim)), rng.floats(m*dim), m%2 == 0
	if m%3 == 0 { // the largest sums that there can be
		extreme(f, keys, x, dim)
	}
	per := f.KVBlock(dim)
	all, want := newIntegers(m, dim, per), make([]float32, m*quant.KVPage)
	quant.QuantizeRows(all.q, all.scale, all.sum, x, dim, nil, m, 1, dim, per)
	quant.KeyScores(f, want, all.q, all.scale, all.sum, x, keys, dim, m, n)
	rows, values := newIntegers(m, dim, per).guarded(t, atEnd), guard(t, x, atEnd)
	k.quantize(rows.q, rows.scale, rows.sum, values, dim, nil, m, 1, dim, per)
	k.arrange(all.q)
	sameIntegers(t, what+", queries", rows, all)
	got := guard(t, make([]float32, len(want)), atEnd)
	k.keys[f](got, rows.q, rows.scale, rows.sum, values, guard(t, keys, atEnd), guard(t, keys, !atEnd), dim, m, n)
	nearAll(t, what+", scores", got, want)
}

func testMixValues(t *testing.T, what string, rng *noise, f quant.KVFormat, k integerSet, dim, m, n int) {
	t.Helper()
	blocks, cols, atEnd := dim/f.KVBlock(dim), (n+15)/16*16, m%2 == 0
	values, weights := kvBlock(rng, f, dim, f.ValueBytes(dim)), rng.floats(m*quant.KVPage)
	keep, out := rng.floats(m), rng.floats(m*dim)
	if m%3 == 0 {
		extreme(f, values, weights, dim)
	}
	weights[0], weights[len(weights)-1] = 0, 1e-35
	all, want := newIntegers(m*blocks, cols, cols), slices.Clone(out)
	quant.QuantizeRows(all.q, all.scale, all.sum, weights, quant.KVPage, f.Scales(values, dim), m, blocks, cols, cols)
	quant.MixValues(f, want, all.q, all.scale, all.sum, keep, values, dim, m, cols)
	rows, block := newIntegers(m*blocks, cols, cols).guarded(t, atEnd), guard(t, values, atEnd)
	k.quantize(rows.q, rows.scale, rows.sum, guard(t, weights, atEnd), quant.KVPage, f.Scales(block, dim), m, blocks, cols, cols)
	k.arrange(all.q)
	sameIntegers(t, what+", weights", rows, all)
	got := guard(t, out, atEnd)
	k.values[f](got, rows.q, rows.scale, rows.sum, guard(t, keep, atEnd), block, nil, dim, m, cols)
	nearAll(t, what+", values", got, want)
}

// extreme makes every integer of a block the largest, and all of x alike.
func extreme(f quant.KVFormat, block []byte, x []float32, dim int) {
	for i := range f.ValueBytes(dim) - dim/f.KVBlock(dim)*quant.KVPage*2 {
		block[i] = 0xff
	}
	for i := range x {
		x[i] = 3
	}
}

func sameIntegers(t *testing.T, what string, got, want integers) {
	t.Helper()
	sameBits(t, what+": scales", got.scale, want.scale)
	if !slices.Equal(got.q, want.q) || !slices.Equal(got.sum, want.sum) {
		t.Fatalf("%s: integers or sums differ: sums %v, want %v", what, got.sum, want.sum)
	}
}

func nearAll(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, f := range want {
		if diff := math.Abs(float64(got[i]) - float64(f)); !(diff <= 1e-4*(1+math.Abs(float64(f)))) {
			t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], f)
		}
	}
}

// A value that is no number makes the scale of its vector none, a vector of almost nothing becomes zeros, and zero times an
// infinite factor is zero.
func TestQuantizeRowsOfNoNumbers(t *testing.T) {
	needNEON(t)
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		x, r := make([]float32, 64), newIntegers(1, 64, 32)
		x[5], x[37] = 1, bad
		kernels.QuantizeRowsNEON(r.q, r.scale, r.sum, x, 64, nil, 1, 1, 64, 32)
		if s := float64(r.scale[0]); !math.IsNaN(s) && !math.IsInf(s, 0) {
			t.Errorf("%v has the scale %v", bad, s)
		}
	}
	x, r := make([]float32, 64), newIntegers(1, 64, 32)
	x[9] = -1e-31
	kernels.QuantizeRowsNEON(r.q, r.scale, r.sum, x, 64, nil, 1, 1, 64, 32)
	if r.scale[0] != 0 || r.sum[0] != 0 || r.sum[1] != 0 {
		t.Errorf("almost nothing has scale %v, sums %v", r.scale[0], r.sum)
	}
	factor := make([]byte, 2*64)
	for i := range 64 {
		put16(factor[2*i:], 0x7c00) // infinity
	}
	put16(factor, 0x3c00) // 1
	x = make([]float32, 64)
	x[0] = 2
	all := newIntegers(1, 64, 64)
	quant.QuantizeRows(all.q, all.scale, all.sum, x, 64, factor, 1, 1, 64, 64)
	r = newIntegers(1, 64, 64)
	kernels.QuantizeRowsNEON(r.q, r.scale, r.sum, x, 64, factor, 1, 1, 64, 64)
	sameIntegers(t, "infinite factors", r, all)
	if r.sum[0] != 32639 {
		t.Errorf("sum %d, want 32639", r.sum[0])
	}
}

// A wrong length panics before any memory is touched.
func TestBrokenIntegerLengths(t *testing.T) {
	needNEON(t)
	f, b, s := make([]float32, 2*64), make([]byte, quant.KVQ8.KeyBytes(64)), make([]int32, 8)
	v := b[:quant.KVQ8.ValueBytes(64)]
	for what, call := range map[string]func(){
		"rows: sums":        func() { kernels.QuantizeRowsNEON(b, f, s[:1], f, 64, nil, 1, 1, 64, 32) },
		"rows: integers":    func() { kernels.QuantizeRowsNEON(b[:127], f, s, f, 64, nil, 1, 1, 64, 32) },
		"rows: factors":     func() { kernels.QuantizeRowsNEON(b, f, s, f, 64, b[:127], 1, 1, 64, 64) },
		"keys: block":       func() { kernels.KeyScoresQ8NEON(f, b, f, s, f, b[1:], nil, 64, 1, 64) },
		"keys: columns":     func() { kernels.KeyScoresQ8NEON(f, b, f, s, f, b, nil, 48, 1, 64) },
		"keys: scores":      func() { kernels.KeyScoresQ8NEON(f[:127], b, f, s, f, b, nil, 64, 2, 64) },
		"keys: queries":     func() { kernels.KeyScoresQ8NEON(f, b, f, s, f[:127], b, nil, 64, 2, 64) },
		"values: positions": func() { kernels.MixValuesQ8NEON(f, b, f, s, f, v, nil, 64, 1, 24) },
		"values: ahead":     func() { kernels.MixValuesQ8NEON(f, b, f, s, f, v, v[1:], 64, 1, 32) },
		"values: factors":   func() { kernels.MixValuesQ8NEON(f, b, f, s, f[:1], v, nil, 64, 2, 32) },
	} {
		mustPanic(t, what, call)
	}
}
