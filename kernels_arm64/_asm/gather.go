package main

// gather writes the function that packs blocks of 16 rows that stand apart. Registers: R0 to R15 rows, R16 destination,
// R17 operation, R19 blocks left, R20 the first operation.
func gather(a *asm) {
	a.includes("From tight rows to packed ones.")
	a.function("gather", "(dst *byte, rows *[packRows]*byte, at, blocks int, ops *byte)", 40)
	a.op("MOVD dst+0(FP), R16")
	a.op("MOVD rows+8(FP), R17")
	a.op("MOVD at+16(FP), R20")
	for r := 0; r < 16; r += 2 {
		a.op("LDP %d(R17), (R%d, R%d)", 8*r, r, r+1)
	}
	for r := range 16 {
		a.op("ADD R20, R%d", r)
	}
	a.op("MOVD blocks+24(FP), R19")
	a.op("MOVD ops+32(FP), R20")
	a.op("MOVD R20, R17")
	a.label("next")
	a.op("MOVBU.P 1(R17), R21")
	a.op("CMP $4, R21")
	a.op("BHI quarters")
	a.op("BEQ words")
	a.op("CBZ R21, done")
	a.line("")
	for r := 0; r < 16; r += 4 {
		a.gatherHalves(r)
	}
	a.op("B next")
	a.label("words")
	for r := 0; r < 16; r += 4 {
		for i := range 4 {
			a.op("MOVWU.P 4(R%d), R%d", r+i, 21+i)
		}
		a.op("ORR R22<<32, R21, R21")
		a.op("ORR R24<<32, R23, R23")
		a.op("STP.P (R21, R23), 16(R16)")
	}
	a.op("B next")
	a.label("quarters")
	for r := 0; r < 16; r += 4 {
		a.gatherQuarters(r)
	}
	a.op("ADD $256, R16")
	a.op("B next")
	a.label("done")
	a.op("MOVD R20, R17")
	a.op("SUBS $1, R19")
	a.op("BNE next")
	a.op("RET")
	a.line("")
}

// gatherHalves packs two bytes of four rows.
func (a *asm) gatherHalves(r int) {
	for i := range 4 {
		a.op("MOVHU.P 2(R%d), R%d", r+i, 21+i)
	}
	a.op("ORR R22<<16, R21, R21")
	a.op("ORR R24<<16, R23, R23")
	a.op("ORR R23<<32, R21, R21")
	a.op("MOVD.P R21, 8(R16)")
}

// gatherQuarters packs 16 bytes of four rows: it transposes a matrix of 4 x 4 words.
func (a *asm) gatherQuarters(r int) {
	v := span(2*r, 8)
	for i := range 4 {
		a.op("FMOVQ.P 16(R%d), F%d", r+i, v[i])
	}
	for i := range 4 {
		a.op("VTRN%d V%d.S4, V%d.S4, V%d.S4", 1+i%2, v[i/2*2+1], v[i/2*2], v[4+i])
	}
	for i := range 4 {
		a.op("VTRN%d V%d.D2, V%d.D2, V%d.D2", 1+i/2, v[6+i%2], v[4+i%2], v[i])
	}
	for i := range 4 {
		a.op("FMOVQ F%d, %d(R16)", v[i], 64*i+4*r)
	}
}
