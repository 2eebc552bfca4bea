package main

import "strings"

// A tile is 16 rows of up to 8 blocks of 32 columns, unpacked: per block 512 bytes of int8, word u of row r (columns 4u to
// 4u+3) at 64u+4r, then four vectors of 16 float32, lane = row: the scales of both halves of the block, the minima of both
// halves. Formats with one scale per 32 columns use the first of each pair.
const (
	tileScales = 512
	tileMinima = 640
	tileStride = 768
)

// Activations: quant.Act.
const (
	actBytes  = 64
	actScales = 32 // D, S, SA, SB
)

// kind is what the product of a tile has to know about the weights.
type kind struct {
	name   string
	halves bool // 16 columns share a scale
	min    bool // there are minima
	// packed: no tile but packed blocks of Q8_0, whose integers need no unpacking: 16 binary16 scales, then the words.
	packed bool
	// large says for plain NEON how many products an int16 holds: weights up to 16 in size allow 16, up to 31 allow 8, others 2.
	large int
}

// isa is an instruction set of the products.
type isa string

const (
	neon    isa = "NEON"
	dotProd isa = "DotProd"
	i8mm    isa = "I8MM" // the tile has been paired: see pairs
)

const (
	upTo16 = iota
	upTo31
	anySize
)

// product writes the product of a tile with groups of tokens activation rows; vecs is the number of vectors of four rows
// that are computed at a time.
type product struct {
	*asm
	kind
	isa
	vecs, tokens int

	ints   [][]int // per token: int32 sums of the block, or of its first half
	floats [][]int // per token
	low    []int   // I8MM, per two tokens: their first 8 activations of 16
	acts   []int   // per token: 16 activations, later the scales
	dup    [][]int // plain NEON, per token: four activations, repeated
	pool   []int   // the rest
}

func (p *product) take(n int) []int {
	out := p.pool[:n]
	p.pool = p.pool[n:]
	return append([]int(nil), out...)
}

// allocate gives out the 32 vector registers.
func (p *product) allocate() {
	p.pool = span(0, 32)
	for range p.tokens {
		p.floats = append(p.floats, p.take(p.vecs))
	}
	for range p.tokens {
		switch p.isa {
		case dotProd:
			p.ints = append(p.ints, p.take(p.vecs))
		case neon:
			p.dup = append(p.dup, p.take(3-p.tokens)) // two where there is room
		}
	}
	if p.isa == i8mm {
		p.low = p.take(p.tokens / 2)
	}
	p.acts = p.take(p.tokens)
}

func (p *product) emit() {
	p.allocate()
	name := "tile" + string(p.isa) + p.kind.name + string(rune('0'+p.tokens))
	p.function(name, "(p *pass)", 8)
	p.op("MOVD p+0(FP), R0")
	for i, field := range strings.Fields("tile acts stride blocks dst dstStride groups add") {
		p.op("MOVD pass_%s(R0), R%d", field, []int{9, 10, 3, 4, 5, 6, 7, 12}[i])
	}
	if p.packed && 4/p.vecs > 1 {
		p.op("MOVD R9, R14")
	}
	p.label("token")
	parts := 4 / p.vecs
	if parts > 1 {
		p.op("MOVD $%d, R11", parts)
		p.label("part")
	}
	p.op("MOVD R9, R1")
	if p.packed && parts > 1 {
		// The scales of a part are half as long as a vector of its words.
		p.op("SUB R14, R9, R15")
		p.op("SUB R15>>1, R9, R15")
	}
	p.op("MOVD R10, R2")
	p.op("MOVD R4, R8")
	p.op("CBZ R12, fresh")
	p.eachDst(func(regs []int) { p.load("R13", 0, regs) })
	p.op("B block")
	p.label("fresh")
	for _, f := range p.floats {
		p.zero(f...)
	}
	p.label("block")
	p.block()
	stride := tileStride
	if p.packed {
		stride = 16 * 34
		if parts > 1 {
			p.op("ADD $%d, R15", stride)
		}
	}
	p.op("ADD $%d, R1", stride)
	p.op("ADD R3, R2")
	p.op("SUBS $1, R8")
	p.op("BNE block")
	p.eachDst(func(regs []int) { p.store("R13", 0, regs) })
	if parts > 1 {
		p.op("ADD $%d, R9", 16*p.vecs)
		p.op("ADD $%d, R5", 16*p.vecs)
		p.op("SUBS $1, R11")
		p.op("BNE part")
		p.op("SUB $64, R9")
		p.op("SUB $64, R5")
	}
	p.op("ADD $%d, R10", actBytes*p.tokens)
	for range p.tokens {
		p.op("ADD R6, R5")
	}
	p.op("SUBS $1, R7")
	p.op("BNE token")
	p.op("RET")
	p.line("")
}

func (p *product) eachDst(f func(regs []int)) {
	for t, regs := range p.floats {
		if t == 0 {
			p.op("MOVD R5, R13")
		} else {
			p.op("ADD R6, R13")
		}
		f(regs)
	}
}

// block adds the product of one block.
func (p *product) block() {
	pool := p.pool
	if p.halves {
		a := p.half(0, 4)
		p.convert(a)
		scale := p.take(p.vecs)
		p.load("R1", tileScales, scale)
		for _, ints := range a {
			for i, r := range ints {
				p.op("FMUL_4S(%d, %d, %d)", scale[i], r, r)
			}
		}
		p.pool = append(scale, p.pool...)
		if p.isa == dotProd {
			p.ints = nil
			for range p.tokens {
				p.ints = append(p.ints, p.take(p.vecs))
			}
		}
		b := p.half(4, 8)
		p.loadScales()
		p.convert(b)
		p.addHalves(a, b)
		if p.isa == dotProd {
			p.ints = a
		}
	} else {
		ints := p.half(0, 8)
		p.loadScales()
		p.convert(ints)
		p.addWhole(ints)
	}
	p.pool = pool
}

// loadScales replaces the activations by their scales and sums.
func (p *product) loadScales() {
	for t := range p.acts {
		p.op("FMOVQ %d(R2), F%d", t*actBytes+actScales, p.acts[t])
	}
}

func (p *product) convert(ints [][]int) {
	for _, list := range ints {
		for _, r := range list {
			p.op("SCVTF_4S(%d, %d)", r, r)
		}
	}
}

// addWhole: acc = fma(dw*dx, isum, acc), then acc = fma(mw, s, acc).
func (p *product) addWhole(ints [][]int) {
	scale := p.take(p.vecs)
	if p.packed {
		p.packedScales(scale)
	} else {
		p.load("R1", tileScales, scale)
	}
	var minima []int
	if p.min {
		minima = p.take(p.vecs)
		p.load("R1", tileMinima, minima)
	}
	for t, x := range p.acts {
		tmp := p.pool
		for i, d := range scale {
			p.op("FMULE_4S(0, %d, %d, %d)", x, d, tmp[i%len(tmp)])
			if i%len(tmp) == len(tmp)-1 || i == len(scale)-1 {
				for j := i - i%len(tmp); j <= i; j++ {
					p.op("FMLA_4S(%d, %d, %d)", ints[t][j], tmp[j%len(tmp)], p.floats[t][j])
				}
			}
		}
	}
	for t, x := range p.acts {
		for i, m := range minima {
			p.op("FMLAE_4S(1, %d, %d, %d)", x, m, p.floats[t][i])
		}
	}
}

// packedScales converts the scales of the rows.
func (p *product) packedScales(regs []int) {
	if p.vecs == 4 {
		p.f16(0, regs)
		return
	}
	p.op("FMOVQ 0(R15), F%d", regs[1])
	p.op("FCVTL_4S(%d, %d)", regs[1], regs[0])
	p.op("FCVTL2_4S(%d, %d)", regs[1], regs[1])
}

// addHalves: acc = fma(fma(dwb, isumb, dwa*isuma), dx, acc), then both minima; a holds dwa*isuma.
func (p *product) addHalves(a, b [][]int) {
	scale := p.take(p.vecs)
	p.load("R1", tileScales+64, scale)
	for t := range p.acts {
		for i, d := range scale {
			p.op("FMLA_4S(%d, %d, %d)", d, b[t][i], a[t][i])
		}
	}
	for t, x := range p.acts {
		for i := range scale {
			p.op("FMLAE_4S(0, %d, %d, %d)", x, a[t][i], p.floats[t][i])
		}
	}
	if !p.min {
		return
	}
	for h := range 2 {
		p.load("R1", tileMinima+64*h, scale)
		for t, x := range p.acts {
			for i, m := range scale {
				p.op("FMLAE_4S(%d, %d, %d, %d)", 2+h, x, m, p.floats[t][i])
			}
		}
	}
}

// words loads word u of the rows, or of the vector of rows that is named.
func (p *product) words(u int, regs []int, vector ...int) {
	at := 64 * u
	if p.packed {
		at += 32
	}
	if len(vector) > 0 {
		at += 16 * vector[0]
	}
	p.load("R1", at, regs)
}

// half computes the integer sums of words first to last of the block; it returns int32 registers per token.
func (p *product) half(first, last int) [][]int {
	switch p.isa {
	case neon:
		return p.halfNEON(first, last)
	case i8mm:
		return p.halfI8MM(first, last)
	}
	for _, regs := range p.ints {
		p.zero(regs...)
	}
	depth := min(4, len(p.pool)/p.vecs)
	word := func(u int) []int { return p.pool[u%depth*p.vecs:][:p.vecs] }
	p.words(first, word(first))
	for u := first; u < last; u++ {
		if u%4 == 0 {
			for t, r := range p.acts {
				p.op("FMOVQ %d(R2), F%d", t*actBytes+u*4, r)
			}
		}
		if u+1 < last && depth > 1 {
			p.words(u+1, word(u+1))
		}
		for i, w := range word(u) {
			for t, r := range p.acts {
				p.op("SDOTE(%d, %d, %d, %d)", u%4, r, w, p.ints[t][i])
			}
		}
		if u+1 < last && depth == 1 {
			p.words(u+1, word(u+1))
		}
	}
	return p.ints
}

// halfNEON: a vector of weights is four columns of four rows, so an int16 product has four lanes of each of two rows.
func (p *product) halfNEON(first, last int) [][]int {
	saved := p.pool
	var acc, sums [][]int
	for range p.tokens {
		acc = append(acc, p.take(2*p.vecs))
	}
	sums = acc
	if p.large == anySize {
		sums = nil
		for range p.tokens {
			sums = append(sums, p.take(2*p.vecs))
		}
	}
	depth := min(3, len(p.pool)/p.vecs)
	word := func(u int) []int { return p.pool[u%depth*p.vecs:][:p.vecs] }
	p.words(first, word(first))
	p.loadActs(first)
	for t := range p.acts {
		p.repeat(t, first)
	}
	for u := first; u < last; u++ {
		if u+1 < last && depth > 1 {
			p.words(u+1, word(u+1))
		}
		name := "SMLAL"
		if u == first || p.large == anySize && u%2 == 0 {
			name = "SMULL"
		}
		for t := range p.acts {
			if len(p.dup[t]) > 1 && u+1 < last {
				p.repeat(t, u+1)
			}
			for i, w := range word(u) {
				dup := p.dup[t][u%len(p.dup[t])]
				p.op("%s(%d, %d, %d)", name, dup, w, acc[t][2*i])
				p.op("%s2(%d, %d, %d)", name, dup, w, acc[t][2*i+1])
				if u+1 < last && depth == 1 && t == p.tokens-1 {
					p.words(u+1, []int{w}, i)
				}
			}
			if len(p.dup[t]) == 1 && u+1 < last {
				p.repeat(t, u+1)
			}
		}
		if p.large == anySize && u%2 == 1 {
			name := map[bool]string{true: "SADDLP_4S", false: "SADALP_4S"}[u == first+1]
			for t := range p.acts {
				for i, r := range acc[t] {
					p.op("%s(%d, %d)", name, r, sums[t][i])
				}
			}
		}
	}
	return p.reduce(sums, saved)
}

// keepFree makes the pool what the sums do not use of the registers saved: it is free until the next block.
func (p *product) keepFree(saved []int, used map[int]bool) {
	p.pool = nil
	for _, r := range saved {
		if !used[r] {
			p.pool = append(p.pool, r)
		}
	}
}

// repeat fills a register with the four activations of word u of token t.
func (p *product) repeat(t, u int) {
	if u == 4 && !p.halves {
		p.op("FMOVQ %d(R2), F%d", t*actBytes+16, p.acts[t])
	}
	p.op("VDUP V%d.S[%d], V%d.S4", p.acts[t], u%4, p.dup[t][u%len(p.dup[t])])
}

func (p *product) loadActs(u int) {
	for t, r := range p.acts {
		p.op("FMOVQ %d(R2), F%d", t*actBytes+u/4*16, r)
	}
}

// reduce adds the lanes of each row: vectors 2i and 2i+1 hold rows 4i and 4i+1, 4i+2 and 4i+3.
func (p *product) reduce(sums [][]int, saved []int) [][]int {
	out := make([][]int, p.tokens)
	used := map[int]bool{}
	for t, s := range sums {
		if p.large == upTo31 {
			for _, r := range s {
				p.op("SADDLP_4S(%d, %d)", r, r)
			}
		}
		for i := 0; i < len(s); i += 2 {
			p.op("%s(%d, %d, %d)", map[bool]string{true: "ADDP_8H", false: "ADDP_4S"}[p.large == upTo16], s[i+1], s[i], s[i])
			out[t] = append(out[t], s[i])
			used[s[i]] = true
		}
		if p.large == upTo16 {
			for _, r := range out[t] {
				p.op("SADDLP_4S(%d, %d)", r, r)
			}
		}
	}
	p.keepFree(saved, used)
	return out
}

func dotProdTiles(a *asm) {
	a.includes("Products of unpacked tiles with SDOT (FEAT_DotProd).")
	for _, k := range []kind{
		{name: ""},
		{name: "Min", min: true},
		{name: "Halves", halves: true},
		{name: "HalvesMin", halves: true, min: true},
		{name: "Packed", packed: true},
	} {
		(&product{asm: a, kind: k, isa: dotProd, vecs: 2, tokens: 4}).emit()
		(&product{asm: a, kind: k, isa: dotProd, vecs: 4, tokens: 1}).emit()
	}
}

func neonTiles(a *asm) {
	a.includes("Products of unpacked tiles with plain NEON (ARMv8.0).")
	for _, k := range []kind{
		{name: ""},
		{name: "Min", min: true},
		{name: "FiveMin", min: true, large: upTo31},
		{name: "Large", large: anySize},
		{name: "Halves", halves: true},
		{name: "HalvesMin", halves: true, min: true},
		{name: "Packed", packed: true, large: anySize},
	} {
		(&product{asm: a, kind: k, isa: neon, vecs: 4, tokens: 1}).emit()
		if !k.halves && k.large != anySize {
			(&product{asm: a, kind: k, isa: neon, vecs: 4, tokens: 2}).emit()
		}
	}
}

func (a *asm) includes(what string) {
	a.line("// %s", what)
	a.line("// kernels_arm64/_asm explains the layout of a tile and the algorithm.")
	a.line("")
	a.line("#include \"go_asm.h\"")
	a.line("#include \"textflag.h\"")
	a.line("#include \"neon_arm64.h\"")
	a.line("")
}
