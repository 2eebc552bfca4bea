//go:build !purego

package kernels_test

import (
	"fmt"
	"math"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// checkFloat compares mul with the sum in float64 within the documented tolerance and looks for writes outside.
func checkFloat(t *testing.T, typ quant.Type, mul mulFloat, rows, cols, n, gap int, rng *noise) {
	t.Helper()
	w, x := rng.weights(t, typ, rows, cols), rng.floats(n*cols)
	values := make([]float32, rows*cols)
	if err := quant.Dequantize(typ, values, w); err != nil {
		t.Fatal(err)
	}
	stride := rows + gap
	got, want := canaries(n*stride+8), canaries(n*stride+8)
	mul(got, stride, w, rows, cols, x, n)
	for i := range n {
		for r := range rows {
			var sum, size float64
			for c := range cols {
				p := float64(values[r*cols+c]) * float64(x[i*cols+c])
				sum += p
				size += math.Abs(p)
			}
			at := i*stride + r
			limit := (float64(cols)/4 + 3) * 0x1p-24 * size
			if diff := math.Abs(float64(got[at]) - sum); !(diff <= limit) {
				t.Fatalf("%d rows, %d columns, %d activation rows: row %d, activation row %d is %g, want %g within %g", rows,
					cols, n, r, i, got[at], sum, limit)
			}
			want[at] = got[at]
		}
	}
	sameBits(t, "outside", got, want)
}

func TestMatMulFloatNearExact(t *testing.T) {
	eachFloat(t, func(t *testing.T, typ quant.Type, mul mulFloat) {
		rng := noise(2463534242)
		for cols := 1; cols <= 41; cols++ {
			for _, rows := range []int{1, 2, 3, 4, 5, 7, 8, 13} {
				for _, n := range []int{1, 2, 3, 4, 6} {
					checkFloat(t, typ, mul, rows, cols, n, int(rng.next()%3), &rng)
				}
			}
		}
		checkFloat(t, typ, mul, 41, 4099, 5, 1, &rng)
		checkFloat(t, typ, mul, 40, 4096, 3, 0, &rng)
		checkFloat(t, typ, mul, 5, 20000, 4, 0, &rng)
	})
}

// TestMatMulFloatExactValues has small integers, whose sums are exact in any order, so the reference's bits must come out.
func TestMatMulFloatExactValues(t *testing.T) {
	eachFloat(t, func(t *testing.T, typ quant.Type, mul mulFloat) {
		const rows, cols, n = 9, 83, 6
		rng := noise(77)
		w := make([]byte, rows*cols*typ.BlockBytes())
		for i := range rows * cols {
			v := float32(int(rng.next()%17) - 8)
			switch typ {
			case quant.F32:
				put32(w[4*i:], math.Float32bits(v))
			case quant.F16:
				put16(w[2*i:], quant.F32ToF16(v))
			case quant.BF16:
				put16(w[2*i:], quant.F32ToBF16(v))
			}
		}
		x := make([]float32, n*cols)
		for i := range x {
			x[i] = float32(int(rng.next()%17) - 8)
		}
		got, want := make([]float32, rows*n), make([]float32, rows*n)
		mul(got, rows, w, rows, cols, x, n)
		quant.MatMulFloat(typ, want, rows, w, rows, cols, x, n)
		sameBits(t, "integers", got, want)
	})
}

// TestMatMulFloatConversion multiplies every binary16 and bfloat16 pattern with one.
func TestMatMulFloatConversion(t *testing.T) {
	needNEON(t)
	for _, typ := range []quant.Type{quant.F16, quant.BF16} {
		w := make([]byte, 2<<16)
		for i := range 1 << 16 {
			put16(w[2*i:], uint16(i))
		}
		want, got := make([]float32, 1<<16), make([]float32, 1<<16)
		if err := quant.Dequantize(typ, want, w); err != nil {
			t.Fatal(err)
		}
		for i, v := range want {
			want[i] = v + 0 // the sums begin with +0
		}
		floatKernels[typ](got, 0, w, 1<<16, 1, []float32{1}, 1)
		sameBits(t, typ.String(), got, want)
	}
}

func TestMatMulFloatParts(t *testing.T) {
	const rows, n = 7, 6
	eachFloat(t, func(t *testing.T, typ quant.Type, mul mulFloat) {
		for _, cols := range []int{5, 64, 77} {
			rng := noise(521288629)
			w, x := rng.weights(t, typ, rows, cols), rng.floats(n*cols)
			whole := make([]float32, rows*n)
			mul(whole, rows, w, rows, cols, x, n)
			rowBytes := len(w) / rows
			for r := range rows {
				for r2 := r + 1; r2 <= rows; r2++ {
					for first := range n {
						for last := first + 1; last <= n; last++ {
							part := make([]float32, (r2-r)*(last-first))
							mul(part, r2-r, w[r*rowBytes:r2*rowBytes], r2-r, cols, x[first*cols:last*cols], last-first)
							for i := first; i < last; i++ {
								sameBits(t, fmt.Sprintf("%d columns, rows %d to %d, activation rows %d to %d", cols, r, r2, first,
									last), part[(i-first)*(r2-r):][:r2-r], whole[i*rows+r:][:r2-r])
							}
						}
					}
				}
			}
		}
	})
}

func TestMatMulFloatAlignment(t *testing.T) {
	const rows, cols, n = 5, 21, 5
	eachFloat(t, func(t *testing.T, typ quant.Type, mul mulFloat) {
		rng := noise(362436069)
		w, x := rng.weights(t, typ, rows, cols), rng.floats(n*cols)
		want := make([]float32, rows*n)
		mul(want, rows, w, rows, cols, x, n)
		for offset := range 64 {
			got := shifted(make([]float32, rows*n), offset%16)
			mul(got, rows, shifted(w, offset), rows, cols, shifted(x, offset%15), n)
			sameBits(t, fmt.Sprintf("offset %d", offset), got, want)
		}
	})
}

func TestMatMulFloatGuard(t *testing.T) {
	eachFloat(t, func(t *testing.T, typ quant.Type, mul mulFloat) {
		rng := noise(123456789)
		for _, c := range []struct{ rows, cols, n int }{{1, 1, 1}, {3, 7, 3}, {4, 8, 4}, {5, 19, 6}, {8, 64, 1}} {
			w, x := rng.weights(t, typ, c.rows, c.cols), rng.floats(c.n*c.cols)
			want := make([]float32, c.rows*c.n)
			mul(want, c.rows, w, c.rows, c.cols, x, c.n)
			for _, atEnd := range []bool{true, false} {
				got := guard(t, make([]float32, c.rows*c.n), atEnd)
				mul(got, c.rows, guard(t, w, atEnd), c.rows, c.cols, guard(t, x, atEnd), c.n)
				sameBits(t, fmt.Sprintf("%+v", c), got, want)
			}
		}
	})
}

func TestMatMulFloatAllocations(t *testing.T) {
	const rows, cols, n = 7, 21, 6
	eachFloat(t, func(t *testing.T, typ quant.Type, mul mulFloat) {
		rng := noise(1)
		w, x, dst := rng.weights(t, typ, rows, cols), rng.floats(n*cols), make([]float32, rows*n)
		if got := testing.AllocsPerRun(20, func() { mul(dst, rows, w, rows, cols, x, n) }); got != 0 {
			t.Errorf("%g allocations per run", got)
		}
	})
}

func TestMatMulFloatPanics(t *testing.T) {
	needNEON(t)
	const rows, cols, n = 4, 9, 2
	mul := kernels.MatMulF16F32NEON
	w, x, dst := make([]byte, rows*cols*2), make([]float32, n*cols), make([]float32, rows*n)
	for what, f := range map[string]func(){
		"weights":     func() { mul(dst, rows, w[:len(w)-1], rows, cols, x, n) },
		"destination": func() { mul(dst[:len(dst)-1], rows, w, rows, cols, x, n) },
		"no columns":  func() { mul(dst, rows, w, rows, 0, x, n) },
		"activations": func() { mul(dst, rows, w, rows, cols, x[1:], n) },
	} {
		mustPanic(t, what, f)
	}
}
