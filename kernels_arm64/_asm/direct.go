package main

import "strings"

// direct multiplies packed rows with one activation row without a tile between: what is unpacked goes from the registers
// into the product. Scales of the K formats still pass through the tile.
//
// Registers: R0 tile, R1 block, R2 activations, R6 their stride, R7 blocks, R8 groups left, R9 dst, R10 the first
// activations, R11 blocks left, R12 add, R13 periods left, R14 scales, R15 and R19 quants, R3 to R5 free. V0 to V3 sums, V4 to V11
// integers, V12 and V13 activations, V14 and V15 repeated activations, V16 to V27 weights, V28 to V31 constants.
type direct struct {
	*asm
	format
	neon bool
}

func directs(a *asm, neon bool) {
	for _, f := range formats() {
		switch {
		case f.name == "Q80" || f.name == "Q50" || f.name == "Q51" || f.name == "Q2K" || f.name == "Q3K":
			// Q8_0 has products of its own, the others go through tiles.
		case neon && f.large == anySize:
			// No registers for wider sums.
		default:
			(&direct{a, f, neon}).emit()
		}
	}
}

func (d *direct) emit() {
	name := d.name + map[bool]string{false: "DotProd", true: "NEON"}[d.neon]
	d.function("direct"+name, "(p *direct)", 8)
	d.op("MOVD p+0(FP), R3")
	for i, field := range strings.Fields("tile w acts stride blocks groups dst add") {
		d.op("MOVD direct_%s(R3), R%d", field, []int{0, 1, 10, 6, 7, 8, 9, 12}[i])
	}
	d.constants(d.asm)
	d.label("group")
	d.op("MOVD R10, R2")
	d.op("MOVD R7, R11")
	d.zero(0, 1, 2, 3)
	d.op("CBZ R12, block")
	d.load("R9", 0, span(0, 4))
	d.label("block")
	if d.columns == 32 {
		d.subBlock(0, bases{"R1", "R1"})
	} else {
		d.scales(d.asm)
		d.op("MOVD R0, R14")
		d.op("MOVD R1, R15")
		d.op("MOVD R1, R19")
		d.op("MOVD $%d, R13", 8/d.period)
		d.label("period")
		for s := range d.period {
			d.subBlock(s, bases{"R15", "R19"})
		}
		d.op("ADD $%d, R14", d.period*tileStride)
		d.op("ADD $%d, R15", d.periodBytes)
		d.op("ADD $%d, R19", d.periodBits)
		d.op("SUBS $1, R13")
		d.op("BNE period")
	}
	d.op("ADD $%d, R1", 16*d.bytes)
	d.op("SUBS $1, R11")
	d.op("BNE block")
	d.store("R9", 0, span(0, 4))
	d.op("ADD $64, R9")
	d.op("SUBS $1, R8")
	d.op("BNE group")
	d.op("RET")
	d.line("")
}

// subBlock adds the product of 32 columns.
func (d *direct) subBlock(s int, base bases) {
	d.load("R2", 0, []int{12, 13})
	var ints [][]int
	if d.halves {
		ints = d.halfBlocks(s, base)
	} else {
		ints = [][]int{d.integers(s, base, 0, d.steps, 4, 48)}
	}
	d.op("FMOVQ %d(R2), F12", actScales)
	if d.halves {
		for i, r := range ints[0] {
			d.op("FMLA_4S(%d, %d, %d)", 16+i, ints[1][i], r)
		}
		for i, r := range ints[0] {
			d.op("FMLAE_4S(0, 12, %d, %d)", r, i)
		}
	} else {
		d.float(s, ints[0])
	}
	d.op("ADD R6, R2")
}

// float: acc = fma(dw*dx, isum, acc), then acc = fma(mw, s, acc). Its registers are free before the last words are
// multiplied.
func (d *direct) float(s int, ints []int) {
	scale, minima := span(20, 4), span(16, 4)
	if !d.neon {
		scale, minima = span(8, 4), span(20, 4)
	}
	d.factors(s, 0, tileScales, scale)
	for _, r := range scale {
		d.op("FMULE_4S(0, 12, %d, %d)", r, r)
	}
	if d.min {
		d.factors(s, 32, tileMinima, minima)
	}
	d.each(ints, "SCVTF_4S(%[1]d, %[1]d)")
	for i, r := range ints {
		d.op("FMLA_4S(%d, %d, %d)", r, scale[i], i)
	}
	if !d.min {
		return
	}
	for i, r := range minima {
		d.op("FMLAE_4S(1, 12, %d, %d)", r, i)
	}
}

// factors loads scales or minima: binary16 from the block, or of sub-block s from the tile.
func (d *direct) factors(s, at, tileAt int, regs []int) {
	if d.columns == 32 {
		d.f16(at, regs)
		return
	}
	d.load("R14", s*tileStride+tileAt, regs)
}

// halfBlocks computes both halves of a sub-block, as float32: the first times its scales, the second; its scales are in
// V16 to V19.
func (d *direct) halfBlocks(s int, base bases) [][]int {
	first, second := span(4, 4), span(8, 4)
	a := d.integers(s, base, 0, 4, 4, 52)
	d.each(a, "SCVTF_4S(%[1]d, %[1]d)")
	d.load("R14", s*tileStride+tileScales, span(16, 4))
	if d.neon {
		first = span(24, 4)
	}
	for i, r := range a {
		d.op("FMUL_4S(%d, %d, %d)", 16+i, r, first[i])
	}
	if d.neon {
		second = span(4, 4)
	}
	b := d.integers(s, base, 4, 8, second[0], 56)
	d.each(b, "SCVTF_4S(%[1]d, %[1]d)")
	d.load("R14", s*tileStride+tileScales+64, span(16, 4))
	return [][]int{first, b}
}

// integers computes the sums of steps first to last, less the offset; acc is the first accumulator, correction the place
// of -128 * the sum of the activations.
func (d *direct) integers(s int, base bases, first, last, acc, correction int) []int {
	buffer := func(u int) []int {
		if u%2 == 1 && !(d.neon && d.halves) {
			return span(24, 4)
		}
		return span(20, 4)
	}
	t := span(16, 4)
	d.step(s, first).load(d.asm, base, 0, buffer(first), t)
	if !d.neon {
		d.begin(acc, correction)
	}
	begun := false
	for u := first; u < last; u++ {
		step := d.step(s, u)
		words := step.words(buffer(u), t)
		if d.neon {
			for i, w := range words {
				d.op("VDUP V%d.S[%d], V%d.S4", 12+w.number/4, w.number%4, 14+(i+u*len(words))%2)
			}
		}
		step.prepare(d.asm, buffer(u), t)
		if u+1 < last && !(d.neon && d.halves) {
			d.step(s, u+1).load(d.asm, base, 0, buffer(u+1), t)
		}
		for i, w := range words {
			d.multiply(w, acc, 14+(i+u*len(words))%2, !begun)
			begun = true
		}
		if u+1 < last && d.neon && d.halves {
			d.step(s, u+1).load(d.asm, base, 0, buffer(u+1), t)
		}
	}
	if !d.neon {
		return span(acc, 4)
	}
	return d.reduce(acc, correction)
}

// shiftOf is the power of two between 128 and the offset.
func (d *direct) shiftOf() int {
	n := 0
	for d.offset<<n < 128 {
		n++
	}
	return n
}

// begin clears the accumulators, or starts from the correction.
func (d *direct) begin(acc, correction int) {
	if d.offset == 0 {
		d.zero(span(acc, 4)...)
		return
	}
	d.correction(acc, correction)
	for i := 1; i < 4; i++ {
		d.op("VORR V%d.B16, V%d.B16, V%d.B16", acc, acc, acc+i)
	}
}

// correction is -offset * the sum of the activations in every lane of reg.
func (d *direct) correction(reg, at int) {
	d.op("MOVW %d(R2), R3", at)
	d.op("ASR $%d, R3", d.shiftOf())
	d.op("VDUP R3, V%d.S4", reg)
}

func (d *direct) multiply(w word, acc, dup int, first bool) {
	for i, r := range w.regs {
		if !d.neon {
			d.op("SDOTE(%d, %d, %d, %d)", w.number%4, 12+w.number/4, r, acc+i)
			continue
		}
		name := map[bool]string{true: "SMULL", false: "SMLAL"}[first]
		d.op("%s(%d, %d, %d)", name, dup, r, acc+2*i)
		d.op("%s2(%d, %d, %d)", name, dup, r, acc+2*i+1)
	}
}

// reduce adds the four lanes of every row, and the correction.
func (d *direct) reduce(acc, correction int) []int {
	if d.offset != 0 {
		d.correction(14, correction)
	}
	all, out := span(acc, 8), []int{acc, acc + 2, acc + 4, acc + 6}
	if d.large == upTo16 {
		for _, r := range out {
			d.op("ADDP_8H(%d, %d, %d)", r+1, r, r)
		}
		d.each(out, "SADDLP_4S(%[1]d, %[1]d)")
	} else {
		d.each(all, "SADDLP_4S(%[1]d, %[1]d)")
		for _, r := range out {
			d.op("ADDP_4S(%d, %d, %d)", r+1, r, r)
		}
	}
	if d.offset != 0 {
		d.each(out, "VADD V14.S4, V%[1]d.S4, V%[1]d.S4")
	}
	return out
}
