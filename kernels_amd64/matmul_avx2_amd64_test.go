//go:build !purego && unix

package kernels_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// tileCases lists the products with AVX2, and those with AVX-VNNI where the CPU has it.
func tileCases(tb testing.TB) []productCase {
	needAVX2(tb)
	cases := productCases("AVX2", kernels.MatMulAVX2)
	if has(tb, "avxvnni") {
		cases = append(cases, productCases("AVXVNNI", kernels.MatMulAVXVNNI)...)
	}
	return cases
}

// compareTile multiplies in guarded memory and compares with the reference, and packed rows with plain ones to the bit.
func compareTile(t *testing.T, mem *arena, k productCase, w []byte, rows, cols int, acts []byte, n int) {
	t.Helper()
	what := fmt.Sprintf("%s rows %d, cols %d, n %d", k.typ, rows, cols, n)
	stride := rows + rows%3
	want, empty := filled(n*stride), filled(n*stride)
	mem.reset()
	got := put(mem, empty)
	held := mem.take(len(acts), 4)
	copy(held, acts)
	k.plain(got, stride, put(mem, w), rows, cols, held, n)
	mem.check(what)
	quant.MatMulQ8(k.typ, want, stride, w, rows, cols, acts, n)
	size := magnitudes(k.typ, stride, w, rows, cols, acts, n)
	for i := range want {
		diff := math.Abs(float64(got[i]) - float64(want[i]))
		if same := math.Float32bits(got[i]) == math.Float32bits(want[i]) || got[i] != got[i] && want[i] != want[i]; same {
			continue
		}
		// The reference rounds twice in one of 2^29 cases, by 2^-24 of a partial sum.
		if !(diff <= size[i]*0x1p-22) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
	whole := rows / quant.PackRows * quant.PackRows
	packed := put(mem, packRows(k.typ, w, rows, cols))
	again := put(mem, filled(n*stride))
	k.packed(again, stride, packed, whole, cols, held, n)
	mem.check(what + ", packed")
	for i := range n {
		sameBits(t, what+", packed", again[i*stride:][:whole], got[i*stride:][:whole])
		sameBits(t, what+", beyond packed", again[i*stride:][whole:stride], empty[whole:stride])
	}
}

func TestTileProductsEqualReference(t *testing.T) {
	for _, k := range tileCases(t) {
		t.Run(k.isa+"/"+k.typ.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			mem := newArena(t, rng)
			for rows := range 51 {
				blocks := []int{1, 2, 3, 18}[rng.IntN(4)]
				if k.typ.BlockLen() > 32 {
					blocks = min(blocks, 3)
				}
				cols, n := blocks*k.typ.BlockLen(), []int{0, 1, 2, 3, 15, 17}[rng.IntN(6)]
				compareTile(t, mem, k, blockWeights(rng, k.typ, rows, cols), rows, cols, blockActs(normals(rng, n*cols), n), n)
			}
			for n := range 41 {
				rows, cols := 17, (1+rng.IntN(2))*k.typ.BlockLen()
				compareTile(t, mem, k, blockWeights(rng, k.typ, rows, cols), rows, cols, blockActs(normals(rng, n*cols), n), n)
			}
			compareTile(t, mem, k, blockWeights(rng, k.typ, 33, 512), 33, 512, blockActs(normals(rng, 131*512), 131), 131)
		})
	}
}

// TestTilesExtremes has the largest integers, where int16 sums would saturate if too many products went into one, and
// scales from nothing to infinity.
func TestTilesExtremes(t *testing.T) {
	const rows, n = 19, 5
	scales := []uint16{0x3c00, 0x7bff, 0xfbff, 0x0001, 0x8001, 0x03ff, 0x0000, 0x8000}
	weights := []func(i int) byte{
		func(int) byte { return 0x00 },
		func(int) byte { return 0xff },
		func(int) byte { return 0x80 },
		func(int) byte { return 0x7f },
		func(i int) byte { return byte(0x0f + 0xe1*(i%2)) },
		func(i int) byte { return byte(0x80 - i%2) },
	}
	acts := []func(i int) float32{
		func(int) float32 { return 127 },
		func(int) float32 { return -127 },
		func(i int) float32 { return float32(127 - 254*(i%2)) },
		func(i int) float32 { return float32(127 - 254*(i/2%2)) },
		func(i int) float32 { return float32(127 - 254*(i/16%2)) },
		func(int) float32 { return 0 },
		func(int) float32 { return 1e-44 },
	}
	for _, k := range tileCases(t) {
		t.Run(k.isa+"/"+k.typ.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			mem := newArena(t, rng)
			cols := 2 * k.typ.BlockLen()
			w, x := make([]byte, rows*2*k.typ.BlockBytes()), make([]float32, n*cols)
			for _, weight := range weights {
				for _, act := range acts {
					for i := range x {
						x[i] = act(i)
					}
					for i := range w {
						w[i] = weight(i)
					}
					for b := 0; b < len(w); b += k.typ.BlockBytes() {
						for _, at := range k.typ.Halves() {
							binary.LittleEndian.PutUint16(w[b+at:], scales[rng.IntN(len(scales))])
						}
					}
					compareTile(t, mem, k, w, rows, cols, blockActs(x, n), n)
				}
			}
		})
	}
}

// TestTilesShowFaults wants NaN where the scale of an activation block or of the weights is NaN, and nowhere else.
func TestTilesShowFaults(t *testing.T) {
	const rows, n, bad = 16, 3, 1
	for _, k := range tileCases(t) {
		rng := rand.New(rand.NewPCG(5, 6))
		cols := k.typ.BlockLen()
		w, x := blockWeights(rng, k.typ, rows, cols), normals(rng, n*cols)
		x[bad*cols+7] = float32(math.NaN())
		binary.LittleEndian.PutUint16(w[5*k.typ.BlockBytes()+k.typ.Halves()[0]:], 0x7e00)
		dst := make([]float32, rows*n)
		k.packed(dst, rows, packRows(k.typ, w, rows, cols), rows, cols, blockActs(x, n), n)
		for i, f := range dst {
			if isNaN, want := f != f, i/rows == bad || i%rows == 5; isNaN != want {
				t.Errorf("%s %v: element %d is %v", k.isa, k.typ, i, f)
			}
		}
	}
}

// TestTilesAlone wants the bits of a large product from single rows and activation rows too, and from every set.
func TestTilesAlone(t *testing.T) {
	const rows, n = 48, 21
	results := map[quant.Type][]float32{}
	for _, k := range tileCases(t) {
		rng := rand.New(rand.NewPCG(7, 8))
		cols := 2 * k.typ.BlockLen()
		w, x := blockWeights(rng, k.typ, rows, cols), normals(rng, n*cols)
		packed, acts := packRows(k.typ, w, rows, cols), blockActs(x, n)
		all, one := make([]float32, rows*n), make([]float32, rows*n)
		k.packed(all, rows, packed, rows, cols, acts, n)
		for i := range n {
			act := blockActs(x[i*cols:][:cols], 1)
			for r := range rows {
				k.plain(one[i*rows+r:], 1, w[r*len(w)/rows:], 1, cols, act, 1)
			}
			sameBits(t, "plain elements of "+k.typ.String(), one[i*rows:][:rows], all[i*rows:][:rows])
			k.packed(one[i*rows:], rows, packed, rows, cols, act, 1)
			sameBits(t, "packed rows of "+k.typ.String(), one[i*rows:][:rows], all[i*rows:][:rows])
		}
		if first := results[k.typ]; first != nil {
			sameBits(t, k.isa+" of "+k.typ.String(), all, first)
		}
		results[k.typ] = all
	}
}

// TestMatMulTile compares the product of unpacked tiles with the reference in float64.
func TestMatMulTile(t *testing.T) {
	needAVX2(t)
	type record struct {
		W    [8][16][4]int8
		D, M [2][16]float32
	}
	rng := rand.New(rand.NewPCG(9, 10))
	mem := newArena(t, rng)
	for n := range 70 {
		blocks, stride, dstStride := 1+rng.IntN(8), n+rng.IntN(3), 16+rng.IntN(5)
		tile := make([]record, blocks)
		for b := range tile {
			for i := range 512 {
				tile[b].W[i/64][i/4%16][i%4] = int8([]int{rng.IntN(256) - 128, -128, 127}[rng.IntN(3)])
			}
			for i := range 32 {
				tile[b].D[i/16][i%16], tile[b].M[i/16][i%16] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
			}
		}
		acts := blockActs(normals(rng, stride*blocks*32), stride)
		mem.reset()
		start := filled(n * dstStride)
		dst, held := put(mem, start), mem.take(len(acts), 4)
		copy(held, acts)
		place := put(mem, tile)
		kernels.MatMulTileAVX2(dst, dstStride, (*byte)(unsafe.Pointer(&place[0])), blocks, held, stride, n)
		mem.check("tile")
		all := quant.ActsOf(acts)
		for i := range dst {
			row, r, want, size := i/dstStride, i%dstStride, float64(start[i]), math.Abs(float64(start[i]))
			for b := range tile {
				for c := 0; r < 16 && c < 32; c++ {
					a, rec := &all[b*stride+row], &tile[b]
					x := float64(rec.D[c/16][r])*float64(rec.W[c/4][r][c%4]) + float64(rec.M[c/16][r])
					want += x * float64(a.D) * float64(a.Q[c])
					size += math.Abs(x * float64(a.D) * float64(a.Q[c]))
				}
			}
			if diff := math.Abs(float64(dst[i]) - want); !(diff <= size*0x1p-20) {
				t.Fatalf("n %d: element %d is %v, want %v", n, i, dst[i], want)
			}
		}
	}
}

func TestTilesAllocateNothing(t *testing.T) {
	for _, k := range tileCases(t) {
		rng := rand.New(rand.NewPCG(11, 12))
		cols := k.typ.BlockLen()
		w := blockWeights(rng, k.typ, 35, cols)
		packed := packRows(k.typ, w, 35, cols)
		for _, n := range []int{1, 70} {
			acts, dst := blockActs(normals(rng, n*cols), n), make([]float32, n*35)
			for rows, mul := range map[int]func(){
				3:  func() { k.plain(dst, 35, w, 3, cols, acts, n) },
				35: func() { k.plain(dst, 35, w, 35, cols, acts, n) },
				32: func() { k.packed(dst, 35, packed, 32, cols, acts, n) },
			} {
				if got := testing.AllocsPerRun(10, mul); got != 0 {
					t.Errorf("%s %v, %d rows, n %d: %v allocations", k.isa, k.typ, rows, n, got)
				}
			}
		}
	}
}

// TestTilesBrokenLengths wants a panic, and before any memory is touched, from each wrong length.
func TestTilesBrokenLengths(t *testing.T) {
	needAVX2(t)
	f, b, acts := make([]float32, 1000), make([]byte, 1000), quant.NewActs(1000)
	plain := func(dst, stride, w, rows, cols, act, n int) func() {
		return func() { kernels.MatMulAVX2(kernels.Q41, false, f[:dst], stride, b[:w], rows, cols, acts[:act], n) }
	}
	packed := func(dst, stride, w, rows, cols, act, n int) func() {
		return func() { kernels.MatMulAVX2(kernels.Q41, true, f[:dst], stride, b[:w], rows, cols, acts[:act], n) }
	}
	tile := func(dst, dstStride, blocks, act, stride, n int) func() {
		return func() { kernels.MatMulTileAVX2(f[:dst], dstStride, &b[0], blocks, acts[:act], stride, n) }
	}
	plain(18, 9, 360, 9, 64, 256, 2)()
	packed(32, 16, 640, 16, 64, 256, 2)()
	tile(33, 17, 1, 128, 3, 2)()
	for name, call := range map[string]func(){
		"short dst":             plain(17, 9, 360, 9, 64, 256, 2),
		"stride under rows":     plain(18, 8, 360, 9, 64, 256, 2),
		"short weights":         plain(18, 9, 359, 9, 64, 256, 2),
		"negative rows":         plain(18, 9, 360, -1, 64, 256, 2),
		"part of a block":       plain(18, 9, 360, 9, 63, 256, 2),
		"no columns":            plain(18, 9, 360, 9, 0, 0, 2),
		"short activations":     plain(18, 9, 360, 9, 64, 255, 2),
		"long activations":      plain(18, 9, 360, 9, 64, 257, 2),
		"negative n":            plain(18, 9, 360, 9, 64, 256, -1),
		"part of a group":       packed(30, 15, 640, 15, 64, 256, 2),
		"short group":           packed(32, 16, 639, 16, 64, 256, 2),
		"tile: short dst":       tile(32, 17, 1, 128, 3, 2),
		"tile: stride":          tile(33, 15, 1, 128, 3, 2),
		"tile: act stride":      tile(33, 17, 1, 128, 1, 2),
		"tile: short acts":      tile(33, 17, 1, 127, 3, 2),
		"tile: negative n":      tile(33, 17, 1, 128, 3, -1),
		"tile: negative blocks": tile(33, 17, -1, 128, 3, 2),
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

// TestMatMulListedAVX2: leaving out blocks that are zeros changes no bit, in either layout.
func TestMatMulListedAVX2(t *testing.T) {
	needAVX2(t)
	testListed(t, productCases("AVX2", kernels.MatMulAVX2), kernels.MatMulAVX2, kernels.MatMulListedAVX2)
	if kernels.HasAVXVNNI() {
		testListed(t, productCases("AVXVNNI", kernels.MatMulAVXVNNI), kernels.MatMulAVXVNNI, kernels.MatMulListedAVXVNNI)
	}
}
