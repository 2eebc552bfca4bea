package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
	"github.com/mmcloughlin/avo/x86"
)

const (
	// vnniTokens is how many activation rows one call of a product kernel takes: so much room for sums its stack has. The
	// Go wrapper repeats the number.
	vnniTokens = 128
	// vnniWord is how many rows a mask has.
	vnniWord = 64
	// vnniRecord is the size of the sums of one activation row: two groups of 16 float32.
	vnniRecord = 2 * 64
	// vnniSlots is how many vectors a format may keep per group for the length of one block.
	vnniSlots = 8
	// vnniTabled is from how many activation rows on scales are multiplied beforehand: see table.
	vnniTabled = 24
	// vnniNear and vnniFar are how far ahead, in bytes, memory is asked for, beyond half a pair of packed groups and, of
	// plain rows, instead of a whole pair if that is less. The places asked for follow each other without a gap, so what is
	// ahead of the last pair of a call is asked for too: as a rule the next call goes on there. They go to the second level
	// cache, since few misses of the first one can be under way: 16 to 24 of 64 bytes, which is 14 GB/s at the latency of a
	// server. Decision record 0014 has what that is worth.
	vnniNear = 4 << 10
	vnniFar  = 16 << 10
)

// Places in a quant.Act.
const (
	actD, actS, actSA, actSB = 32, 36, 40, 44
	actN, actNA, actNB, actM = 48, 52, 56, 60
	actBytes                 = 64
	// scaleSteps is how many scales there are from one power of two to the next: see quant.Act.
	scaleSteps = 16
)

// vnniFormat is a weight format (ggml-common.h). Offsets are bytes in the block of one row. In a packed block of 16 rows
// the word at offset o of all rows is the vector at 16*o, and the binary16 number at offset o the half vector there.
type vnniFormat struct {
	name, doc string
	bytes     int  // of a block
	subs      int  // blocks of 32 columns in it
	hasMin    bool // value = scale*integer + minimum
	negMin    bool // the minimum is subtracted
	halves    bool // 16 columns share a scale
	offset    bool // the unpacked weights are 128 too large, or 128>>down(s)
	// down, if not nil, says how many binary places sub-block s lies below the others: its scale makes up for them.
	down   func(s int) int
	pieces []piece
	// head makes ready what all sub-blocks of group g need.
	head func(k *vnniKernel, g int)
	// scales returns the scales, and minima, of sub-block s: one, or one for each half.
	scales func(k *vnniKernel, g, s int) (d []reg.VecVirtual, m []Op)
	// weights unpacks sub-block s: vector j has columns 4j..4j+3 of each row, one unsigned byte each.
	weights func(k *vnniKernel, g, s int) [8]reg.VecVirtual
	// shared, if not nil, says where sub-block s has its weights, in bytes that it shares with others: see few.
	shared func(s int) []part
}

// Places in the memory at vnniKernel.sums.
const (
	vnniSlot   = vnniTokens * vnniRecord     // (2 groups, vnniSlots) vectors
	vnniTable  = vnniSlot + 2*vnniSlots*64   // (scaleSteps, 2 groups) vectors
	vnniBlocks = vnniTable + scaleSteps*2*64 // (2 groups) packed blocks
)

// vnniKernel generates the product of one format with 8-bit activations.
//
// Every vector lane is a row: sums over columns stay in their lane, the scales of a group of 16 rows are one vector, and
// the order of float operations of a row is that of the scalar reference, whatever the batch. 32 columns of two groups
// are unpacked into registers at once and then multiplied with that block of every activation row: one broadcast of four
// activations feeds two instructions.
type vnniKernel struct {
	*asm
	vnniFormat
	src   [2]reg.Register // groups in memory, at the current block
	g     [2]reg.Register // the current block of each group, packed
	act   reg.Register    // activations of the first row, at the current block
	fetch [2]reg.Register // what to prefetch
	sums  reg.Register    // (vnniTokens, vnniRecord), then slots, then a table, then two packed blocks
	row   reg.Register    // the first of two activation rows of sub, or the last one
	left  Mem             // blocks left
	keep  Mem             // pointer to the masks of activation rows of the current 32 columns
	// base is the first row of the mask that is under way, times actBytes, and tabled whether there is a table.
	base, tabled Mem
}

func vnniProducts(formats ...vnniFormat) func(*asm) {
	return func(a *asm) {
		for _, f := range formats {
			(&vnniKernel{asm: a, vnniFormat: f}).generate()
		}
	}
}

func (k *vnniKernel) generate() {
	k.Function("mul" + k.name + "VNNI")
	k.describe()
	k.Pragma("noescape")
	k.SignatureExpr("func(dst *float32, dstStride, second int, w *byte, stride, apart, pairs, blocks int, acts *byte, n, tokens int, keep *uint64, keepStride int)")
	k.prepare()

	k.Label("pair")
	k.clear()
	k.startPair()
	k.Label("block")
	k.toPacked()
	for g := range 2 {
		if k.head != nil {
			k.head(k, g)
		}
	}
	k.CMPQ(k.paramMem("tokens"), Imm(2*actBytes))
	k.JLT(LabelRef("one"))
	k.JEQ(LabelRef("two"))
	for s := range k.subs {
		k.prefetch(s)
		k.sub(s)
		k.ADDQ(k.paramMem("n"), k.act)
	}
	k.JMP(LabelRef("next"))
	k.Label("one")
	k.few(1)
	k.JMP(LabelRef("next"))
	k.Label("two")
	k.few(2)
	k.Label("next")
	k.DECQ(k.left)
	k.JNZ(LabelRef("block"))
	k.store()
	size := k.pairBytes()
	k.ADDQ(size, k.paramMem("w"))
	k.ADDQ(I32(vnniRecord), k.paramMem("dst"))
	k.DECQ(k.paramMem("pairs"))
	k.JNZ(LabelRef("pair"))
	k.VZEROUPPER()
	k.RET()
}

// prepare aligns the room on the stack and turns counts among the arguments into bytes.
func (k *vnniKernel) prepare() {
	k.left, k.keep, k.base, k.tabled = k.AllocLocal(8), k.AllocLocal(8), k.AllocLocal(8), k.AllocLocal(8)
	scratch := k.AllocLocal(vnniBlocks + 2*16*k.bytes + 64)
	k.sums = k.GP64()
	k.LEAQ(scratch, k.sums)
	k.ADDQ(Imm(63), k.sums)
	k.ANDQ(I32(-64), k.sums)
	k.SHLQ(Imm(6), k.paramMem("n"))
	k.SHLQ(Imm(6), k.paramMem("tokens"))
	k.SHLQ(Imm(2), k.paramMem("dstStride"))
	k.SHLQ(Imm(2), k.paramMem("second"))
}

// pairBytes is the size of two groups of rows.
func (k *vnniKernel) pairBytes() reg.Register {
	size := k.param("blocks")
	k.IMUL3Q(I32(int32(32*k.bytes)), size, size)
	return size
}

// slot is a vector that is kept for group g for the length of one block.
func (k *vnniKernel) slot(g, i int) Mem {
	return at(k.sums, vnniSlot+64*(vnniSlots*g+i))
}

// clear zeroes the sums of all activation rows.
func (k *vnniKernel) clear() {
	zero, p, end := k.ZMM(), k.GP64(), k.param("tokens")
	k.clearRegister(zero)
	k.MOVQ(k.sums, p)
	k.LEAQ(atIndex(p, end, 2, 0), end)
	k.Label("clear")
	k.VMOVUPS(zero, at(p, 0))
	k.VMOVUPS(zero, at(p, 64))
	k.ADDQ(I32(vnniRecord), p)
	k.CMPQ(p, end)
	k.JNE(LabelRef("clear"))
}

// startPair points at the first block of two groups and of the activations.
func (k *vnniKernel) startPair() {
	k.src = [2]reg.Register{k.param("w"), k.GP64()}
	k.MOVQ(k.src[0], k.src[1])
	k.ADDQ(k.paramMem("apart"), k.src[1])
	k.act = k.param("acts")
	blocks, keep := k.param("blocks"), k.param("keep")
	k.MOVQ(blocks, k.left)
	k.MOVQ(keep, k.keep)
	k.fetch = [2]reg.Register{k.GP64(), k.GP64()}
	k.startFetch()
}

// startFetch points at what to ask for first: of the half pair that lies before the second group, that group's turn comes
// with the first group's, so a distance of less would leave no time for it.
func (k *vnniKernel) startFetch() {
	least := k.GP64()
	k.MOVQ(k.pairBytes(), k.fetch[0])
	k.CMPQ(k.paramMem("stride"), Imm(0))
	k.JGE(LabelRef("plain"))
	k.SHRQ(Imm(1), k.fetch[0])
	k.ADDQ(I32(vnniNear), k.fetch[0])
	k.JMP(LabelRef("fetch"))
	k.Label("plain")
	k.MOVQ(I32(vnniFar), least)
	k.CMPQ(k.fetch[0], least)
	k.CMOVQLT(least, k.fetch[0])
	k.Label("fetch")
	k.ADDQ(k.src[0], k.fetch[0])
	k.LEAQ(at(k.fetch[0], 16*k.bytes), k.fetch[1])
}

// toPacked points g at packed blocks, which it makes from rows if the groups are not packed, and moves src on.
func (k *vnniKernel) toPacked() {
	stride := k.param("stride")
	k.g = [2]reg.Register{k.GP64(), k.GP64()}
	k.TESTQ(stride, stride)
	k.JS(LabelRef("packed"))
	k.interleave(stride)
	for g := range 2 {
		k.LEAQ(k.scratch(g), k.g[g])
		k.ADDQ(I32(int32(k.bytes)), k.src[g])
	}
	k.JMP(LabelRef("ready"))
	k.Label("packed")
	for g := range 2 {
		k.MOVQ(k.src[g], k.g[g])
		k.ADDQ(I32(int32(16*k.bytes)), k.src[g])
	}
	k.Label("ready")
	for g := range 2 {
		k.ADDQ(I32(int32(32*k.bytes)), k.fetch[g])
	}
}

// prefetch asks for the part of the weights ahead that goes with sub-block s. The pointers have already moved on, by a block
// of a pair.
func (k *vnniKernel) prefetch(s int) { k.prefetchPart(8*s, 8*(s+1)) }

// prefetchPart asks for the part from eighth from to eighth to of a sub-block, counted through all sub-blocks.
func (k *vnniKernel) prefetchPart(from, to int) {
	lines := (16*k.bytes + 63) / 64
	for i := from * lines / (8 * k.subs); i < to*lines/(8*k.subs); i++ {
		for _, p := range k.fetch {
			k.PREFETCHT1(at(p, 64*i-32*k.bytes))
		}
	}
}

// vnniVectors is what one sub-block of a group has in registers.
type vnniVectors struct {
	w [8]reg.VecVirtual
	d []reg.VecVirtual
	m []Op // in memory where registers are short
}

// sub unpacks sub-block s of both groups, multiplies it with that block of the activation rows that the mask names, and adds
// to their sums. Two rows at a time: their sums of products depend on one another within a row only, and the CPU looks ahead
// only so far.
func (k *vnniKernel) sub(s int) {
	var v [2]vnniVectors
	for g := range v {
		v[g].d, v[g].m = k.scales(k, g, s)
		if k.hasMin && k.halves { // there are no registers for them
			for i, m := range v[g].m {
				v[g].m[i] = k.slot(g, vnniSlots-2+i)
				k.VMOVUPS(m, v[g].m[i])
			}
		}
	}
	for g := range v {
		v[g].w = k.weights(k, g, s)
	}
	label := func(name string) string { return fmt.Sprintf("%s%d", name, s) }
	mask, keep := k.GP64(), k.GP64()
	k.row = k.GP64()
	k.MOVQ(k.keep, keep)
	k.MOVQ(at(keep, 0), mask)
	k.MOVQ(I32(0), k.base)
	if !k.halves {
		count := k.GP64()
		k.MOVQ(I32(0), k.tabled)
		k.POPCNTQ(mask, count)
		k.CMPQ(count, Imm(vnniTabled))
		k.JLT(LabelRef(label("word")))
		k.MOVQ(I32(1), k.tabled)
		k.table(v)
	}
	k.Label(label("word"))
	k.TESTQ(mask, mask)
	k.JZ(LabelRef(label("next")))
	if !k.halves {
		k.CMPQ(k.tabled, Imm(0))
		k.JE(LabelRef(label("tokens")))
		k.pairs(label, "tabled", mask, func(rows []reg.Register) { k.tokens(rows, v, s, vnniAdd{k.startsTabled, k.addTabled}) })
	}
	each := vnniAdd{k.starts, k.add}
	single := k.pairs(label, "tokens", mask, func(rows []reg.Register) { k.tokens(rows, v, s, each) })
	k.Label(label("token"))
	k.tokens(single, v, s, each)
	k.Label(label("next"))
	base := k.GP64()
	k.MOVQ(k.base, base)
	k.ADDQ(I32(vnniWord*actBytes), base)
	k.CMPQ(base, k.paramMem("tokens"))
	k.JGE(LabelRef(label("done")))
	k.MOVQ(base, k.base)
	k.MOVQ(k.keep, keep)
	k.SHRQ(Imm(9), base) // vnniWord*actBytes is 8 bytes of masks
	k.MOVQ(atIndex(keep, base, 1, 0), mask)
	k.JMP(LabelRef(label("word")))
	k.Label(label("done"))
	k.MOVQ(k.paramMem("keepStride"), keep)
	k.ADDQ(keep, k.keep)
}

// pairs goes over the rows of a mask two at a time, and then to next, or with the last one, which it returns, to token.
func (k *vnniKernel) pairs(label func(string) string, name string, mask reg.Register, product func(rows []reg.Register)) (last []reg.Register) {
	rows := []reg.Register{k.row, k.GP64()}
	take := func(row reg.Register) {
		k.TZCNTQ(mask, row)
		k.SHLQ(Imm(6), row)
		k.ADDQ(k.base, row)
		k.BLSRQ(mask, mask)
	}
	k.Label(label(name))
	take(rows[0])
	k.JZ(LabelRef(label("token")))
	take(rows[1])
	product(rows)
	k.TESTQ(mask, mask)
	k.JNZ(LabelRef(label(name)))
	k.JMP(LabelRef(label("next")))
	return rows[:1]
}

// tokens multiplies sub-block s with that block of some activation rows and adds to their sums.
func (k *vnniKernel) tokens(rows []reg.Register, v [2]vnniVectors, s int, how vnniAdd) {
	var places []vnniRow
	for _, row := range rows {
		places = append(places, k.rowAt(row))
	}
	k.product(places, v, s, how, func(int) {})
}

// product is tokens for rows at given places. It calls before for each four columns.
func (k *vnniKernel) product(rows []vnniRow, v [2]vnniVectors, s int, how vnniAdd, before func(j int)) {
	isum := k.dot(rows, v, s, how.starts, before)
	for t, row := range rows {
		how.add(row, isum[t], v)
	}
}

// clearRegister sets v to zero. The generator has to be told that this does not read v: it would keep v alive from the
// start of the function.
func (k *vnniKernel) clearRegister(v reg.VecVirtual) {
	i, err := x86.VPXORD(v, v, v)
	if err != nil {
		panic(err) // no such instruction
	}
	i.CancellingInputs = true
	k.Instruction(i)
}

// starts returns what the integer products of sub-block s of both groups start from, of each half if halves have scales. act
// is the place of a byte of that block of an activation row.
func (k *vnniKernel) starts(act func(i int) Mem, s int) (sum [2][]reg.VecVirtual) {
	places := []int{actN}
	if k.halves {
		places = []int{actNA, actNB}
	}
	for g := range sum {
		for i, place := range places {
			c := k.ZMM()
			switch {
			case !k.offset:
				k.clearRegister(c)
			case k.down == nil || k.down(s) == 0:
				k.VPBROADCASTD(act(place), c)
			case g == 0:
				k.VPSRAD_BCST(Imm(uint64(k.down(s))), act(place), c)
			default:
				k.VMOVDQA32(sum[0][i], c)
			}
			sum[g] = append(sum[g], c)
		}
	}
	return sum
}

// dot returns the integer products of sub-block s of both groups with some activation rows: of each half, if halves have
// scales.
func (k *vnniKernel) dot(rows []vnniRow, v [2]vnniVectors, s int, starts vnniStarts, before func(j int)) [][2][]reg.VecVirtual {
	sum := make([][2][]reg.VecVirtual, len(rows))
	for t := range sum {
		sum[t] = starts(rows[t].act, s)
	}
	for j := range 8 {
		before(j)
		for t := range sum {
			x := k.ZMM()
			k.VPBROADCASTD(rows[t].act(4*j), x)
			for g := range v {
				k.VPDPBUSD(x, v[g].w[j], sum[t][g][j*len(sum[t][g])/8])
			}
		}
	}
	return sum
}

// add adds the products of a block to the sums of a row, as quant.MatMulQ8 says: acc = fma(d*dx, isum, acc), acc = fma(m, s, acc), or,
// for halves, as addHalves does.
func (k *vnniKernel) add(row vnniRow, isum [2][]reg.VecVirtual, v [2]vnniVectors) {
	for g := range v {
		sum := k.ZMM()
		if k.halves {
			k.VMOVUPS(row.sum(g), sum)
			k.addHalves(sum, row.act, isum[g], v[g])
		} else {
			k.VCVTDQ2PS(isum[g][0], isum[g][0])
			k.VMULPS_BCST(row.act(actD), v[g].d[0], sum)
			k.VFMADD213PS(row.sum(g), isum[g][0], sum)
			k.addMinima(row, v[g], sum)
		}
		k.VMOVUPS(sum, row.sum(g))
	}
}

func (k *vnniKernel) addMinima(row vnniRow, v vnniVectors, sum reg.VecVirtual) {
	for _, m := range v.m {
		k.addMin(row.act(actS), m, sum)
	}
}

// addHalves adds the products of the halves of a block to a sum: acc = fma(fma(db, isumb, da*isuma), dx, acc), then both
// minima. act is the place of a byte of that block of the activation row.
func (k *vnniKernel) addHalves(sum reg.VecVirtual, act func(i int) Mem, isum []reg.VecVirtual, v vnniVectors) {
	for _, i := range isum {
		k.VCVTDQ2PS(i, i)
	}
	k.VMULPS(v.d[0], isum[0], isum[0])
	k.VFMADD231PS(isum[1], v.d[1], isum[0])
	k.VFMADD231PS_BCST(act(actD), isum[0], sum)
	for i, m := range v.m {
		k.addMin(act([]int{actSA, actSB}[i]), m, sum)
	}
}

// addMin adds the minima m times the sum of activations at s.
func (k *vnniKernel) addMin(s Mem, m Op, sum reg.VecVirtual) {
	add, addBroadcast := k.VFMADD231PS, k.VFMADD231PS_BCST
	if k.negMin {
		add, addBroadcast = k.VFNMADD231PS, k.VFNMADD231PS_BCST
	}
	if _, ok := m.(Mem); !ok {
		addBroadcast(s, m, sum)
		return
	}
	v := k.ZMM()
	k.VBROADCASTSS(s, v)
	add(m, v, sum)
}

// store writes the results of both groups.
func (k *vnniKernel) store() {
	first, second, sums, end, v := k.param("dst"), k.param("second"), k.GP64(), k.param("tokens"), k.ZMM()
	k.ADDQ(first, second)
	k.MOVQ(k.sums, sums)
	k.LEAQ(atIndex(sums, end, 2, 0), end)
	k.Label("store")
	k.VMOVUPS(at(sums, 0), v)
	k.VMOVUPS(v, at(first, 0))
	k.VMOVUPS(at(sums, 64), v)
	k.VMOVUPS(v, at(second, 0))
	k.ADDQ(k.paramMem("dstStride"), first)
	k.ADDQ(k.paramMem("dstStride"), second)
	k.ADDQ(I32(vnniRecord), sums)
	k.CMPQ(sums, end)
	k.JNE(LabelRef("store"))
}

func (k *vnniKernel) describe() {
	k.Doc(
		fmt.Sprintf("mul%sVNNI multiplies pairs of groups of 16 rows of %s weights with tokens <= %d rows of 8-bit", k.name, k.doc, vnniTokens),
		"activations. For r < 16, t < tokens, with p from 0 to pairs-1 and W rows of w[p*32*rowBytes:]:", "",
		"\tdst[32*p + t*dstStride + r] = dot(row r, activation row t)",
		"\tdst[32*p + t*dstStride + second + r] = dot(row r of the group apart bytes further on, activation row t)", "",
		"Rows are stride bytes apart, or packed groups if stride is negative. A row has blocks whole blocks of the format.",
		"acts is (32 columns, n) quant.Acts, of which the first tokens of each n are used. pairs, blocks, tokens are at least 1.",
		"Of each 32 columns those rows count whose bit is set in the masks of 64 rows at keep, keepStride bytes after those before.",
		"No alignment is needed; nothing outside the blocks, activations and results is touched. Lanes are rows.")
}
