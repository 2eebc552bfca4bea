package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// integers generates the products of attention over Q8 and Q4 for one instruction set: lanes are positions (keys) or columns
// (values), and each lane has four unsigned bytes side by side, which are multiplied with four integers of 16 bits of a row.
//
// With VPDPBUSD these are two planes of signed bytes, q = 256*high + low, and a product is a sum for each plane; without it
// they are two pairs of words, (0, 2) and (1, 3), that VPMADDWD multiplies with the even and the odd bytes. Both are exact.
type integers struct {
	attention
	vnni bool
	most int // rows of the widest tile
}

// integerVectors is the number of vectors of lanes of a tile: with 64 bytes two panels, with 32 the halves of one.
const integerVectors = 2

func integerAttention(a *asm) {
	for _, k := range []integers{
		// 3 x 2 sums, 2 x 2 halves of lanes, a factor and a product are 12 of 16 registers.
		{attention{asm: a, suffix: "AVX2", bytes: 32}, false, 3},
		// 3 x 2 x 2 sums, 2 lanes and a factor are 15 of 16 registers.
		{attention{asm: a, suffix: "AVXVNNI", bytes: 32}, true, 3},
		// 4 x 2 x 2 sums, 2 lanes and a factor are 19 of 32 registers.
		{attention{asm: a, suffix: "VNNI", bytes: 64}, true, 4},
	} {
		for _, bits := range []int{8, 4} {
			k.keyScores(bits)
			k.mixValues(bits)
		}
	}
	for _, vnni := range []bool{false, true} {
		for _, factors := range []bool{false, true} {
			quantizeRows(a, vnni, factors)
		}
	}
	wholeWeights(a)
	firstScores(a)
}

// sums are the integer sums of a tile, (rows, vectors, planes).
type sums [][][]reg.VecVirtual

func (k integers) zeroSums(rows int) sums {
	all, planes := make(sums, rows), 1
	if k.vnni {
		planes = 2
	}
	for r := range all {
		all[r] = make([][]reg.VecVirtual, integerVectors)
		for j := range all[r] {
			for range planes {
				v := k.vec()
				k.zeroInt(v)
				all[r][j] = append(all[r][j], v)
			}
		}
	}
	return all
}

// ask brings a line of what lies ahead into the cache: with 64 bytes into the second level, because the products are so fast
// that the buffers of the first would hold them up (decision 0014); the others gain nothing by it.
func (k integers) ask(line Mem) {
	if k.wide() {
		k.PREFETCHT1(line)
	} else {
		k.PREFETCHT0(line)
	}
}

func (k integers) zeroInt(v reg.VecVirtual) {
	if k.wide() {
		k.VMOVDQU32(k.constant("zero", 0), v)
	} else {
		k.VPXOR(v, v, v)
	}
}

// lanes is where the lanes of a tile lie in memory: with 64 bytes, the two panels.
type lanes struct{ first, second reg.Register }

func (k integers) lane(l lanes, j, disp int) Mem {
	if k.wide() {
		return at([]reg.Register{l.first, l.second}[j], disp)
	}
	return at(l.first, disp+32*j)
}

// multiply adds the products of some fours, which begin at q and at l; a four of 4 bits is half of 64 bytes.
func (k integers) multiply(all sums, q rowsOf, l lanes, delta reg.Register, bits, fours int) {
	for g := range fours {
		line := 64 * g * bits / 8 &^ 63
		if g*bits%8 == 0 {
			for _, p := range []reg.Register{l.first, l.second} {
				if p != nil {
					k.ask(atIndex(p, delta, 1, line))
				}
			}
		}
		if k.vnni {
			k.multiplyBytes(all, q, l, bits, g, line)
		} else {
			k.multiplyWords(all, q, l, bits, g, line)
		}
	}
}

func (k integers) multiplyBytes(all sums, q rowsOf, l lanes, bits, g, line int) {
	var b [integerVectors]reg.VecVirtual
	for j := range b {
		b[j] = k.vec()
		if k.wide() {
			k.VMOVDQU32(k.lane(l, j, line), b[j])
		} else {
			k.VMOVDQU(k.lane(l, j, line), b[j])
		}
		if bits == 4 && g%2 == 1 {
			k.VPSRLW(Imm(4), b[j], b[j])
		}
		if mask := k.constant("nibbles", 0x0f0f0f0f); bits == 4 && k.wide() {
			k.VPANDD(mask, b[j], b[j])
		} else if bits == 4 {
			k.VPAND(mask, b[j], b[j])
		}
	}
	for r := range all {
		for plane := range 2 {
			factor := k.vec()
			k.VPBROADCASTD(q.at(r, 8*g+4*plane), factor)
			for j, v := range b {
				k.VPDPBUSD(factor, v, all[r][j][plane])
			}
		}
	}
}

func (k integers) multiplyWords(all sums, q rowsOf, l lanes, bits, g, line int) {
	var b [integerVectors][2]reg.VecVirtual
	for j := range b {
		even, odd := k.vec(), k.vec()
		k.VMOVDQU(k.lane(l, j, line), odd)
		switch {
		case bits == 8:
			k.VPAND(k.constant("evenBytes", 0x00ff00ff), odd, even)
			k.VPSRLW(Imm(8), odd, odd)
		case g%2 == 0:
			k.VPAND(k.constant("evenNibbles", 0x000f000f), odd, even)
			k.VPSRLW(Imm(8), odd, odd)
			k.VPAND(k.constant("evenNibbles", 0x000f000f), odd, odd)
		default:
			k.VPSRLW(Imm(4), odd, even)
			k.VPAND(k.constant("evenNibbles", 0x000f000f), even, even)
			k.VPSRLW(Imm(12), odd, odd)
		}
		b[j] = [2]reg.VecVirtual{even, odd}
	}
	for r := range all {
		for half := range 2 {
			factor, product := k.vec(), k.vec()
			k.VPBROADCASTD(q.at(r, 8*g+4*half), factor)
			for j := range b {
				k.VPMADDWD(b[j][half], factor, product)
				k.VPADDD(product, all[r][j][0], all[r][j][0])
			}
		}
	}
}

// finish returns the integer products of row r as float32: the planes together, less the offset of the bytes times the sum of
// the row, which is at sum.
func (k integers) finish(all sums, r, bits int, sum Mem) (f [integerVectors]reg.VecVirtual) {
	offset := k.vec()
	k.VPBROADCASTD(sum, offset)
	k.VPSLLD(Imm(uint64(bits-1)), offset, offset)
	for j := range f {
		f[j] = all[r][j][0]
		if k.vnni {
			k.VPSLLD(Imm(8), f[j], f[j])
			k.VPADDD(all[r][j][1], f[j], f[j])
		}
		k.VPSUBD(offset, f[j], f[j])
		k.VCVTDQ2PS(f[j], f[j])
	}
	return f
}

// tiles generates a loop over all rows in tiles of at most k.most; left is a place to count them. next advances the pointers
// of rows by a full tile.
func (k integers) tiles(name string, left Mem, tile func(rows int, name string), next func()) {
	m := k.param("m")
	k.MOVQ(m, left)
	for rows := k.most; rows > 0; rows-- {
		tag := fmt.Sprintf("%s%d", name, rows)
		k.Label("tile" + tag)
		k.CMPQ(left, Imm(uint64(rows)))
		k.JLT(LabelRef("under" + tag))
		tile(rows, tag)
		if rows == k.most {
			next()
			k.SUBQ(Imm(uint64(rows)), left)
			k.JNZ(LabelRef("tile" + tag))
		}
		k.JMP(LabelRef("end" + name))
		k.Label("under" + tag)
	}
	k.Label("end" + name)
}

// integerDoc ends the documentation of the products.
const integerDoc = "What lies ahead bytes from the block is prefetched. No alignment is needed; nothing else is touched."

func (k integers) keyScores(bits int) {
	k.function(fmt.Sprintf("keyScoresQ%d", bits),
		"func(scores *float32, q *byte, scale *float32, sum *int32, keys, scales *byte, ahead, dim, pieces, blocks, m, pairs int)",
		"adds to the scores, (m, 64), of some pairs of panels of 16 positions their integer products, as",
		"quant.KeyScores does from its second line on: keys (4, dim, 16), scales (blocks, 64), q (m, dim), sum (m, blocks),",
		"scale (m). dim is blocks*pieces*32.", integerDoc)
	left, piece, panels := k.AllocLocal(8), k.AllocLocal(8), k.param("pairs")
	pieceLanes := 32 * 16 * bits / 8 // bytes of 32 columns in a panel
	if !k.wide() {
		k.SHLQ(Imm(1), panels)
		k.MOVQ(panels, k.paramMem("pairs"))
	}
	k.Label("panel")
	dst, q, sum, scale := k.param("scores"), k.param("q"), k.param("sum"), k.param("scale")
	k.tiles("", left, func(rows int, name string) {
		qStride := k.param("dim")
		k.SHLQ(Imm(1), qStride)
		row, l, blocks, scales := k.attention.rows(q, qStride, rows), lanes{first: k.param("keys")}, k.param("blocks"), k.param("scales")
		if k.wide() {
			l.second = k.GP64()
			k.MOVQ(qStride, l.second) // a panel is 16 bytes a column, 8 in 4 bits
			k.SHLQ(Imm(uint64(map[int]int{8: 3, 4: 2}[bits])), l.second)
			k.ADDQ(l.first, l.second)
		}
		sums, delta := k.GP64(), k.param("ahead")
		k.MOVQ(sum, sums)
		k.Label("block" + name)
		all, pieces := k.zeroSums(rows), k.param("pieces")
		k.MOVQ(pieces, piece)
		k.ask(atIndex(scales, delta, 1, 0))
		k.Label("piece" + name)
		k.multiply(all, row, l, delta, bits, 8)
		k.next(row, 64)
		k.ADDQ(U32(uint32(pieceLanes)), l.first)
		if l.second != nil {
			k.ADDQ(U32(uint32(pieceLanes)), l.second)
		}
		k.DECQ(piece)
		k.JNZ(LabelRef("piece" + name))
		of := k.GP64()
		k.MOVQ(sums, of)
		for r := range rows {
			f, factor := k.finish(all, r, bits, at(of, 0)), k.vec()
			k.VBROADCASTSS(at(scale, 4*r), factor)
			for j := range f {
				to, by, score := at(dst, 256*r+k.bytes*j), k.vec(), k.vec()
				k.VMULPS(factor, f[j], f[j])
				k.VCVTPH2PS(at(scales, k.bytes/2*j), by)
				k.VMOVUPS(to, score)
				k.VFMADD231PS(by, f[j], score)
				k.VMOVUPS(score, to)
			}
			if r < rows-1 {
				step := k.param("blocks")
				k.LEAQ(atIndex(of, step, 4, 0), of)
			}
		}
		k.ADDQ(Imm(4), sums)
		k.ADDQ(U32(128), scales)
		k.DECQ(blocks)
		k.JNZ(LabelRef("block" + name))
	}, func() {
		step := k.param("blocks")
		k.ADDQ(U32(uint32(256*k.most)), dst)
		k.ADDQ(Imm(uint64(4*k.most)), scale)
		k.SHLQ(Imm(2), step)
		for range k.most {
			k.ADDQ(step, sum)
		}
		k.MOVQ(k.paramMem("dim"), step)
		for range k.most {
			k.LEAQ(atIndex(q, step, 2, 0), q)
		}
	})
	// The next panel, or the next two.
	panel := k.param("dim")
	k.IMUL3Q(U32(uint32(16*bits/8*k.bytes/32)), panel, panel)
	k.ADDQ(panel, k.paramMem("keys"))
	k.ADDQ(Imm(uint64(k.bytes)), k.paramMem("scales"))
	k.ADDQ(U32(uint32(2*k.bytes)), k.paramMem("scores"))
	k.DECQ(k.paramMem("pairs"))
	k.JNZ(LabelRef("panel"))
	k.ret()
}

func (k integers) mixValues(bits int) {
	k.function(fmt.Sprintf("mixValuesQ%d", bits),
		"func(out *float32, p *byte, scale *float32, sum *int32, keep *float32, values *byte, ahead, dim, pieces, blocks, m, steps int)",
		"is quant.MixValues for 16*steps positions: out (m, dim), p (m, blocks, steps*16), scale and",
		"sum (m, blocks), keep (m), values (dim/16, 64, 16). dim is blocks*pieces*32.", integerDoc)
	left, blocks, piece, scales := k.AllocLocal(8), k.AllocLocal(8), k.AllocLocal(8), k.AllocLocal(8)
	count := k.param("blocks")
	k.MOVQ(count, blocks)
	panel := 64 * 16 * bits / 8
	// The scales ahead, behind the values, are the first that is needed of the next page.
	far := k.param("dim")
	k.IMUL3Q(U32(uint32(panel/16)), far, far)
	k.ADDQ(k.paramMem("values"), far)
	k.ADDQ(k.paramMem("ahead"), far)
	k.MOVQ(far, scales)
	k.Label("block")
	next, pieces := k.GP64(), k.param("pieces")
	k.MOVQ(pieces, piece)
	k.MOVQ(scales, next)
	k.ask(at(next, 0))
	k.ask(at(next, 64))
	k.ADDQ(Imm(128), scales)
	k.Label("piece")
	dst, p, sum, scale, keep := k.param("out"), k.param("p"), k.param("sum"), k.param("scale"), k.param("keep")
	k.tiles("", left, func(rows int, name string) {
		for half := range 64 / k.bytes { // with 64 bytes both panels at once
			tag := fmt.Sprintf("%s_%d", name, half)
			pStride, positions := k.param("blocks"), k.param("steps")
			k.IMULQ(positions, pStride)
			k.SHLQ(Imm(5), pStride)
			row, l, delta := k.attention.rows(p, pStride, rows), lanes{first: k.param("values")}, k.param("ahead")
			if half > 0 {
				k.ADDQ(U32(uint32(panel)), l.first)
			}
			if k.wide() {
				l.second = k.GP64()
				k.LEAQ(at(l.first, panel), l.second)
			}
			all := k.zeroSums(rows)
			k.Label("step" + tag)
			k.multiply(all, row, l, delta, bits, 4)
			k.next(row, 32)
			k.ADDQ(U32(uint32(256*bits/8)), l.first)
			if l.second != nil {
				k.ADDQ(U32(uint32(256*bits/8)), l.second)
			}
			k.DECQ(positions)
			k.JNZ(LabelRef("step" + tag))
			to, at4, stride, width := k.GP64(), k.GP64(), k.param("blocks"), k.param("dim")
			k.MOVQ(dst, to)
			k.XORQ(at4, at4)
			for r := range rows {
				f, factor, moved := k.finish(all, r, bits, atIndex(sum, at4, 4, 0)), k.vec(), k.vec()
				k.VBROADCASTSS(atIndex(scale, at4, 4, 0), factor)
				k.VBROADCASTSS(at(keep, 4*r), moved)
				for j := range f {
					place, v := at(to, 64*half+k.bytes*j), k.vec()
					k.VMULPS(place, moved, v)
					k.VFMADD231PS(factor, f[j], v)
					k.VMOVUPS(v, place)
				}
				if r < rows-1 {
					k.ADDQ(stride, at4)
					k.LEAQ(atIndex(to, width, 4, 0), to)
				}
			}
		}
	}, func() {
		step, positions := k.param("blocks"), k.param("steps")
		k.ADDQ(Imm(uint64(4*k.most)), keep)
		k.IMULQ(step, positions)
		for range k.most {
			k.LEAQ(atIndex(sum, step, 4, 0), sum)
			k.LEAQ(atIndex(scale, step, 4, 0), scale)
		}
		k.MOVQ(k.paramMem("dim"), step)
		k.SHLQ(Imm(5), positions)
		for range k.most {
			k.LEAQ(atIndex(dst, step, 4, 0), dst)
			k.ADDQ(positions, p)
		}
	})
	k.ADDQ(U32(128), k.paramMem("out"))
	k.ADDQ(U32(uint32(2*panel)), k.paramMem("values"))
	k.DECQ(piece)
	k.JNZ(LabelRef("piece"))
	step := k.param("steps")
	k.SHLQ(Imm(5), step)
	k.ADDQ(step, k.paramMem("p"))
	k.ADDQ(Imm(4), k.paramMem("sum"))
	k.ADDQ(Imm(4), k.paramMem("scale"))
	k.DECQ(blocks)
	k.JNZ(LabelRef("block"))
	k.ret()
}
