package main

// The K formats and IQ4_XS: scales of sub-blocks are integers of 6 or 8 bits, four bytes of a row in the row's lane.
// Scales are computed in V8 to V15 and V20 to V27.

// scaleBytes stores the four bytes of every lane of from, times the lanes of d, where at says. A byte is masked and
// converted where it stands, as a number with binary places. subtract is a register of a float to be subtracted, or 0.
func (a *asm) scaleBytes(from, d, subtract int, at func(b int) int) {
	tmp := span(8, 4)
	for b, r := range tmp {
		a.op("VAND V%d.B16, V%d.B16, V%d.B16", byteMasks+b, from, r)
	}
	a.op("SCVTF_4S(%d, %d)", tmp[0], tmp[0])
	for b := 1; b < 4; b++ {
		a.op("UCVTFN_4S(%d, %d, %d)", 8*b, tmp[b], tmp[b])
	}
	if subtract != 0 {
		a.each(tmp, "FSUB_4S(%[2]d, %[1]d, %[1]d)", subtract)
	}
	a.storeScales(tmp, d, at)
}

// byteMasks is the first of four registers, each with a byte of every lane set; in use only for scales.
const byteMasks = 16

func (a *asm) storeScales(regs []int, d int, at func(b int) int) {
	a.each(regs, "FMUL_4S(%[2]d, %[1]d, %[1]d)", d)
	for b, r := range regs {
		a.op("FMOVQ F%d, %d(R4)", r, at(b))
	}
}

// vectors writes a loop over the four vectors of rows: body finds their words at (R3), their binary16 at (R5), the tile's
// at (R4).
func (a *asm) vectors(body func()) {
	a.op("MOVD $byteMask<>(SB), R3")
	a.load("R3", 0, span(byteMasks, 4))
	a.op("MOVD R1, R3")
	a.op("MOVD R0, R4")
	a.op("MOVD R1, R5")
	a.label("vector")
	body()
	a.op("ADD $16, R3")
	a.op("ADD $16, R4")
	a.op("ADD $8, R5")
	a.op("SUB R1, R5, R19")
	a.op("CMP $32, R19")
	a.op("BNE vector")
}

// factor loads four binary16 numbers, negated if negative.
func (a *asm) factor(at, reg int, negative bool) {
	a.op("FMOVD %d(R5), F%d", at, reg)
	a.op("FCVTL_4S(%d, %d)", reg, reg)
	if negative {
		a.op("FNEG_4S(%d, %d)", reg, reg)
	}
}

// scaleMin stores the scales and minima of Q4_K and Q5_K (get_scale_min_k4 in ggml-quants.c); V29 is 63.
func (a *asm) scaleMin() {
	a.vectors(func() {
		a.factor(0, 20, false)
		a.factor(32, 21, true)
		for w := range 3 {
			a.op("FMOVQ %d(R3), F%d", 64+64*w, 22+w)
		}
		a.op("VUSHR $6, V22.B16, V25.B16")
		a.op("VUSHR $6, V23.B16, V26.B16")
		a.each([]int{22, 23}, "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", third)
		a.split([]int{24}, []int{27})
		a.op("VSLI $4, V25.B16, V27.B16")
		a.op("VSLI $4, V26.B16, V24.B16")
		for high := range 2 {
			to := func(b int) int { return (4*high + b) * tileStride }
			a.scaleBytes([]int{22, 27}[high], 20, 0, func(b int) int { return to(b) + tileScales })
			a.scaleBytes([]int{23, 24}[high], 21, 0, func(b int) int { return to(b) + tileMinima })
		}
	})
}

// xsScales stores the scales of IQ4_XS; V29 is 32 in every lane.
func xsScales(a *asm) {
	a.vectors(func() {
		a.factor(0, 20, false)
		a.op("FMOVQ 64(R3), F22")
		a.op("FMOVD 32(R5), F23")
		a.op("VUXTL V23.H4, V23.S4")
		a.split([]int{22}, []int{24})
		for odd, from := range []int{24, 22} {
			for b := range 4 {
				a.op("VSHL $%d, V%d.S4, V%d.S4", 24-8*b, from, 8+b)
				a.op("VSHL $%d, V23.S4, V%d.S4", 30-2*(2*b+odd), 12+b)
			}
			for b := range 4 {
				a.op("VUSHR $24, V%[1]d.S4, V%[1]d.S4", 8+b)
				a.op("VUSHR $30, V%[1]d.S4, V%[1]d.S4", 12+b)
			}
			for b := range 4 {
				a.op("VSLI $4, V%d.S4, V%d.S4", 12+b, 8+b)
			}
			regs := span(8, 4)
			a.each(regs, "VSUB V%[2]d.S4, V%[1]d.S4, V%[1]d.S4", third)
			a.each(regs, "SCVTF_4S(%[1]d, %[1]d)")
			a.storeScales(regs, 20, func(b int) int { return (2*b+odd)*tileStride + tileScales })
		}
	})
}

// shift moves the bits of every byte left or, if by is negative, right.
func (a *asm) shift(from, to []int, by int) {
	for i := range from {
		switch {
		case by > 0:
			a.op("VSHL $%d, V%d.B16, V%d.B16", by, from[i], to[i])
		case by < 0:
			a.op("VUSHR $%d, V%d.B16, V%d.B16", -by, from[i], to[i])
		case from[i] != to[i]:
			a.op("VORR V%d.B16, V%d.B16, V%d.B16", from[i], from[i], to[i])
		}
	}
}

// join makes of bytes of nibbles and of bytes with bits, the wanted ones bit number at and up, integers of more bits: those
// bits above the low or high nibble. Where the nibble is low, r holds the nibbles and t the bits, otherwise the reverse;
// the result is in r. m is the register of a mask.
func (a *asm) join(r, t []int, high bool, at, m int) {
	name := "VSLI"
	if high {
		a.shift(r, r, 4-at)
		name = "VSRI"
	} else {
		a.shift(t, t, -at)
	}
	for i, x := range r {
		a.op("%s $4, V%d.B16, V%d.B16", name, t[i], x)
	}
	a.each(r, "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", m)
}

// nibble leaves the low or the high nibbles of r.
func (a *asm) nibble(r []int, high bool) {
	if high {
		a.each(r, "VUSHR $4, V%[1]d.B16, V%[1]d.B16")
		return
	}
	a.each(r, "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", mask)
}

// halfAt is the place of what belongs to half-block number i.
func halfAt(i int) int { return i/2*tileStride + i%2*64 }

func single(u int) func(r, t []int) []word {
	return func(r, _ []int) []word { return []word{{u, r}} }
}

func kFormats() []format { return []format{q2K(), q3K(), q4K(), q5K(), q6K()} }

func q4K() format {
	return format{
		name: "Q4K", bytes: 144, columns: 256, kind: kind{min: true}, steps: 8, period: 2, periodBytes: 512,
		constants: func(a *asm) { a.constant(mask, 15); a.constant(third, 63) },
		scales:    func(a *asm) { a.scaleMin() },
		step: func(s, u int) step {
			return step{
				load:    func(a *asm, base bases, more int, r, _ []int) { a.load(base.quants, 256+512*(s/2)+64*u+more, r) },
				prepare: func(a *asm, r, _ []int) { a.nibble(r, s%2 == 1) },
				words:   single(u),
			}
		},
	}
}

func q5K() format {
	return format{
		name: "Q5K", bytes: 176, columns: 256, kind: kind{min: true, large: upTo31}, steps: 8, period: 8,
		constants: func(a *asm) { a.constant(mask, 15); a.constant(extra, 31); a.constant(third, 63) },
		scales:    func(a *asm) { a.scaleMin() },
		step: func(s, u int) step {
			return step{
				load: func(a *asm, base bases, more int, r, t []int) {
					if s%2 == 1 {
						r, t = t, r
					}
					a.load(base.quants, 768+512*(s/2)+64*u+more, r)
					a.load(base.bits, 256+64*u+more, t)
				},
				prepare: func(a *asm, r, t []int) { a.join(r, t, s%2 == 1, s, extra) },
				words:   single(u),
			}
		},
	}
}

func q6K() format {
	return format{
		name: "Q6K", bytes: 210, columns: 256, kind: kind{halves: true, large: upTo31}, offset: 32, steps: 8, period: 4,
		periodBytes: 1024, periodBits: 512,
		constants: func(a *asm) {
			a.constant(mask, 15)
			a.constant(extra, 63)
			a.constant(28, 128)
			a.words(third, 0x43000000) // 128, float32
		},
		scales: func(a *asm) {
			a.vectors(func() {
				a.factor(3328, 20, false)
				for w := range 4 {
					a.op("FMOVQ %d(R3), F22", 3072+64*w)
					a.op("VEOR V28.B16, V22.B16, V22.B16")
					a.scaleBytes(22, 20, third, func(b int) int { return halfAt(4*w+b) + tileScales })
				}
			})
		},
		step: func(s, u int) step {
			half, j := s/4, s%4
			return step{
				load: func(a *asm, base bases, more int, r, t []int) {
					if j/2 == 1 {
						r, t = t, r
					}
					a.load(base.quants, 64*(16*half+8*(j%2)+u)+more, r)
					a.load(base.bits, 2048+64*(8*half+u)+more, t)
				},
				prepare: func(a *asm, r, t []int) { a.join(r, t, j/2 == 1, 2*j, extra) },
				words:   single(u),
			}
		},
	}
}

func q2K() format {
	return format{
		name: "Q2K", bytes: 84, columns: 256, kind: kind{halves: true, min: true}, steps: 8, period: 8,
		constants: func(a *asm) { a.constant(mask, 15); a.constant(extra, 3) },
		scales: func(a *asm) {
			a.vectors(func() {
				a.factor(1280, 20, false)
				a.factor(1312, 21, true)
				for w := range 4 {
					a.op("FMOVQ %d(R3), F22", 64*w)
					a.split([]int{22}, []int{23})
					a.scaleBytes(23, 20, 0, func(b int) int { return halfAt(4*w+b) + tileScales })
					a.scaleBytes(22, 21, 0, func(b int) int { return halfAt(4*w+b) + tileMinima })
				}
			})
		},
		step: func(s, u int) step {
			return step{
				load: func(a *asm, base bases, more int, r, _ []int) { a.load(base.quants, 256+64*(8*(s/4)+u)+more, r) },
				prepare: func(a *asm, r, _ []int) {
					a.shift(r, r, -2*(s%4))
					a.each(r, "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", extra)
				},
				words: single(u),
			}
		},
	}
}

func q3K() format {
	return format{
		name: "Q3K", bytes: 110, columns: 256, kind: kind{halves: true}, offset: 4, steps: 8, period: 8,
		constants: func(a *asm) {
			a.constant(mask, 15)
			a.constant(extra, 3)
			a.constant(third, 7)
			a.words(28, 0x42000000) // 32, float32
		},
		scales: func(a *asm) {
			a.vectors(func() {
				a.factor(1728, 20, false)
				for w := range 3 {
					a.op("FMOVQ %d(R3), F%d", 1536+64*w, 22+w)
				}
				a.split([]int{22, 23}, []int{25, 26})
				for g, low := range []int{25, 26, 22, 23} {
					a.shift([]int{24}, []int{27}, -2*g)
					a.op("VAND V%d.B16, V27.B16, V27.B16", extra)
					a.op("VSLI $4, V27.B16, V%d.B16", low)
					a.scaleBytes(low, 20, 28, func(b int) int { return halfAt(4*g+b) + tileScales })
				}
			})
		},
		step: func(s, u int) step {
			return step{
				load: func(a *asm, base bases, more int, r, t []int) {
					a.load(base.quants, 512+64*(8*(s/4)+u)+more, r)
					a.load(base.bits, 64*u+more, t)
				},
				prepare: func(a *asm, r, t []int) {
					a.shift(r, r, -2*(s%4))
					a.shift(t, t, -s)
					for i, x := range r {
						a.op("VSLI $2, V%d.B16, V%d.B16", t[i], x)
					}
					a.each(r, "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", third)
				},
				words: single(u),
			}
		},
	}
}
