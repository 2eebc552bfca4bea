package main

import "fmt"

// panels generates the sums of attention over Q8 and Q4 with SDOT: 1 to 3 rows of 16 bits with a panel of 16 lanes, each with
// four unsigned bytes side by side (quant.KVFormat). Those without SDOT are in ../attention_int_arm64.s.
//
// A row is two planes of signed bytes, q = 256*high + low; of each eight values it has four high bytes, the four low ones, and so
// on. Bytes of Q8 lose their offset of 128 and become signed.
func panels(a *asm) {
	a.includes("Integer products of attention with SDOT (FEAT_DotProd): rows of 16 bits with panels of keys or values in 8 or 4 bits.")
	for _, bits := range []int{8, 4} {
		for rows := 1; rows <= 3; rows++ {
			panel{a, bits, rows}.generate()
		}
	}
}

type panel struct {
	*asm
	bits, rows int
}

// Registers: R0 sums, R1 panel, R2 what is prefetched, R3 to R5 rows, R6 eights left; V0-V23 sums, V24-V27 lanes, V28-V30 rows,
// V31 a mask.
func (p panel) generate() {
	p.function(fmt.Sprintf("panelSumsQ%dDotProd%d", p.bits, p.rows), "(sum *int32, src, ahead, q *byte, stride, eights int)", 48)
	for i, name := range []string{"sum", "src", "ahead", "q", "stride", "eights"} {
		p.op("MOVD %s+%d(FP), R%d", name, 8*i, []int{0, 1, 2, 3, 7, 6}[i])
	}
	p.op("ADD R7, R3, R4")
	p.op("ADD R7, R4, R5")
	p.line("\tVMOVI $%d, V31.B16", map[int]int{8: 0x80, 4: 0x0f}[p.bits])
	p.zero(span(0, 8*p.rows)...)
	p.label("eight")
	size := 16 * p.bits // bytes of the panel for eight values
	for i := 0; i < size; i += 64 {
		p.line("\tPRFM %d(R2), PLDL1KEEP", i)
	}
	for r := range p.rows {
		p.op("FMOVQ (R%d), F%d", 3+r, 28+r)
	}
	for four := range 2 {
		p.four(four)
	}
	for r := range p.rows {
		p.op("ADD $16, R%d", 3+r)
	}
	p.op("ADD $%d, R1", size)
	p.op("ADD $%d, R2", size)
	p.op("SUBS $1, R6")
	p.op("BNE eight")
	for r := range p.rows {
		sums := span(8*r, 4)
		for _, s := range sums {
			p.op("VSHL $8, V%d.S4, V%d.S4", s, s)
			p.op("VADD V%d.S4, V%d.S4, V%d.S4", s+4, s, s)
		}
		p.store("R0", 64*r, sums)
	}
	p.op("RET")
	p.line("")
}

// four adds the products of the first or second four of eight values; in 4 bits, both lie in the same bytes.
func (p panel) four(four int) {
	lanes := span(24, 4)
	p.load("R1", four*64*p.bits/8&^63, lanes)
	for _, l := range lanes {
		switch {
		case p.bits == 8:
			p.op("VEOR V31.B16, V%d.B16, V%d.B16", l, l)
		case four == 0:
			p.op("VAND V31.B16, V%d.B16, V%d.B16", l, l)
		default:
			p.op("VUSHR $4, V%d.B16, V%d.B16", l, l)
		}
	}
	for r := range p.rows {
		for plane := range 2 {
			for j, l := range lanes {
				p.op("SDOTE(%d, %d, %d, %d)", 2*four+plane, 28+r, l, 8*r+4*plane+j)
			}
		}
	}
}
