package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Of quant.Act and quant.Quantize: bits of the largest magnitude, and of the least; what M takes of a scale, and adds.
const (
	mostActivation, leastActivation = 0x74800000 - 1, 0x11000000
	exponentBits, exactOffset       = 0x7f800000, 0x0bc00000
	// scaleTail is the end of the mantissa that a scale has not.
	scaleTail = 1<<19 - 1
)

// quantize generates the activation quantisers, to the bit those of the reference.
func (a *asm) quantize() {
	const layout = "values 32*b.. of x become the Act at dst + b*stride, to the bit as quant.Quantize does"
	a.function("quantizeAVX2", "func(dst *byte, stride int, x *float32, blocks int)",
		"quantizeAVX2 quantises blocks of 32 activations: "+layout+",",
		"stride is in bytes; blocks is at least 1.")
	dst, stride, x, blocks := a.param("dst"), a.param("stride"), a.param("x"), a.param("blocks")
	q := a.quantizer()
	a.Label("block")
	q.block(dst, a.load32(x), false)
	a.ADDQ(Imm(128), x)
	a.ADDQ(stride, dst)
	a.DECQ(blocks)
	a.JNZ(LabelRef("block"))
	a.ret()

	a.function("quantizeRefinedAVX2", "func(dst, low *byte, stride int, x *float32, blocks int)",
		"quantizeRefinedAVX2 quantises blocks of 32 activations: "+layout+",",
		"and what these 8 bits leave of them the Act at low + b*stride. stride is in bytes; blocks is at least 1.")
	dst, stride, x, blocks = a.param("dst"), a.param("stride"), a.param("x"), a.param("blocks")
	low := a.param("low")
	q = a.quantizer()
	a.Label("block")
	scale, whole := q.block(dst, a.load32(x), true)
	rest := a.load32(x)
	for i, v := range rest {
		a.VMULPS(scale, whole[i], whole[i])
		a.VSUBPS(whole[i], v, v)
	}
	q.block(low, rest, false)
	a.ADDQ(Imm(128), x)
	a.ADDQ(stride, dst)
	a.ADDQ(stride, low)
	a.DECQ(blocks)
	a.JNZ(LabelRef("block"))
	a.ret()
}

// load32 loads 32 values.
func (a *asm) load32(x reg.Register) (v [4]reg.VecVirtual) {
	for i := range v {
		v[i] = a.YMM()
		a.VMOVUPS(at(x, 32*i), v[i])
	}
	return v
}

// quantizer generates quantisers whose scales have zeros where tail, four times scaleTail, has ones.
type quantizer struct {
	*asm
	tail reg.VecVirtual
}

// quantizer loads what all blocks need.
func (a *asm) quantizer() quantizer {
	q := quantizer{asm: a, tail: a.XMM()}
	a.VMOVDQU(a.constant("scaleTail", scaleTail), q.tail)
	return q
}

// block writes the Act of 32 values, which it spoils. It returns the scale, in all lanes, and, if they are wanted, the
// integers as float32.
func (a quantizer) block(dst reg.Register, x [4]reg.VecVirtual, wanted bool) (scale reg.VecVirtual, whole [4]reg.VecVirtual) {
	four := a.blockScale(x)
	scale, inverse, valid := a.YMM(), a.YMM(), a.YMM()
	a.VMOVUPS(a.float("one", 1), inverse.AsX())
	a.VDIVPS(four, inverse.AsX(), inverse.AsX())
	a.VBROADCASTSS(inverse.AsX(), inverse)
	a.VBROADCASTSS(four, scale)
	for i, v := range x {
		a.VMULPS(inverse, v, v)
		a.VCVTPS2DQ(v, v)
		if wanted {
			whole[i] = a.YMM()
			a.VCVTDQ2PS(v, whole[i])
		}
	}
	v := a.packBytes(x)
	a.VXORPS(valid, valid, valid)
	a.VCMPPS(Imm(12), valid, scale, valid) // ordered and not 0
	a.VPAND(valid, v, v)
	a.VMOVDQU(v, at(dst, 0))
	a.blockSums(dst, v, four)
	return scale, whole
}

// packBytes returns 32 integers as bytes, in order, and spoils x. Packing works in 16-byte halves and saturates; VPERMD puts the
// words in order.
func (a *asm) packBytes(x [4]reg.VecVirtual) reg.VecVirtual {
	order := a.YMM()
	a.VPACKSSDW(x[1], x[0], x[0])
	a.VPACKSSDW(x[3], x[2], x[2])
	a.VPACKSSWB(x[2], x[0], x[0])
	a.VMOVDQU(a.constant("packed", 0, 4, 1, 5, 2, 6, 3, 7), order)
	a.VPERMD(x[0], order, x[0])
	return x[0]
}

// largest returns the largest of the eight integers of v, which it spoils, in all four lanes.
func (a *asm) largest(v reg.VecVirtual) reg.Register {
	half, most := a.XMM(), v.AsX()
	a.VEXTRACTI128(Imm(1), v, half)
	a.VPMAXSD(half, most, most)
	for _, order := range []uint64{0x4e, 0xb1} {
		a.VPSHUFD(Imm(order), most, half)
		a.VPMAXSD(half, most, most)
	}
	return most
}

// blockSums writes the second half of the Act: D, S, SA, SB, N, NA, NB, M. v are the values, the scale is in all lanes.
func (a *asm) blockSums(dst reg.Register, v reg.VecVirtual, scale reg.Register) {
	wide, all, f, m, broken := a.YMM(), a.XMM(), a.XMM(), a.XMM(), a.XMM()
	a.VMOVDQU(a.constant("ones8", 0x01010101), wide)
	a.VPMADDUBSW(v, wide, wide)
	a.VPMADDWD(a.constant("ones16", 0x00010001), wide, wide)
	a.VEXTRACTI128(Imm(1), wide, all)
	sums := wide.AsX()
	a.VPHADDD(all, sums, sums)
	a.VPHADDD(sums, sums, sums) // A, B, A, B
	a.VPSHUFD(Imm(0xb1), sums, all)
	a.VPADDD(sums, all, all)
	a.VPBLENDD(Imm(0xc), sums, all, sums) // S, S, A, B
	a.VCVTDQ2PS(sums, f)
	a.VMULPS(scale, f, f)
	a.VBLENDPS(Imm(1), scale, f, f)
	a.VMOVUPS(f, at(dst, actD))
	a.VPSHUFD(Imm(0x38), sums, sums) // S, A, B, S
	a.VPSIGND(a.constant("minus", 0xffffffff), sums, sums)
	a.VPSLLD(Imm(7), sums, sums)
	a.VPAND(a.constant("exponentBits", exponentBits), scale, m)
	a.VPADDD(a.constant("exactOffset", exactOffset), m, m)
	a.VCMPPS(Imm(3), scale, scale, broken) // not a number
	a.VPOR(broken, m, m)
	a.VPBLENDD(Imm(8), m, sums, sums)
	a.VMOVDQU(sums, at(dst, actN))
}

// blockScale returns, four times, the scale of 32 values: NaN if one is too large for one, zero if all are too small. As integers,
// magnitudes are in the order of their values, with infinity and NaN above all finite ones.
func (a quantizer) blockScale(x [4]reg.VecVirtual) reg.Register {
	top, half, broken, zero := a.YMM(), a.XMM(), a.XMM(), a.XMM()
	mask := a.YMM()
	a.VMOVDQU(a.constant("magnitude", 0x7fffffff), mask)
	a.VPAND(x[0], mask, top)
	for _, w := range x[1:] {
		v := a.YMM()
		a.VPAND(w, mask, v)
		a.VPMAXSD(v, top, top)
	}
	most := a.largest(top)
	a.VPCMPGTD(a.constant("mostActivation", mostActivation), most, broken)
	a.VMOVDQU(a.constant("leastActivation", leastActivation), zero)
	a.VPCMPGTD(most, zero, zero)
	a.VMULPS(a.float("level", float32(1.0/127)), most, most)
	a.VPADDD(a.tail, most, most)
	a.VPANDN(most, a.tail, most)
	a.VPANDN(most, zero, most)
	a.VMOVDQU(a.constant("nan", 0x7fc00000), half)
	a.VBLENDVPS(broken, half, most, most)
	return most
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
