//go:build !purego && unix

package kernels_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// attentionCase is the functions of one instruction set.
type attentionCase struct {
	name    string
	keys    [quant.NumKVFormats]func(dst []float32, block, ahead []byte, headDim, n int)
	values  [quant.NumKVFormats]func(dst []float32, block, ahead []byte, headDim, n int)
	product func(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32)
	softmax func(scores []float32, m, cols int, top, sum, scale []float32)
	fold    func(dst, src []float32, width, m int, keep, add []float32)
}

func attentionCases(tb testing.TB) []attentionCase {
	tb.Helper()
	needAVX2(tb)
	cases := []attentionCase{{
		name:    "AVX2",
		product: kernels.TileProductAVX2, softmax: kernels.SoftmaxTileAVX2, fold: kernels.FoldRowsAVX2,
	}}
	cases[0].keys = [...]func([]float32, []byte, []byte, int, int){kernels.KeyTileF16AVX2, kernels.KeyTileQ8AVX2}
	cases[0].values = [...]func([]float32, []byte, []byte, int, int){kernels.ValueTileF16AVX2, kernels.ValueTileQ8AVX2}
	if has(tb, "avx512vnni") {
		c := attentionCase{
			name:    "AVX512",
			product: kernels.TileProductAVX512, softmax: kernels.SoftmaxTileAVX512, fold: kernels.FoldRowsAVX512,
		}
		c.keys = [...]func([]float32, []byte, []byte, int, int){kernels.KeyTileF16AVX512, kernels.KeyTileQ8AVX512}
		c.values = [...]func([]float32, []byte, []byte, int, int){kernels.ValueTileF16AVX512, kernels.ValueTileQ8AVX512}
		cases = append(cases, c)
	}
	return cases
}

// kvBlock returns a block of random values with scales of ordinary size.
func kvBlock(rng *rand.Rand, f quant.KVFormat, dim, size int) []byte {
	block := make([]byte, size)
	for i := range block {
		block[i] = byte(rng.Uint32())
	}
	from := 0
	if f == quant.KVQ8 {
		from = quant.KVPage * dim
	}
	end := f.ValueBytes(dim)
	quant.ToF16(block[from:end], normals(rng, (end-from)/2))
	for i := end; i < size; i += 4 {
		binary.LittleEndian.PutUint32(block[i:], math.Float32bits(float32(rng.NormFloat64())))
	}
	return block
}

// Tiles have the bits of the reference and touch nothing outside the slices, at the ends of pages and at any alignment.
func TestTilesEqualReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	mem := newArena(t, rng)
	for _, k := range attentionCases(t) {
		for f := range quant.NumKVFormats {
			for _, dim := range []int{8, 16, 24, 32, 64, 80, 96, 128, 256} {
				for n := 1; n <= quant.KVPage && f.Check(dim) == nil; n += 1 + rng.IntN(9) {
					what := fmt.Sprintf("%s, %v, %d columns, %d positions", k.name, f, dim, n)
					for _, part := range []struct {
						width int
						size  int
						run   func(dst []float32, block, ahead []byte, headDim, n int)
						ref   func(f quant.KVFormat, dst []float32, block []byte, headDim, n int)
					}{
						{dim, f.KeyBytes(dim), k.keys[f], quant.KeyTile},
						{quant.KVWidth(dim), f.ValueBytes(dim), k.values[f], quant.ValueTile},
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
	q8, q8Values := block[:quant.KVQ8.KeyBytes(64)], block[:quant.KVQ8.ValueBytes(64)]
	for _, k := range attentionCases(t) {
		for name, call := range map[string]func(){
			"keys: short tile":      func() { k.keys[quant.KVF16](f[1:], block, nil, 64, 64) },
			"keys: short block":     func() { k.keys[quant.KVF16](f, block[1:], nil, 64, 64) },
			"keys: no position":     func() { k.keys[quant.KVQ8](f, q8, nil, 64, 0) },
			"keys: part of a block": func() { k.keys[quant.KVQ8](f[:64*48], q8, nil, 48, 1) },
			"values: positions":     func() { k.values[quant.KVF16](f, block, nil, 64, 65) },
			"values: ahead":         func() { k.values[quant.KVQ8](f, q8Values, q8Values[1:], 64, 64) },
			"product: columns":      func() { k.product(f, 64, f, 64, f, 64, 1, 1, 15, nil) },
			"product: result":       func() { k.product(f[:127], 64, f, 64, f, 64, 2, 8, 64, nil) },
			"product: left":         func() { k.product(f, 64, f[:71], 64, f, 64, 2, 8, 64, nil) },
			"product: right":        func() { k.product(f, 64, f, 64, f[:511], 64, 2, 8, 64, nil) },
			"product: scale":        func() { k.product(f, 64, f, 64, f, 64, 2, 8, 64, f[:1]) },
			"product: no depth":     func() { k.product(f, 64, f, 64, f, 64, 2, 0, 64, nil) },
			"softmax: scores":       func() { k.softmax(f[:127], 2, 64, f, f, f) },
			"softmax: columns":      func() { k.softmax(f, 2, 80, f, f, f) },
			"softmax: sums":         func() { k.softmax(f, 2, 64, f, f[:31], f) },
			"softmax: maxima":       func() { k.softmax(f, 2, 64, f[:1], f, f) },
			"fold: rows":            func() { k.fold(f, f[:127], 64, 2, f, f) },
			"fold: factors":         func() { k.fold(f, f, 64, 2, f, f[:1]) },
			"rotate: sines":         func() { kernels.RotateAVX2(f[:64], 1, 64, f[:8], f[:7], 1) },
			"rotate: columns":       func() { kernels.RotateAVX2(f[:64], 1, 64, f[:33], f[:33], 1) },
		} {
			t.Run(k.name+"/"+name, func(t *testing.T) {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				call()
			})
		}
	}
}
