package main

// format describes how a format's packed rows are unpacked. In a packed block (quant.PackGroup, units of 4 bytes) the same
// four columns of 16 rows are 64 bytes, four vectors, and every vector is treated alike.
//
// A step loads up to two groups of four vectors and makes of them the integers of one or two words, a word being four
// columns of the 16 rows. They are raw: not negative where the format has an offset, which is subtracted afterwards.
type format struct {
	kind
	name           string
	bytes, columns int // of a block
	offset         int // to be subtracted from the raw integers
	constants      func(a *asm)
	scales         func(a *asm)        // all scales and minima of a block, from (R1) to the tile at (R0)
	step           func(s, u int) step // number u of sub-block s
	steps          int                 // of a sub-block
	period         int                 // sub-blocks after which the packed quants look the same, periodBytes further on
	periodBytes    int
	periodBits     int // by how much the bits above the nibbles advance
}

// step computes words; regs are the registers of each word after prepare.
type step struct {
	load    func(a *asm, base bases, at int, r, t []int) // at is added to the offsets
	prepare func(a *asm, r, t []int)
	words   func(r, t []int) []word
}

type word struct {
	number int
	regs   []int
}

// bases are the registers that point to a block, for its nibbles and for what goes above them.
type bases struct{ quants, bits string }

// Registers of constants.
const (
	mask  = 31 // 15 in every byte
	extra = 30 // another mask, or a table
	third = 29
)

func formats() []format {
	return append(legacy(), kFormats()...)
}

func legacy() []format {
	nibbles := func(at int, after func(a *asm, r, t []int)) func(s, u int) step {
		return func(s, u int) step {
			return step{
				load: func(a *asm, base bases, more int, r, _ []int) { a.load(base.quants, at+256*s+64*u+more, r) },
				prepare: func(a *asm, r, t []int) {
					a.split(r, t)
					after(a, r, t)
				},
				words: func(r, t []int) []word { return []word{{u, t}, {u + 4, r}} },
			}
		}
	}
	nothing := func(*asm, []int, []int) {}
	nibbleMask := func(a *asm) { a.constant(mask, 15) }
	lookUp := func(a *asm, r, t []int) {
		for _, x := range append(append([]int(nil), t...), r...) {
			a.op("VTBL V%d.B16, [V%d.B16], V%d.B16", x, extra, x)
		}
	}
	table := func(a *asm) {
		a.constant(mask, 15)
		a.op("MOVD $nonlinear<>(SB), R3")
		a.op("FMOVQ 0(R3), F%d", extra)
	}
	scale := func(a *asm) { a.halfScales(0, tileScales) }
	scaleMin := func(a *asm) {
		a.halfScales(0, tileScales)
		a.halfScales(32, tileMinima)
	}
	return []format{
		{name: "Q40", bytes: 18, columns: 32, offset: 8, constants: nibbleMask, scales: scale, step: nibbles(32, nothing), steps: 4},
		{
			name: "Q41", bytes: 20, columns: 32, kind: kind{min: true}, constants: nibbleMask, scales: scaleMin,
			step: nibbles(64, nothing), steps: 4,
		},
		{
			name: "IQ4NL", bytes: 18, columns: 32, kind: kind{large: anySize}, constants: table, scales: scale,
			step: nibbles(32, lookUp), steps: 4,
		},
		{
			name: "Q80", bytes: 34, columns: 32, kind: kind{large: anySize}, constants: func(*asm) {}, scales: scale, steps: 8,
			step: func(_, u int) step {
				return step{
					load:    func(a *asm, base bases, more int, r, _ []int) { a.load(base.quants, 32+64*u+more, r) },
					prepare: nothing,
					words:   func(r, _ []int) []word { return []word{{u, r}} },
				}
			},
		},
		fifth("Q50", 22, 16, kind{large: upTo31}, 32),
		fifth("Q51", 24, 0, kind{large: upTo31, min: true}, 64),
		{
			name: "IQ4XS", bytes: 136, columns: 256, kind: kind{large: anySize}, steps: 4, period: 1, periodBytes: 256,
			constants: func(a *asm) { table(a); a.words(third, 32) }, scales: xsScales,
			step: nibbles(128, lookUp),
		},
	}
}

// fifth is Q5_0 or Q5_1. Bit j of a row's word is the fifth bit of column j: TBL spreads the byte of eight columns over the
// four bytes of the row's lane, CMTST picks the bit of each column, SLI inserts it above the nibble. The step uses V0 to V3
// for the words of bits, V8 to V11 for what is spread.
func fifth(name string, bytes, offset int, k kind, at int) format {
	return format{
		name: name, bytes: bytes, columns: 32, kind: k, offset: offset, steps: 4,
		constants: func(a *asm) {
			a.op("MOVD $spread<>(SB), R3")
			a.load("R3", 0, []int{12, 13, 14, 15, 28, 29})
			a.constant(mask, 15)
			a.constant(extra, 31)
		},
		scales: func(a *asm) {
			a.halfScales(0, tileScales)
			if k.min {
				a.halfScales(32, tileMinima)
			}
		},
		step: func(_, u int) step {
			return step{
				load: func(a *asm, base bases, more int, r, _ []int) {
					a.load(base.quants, at+64+64*u+more, r)
					if u == 0 {
						a.load(base.bits, at+more, span(0, 4))
					}
				},
				prepare: func(a *asm, r, t []int) {
					a.split(r, t)
					for high, regs := range [][]int{t, r} {
						for i := range regs {
							a.op("VTBL V%d.B16, [V%d.B16], V%d.B16", 12+u/2+2*high, i, 8+i)
						}
						for i := range regs {
							a.op("VCMTST V%d.B16, V%d.B16, V%d.B16", 28+u%2, 8+i, 8+i)
						}
						for i, x := range regs {
							a.op("VSLI $4, V%d.B16, V%d.B16", 8+i, x)
						}
						a.each(regs, "VAND V%[2]d.B16, V%[1]d.B16, V%[1]d.B16", extra)
					}
				},
				words: func(r, t []int) []word { return []word{{u, t}, {u + 4, r}} },
			}
		},
	}
}

// tables writes the constants of fifth and of the nonlinear formats.
func (a *asm) tables() {
	for b := range 4 {
		a.data("spread", 16*b, func(i int) byte { return byte(i/4*4 + b) })
	}
	for odd := range 2 {
		a.data("spread", 64+16*odd, func(i int) byte { return 1 << (i%4 + 4*odd) })
	}
	a.line("GLOBL spread<>(SB), RODATA|NOPTR, $96\n")
	a.nonlinear()
	a.byteMask()
}

// byteMask writes the masks of scaleBytes.
func (a *asm) byteMask() {
	for b := range 4 {
		a.data("byteMask", 16*b, func(i int) byte {
			if i%4 == b {
				return 0xff
			}
			return 0
		})
	}
	a.line("GLOBL byteMask<>(SB), RODATA|NOPTR, $64\n")
}

// nonlinear writes the values of IQ4_NL and IQ4_XS (ggml-common.h, kvalues_iq4nl).
func (a *asm) nonlinear() {
	values := []int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
	a.data("nonlinear", 0, func(i int) byte { return byte(values[i]) })
	a.line("GLOBL nonlinear<>(SB), RODATA|NOPTR, $16\n")
}

// data writes 16 bytes of a table.
func (a *asm) data(name string, at int, value func(i int) byte) {
	for half := range 2 {
		var v uint64
		for i := range 8 {
			v |= uint64(value(8*half+i)) << (8 * i)
		}
		a.line("DATA %s<>+%d(SB)/8, $%#016x", name, at+8*half, v)
	}
}

func (a *asm) constant(reg, value int) { a.op("VMOVI $%d, V%d.B16", value, reg) }

// words fills the lanes of a register with a 32-bit value.
func (a *asm) words(reg, value int) {
	a.op("MOVD $%d, R3", value)
	a.op("VDUP R3, V%d.S4", reg)
}

// each writes an instruction for every register; the format gets the register first, then args.
func (a *asm) each(regs []int, format string, args ...any) {
	for _, r := range regs {
		a.op(format, append([]any{r}, args...)...)
	}
}

// split puts the low nibbles of r into t and leaves the high ones.
func (a *asm) split(r, t []int) {
	for i, x := range r {
		a.op("VAND V%d.B16, V%d.B16, V%d.B16", mask, x, t[i])
	}
	a.each(r, "VUSHR $4, V%[1]d.B16, V%[1]d.B16")
}

// f16 loads 16 binary16 numbers at (R1) as float32 to regs.
func (a *asm) f16(at int, regs []int) {
	a.load("R1", at, []int{regs[1], regs[3]})
	a.op("FCVTL_4S(%d, %d)", regs[1], regs[0])
	a.op("FCVTL_4S(%d, %d)", regs[3], regs[2])
	a.op("FCVTL2_4S(%d, %d)", regs[1], regs[1])
	a.op("FCVTL2_4S(%d, %d)", regs[3], regs[3])
}

// halfScales converts 16 binary16 numbers to a vector of scales or minima of the tile.
func (a *asm) halfScales(at, to int) {
	a.f16(at, span(24, 4))
	a.store("R0", to, span(24, 4))
}
