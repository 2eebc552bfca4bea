//go:build !purego

package kernels_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

type unpackTile = func(dst []float32, block, ahead []byte, headDim, n int)

// kvBlock returns a block of random values with scales of ordinary size.
func kvBlock(rng *noise, f quant.KVFormat, dim, size int) []byte {
	block := make([]byte, size)
	for i := range block {
		block[i] = byte(rng.next() >> 8)
	}
	from, end := 0, f.ValueBytes(dim)
	if f != quant.KVF16 {
		from = end - dim/32*quant.KVPage*2
	}
	quant.ToF16(block[from:end], rng.floats((end-from)/2))
	for i := end; i < size; i += 4 {
		binary.LittleEndian.PutUint32(block[i:], math.Float32bits(rng.float()))
	}
	return block
}

// Tiles have the bits of the reference and touch nothing outside the slices.
func TestTilesEqualReference(t *testing.T) {
	needNEON(t)
	rng := noise(71)
	const f = quant.KVF16
	for _, dim := range []int{8, 24, 32, 64, 80, 96, 256} {
		for _, n := range []int{1, 16, 17, 63, 64} {
			for _, part := range []struct {
				width, size int
				run         unpackTile
				ref         func(f quant.KVFormat, dst []float32, block []byte, headDim, n int)
			}{
				{dim, f.KeyBytes(dim), kernels.KeyTileF16NEON, quant.KeyTile},
				{f.KVWidth(dim), f.ValueBytes(dim), kernels.ValueTileF16NEON, quant.ValueTile},
			} {
				block := kvBlock(&rng, f, dim, part.size)
				want := make([]float32, quant.KVPage*part.width)
				part.ref(f, want, block, dim, n)
				got := guard(t, make([]float32, len(want)), n%2 == 0)
				part.run(got, guard(t, block, n%2 == 0), guard(t, block, n%2 == 1), dim, n)
				sameBits(t, fmt.Sprintf("%v, %d columns, %d positions", f, dim, n), got, want)
			}
		}
	}
}

// The steps are near the reference and touch nothing outside the slices.
func TestAttentionSteps(t *testing.T) {
	needNEON(t)
	rng := noise(72)
	near := func(what string, got, want []float32) {
		t.Helper()
		for i, f := range want {
			if diff := math.Abs(float64(got[i]) - float64(f)); !(diff <= 1e-5*(1+math.Abs(float64(f)))) {
				t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], f)
			}
		}
	}
	clone := func(x []float32) []float32 { return append([]float32(nil), x...) }
	for round := range 40 {
		m, k, cols, atEnd := 1+round%9, 1+int(rng.next()%100), 16*(1+round%6), round%2 == 0
		c, a, b, scale := rng.floats(m*cols), rng.floats(m*k), rng.floats(k*cols), rng.floats(m)
		want, got := clone(c), guard(t, c, atEnd)
		quant.TileProduct(want, cols, a, k, b, cols, m, k, cols, scale)
		kernels.TileProductNEON(got, cols, guard(t, a, atEnd), k, guard(t, b, atEnd), cols, m, k, cols, guard(t, scale, atEnd))
		near("product", got, want)

		other, add := rng.floats(m*cols), rng.floats(m)
		want, got = clone(c), guard(t, c, atEnd)
		quant.FoldRows(want, other, cols, m, scale, add)
		kernels.FoldRowsNEON(got, guard(t, other, atEnd), cols, m, guard(t, scale, atEnd), guard(t, add, atEnd))
		near("fold", got, want)

		width := min(cols, quant.KVPage)
		want, wantTop, wantSum, moved := rng.floats(m*quant.KVPage), rng.floats(m), rng.floats(16*m), make([]float32, m)
		got, top, sum, gotMoved := guard(t, want, atEnd), guard(t, wantTop, atEnd), guard(t, wantSum, atEnd), guard(t, clone(moved), atEnd)
		quant.SoftmaxTile(want, m, width, wantTop, wantSum, moved)
		kernels.SoftmaxTileNEON(got, m, width, top, sum, gotMoved)
		near("weights", got, want)
		near("sums", sum, wantSum)
		near("factors", gotMoved, moved)
		sameBits(t, "maxima", top, wantTop)

		cos, sin := rng.floats(round%33), rng.floats(round%33)
		want = rng.floats(2 * 72)
		got = guard(t, want, atEnd)
		quant.Rotate(want, 2, 72, cos, sin, 0.3)
		kernels.RotateNEON(got, 2, 72, guard(t, cos, atEnd), guard(t, sin, atEnd), 0.3)
		near("rotation", got, want)
	}
}

// A wrong length panics before any memory is touched.
func TestBrokenAttentionLengths(t *testing.T) {
	needNEON(t)
	f, block := make([]float32, 64*64), make([]byte, quant.KVF16.KeyBytes(64))
	for what, call := range map[string]func(){
		"keys: short tile":   func() { kernels.KeyTileF16NEON(f[1:], block, nil, 64, 64) },
		"keys: short block":  func() { kernels.KeyTileF16NEON(f, block[1:], nil, 64, 64) },
		"values: positions":  func() { kernels.ValueTileF16NEON(f, block, nil, 64, 65) },
		"product: right":     func() { kernels.TileProductNEON(f, 64, f, 64, f[:511], 64, 2, 8, 64, nil) },
		"product: scale":     func() { kernels.TileProductNEON(f, 64, f, 64, f, 64, 2, 8, 64, f[:1]) },
		"softmax: columns":   func() { kernels.SoftmaxTileNEON(f, 2, 80, f, f, f) },
		"softmax: sums":      func() { kernels.SoftmaxTileNEON(f, 2, 64, f, f[:31], f) },
		"fold: factors":      func() { kernels.FoldRowsNEON(f, f, 64, 2, f, f[:1]) },
		"rotate: sines":      func() { kernels.RotateNEON(f[:64], 1, 64, f[:8], f[:7], 1) },
		"rotate: few floats": func() { kernels.RotateNEON(f[:63], 1, 64, f[:8], f[:8], 1) },
	} {
		mustPanic(t, what, call)
	}
}
