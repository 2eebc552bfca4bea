package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// One call of a product kernel takes this many activation rows, and this many blocks of all of them together where the
// format has an offset: so much room its stack has. The Go wrapper repeats the numbers.
const (
	maxTokens  = 32
	maxOffsets = 4096
)

// prefetchAhead is how far ahead of the weights, in bytes, memory is asked for, or a group of rows if that is more. A
// group is a window over as many distant rows; the prefetcher of the CPU follows them badly (9 of 20 GB/s on Zen 4).
// Into the second level cache, since the first may be too small for it.
const prefetchAhead = 16 << 10

// q8Kernel generates the product of one format with 8-bit activations for one instruction set.
//
// Every vector lane is a row: sums over columns stay in their lane, the scales of a group of rows are one vector, and the
// order of float operations of a row is that of the scalar reference, whatever the instruction set, tile or batch. A
// block of all rows of the group is unpacked once into registers and then multiplied with that block of every token.
type q8Kernel struct {
	*asm
	format
	vnni  bool
	lanes int            // rows of a group
	ones  reg.VecVirtual // AVX2: int16 ones
	ahead Mem            // on the stack: the next weights to prefetch
	end   Mem            // on the stack: the end of the weights
	sign  Mem            // AVX2 and 8-bit weights: the signed weights, (8, 32 bytes), while w holds magnitudes
}

// vectors is what a product kernel keeps in registers for one block of its group of rows.
type vectors struct {
	w    [8]reg.VecVirtual // w[j]: columns 4j..4j+3 of each row, one unsigned byte each
	d, m reg.VecVirtual    // scales and minima, float32
}

// q8Regs are the general registers of a product kernel.
type q8Regs struct {
	w, stride, stride3 reg.Register // row 0 of the group at the current block; bytes between rows; three times that
	q, d               reg.Register // activations and scales of token 0 at the current block
	aux                reg.Register // distance from d to the scaled sums s or the offsets
	tokenQ, tokenD     reg.Register // bytes from one token to the next
	sums, n, blocks    reg.Register // sums of the group, (n, record); tokens; blocks left
}

// matMulQ8 generates the products of the given formats for AVX2 and AVX-512 VNNI.
func matMulQ8(a *asm, formats ...format) {
	for _, f := range formats {
		(&q8Kernel{asm: a, format: f, lanes: 8}).generate()
		if f.bits == 8 {
			f.offset = 128 // VPDPBUSD wants unsigned weights
		}
		(&q8Kernel{asm: a, format: f, lanes: 16, vnni: true}).generate()
	}
}

func (k *q8Kernel) vec() reg.VecVirtual {
	if k.vnni {
		return k.ZMM()
	}
	return k.YMM()
}

// record is the size in bytes of one token's sums: one float32 per row, and the same for the minima.
func (k *q8Kernel) record() int {
	if k.hasMin {
		return 8 * k.lanes
	}
	return 4 * k.lanes
}

func (k *q8Kernel) hasAux() bool { return k.hasMin || k.offset != 0 }

func (k *q8Kernel) generate() {
	k.Function("mul" + k.name + k.isa())
	k.describe()
	k.Pragma("noescape")
	k.SignatureExpr("func(dst *float32, dstStride int, w *byte, stride, groups, blocks int, q *int8, d, s *float32, n int)")
	r := k.prepare()

	k.Label("group")
	k.clearSums(r)
	r.w, r.q, r.d, r.blocks = k.param("w"), k.param("q"), k.param("d"), k.param("blocks")
	k.startPrefetch(r)

	k.Label("block")
	k.prefetch()
	k.tokens(r, k.unpack(r))
	k.ADDQ(Imm(uint64(k.bytes)), r.w)
	k.ADDQ(Imm(32), r.q)
	k.ADDQ(Imm(4), r.d)
	k.DECQ(r.blocks)
	k.JNZ(LabelRef("block"))

	k.storeSums(r)
	group := k.groupBytes(r)
	k.ADDQ(group, k.paramMem("w"))
	k.ADDQ(Imm(uint64(4*k.lanes)), k.paramMem("dst"))
	k.DECQ(k.paramMem("groups"))
	k.JNZ(LabelRef("group"))
	k.VZEROUPPER()
	k.RET()
}

func (k *q8Kernel) isa() string {
	if k.vnni {
		return "VNNI"
	}
	return "AVX2"
}

// prepare loads what stays the same for all groups.
func (k *q8Kernel) prepare() q8Regs {
	size := maxTokens * k.record()
	if k.bits == 8 && !k.vnni {
		size += 8 * 32
	}
	k.ahead, k.end = k.AllocLocal(8), k.AllocLocal(8)
	scratch := k.AllocLocal(size + 64)
	r := q8Regs{sums: k.GP64()}
	k.LEAQ(scratch, r.sums)
	k.ADDQ(Imm(63), r.sums)
	k.ANDQ(I32(-64), r.sums)
	k.sign = at(r.sums, maxTokens*k.record())

	r.stride = k.param("stride")
	r.stride3 = k.GP64()
	k.LEAQ(atIndex(r.stride, r.stride, 2, 0), r.stride3)
	end := k.groupBytes(r)
	k.IMULQ(k.paramMem("groups"), end)
	k.ADDQ(k.paramMem("w"), end)
	k.MOVQ(end, k.end)
	r.n = k.param("n")
	r.tokenD = k.param("blocks")
	r.tokenQ = k.GP64()
	k.SHLQ(Imm(2), r.tokenD)
	k.MOVQ(r.tokenD, r.tokenQ)
	k.SHLQ(Imm(3), r.tokenQ)
	switch {
	case k.hasMin:
		r.aux = k.param("s")
		k.SUBQ(k.paramMem("d"), r.aux)
	case k.offset != 0:
		r.aux = k.offsets(r)
		k.SUBQ(k.paramMem("d"), r.aux)
	}
	if !k.vnni {
		k.ones = k.YMM()
		k.VMOVDQU(k.constant("ones16", 0x00010001), k.ones)
	}
	return r
}

// groupBytes is the size of a group of rows.
func (k *q8Kernel) groupBytes(r q8Regs) reg.Register {
	size := k.GP64()
	k.MOVQ(r.stride, size)
	k.SHLQ(Imm(uint64(bits.TrailingZeros(uint(k.lanes)))), size)
	return size
}

// startPrefetch sets where to prefetch during this group: a run over memory of the size of the group.
func (k *q8Kernel) startPrefetch(r q8Regs) {
	ahead, least := k.groupBytes(r), k.GP64()
	k.MOVQ(I32(prefetchAhead), least)
	k.CMPQ(ahead, least)
	k.CMOVQLT(least, ahead)
	k.ADDQ(r.w, ahead)
	k.MOVQ(ahead, k.ahead)
}

// prefetch asks for as many bytes as one block of the group has.
func (k *q8Kernel) prefetch() {
	p, size := k.GP64(), k.lanes*k.bytes
	k.MOVQ(k.ahead, p)
	k.CMPQ(p, k.end)
	k.JAE(LabelRef("fetched"))
	for o := 0; o < size; o += 64 {
		k.PREFETCHT1(at(p, o))
	}
	k.ADDQ(I32(int32(size)), p)
	k.MOVQ(p, k.ahead)
	k.Label("fetched")
}

// offsets stores -offset times the sum of each block of activations, (n, blocks) int32, and returns their place.
func (k *q8Kernel) offsets(r q8Regs) reg.Register {
	place, p, q, count := k.GP64(), k.GP64(), k.param("q"), k.param("blocks")
	k.LEAQ(k.AllocLocal(4*maxOffsets), place)
	k.MOVQ(place, p)
	k.IMULQ(r.n, count)
	weight, one, v, half := k.YMM(), k.YMM(), k.YMM(), k.XMM()
	k.VMOVDQU(k.constant(fmt.Sprintf("offset%d", k.offset), 0x10001*uint32(uint16(-k.offset))), weight)
	k.VMOVDQU(k.constant("ones8", 0x01010101), one)
	k.Label("sum")
	k.VPMADDUBSW(at(q, 0), one, v)
	k.VPMADDWD(weight, v, v)
	k.VEXTRACTI128(Imm(1), v, half)
	k.VPADDD(half, v.AsX(), v.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		k.VPSHUFD(Imm(order), v.AsX(), half)
		k.VPADDD(half, v.AsX(), v.AsX())
	}
	k.VMOVD(v.AsX(), at(p, 0))
	k.ADDQ(Imm(32), q)
	k.ADDQ(Imm(4), p)
	k.DECQ(count)
	k.JNZ(LabelRef("sum"))
	return place
}

// clearSums zeroes the sums of all tokens.
func (k *q8Kernel) clearSums(r q8Regs) {
	zero := k.vec()
	k.zero(zero)
	p, t := k.GP64(), k.GP64()
	k.MOVQ(r.sums, p)
	k.MOVQ(r.n, t)
	k.Label("clear")
	for o := 0; o < k.record(); o += 4 * k.lanes {
		k.VMOVUPS(zero, at(p, o))
	}
	k.ADDQ(I32(int32(k.record())), p)
	k.DECQ(t)
	k.JNZ(LabelRef("clear"))
}

func (k *q8Kernel) zero(v reg.VecVirtual) {
	if k.vnni {
		k.VPXORD(v, v, v)
	} else {
		k.VPXOR(v, v, v)
	}
}

// tokens multiplies the unpacked block with that block of every token and adds to its sums.
func (k *q8Kernel) tokens(r q8Regs, v vectors) {
	q, d, acc, t := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.MOVQ(r.q, q)
	k.MOVQ(r.d, d)
	k.MOVQ(r.sums, acc)
	k.MOVQ(r.n, t)
	k.Label("token")
	var aux Mem
	if k.hasAux() {
		aux = atIndex(d, r.aux, 1, 0)
	}
	sum, scale := k.dot(v, q, aux), k.vec()
	k.VCVTDQ2PS(sum, sum)
	k.mulBroadcast(at(d, 0), v.d, scale)
	k.VMULPS(scale, sum, sum)
	k.VADDPS(at(acc, 0), sum, sum)
	k.VMOVUPS(sum, at(acc, 0))
	if k.hasMin {
		low := k.vec()
		k.mulBroadcast(aux, v.m, low)
		k.VADDPS(at(acc, 4*k.lanes), low, low)
		k.VMOVUPS(low, at(acc, 4*k.lanes))
	}
	k.ADDQ(r.tokenQ, q)
	k.ADDQ(r.tokenD, d)
	k.ADDQ(I32(int32(k.record())), acc)
	k.DECQ(t)
	k.JNZ(LabelRef("token"))
}

// mulBroadcast sets dst to v times the float32 at m.
func (k *q8Kernel) mulBroadcast(m Mem, v, dst reg.VecVirtual) {
	if k.vnni {
		k.VMULPS_BCST(m, v, dst)
		return
	}
	k.VBROADCASTSS(m, dst)
	k.VMULPS(dst, v, dst)
}

// dot returns the integer products of the unpacked rows with the 32 activations at q. offset is the place of -offset
// times their sum, where the format has an offset.
func (k *q8Kernel) dot(v vectors, q reg.Register, offset Mem) reg.VecVirtual {
	switch {
	case k.vnni:
		return k.dotVNNI(v, q, offset)
	case k.bits == 8:
		return k.dotSigned(v, q)
	}
	// As many products are added as cannot overflow an int16: 8 pairs of 4-bit weights are at most 8*2*15*127 = 30480,
	// 4 pairs of 5-bit weights 4*2*31*127 = 31496.
	fit := 8
	if k.bits == 5 {
		fit = 4
	}
	var sum reg.VecVirtual
	for first := 0; first < 8; first += fit {
		var pairs reg.VecVirtual
		for j := first; j < first+fit; j++ {
			x := k.YMM()
			k.VPBROADCASTD(at(q, 4*j), x)
			k.VPMADDUBSW(x, v.w[j], x)
			if pairs != nil {
				k.VPADDW(x, pairs, x)
			}
			pairs = x
		}
		k.VPMADDWD(k.ones, pairs, pairs)
		if sum != nil {
			k.VPADDD(pairs, sum, pairs)
		}
		sum = pairs
	}
	if k.offset != 0 {
		x := k.YMM()
		k.VPBROADCASTD(offset, x)
		k.VPADDD(x, sum, sum)
	}
	return sum
}

// dotVNNI multiplies unsigned weights with VPDPBUSD, four columns of 16 rows each.
func (k *q8Kernel) dotVNNI(v vectors, q reg.Register, offset Mem) reg.VecVirtual {
	sum := k.ZMM()
	if k.offset != 0 {
		k.VPBROADCASTD(offset, sum)
	} else {
		k.zero(sum)
	}
	for j, w := range v.w {
		k.VPDPBUSD_BCST(at(q, 4*j), w, sum)
	}
	return sum
}

// dotSigned multiplies magnitudes of weights with activations that got the sign of the weight. A pair is at most
// 2*128*127 = 32512, which an int16 holds, but no two pairs do.
func (k *q8Kernel) dotSigned(v vectors, q reg.Register) reg.VecVirtual {
	var sum reg.VecVirtual
	for j, w := range v.w {
		x := k.YMM()
		k.VPBROADCASTD(at(q, 4*j), x)
		k.VPSIGNB(k.sign.Offset(32*j), x, x)
		k.VPMADDUBSW(x, w, x)
		k.VPMADDWD(k.ones, x, x)
		if sum != nil {
			k.VPADDD(x, sum, x)
		}
		sum = x
	}
	return sum
}

// storeSums writes the group's results: products plus minima.
func (k *q8Kernel) storeSums(r q8Regs) {
	dst, step, acc, t, v := k.param("dst"), k.param("dstStride"), k.GP64(), k.GP64(), k.vec()
	k.SHLQ(Imm(2), step)
	k.MOVQ(r.sums, acc)
	k.MOVQ(r.n, t)
	k.Label("store")
	k.VMOVUPS(at(acc, 0), v)
	if k.hasMin {
		k.VADDPS(at(acc, 4*k.lanes), v, v)
	}
	k.VMOVUPS(v, at(dst, 0))
	k.ADDQ(step, dst)
	k.ADDQ(I32(int32(k.record())), acc)
	k.DECQ(t)
	k.JNZ(LabelRef("store"))
}

func (k *q8Kernel) describe() {
	sums := "s is not used"
	limit := ""
	switch {
	case k.hasMin:
		sums = "s is (n, blocks) too"
	case k.offset != 0:
		limit = fmt.Sprintf(", n*blocks at most %d", maxOffsets)
	}
	how := "VPMADDUBSW on unsigned weights, exact in int16"
	switch {
	case k.vnni:
		how = "VPDPBUSD on unsigned weights"
	case k.bits == 8:
		how = "VPSIGNB and VPMADDUBSW on magnitudes"
	}
	k.Doc(
		fmt.Sprintf("mul%s%s multiplies rows of %s weights, groups of %d, with n <= %d rows of 8-bit activations:",
			k.name, k.isa(), k.doc, k.lanes, maxTokens), "",
		fmt.Sprintf("\tfor r < %d*groups, t < n: dst[t*dstStride+r] = dot(w[r*stride:], q[32*blocks*t:])", k.lanes), "",
		"to the bit as quant.MatMulQ8 does. d is (n, blocks), "+sums+". groups, blocks and n are at least 1"+limit+";",
		"activations lie in [-127, 127]. No alignment is needed; nothing outside the blocks, activations and results is touched.",
		fmt.Sprintf("Lanes are rows; %s.", how),
		"Eight vector registers hold the unpacked block, two its scales and minima; float sums are on the stack.")
}
