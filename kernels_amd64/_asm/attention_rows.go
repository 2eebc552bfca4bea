package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowLevels and rowLeast are those of quant.QuantizeRows.
const (
	rowLevels = 127*256 + 127
	rowLeast  = 0x1p-100
)

// quantizeRows generates the quantiser of rows for the products with VPDPBUSD or VPMADDWD, with or without factors.
func quantizeRows(a *asm, vnni, factors bool) {
	name, signature := "quantizeRows", "func(dst *byte, scale *float32, sum *int32, x *float32, stride, m, blocks, n, per int)"
	if factors {
		name = "quantizeWeights"
		signature = "func(dst *byte, scale *float32, sum *int32, x *float32, stride int, factor *byte, m, blocks, n, per int)"
	}
	isa, order := "AVX2", "as words 0, 2, 1, 3 of each four"
	if vnni {
		isa, order = "VNNI", "as four bytes of the high plane, then of the low one, of each four"
	}
	a.function(name+isa, signature, name+isa+" is quant.QuantizeRows with AVX2. The integers are stored "+order+".",
		"stride and n are in values; m, blocks, n and per are positive, n and per multiples of 16.")
	dst, scale, sum, x := a.param("dst"), a.param("scale"), a.param("sum"), a.param("x")
	r := rowQuantizer{asm: a, vnni: vnni, dst: dst, scale: scale, sum: sum, x: x, n: a.param("n")}
	a.Label("row")
	blocks := a.param("blocks")
	if factors {
		r.factor = a.param("factor")
	}
	a.Label("vector")
	r.vector()
	if factors {
		a.ADDQ(U32(128), r.factor)
	}
	a.DECQ(blocks)
	a.JNZ(LabelRef("vector"))
	stride := a.param("stride")
	a.LEAQ(atIndex(x, stride, 4, 0), x)
	a.DECQ(a.paramMem("m"))
	a.JNZ(LabelRef("row"))
	a.ret()
}

type rowQuantizer struct {
	*asm
	vnni                          bool
	dst, scale, sum, x, factor, n reg.Register
}

// load returns the eight values from i + 8*half on, times their factors; a value of zero stays zero.
func (r rowQuantizer) load(i reg.Register, half int) reg.VecVirtual {
	v := r.YMM()
	r.VMOVUPS(atIndex(r.x, i, 4, 32*half), v)
	if r.factor == nil {
		return v
	}
	by, some := r.YMM(), r.YMM()
	r.VXORPS(some, some, some)
	r.VCMPPS(Imm(4), some, v, some) // not equal, or not a number
	r.VCVTPH2PS(atIndex(r.factor, i, 2, 16*half), by)
	r.VMULPS(by, v, v)
	r.VANDPS(some, v, v)
	return v
}

// vector quantises one vector. As integers, magnitudes are in the order of their values, with infinity and NaN above all
// finite ones.
func (r rowQuantizer) vector() {
	i, top, magnitude := r.GP64(), r.YMM(), r.YMM()
	r.VPXOR(top, top, top)
	r.VMOVDQU(r.constant("magnitude", 0x7fffffff), magnitude)
	r.XORQ(i, i)
	r.Label("top")
	for half := range 2 {
		v := r.load(i, half)
		r.VPAND(magnitude, v, v)
		r.VPMAXSD(v, top, top)
	}
	r.ADDQ(Imm(16), i)
	r.CMPQ(i, r.n)
	r.JLT(LabelRef("top"))

	levels := r.levels(top, "rowLevels", rowLevels, r.scale)
	r.ADDQ(Imm(4), r.scale)
	r.integers(i, levels)
}

// integers writes the integers of one vector and their sums.
func (r rowQuantizer) integers(i reg.Register, levels reg.VecVirtual) {
	order, total, per := r.YMM(), r.YMM(), r.param("per")
	if r.vnni {
		r.VMOVDQU(r.constant("planes", 0x07050301, 0x06040200, 0x0f0d0b09, 0x0e0c0a08), order)
	} else {
		r.VMOVDQU(r.constant("pairs", 0x05040100, 0x07060302, 0x0d0c0908, 0x0f0e0b0a), order)
	}
	r.VPXOR(total, total, total)
	r.XORQ(i, i)
	r.Label("integers")
	v, w, some := r.load(i, 0), r.load(i, 1), r.YMM()
	for _, f := range []reg.VecVirtual{v, w} {
		r.VMULPS(levels, f, f)
		r.VCVTPS2DQ(f, f)
	}
	r.VPACKSSDW(w, v, v)
	r.VPERMQ(Imm(0xd8), v, v)
	r.VPMADDWD(r.constant("ones16", 0x00010001), v, some)
	r.VPADDD(some, total, total)
	if r.vnni {
		// q = 256*high + low with low signed: q + 128 has high above, and low + 128 below.
		r.VPADDW(r.constant("half", 0x00800080), v, v)
		r.VPSHUFB(order, v, v)
		r.VPXOR(r.constant("lowSigns", 0, 0x80808080), v, v)
	} else {
		r.VPSHUFB(order, v, v)
	}
	r.VMOVDQU(v, at(r.dst, 0))
	r.ADDQ(Imm(32), r.dst)
	r.ADDQ(Imm(16), i)
	r.SUBQ(Imm(16), per)
	r.JNZ(LabelRef("more"))
	half := r.XMM()
	r.VEXTRACTI128(Imm(1), total, half)
	r.VPADDD(half, total.AsX(), half)
	r.VPHADDD(half, half, half)
	r.VPHADDD(half, half, half)
	r.VMOVD(half, at(r.sum, 0))
	r.ADDQ(Imm(4), r.sum)
	r.VPXOR(total, total, total)
	r.MOVQ(r.paramMem("per"), per)
	r.Label("more")
	r.CMPQ(i, r.n)
	r.JLT(LabelRef("integers"))
}

// wholeWeights generates the quantiser of the weights of a whole page with AVX-512: a row stays in registers for all its vectors.
func wholeWeights(a *asm) {
	const n = 64
	a.function("quantizeWholeVNNI", "func(dst *byte, scale *float32, sum *int32, x *float32, stride int, factor *byte, m, blocks int)",
		"quantizeWholeVNNI is quantizeWeightsVNNI for n = per = 64, with the same bits for finite values.")
	dst, scale, sum, x := a.param("dst"), a.param("scale"), a.param("sum"), a.param("x")
	zero := a.ZMM()
	a.VPXORD(zero, zero, zero)
	a.Label("row")
	var row [n / 16]reg.VecVirtual
	var some [n / 16]reg.Register
	for i := range row {
		row[i], some[i] = a.ZMM(), a.K()
		a.VMOVUPS(at(x, 64*i), row[i])
		a.VCMPPS(Imm(4), zero, row[i], some[i]) // not equal, or not a number
	}
	blocks, factor := a.param("blocks"), a.param("factor")
	a.Label("vector")
	var v [n / 16]reg.VecVirtual
	top := a.ZMM()
	for i := range v {
		v[i] = a.ZMM()
		a.VCVTPH2PS(at(factor, 32*i), v[i])
		a.VMULPS_Z(row[i], v[i], some[i], v[i])
		size := a.ZMM()
		if i == 0 {
			size = top
		}
		a.VPANDD(a.constant("magnitude", 0x7fffffff), v[i], size)
		if i > 0 {
			a.VPMAXSD(size, top, top)
		}
	}
	a.reduce(top, func(from, with, to Op) { a.VPMAXSD(from, with, to) })
	enough, levels, by := a.K(), a.XMM(), a.XMM()
	a.VCMPPS(Imm(6), a.float("rowLeast", rowLeast), top.AsX(), enough) // not at most
	a.VMOVUPS(a.float("rowLevels", rowLevels), levels)
	a.VDIVPS_Z(levels, top.AsX(), enough, by)
	a.VMOVD(by, at(scale, 0))
	a.VDIVPS_Z(top.AsX(), levels, enough, levels)
	factors, total := a.ZMM(), a.ZMM()
	a.VBROADCASTSS(levels, factors)
	for i := range v {
		a.VMULPS(factors, v[i], v[i])
		a.VCVTPS2DQ(v[i], v[i])
		if i == 0 {
			a.VMOVDQA32(v[0], total)
		} else {
			a.VPADDD(v[i], total, total)
		}
	}
	a.reduce(total, func(from, with, to Op) { a.VPADDD(from, with, to) })
	a.VMOVD(total.AsX(), at(sum, 0))
	a.wholePlanes(dst, v[:])
	a.ADDQ(Imm(2*n), dst)
	a.ADDQ(Imm(4), scale)
	a.ADDQ(Imm(4), sum)
	a.ADDQ(U32(2*n), factor)
	a.DECQ(blocks)
	a.JNZ(LabelRef("vector"))
	stride := a.param("stride")
	a.LEAQ(atIndex(x, stride, 4, 0), x)
	a.DECQ(a.paramMem("m"))
	a.JNZ(LabelRef("row"))
	a.ret()
}

// reduce applies op to the 16 lanes of v; the result is in the lowest.
func (a *asm) reduce(v reg.VecVirtual, op func(from, with, to Op)) {
	half := a.ZMM()
	x, y := v.AsX(), v.AsY()
	a.VEXTRACTI64X4(Imm(1), v, half.AsY())
	op(half.AsY(), y, y)
	a.VEXTRACTI32X4(Imm(1), y, half.AsX())
	op(half.AsX(), x, x)
	for _, order := range []uint64{0x4e, 0xb1} {
		a.VPSHUFD(Imm(order), x, half.AsX())
		op(half.AsX(), x, x)
	}
}

// wholePlanes stores integers of 16 bits in 32, four bytes of the high plane, then of the low one, of each four: q = 256*high + low
// with low signed, so q + 128 has high above, and low + 128 below.
func (a *asm) wholePlanes(dst reg.Register, v []reg.VecVirtual) {
	const high, low, none = 0x0d090501, 0x0c080400, 0x80808080
	order := a.ZMM()
	a.VMOVDQU64(a.constant("evenOdd", 0, 0, 2, 0, 4, 0, 6, 0, 1, 0, 3, 0, 5, 0, 7, 0), order)
	for i, q := range v {
		a.VPADDD(a.constant("half32", 128), q, q)
		if i%2 == 0 {
			a.VPSHUFB(a.constant("firstFours", high, low, none, none), q, q)
			continue
		}
		a.VPSHUFB(a.constant("secondFours", none, none, high, low), q, q)
		a.VPORD(v[i-1], q, q)
		a.VPXORD(a.constant("lowSigns", 0, 0x80808080), q, q)
		a.VPERMQ(q, order, q)
		a.VMOVDQU64(q, at(dst, 64*(i/2)))
	}
}

// firstScores generates what a score begins with.
func firstScores(a *asm) {
	a.function("firstScoresAVX2", "func(scores, x *float32, first *byte, ahead, dim, m int)",
		fmt.Sprintf("firstScoresAVX2 sets all of the rows of scores, (m, %d), to the products of the rows of x, (m, dim), with first, (dim)", 64),
		"float32. dim is a multiple of 32. What lies ahead bytes from first is prefetched.")
	scores, x, rows, ahead := a.param("scores"), a.param("x"), a.param("m"), a.param("ahead")
	a.Label("row")
	first, left := a.param("first"), a.param("dim")
	var sums [4]reg.VecVirtual
	for i := range sums {
		sums[i] = a.YMM()
		a.VXORPS(sums[i], sums[i], sums[i])
	}
	a.Label("columns")
	a.PREFETCHT1(atIndex(first, ahead, 1, 0))
	a.PREFETCHT1(atIndex(first, ahead, 1, 64))
	for i, s := range sums {
		v := a.YMM()
		a.VMOVUPS(at(x, 32*i), v)
		a.VFMADD231PS(at(first, 32*i), v, s)
	}
	a.ADDQ(U32(128), x)
	a.ADDQ(U32(128), first)
	a.SUBQ(Imm(32), left)
	a.JNZ(LabelRef("columns"))
	a.VADDPS(sums[1], sums[0], sums[0])
	a.VADDPS(sums[3], sums[2], sums[2])
	a.VADDPS(sums[2], sums[0], sums[0])
	s, half := sums[0].AsX(), a.XMM()
	a.VEXTRACTF128(Imm(1), sums[0], half)
	a.VADDPS(half, s, s)
	a.VHADDPS(s, s, s)
	a.VHADDPS(s, s, s)
	all := a.YMM()
	a.VBROADCASTSS(s, all)
	for i := range 8 {
		a.VMOVUPS(all, at(scores, 32*i))
	}
	a.ADDQ(U32(256), scores)
	a.DECQ(rows)
	a.JNZ(LabelRef("row"))
	a.ret()
}
