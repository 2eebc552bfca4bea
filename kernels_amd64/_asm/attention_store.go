package main

import (
	"fmt"
	"slices"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// kvLevels is that of quant.QuantizeKV.
const kvLevels = 127

// attentionStore generates what keys and values go through before they are kept in 8 or 4 bits.
func attentionStore(a *asm) {
	for _, order := range []int{32, 64} {
		hadamard(a, order)
	}
	quantizeKV(a)
}

// hadamard generates quant.Hadamard of one order.
func hadamard(a *asm, order int) {
	name := fmt.Sprintf("hadamard%dAVX2", order)
	a.function(name, "func(x *float32, blocks int, scale float32)", name+" is quant.Hadamard with AVX2, to the bit, for blocks of "+
		fmt.Sprint(order)+" values; blocks is positive.")
	x, blocks, scale := a.param("x"), a.param("blocks"), a.YMM()
	a.VBROADCASTSS(a.paramMem("scale"), scale)
	a.Label("block")
	v := make([]reg.VecVirtual, order/8)
	for i := range v {
		v[i] = a.YMM()
		a.VMOVUPS(at(x, 32*i), v[i])
	}
	// Within vectors: each value times 1 or -1, which is exact, and the one h places away.
	for h := 1; h < 8; h *= 2 {
		for i := range v {
			other := a.YMM()
			switch h {
			case 1:
				a.VPERMILPS(Imm(0xb1), v[i], other)
			case 2:
				a.VPERMILPS(Imm(0x4e), v[i], other)
			default:
				a.VPERM2F128(Imm(1), v[i], v[i], other)
			}
			a.VFMADD132PS(a.signs(h), other, v[i])
		}
	}
	for h := 1; h < len(v); h *= 2 {
		for i := range v {
			if i&h != 0 {
				continue
			}
			less := a.YMM()
			a.VSUBPS(v[i+h], v[i], less)
			a.VADDPS(v[i+h], v[i], v[i])
			v[i+h] = less
		}
	}
	for i := range v {
		a.VMULPS(scale, v[i], v[i])
		a.VMOVUPS(v[i], at(x, 32*i))
	}
	a.ADDQ(U32(uint32(4*order)), x)
	a.DECQ(blocks)
	a.JNZ(LabelRef("block"))
	a.ret()
}

// signs is h times 1 and h times -1, in turn.
func (a *asm) signs(h int) Mem {
	const one, minus = 0x3f800000, 0xbf800000
	return a.constant(fmt.Sprintf("signs%d", h), slices.Concat(slices.Repeat([]uint32{one}, h), slices.Repeat([]uint32{minus}, h))...)
}

// quantizeKV generates quant.QuantizeKV.
func quantizeKV(a *asm) {
	a.function("quantizeKVAVX2", "func(dst *byte, scale, x *float32, block, blocks int)",
		"quantizeKVAVX2 is quant.QuantizeKV with AVX2, for some blocks of block values; block is a positive multiple of 32.")
	dst, scale, x, block := a.param("dst"), a.param("scale"), a.param("x"), a.param("block")
	i, top, magnitude := a.GP64(), a.YMM(), a.YMM()
	a.VMOVDQU(a.constant("magnitude", 0x7fffffff), magnitude)
	a.Label("block")
	a.VPXOR(top, top, top)
	a.XORQ(i, i)
	a.Label("top")
	for j := range 4 {
		v := a.YMM()
		a.VPAND(atIndex(x, i, 4, 32*j), magnitude, v)
		a.VPMAXSD(v, top, top)
	}
	a.ADDQ(Imm(32), i)
	a.CMPQ(i, block)
	a.JLT(LabelRef("top"))
	levels := a.levels(top, "kvLevels", kvLevels, scale)
	a.XORQ(i, i)
	a.Label("integers")
	var v [4]reg.VecVirtual
	for j := range v {
		v[j] = a.YMM()
		a.VMULPS(atIndex(x, i, 4, 32*j), levels, v[j])
		a.VCVTPS2DQ(v[j], v[j])
	}
	a.VMOVDQU(a.packBytes(v), atIndex(dst, i, 1, 0))
	a.ADDQ(Imm(32), i)
	a.CMPQ(i, block)
	a.JLT(LabelRef("integers"))
	a.ADDQ(block, dst)
	a.LEAQ(atIndex(x, block, 4, 0), x)
	a.ADDQ(Imm(4), scale)
	a.DECQ(a.paramMem("blocks"))
	a.JNZ(LabelRef("block"))
	a.ret()
}

// levels returns most/top, in all lanes, and writes top/most to scale: zeros if the largest lane of top, which it spoils, is at
// most rowLeast. As integers, magnitudes are in the order of their values.
func (a *asm) levels(top reg.VecVirtual, name string, most float32, scale reg.Register) reg.VecVirtual {
	half, levels, enough := a.XMM(), a.YMM(), a.XMM()
	t := a.largest(top)
	a.VCMPPS(Imm(6), a.float("rowLeast", rowLeast), t, enough) // not at most
	a.VMOVUPS(a.float(name, most), half)
	a.VDIVPS(t, half, levels.AsX())
	a.VDIVPS(half, t, t)
	a.VANDPS(enough, t, t)
	a.VANDPS(enough, levels.AsX(), levels.AsX())
	a.VMOVSS(t, at(scale, 0))
	a.VBROADCASTSS(levels.AsX(), levels)
	return levels
}
