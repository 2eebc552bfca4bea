package main

// The K formats: scales of sub-blocks are 6-bit or 8-bit integers, four bytes of a row in the row's lane.

// words fills the lanes of a register with a 32-bit value.
func (u unpack) words(reg, value int) {
	u.op("MOVD $%d, R3", value)
	u.op("VDUP R3, V%d.S4", reg)
}

// byteOf extracts byte b of every lane.
func (u unpack) byteOf(from, b, to int) {
	if b < 3 {
		u.op("VSHL $%d, V%d.S4, V%d.S4", 24-8*b, from, to)
		from = to
	}
	u.op("VUSHR $24, V%d.S4, V%d.S4", from, to)
}

// scale stores the lanes of reg times those of d.
func (u unpack) scale(reg, d, at int) {
	u.op("SCVTF_4S(%d, %d)", reg, reg)
	u.op("FMUL_4S(%d, %d, %d)", d, reg, reg)
	u.op("FMOVQ F%d, %d(R0)", reg, at)
}

// scaleBytes stores the four bytes of every lane of from as scales of the half-blocks or blocks that at names.
func (u unpack) scaleBytes(from, d, subtract int, at func(b int) int) {
	for b := range 4 {
		u.byteOf(from, b, 8+b)
	}
	if subtract != 0 {
		u.each(span(8, 4), "VSUB V%[2]d.S4, V%[1]d.S4, V%[1]d.S4", subtract)
	}
	for b := range 4 {
		u.scale(8+b, d, at(b))
	}
}

// minimaK are the unpackers of the formats with minima: Q4_K, Q5_K and Q2_K. d is in V20 to V23, -dmin in V24 to V27.
func (u unpack) minimaK() {
	factors := func(at int) {
		u.halves(at, span(20, 4))
		u.halves(at+32, span(24, 4))
		u.each(span(24, 4), "FNEG_4S(%[1]d, %[1]d)")
	}
	constants := func() {
		u.constant(mask, 15)
		u.constant(offset, 16)
		u.constant(29, 63)
	}
	u.function("Q4K", 144, 256, constants, func() {
		factors(0)
		u.scaleMin(64)
		for p := range 4 {
			for i := range 8 {
				u.load("R1", 256+64*(8*p+i), span(0, 4))
				u.split(span(0, 4), span(4, 4))
				u.store("R0", 2*p*tileStride+64*i, span(0, 4))
				u.store("R0", (2*p+1)*tileStride+64*i, span(4, 4))
			}
		}
	})
	u.function("Q5K", 176, 256, constants, func() {
		factors(0)
		u.scaleMin(64)
		for i := range 8 {
			u.load("R1", 256+64*i, span(8, 4))
			for p := range 4 {
				u.load("R1", 768+64*(8*p+i), span(0, 4))
				u.split(span(0, 4), span(4, 4))
				u.addBit(span(0, 4), 2*p, 4)
				u.addBit(span(4, 4), 2*p+1, 4)
				u.store("R0", 2*p*tileStride+64*i, span(0, 4))
				u.store("R0", (2*p+1)*tileStride+64*i, span(4, 4))
			}
		}
	})
	u.function("Q2K", 84, 256, func() { u.constant(mask, 15); u.constant(offset, 3) }, func() {
		factors(1280)
		for w := range 4 {
			for i := range 4 {
				at := func(b int) int { return (4*w+b)/2*tileStride + b%2*64 + 16*i }
				u.op("FMOVQ %d(R1), F0", 64*w+16*i)
				u.split([]int{0}, []int{1})
				u.scaleBytes(0, 20+i, 0, func(b int) int { return at(b) + tileScales })
				u.scaleBytes(1, 24+i, 0, func(b int) int { return at(b) + tileMinima })
			}
		}
		u.pairs(256, func(_, _ int) {})
	})
}

// scaleMin stores the scales and minima of Q4_K and Q5_K (get_scale_min_k4 in ggml-quants.c).
func (u unpack) scaleMin(at int) {
	for i := range 4 {
		for w := range 3 {
			u.op("FMOVQ %d(R1), F%d", at+64*w+16*i, w)
		}
		u.op("VUSHR $6, V0.B16, V3.B16")
		u.op("VUSHR $6, V1.B16, V4.B16")
		u.each([]int{0, 1}, "VAND V29.B16, V%[1]d.B16, V%[1]d.B16")
		u.split([]int{2}, []int{5})
		u.op("VSLI $4, V3.B16, V2.B16")
		u.op("VSLI $4, V4.B16, V5.B16")
		for high := range 2 {
			to := func(b int) int { return (4*high+b)*tileStride + 16*i }
			u.scaleBytes([]int{0, 2}[high], 20+i, 0, func(b int) int { return to(b) + tileScales })
			u.scaleBytes([]int{1, 5}[high], 24+i, 0, func(b int) int { return to(b) + tileMinima })
		}
	}
}

// addBit adds bit s of V8 to V11 to regs as bit to; the constant in V30 is 1<<to.
func (u unpack) addBit(regs []int, s, to int) {
	for i, r := range regs {
		u.shift(8+i, 12+i, to-s)
		u.op("VAND V%d.B16, V%d.B16, V%d.B16", offset, 12+i, 12+i)
		u.op("VORR V%d.B16, V%d.B16, V%d.B16", 12+i, r, r)
	}
}

// shift moves the bits of every byte left or, if negative, right.
func (u unpack) shift(from, to, by int) {
	switch {
	case by > 0:
		u.op("VSHL $%d, V%d.B16, V%d.B16", by, from, to)
	case by < 0:
		u.op("VUSHR $%d, V%d.B16, V%d.B16", -by, from, to)
	default:
		u.op("VORR V%d.B16, V%d.B16, V%d.B16", from, from, to)
	}
}

// pairs unpacks the pairs of bits of Q2_K and Q3_K to V4 to V7, lets finish change them for unit i of sub-block s, and
// stores them; the constant in V30 is 3 if nothing else is said.
func (u unpack) pairs(at int, finish func(i, s int)) {
	for g := range 2 {
		for i := range 8 {
			u.load("R1", at+64*(8*g+i), span(0, 4))
			for j := range 4 {
				for k := range 4 {
					u.shift(k, 4+k, -2*j)
				}
				if j < 3 {
					u.each(span(4, 4), "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", offset)
				}
				finish(i, 4*g+j)
				u.store("R0", (4*g+j)*tileStride+64*i, span(4, 4))
			}
		}
	}
}

// signedK are the unpackers of Q3_K and Q6_K, which have no minima.
func (u unpack) signedK() {
	u.function("Q3K", 110, 256, func() {
		u.constant(mask, 15)
		u.constant(offset, 3)
		u.constant(29, 4)
		u.words(28, 32)
	}, func() {
		u.halves(1728, span(20, 4))
		for i := range 4 {
			for w := range 3 {
				u.op("FMOVQ %d(R1), F%d", 1536+64*w+16*i, w)
			}
			u.op("VUSHR $4, V0.B16, V3.B16")
			u.op("VUSHR $4, V1.B16, V4.B16")
			u.each([]int{0, 1}, "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", mask)
			for g, low := range []int{0, 1, 3, 4} {
				u.shift(2, 5, -2*g)
				u.op("VAND V%d.B16, V5.B16, V5.B16", offset)
				u.op("VSLI $4, V5.B16, V%d.B16", low)
				u.scaleBytes(low, 20+i, 28, func(b int) int {
					return (4*g+b)/2*tileStride + tileScales + b%2*64 + 16*i
				})
			}
		}
		u.pairs(512, func(i, s int) {
			u.load("R1", 64*i, span(8, 4))
			for k := range 4 {
				u.shift(8+k, 12+k, 2-s)
				u.op("VAND V29.B16, V%d.B16, V%d.B16", 12+k, 12+k)
				u.op("VORR V%d.B16, V%d.B16, V%d.B16", 12+k, 4+k, 4+k)
				u.op("VSUB V29.B16, V%d.B16, V%d.B16", 4+k, 4+k)
			}
		})
	})
	u.function("Q6K", 210, 256, func() {
		u.constant(mask, 15)
		u.constant(offset, 48)
		u.constant(29, 32)
		u.constant(28, 128)
		u.words(27, 128)
	}, func() {
		u.halves(3328, span(20, 4))
		for w := range 4 {
			for i := range 4 {
				u.op("FMOVQ %d(R1), F0", 3072+64*w+16*i)
				u.op("VEOR V28.B16, V0.B16, V0.B16")
				u.scaleBytes(0, 20+i, 27, func(b int) int {
					return (4*w+b)/2*tileStride + tileScales + b%2*64 + 16*i
				})
			}
		}
		for half := range 2 {
			for i := range 8 {
				u.sixBits(half, i)
			}
		}
	})
}

// sixBits unpacks unit i of the four sub-blocks of a half of a block of Q6_K.
func (u unpack) sixBits(half, i int) {
	u.load("R1", 2048+64*(8*half+i), span(8, 4))
	for odd := range 2 {
		u.load("R1", 64*(16*half+8*odd+i), span(0, 4))
		u.split(span(0, 4), span(4, 4))
		for high := range 2 {
			j := 2*high + odd
			regs := span(4*high, 4)
			for k, r := range regs {
				u.shift(8+k, 12+k, 4-2*j)
				u.op("VAND V%d.B16, V%d.B16, V%d.B16", offset, 12+k, 12+k)
				u.op("VORR V%d.B16, V%d.B16, V%d.B16", 12+k, r, r)
				u.op("VSUB V29.B16, V%d.B16, V%d.B16", r, r)
			}
			u.store("R0", (4*half+j)*tileStride+64*i, regs)
		}
	}
}
