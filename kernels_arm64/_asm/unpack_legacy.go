package main

// fifths are the unpackers of Q5_0 and Q5_1. Bit j of a row's word is the fifth bit of column j: TBL spreads the byte of
// eight columns over the four bytes of the row's lane, CMTST picks the bit of each column, SLI inserts it above the nibble.
func (u unpack) fifths() {
	for b := range 4 {
		u.data("spread", 16*b, func(i int) byte { return byte(i/4*4 + b) })
	}
	for odd := range 2 {
		u.data("spread", 64+16*odd, func(i int) byte { return 1 << (i%4 + 4*odd) })
	}
	u.line("GLOBL spread<>(SB), RODATA|NOPTR, $96\n")
	constants := func() {
		u.op("MOVD $spread<>(SB), R3")
		u.load("R3", 0, []int{22, 23, 24, 25, 26, 27})
		u.constant(mask, 15)
		u.constant(offset, 31)
	}
	fifth := func(at, b int) {
		u.load("R1", at, span(12, 4))
		if b == 0 {
			u.each(span(12, 4), "NOT_16B(%[1]d, %[1]d)")
		}
		for pair := range 2 {
			for i := range 4 {
				u.op("VTBL V%d.B16, [V%d.B16], V%d.B16", 22+pair, 12+i, 16+i)
				u.op("VTBL V%d.B16, [V%d.B16], V%d.B16", 24+pair, 12+i, 8+i)
			}
			for odd := range 2 {
				word := 2*pair + odd
				u.load("R1", at+64+64*word, span(0, 4))
				u.split(span(0, 4), span(4, 4))
				for i := range 4 {
					for half, spread := range []int{16, 8} {
						u.op("VCMTST V%d.B16, V%d.B16, V28.B16", 26+odd, spread+i)
						u.op("VSLI $4, V28.B16, V%d.B16", 4*half+i)
					}
				}
				if b == 1 {
					u.each(span(0, 8), "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", offset)
				}
				u.store("R0", 64*word, span(0, 4))
				u.store("R0", 64*(word+4), span(4, 4))
			}
		}
	}
	// Q5_0 is v-16: with the fifth bit clear the upper four bits are ones, hence the inversion.
	u.function("Q50", 22, 32, constants, func() {
		u.halfScales(0, tileScales)
		fifth(32, 0)
	})
	u.function("Q51", 24, 32, constants, func() {
		u.halfScales(0, tileScales)
		u.halfScales(32, tileMinima)
		fifth(64, 1)
	})
}

// nonlinear are the unpackers of IQ4_NL and IQ4_XS.
func (u unpack) nonlinear() {
	values := []int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113} // ggml-common.h, kvalues_iq4nl
	u.data("nonlinear", 0, func(i int) byte { return byte(values[i]) })
	u.line("GLOBL nonlinear<>(SB), RODATA|NOPTR, $16\n")
	constants := func() {
		u.op("MOVD $nonlinear<>(SB), R3")
		u.op("FMOVQ 0(R3), F%d", offset)
		u.constant(mask, 15)
	}
	block := func(at, to int) {
		for i := range 4 {
			u.load("R1", at+64*i, span(0, 4))
			u.split(span(0, 4), span(4, 4))
			u.each(span(0, 8), "VTBL V%[1]d.B16, [V%[2]d.B16], V%[1]d.B16", offset)
			u.store("R0", to+64*i, span(0, 4))
			u.store("R0", to+64*(i+4), span(4, 4))
		}
	}
	u.function("IQ4NL", 18, 32, constants, func() {
		u.halfScales(0, tileScales)
		block(32, 0)
	})
	u.function("IQ4XS", 136, 256, func() { constants(); u.words(29, 32) }, func() {
		u.halves(0, span(20, 4))
		for i := range 4 {
			u.op("FMOVQ %d(R1), F0", 64+16*i)
			u.op("FMOVQ %d(R1), F1", 32+i/2*16)
			u.op("%s", []string{"VUXTL V1.H4, V1.S4", "VUXTL2 V1.H8, V1.S4"}[i%2])
			u.split([]int{0}, []int{2})
			for s := range 8 {
				u.byteOf([]int{0, 2}[s%2], s/2, 3)
				u.op("VSHL $%d, V1.S4, V4.S4", 30-2*s)
				u.op("VUSHR $30, V4.S4, V4.S4")
				u.op("VSLI $4, V4.S4, V3.S4")
				u.op("VSUB V29.S4, V3.S4, V3.S4")
				u.scale(3, 20+i, s*tileStride+tileScales+16*i)
			}
		}
		for s := range 8 {
			block(128+256*s, s*tileStride)
		}
	})
}

// data writes 16 bytes of a table.
func (u unpack) data(name string, at int, value func(i int) byte) {
	for half := range 2 {
		var v uint64
		for i := range 8 {
			v |= uint64(value(8*half+i)) << (8 * i)
		}
		u.line("DATA %s<>+%d(SB)/8, $%#016x", name, at+8*half, v)
	}
}
