package main

// unpackers writes the functions that turn packed rows into a tile. Registers: R0 tile, R1 source, R2 blocks of the format,
// R3, R4, R5 source, tile and count of a loop over the words of a K format; V16 to V27 weights, V7 the offset, V28 to V31
// constants. Of Q8_0, whose packed words are those of a tile, only the products with SMMLA want one.
func unpackers(a *asm) {
	a.includes("From packed rows to tiles.")
	a.tables()
	for _, f := range formats() {
		a.unpacker(f)
	}
}

func (a *asm) unpacker(f format) {
	a.function("unpack"+f.name, "(tile *unpacked, src *byte, blocks int)", 24)
	a.op("MOVD tile+0(FP), R0")
	a.op("MOVD src+8(FP), R1")
	a.op("MOVD blocks+16(FP), R2")
	f.constants(a)
	a.label("block")
	f.scales(a)
	if f.offset != 0 {
		a.constant(7, f.offset)
	}
	if f.columns == 32 {
		for u := range f.steps {
			a.unpackStep(f, f.step(0, u), u%2, bases{"R1", "R1"}, "R0", 0)
		}
	} else {
		a.op("MOVD R1, R3")
		a.op("MOVD R0, R4")
		a.op("MOVD $%d, R5", f.steps)
		a.label("step")
		for s := range 8 {
			a.unpackStep(f, f.step(s, 0), s%2, bases{"R3", "R3"}, "R4", s*tileStride)
		}
		a.op("ADD $64, R3")
		a.op("ADD $64, R4")
		a.op("SUBS $1, R5")
		a.op("BNE step")
	}
	a.op("ADD $%d, R1", 16*f.bytes)
	a.op("ADD $%d, R0", tileStride*f.columns/32)
	a.op("SUBS $1, R2")
	a.op("BNE block")
	a.op("RET")
	a.line("")
}

// unpackStep stores the words of one step.
func (a *asm) unpackStep(f format, s step, turn int, from bases, to string, at int) {
	r, t := span(20, 4), span(16, 4)
	if turn == 1 {
		r = span(24, 4)
	}
	s.load(a, from, 0, r, t)
	s.prepare(a, r, t)
	for _, w := range s.words(r, t) {
		if f.offset != 0 {
			a.each(w.regs, "VSUB V7.B16, V%[1]d.B16, V%[1]d.B16")
		}
		a.store(to, at+64*w.number, w.regs)
	}
}
