//go:build !purego

package kernels_test

import (
	"fmt"
	"math"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// checkQ8 compares mul with the reference, bit by bit, and looks for writes between and behind the rows of dst.
func checkQ8(t *testing.T, typ quant.Type, mul mulQ8, w []byte, rows, cols int, a acts, n, gap int) {
	t.Helper()
	stride := rows + gap
	want, got := canaries(n*stride+8), canaries(n*stride+8)
	quant.MatMulQ8(typ, want, stride, w, rows, cols, a.q, a.d, a.s, n)
	mul(got, stride, w, rows, cols, a.q, a.d, a.s, n)
	sameBits(t, fmt.Sprintf("%d rows, %d columns, %d activation rows", rows, cols, n), got, want)
}

func TestMatMulQ8EqualsReference(t *testing.T) {
	eachQ8(t, func(t *testing.T, typ quant.Type, mul mulQ8) {
		rng := noise(2463534242)
		for _, cols := range []int{32, 64, 96, 160, 576} {
			for rows := range 14 {
				for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
					if cols == 576 && (rows%3 != 0 || n%3 != 1) {
						continue
					}
					checkQ8(t, typ, mul, rng.weights(t, typ, rows, cols), rows, cols, rng.acts(n, cols), n, int(rng.next()%3))
				}
			}
		}
	})
}

// TestMatMulQ8Long needs several calls of assembly for one product, and rows that are too long for a tile of four.
func TestMatMulQ8Long(t *testing.T) {
	eachQ8(t, func(t *testing.T, typ quant.Type, mul mulQ8) {
		rng := noise(88172645)
		for _, c := range []struct{ rows, cols, n int }{{42, 4096, 1}, {37, 2048, 4}, {5, 32768, 4}} {
			checkQ8(t, typ, mul, rng.weights(t, typ, c.rows, c.cols), c.rows, c.cols, rng.acts(c.n, c.cols), c.n, 0)
		}
	})
}

// TestMatMulQ8Extremes multiplies the largest integers of each sign, for which sums of 16 bits are fullest, and scales at
// the ends of their range.
func TestMatMulQ8Extremes(t *testing.T) {
	const rows, cols, n = 6, 96, 5
	scales := []uint16{0x3c00, 0x7bff, 0xfbff, 0x0001, 0x8001, 0x0000, 0x8000, 0x03ff, 0x7c00, 0x7e00}
	eachQ8(t, func(t *testing.T, typ quant.Type, mul mulQ8) {
		for _, bits := range []byte{0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0, 0x81} {
			for _, q := range []int8{127, -127, 0} {
				for _, flip := range []bool{false, true} {
					for _, scale := range scales {
						w := make([]byte, rows*cols/32*typ.BlockBytes())
						for i := range w {
							w[i] = bits
						}
						for i := 0; i < len(w); i += typ.BlockBytes() {
							put16(w[i:], scale)
							if typ == quant.Q4_1 || typ == quant.Q5_1 {
								put16(w[i+2:], scale)
							}
						}
						checkQ8(t, typ, mul, w, rows, cols, extremeActs(n, cols, q, flip), n, 0)
					}
				}
			}
		}
	})
}

// extremeActs are activations that are all q, or q and -q in turn, with scales from the least to the greatest.
func extremeActs(n, cols int, q int8, flip bool) acts {
	a := acts{make([]int8, n*cols), make([]float32, n*cols/32), make([]float32, n*cols/32)}
	for i := range a.q {
		a.q[i] = q
		if flip && i%2 == 1 {
			a.q[i] = -q
		}
	}
	scales := []float32{1, math.SmallestNonzeroFloat32, 1e30, 0, 1e-30, math.MaxFloat32}
	for i := range a.d {
		a.d[i] = scales[i%len(scales)]
		a.s[i] = a.d[i] * 7
	}
	return a
}

// TestMatMulQ8Parts computes every part of a product alone: the bits must not depend on what else is computed.
func TestMatMulQ8Parts(t *testing.T) {
	const rows, cols, n = 9, 128, 7
	eachQ8(t, func(t *testing.T, typ quant.Type, mul mulQ8) {
		rng := noise(521288629)
		w, a := rng.weights(t, typ, rows, cols), rng.acts(n, cols)
		whole := make([]float32, rows*n)
		mul(whole, rows, w, rows, cols, a.q, a.d, a.s, n)
		rowBytes, blocks := len(w)/rows, cols/32
		for r := range rows {
			for r2 := r + 1; r2 <= rows; r2++ {
				for first := range n {
					for last := first + 1; last <= n; last++ {
						part := make([]float32, (r2-r)*(last-first))
						mul(part, r2-r, w[r*rowBytes:r2*rowBytes], r2-r, cols, a.q[first*cols:last*cols],
							a.d[first*blocks:last*blocks], a.s[first*blocks:last*blocks], last-first)
						for i := first; i < last; i++ {
							sameBits(t, fmt.Sprintf("rows %d to %d, activation rows %d to %d", r, r2, first, last),
								part[(i-first)*(r2-r):][:r2-r], whole[i*rows+r:][:r2-r])
						}
					}
				}
			}
		}
	})
}

func TestMatMulQ8Alignment(t *testing.T) {
	const rows, cols, n = 5, 64, 5
	eachQ8(t, func(t *testing.T, typ quant.Type, mul mulQ8) {
		rng := noise(362436069)
		w, a := rng.weights(t, typ, rows, cols), rng.acts(n, cols)
		want := make([]float32, rows*n)
		quant.MatMulQ8(typ, want, rows, w, rows, cols, a.q, a.d, a.s, n)
		for offset := range 64 {
			got := shifted(make([]float32, rows*n), offset%16)
			mul(got, rows, shifted(w, offset), rows, cols, shifted(a.q, 63-offset), shifted(a.d, offset%15),
				shifted(a.s, offset%14), n)
			sameBits(t, fmt.Sprintf("offset %d", offset), got, want)
		}
	})
}

// TestMatMulQ8Guard puts every operand against an inaccessible page.
func TestMatMulQ8Guard(t *testing.T) {
	eachQ8(t, func(t *testing.T, typ quant.Type, mul mulQ8) {
		rng := noise(123456789)
		for _, c := range []struct{ rows, cols, n int }{{1, 32, 1}, {3, 64, 3}, {4, 32, 4}, {5, 96, 6}, {8, 64, 1}} {
			w, a := rng.weights(t, typ, c.rows, c.cols), rng.acts(c.n, c.cols)
			want := make([]float32, c.rows*c.n)
			quant.MatMulQ8(typ, want, c.rows, w, c.rows, c.cols, a.q, a.d, a.s, c.n)
			for _, atEnd := range []bool{true, false} {
				got := guard(t, make([]float32, c.rows*c.n), atEnd)
				mul(got, c.rows, guard(t, w, atEnd), c.rows, c.cols, guard(t, a.q, atEnd), guard(t, a.d, atEnd),
					guard(t, a.s, atEnd), c.n)
				sameBits(t, fmt.Sprintf("%+v", c), got, want)
			}
		}
	})
}

func TestMatMulQ8Allocations(t *testing.T) {
	const rows, cols, n = 7, 64, 6
	eachQ8(t, func(t *testing.T, typ quant.Type, mul mulQ8) {
		rng := noise(1)
		w, a, dst := rng.weights(t, typ, rows, cols), rng.acts(n, cols), make([]float32, rows*n)
		if got := testing.AllocsPerRun(20, func() {
			mul(dst, rows, w, rows, cols, a.q, a.d, a.s, n)
			mul(dst, 3, w, 3, cols, a.q[:cols], a.d[:cols/32], a.s[:cols/32], 1)
		}); got != 0 {
			t.Errorf("%g allocations per run", got)
		}
	})
}

func TestMatMulQ8Panics(t *testing.T) {
	const rows, cols, n = 4, 64, 2
	mul := kernels.MatMulQ41Q8NEON
	needNEON(t)
	rng := noise(1)
	w, a, dst := rng.weights(t, quant.Q4_1, rows, cols), rng.acts(n, cols), make([]float32, rows*n)
	for what, f := range map[string]func(){
		"weights":     func() { mul(dst, rows, w[:len(w)-1], rows, cols, a.q, a.d, a.s, n) },
		"destination": func() { mul(dst[:len(dst)-1], rows, w, rows, cols, a.q, a.d, a.s, n) },
		"stride":      func() { mul(dst, rows-1, w, rows, cols, a.q, a.d, a.s, n) },
		"columns":     func() { mul(dst, rows, w, rows, cols-1, a.q, a.d, a.s, n) },
		"no columns":  func() { mul(dst, rows, w, rows, 0, a.q, a.d, a.s, n) },
		"rows":        func() { mul(dst, rows, w, -1, cols, a.q, a.d, a.s, n) },
		"n":           func() { mul(dst, rows, w, rows, cols, a.q, a.d, a.s, -1) },
		"activations": func() { mul(dst, rows, w, rows, cols, a.q[:len(a.q)-1], a.d, a.s, n) },
		"scales":      func() { mul(dst, rows, w, rows, cols, a.q, a.d[1:], a.s, n) },
		"sums":        func() { mul(dst, rows, w, rows, cols, a.q, a.d, a.s[1:], n) },
	} {
		mustPanic(t, what, f)
	}
}
