package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	tileRows   = 4        // rows of a group
	floatAhead = 16 << 10 // bytes
	tileTokens = 3        // activation rows of the widest tile: 4x3 sums, 3 activations and a weight are 16 registers
)

// floatKernel generates the product of float weights of one format with float32 activations, for AVX2.
type floatKernel struct {
	*asm
	name string
	size int                           // bytes of a weight
	load func(m Mem, v reg.VecVirtual) // eight weights to float32
	move func(src, dst Mem)            // one weight, unchanged
}

// floatRegs are the general registers of a product kernel.
type floatRegs struct {
	w, stride, stride3 reg.Register // row 0 of the group; bytes between rows; three times that
	x, tokenX          reg.Register // activations of the first token of the tile; bytes between tokens
	dst, tokenDst      reg.Register // result of row 0 for that token; bytes between tokens
}

func floatKernels(a *asm) {
	kernels := []floatKernel{
		{name: "mulF32AVX2", size: 4, load: func(m Mem, v reg.VecVirtual) { a.VMOVUPS(m, v) }},
		{name: "mulF16AVX2", size: 2, load: func(m Mem, v reg.VecVirtual) { a.VCVTPH2PS(m, v) }},
		{name: "mulBF16AVX2", size: 2, load: func(m Mem, v reg.VecVirtual) {
			a.VPMOVZXWD(m, v)
			a.VPSLLD(Imm(16), v, v)
		}},
	}
	for _, k := range kernels {
		k.asm = a
		k.move = func(src, dst Mem) {
			word := a.GP32()
			if k.size == 4 {
				a.MOVL(src, word)
				a.MOVL(word, dst)
			} else {
				a.MOVWLZX(src, word)
				a.MOVW(word.As16(), dst)
			}
		}
		k.generate()
	}
}

func (k *floatKernel) generate() {
	k.Function(k.name)
	k.Doc(
		fmt.Sprintf("%s multiplies rows of float weights, groups of %d, with n rows of float32 activations:", k.name, tileRows), "",
		fmt.Sprintf("\tfor r < %d*groups, t < n: dst[t*dstStride+r] = dot(w[r*stride:], x[t*cols:])", tileRows), "",
		"Lane l sums the columns c with c mod 8 = l by fused multiply-add in increasing c; the lanes are added as",
		"((0+4)+(1+5)) + ((2+6)+(3+7)). groups, cols and n are at least 1. No alignment is needed; nothing outside the cols",
		"weights, the activations and the results is touched.")
	k.Pragma("noescape")
	k.SignatureExpr("func(dst *float32, dstStride int, w *byte, stride, groups, cols int, x *float32, n int)")

	r := floatRegs{w: k.param("w"), stride: k.param("stride"), stride3: k.GP64(), tokenX: k.param("cols"), tokenDst: k.param("dstStride")}
	k.LEAQ(atIndex(r.stride, r.stride, 2, 0), r.stride3)
	k.SHLQ(Imm(2), r.tokenX)
	k.SHLQ(Imm(2), r.tokenDst)
	tail := k.AllocLocal(tileRows * 8 * k.size)
	zero := k.YMM()
	k.VXORPS(zero, zero, zero)
	for o := 0; o < tileRows*8*k.size; o += 32 {
		k.VMOVUPS(zero, tail.Offset(o))
	}

	k.Label("group")
	k.copyTail(r, tail)
	r.x, r.dst = k.param("x"), k.param("dst")
	n := k.param("n")
	for tokens := tileTokens; tokens > 0; tokens-- {
		k.Label(fmt.Sprintf("tile%d", tokens))
		k.CMPQ(n, Imm(uint64(tokens)))
		k.JLT(LabelRef(fmt.Sprintf("under%d", tokens)))
		k.tile(r, tail, tokens)
		step := k.GP64()
		k.IMUL3Q(Imm(uint64(tokens)), r.tokenX, step)
		k.ADDQ(step, r.x)
		k.IMUL3Q(Imm(uint64(tokens)), r.tokenDst, step)
		k.ADDQ(step, r.dst)
		k.SUBQ(Imm(uint64(tokens)), n)
		k.JMP(LabelRef(fmt.Sprintf("tile%d", tokens)))
		k.Label(fmt.Sprintf("under%d", tokens))
	}
	k.LEAQ(atIndex(r.w, r.stride, tileRows, 0), r.w)
	k.ADDQ(Imm(4*tileRows), k.paramMem("dst"))
	k.DECQ(k.paramMem("groups"))
	k.JNZ(LabelRef("group"))
	k.VZEROUPPER()
	k.RET()
}

// rows returns the places of the group's rows when row 0 is at base.
func (r floatRegs) rows(base reg.Register) [tileRows]Mem {
	return [...]Mem{at(base, 0), atIndex(base, r.stride, 1, 0), atIndex(base, r.stride, 2, 0), atIndex(base, r.stride3, 1, 0)}
}

// copyTail copies the cols mod 8 last weights of each row to the stack, where zeros follow them.
func (k *floatKernel) copyTail(r floatRegs, tail Mem) {
	from, to, count := k.param("cols"), k.GP64(), k.GP64()
	k.LEAQ(tail, to)
	k.MOVQ(from, count)
	k.ANDQ(I32(-8), from)
	k.IMUL3Q(Imm(uint64(k.size)), from, from)
	k.ADDQ(r.w, from)
	k.ANDQ(Imm(7), count)
	k.JZ(LabelRef("copied"))
	k.Label("copy")
	for i, src := range r.rows(from) {
		k.move(src, at(to, i*8*k.size))
	}
	k.ADDQ(Imm(uint64(k.size)), from)
	k.ADDQ(Imm(uint64(k.size)), to)
	k.DECQ(count)
	k.JNZ(LabelRef("copy"))
	k.Label("copied")
}

// tile computes the results of the group for some tokens.
func (k *floatKernel) tile(r floatRegs, tail Mem, tokens int) {
	var sums [tileRows][]reg.VecVirtual
	for i := range sums {
		for range tokens {
			sum := k.YMM()
			k.VXORPS(sum, sum, sum)
			sums[i] = append(sums[i], sum)
		}
	}
	w, x, left := k.GP64(), k.GP64(), k.param("cols")
	k.MOVQ(r.w, w)
	k.MOVQ(r.x, x)
	loop, rest, done := fmt.Sprintf("loop%d", tokens), fmt.Sprintf("rest%d", tokens), fmt.Sprintf("done%d", tokens)
	// One token is decoding, at the speed of the memory: what follows the group is asked for in one stream, as far ahead as
	// the rows of 8-bit products do (daemon/doc/decisions/0014).
	var ahead reg.Register
	if tokens == 1 {
		ahead = k.GP64()
		k.LEAQ(at(r.w, floatAhead), ahead)
	}
	k.SUBQ(Imm(8), left)
	k.JLT(LabelRef(rest))
	k.Label(loop)
	if ahead != nil {
		for o := 0; o < tileRows*8*k.size; o += 64 {
			k.PREFETCHT1(at(ahead, o))
		}
		k.ADDQ(Imm(uint64(tileRows*8*k.size)), ahead)
	}
	k.step(r, x, sums, r.rows(w), nil)
	k.ADDQ(Imm(uint64(8*k.size)), w)
	k.ADDQ(Imm(32), x)
	k.SUBQ(Imm(8), left)
	k.JGE(LabelRef(loop))
	k.Label(rest)
	k.ADDQ(Imm(8), left)
	k.JZ(LabelRef(done))
	var places [tileRows]Mem
	for i := range places {
		places[i] = tail.Offset(i * 8 * k.size)
	}
	k.step(r, x, sums, places, k.tailMask(left))
	k.Label(done)
	for t := range tokens {
		k.reduce(sums[0][t], sums[1][t], sums[2][t], sums[3][t])
		k.VMOVUPS(sums[0][t].AsX(), strided(r.dst, r.tokenDst, t, 0))
	}
}

// step adds eight columns, or as many as mask has. The activations are those at x and following tokens.
func (k *floatKernel) step(r floatRegs, x reg.Register, sums [tileRows][]reg.VecVirtual, w [tileRows]Mem, mask reg.Register) {
	var acts []reg.VecVirtual
	for t := range sums[0] {
		act, place := k.YMM(), strided(x, r.tokenX, t, 0)
		if mask != nil {
			k.VMASKMOVPS(place, mask, act)
		} else {
			k.VMOVUPS(place, act)
		}
		acts = append(acts, act)
	}
	for i, m := range w {
		weight := k.YMM()
		k.load(m, weight)
		for t, act := range acts {
			k.VFMADD231PS(act, weight, sums[i][t])
		}
	}
}

// reduce adds the lanes of four rows; the sums of a to d end in the first four lanes of a.
func (k *floatKernel) reduce(a, b, c, d reg.VecVirtual) {
	half := k.XMM()
	for _, v := range []reg.VecVirtual{a, b, c, d} {
		k.VEXTRACTF128(Imm(1), v, half)
		k.VADDPS(half, v.AsX(), v.AsX())
	}
	k.VHADDPS(b.AsX(), a.AsX(), a.AsX())
	k.VHADDPS(d.AsX(), c.AsX(), c.AsX())
	k.VHADDPS(c.AsX(), a.AsX(), a.AsX())
}
