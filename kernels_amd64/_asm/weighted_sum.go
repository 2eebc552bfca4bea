package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// weightedSum generates the value half of attention. Sums of some heads and columns stay in registers over all positions.
func (a *asm) weightedSum() {
	a.Function("weightedSumF16AVX2")
	a.Doc(
		"weightedSumF16AVX2 adds weighted rows of binary16 values:", "",
		"\tfor g < n, i < dim, pos < nPos: dst[g*dim+i] += p[g*pStride+pos] * v[pos*dim+i]", "",
		"by fused multiply-add in increasing pos. nPos, dim and n are at least 1. No alignment is needed; nothing outside the",
		"values, weights and sums is touched. Three heads by 32 columns are twelve registers of sums.")
	a.Pragma("noescape")
	a.SignatureExpr("func(dst, p *float32, pStride int, v *byte, nPos, dim, n int)")
	dst, p, n := a.param("dst"), a.param("p"), a.param("n")
	r := weightedRegs{pStride: a.param("pStride"), dim2: a.param("dim"), dim4: a.GP64()}
	a.SHLQ(Imm(1), r.dim2)
	a.LEAQ(atIndex(r.dim2, r.dim2, 1, 0), r.dim4)
	a.SHLQ(Imm(2), r.pStride)
	for heads := 3; heads > 0; heads-- {
		top, under := fmt.Sprintf("heads%d", heads), fmt.Sprintf("under%d", heads)
		a.Label(top)
		a.CMPQ(n, Imm(uint64(heads)))
		a.JLT(LabelRef(under))
		a.weightedHeads(r, dst, p, heads)
		for range heads {
			a.ADDQ(r.dim4, dst)
			a.ADDQ(r.pStride, p)
		}
		a.SUBQ(Imm(uint64(heads)), n)
		a.JMP(LabelRef(top))
		a.Label(under)
	}
	a.VZEROUPPER()
	a.RET()
}

// weightedRegs are byte strides: of the weights of a head, of a position, of the sums of a head.
type weightedRegs struct{ pStride, dim2, dim4 reg.Register }

// weightedHeads sums all columns of some heads: 32 at a time, then 8, then single ones.
func (a *asm) weightedHeads(r weightedRegs, dst, p reg.Register, heads int) {
	to, v, left := a.GP64(), a.param("v"), a.param("dim")
	a.MOVQ(dst, to)
	for _, width := range []int{32, 8, 1} {
		name := fmt.Sprintf("%dx%d", heads, width)
		a.Label("columns" + name)
		a.CMPQ(left, Imm(uint64(width)))
		a.JLT(LabelRef("end" + name))
		a.weightedTile(r, to, p, v, heads, width)
		a.ADDQ(Imm(uint64(4*width)), to)
		a.ADDQ(Imm(uint64(2*width)), v)
		a.SUBQ(Imm(uint64(width)), left)
		a.JMP(LabelRef("columns" + name))
		a.Label("end" + name)
	}
}

// weightedTile sums over all positions.
func (a *asm) weightedTile(r weightedRegs, dst, weights, values reg.Register, heads, width int) {
	sums := make([][]reg.VecVirtual, heads)
	for h := range sums {
		for o := 0; o < width; o += 8 {
			sum := a.YMM()
			if width == 1 {
				a.VBROADCASTSS(strided(dst, r.dim4, h, 0), sum)
			} else {
				a.VMOVUPS(strided(dst, r.dim4, h, 4*o), sum)
			}
			sums[h] = append(sums[h], sum)
		}
	}
	p, v, pos := a.GP64(), a.GP64(), a.param("nPos")
	a.MOVQ(weights, p)
	a.MOVQ(values, v)
	label := fmt.Sprintf("pos%dx%d", heads, width)
	a.Label(label)
	factors := make([]reg.VecVirtual, heads)
	for h := range factors {
		factors[h] = a.YMM()
		a.VBROADCASTSS(strided(p, r.pStride, h, 0), factors[h])
	}
	value := a.YMM()
	for i := range sums[0] {
		if width == 1 {
			word := a.GP32()
			a.MOVWLZX(at(v, 0), word)
			a.VMOVD(word, value.AsX())
			a.VCVTPH2PS(value.AsX(), value)
		} else {
			a.VCVTPH2PS(at(v, 16*i), value)
		}
		for h := range sums {
			a.VFMADD231PS(value, factors[h], sums[h][i])
		}
	}
	a.ADDQ(Imm(4), p)
	a.ADDQ(r.dim2, v)
	a.DECQ(pos)
	a.JNZ(LabelRef(label))
	for h := range sums {
		for i, sum := range sums[h] {
			if width == 1 {
				a.VMOVSS(sum.AsX(), strided(dst, r.dim4, h, 0))
			} else {
				a.VMOVUPS(sum, strided(dst, r.dim4, h, 32*i))
			}
		}
	}
}
