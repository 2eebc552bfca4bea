package main

// halfI8MM: a vector of weights is eight columns of two rows, one of activations those of two tokens, and an accumulator has
// both tokens of both rows.
func (p *product) halfI8MM(first, last int) [][]int {
	saved := p.pool
	var acc [][]int // of two tokens
	for range p.low {
		acc = append(acc, p.take(2*p.vecs))
		p.zero(acc[len(acc)-1]...)
	}
	depth := min(4, len(p.pool)/p.vecs)
	word := func(u int) []int { return p.pool[u%depth*p.vecs:][:p.vecs] }
	p.words(first, word(first))
	for u := first; u < last; u++ {
		if u%4 == 0 {
			p.loadActs(u)
			for q, low := range p.low {
				even, odd := p.acts[2*q], p.acts[2*q+1]
				p.op("VZIP1 V%d.D2, V%d.D2, V%d.D2", odd, even, low)
				p.op("VZIP2 V%d.D2, V%d.D2, V%d.D2", odd, even, odd)
			}
		}
		if u+1 < last && depth > 1 {
			p.words(u+1, word(u+1))
		}
		for i, w := range word(u) {
			for q, low := range p.low {
				acts := low
				if u%4 >= 2 {
					acts = p.acts[2*q+1]
				}
				p.op("SMMLA(%d, %d, %d)", acts, w, acc[q][2*i+u%2])
			}
		}
		if u+1 < last && depth == 1 {
			p.words(u+1, word(u+1))
		}
	}
	return p.tokensApart(acc, saved)
}

// tokensApart returns the sums of four rows of one token each; accumulators 2i and 2i+1 hold rows 4i and 4i+1, 4i+2 and 4i+3.
func (p *product) tokensApart(acc [][]int, saved []int) [][]int {
	var out [][]int
	used, free := map[int]bool{}, p.pool[0]
	for _, a := range acc {
		var even, odd []int
		for i := 0; i < len(a); i += 2 {
			p.op("VUZP1 V%d.S4, V%d.S4, V%d.S4", a[i+1], a[i], free)
			p.op("VUZP2 V%d.S4, V%d.S4, V%d.S4", a[i+1], a[i], a[i+1])
			even, odd = append(even, free), append(odd, a[i+1])
			used[free], used[a[i+1]] = true, true
			free = a[i]
		}
		out = append(out, even, odd)
	}
	p.keepFree(saved, used)
	return out
}

// i8mmTiles is for many activation rows only: with one, half of each SMMLA would be of no use. Two with 16 rows of weights at a
// time take fewer instructions than four with eight, whose activations are arranged twice.
func i8mmTiles(a *asm) {
	a.includes("Products of unpacked tiles with SMMLA (FEAT_I8MM).")
	a.pairs()
	for _, k := range []kind{
		{name: ""},
		{name: "Min", min: true},
		{name: "Halves", halves: true},
		{name: "HalvesMin", halves: true, min: true},
	} {
		(&product{asm: a, kind: k, isa: i8mm, vecs: 4, tokens: 2}).emit()
	}
}

// pairs writes the function that makes of a tile one for SMMLA, in place: of words u and u+1 of rows 4v to 4v+3, u even, eight
// columns of rows 4v and 4v+1 where word u was, and of rows 4v+2 and 4v+3 where word u+1 was.
func (a *asm) pairs() {
	a.function("pairTile", "(tile *unpacked, blocks int)", 16)
	a.op("MOVD tile+0(FP), R0")
	a.op("MOVD blocks+8(FP), R1")
	a.label("block")
	for u := 0; u < 8; u += 2 {
		even, odd, first := span(0, 4), span(4, 4), span(8, 4)
		if u%4 != 0 {
			even, odd, first = span(12, 4), span(16, 4), span(20, 4)
		}
		a.load("R0", 64*u, even)
		a.load("R0", 64*(u+1), odd)
		for v := range even {
			a.op("VZIP1 V%d.S4, V%d.S4, V%d.S4", odd[v], even[v], first[v])
			a.op("VZIP2 V%d.S4, V%d.S4, V%d.S4", odd[v], even[v], odd[v])
		}
		a.store("R0", 64*u, first)
		a.store("R0", 64*(u+1), odd)
	}
	a.op("ADD $%d, R0", tileStride)
	a.op("SUBS $1, R1")
	a.op("BNE block")
	a.op("RET")
	a.line("")
}
