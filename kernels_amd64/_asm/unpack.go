package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// format is a weight format in blocks of 32 columns (ggml-common.h): where its parts lie and what its integers mean.
type format struct {
	name, doc string
	bytes     int  // of a block; the first two are the binary16 scale
	fifth     int  // offset of the 32 fifth bits; 0: there are none
	data      int  // offset of the nibbles or bytes
	bits      int  // of one weight
	hasMin    bool // a binary16 minimum follows the scale
	offset    int  // value = scale * (stored - offset)
}

var (
	q40 = format{name: "Q40", doc: "Q4_0", bytes: 18, data: 2, bits: 4, offset: 8}
	q41 = format{name: "Q41", doc: "Q4_1", bytes: 20, data: 4, bits: 4, hasMin: true}
	q50 = format{name: "Q50", doc: "Q5_0", bytes: 22, fifth: 2, data: 6, bits: 5, offset: 16}
	q51 = format{name: "Q51", doc: "Q5_1", bytes: 24, fifth: 4, data: 8, bits: 5, hasMin: true}
	q80 = format{name: "Q80", doc: "Q8_0", bytes: 34, data: 2, bits: 8}
)

// unpack loads the current block of all rows of the group.
func (k *q8Kernel) unpack(r q8Regs) vectors {
	var v vectors
	// rows[i] points at row 4i; rows 4i+1..4i+3 follow at the stride.
	rows := []reg.Register{r.w}
	for i := 4; i < k.lanes; i += 4 {
		p := k.GP64()
		k.LEAQ(atIndex(rows[len(rows)-1], r.stride, 4, 0), p)
		rows = append(rows, p)
	}
	k.scales(r, rows, &v)
	var fifth reg.VecVirtual
	if k.fifth != 0 {
		fifth = k.gather(r, rows, k.fifth)
	}
	if k.bits == 8 {
		for half := range 2 {
			copy(v.w[4*half:], k.transpose(r, rows, k.data+16*half))
		}
		k.splitSigns(&v)
		return v
	}
	copy(v.w[:], k.transpose(r, rows, k.data))
	mask := k.constant("nibble", 0x0f0f0f0f)
	for j := range 4 {
		v.w[4+j] = k.vec()
		if k.vnni {
			k.VPSRLD(Imm(4), v.w[j], v.w[4+j])
			k.VPANDD(mask, v.w[j], v.w[j])
			k.VPANDD(mask, v.w[4+j], v.w[4+j])
		} else {
			k.VPSRLD(Imm(4), v.w[j], v.w[4+j])
			k.VPAND(mask, v.w[j], v.w[j])
			k.VPAND(mask, v.w[4+j], v.w[4+j])
		}
	}
	if k.fifth != 0 {
		k.addFifthBits(fifth, &v)
	}
	return v
}

// row is the memory operand of row i of the group.
func (k *q8Kernel) row(r q8Regs, rows []reg.Register, i, disp int) Mem {
	base := rows[i/4]
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
func (k *q8Kernel) transpose(r q8Regs, rows []reg.Register, disp int) []reg.VecVirtual {
	// a[i] holds row i in its first 16 bytes, row i+4 in the next, and so on.
	var a [4]reg.VecVirtual
	for i := range a {
		a[i] = k.vec()
		k.load16(k.row(r, rows, i, disp), a[i])
		k.insert(1, k.row(r, rows, i+4, disp), a[i])
		if k.vnni {
			k.insert(2, k.row(r, rows, i+8, disp), a[i])
			k.insert(3, k.row(r, rows, i+12, disp), a[i])
		}
	}
	// A 4x4 transposition of 32-bit words in each 16 bytes.
	lo01, hi01, lo23, hi23 := k.vec(), k.vec(), k.vec(), k.vec()
	k.VPUNPCKLDQ(a[1], a[0], lo01)
	k.VPUNPCKHDQ(a[1], a[0], hi01)
	k.VPUNPCKLDQ(a[3], a[2], lo23)
	k.VPUNPCKHDQ(a[3], a[2], hi23)
	out := []reg.VecVirtual{k.vec(), k.vec(), k.vec(), k.vec()}
	k.VPUNPCKLQDQ(lo23, lo01, out[0])
	k.VPUNPCKHQDQ(lo23, lo01, out[1])
	k.VPUNPCKLQDQ(hi23, hi01, out[2])
	k.VPUNPCKHQDQ(hi23, hi01, out[3])
	return out
}

// load16 loads 16 bytes into the first lane of v. It fills the other lanes too: the register allocator would take a
// register whose other lanes are never written for one that is alive from the start of the function.
func (k *q8Kernel) load16(m Mem, v reg.VecVirtual) {
	if k.vnni {
		k.VBROADCASTI32X4(m, v)
	} else {
		k.VBROADCASTI128(m, v)
	}
}

// insert puts 16 bytes at m into the 16-byte lane i of v.
func (k *q8Kernel) insert(i uint64, m Mem, v reg.VecVirtual) {
	if k.vnni {
		k.VINSERTI32X4(Imm(i), m, v, v)
	} else {
		k.VINSERTI128(Imm(i), m, v, v)
	}
}

// gather returns the 32-bit words at disp of every row. Broadcasting loads and blends are far cheaper than VPGATHERDD.
func (k *q8Kernel) gather(r q8Regs, rows []reg.Register, disp int) reg.VecVirtual {
	words := k.gatherRows(r, rows, 0, 8, disp)
	if !k.vnni {
		return words
	}
	high, all := k.gatherRows(r, rows, 8, 8, disp), k.ZMM()
	k.VINSERTI64X4(Imm(1), high.AsY(), words, all)
	return all
}

// gatherRows puts the word of row first+i into lane i, for i < count, of a vector whose other lanes are of no use.
func (k *q8Kernel) gatherRows(r q8Regs, rows []reg.Register, first, count, disp int) reg.VecVirtual {
	if count == 1 {
		v := k.vec()
		k.VPBROADCASTD(k.row(r, rows, first, disp), v)
		return v
	}
	low := k.gatherRows(r, rows, first, count/2, disp)
	high := k.gatherRows(r, rows, first+count/2, count/2, disp)
	// Lanes repeat with the count: rows of the upper half stand where their number has that bit.
	mask := map[int]uint64{2: 0xaa, 4: 0xcc, 8: 0xf0}[count]
	k.VPBLENDD(Imm(mask), high.AsY(), low.AsY(), low.AsY())
	return low
}

// scales loads the first word of every block: the scale and, in some formats, the minimum.
func (k *q8Kernel) scales(r q8Regs, rows []reg.Register, v *vectors) {
	head := k.gather(r, rows, 0)
	v.d = k.vec()
	if k.vnni {
		half := k.YMM()
		k.VPMOVDW(head, half)
		k.VCVTPH2PS(half, v.d)
		if k.hasMin {
			v.m = k.vec()
			k.VPSRLD(Imm(16), head, head)
			k.VPMOVDW(head, half)
			k.VCVTPH2PS(half, v.m)
		}
		return
	}
	// In each 16 bytes: the four low halves, then the four high halves; then all low, all high.
	k.VPSHUFB(k.constant("halves", 0x05040100, 0x0d0c0908, 0x07060302, 0x0f0e0b0a), head, head)
	k.VPERMQ(Imm(0xd8), head, head)
	k.VCVTPH2PS(head.AsX(), v.d)
	if k.hasMin {
		v.m = k.vec()
		high := k.XMM()
		k.VEXTRACTI128(Imm(1), head, high)
		k.VCVTPH2PS(high, v.m)
	}
}

// addFifthBits sets bit 4 of each byte of w from the 32 bits of its row.
func (k *q8Kernel) addFifthBits(bits reg.VecVirtual, v *vectors) {
	sixteen := k.constant("sixteen", 0x10101010)
	masks := []Mem{k.constant("bitsLow", 0x08040201), k.constant("bitsHigh", 0x80402010)}
	spread := []Mem{
		k.constant("spread0", 0x00000000, 0x04040404, 0x08080808, 0x0c0c0c0c),
		k.constant("spread1", 0x01010101, 0x05050505, 0x09090909, 0x0d0d0d0d),
		k.constant("spread2", 0x02020202, 0x06060606, 0x0a0a0a0a, 0x0e0e0e0e),
		k.constant("spread3", 0x03030303, 0x07070707, 0x0b0b0b0b, 0x0f0f0f0f),
	}
	for j, w := range v.w {
		b, mask := k.vec(), masks[j%2]
		k.VPSHUFB(spread[j/2], bits, b) // the byte with the bits of these four columns, four times
		if k.vnni {
			set := k.K()
			k.VPTESTMB(mask, b, set)
			k.VPADDB(sixteen, w, set, w)
			continue
		}
		k.VPAND(mask, b, b)
		k.VPCMPEQB(mask, b, b)
		k.VPAND(sixteen, b, b)
		k.VPOR(b, w, w)
	}
}

// splitSigns makes 8-bit weights unsigned: by adding 128 for VPDPBUSD, else by keeping the signed bytes aside.
func (k *q8Kernel) splitSigns(v *vectors) {
	for j, w := range v.w {
		if k.vnni {
			k.VPXORD(k.constant("sign", 0x80808080), w, w)
			continue
		}
		k.VMOVDQU(w, k.sign.Offset(32*j))
		k.VPABSB(w, w)
	}
}
