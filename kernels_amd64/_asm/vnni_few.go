package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// few multiplies the current block with that of rows activation rows, 1 or 2. The mask is not looked at: blocks that it leaves out are
// zeros. Memory is asked for a little at a time: what is asked for at once holds up the loads behind it. Sub-blocks of two
// and three bits share bytes and are multiplied together, so that the bytes are loaded once: the CPU loads one vector of this
// size a cycle (AMD Zen 4), and unpacking is what bounds those. For 4 to 6 bits that would be faster in a cache, but no faster or slower
// from memory (decision record 0027).
func (k *vnniKernel) few(rows int) {
	if k.shared == nil {
		for s := range k.subs {
			k.alone(s, rows)
			k.ADDQ(k.paramMem("n"), k.act)
		}
		return
	}
	// Half of the registers are for sums: of 16 halves of sub-blocks of a group with a row.
	some := 4 / rows
	for s := 0; s < k.subs; s += some {
		acts := []reg.Register{k.act}
		for i := 1; i < some; i++ {
			acts = append(acts, k.GP64())
			k.MOVQ(acts[i-1], acts[i])
			k.ADDQ(k.paramMem("n"), acts[i])
		}
		k.together(s, acts, rows)
		k.MOVQ(acts[some-1], k.act)
		k.ADDQ(k.paramMem("n"), k.act)
	}
}

// alone multiplies sub-block s of both groups with rows activation rows and adds to their sums, as sub does, but without masks.
func (k *vnniKernel) alone(s, rows int) {
	var v [2]vnniVectors
	for g := range v {
		v[g].d, v[g].m = k.scales(k, g, s)
		v[g].w = k.weights(k, g, s)
	}
	var places []vnniRow
	for t := range rows {
		places = append(places, k.rowNumber(t))
	}
	k.product(places, v, s, vnniAdd{k.starts, k.add}, func(j int) { k.prefetchPart(8*s+j, 8*s+j+1) })
}

// together multiplies sub-blocks of both groups, the first of which is s, with rows activation rows and adds to their sums.
// acts has the place of the first row for each sub-block.
func (k *vnniKernel) together(s int, acts []reg.Register, rows int) {
	isum := k.dotFew(s, acts, rows)
	for g := range 2 {
		sums := make([]reg.VecVirtual, rows)
		for t := range sums {
			sums[t] = k.ZMM()
			k.VMOVUPS(at(k.sums, vnniRecord*t+64*g), sums[t])
		}
		for i, act := range acts {
			var v vnniVectors
			v.d, v.m = k.scales(k, g, s+i)
			for t := range sums {
				k.addHalves(sums[t], func(b int) Mem { return at(act, actBytes*t+b) }, isum[i][t][g], v)
			}
		}
		for t := range sums {
			k.VMOVUPS(sums[t], at(k.sums, vnniRecord*t+64*g))
		}
	}
}

// dotFew returns the integer products of sub-blocks, the first of which is s, with rows activation rows: of each sub-block,
// row, group and half. acts has the place of the first row for each sub-block.
func (k *vnniKernel) dotFew(s int, acts []reg.Register, rows int) [][][2][]reg.VecVirtual {
	isum := make([][][2][]reg.VecVirtual, len(acts))
	parts, masks := make([][]part, len(acts)), make([][]Op, len(acts))
	for i, act := range acts {
		isum[i] = make([][2][]reg.VecVirtual, rows)
		for t := range rows {
			isum[i][t] = k.starts(func(b int) Mem { return at(act, actBytes*t+b) }, s+i)
		}
		parts[i] = k.shared(s + i)
		for _, p := range parts[i] {
			masks[i] = append(masks[i], k.loadConst(k.equalBytes(p.mask)))
		}
	}
	for j := range 8 {
		k.prefetchPart(8*s+j*len(acts), 8*s+(j+1)*len(acts))
		var words [2]map[int]reg.VecVirtual // of each group, by their offsets
		for g := range words {
			words[g] = map[int]reg.VecVirtual{}
			for _, p := range parts[0] {
				words[g][p.offset] = k.loadConst(k.at(g, p.offset+4*j))
			}
		}
		for i, act := range acts {
			x := make([]reg.VecVirtual, rows)
			for t := range x {
				x[t] = k.ZMM()
				k.VPBROADCASTD(at(act, actBytes*t+4*j), x[t])
			}
			for g := range words {
				w := k.join(parts[i], masks[i], func(p part) Op { return words[g][p.offset] })
				for t := range x {
					k.VPDPBUSD(x[t], w, isum[i][t][g][j/4])
				}
			}
		}
	}
	return isum
}
