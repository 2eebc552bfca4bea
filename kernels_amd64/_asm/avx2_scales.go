package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/operand"
)

// store writes scales (which = 0 or 1) or minima (2 or 3) of rows 8h..8h+7 of a block.
func (u *unpacker) store(v vector, block, which, h int) {
	u.VMOVUPS(v, at(u.scales, u.each*block+scaleAt+64*which+32*h))
}

// times multiplies by a power of two.
func (u *unpacker) times(v vector, name string, f float32) {
	if f != 1 {
		u.VMULPS(u.constant(name, math.Float32bits(f)), v, v)
	}
}

// negate changes the sign.
func (u *unpacker) negate(v vector) { u.VXORPS(u.constant("sign32", 0x80000000), v, v) }

// oneScale: the scale is the first half of a block; f is what the product wants it multiplied by.
func (u *unpacker) oneScale(f float32) {
	for h := range 2 {
		d := u.half(0, h)
		switch f {
		case 1. / 16:
			u.times(d, "sixteenth", f)
		case 1. / 8:
			u.times(d, "eighth", f)
		}
		u.store(d, 0, 0, h)
	}
}

// scaleAndMin: scale and minimum are the first halves of a block.
func (u *unpacker) scaleAndMin() {
	for h := range 2 {
		d, m := u.twoHalves(0, h)
		u.store(d, 0, 0, h)
		u.store(m, 0, 2, h)
	}
}

// byteOf returns byte i of each word as float32, unsigned or signed. v is lost with the last byte.
func (u *unpacker) byteOf(v vector, i int, signed bool) vector {
	x := u.YMM()
	switch {
	case signed && i == 3:
		u.VPSRAD(Imm(24), v, x)
	case signed:
		u.VPSLLD(Imm(uint64(24-8*i)), v, x)
		u.VPSRAD(Imm(24), x, x)
	default:
		b := 0x80808000 + uint32(i)
		u.VPSHUFB(u.constant(fmt.Sprintf("byte%d", i), b, b+4, b+8, b+12), v, x)
	}
	u.VCVTDQ2PS(x, x)
	return x
}

// scalesQ4K: scales and minima of 6 bits in 12 bytes (get_scale_min_k4), times those of the block.
func (u *unpacker) scalesQ4K() {
	for h := range 2 {
		d, m := u.twoHalves(0, h)
		u.negate(m)
		w := u.words(4, 3, h)
		p := [...]vector{w(0), w(1), w(2)}
		high, highMin := u.field(p[2], 0, 4, 0), u.field(p[2], 4, 4, 0)
		u.VPOR(u.field(p[0], 6, 2, 4), high, high)
		u.VPOR(u.field(p[1], 6, 2, 4), highMin, highMin)
		low, lowMin := u.field(p[0], 0, 6, 0), u.field(p[1], 0, 6, 0)
		for i, v := range []vector{low, high, lowMin, highMin} {
			for b := range 4 {
				x := u.byteOf(v, b, false)
				u.VMULPS([]vector{d, m}[i/2], x, x)
				u.store(x, 4*(i%2)+b, i/2*2, h)
			}
		}
	}
}

// halfScales stores four scales of 16 columns each, bytes of one word: number 4*word and following.
func (u *unpacker) halfScales(v, d vector, word, which, h int, signed bool) {
	for b := range 4 {
		x := u.byteOf(v, b, signed)
		u.VMULPS(d, x, x)
		u.store(x, 2*word+b/2, which+b%2, h)
	}
}

// scalesQ6K: 16 signed bytes.
func (u *unpacker) scalesQ6K() {
	for h := range 2 {
		d := u.half(208, h)
		u.times(d, "quarter", 0.25)
		w := u.words(192, 4, h)
		for i := range 4 {
			u.halfScales(w(i), d, i, 0, h, true)
		}
	}
}

// scalesQ2K: scales in the low, minima in the high halves of 16 bytes.
func (u *unpacker) scalesQ2K() {
	for h := range 2 {
		d, m := u.twoHalves(80, h)
		u.negate(m)
		w := u.words(0, 4, h)
		for i := range 4 {
			v := w(i)
			u.halfScales(u.field(v, 0, 4, 0), d, i, 0, h, false)
			u.halfScales(u.field(v, 4, 4, 0), m, i, 2, h, false)
		}
	}
}

// scalesQ3K: scales of 6 bits, less 32; four low bits in bytes 0..7, then two high bits in bytes 8..11.
func (u *unpacker) scalesQ3K() {
	for h := range 2 {
		d := u.half(108, h)
		u.times(d, "thirtysecond", 1./32)
		w := u.words(96, 3, h)
		p := [...]vector{w(0), w(1), w(2)}
		for i := range 4 {
			x := u.field(p[i%2], i/2*4, 4, 0)
			u.VPOR(u.field(p[2], 2*i, 2, 4), x, x)
			u.VPSUBB(u.constant("bytes20", 0x20202020), x, x)
			u.halfScales(x, d, i, 0, h, true)
		}
	}
}

// scalesIQ4XS: scales of 6 bits, less 32; four low bits in a word, two high bits in 16.
func (u *unpacker) scalesIQ4XS() {
	for h := range 2 {
		d, high, low := u.half(0, h), u.short(2, h), u.words(4, 1, h)(0)
		for s := range 8 {
			x, y := u.YMM(), u.YMM()
			u.VPSRLD(Imm(uint64(4*s)), low, x)
			u.VPAND(u.constant("int15", 15), x, x)
			u.VPSRLD(Imm(uint64(2*s)), high, y)
			u.VPAND(u.constant("int3", 3), y, y)
			u.VPSLLD(Imm(4), y, y)
			u.VPOR(y, x, x)
			u.VPSUBD(u.constant("int32", 32), x, x)
			u.VCVTDQ2PS(x, x)
			u.VMULPS(d, x, x)
			u.store(x, s, 0, h)
		}
	}
}
