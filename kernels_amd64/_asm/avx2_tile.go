package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A tile holds up to 256 columns of 16 rows, unpacked. Its records, one for 32 columns, begin as kernel.TileBlock does:
// weights [8][16 rows][4] bytes, scales [2][16] float32 and minima [2][16] float32, one for each half of the columns; a
// format with one scale uses the first. Where AVX2 multiplies 8-bit weights in two halves of 4 bits, the first plane of
// weights has the low bits and a second one, at the end, the high bits.
const (
	planeBytes = 512
	scaleAt    = planeBytes
	minAt      = scaleAt + 128
	tileBytes  = minAt + 128
	planeAt    = tileBytes
	wideBytes  = planeAt + planeBytes
)

// sumBytes is one activation row's float sums of 16 rows.
const sumBytes = 64

// maxShared is how many activation rows share one load of the weights: with 16 rows they need eight of the 16 vector
// registers for their sums.
const maxShared = 4

// run is a part of the columns of a block whose products fit an int16 together.
type run struct {
	plane int // of the weights
	steps []int
	times int // factor of the sum
}

func steps(first, count int) []int {
	s := make([]int, count)
	for i := range s {
		s[i] = first + i
	}
	return s
}

// product is a way to multiply tiles with activations.
type product struct {
	name, doc string
	halves    [][]run // runs of each half with a scale of its own, or all in one
	record    int
	offset    bool // the sums of integers begin with N, or NA and NB
	hasMin    bool
	signed    bool // signed weights, multiplied by magnitudes
	vnni      bool // VPDPBUSD adds up in int32, runs do not matter
}

// products lists the ways for AVX2. A pair of products is at most 2*127 times the largest weight, and an int16 holds 32767:
// eight pairs of 4 bits (30480), four of 5 (31496), two of 6 (32004).
func products() []product {
	one := func(steps []int, times int) run { return run{0, steps, times} }
	all, first, last := steps(0, 8), steps(0, 4), steps(4, 4)
	return []product{
		{name: "U4Min", doc: "4-bit weights with minima", record: tileBytes, hasMin: true, halves: [][]run{{one(all, 1)}}},
		{
			name: "U4", doc: "4-bit weights with an offset of 8, scales divided by 16", record: tileBytes, offset: true,
			halves: [][]run{{one(all, 16)}},
		},
		{
			name: "U5Min", doc: "5-bit weights with minima", record: tileBytes, hasMin: true,
			halves: [][]run{{one(first, 1), one(last, 1)}},
		},
		{
			name: "U5", doc: "5-bit weights with an offset of 16, scales divided by 8", record: tileBytes, offset: true,
			halves: [][]run{{one(first, 8), one(last, 8)}},
		},
		{
			name: "U8", doc: "8-bit weights with an offset of 128, in two planes", record: wideBytes, offset: true,
			halves: [][]run{{{0, all, 1}, {planeAt, all, 16}}},
		},
		{
			name: "U6Halves", doc: "6-bit weights with an offset of 32, scales of 16 columns divided by 4", record: tileBytes, offset: true,
			halves: [][]run{{one(steps(0, 2), 4), one(steps(2, 2), 4)}, {one(steps(4, 2), 4), one(steps(6, 2), 4)}},
		},
		{
			name: "U3Halves", doc: "3-bit weights with an offset of 4, scales of 16 columns divided by 32", record: tileBytes, offset: true,
			halves: [][]run{{one(first, 32)}, {one(last, 32)}},
		},
		{
			name: "U2HalvesMin", doc: "2-bit weights with scales and minima of 16 columns", record: tileBytes, hasMin: true,
			halves: [][]run{{one(first, 1)}, {one(last, 1)}},
		},
		{
			name: "S8HalvesMin", doc: "signed 8-bit weights with scales and minima of 16 columns", record: tileBytes, hasMin: true,
			signed: true, halves: [][]run{{one(first, 1)}, {one(last, 1)}},
		},
	}
}

// tileProducts generates the products of tiles for AVX2.
func tileProducts(a *asm) {
	for _, p := range products() {
		(&tileKernel{asm: a, product: p}).generate()
		if p.name != "S8HalvesMin" {
			(&tileKernel{asm: a, product: p}).generateListed()
		}
	}
	storeSums(a)
}

// tileKernel generates one product.
type tileKernel struct {
	*asm
	product
	tile, a, sums, spill reg.Register
	rows                 []reg.Register // of a list: how far its activation rows, and their sums, are from the first
}

func (k *tileKernel) isa() string {
	if k.vnni {
		return "AVXVNNI"
	}
	return "AVX2"
}

// generateListed generates the product that looks at some activation rows only, which a mask names for each block.
func (k *tileKernel) generateListed() {
	name := "mulTile" + k.name + "Listed" + k.isa()
	k.Function(name)
	k.Doc(
		fmt.Sprintf("%s is mulTile%s%s for the activation rows of which a bit is set in the mask of the block:", name, k.name, k.isa()),
		"bit t of the mask for row t < 64. next bytes lead from mask to mask.")
	k.Pragma("noescape")
	k.SignatureExpr("func(sums *float32, tile *byte, blocks int, acts *byte, stride int, keep *uint64, next int)")
	k.tile, k.a, k.sums = k.param("tile"), k.param("acts"), k.param("sums")
	keep, mask, left, less := k.param("keep"), k.GP64(), k.GP64(), k.GP64()
	k.spill = k.GP64()
	k.alignedLocal(k.spill, 2*maxShared*sumBytes)
	for range maxShared {
		k.rows = append(k.rows, k.GP64())
	}
	k.Label("block")
	k.MOVQ(at(keep, 0), mask)
	k.POPCNTQ(mask, left)
	k.inGroups(left, func(t int) {
		for _, row := range k.rows[:t] {
			// The lowest bit that is set, which is then cleared; actBytes and sumBytes are 1<<6.
			k.BSFQ(mask, row)
			k.SHLQ(Imm(6), row)
			k.LEAQ(at(mask, -1), less)
			k.ANDQ(less, mask)
		}
		k.tokens(t)
	})
	k.ADDQ(I32(int32(k.record)), k.tile)
	k.ADDQ(k.paramMem("stride"), k.a)
	k.ADDQ(k.paramMem("next"), keep)
	k.DECQ(k.paramMem("blocks"))
	k.JNZ(LabelRef("block"))
	k.VZEROUPPER()
	k.RET()
}

func (k *tileKernel) generate() {
	k.Function("mulTile" + k.name + k.isa())
	k.describe()
	k.Pragma("noescape")
	k.SignatureExpr("func(sums *float32, tile *byte, blocks int, acts *byte, stride, n int)")
	k.tile = k.param("tile")
	acts, blocks, stride := k.param("acts"), k.param("blocks"), k.param("stride")
	k.a, k.sums, k.spill = k.GP64(), k.GP64(), k.GP64()
	k.alignedLocal(k.spill, 2*maxShared*sumBytes)
	n := k.GP64()

	k.Label("block")
	k.MOVQ(acts, k.a)
	k.MOVQ(k.paramMem("sums"), k.sums)
	k.MOVQ(k.paramMem("n"), n)
	k.inGroups(n, func(t int) {
		k.tokens(t)
		k.ADDQ(I32(int32(t*actBytes)), k.a)
		k.ADDQ(I32(int32(t*sumBytes)), k.sums)
	})
	k.ADDQ(I32(int32(k.record)), k.tile)
	k.ADDQ(stride, acts)
	k.DECQ(blocks)
	k.JNZ(LabelRef("block"))
	k.VZEROUPPER()
	k.RET()
}

// inGroups generates a step for as many activation rows at a time as there are left, 4, 2 or 1.
func (k *tileKernel) inGroups(left reg.Register, step func(t int)) {
	for t := maxShared; t >= 1; t /= 2 {
		next := fmt.Sprintf("fewer%d", t)
		if t == 1 {
			next = "next"
		}
		k.Label(fmt.Sprintf("tokens%d", t))
		k.CMPQ(left, Imm(uint64(t)))
		k.JLT(LabelRef(next))
		step(t)
		k.SUBQ(Imm(uint64(t)), left)
		if t == maxShared {
			k.JMP(LabelRef(fmt.Sprintf("tokens%d", t)))
		}
		k.Label(next)
	}
}

// act is the place of byte i of the Act of activation row t.
func (k *tileKernel) act(t, i int) Mem {
	if k.rows != nil {
		return atIndex(k.a, k.rows[t], 1, i)
	}
	return at(k.a, t*actBytes+i)
}

// sumOf is the place of half h of the float sums of activation row t.
func (k *tileKernel) sumOf(t, h int) Mem {
	if k.rows != nil {
		return atIndex(k.sums, k.rows[t], 1, 32*h)
	}
	return at(k.sums, t*sumBytes+32*h)
}

// spilled is a place for a vector of integer sums of activation row t.
func (k *tileKernel) spilled(t, h int) Mem { return at(k.spill, t*sumBytes+32*h) }

// firstHalf is the place of the scaled sums of the first half of the columns.
func (k *tileKernel) firstHalf(t, h int) Mem { return k.spilled(maxShared+t, h) }

// pair is a vector for each 8 rows.
type pair [2]reg.VecVirtual

// tokens multiplies one block with n activation rows and adds to their sums.
func (k *tileKernel) tokens(n int) {
	sums := k.integers(k.halves[0], 0, n)
	if len(k.halves) == 2 {
		for t := range n {
			for h, x := range sums[t] {
				k.VCVTDQ2PS(x, x)
				k.VMULPS(at(k.tile, scaleAt+32*h), x, x)
				k.VMOVUPS(x, k.firstHalf(t, h))
			}
		}
		sums = k.integers(k.halves[1], 1, n)
	}
	for t := range n {
		k.finish(t, sums[t])
	}
}

// integers returns the integer sums of one half of the columns, or of all.
func (k *tileKernel) integers(runs []run, half, n int) []pair {
	var sums []pair
	if k.vnni {
		sums = k.start(half, n)
		for _, r := range runs {
			k.dot(r, sums)
		}
		return sums
	}
	for i, r := range runs {
		sums = make([]pair, n)
		k.dot(r, sums)
		times := k.constant(fmt.Sprintf("times%d", r.times), 0x00010001*uint32(r.times))
		for t := range n {
			for h, x := range sums[t] {
				if !k.signed {
					k.VPMADDWD(times, x, x)
				}
				if i > 0 {
					k.VPADDD(k.spilled(t, h), x, x)
				}
				if i < len(runs)-1 {
					k.VMOVDQU(x, k.spilled(t, h))
				}
			}
		}
	}
	if k.offset {
		for t := range n {
			offset := k.YMM()
			k.VPBROADCASTD(k.act(t, k.offsetAt(half)), offset)
			for _, x := range sums[t] {
				k.VPADDD(offset, x, x)
			}
		}
	}
	return sums
}

// offsetAt is the place in an Act of what the offset adds to the sums of a half of the columns, or of all.
func (p *product) offsetAt(half int) int {
	if len(p.halves) == 1 {
		return actN
	}
	return []int{actNA, actNB}[half]
}

// start returns the first values of the sums of VPDPBUSD.
func (k *tileKernel) start(half, n int) []pair {
	sums := make([]pair, n)
	for t := range n {
		for h := range 2 {
			x := k.YMM()
			if k.offset {
				k.VPBROADCASTD(k.act(t, k.offsetAt(half)), x)
			} else {
				k.VPXOR(x, x, x)
			}
			sums[t][h] = x
		}
	}
	return sums
}

// dot adds the products of a run to the sums, or makes them.
func (k *tileKernel) dot(r run, sums []pair) {
	for _, j := range r.steps {
		var w, sign pair
		for h := range 2 {
			w[h] = k.YMM()
			k.VMOVDQU(at(k.tile, r.plane+64*j+32*h), w[h])
			if k.signed {
				sign[h], w[h] = w[h], k.YMM()
				k.VPABSB(sign[h], w[h])
			}
		}
		for t := range sums {
			b := k.YMM()
			k.VPBROADCASTD(k.act(t, 4*j), b)
			for h := range 2 {
				k.step(&sums[t][h], w[h], sign[h], b)
			}
		}
	}
}

// step adds the products of 4 columns.
func (k *tileKernel) step(sum *reg.VecVirtual, w, sign, b reg.VecVirtual) {
	if k.vnni {
		k.VPDPBUSD(b, w, *sum)
		return
	}
	x := k.YMM()
	if k.signed {
		k.VPSIGNB(sign, b, x)
		k.VPMADDUBSW(x, w, x)
		k.VPMADDWD(k.constant("times1", 0x00010001), x, x)
	} else {
		k.VPMADDUBSW(b, w, x)
	}
	switch {
	case *sum == nil:
		*sum = x
	case k.signed:
		k.VPADDD(x, *sum, *sum)
	default:
		k.VPADDW(x, *sum, *sum)
	}
}

// finish scales the integer sums of activation row t and adds them to its float sums, in the order of the reference.
func (k *tileKernel) finish(t int, x pair) {
	d := k.YMM()
	k.VBROADCASTSS(k.act(t, actD), d)
	for h := range 2 {
		sum := k.sumOf(t, h)
		k.VCVTDQ2PS(x[h], x[h])
		scale := d
		if len(k.halves) == 2 {
			second := k.YMM()
			k.VMOVUPS(at(k.tile, scaleAt+64+32*h), second)
			k.VFMADD213PS(k.firstHalf(t, h), second, x[h])
		} else {
			scale = k.YMM()
			k.VMULPS(at(k.tile, scaleAt+32*h), d, scale)
		}
		k.VFMADD213PS(sum, scale, x[h])
	}
	if k.hasMin {
		for half, from := range [][]int{{actS}, {actSA, actSB}}[len(k.halves)-1] {
			s := k.YMM()
			k.VBROADCASTSS(k.act(t, from), s)
			for h := range 2 {
				k.VFMADD231PS(at(k.tile, minAt+64*half+32*h), s, x[h])
			}
		}
	}
	for h := range 2 {
		k.VMOVUPS(x[h], k.sumOf(t, h))
	}
}

func (k *tileKernel) describe() {
	how := "Pairs of products are added in int16 as long as they fit, runs in int32."
	switch {
	case k.vnni:
		how = "VPDPBUSD, in its VEX form, adds up in int32."
	case k.signed:
		how = "Magnitudes of the weights meet activations that got their sign."
	}
	name := "mulTile" + k.name + k.isa()
	k.Doc(
		name+" multiplies a tile of "+k.doc+" with n activation rows:", "",
		"\tfor r < 16, t < n: sums[16*t+r] += dot(tile row r, activation row t)", "",
		fmt.Sprintf("in the order of float operations of quant.MatMulQ8. The tile has blocks records of %d bytes, of 32 columns;", k.record),
		"row t of a block is the Act at acts+64*t, stride bytes lead from block to block. blocks is at least 1. No alignment",
		"is needed. Lanes are rows. "+how)
}

// storeSums generates the copy of the sums to the destination.
func storeSums(a *asm) {
	a.Function("storeSumsAVX2")
	a.Doc("storeSumsAVX2 copies float sums to their places: dst[t*dstStride+r] = sums[16*t+r], r < 16, t < n; n is at least 1.")
	a.Pragma("noescape")
	a.SignatureExpr("func(dst *float32, dstStride int, sums *float32, n int)")
	dst, stride, sums, n := a.param("dst"), a.param("dstStride"), a.param("sums"), a.param("n")
	a.SHLQ(Imm(2), stride)
	a.Label("row")
	for h := range 2 {
		v := a.YMM()
		a.VMOVUPS(at(sums, 32*h), v)
		a.VMOVUPS(v, at(dst, 32*h))
	}
	a.ADDQ(stride, dst)
	a.ADDQ(Imm(sumBytes), sums)
	a.DECQ(n)
	a.JNZ(LabelRef("row"))
	a.VZEROUPPER()
	a.RET()
}
