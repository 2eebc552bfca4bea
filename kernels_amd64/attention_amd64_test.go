//go:build !purego && unix

package kernels_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// attentionCase is the functions of one instruction set.
type attentionCase struct {
	name    string
	keys    func(dst []float32, block, ahead []byte, headDim, n int)
	values  func(dst []float32, block, ahead []byte, headDim, n int)
	product func(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32)
	softmax func(scores []float32, m, cols int, top, sum, scale []float32)
	fold    func(dst, src []float32, width, m int, keep, add []float32)
}

func attentionCases(tb testing.TB) []attentionCase {
	tb.Helper()
	needAVX2(tb)
	cases := []attentionCase{{
		"AVX2", kernels.KeyTileF16AVX2, kernels.ValueTileF16AVX2, kernels.TileProductAVX2, kernels.SoftmaxTileAVX2, kernels.FoldRowsAVX2,
	}}
	if has(tb, "avx512vnni") {
		cases = append(cases, attentionCase{
			"AVX512", kernels.KeyTileF16AVX512, kernels.ValueTileF16AVX512, kernels.TileProductAVX512, kernels.SoftmaxTileAVX512,
			kernels.FoldRowsAVX512,
		})
	}
	return cases
}

// kvBlock returns a block of random values with scales of ordinary size.
func kvBlock(rng *rand.Rand, f quant.KVFormat, dim, size int) []byte {
	block := make([]byte, size)
	for i := range block {
		block[i] = byte(rng.Uint32())
	}
	end := f.ValueBytes(dim)
	scales := block[:end]
	if f != quant.KVF16 {
		scales = f.Scales(block, dim)
	}
	quant.ToF16(scales, normals(rng, len(scales)/2))
	for i := end; i < size; i += 4 {
		binary.LittleEndian.PutUint32(block[i:], math.Float32bits(float32(rng.NormFloat64())))
	}
	return block
}

// Tiles have the bits of the reference and touch nothing outside the slices, at the ends of pages and at any alignment.
func TestTilesEqualReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	mem := newArena(t, rng)
	const f = quant.KVF16
	for _, k := range attentionCases(t) {
		for _, dim := range []int{8, 16, 24, 32, 64, 80, 96, 128, 256} {
			for n := 1; n <= quant.KVPage; n += 1 + rng.IntN(9) {
				what := fmt.Sprintf("%s, %d columns, %d positions", k.name, dim, n)
				for _, part := range []struct {
					width int
					size  int
					run   func(dst []float32, block, ahead []byte, headDim, n int)
					ref   func(f quant.KVFormat, dst []float32, block []byte, headDim, n int)
				}{
					{dim, f.KeyBytes(dim), k.keys, quant.KeyTile},
					{f.KVWidth(dim), f.ValueBytes(dim), k.values, quant.ValueTile},
				} {
					block := kvBlock(rng, f, dim, part.size)
					want := filled(quant.KVPage * part.width)
					part.ref(f, want, block, dim, n)
					mem.reset()
					got := put(mem, filled(len(want)))
					part.run(got, put(mem, block), put(mem, block), dim, n)
					mem.check(what)
					sameBits(t, what, got, want)
				}
			}
		}
	}
}

// integerCase is the products of integers of one instruction set.
type integerCase struct {
	name     string
	quantize func(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int)
	keys     [quant.NumKVFormats]func([]float32, []byte, []float32, []int32, []float32, []byte, []byte, int, int, int)
	values   [quant.NumKVFormats]func([]float32, []byte, []float32, []int32, []float32, []byte, []byte, int, int, int)
}

func integerCases(tb testing.TB) []integerCase {
	tb.Helper()
	needAVX2(tb)
	avx2 := integerCase{name: "AVX2", quantize: kernels.QuantizeRowsAVX2}
	avx2.keys[quant.KVQ8], avx2.keys[quant.KVQ4] = kernels.KeyScoresQ8AVX2, kernels.KeyScoresQ4AVX2
	avx2.values[quant.KVQ8], avx2.values[quant.KVQ4] = kernels.MixValuesQ8AVX2, kernels.MixValuesQ4AVX2
	cases := []integerCase{avx2}
	if has(tb, "avxvnni") {
		c := integerCase{name: "AVXVNNI", quantize: kernels.QuantizeRowsVNNI}
		c.keys[quant.KVQ8], c.keys[quant.KVQ4] = kernels.KeyScoresQ8AVXVNNI, kernels.KeyScoresQ4AVXVNNI
		c.values[quant.KVQ8], c.values[quant.KVQ4] = kernels.MixValuesQ8AVXVNNI, kernels.MixValuesQ4AVXVNNI
		cases = append(cases, c)
	}
	if has(tb, "avx512vnni") {
		c := integerCase{name: "VNNI", quantize: kernels.QuantizeRowsAVX512}
		c.keys[quant.KVQ8], c.keys[quant.KVQ4] = kernels.KeyScoresQ8VNNI, kernels.KeyScoresQ4VNNI
		c.values[quant.KVQ8], c.values[quant.KVQ4] = kernels.MixValuesQ8VNNI, kernels.MixValuesQ4VNNI
		cases = append(cases, c)
	}
	return cases
}

// rowsOf16 is what a quantiser makes of m rows of some vectors of n values.
type rowsOf16 struct {
	q     []byte
	scale []float32
	sum   []int32
}

func newRows(mem *arena, vectors, n, per int) rowsOf16 {
	return rowsOf16{put(mem, make([]byte, 2*vectors*n)), put(mem, make([]float32, vectors)), put(mem, make([]int32, vectors*(n/per)))}
}

// Scores and sums of values are those of the reference up to the rounding of a few float32 operations, scales and sums of the
// rows are equal to the bit, and nothing outside the slices is touched: with the extremes of all integers as well.
func TestIntegerAttention(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	mem := newArena(t, rng)
	for _, k := range integerCases(t) {
		for _, f := range []quant.KVFormat{quant.KVQ8, quant.KVQ4} {
			for _, dim := range []int{32, 64, 96, 128, 160, 256} {
				for m := 1; m <= 9; m++ {
					n := 1 + rng.IntN(quant.KVPage)
					what := fmt.Sprintf("%s, %v, %d columns, %d positions, %d rows", k.name, f, dim, n, m)
					testIntegers(t, what, mem, rng, k, f, dim, m, n)
				}
			}
		}
	}
}

func testIntegers(t *testing.T, what string, mem *arena, rng *rand.Rand, k integerCase, f quant.KVFormat, dim, m, n int) {
	t.Helper()
	per := f.KVBlock(dim)
	blocks, cols := dim/per, (n+15)/16*16
	keys, values := kvBlock(rng, f, dim, f.KeyBytes(dim)), kvBlock(rng, f, dim, f.ValueBytes(dim))
	x, weights, keep, out := normals(rng, m*dim), normals(rng, m*quant.KVPage), normals(rng, m), normals(rng, m*dim)
	if m%3 == 0 { // the largest sums that there can be
		for i := range dim * quant.KVPage * map[quant.KVFormat]int{quant.KVQ8: 2, quant.KVQ4: 1}[f] / 2 {
			keys[i], values[i] = 0xff, 0xff
		}
		for i := range x {
			x[i] = 3
		}
		for i := range weights {
			weights[i] = 1
		}
	}
	weights[0], weights[m*quant.KVPage-1] = 0, 1e-35

	all := newArenaless(m, dim, per)
	quant.QuantizeRows(all.q, all.scale, all.sum, x, dim, nil, m, 1, dim, per)
	want := make([]float32, m*quant.KVPage)
	quant.KeyScores(f, want, all.q, all.scale, all.sum, x, keys, dim, m, n)
	mem.reset()
	rows := newRows(mem, m, dim, per)
	k.quantize(rows.q, rows.scale, rows.sum, put(mem, x), dim, nil, m, 1, dim, per)
	got := put(mem, make([]float32, m*quant.KVPage))
	k.keys[f](got, rows.q, rows.scale, rows.sum, put(mem, x), put(mem, keys), put(mem, keys), dim, m, n)
	mem.check(what + ", scores")
	sameBits(t, what+", scales of queries", rows.scale, all.scale)
	if !slices.Equal(rows.sum, all.sum) {
		t.Fatalf("%s: sums of queries %v, want %v", what, rows.sum, all.sum)
	}
	nearAll(t, what+", scores", got, want, 1e-4)

	all = newArenaless(m*blocks, cols, cols)
	quant.QuantizeRows(all.q, all.scale, all.sum, weights, quant.KVPage, f.Scales(values, dim), m, blocks, cols, cols)
	want = slices.Clone(out)
	quant.MixValues(f, want, all.q, all.scale, all.sum, keep, values, dim, m, cols)
	mem.reset()
	rows = newRows(mem, m*blocks, cols, cols)
	block := put(mem, values)
	k.quantize(rows.q, rows.scale, rows.sum, put(mem, weights), quant.KVPage, f.Scales(block, dim), m, blocks, cols, cols)
	got = put(mem, out)
	k.values[f](got, rows.q, rows.scale, rows.sum, put(mem, keep), block, nil, dim, m, cols)
	mem.check(what + ", values")
	sameBits(t, what+", scales of weights", rows.scale, all.scale)
	nearAll(t, what+", values", got, want, 1e-4)
}

func newArenaless(vectors, n, per int) rowsOf16 {
	return rowsOf16{make([]byte, 2*vectors*n), make([]float32, vectors), make([]int32, vectors*(n/per))}
}

func nearAll(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	for i, f := range want {
		if diff := math.Abs(float64(got[i]) - float64(f)); !(diff <= tolerance*(1+math.Abs(float64(f)))) {
			t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], f)
		}
	}
}

// The quantiser of whole pages has the bits of the one for any number of positions.
func TestQuantizeRowsAVX512(t *testing.T) {
	if !has(t, "avx512vnni") {
		t.Skip("this CPU has no AVX-512 VNNI")
	}
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		m, blocks := 1+rng.IntN(9), 1+rng.IntN(4)
		x := normals(rng, m*quant.KVPage)
		for i := range x {
			if rng.IntN(5) == 0 {
				x[i] = float32(rng.IntN(2)) * 1e-31 // nothing, and almost nothing
			}
		}
		factor := make([]byte, 2*blocks*quant.KVPage)
		for i := range blocks * quant.KVPage {
			binary.LittleEndian.PutUint16(factor[2*i:], quant.F32ToF16(float32(rng.NormFloat64())))
		}
		got, want := newArenaless(m*blocks, quant.KVPage, quant.KVPage), newArenaless(m*blocks, quant.KVPage, quant.KVPage)
		kernels.QuantizeRowsAVX512(got.q, got.scale, got.sum, x, quant.KVPage, factor, m, blocks, quant.KVPage, quant.KVPage)
		kernels.QuantizeRowsVNNI(want.q, want.scale, want.sum, x, quant.KVPage, factor, m, blocks, quant.KVPage, quant.KVPage)
		if !slices.Equal(got.q, want.q) || !slices.Equal(got.sum, want.sum) {
			t.Fatalf("%d rows, %d blocks: other integers", m, blocks)
		}
		sameBits(t, "scales", got.scale, want.scale)
	}
}

// A value that is no number makes the scale of its vector none, and a vector of almost nothing becomes zeros.
func TestQuantizeRowsOfNoNumbers(t *testing.T) {
	for _, k := range integerCases(t) {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			x, r := make([]float32, 64), newArenaless(1, 64, 32)
			x[5], x[37] = 1, bad
			k.quantize(r.q, r.scale, r.sum, x, 64, nil, 1, 1, 64, 32)
			if s := float64(r.scale[0]); !math.IsNaN(s) && !math.IsInf(s, 0) {
				t.Errorf("%s: %v has the scale %v", k.name, bad, s)
			}
		}
		x, r := make([]float32, 64), newArenaless(1, 64, 32)
		x[9] = -1e-31
		k.quantize(r.q, r.scale, r.sum, x, 64, nil, 1, 1, 64, 32)
		if r.scale[0] != 0 || r.sum[0] != 0 || r.sum[1] != 0 {
			t.Errorf("%s: almost nothing has scale %v, sums %v", k.name, r.scale[0], r.sum)
		}
	}
}

// The steps are near the reference and touch nothing outside the slices.
func TestAttentionSteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	mem := newArena(t, rng)
	near := func(what string, got, want []float32) {
		t.Helper()
		for i, f := range want {
			if diff := math.Abs(float64(got[i]) - float64(f)); !(diff <= 1e-5*(1+math.Abs(float64(f)))) {
				t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], f)
			}
		}
	}
	for range 200 {
		m, k, cols := 1+rng.IntN(20), 1+rng.IntN(100), 16*(1+rng.IntN(12))
		c, a, b, scale := normals(rng, m*cols), normals(rng, m*k), normals(rng, k*cols), normals(rng, m)
		width, other := min(cols, quant.KVPage), normals(rng, m*cols)
		scores, top, sum := normals(rng, m*quant.KVPage), normals(rng, m), normals(rng, 16*m)
		for _, kernel := range attentionCases(t) {
			what := fmt.Sprintf("%s, %dx%dx%d", kernel.name, m, k, cols)
			want := append([]float32(nil), c...)
			quant.TileProduct(want, cols, a, k, b, cols, m, k, cols, scale)
			mem.reset()
			got := put(mem, c)
			kernel.product(got, cols, put(mem, a), k, put(mem, b), cols, m, k, cols, put(mem, scale))
			mem.check(what)
			near(what, got, want)

			want = append([]float32(nil), c...)
			quant.FoldRows(want, other, cols, m, scale, top)
			mem.reset()
			got = put(mem, c)
			kernel.fold(got, put(mem, other), cols, m, put(mem, scale), put(mem, top))
			mem.check(what + ", fold")
			near(what+", fold", got, want)

			wantTop, wantSum, moved := append([]float32(nil), top...), append([]float32(nil), sum...), make([]float32, m)
			want = append([]float32(nil), scores...)
			quant.SoftmaxTile(want, m, width, wantTop, wantSum, moved)
			mem.reset()
			got = put(mem, scores)
			gotTop, gotSum, gotMoved := put(mem, top), put(mem, sum), put(mem, filled(m))
			kernel.softmax(got, m, width, gotTop, gotSum, gotMoved)
			mem.check(what + ", softmax")
			near(what+", weights", got, want)
			near(what+", sums", gotSum, wantSum)
			near(what+", factors", gotMoved, moved)
			sameBits(t, what+", maxima", gotTop, wantTop)
		}
	}
}

func TestRotate(t *testing.T) {
	needAVX2(t)
	rng := rand.New(rand.NewPCG(5, 6))
	mem := newArena(t, rng)
	for pairs := range 33 {
		what := fmt.Sprintf("%d pairs", pairs)
		x, cos, sin := normals(rng, 3*72), normals(rng, pairs), normals(rng, pairs)
		want := append([]float32(nil), x...)
		quant.Rotate(want, 3, 72, cos, sin, 0.3)
		mem.reset()
		got := put(mem, x)
		kernels.RotateAVX2(got, 3, 72, put(mem, cos), put(mem, sin), 0.3)
		mem.check(what)
		for i, f := range want {
			if diff := math.Abs(float64(got[i] - f)); !(diff <= 1e-6) {
				t.Fatalf("%s: column %d is %v, want %v", what, i, got[i], f)
			}
		}
	}
}

// A wrong length panics before any memory is touched.
func TestBrokenAttentionLengths(t *testing.T) {
	f, block := make([]float32, 64*64), make([]byte, quant.KVF16.KeyBytes(64))
	for _, k := range attentionCases(t) {
		for name, call := range map[string]func(){
			"keys: short tile":     func() { k.keys(f[1:], block, nil, 64, 64) },
			"keys: short block":    func() { k.keys(f, block[1:], nil, 64, 64) },
			"keys: no position":    func() { k.keys(f, block, nil, 64, 0) },
			"keys: part of a unit": func() { k.keys(f[:64*60], block[:64*120], nil, 60, 1) },
			"values: positions":    func() { k.values(f, block, nil, 64, 65) },
			"values: ahead":        func() { k.values(f, block, block[1:], 64, 64) },
			"product: columns":     func() { k.product(f, 64, f, 64, f, 64, 1, 1, 15, nil) },
			"product: result":      func() { k.product(f[:127], 64, f, 64, f, 64, 2, 8, 64, nil) },
			"product: left":        func() { k.product(f, 64, f[:71], 64, f, 64, 2, 8, 64, nil) },
			"product: right":       func() { k.product(f, 64, f, 64, f[:511], 64, 2, 8, 64, nil) },
			"product: scale":       func() { k.product(f, 64, f, 64, f, 64, 2, 8, 64, f[:1]) },
			"product: no depth":    func() { k.product(f, 64, f, 64, f, 64, 2, 0, 64, nil) },
			"softmax: scores":      func() { k.softmax(f[:127], 2, 64, f, f, f) },
			"softmax: columns":     func() { k.softmax(f, 2, 80, f, f, f) },
			"softmax: sums":        func() { k.softmax(f, 2, 64, f, f[:31], f) },
			"softmax: maxima":      func() { k.softmax(f, 2, 64, f[:1], f, f) },
			"fold: rows":           func() { k.fold(f, f[:127], 64, 2, f, f) },
			"fold: factors":        func() { k.fold(f, f, 64, 2, f, f[:1]) },
			"rotate: sines":        func() { kernels.RotateAVX2(f[:64], 1, 64, f[:8], f[:7], 1) },
			"rotate: columns":      func() { kernels.RotateAVX2(f[:64], 1, 64, f[:33], f[:33], 1) },
		} {
			t.Run(k.name+"/"+name, func(t *testing.T) { panics(t, call) })
		}
	}
}

func panics(t *testing.T, call func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	call()
}

// So it is with products of integers.
func TestBrokenIntegerLengths(t *testing.T) {
	const q8 = quant.KVQ8
	keys, values := make([]byte, q8.KeyBytes(64)), make([]byte, q8.ValueBytes(64))
	f, q, sum := make([]float32, 1024), make([]byte, 1024), make([]int32, 1024)
	for _, k := range integerCases(t) {
		for name, call := range map[string]func(){
			"rows: integers":      func() { k.quantize(q[:255], f, sum, f, 64, nil, 2, 1, 64, 32) },
			"rows: scales":        func() { k.quantize(q, f[:1], sum, f, 64, nil, 2, 1, 64, 32) },
			"rows: sums":          func() { k.quantize(q, f, sum[:3], f, 64, nil, 2, 1, 64, 32) },
			"rows: values":        func() { k.quantize(q, f, sum, f[:127], 64, nil, 2, 1, 64, 32) },
			"rows: stride":        func() { k.quantize(q, f, sum, f, 63, nil, 2, 1, 64, 32) },
			"rows: part of a sum": func() { k.quantize(q, f, sum, f, 64, nil, 1, 1, 48, 32) },
			"rows: factors":       func() { k.quantize(q, f, sum, f, 64, values[:255], 1, 2, 64, 64) },
			"rows: no factors":    func() { k.quantize(q, f, sum, f, 64, nil, 1, 2, 64, 64) },
			"keys: scores":        func() { k.keys[q8](f[:127], q, f, sum, f, keys, nil, 64, 2, 64) },
			"keys: integers":      func() { k.keys[q8](f, q[:255], f, sum, f, keys, nil, 64, 2, 64) },
			"keys: scales":        func() { k.keys[q8](f, q, f[:1], sum, f, keys, nil, 64, 2, 64) },
			"keys: sums":          func() { k.keys[q8](f, q, f, sum[:1], f, keys, nil, 64, 2, 64) },
			"keys: queries":       func() { k.keys[q8](f, q, f, sum, f[:127], keys, nil, 64, 2, 64) },
			"keys: block":         func() { k.keys[q8](f, q, f, sum, f, keys[1:], nil, 64, 2, 64) },
			"keys: ahead":         func() { k.keys[q8](f, q, f, sum, f, keys, keys[1:], 64, 2, 64) },
			"keys: positions":     func() { k.keys[q8](f, q, f, sum, f, keys, nil, 64, 2, 65) },
			"keys: columns":       func() { k.keys[q8](f, q, f, sum, f, keys, nil, 48, 2, 64) },
			"values: results":     func() { k.values[q8](f[:127], q, f, sum, f, values, nil, 64, 2, 64) },
			"values: integers":    func() { k.values[q8](f, q[:255], f, sum, f, values, nil, 64, 2, 64) },
			"values: scales":      func() { k.values[q8](f, q, f[:1], sum, f, values, nil, 64, 2, 64) },
			"values: sums":        func() { k.values[q8](f, q, f, sum[:1], f, values, nil, 64, 2, 64) },
			"values: factors":     func() { k.values[q8](f, q, f, sum, f[:1], values, nil, 64, 2, 64) },
			"values: block":       func() { k.values[q8](f, q, f, sum, f, values[1:], nil, 64, 2, 64) },
			"values: positions":   func() { k.values[q8](f, q, f, sum, f, values, nil, 64, 2, 63) },
		} {
			t.Run(k.name+"/"+name, func(t *testing.T) { panics(t, call) })
		}
	}
}
