package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quantize generates the activation quantiser, to the bit that of the reference.
func (a *asm) quantize() {
	a.function("quantizeQ8AVX2", "func(q *int8, d, s, x *float32, blocks int)",
		"quantizeQ8AVX2 turns blocks of 32 activations into 8-bit ones, to the bit as quant.QuantizeQ8 does: d = max|x|/127,",
		"q = x/d rounded to nearest even within [-127, 127], s = d*sum(q); blocks is at least 1. Where d is 0, q is; where",
		"an activation is not finite, d and s are NaN and q is 0.")
	q, d, s, x, blocks := a.param("q"), a.param("d"), a.param("s"), a.param("x"), a.param("blocks")
	a.Label("block")
	scale := a.blockScale(x)
	a.VMOVSS(scale.AsX(), at(d, 0))
	a.VBROADCASTSS(scale.AsX(), scale)

	var part [4]reg.VecVirtual
	for i := range part {
		part[i] = a.YMM()
		a.VMOVUPS(at(x, 32*i), part[i])
		a.VDIVPS(scale, part[i], part[i])
		a.VCVTPS2DQ(part[i], part[i])
	}
	// Packing works in 16-byte halves and saturates; VPERMD puts the words in order.
	v, order, valid := part[0], a.YMM(), a.YMM()
	a.VPACKSSDW(part[1], part[0], part[0])
	a.VPACKSSDW(part[3], part[2], part[2])
	a.VPACKSSWB(part[2], part[0], v)
	a.VMOVDQU(a.constant("packed", 0, 4, 1, 5, 2, 6, 3, 7), order)
	a.VPERMD(v, order, v)
	a.VPMAXSB(a.constant("least", 0x81818181), v, v)
	a.VXORPS(valid, valid, valid)
	a.VCMPPS(Imm(12), valid, scale, valid) // ordered and not 0
	a.VPAND(valid, v, v)
	a.VMOVDQU(v, at(q, 0))

	sum, half := a.YMM(), a.XMM()
	a.VMOVDQU(a.constant("ones8", 0x01010101), sum)
	a.VPMADDUBSW(v, sum, sum)
	a.VPMADDWD(a.constant("ones16", 0x00010001), sum, sum)
	a.VEXTRACTI128(Imm(1), sum, half)
	a.VPADDD(half, sum.AsX(), sum.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		a.VPSHUFD(Imm(order), sum.AsX(), half)
		a.VPADDD(half, sum.AsX(), sum.AsX())
	}
	a.VCVTDQ2PS(sum.AsX(), sum.AsX())
	a.VMULSS(scale.AsX(), sum.AsX(), sum.AsX())
	a.VMOVSS(sum.AsX(), at(s, 0))

	a.ADDQ(Imm(32), q)
	a.ADDQ(Imm(4), d)
	a.ADDQ(Imm(4), s)
	a.ADDQ(Imm(128), x)
	a.DECQ(blocks)
	a.JNZ(LabelRef("block"))
	a.ret()
}

// blockScale returns max|x|/127 of 32 values, NaN if one is not finite. As integers, magnitudes are in the order of their
// values, with infinity and NaN above all finite ones.
func (a *asm) blockScale(x reg.Register) reg.VecVirtual {
	top, half, broken := a.YMM(), a.XMM(), a.XMM()
	mask := a.YMM()
	a.VMOVDQU(a.constant("magnitude", 0x7fffffff), mask)
	a.VPAND(at(x, 0), mask, top)
	for i := 1; i < 4; i++ {
		v := a.YMM()
		a.VPAND(at(x, 32*i), mask, v)
		a.VPMAXSD(v, top, top)
	}
	a.VEXTRACTI128(Imm(1), top, half)
	a.VPMAXSD(half, top.AsX(), top.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		a.VPSHUFD(Imm(order), top.AsX(), half)
		a.VPMAXSD(half, top.AsX(), top.AsX())
	}
	a.VPCMPGTD(a.constant("largest", 0x7f7fffff), top.AsX(), broken)
	a.VDIVPS(a.float("levels", 127), top.AsX(), top.AsX())
	a.VMOVDQU(a.constant("nan", 0x7fc00000), half)
	a.VBLENDVPS(broken, half, top.AsX(), top.AsX())
	return top
}

// toF16 generates the conversion to binary16.
func (a *asm) toF16() {
	a.function("toF16AVX2", "func(dst *byte, x *float32, n int)",
		"toF16AVX2 stores x[i], i < n, as little-endian binary16, rounded to nearest even.")
	dst, x, n, v := a.param("dst"), a.param("x"), a.param("n"), a.YMM()
	a.SUBQ(Imm(8), n)
	a.JLT(LabelRef("rest"))
	a.Label("loop")
	a.VMOVUPS(at(x, 0), v)
	a.VCVTPS2PH(Imm(0), v, at(dst, 0))
	a.ADDQ(Imm(32), x)
	a.ADDQ(Imm(16), dst)
	a.SUBQ(Imm(8), n)
	a.JGE(LabelRef("loop"))
	a.Label("rest")
	a.ADDQ(Imm(8), n)
	a.JZ(LabelRef("done"))
	a.Label("single")
	a.VBROADCASTSS(at(x, 0), v)
	a.VCVTPS2PH(Imm(0), v, v.AsX())
	a.VPEXTRW(Imm(0), v.AsX(), at(dst, 0))
	a.ADDQ(Imm(4), x)
	a.ADDQ(Imm(2), dst)
	a.DECQ(n)
	a.JNZ(LabelRef("single"))
	a.Label("done")
	a.ret()
}
