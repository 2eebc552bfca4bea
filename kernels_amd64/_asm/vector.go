package main

import (
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func vectorKernels(a *asm) {
	a.quantize()
	a.toF16()
	a.sumSquares()
	a.scaleMul()
	a.siluMul()
}

// float is a constant of equal float32 values.
func (a *asm) float(name string, f float32) Mem { return a.constant(name, math.Float32bits(f)) }

// chunk is up to eight float32 values at the same index of some vectors.
type chunk struct {
	*asm
	mask reg.Register // nil: all eight
}

func (c chunk) load(p reg.Register) reg.VecVirtual {
	v := c.YMM()
	if c.mask != nil {
		c.VMASKMOVPS(at(p, 0), c.mask, v)
	} else {
		c.VMOVUPS(at(p, 0), v)
	}
	return v
}

func (c chunk) store(v reg.VecVirtual, p reg.Register) {
	if c.mask != nil {
		c.VMASKMOVPS(v, c.mask, at(p, 0))
	} else {
		c.VMOVUPS(v, at(p, 0))
	}
}

// tailMask returns a mask of the first count lanes, 1 to 7.
func (a *asm) tailMask(count reg.Register) reg.VecVirtual {
	ones := ^uint32(0)
	table := a.constant("tailMask", ones, ones, ones, ones, ones, ones, ones, ones, 0, 0, 0, 0, 0, 0, 0, 0)
	p, skip, mask := a.GP64(), a.GP64(), a.YMM()
	a.MOVQ(U32(8), skip)
	a.SUBQ(count, skip)
	a.LEAQ(table, p)
	a.VMOVDQU(atIndex(p, skip, 4, 0), mask)
	return mask
}

// chunks generates a loop over n values behind the given pointers, with a masked chunk for what is left of eight. The
// loop ends the function but for what the caller adds.
func (a *asm) chunks(n reg.Register, body func(chunk), ptrs ...reg.Register) {
	a.SUBQ(Imm(8), n)
	a.JLT(LabelRef("rest"))
	a.Label("loop")
	body(chunk{asm: a})
	for _, p := range ptrs {
		a.ADDQ(Imm(32), p)
	}
	a.SUBQ(Imm(8), n)
	a.JGE(LabelRef("loop"))
	a.Label("rest")
	a.ADDQ(Imm(8), n)
	a.JZ(LabelRef("done"))
	body(chunk{asm: a, mask: a.tailMask(n)})
	a.Label("done")
}

func (a *asm) ret() {
	a.VZEROUPPER()
	a.RET()
}

// function starts one of the vector functions.
func (a *asm) function(name, signature string, doc ...string) {
	a.Function(name)
	a.Doc(append(doc, "No alignment is needed; nothing outside the vectors is touched.")...)
	a.Pragma("noescape")
	a.SignatureExpr(signature)
}

func (a *asm) sumSquares() {
	a.function("sumSquaresAVX2", "func(x *float32, n int) float64",
		"sumSquaresAVX2 returns the sum of x[i]*x[i], i < n, in float64: eight partial sums, added pairwise.")
	x, n, low, high := a.param("x"), a.param("n"), a.YMM(), a.YMM()
	a.VXORPD(low, low, low)
	a.VXORPD(high, high, high)
	a.chunks(n, func(c chunk) {
		v, upper := c.load(x), a.XMM()
		a.VEXTRACTF128(Imm(1), v, upper)
		a.VCVTPS2PD(v.AsX(), v)
		wide := a.YMM()
		a.VCVTPS2PD(upper, wide)
		a.VFMADD231PD(v, v, low)
		a.VFMADD231PD(wide, wide, high)
	}, x)
	a.returnSum(low, high)
}

// returnSum returns the sum of eight float64 lanes.
func (a *asm) returnSum(low, high reg.VecVirtual) {
	upper := a.XMM()
	a.VADDPD(high, low, low)
	a.VEXTRACTF128(Imm(1), low, upper)
	a.VADDPD(upper, low.AsX(), low.AsX())
	a.VHADDPD(low.AsX(), low.AsX(), low.AsX())
	a.Store(low.AsX(), a.ReturnIndex(0))
	a.ret()
}

func (a *asm) scaleMul() {
	a.function("scaleMulAVX2", "func(dst, x, w *float32, n int, f float32)",
		"scaleMulAVX2 sets dst[i] = (x[i]*f)*w[i], i < n; dst may be x.")
	dst, x, w, n, f := a.param("dst"), a.param("x"), a.param("w"), a.param("n"), a.YMM()
	a.VBROADCASTSS(a.paramMem("f"), f)
	a.chunks(n, func(c chunk) {
		v, factor := c.load(x), c.load(w)
		a.VMULPS(f, v, v)
		a.VMULPS(factor, v, v)
		c.store(v, dst)
	}, dst, x, w)
	a.ret()
}

func (a *asm) siluMul() {
	a.function("siluMulAVX2", "func(dst, gate, up *float32, n int)",
		"siluMulAVX2 sets dst[i] = gate[i] / (1+exp(-gate[i])) * up[i], i < n; dst may be gate or up.",
		"The relative error is below 1e-6 for gate above -88 and the absolute one of the first factor below 1e-36 under it.")
	dst, gate, up, n := a.param("dst"), a.param("gate"), a.param("up"), a.param("n")
	a.chunks(n, func(c chunk) {
		g, u, e := c.load(gate), c.load(up), a.YMM()
		a.VXORPS(a.constant("signBit", 1<<31), g, e)
		a.exp(e)
		a.VADDPS(a.float("one", 1), e, e)
		a.VDIVPS(e, g, g)
		a.VMULPS(u, g, g)
		c.store(g, dst)
	}, dst, gate, up)
	a.ret()
}

// exp takes and gives arguments in this range, so that 2^n is a normal number; the ends are -126 ln 2 and 127.4 ln 2.
const (
	expMin = -87.33654
	expMax = 88.3
)

// exp replaces v by e^v, arguments out of range by the nearest in it, NaN by NaN. With n = round(v / ln 2) and
// r = v - n ln 2, where ln 2 is in two parts: e^v = 2^n e^r. The polynomial for e^r, |r| <= (ln 2)/2, has its terms 1 + r
// fixed and the others chosen by Remez exchange for the least relative error, 1.06e-7.
func (a *asm) exp(v reg.VecVirtual) {
	limit, n, p := a.YMM(), a.YMM(), a.YMM()
	// VMAXPS and VMINPS return the first operand of this order if one is NaN.
	a.VMOVUPS(a.float("expMin", expMin), limit)
	a.VMAXPS(v, limit, v)
	a.VMOVUPS(a.float("expMax", expMax), limit)
	a.VMINPS(v, limit, v)
	a.VMULPS(a.float("log2e", math.Log2E), v, n)
	a.VROUNDPS(Imm(0), n, n)
	a.VFNMADD231PS(a.float("ln2High", 0x1.62e4p-1), n, v) // 16 bits: n times it is exact
	a.VFNMADD231PS(a.float("ln2Low", math.Ln2-0x1.62e4p-1), n, v)
	a.VMOVUPS(a.float("exp5", 0.008312501013278961), p)
	a.VFMADD213PS(a.float("exp4", 0.041890330612659454), v, p)
	a.VFMADD213PS(a.float("exp3", 0.16667115688323975), v, p)
	a.VFMADD213PS(a.float("exp2", 0.499992311000824), v, p)
	a.VFMADD213PS(a.float("one", 1), v, p)
	a.VFMADD213PS(a.float("one", 1), v, p)
	a.VCVTPS2DQ(n, n)
	a.VPSLLD(Imm(23), n, n)
	a.VPADDD(n, p, v)
}
