package main

import (
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Where the weights have an offset, they are shifted left until it is 128, as quant.Act.N wants, and the scale is made as
// much smaller: a power of two moves without rounding.

func vnniQ40() vnniFormat {
	return vnniFormat{
		name: "Q40", doc: "Q4_0", bytes: 18, subs: 1, offset: true, scales: oneScale(-4), weights: nibbles(2, 4),
		pieces: []piece{{move: (*vnniRows).oneHalf}, {move: (*vnniRows).fourWords, at: 2}},
	}
}

func vnniQ41() vnniFormat {
	return vnniFormat{
		name: "Q41", doc: "Q4_1", bytes: 20, subs: 1, hasMin: true, scales: oneScale(0), weights: nibbles(4, 0),
		pieces: []piece{{move: (*vnniRows).twoHalves}, {move: (*vnniRows).fourWords, at: 4}},
	}
}

func vnniQ50() vnniFormat {
	return vnniFormat{
		name: "Q50", doc: "Q5_0", bytes: 22, subs: 1, offset: true, scales: oneScale(-3), weights: fiveBits(6, 3),
		pieces: []piece{{move: (*vnniRows).oneHalf}, {move: (*vnniRows).oneWord, at: 2}, {move: (*vnniRows).fourWords, at: 6}},
	}
}

func vnniQ51() vnniFormat {
	return vnniFormat{
		name: "Q51", doc: "Q5_1", bytes: 24, subs: 1, hasMin: true, scales: oneScale(0), weights: fiveBits(8, 0),
		pieces: []piece{{move: (*vnniRows).twoHalves}, {move: (*vnniRows).oneWord, at: 4}, {move: (*vnniRows).fourWords, at: 8}},
	}
}

func vnniQ80() vnniFormat {
	return vnniFormat{
		name: "Q80", doc: "Q8_0", bytes: 34, subs: 1, offset: true, scales: oneScale(0), weights: signedBytes(2),
		pieces: []piece{{move: (*vnniRows).oneHalf}, {move: (*vnniRows).fourWords, at: 2}, {move: (*vnniRows).fourWords, at: 18}},
	}
}

func vnniIQ4NL() vnniFormat {
	f := vnniQ40()
	f.name, f.doc, f.scales, f.weights = "IQ4NL", "IQ4_NL", oneScale(0), nonlinear(2, 0)
	return f
}

func vnniIQ4XS() vnniFormat {
	return vnniFormat{
		name: "IQ4XS", doc: "IQ4_XS", bytes: 136, subs: 8, offset: true, weights: nonlinear(8, 16),
		pieces: []piece{{move: (*vnniRows).twoHalves}, {move: (*vnniRows).oneWord, at: 4}, {move: (*vnniRows).fourWords, at: 8, loop: 8}},
		// A scale of 6 bits less 32 becomes the highest bits of a word: its highest bit inverted, it is in two's complement.
		head: func(k *vnniKernel, g int) {
			k.keepHalf(0, g, 0, -26)
			high := k.ZMM()
			k.VPMOVZXWD(k.at(g, 2), high)
			k.VPXORD(k.constant("highBits", 0xaaaa), high, high)
			k.VMOVDQU32(high, k.slot(g, 1))
		},
		scales: func(k *vnniKernel, g, s int) (d []reg.VecVirtual, m []Op) {
			v := k.bits(k.at(g, 4), 26-4*s, k.constant("low4", 0x3c000000))
			k.or(v, k.shift(k.slot(g, 1), 30-2*s), k.constant("high2", 0xc0000000))
			k.VCVTDQ2PS(v, v)
			k.VMULPS(k.slot(g, 0), v, v)
			return []reg.VecVirtual{v}, nil
		},
	}
}

// keepSixBits keeps the scales and minima of Q4_K and Q5_K (ggml-quants.c, get_scale_min_k4): in slots 2 and 3 the words
// of the scales of sub-blocks 0..3 and 4..7, in 4 and 5 those of the minima.
func keepSixBits(k *vnniKernel, g int) {
	k.keepHalf(0, g, 0, -24)
	k.keepHalf(1, g, 2, -24)
	six, four, two := k.equalBytes(0x3f), k.equalBytes(0x0f), k.equalBytes(0x30)
	for i, offset := range []int{4, 8} { // scales, minima
		k.VMOVDQU32(k.bits(k.at(g, offset), 0, six), k.slot(g, 2+2*i))
		v := k.bits(k.at(g, 12), -4*i, four)
		k.or(v, k.shift(k.at(g, offset), -2), two)
		k.VMOVDQU32(v, k.slot(g, 3+2*i))
	}
}

func sixBitScales(k *vnniKernel, g, s int) (d []reg.VecVirtual, m []Op) {
	d = []reg.VecVirtual{k.times(k.slot(g, 2+s/4), s%4, g, 0)}
	m = []Op{k.times(k.slot(g, 4+s/4), s%4, g, 1)}
	return d, m
}

func vnniQ4K() vnniFormat {
	return vnniFormat{
		name: "Q4K", doc: "Q4_K", bytes: 144, subs: 8, hasMin: true, negMin: true,
		head: keepSixBits, scales: sixBitScales,
		weights: parts(func(s int) []part { return []part{{16 + s/2*32, -4 * (s % 2), 0x0f}} }),
		pieces:  []piece{{move: (*vnniRows).halvesAndWords}, {move: (*vnniRows).fourWords, at: 16, loop: 8}},
	}
}

func vnniQ5K() vnniFormat {
	return vnniFormat{
		name: "Q5K", doc: "Q5_K", bytes: 176, subs: 8, hasMin: true, negMin: true,
		head: keepSixBits, scales: sixBitScales,
		weights: parts(func(s int) []part { return []part{{48 + s/2*32, -4 * (s % 2), 0x0f}, {16, 4 - s, 0x10}} }),
		pieces:  []piece{{move: (*vnniRows).halvesAndWords}, {move: (*vnniRows).fourWords, at: 16, loop: 10}},
	}
}

func vnniQ6K() vnniFormat {
	return vnniFormat{
		name: "Q6K", doc: "Q6_K", bytes: 210, subs: 8, halves: true, offset: true,
		head: func(k *vnniKernel, g int) { k.keepHalf(0, g, 208, -2-24) },
		scales: func(k *vnniKernel, g, s int) (d []reg.VecVirtual, m []Op) {
			for h := range 2 {
				d = append(d, k.times(k.at(g, 192+s/2*4), s%2*2+h, g, 0))
			}
			return d, nil
		},
		weights: parts(func(s int) []part {
			return []part{{s/4*64 + s%2*32, 2 - s%4/2*4, 0x3c}, {128 + s/4*32, 6 - 2*(s%4), 0xc0}}
		}),
		pieces: []piece{{move: (*vnniRows).lastHalf, at: 208}, {move: (*vnniRows).fourWords, loop: 13}},
	}
}

// q2kParts: the weights of a sub-block stay where they are in their bytes, 4^(s%4) times as large.
func q2kParts(s int) []part { return []part{{16 + s/4*32, 0, 3 << (2 * (s % 4))}} }

func vnniQ2K() vnniFormat {
	return vnniFormat{
		name: "Q2K", doc: "Q2_K", bytes: 84, subs: 8, hasMin: true, negMin: true, halves: true,
		// Slots 0..3 keep the scale over 1, 4, 16, 64, slot 4 the minimum.
		head: func(k *vnniKernel, g int) {
			k.keepHalves(g, 80, 0, -2, -4, -6)
			k.keepHalf(4, g, 82, 0)
		},
		// A table makes floats of the numbers of 4 bits. It looks at the low bits of an index only.
		scales: func(k *vnniKernel, g, s int) (d []reg.VecVirtual, m []Op) {
			var table [16]uint32
			for i := range table {
				table[i] = math.Float32bits(float32(i))
			}
			floats, words := k.loadConst(k.constant("floats", table[:]...)), k.loadConst(k.at(g, s/2*4))
			number := func(bit, slot int) reg.VecVirtual {
				v := words
				if bit > 0 {
					v = k.shift(words, -bit)
				}
				out := k.ZMM()
				k.VPERMPS(floats, v, out)
				k.VMULPS(k.slot(g, slot), out, out)
				return out
			}
			for h := range 2 {
				bit := 8 * (s%2*2 + h)
				d, m = append(d, number(bit, s%4)), append(m, number(bit+4, 4))
			}
			return d, m
		},
		weights: parts(q2kParts), shared: q2kParts,
		pieces: []piece{{move: (*vnniRows).twoHalves, at: 80}, {move: (*vnniRows).fourWords, loop: 5}},
	}
}

// q3kLift is how far left of its place the lowest bit of a weight of Q3_K is unpacked: where two bits of it are, if there is
// room for the third beside them.
func q3kLift(s int) int { return min(2*(s%4), 5) }

func q3kParts(s int) []part {
	lift := q3kLift(s)
	return []part{{0, lift + 2 - s, 4 << lift}, {32 + s/4*32, lift - 2*(s%4), 3 << lift}}
}

func vnniQ3K() vnniFormat {
	return vnniFormat{
		name: "Q3K", doc: "Q3_K", bytes: 110, subs: 8, halves: true, offset: true,
		down: func(s int) int { return 5 - q3kLift(s) },
		// Slots 0..3 keep the scale for the four places of weights; 4..7 the scales of halves 0..3, 4..7, 8..11, 12..15: four
		// low and two high bits, less 32.
		head: func(k *vnniKernel, g int) {
			k.keepHalves(g, 108, -24, -26, -28, -29)
			four, two, middle := k.loadConst(k.equalBytes(0x0f)), k.loadConst(k.equalBytes(0x30)), k.loadConst(k.equalBytes(32))
			for i, shift := range []int{4, 2, 0, -2} {
				v := k.bits(k.at(g, 96+i%2*4), -4*(i/2), four)
				k.or(v, k.shift(k.at(g, 104), shift), two)
				k.VPSUBB(middle, v, v)
				k.VMOVDQU32(v, k.slot(g, 4+i))
			}
		},
		scales: func(k *vnniKernel, g, s int) (d []reg.VecVirtual, m []Op) {
			words := k.loadConst(k.slot(g, 4+s/2))
			for h := range 2 {
				d = append(d, k.times(words, s%2*2+h, g, s%4))
			}
			return d, nil
		},
		weights: parts(q3kParts), shared: q3kParts,
		pieces: []piece{
			{move: (*vnniRows).lastThreeWords, at: 92},
			{move: (*vnniRows).lastHalf, at: 108},
			{move: (*vnniRows).fourWords, loop: 6},
		},
	}
}
