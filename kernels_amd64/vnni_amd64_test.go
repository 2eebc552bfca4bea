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

// vnniCases lists the products with AVX-512 VNNI, none where the CPU lacks it.
func vnniCases(tb testing.TB) []productCase {
	if !has(tb, "avx512vnni") {
		return nil
	}
	return productCases("VNNI", kernels.MatMulVNNI)
}

// compareVNNI multiplies in guarded memory: plain rows as the reference does, packed rows to the bit as plain ones.
func compareVNNI(t *testing.T, mem *arena, k productCase, w []byte, rows, cols int, acts []byte, n int) {
	t.Helper()
	what := fmt.Sprintf("rows %d, cols %d, n %d", rows, cols, n)
	stride := rows + rows%3
	want := filled(n * stride)
	mem.reset()
	got := put(mem, want)
	k.plain(got, stride, put(mem, w), rows, cols, put(mem, acts), n)
	mem.check(what)
	if rows%quant.PackRows == 0 {
		again := put(mem, want)
		k.packed(again, stride, put(mem, packRows(k.typ, w, rows, cols)), rows, cols, put(mem, acts), n)
		mem.check(what + ", packed")
		sameBits(t, what+", packed", again, got)
	}
	quant.MatMulQ8(k.typ, want, stride, w, rows, cols, acts, n)
	size := magnitudes(k.typ, stride, w, rows, cols, acts, n)
	for i := range want {
		if i%max(stride, 1) >= rows {
			size[i] = 0 // between the rows: untouched
		}
		if diff := math.Abs(float64(got[i]) - float64(want[i])); !(diff <= 0x1p-22*size[i]) {
			t.Fatalf("%s: element %d is %v, want %v within %g", what, i, got[i], want[i], 0x1p-22*size[i])
		}
	}
}

// TestMatMulVNNIEqualsReference has all kinds of remainders of rows and tokens.
func TestMatMulVNNIEqualsReference(t *testing.T) {
	for _, k := range vnniCases(t) {
		t.Run(k.typ.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			mem := newArena(t, rng)
			check := func(rows, blocks, n int) {
				t.Helper()
				cols := blocks * k.typ.BlockLen()
				compareVNNI(t, mem, k, blockWeights(rng, k.typ, rows, cols), rows, cols, blockActs(normals(rng, n*cols), n), n)
			}
			for rows := range 51 {
				check(rows, []int{1, 2, 3}[rng.IntN(3)], []int{0, 1, 2, 3, 7}[rng.IntN(5)])
			}
			for n := range 71 {
				check([]int{5, 16, 17, 32, 48, 50}[rng.IntN(6)], 1, n)
			}
			for _, blocks := range []int{1, 2, 3, 18} {
				check(32, blocks, 2)
				check(33, blocks, 1)
			}
			check(96, 2, 67)
			// More than one call.
			long := 9216 / k.typ.BlockLen()
			check(64, long, 1)
			check(15, long, 31)
			check(35, long, 31)
		})
	}
}

// TestMatMulVNNITable multiplies so many rows that scales come from a table, of all sizes that activations may have: the bits are
// those of each row alone.
func TestMatMulVNNITable(t *testing.T) {
	const rows, n = 32, 64
	for _, k := range vnniCases(t) {
		t.Run(k.typ.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			cols := 3 * k.typ.BlockLen()
			for range 8 {
				w := blockWeights(rng, k.typ, rows, cols)
				for b := 0; b < len(w); b += k.typ.BlockBytes() {
					for _, at := range k.typ.Halves() {
						// Most are what they are; the largest, the smallest, nothing.
						if edge := []uint16{0x7bff, 0xfbff, 0x0001, 0x8001, 0x03ff, 0, 0x8000}; rng.IntN(3) == 0 {
							binary.LittleEndian.PutUint16(w[b+at:], edge[rng.IntN(len(edge))])
						}
					}
				}
				x := normals(rng, n*cols)
				for b := 0; b < len(x); b += quant.ActBlock {
					size := math.Ldexp(1, []int{0, -96 + rng.IntN(200), rng.IntN(8)}[rng.IntN(3)])
					for i := range x[b:][:quant.ActBlock] {
						x[b+i] *= float32(size)
					}
				}
				x[rng.IntN(len(x))], x[rng.IntN(len(x))] = float32(math.NaN()), 1<<106
				dst, one := make([]float32, n*rows), make([]float32, rows)
				packed := packRows(k.typ, w, rows, cols)
				k.packed(dst, rows, packed, rows, cols, blockActs(x, n), n)
				for i := range n {
					k.packed(one, rows, packed, rows, cols, blockActs(x[i*cols:][:cols], 1), 1)
					for r := range one {
						both := one[r] != one[r] && dst[i*rows+r] != dst[i*rows+r]
						if !both && math.Float32bits(one[r]) != math.Float32bits(dst[i*rows+r]) {
							t.Fatalf("row %d of %d, result %d: %v, alone %v", i, n, r, dst[i*rows+r], one[r])
						}
					}
				}
			}
		})
	}
}

// TestMatMulVNNIExtremes has the largest integers that there are, of both signs.
func TestMatMulVNNIExtremes(t *testing.T) {
	const rows, n = 32, 3
	patterns := []func(i int) byte{
		func(int) byte { return 0x00 },
		func(int) byte { return 0xff },
		func(int) byte { return 0x80 },
		func(int) byte { return 0x7f },
		func(i int) byte { return byte(0x0f + 0xe1*(i%2)) },
		func(i int) byte { return byte(0x80 - i%2) },
	}
	for _, k := range vnniCases(t) {
		t.Run(k.typ.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			mem := newArena(t, rng)
			cols := 2 * k.typ.BlockLen()
			for _, weight := range patterns {
				w := blockWeights(rng, k.typ, rows, cols)
				for i := range w {
					w[i] = weight(i)
				}
				for b := 0; b < len(w); b += k.typ.BlockBytes() {
					for _, at := range k.typ.Halves() {
						// 1, the largest, the smallest, nothing.
						binary.LittleEndian.PutUint16(w[b+at:], []uint16{0x3c00, 0x7bff, 0xfbff, 0x0001, 0x8001, 0x03ff, 0, 0x8000}[rng.IntN(8)])
					}
				}
				for _, act := range []func(i int) float32{
					func(int) float32 { return 127 },
					func(int) float32 { return -127 },
					func(i int) float32 { return float32(127 - 254*(i%2)) },
					func(i int) float32 { return float32(127 - 254*(i/2%2)) },
					func(int) float32 { return 0 },
				} {
					x := make([]float32, n*cols)
					for i := range x {
						x[i] = act(i)
					}
					compareVNNI(t, mem, k, w, rows, cols, blockActs(x, n), n)
				}
			}
		})
	}
}

// TestMatMulVNNIAlone wants the bits of a large product from single rows and tokens, and from pairs of tokens, too.
func TestMatMulVNNIAlone(t *testing.T) {
	const rows, n = 53, 70
	for _, k := range vnniCases(t) {
		t.Run(k.typ.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			cols := 2 * k.typ.BlockLen()
			w, x := blockWeights(rng, k.typ, rows, cols), normals(rng, n*cols)
			all, one := make([]float32, rows*n), make([]float32, rows*n)
			k.plain(all, rows, w, rows, cols, blockActs(x, n), n)
			rowBytes := len(w) / rows
			for tok := range n {
				acts := blockActs(x[tok*cols:][:cols], 1)
				for r := range rows {
					k.plain(one[tok*rows+r:], 1, w[r*rowBytes:], 1, cols, acts, 1)
				}
			}
			sameBits(t, "single elements", one, all)
			for _, n := range []int{1, 2} {
				for tok := 0; tok < len(x)/cols; tok += n {
					k.plain(one[tok*rows:], rows, w, rows, cols, blockActs(x[tok*cols:][:n*cols], n), n)
				}
				sameBits(t, fmt.Sprintf("tokens by %d", n), one, all)
			}
		})
	}
}

// TestNoAllocationVNNI runs every product with pairs of groups, with what is left of them, and with few rows.
func TestNoAllocationVNNI(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, k := range vnniCases(t) {
		cols := k.typ.BlockLen()
		for _, rows := range []int{3, 16, 48} {
			for _, n := range []int{1, 18} {
				w, acts, dst := blockWeights(rng, k.typ, rows, cols), blockActs(normals(rng, n*cols), n), make([]float32, n*rows)
				if got := testing.AllocsPerRun(10, func() { k.plain(dst, rows, w, rows, cols, acts, n) }); got != 0 {
					t.Errorf("%v: %v allocations", k.typ, got)
				}
				if rows%quant.PackRows != 0 {
					continue
				}
				if got := testing.AllocsPerRun(10, func() { k.packed(dst, rows, w, rows, cols, acts, n) }); got != 0 {
					t.Errorf("packed %v: %v allocations", k.typ, got)
				}
			}
		}
	}
}

// TestBrokenLengthsVNNI wants a panic, and before any memory is touched, from each wrong length.
func TestBrokenLengthsVNNI(t *testing.T) {
	if !has(t, "avx512vnni") {
		t.Skip("this CPU has no AVX-512 VNNI")
	}
	f, b, a := make([]float32, 1000), make([]byte, 1000), quant.NewActs(1024)
	mul := func(f32 matMulQ8, dst, stride, w, rows, cols, acts, n int) func() {
		return func() { f32(f[:dst], stride, b[:w], rows, cols, a[:acts], n) }
	}
	cases := vnniCases(t)
	plain, pack := cases[kernels.Q41].plain, cases[kernels.Q41].packed
	mul(plain, 18, 9, 360, 9, 64, 256, 2)()
	mul(pack, 32, 16, 640, 16, 64, 256, 2)()
	for name, call := range map[string]func(){
		"short dst":         mul(plain, 17, 9, 360, 9, 64, 256, 2),
		"stride under rows": mul(plain, 18, 8, 360, 9, 64, 256, 2),
		"short weights":     mul(plain, 18, 9, 359, 9, 64, 256, 2),
		"negative rows":     mul(plain, 18, 9, 360, -1, 64, 256, 2),
		"part of a block":   mul(plain, 18, 9, 360, 9, 63, 256, 2),
		"part of a K block": mul(cases[kernels.Q4K].plain, 18, 9, 360, 9, 64, 256, 2),
		"no columns":        mul(plain, 18, 9, 360, 9, 0, 0, 2),
		"short activations": mul(plain, 18, 9, 360, 9, 64, 255, 2),
		"long activations":  mul(plain, 18, 9, 360, 9, 64, 320, 2),
		"negative tokens":   mul(plain, 18, 9, 360, 9, 64, 256, -1),
		"part of a group":   mul(pack, 32, 16, 640, 15, 64, 256, 2),
		"packed, short":     mul(pack, 32, 16, 639, 16, 64, 256, 2),
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

// TestMatMulListedVNNI: leaving out blocks that are zeros changes no bit, in either layout.
func TestMatMulListedVNNI(t *testing.T) {
	testListed(t, vnniCases(t), kernels.MatMulVNNI, kernels.MatMulListedVNNI)
}
