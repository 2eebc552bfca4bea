package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// source reads the current block of 16 rows, packed or plain. Places are offsets in the block of one row; h is 0 for rows
// 0..7 and 1 for rows 8..15; vectors have a row in each 32-bit lane.
type source struct {
	*asm
	packed  bool
	bytes   int             // of a block
	ahead   int             // packed: how far ahead of a load memory is asked for
	rows    [4]reg.Register // plain: rows 0, 4, 8, 12; packed: the group in rows[0]
	stride  reg.Register    // plain: bytes between rows
	stride3 reg.Register    // three times that
	next    [4]reg.Register // plain: 16..19 times that, from row i%4 = 0 to row i of the next group
	asked   map[int]bool    // plain: cache lines of the block that memory was asked for, times 2 plus h
	// Plain rows that are multiplied at once follow each other, so memory is asked for in one stream instead.
	stream reg.Register // plain: what is asked for next, or nil
	lines  int          // of the block that were asked for
}

type vector = reg.VecVirtual

// packedAhead is how far ahead of packed weights, in bytes, memory is asked for in the second-level cache: a worker reads 8 to
// 16 bytes a ns, and memory under load takes some 100s of ns. In the first level, 4 KB ahead, decoding took 1.1 times as long
// (decision 0014).
const packedAhead = 8 << 10

// fewAhead is packedAhead for 2 to 4 activation rows: a pass of four took 0.90 to 0.96 of the time that it takes with 8 KB.
const fewAhead = 16 << 10

// streamAhead is how far ahead of plain rows, in bytes, memory is asked for in one stream.
const streamAhead = 16 << 10

// load starts a source at argument w, with rows at argument stride if they are plain.
func (s *source) load() {
	s.rows[0] = s.param("w")
	if s.packed {
		return
	}
	s.loadRows("stride")
	s.next[0] = s.GP64()
	s.MOVQ(s.stride, s.next[0])
	s.SHLQ(Imm(4), s.next[0])
	for i := 1; i < 4; i++ {
		s.next[i] = s.GP64()
		s.LEAQ(atIndex(s.next[i-1], s.stride, 1, 0), s.next[i])
	}
	s.asked = map[int]bool{}
}

// loadRows starts the other rows of a plain source.
func (s *source) loadRows(stride string) {
	s.stride, s.stride3 = s.param(stride), s.GP64()
	s.LEAQ(atIndex(s.stride, s.stride, 2, 0), s.stride3)
	for i := 1; i < 4; i++ {
		s.rows[i] = s.GP64()
		s.LEAQ(atIndex(s.rows[i-1], s.stride, 4, 0), s.rows[i])
	}
}

// loadStream starts a source at argument w; plain rows are at argument rowStride, which is their length.
func (s *source) loadStream() {
	s.rows[0] = s.param("w")
	if s.packed {
		return
	}
	s.loadRows("rowStride")
	s.stream = s.GP64()
	s.LEAQ(at(s.rows[0], streamAhead), s.stream)
}

// askFor asks for more lines of what lies ahead of a block of 16 rows, at most those that it has.
func (s *source) askFor(lines int) {
	for range lines {
		if 64*s.lines < 16*s.bytes {
			s.PREFETCHT1(at(s.stream, 64*s.lines))
			s.lines++
		}
	}
}

// advance moves on to the next block.
func (s *source) advance() {
	if s.packed {
		s.ADDQ(I32(int32(16*s.bytes)), s.rows[0])
		return
	}
	if s.stream != nil {
		s.askFor(16 * s.bytes)
		s.ADDQ(I32(int32(16*s.bytes)), s.stream)
	}
	for _, r := range s.rows {
		s.ADDQ(I32(int32(s.bytes)), r)
	}
}

// nextGroup moves on from the end of a group to the next: plain rows are at the begin of the row behind each.
func (s *source) nextGroup() {
	if s.packed {
		return
	}
	skip := s.GP64()
	s.MOVQ(s.stride, skip)
	s.SHLQ(Imm(4), skip)
	s.SUBQ(s.stride, skip)
	for _, r := range s.rows {
		s.ADDQ(skip, r)
	}
}

// row is the memory operand of plain row i.
func (s *source) row(i, off int) Mem {
	switch i % 4 {
	case 0:
		return at(s.rows[i/4], off)
	case 3:
		return atIndex(s.rows[i/4], s.stride3, 1, off)
	default:
		return atIndex(s.rows[i/4], s.stride, uint8(i%4), off)
	}
}

// words returns n consecutive words of 32 bits, at most 4. Each call of the result gives one: packed ones are loaded then,
// so that they do not occupy registers; plain ones are shared.
func (s *source) words(off, n, h int) func(i int) vector {
	if s.packed {
		return func(i int) vector {
			v, from := s.YMM(), at(s.rows[0], 16*(off+4*i)+32*h)
			s.prefetch(from, h)
			s.VMOVDQU(from, v)
			return v
		}
	}
	if n == 1 {
		v := s.gather(8*h, 8, off)
		return func(int) vector { return v }
	}
	all := s.transpose(off, h)
	return func(i int) vector { return all[i] }
}

// prefetch asks for memory ahead of a packed place, once for both halves of the rows.
func (s *source) prefetch(from Mem, h int) {
	if h == 0 && s.ahead > 0 {
		s.PREFETCHT1(from.Offset(s.ahead))
	}
}

// transpose loads 16 bytes of each of 8 plain rows and returns their four words. Where the block ends before, it loads the
// last 16 bytes of the block and shifts them.
func (s *source) transpose(off, h int) []vector {
	past := max(0, off+16-s.bytes)
	if s.stream != nil {
		s.askFor(2) // these are 128 bytes
	} else if line := off/64*2 + h; !s.asked[line] {
		// The same place in the next group of rows: 16 distant rows are too many for the prefetcher of some CPUs.
		s.asked[line] = true
		for i := range 8 {
			s.PREFETCHT0(atIndex(s.rows[2*h+i/4], s.next[i%4], 1, off))
		}
	}
	// a[i] holds row i in its first 16 bytes and row i+4 in the next.
	var a [4]vector
	for i := range a {
		a[i] = s.YMM()
		// The broadcast fills all of the register: the allocator would take one whose upper half is never written for one
		// that is alive from the start of the function.
		s.VBROADCASTI128(s.row(8*h+i, off-past), a[i])
		s.VINSERTI128(Imm(1), s.row(8*h+i+4, off-past), a[i], a[i])
		if past > 0 {
			s.VPSRLDQ(Imm(uint64(past)), a[i], a[i])
		}
	}
	lo01, hi01, lo23, hi23 := s.YMM(), s.YMM(), s.YMM(), s.YMM()
	s.VPUNPCKLDQ(a[1], a[0], lo01)
	s.VPUNPCKHDQ(a[1], a[0], hi01)
	s.VPUNPCKLDQ(a[3], a[2], lo23)
	s.VPUNPCKHDQ(a[3], a[2], hi23)
	out := []vector{s.YMM(), s.YMM(), s.YMM(), s.YMM()}
	s.VPUNPCKLQDQ(lo23, lo01, out[0])
	s.VPUNPCKHQDQ(lo23, lo01, out[1])
	s.VPUNPCKLQDQ(hi23, hi01, out[2])
	s.VPUNPCKHQDQ(hi23, hi01, out[3])
	return out
}

// gather puts the word of plain row first+i into lane i, for i < count, of a vector whose other lanes are of no use.
// Broadcasting loads and blends are far cheaper than VPGATHERDD.
func (s *source) gather(first, count, off int) vector {
	if count == 1 {
		v := s.YMM()
		s.VPBROADCASTD(s.row(first, off), v)
		return v
	}
	low, high := s.gather(first, count/2, off), s.gather(first+count/2, count/2, off)
	// Lanes repeat with the count: rows of the upper half stand where their number has that bit.
	mask := map[int]uint64{2: 0xaa, 4: 0xcc, 8: 0xf0}[count]
	s.VPBLENDD(Imm(mask), high, low, low)
	return low
}

// half returns the binary16 number at off as float32.
func (s *source) half(off, h int) vector {
	v := s.YMM()
	if s.packed {
		from := at(s.rows[0], 16*off+16*h)
		s.prefetch(from, h)
		s.VCVTPH2PS(from, v)
		return v
	}
	low, high := s.bothHalves(off, h)
	if off+4 > s.bytes {
		low = high
	}
	s.VCVTPH2PS(low.AsX(), v)
	return v
}

// twoHalves returns the binary16 numbers at off and off+2.
func (s *source) twoHalves(off, h int) (first, second vector) {
	if s.packed {
		return s.half(off, h), s.half(off+2, h)
	}
	low, high := s.bothHalves(off, h)
	first, second = s.YMM(), s.YMM()
	s.VCVTPH2PS(low.AsX(), first)
	s.VCVTPH2PS(high.AsX(), second)
	return first, second
}

// bothHalves returns the low and the high 16 bits of the word at off, or of the last word of the block, of 8 plain rows,
// in the first 16 bytes of two vectors.
func (s *source) bothHalves(off, h int) (low, high vector) {
	low, high = s.gather(8*h, 8, min(off, s.bytes-4)), s.YMM()
	// In each 16 bytes: the four low halves, then the four high halves; then all low, all high.
	s.VPSHUFB(s.constant("halves", 0x05040100, 0x0d0c0908, 0x07060302, 0x0f0e0b0a), low, low)
	s.VPERMQ(Imm(0xd8), low, low)
	s.VPERMQ(Imm(0x4e), low, high)
	return low, high
}

// short returns the 16 bits at off as integers.
func (s *source) short(off, h int) vector {
	v := s.YMM()
	if s.packed {
		s.VPMOVZXWD(at(s.rows[0], 16*off+16*h), v)
		return v
	}
	v = s.gather(8*h, 8, off)
	s.VPAND(s.constant("low16", 0x0000ffff), v, v)
	return v
}
