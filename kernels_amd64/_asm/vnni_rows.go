package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// piece is a part of a block that interleaving moves at once: see the methods of rows of the same names.
type piece struct {
	move func(r *vnniRows, offset int)
	at   int
	loop int // how many times, at offsets of 16 bytes; 0 is once
}

// vnniRows interleaves the current block of the 16 rows of a group: the block becomes a packed one, as quant.PackGroup
// with units of 4 bytes makes it.
type vnniRows struct {
	*vnniKernel
	row             [4]reg.Register // rows 0, 4, 8, 12; the three after each follow at the stride
	stride, stride3 reg.Register
	out             reg.Register
}

// scratch is the place of the interleaved block of group g.
func (k *vnniKernel) scratch(g int) Mem {
	return at(k.sums, vnniBlocks+16*k.bytes*g)
}

// interleave packs the current block of both groups into the scratch memory.
func (k *vnniKernel) interleave(stride reg.Register) {
	r := vnniRows{vnniKernel: k, stride: stride, stride3: k.GP64(), out: k.GP64()}
	for i := range r.row {
		r.row[i] = k.GP64()
	}
	k.LEAQ(atIndex(stride, stride, 2, 0), r.stride3)
	k.LEAQ(k.scratch(0), r.out)
	k.MOVQ(k.src[0], r.row[0])
	k.Label("interleave")
	for i := 1; i < 4; i++ {
		k.LEAQ(atIndex(r.row[i-1], stride, 4, 0), r.row[i])
	}
	moved := 0
	for _, p := range k.pieces {
		if p.loop == 0 {
			p.move(&r, p.at)
			continue
		}
		// The last piece of a format: it leaves the pointers behind it.
		r.loop(p)
		moved = 16 * p.loop
	}
	end := k.GP64()
	k.LEAQ(k.scratch(1).Offset(16*moved), end)
	k.CMPQ(r.out, end)
	k.JEQ(LabelRef("interleaved"))
	k.ADDQ(I32(int32(16*(k.bytes-moved))), r.out)
	k.MOVQ(k.src[1], r.row[0])
	k.JMP(LabelRef("interleave"))
	k.Label("interleaved")
}

// loop moves a piece at p.loop successive offsets.
func (r *vnniRows) loop(p piece) {
	end := r.GP64()
	r.LEAQ(at(r.out, 256*p.loop), end)
	r.Label("words")
	p.move(r, p.at)
	for _, row := range r.row {
		r.ADDQ(Imm(16), row)
	}
	r.ADDQ(I32(256), r.out)
	r.CMPQ(r.out, end)
	r.JNE(LabelRef("words"))
}

// put stores a vector of words as those of offset.
func (r *vnniRows) put(v reg.VecVirtual, offset int) { r.VMOVDQU32(v, at(r.out, 16*offset)) }

// mem is the memory operand of row i.
func (r *vnniRows) mem(i, disp int) Mem {
	base := r.row[i/4]
	switch i % 4 {
	case 0:
		return at(base, disp)
	case 3:
		return atIndex(base, r.stride3, 1, disp)
	default:
		return atIndex(base, r.stride, uint8(i%4), disp)
	}
}

// transpose loads 16 bytes of every row and returns four vectors: the first 4 bytes of all rows, the second 4, ...
func (r *vnniRows) transpose(offset int) [4]reg.VecVirtual {
	// a[i] holds row i in its first 16 bytes, row i+4 in the next, and so on. The first load fills all lanes: the register
	// allocator would take a register of which a part is never written for one that is alive from the start.
	var a, half, out [4]reg.VecVirtual
	for i := range a {
		a[i], half[i], out[i] = r.ZMM(), r.ZMM(), r.ZMM()
		r.VBROADCASTI32X4(r.mem(i, offset), a[i])
		for lane := 1; lane < 4; lane++ {
			r.VINSERTI32X4(Imm(uint64(lane)), r.mem(i+4*lane, offset), a[i], a[i])
		}
	}
	// A 4x4 transposition of words in each 16 bytes.
	r.VPUNPCKLDQ(a[1], a[0], half[0])
	r.VPUNPCKHDQ(a[1], a[0], half[1])
	r.VPUNPCKLDQ(a[3], a[2], half[2])
	r.VPUNPCKHDQ(a[3], a[2], half[3])
	r.VPUNPCKLQDQ(half[2], half[0], out[0])
	r.VPUNPCKHQDQ(half[2], half[0], out[1])
	r.VPUNPCKLQDQ(half[3], half[1], out[2])
	r.VPUNPCKHQDQ(half[3], half[1], out[3])
	return out
}

// fourWords moves 16 bytes.
func (r *vnniRows) fourWords(offset int) {
	for i, v := range r.transpose(offset) {
		r.put(v, offset+4*i)
	}
}

// lastThreeWords moves the last 12 of 16 bytes.
func (r *vnniRows) lastThreeWords(offset int) {
	for i, v := range r.transpose(offset) {
		if i > 0 {
			r.put(v, offset+4*i)
		}
	}
}

// halvesAndWords moves two binary16 numbers and 12 bytes.
func (r *vnniRows) halvesAndWords(offset int) {
	for i, v := range r.transpose(offset) {
		if i > 0 {
			r.put(v, offset+4*i)
			continue
		}
		r.lowHalf(v, offset)
		r.highHalf(v, offset+2)
	}
}

// oneWord moves 4 bytes.
func (r *vnniRows) oneWord(offset int) { r.put(r.gather(offset), offset) }

// oneHalf moves a binary16 number that is not the end of the block.
func (r *vnniRows) oneHalf(offset int) { r.lowHalf(r.gather(offset), offset) }

// lastHalf moves the binary16 number that is the end of the block.
func (r *vnniRows) lastHalf(offset int) { r.highHalf(r.gather(offset-2), offset) }

// twoHalves moves two binary16 numbers.
func (r *vnniRows) twoHalves(offset int) {
	v := r.gather(offset)
	r.lowHalf(v, offset)
	r.highHalf(v, offset+2)
}

// lowHalf stores the low 16 bits of each lane.
func (r *vnniRows) lowHalf(v reg.VecVirtual, offset int) { r.VPMOVDW(v, at(r.out, 16*offset)) }

// highHalf stores the high 16 bits of each lane, which it spoils.
func (r *vnniRows) highHalf(v reg.VecVirtual, offset int) {
	r.VPSRLD(Imm(16), v, v)
	r.lowHalf(v, offset)
}

// gather returns the 32-bit words at offset of every row. Broadcasting loads and blends are far cheaper than VPGATHERDD.
func (r *vnniRows) gather(offset int) reg.VecVirtual {
	low, high, all := r.gatherRows(0, 8, offset), r.gatherRows(8, 8, offset), r.ZMM()
	r.VINSERTI64X4(Imm(1), high, low.AsZ(), all)
	return all
}

// gatherRows puts the word of row first+i into lane i, for i < count, of a half vector whose other lanes are of no use.
func (r *vnniRows) gatherRows(first, count, offset int) reg.VecVirtual {
	if count == 1 {
		v := r.YMM()
		r.VPBROADCASTD(r.mem(first, offset), v)
		return v
	}
	low, high := r.gatherRows(first, count/2, offset), r.gatherRows(first+count/2, count/2, offset)
	// Lanes repeat with the count: rows of the upper half stand where their number has that bit.
	mask := map[int]uint64{2: 0xaa, 4: 0xcc, 8: 0xf0}[count]
	r.VPBLENDD(Imm(mask), high, low, low)
	return low
}
