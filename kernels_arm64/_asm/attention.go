package main

import "fmt"

// panels generates the integer products of attention over Q8 and Q4: up to three rows of integers of 16 bits with one panel of
// 16 lanes, each with four unsigned bytes side by side (quant.KVFormat).
//
// With SDOT a row is two planes of signed bytes, q = 256*high + low; a vector of the row is high, low, high, low of two fours.
// Bytes of Q8 become signed. Without it a row is two pairs of words of each four, (0, 2) and (1, 3), that SMLAL multiplies with
// the even and the odd bytes.
func panels(a *asm) {
	a.includes("Integer products of attention: rows of 16 bits with panels of keys or values in 8 or 4 bits.")
	for _, dot := range []bool{true, false} {
		for _, bits := range []int{8, 4} {
			for rows := 1; rows <= 3; rows++ {
				panel{a, dot, bits, rows}.generate()
			}
		}
	}
}

type panel struct {
	*asm
	dot        bool
	bits, rows int
}

// Registers: R0 sums, R1 to R3 rows, R4 panel, R5 what is prefetched, R6 pairs of fours left, R7 what sums begin with; V0-V23
// sums, V24-V27 lanes, V28-V30 rows, V31 a mask.
func (p panel) generate() {
	isa := "NEON"
	if p.dot {
		isa = "DotProd"
	}
	p.function(fmt.Sprintf("panelQ%dRows%d%s", p.bits, p.rows, isa), "(sums, begin *int32, q *byte, qStride int, b, ahead *byte, pairs int)", 56)
	p.line("//\n// %d rows: sums[r*16+l] = begin[r] + the products of row r with lane l over 8*pairs values.", p.rows)
	for i, name := range []string{"sums", "begin", "q", "qStride", "b", "ahead", "pairs"} {
		p.line("\tMOVD %s+%d(FP), R%d", name, 8*i, []int{0, 7, 1, 8, 4, 5, 6}[i])
	}
	p.line("\tADD R8, R1, R2\n\tADD R8, R2, R3")
	if p.dot {
		p.line("\tVMOVI $%d, V31.B16", map[int]int{8: 0x80, 4: 0x0f}[p.bits])
	}
	for r := range p.rows {
		for i := range 8 {
			p.line("\tZERO(%d)", 8*r+i)
		}
	}
	p.label("pair")
	p.line("\tPRFM (R5), PLDL1KEEP\n\tADD $64, R5")
	if p.bits == 8 {
		p.line("\tPRFM (R5), PLDL1KEEP\n\tADD $64, R5")
	}
	if p.dot {
		p.pairDot()
	} else {
		p.pairWords()
	}
	p.line("\tSUBS $1, R6\n\tBNE pair")
	for r := range p.rows {
		p.line("\tVLD1R.P 4(R7), [V31.S4]")
		for j := range 4 {
			first, second := 8*r+j, 8*r+4+j
			if p.dot {
				p.line("\tVSHL $8, V%d.S4, V%d.S4\n\tVADD V%d.S4, V%d.S4, V%d.S4", first, first, second, first, first)
			} else {
				p.line("\tADDP_4S(%d, %d, %d)", second, first, first)
			}
			p.line("\tVADD V31.S4, V%d.S4, V%d.S4", first, first)
		}
		p.line("\tVST1.P [V%d.S4, V%d.S4, V%d.S4, V%d.S4], 64(R0)", 8*r, 8*r+1, 8*r+2, 8*r+3)
	}
	p.line("\tRET\n")
}

// lanes loads the lanes of one four, or of two in 4 bits; stay leaves the pointer.
func (p panel) lanes(stay bool) {
	if stay {
		p.line("\tVLD1 (R4), [V24.B16, V25.B16, V26.B16, V27.B16]")
	} else {
		p.line("\tVLD1.P 64(R4), [V24.B16, V25.B16, V26.B16, V27.B16]")
	}
}

func (p panel) pairDot() {
	for r := range p.rows {
		p.line("\tVLD1.P 16(R%d), [V%d.B16]", 1+r, 28+r)
	}
	for g := range 2 {
		p.lanes(p.bits == 4 && g == 0)
		for j := 24; j < 28; j++ {
			switch {
			case p.bits == 8:
				p.line("\tVEOR V31.B16, V%d.B16, V%d.B16", j, j)
			case g == 0:
				p.line("\tVAND V31.B16, V%d.B16, V%d.B16", j, j)
			default:
				p.line("\tVUSHR $4, V%d.B16, V%d.B16", j, j)
			}
		}
		for r := range p.rows {
			for plane := range 2 {
				for j := range 4 {
					p.line("\tSDOTE(%d, %d, %d, %d)", 2*g+plane, 28+r, 24+j, 8*r+4*plane+j)
				}
			}
		}
	}
}

func (p panel) pairWords() {
	for g := range 2 {
		for half := range 2 {
			p.lanes(half == 0 || p.bits == 4 && g == 0)
			// The wanted byte, or half byte, of each word goes to its top and from there to its bottom.
			up, down := 8-8*half, 8
			if p.bits == 4 {
				up, down = 12-8*half-4*g, 12
			}
			for j := 24; j < 28; j++ {
				if up > 0 {
					p.line("\tVSHL $%d, V%d.H8, V%d.H8", up, j, j)
				}
				p.line("\tVUSHR $%d, V%d.H8, V%d.H8", down, j, j)
			}
			for r := range p.rows {
				p.line("\tVLD1R.P 4(R%d), [V28.S4]", 1+r)
				for j := range 4 {
					p.line("\tSMLAL_4S(28, %d, %d)\n\tSMLAL2_4S(28, %d, %d)", 24+j, 8*r+j, 24+j, 8*r+4+j)
				}
			}
		}
	}
}
