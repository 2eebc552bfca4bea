package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// at is the place of what the rows' blocks have at the offset, in the packed block of group g.
func (k *vnniKernel) at(g, offset int) Mem { return at(k.g[g], 16*offset) }

// equalBytes is a constant of equal bytes.
func (k *vnniKernel) equalBytes(b byte) Mem {
	return k.constant(fmt.Sprintf("bytes%02x", b), 0x01010101*uint32(b))
}

// loadConst returns a constant in a register.
func (k *vnniKernel) loadConst(m Mem) reg.VecVirtual {
	v := k.ZMM()
	k.VMOVDQU32(m, v)
	return v
}

// shift returns the words at or in m, shifted left, or right if by is negative.
func (k *vnniKernel) shift(m Op, by int) reg.VecVirtual {
	v := k.ZMM()
	switch {
	case by > 0:
		k.VPSLLD(Imm(uint64(by)), m, v)
	case by < 0:
		k.VPSRLD(Imm(uint64(-by)), m, v)
	default:
		k.VMOVDQU32(m, v)
	}
	return v
}

// bits returns the words at or in m, shifted as shift does, and masked.
func (k *vnniKernel) bits(m Op, by int, mask Op) reg.VecVirtual {
	if r, ok := mask.(reg.VecVirtual); ok && by == 0 {
		v := k.ZMM()
		k.VPANDD(m, r, v)
		return v
	}
	v := k.shift(m, by)
	k.VPANDD(mask, v, v)
	return v
}

// or sets v to v | x&mask.
func (k *vnniKernel) or(v, x reg.VecVirtual, mask Op) {
	const aOrBAndC = 0xf8 // truth table: bit 4a+2b+c
	k.VPTERNLOGD(Imm(aOrBAndC), mask, x, v)
}

// half returns the binary16 numbers at the offset times a power of two, which is exact.
func (k *vnniKernel) half(g, offset, exponent int) reg.VecVirtual {
	v := k.ZMM()
	k.VCVTPH2PS(k.at(g, offset), v)
	if exponent != 0 {
		k.VMULPS(k.float(fmt.Sprintf("exp%d", -exponent), float32(math.Ldexp(1, exponent))), v, v)
	}
	return v
}

// keepHalves keeps the binary16 numbers at the offset, times powers of two that do not grow, in slots from 0 on.
func (k *vnniKernel) keepHalves(g, offset int, exponents ...int) {
	v := k.half(g, offset, exponents[0])
	for i, e := range exponents {
		if i > 0 && e != exponents[i-1] {
			by := e - exponents[i-1]
			k.VMULPS(k.float(fmt.Sprintf("exp%d", -by), float32(math.Ldexp(1, by))), v, v)
		}
		k.VMOVUPS(v, k.slot(g, i))
	}
}

// keepHalf keeps half in a slot.
func (k *vnniKernel) keepHalf(slot, g, offset, exponent int) {
	k.VMOVUPS(k.half(g, offset, exponent), k.slot(g, slot))
}

// times returns the signed byte b of each word at m or in m, times the vector in a slot; that one has an exponent less by
// 24, since the byte is taken as the highest of its word.
func (k *vnniKernel) times(words Op, b, g, slot int) reg.VecVirtual {
	v, ok := words.(reg.VecVirtual)
	if !ok {
		v = k.loadConst(words.(Mem))
	}
	const none = 0x808080
	top := k.constant(fmt.Sprintf("top%d", b), uint32(b)<<24|none, uint32(b+4)<<24|none, uint32(b+8)<<24|none, uint32(b+12)<<24|none)
	out := k.ZMM()
	k.VPSHUFB(top, v, out)
	k.VCVTDQ2PS(out, out)
	k.VMULPS(k.slot(g, slot), out, out)
	return out
}

// oneScale is the scale, times a power of two, of a format with a binary16 scale at offset 0, and a minimum after it.
func oneScale(exponent int) func(*vnniKernel, int, int) ([]reg.VecVirtual, []Op) {
	return func(k *vnniKernel, g, _ int) (d []reg.VecVirtual, m []Op) {
		d = []reg.VecVirtual{k.half(g, 0, exponent)}
		if k.hasMin {
			m = []Op{k.half(g, 2, 0)}
		}
		return d, m
	}
}

// part is where a sub-block has some bits of the weights of each byte: words at an offset, shifted left by, or right if
// it is negative, and masked.
type part struct {
	offset, by int
	mask       byte
}

// nibbles unpacks 16 bytes: low nibbles are columns 0..15, high ones 16..31; by is how far the weight is shifted left.
func nibbles(offset, by int) func(*vnniKernel, int, int) [8]reg.VecVirtual {
	return func(k *vnniKernel, g, _ int) (w [8]reg.VecVirtual) {
		mask := k.loadConst(k.equalBytes(15 << by))
		for j := range 4 {
			w[j] = k.bits(k.at(g, offset+4*j), by, mask)
			w[4+j] = k.bits(k.at(g, offset+4*j), by-4, mask)
		}
		return w
	}
}

// fiveBits unpacks 16 bytes of nibbles and 32 bits, the fifth of each column, before them.
func fiveBits(offset, by int) func(*vnniKernel, int, int) [8]reg.VecVirtual {
	return func(k *vnniKernel, g, _ int) (w [8]reg.VecVirtual) {
		// Entry i has bit b of i as the fifth bit of byte b. VPERMD looks at the low four bits of an index only.
		var table [16]uint32
		for i := range table {
			for b := range 4 {
				table[i] |= uint32(i>>b&1) << (8*b + 4 + by)
			}
		}
		spread, mask := k.loadConst(k.constant(fmt.Sprintf("spread%d", by), table[:]...)), k.loadConst(k.equalBytes(15<<by))
		for j := range w {
			low := k.shift(k.at(g, offset+4*(j%4)), by-4*(j/4))
			w[j] = k.shift(k.at(g, offset-4), -4*j)
			k.VPERMD(spread, w[j], w[j])
			k.or(w[j], low, mask)
		}
		return w
	}
}

// nonlinear unpacks 16 bytes of nibbles, each the index of a value (ggml-common.h, kvalues_iq4nl), here 128 larger.
func nonlinear(offset, step int) func(*vnniKernel, int, int) [8]reg.VecVirtual {
	return func(k *vnniKernel, g, s int) (w [8]reg.VecVirtual) {
		var words [4]uint32
		for i, v := range []int{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113} {
			words[i/4] |= uint32(v+128) << (i % 4 * 8)
		}
		table := k.loadConst(k.constant("nonlinear", words[:]...))
		w = nibbles(offset+step*s, 0)(k, g, s)
		for _, v := range w {
			k.VPSHUFB(v, table, v)
		}
		return w
	}
}

// signedBytes unpacks 32 signed bytes.
func signedBytes(offset int) func(*vnniKernel, int, int) [8]reg.VecVirtual {
	return func(k *vnniKernel, g, _ int) (w [8]reg.VecVirtual) {
		sign := k.loadConst(k.equalBytes(128))
		for j := range w {
			w[j] = k.ZMM()
			k.VPXORD(k.at(g, offset+4*j), sign, w[j])
		}
		return w
	}
}

// parts unpacks weights of which each byte has one or two parts; of says where sub-block s has them.
func parts(of func(s int) []part) func(*vnniKernel, int, int) [8]reg.VecVirtual {
	return func(k *vnniKernel, g, s int) (w [8]reg.VecVirtual) {
		var masks []Op
		for _, p := range of(s) {
			masks = append(masks, k.loadConst(k.equalBytes(p.mask)))
		}
		for j := range w {
			w[j] = k.join(of(s), masks, func(p part) Op { return k.at(g, p.offset+4*j) })
		}
		return w
	}
}

// join returns weights put together from their parts; words has the bytes of a part.
func (k *vnniKernel) join(parts []part, masks []Op, words func(p part) Op) reg.VecVirtual {
	w := k.bits(words(parts[0]), parts[0].by, masks[0])
	for i, p := range parts[1:] {
		x, ok := words(p).(reg.VecVirtual)
		if !ok || p.by != 0 {
			x = k.shift(words(p), p.by)
		}
		k.or(w, x, masks[1+i])
	}
	return w
}
