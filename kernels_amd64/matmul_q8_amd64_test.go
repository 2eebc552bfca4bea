//go:build !purego

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

type q8Func = func(dst []float32, dstStride int, w []byte, rows, cols int, q []int8, d, s []float32, n int)

// q8Kernels lists the 8-bit products of the instruction sets that this machine has.
func q8Kernels(tb testing.TB) []q8Case {
	var out []q8Case
	if needAVX2(tb) {
		out = append(out,
			q8Case{"AVX2/Q4_0", quant.Q4_0, kernels.MatMulQ40Q8AVX2},
			q8Case{"AVX2/Q4_1", quant.Q4_1, kernels.MatMulQ41Q8AVX2},
			q8Case{"AVX2/Q5_0", quant.Q5_0, kernels.MatMulQ50Q8AVX2},
			q8Case{"AVX2/Q5_1", quant.Q5_1, kernels.MatMulQ51Q8AVX2},
			q8Case{"AVX2/Q8_0", quant.Q8_0, kernels.MatMulQ80Q8AVX2})
	}
	if needVNNI(tb) {
		out = append(out,
			q8Case{"VNNI/Q4_0", quant.Q4_0, kernels.MatMulQ40Q8VNNI},
			q8Case{"VNNI/Q4_1", quant.Q4_1, kernels.MatMulQ41Q8VNNI},
			q8Case{"VNNI/Q5_0", quant.Q5_0, kernels.MatMulQ50Q8VNNI},
			q8Case{"VNNI/Q5_1", quant.Q5_1, kernels.MatMulQ51Q8VNNI},
			q8Case{"VNNI/Q8_0", quant.Q8_0, kernels.MatMulQ80Q8VNNI})
	}
	return out
}

type q8Case struct {
	name string
	typ  quant.Type
	mul  q8Func
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

// setScales writes scale and, where the format has one, minimum of the block at w.
func setScales(t quant.Type, w []byte, d, m uint16) {
	binary.LittleEndian.PutUint16(w, d)
	if t == quant.Q4_1 || t == quant.Q5_1 {
		binary.LittleEndian.PutUint16(w[2:], m)
	}
}

// activations are quantised random rows.
type activations struct {
	q    []int8
	d, s []float32
}

func randomActivations(rng *rand.Rand, n, cols int) activations {
	x := make([]float32, n*cols)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	a := activations{make([]int8, len(x)), make([]float32, len(x)/32), make([]float32, len(x)/32)}
	quant.QuantizeQ8(a.q, a.d, a.s, x)
	return a
}

// sameBits fails the test at the first element that differs; NaN equals NaN.
func sameBits(tb testing.TB, what string, got, want []float32) {
	tb.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			tb.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestMatMulQ8EqualsReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, k := range q8Kernels(t) {
		t.Run(k.name, func(t *testing.T) {
			for _, rows := range []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 33, 40} {
				for _, cols := range []int{32, 64, 96, 576} {
					for _, n := range []int{0, 1, 2, 3, 5, 16, 17, 33} {
						w, a := q8Weights(rng, k.typ, rows, cols), randomActivations(rng, n, cols)
						stride := rows + 3
						want, got := make([]float32, n*stride), make([]float32, n*stride)
						quant.MatMulQ8(k.typ, want, stride, w, rows, cols, a.q, a.d, a.s, n)
						k.mul(got, stride, w, rows, cols, a.q, a.d, a.s, n)
						sameBits(t, fmt.Sprintf("rows %d cols %d n %d", rows, cols, n), got, want)
					}
				}
			}
		})
	}
}
