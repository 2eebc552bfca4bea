package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// unpacker generates what turns the weights of one format into a tile, or multiplies them at once.
type unpacker struct {
	source
	weights
	vnni bool
	out  sink
	// scales is where the record of the first block is; only its scales are written here.
	scales reg.Register
	each   int // bytes from record to record
	// together: the sink gets the same columns of all 16 packed rows one after the other.
	together bool
}

// weights is a format: where its parts lie in a block (ggml-common.h) and how it is unpacked.
type weights struct {
	name, doc string
	size      int    // of a block in bytes
	cols      int    // of a block
	kind      string // the product for AVX2
	dp        string // the product with VPDPBUSD
	shift     bool   // whether that wants other tiles than the one for AVX2
	unpack    func(u *unpacker)
	scale     func(u *unpacker)
}

// sink takes unpacked weights: v has columns 4j..4j+3 of rows 8h..8h+7 of a block. signed gets signed bytes, nonlinear
// numbers of values in the table of IQ4_NL, unsigned what the product of the format wants.
type sink interface {
	unsigned(block, j, h int, v vector)
	signed(block, j, h int, v vector)
	nonlinear(block, j, h int, v vector)
}

func formats() []weights {
	return []weights{
		{"Q40", "Q4_0", 18, 32, "U4", "U8", true, func(u *unpacker) { u.nibbles(2) }, func(u *unpacker) { u.oneScale(1. / 16) }},
		{"Q41", "Q4_1", 20, 32, "U4Min", "U8Min", false, func(u *unpacker) { u.nibbles(4) }, func(u *unpacker) { u.scaleAndMin() }},
		{"Q50", "Q5_0", 22, 32, "U5", "U8", true, func(u *unpacker) { u.fives(2, 6) }, func(u *unpacker) { u.oneScale(1. / 8) }},
		{"Q51", "Q5_1", 24, 32, "U5Min", "U8Min", false, func(u *unpacker) { u.fives(4, 8) }, func(u *unpacker) { u.scaleAndMin() }},
		{"Q80", "Q8_0", 34, 32, "U8", "U8", true, func(u *unpacker) { u.bytesAt(2) }, func(u *unpacker) { u.oneScale(1) }},
		{"IQ4NL", "IQ4_NL", 18, 32, "U8", "U8", true, func(u *unpacker) { u.table(0, 2) }, func(u *unpacker) { u.oneScale(1) }},
		{"IQ4XS", "IQ4_XS", 136, 256, "U8", "U8", true, unpackIQ4XS, (*unpacker).scalesIQ4XS},
		{"Q4K", "Q4_K", 144, 256, "U4Min", "U8Min", false, unpackQ4K, func(u *unpacker) { u.scalesQ4K() }},
		{"Q5K", "Q5_K", 176, 256, "U5Min", "U8Min", false, unpackQ5K, func(u *unpacker) { u.scalesQ4K() }},
		{"Q6K", "Q6_K", 210, 256, "U6Halves", "U8Halves", true, unpackQ6K, (*unpacker).scalesQ6K},
		{"Q2K", "Q2_K", 84, 256, "U2HalvesMin", "U8HalvesMin", false, unpackQ2K, (*unpacker).scalesQ2K},
		{"Q3K", "Q3_K", 110, 256, "U3Halves", "U8Halves", true, unpackQ3K, (*unpacker).scalesQ3K},
	}
}

// left is by how many bits weights with an offset are shifted left, so that their offset is 128, where VPDPBUSD multiplies
// them.
func (u *unpacker) left(offset int) int {
	if !u.vnni {
		return 0
	}
	return map[int]int{8: 4, 16: 3, 32: 2, 4: 5}[offset]
}

// field returns bits [from, from+width) of each byte, shifted to bit to. v stays.
func (u *unpacker) field(v vector, from, width, to int) vector {
	x := u.YMM()
	mask := u.constant(fmt.Sprintf("bytes%02x", (1<<width-1)<<to), 0x01010101*uint32((1<<width-1)<<to))
	switch {
	case from > to:
		u.VPSRLD(Imm(uint64(from-to)), v, x)
		u.VPAND(mask, x, x)
	case from < to:
		u.VPSLLD(Imm(uint64(to-from)), v, x)
		u.VPAND(mask, x, x)
	default:
		u.VPAND(mask, v, x)
	}
	return x
}

// nibbles unpacks 16 bytes with columns 0..15 in the low and 16..31 in the high halves.
func (u *unpacker) nibbles(off int) {
	left := 0
	if u.kind == "U4" {
		left = u.left(8)
	}
	u.fourWords(off, func(j, h int, v vector) {
		u.out.unsigned(0, j, h, u.field(v, 0, 4, left))
	}, func(j, h int, v vector) {
		u.out.unsigned(0, j+4, h, u.field(v, 4, 4, left))
	})
}

// fourWords calls each step with word j, of 4, of rows 8h..8h+7.
func (u *unpacker) fourWords(off int, steps ...func(j, h int, v vector)) {
	if !u.together {
		for h := range 2 {
			w := u.words(off, 4, h)
			for j := range 4 {
				v := w(j)
				for _, step := range steps {
					step(j, h, v)
				}
			}
		}
		return
	}
	halves := [2]func(int) vector{u.words(off, 4, 0), u.words(off, 4, 1)}
	for j := range 4 {
		v := [2]vector{halves[0](j), halves[1](j)}
		for _, step := range steps {
			for h := range v {
				step(j, h, v[h])
			}
		}
	}
}

// fives unpacks nibbles at data with fifth bits in a word at off, bit c for column c.
func (u *unpacker) fives(off, data int) {
	left := 0
	if u.kind == "U5" {
		left = u.left(16)
	}
	for h := range 2 {
		bits, low, w := u.words(off, 1, h)(0), u.YMM(), u.words(data, 4, h)
		u.VPSLLD(Imm(4), bits, low)
		for j := range 4 {
			v := w(j)
			for i := range 2 {
				u.out.unsigned(0, j+4*i, h, u.fifth(bits, low, j+4*i, left, u.field(v, 4*i, 4, left)))
			}
		}
	}
}

// fifth sets bit 4+left of the bytes of v from bits 4j..4j+3 of their row. low has the same bits four places higher.
func (u *unpacker) fifth(bits, low vector, j, left int, v vector) vector {
	b := uint32(j / 2)
	spread := u.constant(fmt.Sprintf("spread%d", b), 0x01010101*b, 0x01010101*(b+4), 0x01010101*(b+8), 0x01010101*(b+12))
	x, from := u.YMM(), bits
	if j%2 == 0 {
		from = low
	}
	u.VPSHUFB(spread, from, x) // the byte with the bits of these four columns, four times
	u.VPAND(u.constant("highBits", 0x80402010), x, x)
	if left == 0 {
		u.VPMINUB(u.constant("bytes10", 0x10101010), x, x) // 16, 32, 64 or 128 become 16
	} else {
		u.VPCMPEQB(u.constant("highBits", 0x80402010), x, x)
		u.VPAND(u.constant(fmt.Sprintf("bytes%02x", 16<<left), 0x01010101*uint32(16<<left)), x, x)
	}
	u.VPOR(x, v, v)
	return v
}

// bytesAt unpacks 32 signed bytes.
func (u *unpacker) bytesAt(off int) {
	for i := range 2 {
		u.fourWords(off+16*i, func(j, h int, v vector) { u.out.signed(0, 4*i+j, h, v) })
	}
}

// table unpacks 16 bytes like nibbles, which are numbers of values in the table kvalues_iq4nl.
func (u *unpacker) table(block, off int) {
	u.fourWords(off, func(j, h int, v vector) {
		u.out.nonlinear(block, j, h, u.field(v, 0, 4, 0))
	}, func(j, h int, v vector) {
		u.out.nonlinear(block, j+4, h, u.field(v, 4, 4, 0))
	})
}

// nonlinear4 is the table kvalues_iq4nl of ggml-common.h.
var nonlinear4 = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// lookUp replaces numbers by f of their values in nonlinear4.
func (u *unpacker) lookUp(name string, f func(value int8) byte, v, to vector) {
	var words [4]uint32
	for i, value := range nonlinear4 {
		words[i/4] |= uint32(f(value)) << (i % 4 * 8)
	}
	table := u.YMM()
	u.VMOVDQU(u.constant(name, words[:]...), table)
	u.VPSHUFB(v, table, to)
}

func unpackIQ4XS(u *unpacker) {
	for s := range 8 {
		u.table(s, 8+16*s)
	}
}

// unpackQ4K: the low nibbles of 32 bytes are an even block, the high nibbles the next.
func unpackQ4K(u *unpacker) {
	for p := range 4 {
		for g := range 2 {
			for h := range 2 {
				w := u.words(16+32*p+16*g, 4, h)
				for j := range 4 {
					v := w(j)
					u.out.unsigned(2*p, 4*g+j, h, u.field(v, 0, 4, 0))
					u.out.unsigned(2*p+1, 4*g+j, h, u.field(v, 4, 4, 0))
				}
			}
		}
	}
}

// unpackQ5K: Q4_K with bit s of fifth byte i for column i of block s.
func unpackQ5K(u *unpacker) {
	part := func(p, g, h int, fifth func(int) vector) {
		w := u.words(48+32*p+16*g, 4, h)
		for j := range 4 {
			v, bits := w(j), fifth(j)
			for i := range 2 {
				x := u.field(v, 4*i, 4, 0)
				u.VPOR(u.field(bits, 2*p+i, 1, 4), x, x)
				u.out.unsigned(2*p+i, 4*g+j, h, x)
			}
		}
	}
	if u.packed {
		for p := range 4 {
			for g := range 2 {
				for h := range 2 {
					part(p, g, h, u.words(16+16*g, 4, h))
				}
			}
		}
		return
	}
	// Transposed fifth bits are kept for all blocks.
	for g := range 2 {
		for h := range 2 {
			fifth := u.words(16+16*g, 4, h)
			for p := range 4 {
				part(p, g, h, fifth)
			}
		}
	}
}

// unpackQ6K: of each 128 columns, low byte i holds columns i and i+64 (i < 64), high byte i the upper two bits of columns
// i, i+32, i+64, i+96 (i < 32).
func unpackQ6K(u *unpacker) {
	left := u.left(32)
	for half := range 2 {
		for h := range 2 {
			for g := range 2 {
				high := u.words(128+32*half+16*g, 4, h)
				for odd := range 2 {
					w := u.words(64*half+32*odd+16*g, 4, h)
					for j := range 4 {
						v, bits := w(j), high(j)
						for i := range 2 {
							s := 2*i + odd
							x := u.field(v, 4*i, 4, left)
							u.VPOR(u.field(bits, 2*s, 2, 4+left), x, x)
							u.out.unsigned(4*half+s, 4*g+j, h, x)
						}
					}
				}
			}
		}
	}
}

// unpackQ2K: of each 128 columns, byte i holds columns i, i+32, i+64, i+96.
func unpackQ2K(u *unpacker) {
	for half := range 2 {
		for h := range 2 {
			for g := range 2 {
				w := u.words(16+32*half+16*g, 4, h)
				for j := range 4 {
					v := w(j)
					for s := range 4 {
						u.out.unsigned(4*half+s, 4*g+j, h, u.field(v, 2*s, 2, 0))
					}
				}
			}
		}
	}
}

// unpackQ3K: Q2_K with bit s of high byte i for column i of block s.
func unpackQ3K(u *unpacker) {
	left := u.left(4)
	for half := range 2 {
		for h := range 2 {
			for g := range 2 {
				high := u.words(16*g, 4, h)
				w := u.words(32+32*half+16*g, 4, h)
				for j := range 4 {
					v, bits := w(j), high(j)
					for s := range 4 {
						x := u.field(v, 2*s, 2, left)
						u.VPOR(u.field(bits, 4*half+s, 1, 2+left), x, x)
						u.out.unsigned(4*half+s, 4*g+j, h, x)
					}
				}
			}
		}
	}
}
