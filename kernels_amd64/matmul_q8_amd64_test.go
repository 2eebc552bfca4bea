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

// q8Case is an 8-bit product under test.
type q8Case struct {
	name string
	typ  quant.Type
	mul  func(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int)
}

// q8Cases lists the products of the instruction sets that this machine has.
func q8Cases(tb testing.TB) []q8Case {
	needAVX2(tb)
	cases := []q8Case{
		{"AVX2/Q4_0", quant.Q4_0, kernels.MatMulQ40Q8AVX2},
		{"AVX2/Q4_1", quant.Q4_1, kernels.MatMulQ41Q8AVX2},
		{"AVX2/Q5_0", quant.Q5_0, kernels.MatMulQ50Q8AVX2},
		{"AVX2/Q5_1", quant.Q5_1, kernels.MatMulQ51Q8AVX2},
		{"AVX2/Q8_0", quant.Q8_0, kernels.MatMulQ80Q8AVX2},
	}
	if has(tb, "avx512vnni") {
		cases = append(cases,
			q8Case{"VNNI/Q4_0", quant.Q4_0, kernels.MatMulQ40Q8VNNI},
			q8Case{"VNNI/Q4_1", quant.Q4_1, kernels.MatMulQ41Q8VNNI},
			q8Case{"VNNI/Q5_0", quant.Q5_0, kernels.MatMulQ50Q8VNNI},
			q8Case{"VNNI/Q5_1", quant.Q5_1, kernels.MatMulQ51Q8VNNI},
			q8Case{"VNNI/Q8_0", quant.Q8_0, kernels.MatMulQ80Q8VNNI})
	}
	return cases
}

// q8Weights returns random blocks with scales and minima of both signs and ordinary size.
func q8Weights(rng *rand.Rand, t quant.Type, rows, cols int) []byte {
	w := make([]byte, rows*cols/t.BlockLen()*t.BlockBytes())
	for i := range w {
		w[i] = byte(rng.Uint32())
	}
	for i := 0; i < len(w); i += t.BlockBytes() {
		setScales(t, w[i:], quant.F32ToF16(float32(rng.NormFloat64())), quant.F32ToF16(float32(rng.NormFloat64())))
	}
	return w
}

// setScales writes the scale and, where the format has one, the minimum of the block at w.
func setScales(t quant.Type, w []byte, d, m uint16) {
	binary.LittleEndian.PutUint16(w, d)
	if t == quant.Q4_1 || t == quant.Q5_1 {
		binary.LittleEndian.PutUint16(w[2:], m)
	}
}

// activations are n quantised rows.
type activations struct {
	q    []int8
	d, s []float32
	n    int
}

func quantised(x []float32, n int) activations {
	a := activations{make([]int8, len(x)), make([]float32, len(x)/32), make([]float32, len(x)/32), n}
	quant.QuantizeQ8(a.q, a.d, a.s, x)
	return a
}

// compareQ8 multiplies in guarded memory and wants the bits of the reference.
func compareQ8(t *testing.T, mem *arena, k q8Case, w []byte, rows, cols int, a activations) {
	t.Helper()
	what := fmt.Sprintf("rows %d, cols %d, n %d", rows, cols, a.n)
	stride := rows + rows%3
	want := filled(a.n * stride)
	mem.reset()
	got := put(mem, want)
	k.mul(got, stride, put(mem, w), rows, cols, put(mem, a.q), put(mem, a.d), put(mem, a.s), a.n)
	mem.check(what)
	quant.MatMulQ8(k.typ, want, stride, w, rows, cols, a.q, a.d, a.s, a.n)
	sameBits(t, what, got, want)
}

func TestMatMulQ8EqualsReference(t *testing.T) {
	for _, k := range q8Cases(t) {
		t.Run(k.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			mem := newArena(t, rng)
			for rows := range 36 {
				for _, cols := range []int{32, 64, 96, 576} {
					n := []int{0, 1, 2, 3, 15, 16, 17, 33}[rng.IntN(8)]
					compareQ8(t, mem, k, q8Weights(rng, k.typ, rows, cols), rows, cols, quantised(normals(rng, n*cols), n))
				}
			}
			for n := range 40 {
				const rows, cols = 17, 160
				compareQ8(t, mem, k, q8Weights(rng, k.typ, rows, cols), rows, cols, quantised(normals(rng, n*cols), n))
			}
			// More than one call: many rows, and rows so long that fewer tokens fit a call.
			compareQ8(t, mem, k, q8Weights(rng, k.typ, 1000, 576), 1000, 576, quantised(normals(rng, 19*576), 19))
			compareQ8(t, mem, k, q8Weights(rng, k.typ, 19, 8192), 19, 8192, quantised(normals(rng, 18*8192), 18))
		})
	}
}

// TestMatMulQ8Extremes has the largest integers, where int16 sums would saturate if too many products went into one, and
// scales from nothing to infinity.
func TestMatMulQ8Extremes(t *testing.T) {
	const rows, cols, n = 19, 96, 5
	scales := []uint16{0x3c00, 0x7bff, 0xfbff, 0x0001, 0x8001, 0x03ff, 0x0000, 0x8000, 0x7c00, 0x7e00}
	patterns := []func(i int) byte{
		func(int) byte { return 0x00 },
		func(int) byte { return 0xff },
		func(int) byte { return 0x80 },
		func(int) byte { return 0x7f },
		func(i int) byte { return byte(0x0f + 0xe1*(i%2)) },
		func(i int) byte { return byte(0x80 - i%2) },
	}
	for _, k := range q8Cases(t) {
		t.Run(k.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			mem := newArena(t, rng)
			size := k.typ.BlockBytes()
			for _, weight := range patterns {
				for _, act := range []func(i int) float32{
					func(int) float32 { return 127 },
					func(int) float32 { return -127 },
					func(i int) float32 { return float32(127 - 254*(i%2)) },
					func(i int) float32 { return float32(127 - 254*(i/2%2)) },
					func(int) float32 { return 0 },
					func(int) float32 { return 1e-44 },
					func(int) float32 { return math.MaxFloat32 },
					func(int) float32 { return float32(math.NaN()) },
				} {
					x := make([]float32, n*cols)
					for i := range x {
						x[i] = act(i)
					}
					w := make([]byte, rows*cols/32*size)
					for i := range w {
						w[i] = weight(i)
					}
					for b := 0; b < len(w); b += size {
						setScales(k.typ, w[b:], scales[rng.IntN(len(scales))], scales[rng.IntN(len(scales))])
					}
					compareQ8(t, mem, k, w, rows, cols, quantised(x, n))
				}
			}
		})
	}
}

// TestMatMulQ8Alone wants the bits of a large product from single rows and tokens too.
func TestMatMulQ8Alone(t *testing.T) {
	const rows, cols, n = 37, 224, 21
	for _, k := range q8Cases(t) {
		t.Run(k.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			w, a := q8Weights(rng, k.typ, rows, cols), quantised(normals(rng, n*cols), n)
			all, one := make([]float32, rows*n), make([]float32, rows*n)
			k.mul(all, rows, w, rows, cols, a.q, a.d, a.s, n)
			rowBytes := len(w) / rows
			for tok := range n {
				q, d, s := a.q[tok*cols:][:cols], a.d[tok*cols/32:][:cols/32], a.s[tok*cols/32:][:cols/32]
				for r := range rows {
					k.mul(one[tok*rows+r:], 1, w[r*rowBytes:], 1, cols, q, d, s, 1)
				}
			}
			sameBits(t, "single elements", one, all)
		})
	}
}

// TestMatMulQ8Wide has rows beyond the offsets of one assembly call: formats with an offset add them up in pieces, so here
// alone the bits may differ from those of the reference, but not between tiles.
func TestMatMulQ8Wide(t *testing.T) {
	const rows, cols, n = 17, 4096*32 + 96, 2
	for _, k := range q8Cases(t) {
		t.Run(k.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 8))
			w, a := q8Weights(rng, k.typ, rows, cols), quantised(normals(rng, n*cols), n)
			want, got, one := make([]float32, rows*n), make([]float32, rows*n), make([]float32, n)
			quant.MatMulQ8(k.typ, want, rows, w, rows, cols, a.q, a.d, a.s, n)
			k.mul(got, rows, w, rows, cols, a.q, a.d, a.s, n)
			k.mul(one, 1, w, 1, cols, a.q, a.d, a.s, n)
			for i := range want {
				if diff := math.Abs(float64(got[i] - want[i])); diff > 1e-3*math.Sqrt(cols) {
					t.Fatalf("element %d is %v, want %v", i, got[i], want[i])
				}
			}
			sameBits(t, "one row", one, []float32{got[0], got[rows]})
		})
	}
}
