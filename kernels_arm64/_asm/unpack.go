package main

// unpack writes a function that turns packed rows (quant.PackGroup with units of 4 bytes) into a tile. In a packed block the
// same four columns of 16 rows are 64 bytes, four vectors, so that unpacking is the same for every byte.
//
// Registers: R0 tile, R1 source, R2 blocks of the format, R3 source of the quants; V28 to V31 hold constants.
type unpack struct{ *asm }

const mask, offset = 31, 30 // registers of the mask of a nibble and of what is subtracted

func unpackers(a *asm) {
	a.includes("From packed rows to tiles.")
	u := unpack{a}
	u.function("Q40", 18, 32, func() { u.constant(mask, 15); u.constant(offset, 8) }, func() {
		u.halfScales(0, tileScales)
		u.nibbles(32, 0, true)
	})
	u.function("Q41", 20, 32, func() { u.constant(mask, 15) }, func() {
		u.halfScales(0, tileScales)
		u.halfScales(32, tileMinima)
		u.nibbles(64, 0, false)
	})
	u.function("Q80", 34, 32, func() {}, func() {
		u.halfScales(0, tileScales)
		for i := range 8 {
			u.load("R1", 32+64*i, span(0, 4))
			u.store("R0", 64*i, span(0, 4))
		}
	})
	u.fifths()
	u.nonlinear()
	u.minimaK()
	u.signedK()
}

// function writes one unpacker; a block of the format has bytes and columns.
func (u unpack) function(format string, bytes, columns int, constants, block func()) {
	u.line("// func unpack%s(tile *unpacked, src *byte, blocks int)", format)
	u.line("TEXT ·unpack%s(SB), NOSPLIT, $0-24", format)
	u.op("MOVD tile+0(FP), R0")
	u.op("MOVD src+8(FP), R1")
	u.op("MOVD blocks+16(FP), R2")
	constants()
	u.label("block")
	block()
	u.op("ADD $%d, R1", 16*bytes)
	u.op("ADD $%d, R0", tileStride*columns/32)
	u.op("SUBS $1, R2")
	u.op("BNE block")
	u.op("RET")
	u.line("")
}

func (u unpack) constant(reg, value int) { u.op("VMOVI $%d, V%d.B16", value, reg) }

// halves loads 16 binary16 numbers as float32 to regs.
func (u unpack) halves(at int, regs []int) {
	u.load("R1", at, []int{regs[1], regs[3]})
	u.op("FCVTL_4S(%d, %d)", regs[1], regs[0])
	u.op("FCVTL2_4S(%d, %d)", regs[1], regs[1])
	u.op("FCVTL_4S(%d, %d)", regs[3], regs[2])
	u.op("FCVTL2_4S(%d, %d)", regs[3], regs[3])
}

// halfScales converts 16 binary16 numbers to a vector of scales or minima.
func (u unpack) halfScales(at, to int) {
	u.halves(at, span(0, 4))
	u.store("R0", to, span(0, 4))
}

// nibbles unpacks a block of 16 bytes a row, low nibbles first.
func (u unpack) nibbles(at, to int, subtract bool) {
	for i := range 4 {
		u.load("R1", at+64*i, span(0, 4))
		u.split(span(0, 4), span(4, 4))
		if subtract {
			u.each(span(0, 8), "VSUB V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", offset)
		}
		u.store("R0", to+64*i, span(0, 4))
		u.store("R0", to+64*(i+4), span(4, 4))
	}
}

// split puts the high nibbles of low into high and leaves the low ones.
func (u unpack) split(low, high []int) {
	for i, r := range low {
		u.op("VUSHR $4, V%d.B16, V%d.B16", r, high[i])
	}
	u.each(low, "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", mask)
}

// each writes an instruction for every register; the format gets the register first, then args.
func (u unpack) each(regs []int, format string, args ...any) {
	for _, r := range regs {
		u.op(format, append([]any{r}, args...)...)
	}
}
