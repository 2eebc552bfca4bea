package quant_test

import (
	"bytes"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"siskin/model/quant"
)

// kvDims are head sizes of real models (16: tiny test models, 80: StableLM and Phi-2, 256: Gemma) and the least.
var kvDims = []int{8, 16, 24, 32, 64, 80, 96, 128, 256}

func normals(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// store keeps a key and a value at position pos.
func store(f quant.KVFormat, keys, values []byte, pos int, key, value []float32) {
	if f == quant.KVF16 {
		row := make([]byte, 2*len(key))
		quant.ToF16(row, key)
		quant.KeyF16(keys, row, pos)
		quant.ToF16(quant.ValueRow(values, pos), value)
		return
	}
	columns, block := f.KVColumns(len(key)), f.KVBlock(len(key))
	integers, scale := make([]byte, columns), make([]float32, columns/block)
	turned := turnedKey(f, key)
	if pos == 0 {
		f.FirstKey(keys, turned)
	}
	f.KeyDifference(turned, keys)
	quant.QuantizeKV(integers, scale, turned, block)
	f.StoreKey(keys, integers, scale, pos)
	quant.QuantizeKV(integers, scale, turnedValue(f, value), block)
	f.StoreValue(values, integers, scale, pos)
}

// turnedKey is a key as Q8 and Q4 keep it, but for rounding.
func turnedKey(f quant.KVFormat, key []float32) []float32 {
	x := append(slices.Clone(key), make([]float32, f.KVColumns(len(key))-len(key))...)
	if by, _ := f.KeyTurn(len(key)); f != quant.KVF16 {
		quant.Hadamard(x, f.KVBlock(len(key)), by)
	}
	return x
}

// turnedValue is turnedKey for a value.
func turnedValue(f quant.KVFormat, value []float32) []float32 {
	x := append(slices.Clone(value), make([]float32, f.KVColumns(len(value))-len(value))...)
	if by, _, turned := f.ValueTurn(len(value)); turned {
		quant.Hadamard(x, f.KVBlock(len(value)), by)
	}
	return x
}

// What is stored at a position comes back from the tiles, within the rounding of the format, after any other position was
// stored, and after it was stored anew.
func TestKVTilesReturnWhatWasStored(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for f := range quant.NumKVFormats {
		for _, dim := range kvDims {
			if f.Check(dim) != nil {
				continue
			}
			keys, values := make([]byte, f.KeyBytes(dim)), make([]byte, f.ValueBytes(dim))
			want := make([][2][]float32, quant.KVPage)
			for range 2 { // the second time as after a rollback
				order := rng.Perm(quant.KVPage)
				slices.SortStableFunc(order, func(a, b int) int { return min(a, 1) - min(b, 1) }) // 0 comes first
				for _, pos := range order {
					want[pos] = [2][]float32{normals(rng, dim), normals(rng, dim)}
					store(f, keys, values, pos, want[pos][0], want[pos][1])
				}
			}
			keyTile := make([]float32, f.KVColumns(dim)*quant.KVPage)
			width := f.KVWidth(dim)
			valueTile := make([]float32, quant.KVPage*width)
			quant.KeyTile(f, keyTile, keys, dim, quant.KVPage)
			quant.ValueTile(f, valueTile, values, dim, quant.KVPage)
			for pos := range quant.KVPage {
				key, first, value := turnedKey(f, want[pos][0]), turnedKey(f, want[0][0]), turnedValue(f, want[pos][1])
				for k := range key {
					near(t, f, keyTile[k*quant.KVPage+pos], key, first, k)
					near(t, f, valueTile[pos*width+k], value, make([]float32, len(value)), k)
				}
			}
		}
	}
}

// near fails unless got is element k of row, which Q8 and Q4 keep as a difference to first, rounded to the format.
func near(t *testing.T, f quant.KVFormat, got float32, row, first []float32, k int) {
	t.Helper()
	limit := max(math.Abs(float64(row[k]))/2048, 0x1p-25) // half a step of a subnormal
	if f != quant.KVF16 {
		var top float64
		block := f.KVBlock(len(row))
		for i := k / block * block; i < k/block*block+block; i++ {
			top = max(top, math.Abs(float64(row[i])-float64(first[i])))
		}
		limit = top/127*0.6 + 1e-6
		if f == quant.KVQ4 {
			limit = top/8*1.05 + 1e-6 // the positive end is cut off half a step early
		}
	}
	if diff := math.Abs(float64(got) - float64(row[k])); !(diff <= limit) {
		t.Fatalf("%v: %g came back as %g", f, row[k], got)
	}
}

// Storing a position changes no other one, and tiles of the first n positions hold exactly those panels or rows.
func TestKVTilesTouchOnlyTheirPositions(t *testing.T) {
	const dim = 64
	rng := rand.New(rand.NewPCG(3, 4))
	for f := range quant.NumKVFormats {
		keys, values := make([]byte, f.KeyBytes(dim)), make([]byte, f.ValueBytes(dim))
		zeros := make([]float32, dim)
		store(f, keys, values, 37, zeros, zeros)
		before := [2][]byte{bytes.Clone(keys), bytes.Clone(values)}
		store(f, keys, values, 37, normals(rng, dim), normals(rng, dim))
		store(f, keys, values, 37, zeros, zeros)
		if !bytes.Equal(keys, before[0]) || !bytes.Equal(values, before[1]) {
			t.Errorf("%v: zeros at a position of zeros changed something", f)
		}
		for _, n := range []int{1, 15, 16, 17, 63, 64} {
			tile := make([]float32, dim*quant.KVPage)
			for i := range tile {
				tile[i] = 7
			}
			valueTile := append([]float32(nil), tile...)
			quant.KeyTile(f, tile, keys, dim, n)
			quant.ValueTile(f, valueTile, values, dim, n)
			for i := range tile {
				if wrote := tile[i] != 7; wrote != (i%quant.KVPage < (n+15)/16*16) {
					t.Fatalf("%v: keys of %d positions: place %d", f, n, i)
				}
				if wrote := valueTile[i] != 7; wrote != (i/dim < n) {
					t.Fatalf("%v: values of %d positions: place %d", f, n, i)
				}
			}
		}
	}
}

// The steps of a page, one after the other over parts of the scores, give softmax attention in float64.
func TestAttentionSteps(t *testing.T) {
	const m, positions, width = 3, 200, 16
	rng := rand.New(rand.NewPCG(5, 6))
	scores, values := normals(rng, m*positions), normals(rng, positions*width)
	for i := range scores {
		scores[i] *= 20
	}
	out, top, sum, scale := make([]float32, m*width), make([]float32, m), make([]float32, m*16), make([]float32, m)
	for r := range top {
		top[r] = float32(math.Inf(-1))
	}
	for base := 0; base < positions; base += quant.KVPage {
		n := min(quant.KVPage, positions-base)
		page := make([]float32, m*quant.KVPage)
		for i := range page {
			page[i] = float32(math.Inf(-1))
			if i%quant.KVPage < n {
				page[i] = scores[i/quant.KVPage*positions+base+i%quant.KVPage]
			}
		}
		quant.SoftmaxTile(page, m, (n+15)/16*16, top, sum, scale)
		quant.TileProduct(out, width, page, quant.KVPage, values[base*width:], width, m, n, width, scale)
	}
	for r := range m {
		var total float64
		for _, s := range sum[r*16:][:16] {
			total += float64(s)
		}
		want, weights := make([]float64, width), 0.0
		for pos := range positions {
			w := math.Exp2(float64(scores[r*positions+pos]) - float64(top[r]))
			weights += w
			for j := range want {
				want[j] += w * float64(values[pos*width+j])
			}
		}
		for j := range want {
			if got := float64(out[r*width+j]) / total; !(math.Abs(got-want[j]/weights) < 1e-5) {
				t.Errorf("row %d, column %d: %g, want %g", r, j, got, want[j]/weights)
			}
		}
	}
}

// Turning keeps the length of a pair, turns by the angle, and leaves the other columns but for the scale.
// The matrix by its definition: entry (i, j) is -1 to the number of ones that i and j have in common, in base 2.
func TestHadamard(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, block := range []int{1, 2, 32, 64} {
		x := normals(rng, 3*block)
		got := slices.Clone(x)
		quant.Hadamard(got, block, 0.5)
		for i, f := range got {
			var want float64
			for j, v := range x[i/block*block:][:block] {
				want += float64(v) * float64(1-2*(bits.OnesCount(uint(i%block&j))&1)) / 2
			}
			if math.Abs(float64(f)-want) > 1e-5 {
				t.Fatalf("order %d: value %d is %g, want %g", block, i, f, want)
			}
		}
		quant.Hadamard(got, block, 2/float32(block))
		for i, f := range got {
			if math.Abs(float64(f-x[i])) > 1e-5 {
				t.Fatalf("order %d: turned back, value %d is %g, was %g", block, i, f, x[i])
			}
		}
	}
}

// A product of a turned key with a turned query is that of both as they were, and a turned result turns back, for any head.
func TestTurnsKeepProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, f := range []quant.KVFormat{quant.KVQ8, quant.KVQ4} {
		for _, dim := range kvDims {
			key, query := normals(rng, dim), normals(rng, dim)
			turned, by := turnedKey(f, query), float32(0)
			first, second := f.KeyTurn(dim)
			if by = second / first; first <= 0 || second <= 0 {
				t.Fatalf("%v, %d columns: turns of %g and %g", f, dim, first, second)
			}
			var want, got float64
			for k, v := range turnedKey(f, key) {
				got += float64(v) * float64(turned[k]*by)
			}
			for k, v := range key {
				want += float64(v) * float64(query[k])
			}
			if math.Abs(got-want) > 1e-4 {
				t.Errorf("%v, %d columns: product %g, want %g", f, dim, got, want)
			}
			value := turnedValue(f, key)
			if _, back, is := f.ValueTurn(dim); is {
				quant.Hadamard(value, f.KVBlock(dim), back)
			}
			for k, v := range key {
				if math.Abs(float64(value[k]-v)) > 1e-5 {
					t.Fatalf("%v, %d columns: column %d of a value comes back as %g, was %g", f, dim, k, value[k], v)
				}
			}
		}
	}
}

// Integers are within half a step, the largest is 127, and scales are of each block.
func TestQuantizeKV(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, block := range []int{32, 64} {
		for e := -90; e <= 120; e += 7 {
			x := normals(rng, 4*block)
			for i := range x {
				x[i] = float32(math.Ldexp(float64(x[i]), e+i/block))
			}
			got, scale := make([]byte, len(x)), make([]float32, 4)
			quant.QuantizeKV(got, scale, x, block)
			for b := range scale {
				var top float64
				for i, v := range x[b*block:][:block] {
					top = max(top, math.Abs(float64(v)))
					if off := math.Abs(float64(v)/float64(scale[b]) - float64(int8(got[b*block+i]))); off > 0.5+127*0x1p-22 {
						t.Fatalf("value %g, scale %g: %d", v, scale[b], int8(got[b*block+i]))
					}
				}
				if math.Abs(float64(scale[b])*127/top-1) > 0x1p-22 {
					t.Fatalf("largest magnitude %g: scale %g", top, scale[b])
				}
			}
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		x, scale := make([]float32, 64), make([]float32, 2)
		x[3], x[40] = float32(bad), 1e-31
		quant.QuantizeKV(make([]byte, 64), scale, x, 32)
		if s := float64(scale[0]); !math.IsNaN(s) && !math.IsInf(s, 0) || scale[1] != 0 {
			t.Errorf("%v and almost nothing have scales %v", bad, scale)
		}
	}
}

func TestRotate(t *testing.T) {
	x := []float32{3, 4, 1, 0, 5, 6}
	quant.Rotate(x, 1, 6, []float32{0, 0.6}, []float32{1, 0.8}, 2)
	for i, want := range []float32{-8, 6, 1.2, 1.6, 10, 12} {
		if math.Abs(float64(x[i]-want)) > 1e-6 {
			t.Errorf("column %d is %g, want %g", i, x[i], want)
		}
	}
}

func TestAttentionPanics(t *testing.T) {
	f := make([]float32, 64*64)
	block := make([]byte, quant.KVQ8.KeyBytes(64))
	for name, call := range map[string]func(){
		"short block":     func() { quant.KeyTile(quant.KVF16, f, block, 64, 1) },
		"no position":     func() { quant.KeyTile(quant.KVQ8, f, block, 64, 0) },
		"65 positions":    func() { quant.ValueTile(quant.KVQ8, f, block, 64, 65) },
		"short tile":      func() { quant.ValueTile(quant.KVQ8, f[1:], block, 64, 64) },
		"unknown format":  func() { quant.KeyTile(quant.NumKVFormats, f, block, 64, 1) },
		"columns":         func() { quant.TileProduct(f, 64, f, 64, f, 64, 1, 1, 15, nil) },
		"short left":      func() { quant.TileProduct(f, 64, f[:63], 64, f, 64, 1, 64, 16, nil) },
		"short scale":     func() { quant.TileProduct(f, 64, f, 64, f, 64, 2, 8, 16, f[:1]) },
		"softmax columns": func() { quant.SoftmaxTile(f, 1, 80, f, f, f) },
		"softmax sums":    func() { quant.SoftmaxTile(f, 2, 64, f, f[:31], f) },
		"turned part":     func() { quant.Hadamard(f[:40], 32, 1) },
		"turned order":    func() { quant.Hadamard(f[:48], 48, 1) },
		"integers":        func() { quant.QuantizeKV(block[:63], f, f[:64], 64) },
		"integers' scale": func() { quant.QuantizeKV(block, f[:1], f[:64], 32) },
		"part of a block": func() { quant.QuantizeKV(block, f, f[:96], 64) },
		"rotation":        func() { quant.Rotate(f[:8], 1, 8, f[:5], f[:5], 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}
