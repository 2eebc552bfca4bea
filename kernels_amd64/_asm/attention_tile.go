package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// keyRowBytes is the length of a row of a tile of keys: 64 positions.
const keyRowBytes = 4 * 64

// tileDoc ends the documentation of the functions that unpack a block.
const tileDoc = "What lies at the same place of ahead is prefetched. No alignment is needed; nothing else is touched."

// widenF16 unpacks 16 binary16 values.
func (k attention) widenF16(src Mem, dst Mem) {
	for o := 0; o < panelBytes; o += k.bytes {
		v := k.vec()
		k.VCVTPH2PS(src.Offset(o/2), v)
		k.VMOVUPS(v, dst.Offset(o))
	}
}

func (k attention) keyTileF16() {
	k.function("keyTileF16", "func(dst *float32, src, ahead *byte, dim, panels int)",
		"unpacks panels of binary16 keys, (panels, dim, 16), to columns of dst, (dim, 64). dim is even.", tileDoc)
	dst, src, ahead, panels := k.param("dst"), k.param("src"), k.param("ahead"), k.param("panels")
	k.Label("panel")
	to, left := k.GP64(), k.param("dim")
	k.MOVQ(dst, to)
	k.Label("column")
	k.PREFETCHT1(at(ahead, 0))
	for i := range 2 {
		k.widenF16(at(src, 32*i), at(to, keyRowBytes*i))
	}
	k.ADDQ(Imm(64), src)
	k.ADDQ(Imm(64), ahead)
	k.ADDQ(U32(2*keyRowBytes), to)
	k.SUBQ(Imm(2), left)
	k.JNZ(LabelRef("column"))
	k.ADDQ(Imm(panelBytes), dst)
	k.DECQ(panels)
	k.JNZ(LabelRef("panel"))
	k.ret()
}

func (k attention) valueTileF16() {
	k.function("valueTileF16", "func(dst *float32, src, ahead *byte, dim, n int)",
		"unpacks n rows of binary16 values, (n, dim), to rows of dst whose length is dim rounded up to 16; what",
		"is beyond dim stays. dim is a multiple of 8.", tileDoc)
	dst, src, ahead, rows := k.param("dst"), k.param("src"), k.param("ahead"), k.param("n")
	k.Label("row")
	left := k.param("dim")
	k.SUBQ(Imm(16), left)
	k.JLT(LabelRef("rest"))
	k.Label("columns")
	k.PREFETCHT1(at(ahead, 0))
	k.widenF16(at(src, 0), at(dst, 0))
	k.ADDQ(Imm(32), src)
	k.ADDQ(Imm(32), ahead)
	k.ADDQ(Imm(panelBytes), dst)
	k.SUBQ(Imm(16), left)
	k.JGE(LabelRef("columns"))
	k.Label("rest")
	k.ADDQ(Imm(16), left)
	k.JZ(LabelRef("end"))
	v := k.YMM()
	k.VCVTPH2PS(at(src, 0), v)
	k.VMOVUPS(v, at(dst, 0))
	k.ADDQ(Imm(16), src)
	k.ADDQ(Imm(16), ahead)
	k.ADDQ(Imm(panelBytes), dst)
	k.Label("end")
	k.DECQ(rows)
	k.JNZ(LabelRef("row"))
	k.ret()
}

func (a *asm) rotate() {
	a.function("rotateAVX2", "func(x *float32, heads, stride, pairs int, cos, sin *float32, scale float32)",
		"rotateAVX2 turns the first pairs of adjacent columns of each head and multiplies by scale: (c*a-s*b, s*a+c*b), the",
		"second product rounded, then fused. stride is in floats; pairs is a positive multiple of 4.")
	x, heads, stride := a.param("x"), a.param("heads"), a.param("stride")
	pairs, cos, sin, scale := a.param("pairs"), a.param("cos"), a.param("sin"), a.YMM()
	a.VBROADCASTSS(a.paramMem("scale"), scale)
	a.SHLQ(Imm(2), stride)
	a.Label("head")
	j := a.GP64()
	a.XORQ(j, j)
	a.Label("pairs")
	c, s, v, swapped := a.YMM(), a.YMM(), a.YMM(), a.YMM()
	for _, load := range []struct {
		from reg.Register
		to   reg.VecVirtual
	}{{cos, c}, {sin, s}} {
		a.VPMOVZXDQ(atIndex(load.from, j, 4, 0), load.to)
		a.VMOVSLDUP(load.to, load.to)
	}
	a.VMOVUPS(atIndex(x, j, 8, 0), v)
	a.VPERMILPS(Imm(0xb1), v, swapped)
	a.VMULPS(s, swapped, swapped)
	a.VFMADDSUB213PS(swapped, c, v)
	a.VMULPS(scale, v, v)
	a.VMOVUPS(v, atIndex(x, j, 8, 0))
	a.ADDQ(Imm(4), j)
	a.CMPQ(j, pairs)
	a.JLT(LabelRef("pairs"))
	a.ADDQ(stride, x)
	a.DECQ(heads)
	a.JNZ(LabelRef("head"))
	a.ret()
}
