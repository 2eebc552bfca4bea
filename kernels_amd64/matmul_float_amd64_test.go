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

// floatCase is a float product under test.
type floatCase struct {
	name string
	typ  quant.Type
	mul  func(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int)
}

func floatCases(tb testing.TB) []floatCase {
	needAVX2(tb)
	return []floatCase{
		{"AVX2/F32", quant.F32, kernels.MatMulF32F32AVX2},
		{"AVX2/F16", quant.F16, kernels.MatMulF16F32AVX2},
		{"AVX2/BF16", quant.BF16, kernels.MatMulBF16F32AVX2},
	}
}

// floatWeights stores values in the given format.
func floatWeights(t quant.Type, values []float32) []byte {
	var w []byte
	for _, v := range values {
		switch t {
		case quant.F32:
			w = binary.LittleEndian.AppendUint32(w, math.Float32bits(v))
		case quant.F16:
			w = binary.LittleEndian.AppendUint16(w, quant.F32ToF16(v))
		default:
			w = binary.LittleEndian.AppendUint16(w, quant.F32ToBF16(v))
		}
	}
	return w
}

// compareFloat multiplies in guarded memory; each element may differ from exact arithmetic by as much as the wrapper's
// comment allows. It returns the largest error in units of that.
func compareFloat(t *testing.T, mem *arena, k floatCase, w []byte, rows, cols int, x []float32, n int) float64 {
	t.Helper()
	what := fmt.Sprintf("rows %d, cols %d, n %d", rows, cols, n)
	stride := rows + rows%3
	mem.reset()
	got := put(mem, filled(n*stride))
	k.mul(got, stride, put(mem, w), rows, cols, put(mem, x), n)
	mem.check(what)
	values := make([]float32, rows*cols)
	if err := quant.Dequantize(k.typ, values, w); err != nil {
		t.Fatal(err)
	}
	var worst float64
	for i, g := range got {
		tok, r := i/stride, i%stride
		if r >= rows {
			sameBits(t, what+": gap", []float32{g}, filled(1))
			continue
		}
		var sum, size float64
		for c := range cols {
			p := float64(values[r*cols+c]) * float64(x[tok*cols+c])
			sum += p
			size += math.Abs(p)
		}
		bound := float64(cols/8+4) * size / (1 << 24)
		if diff := math.Abs(float64(g) - sum); !(diff <= bound) {
			t.Fatalf("%s: row %d, token %d is %v, want %v within %g", what, r, tok, g, sum, bound)
		} else if bound > 0 {
			worst = max(worst, diff/bound)
		}
	}
	return worst
}

func TestMatMulFloat(t *testing.T) {
	for _, k := range floatCases(t) {
		t.Run(k.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			mem := newArena(t, rng)
			var worst float64
			for rows := range 14 {
				for cols := 1; cols < 36; cols++ {
					n := rng.IntN(9)
					w := floatWeights(k.typ, normals(rng, rows*cols))
					worst = max(worst, compareFloat(t, mem, k, w, rows, cols, normals(rng, n*cols), n))
				}
			}
			for _, d := range []struct{ rows, cols, n int }{{300, 576, 7}, {5, 20001, 3}, {70, 64, 100}} {
				w := floatWeights(k.typ, normals(rng, d.rows*d.cols))
				worst = max(worst, compareFloat(t, mem, k, w, d.rows, d.cols, normals(rng, d.n*d.cols), d.n))
			}
			t.Logf("largest error: %.3f of the bound", worst)
		})
	}
}

// TestMatMulFloatExact has small integers, whose sums are exact in any order, in every column.
func TestMatMulFloatExact(t *testing.T) {
	for _, k := range floatCases(t) {
		t.Run(k.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			for cols := 1; cols < 70; cols++ {
				const rows, n = 5, 4
				values, x := make([]float32, rows*cols), make([]float32, n*cols)
				for i := range values {
					values[i] = float32(rng.IntN(33) - 16)
				}
				for i := range x {
					x[i] = float32(rng.IntN(33) - 16)
				}
				w := floatWeights(k.typ, values)
				want, got := make([]float32, rows*n), make([]float32, rows*n)
				quant.MatMulFloat(k.typ, want, rows, w, rows, cols, x, n)
				k.mul(got, rows, w, rows, cols, x, n)
				sameBits(t, fmt.Sprintf("cols %d", cols), got, want)
			}
		})
	}
}

// TestMatMulFloatAlone wants the bits of a large product from single rows and tokens too.
func TestMatMulFloatAlone(t *testing.T) {
	const rows, n = 23, 11
	for _, k := range floatCases(t) {
		t.Run(k.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			for _, cols := range []int{1, 7, 64, 77} {
				w, x := floatWeights(k.typ, normals(rng, rows*cols)), normals(rng, n*cols)
				all, one := make([]float32, rows*n), make([]float32, rows*n)
				k.mul(all, rows, w, rows, cols, x, n)
				for tok := range n {
					for r := range rows {
						k.mul(one[tok*rows+r:], 1, w[r*len(w)/rows:], 1, cols, x[tok*cols:][:cols], 1)
					}
				}
				sameBits(t, fmt.Sprintf("single elements, cols %d", cols), one, all)
			}
		})
	}
}

// TestMatMulFloatSpecial has halves of every exponent, infinity and NaN.
func TestMatMulFloatSpecial(t *testing.T) {
	needAVX2(t)
	w := make([]byte, 0, 1<<17)
	for h := range 1 << 16 {
		w = binary.LittleEndian.AppendUint16(w, uint16(h))
	}
	got, want, x := make([]float32, 1<<16), make([]float32, 1<<16), []float32{1}
	kernels.MatMulF16F32AVX2(got, 1<<16, w, 1<<16, 1, x, 1)
	quant.MatMulFloat(quant.F16, want, 1<<16, w, 1<<16, 1, x, 1)
	sameBits(t, "every binary16", got, want)
	kernels.MatMulBF16F32AVX2(got, 1<<16, w, 1<<16, 1, x, 1)
	quant.MatMulFloat(quant.BF16, want, 1<<16, w, 1<<16, 1, x, 1)
	sameBits(t, "every bfloat16", got, want)
}
