//go:build !purego

package kernels_test

import (
	"fmt"
	"math"
	"testing"

	kernels "siskin/kernels_arm64"
	"siskin/model/quant"
)

// checkQ8 compares the product of tight rows with the reference, and that of packed ones with it, bit by bit, and looks
// for writes between and behind the rows of dst.
func checkQ8(t *testing.T, typ quant.Type, plain, packed mulQ8, w []byte, rows, cols int, acts []byte, n, gap int) {
	t.Helper()
	stride := rows + gap
	what := fmt.Sprintf("%d rows, %d columns, %d activation rows", rows, cols, n)
	want, got := canaries(n*stride+8), canaries(n*stride+8)
	quant.MatMulQ8(typ, want, stride, w, rows, cols, acts, n)
	plain(got, stride, w, rows, cols, acts, n)
	sameBits(t, what, got, want)
	rows -= rows % quant.PackRows
	if rows == 0 {
		return
	}
	w = w[:len(w)/(stride-gap)*rows]
	got = canaries(n*stride + 8)
	packed(got, stride, pack(typ, w, rows, cols), rows, cols, acts, n)
	for i := range want {
		if i%stride >= rows {
			want[i] = canary
		}
	}
	sameBits(t, "packed: "+what, got, want)
}

func TestMatMulQ8EqualsReference(t *testing.T) {
	eachQ8(t, func(t *testing.T, typ quant.Type, plain, packed mulQ8) {
		rng := noise(2463534242)
		for _, blocks := range []int{1, 2, 3, 9} {
			if typ.BlockLen() > 32 && blocks > 3 {
				continue
			}
			cols := blocks * typ.BlockLen()
			for _, rows := range []int{0, 1, 5, 15, 16, 17, 32, 47} {
				for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 11} {
					if rows%16 != 15 && n%4 > 1 && blocks > 1 {
						continue
					}
					checkQ8(t, typ, plain, packed, rng.weights(t, typ, rows, cols), rows, cols, rng.acts(n, cols), n, int(rng.next()%3))
				}
			}
		}
	})
}

// TestMatMulQ8Long needs several calls of assembly for the activation rows of one tile.
func TestMatMulQ8Long(t *testing.T) {
	eachQ8(t, func(t *testing.T, typ quant.Type, plain, packed mulQ8) {
		rng := noise(88172645)
		for _, c := range []struct{ rows, cols, n int }{{19, 256, 139}, {32, 4096, 2}} {
			checkQ8(t, typ, plain, packed, rng.weights(t, typ, c.rows, c.cols), c.rows, c.cols, rng.acts(c.n, c.cols), c.n, 0)
		}
	})
}

// TestMatMulQ8Extremes multiplies the largest integers of each sign, for which sums of 16 bits are fullest, and scales at
// the ends of their range.
func TestMatMulQ8Extremes(t *testing.T) {
	const rows, cols, n = 17, 256, 3
	scales := []uint16{0x3c00, 0x7bff, 0x8001, 0x8000, 0x7c00, 0x7e00}
	eachQ8(t, func(t *testing.T, typ quant.Type, plain, packed mulQ8) {
		for _, bits := range []byte{0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0} {
			for _, q := range []int8{127, -127} {
				for _, flip := range []bool{false, true} {
					scale := scales[0]
					scales = append(scales[1:], scale)
					w := make([]byte, rows*cols/typ.BlockLen()*typ.BlockBytes())
					for i := range w {
						w[i] = bits
					}
					for i := 0; i < len(w); i += typ.BlockBytes() {
						for _, at := range typ.Halves() {
							put16(w[i+at:], scale)
						}
					}
					checkQ8(t, typ, plain, packed, w, rows, cols, extremeActs(n, cols, q, flip), n, 0)
				}
			}
		}
	})
}

// extremeActs are activations that are all q, or q and -q in turn, with scales from the least to the greatest.
func extremeActs(n, cols int, q int8, flip bool) []byte {
	acts := quant.NewActs(n * cols / quant.ActBlock * quant.ActBytes)
	scales := []float32{1, math.SmallestNonzeroFloat32, 1e30, 0, 1e-30, math.MaxFloat32}
	all := quant.ActsOf(acts)
	for i := range all {
		a := &all[i]
		for j := range a.Q {
			a.Q[j] = q
			if flip && j%2 == 1 {
				a.Q[j] = -q
			}
		}
		a.D = scales[i%len(scales)]
		a.S, a.SA, a.SB = a.D*7, a.D*3, a.D*4
		if flip {
			continue
		}
		a.N, a.NA, a.NB = -128*32*int32(q), -128*16*int32(q), -128*16*int32(q)
	}
	return acts
}

// TestMatMulQ8Parts computes parts of a product alone: the bits must not depend on what else is computed.
func TestMatMulQ8Parts(t *testing.T) {
	const rows, cols, n = 34, 512, 7
	eachQ8(t, func(t *testing.T, typ quant.Type, plain, packed mulQ8) {
		rng := noise(521288629)
		w := rng.weights(t, typ, rows, cols)
		x := rng.floats(n * cols)
		part := func(first, last int) []byte {
			acts := quant.NewActs((last - first) * cols / quant.ActBlock * quant.ActBytes)
			for i := first; i < last; i++ {
				quant.Quantize(acts, x[i*cols:][:cols], last-first, i-first)
			}
			return acts
		}
		whole := make([]float32, rows*n)
		plain(whole, rows, w, rows, cols, part(0, n), n)
		rowBytes := len(w) / rows
		for _, r := range [][2]int{{0, 1}, {3, 20}, {0, 16}, {16, 32}, {17, 34}} {
			for first := range n {
				for last := first + 1; last <= n; last++ {
					got := make([]float32, (r[1]-r[0])*(last-first))
					rows2 := w[r[0]*rowBytes : r[1]*rowBytes]
					if r[1]-r[0] == quant.PackRows {
						packed(got, r[1]-r[0], pack(typ, rows2, quant.PackRows, cols), r[1]-r[0], cols, part(first, last), last-first)
					} else {
						plain(got, r[1]-r[0], rows2, r[1]-r[0], cols, part(first, last), last-first)
					}
					for i := first; i < last; i++ {
						sameBits(t, fmt.Sprintf("rows %d to %d, activation rows %d to %d", r[0], r[1], first, last),
							got[(i-first)*(r[1]-r[0]):][:r[1]-r[0]], whole[i*rows+r[0]:][:r[1]-r[0]])
					}
				}
			}
		}
	})
}

// TestMatMulQ8Memory moves every operand off its alignment and puts it against an inaccessible page.
func TestMatMulQ8Memory(t *testing.T) {
	const rows, n = 21, 5
	eachQ8(t, func(t *testing.T, typ quant.Type, plain, packed mulQ8) {
		rng := noise(362436069)
		cols := max(64, typ.BlockLen())
		w, acts := rng.weights(t, typ, rows, cols), rng.acts(n, cols)
		want := make([]float32, rows*n)
		quant.MatMulQ8(typ, want, rows, w, rows, cols, acts, n)
		group := pack(typ, w[:len(w)/rows*16], 16, cols)
		check := func(what string, got []float32, w, group, acts []byte) {
			plain(got, rows, w, rows, cols, acts, n)
			sameBits(t, what, got, want)
			clear(got)
			packed(got, rows, group, 16, cols, acts, n)
			for i := range got {
				if i%rows >= 16 {
					got[i] = want[i]
				}
			}
			sameBits(t, "packed: "+what, got, want)
		}
		for offset := 1; offset < 64; offset += 3 {
			check(fmt.Sprintf("offset %d", offset), shifted(make([]float32, rows*n), offset%16), shifted(w, offset),
				shifted(group, offset), shifted(acts, 63-offset))
		}
		for _, atEnd := range []bool{true, false} {
			got := make([]float32, rows*n)
			check("inaccessible page", guard(t, got, atEnd), guard(t, w, atEnd), guard(t, group, atEnd), guard(t, acts, atEnd))
		}
		if got := testing.AllocsPerRun(5, func() {
			plain(want, rows, w, rows, cols, acts, n)
			packed(want, rows, group, 16, cols, acts, n)
		}); got != 0 {
			t.Errorf("%g allocations per run", got)
		}
	})
}

func TestMatMulQ8Panics(t *testing.T) {
	const rows, cols, n = 16, 64, 2
	needNEON(t)
	rng := noise(1)
	w, acts, dst := rng.weights(t, quant.Q4_1, rows, cols), rng.acts(n, cols), make([]float32, rows*n)
	mul := func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
		kernels.MatMulNEON(new(kernels.Scratch), kernels.Q41, false, dst, dstStride, w, rows, cols, acts, n)
	}
	for what, f := range map[string]func(){
		"weights":     func() { mul(dst, rows, w[:len(w)-1], rows, cols, acts, n) },
		"destination": func() { mul(dst[:len(dst)-1], rows, w, rows, cols, acts, n) },
		"stride":      func() { mul(dst, rows-1, w, rows, cols, acts, n) },
		"columns":     func() { mul(dst, rows, w, rows, cols-1, acts, n) },
		"no columns":  func() { mul(dst, rows, w, rows, 0, acts, n) },
		"rows":        func() { mul(dst, rows, w, -1, cols, acts, n) },
		"n":           func() { mul(dst, rows, w, rows, cols, acts, -1) },
		"activations": func() { mul(dst, rows, w, rows, cols, acts[:len(acts)-1], n) },
		"packed rows": func() {
			kernels.MatMulNEON(new(kernels.Scratch), kernels.Q41, true, dst, rows, w, rows-1, cols, acts, n)
		},
		"block": func() {
			kernels.MatMulNEON(new(kernels.Scratch), kernels.Q4K, false, dst, rows, w, rows, cols, acts, n)
		},
		"format": func() { kernels.MatMulNEON(new(kernels.Scratch), 99, false, dst, rows, w, rows, cols, acts, n) },
	} {
		mustPanic(t, what, f)
	}
}
