package main

import (
	"fmt"
	"strings"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scaleBytes is what a record keeps where weights are multiplied at once: scales and minima only.
const scaleBytes = tileBytes - scaleAt

// matVecs generates the products of packed and of plain rows with one activation row and with a few.
func matVecs(vnni, packed bool) func(a *asm) {
	return func(a *asm) {
		for _, f := range formats() {
			for n := 1; n <= f.mostRows(packed); n++ {
				matVec(a, f, vnni, packed, n)
			}
		}
	}
}

// mostRows is how many activation rows are multiplied without a tile at most. One core of a Zen 3 reads packed weights for two
// rows with AVX2 at 10 GB/s by way of a tile and at 19 without (Q4_0, Q4_1), 11 and 20 (Q8_0), 9 and 13 (IQ4_NL), 8 and 11
// (IQ4_XS), 13 and 15 (Q4_K), 10.8 and 10.4, then 9.3 and 12.4 (Q6_K); Q5_0 and Q5_1 gain nothing, and Q2_K and Q3_K lose a third, for want of registers.
// For four rows 8.8 and 10.7 (Q4_0, Q4_1), 8 and 15 (Q8_0), 6 and 7.6 (IQ4_NL); for eight 5.7 and 4.8 (Q4_0), 4.8 and 7.6 (Q8_0).
//
// Plain rows take two at most, for two planes of one answer; Q5_K wants more registers than there are.
func (w weights) mostRows(packed bool) int {
	if !packed && w.name == "Q5K" {
		return 0
	}
	if !packed {
		return min(2, w.mostRows(true))
	}
	switch w.name {
	case "Q40", "Q41", "Q80", "IQ4NL":
		return 4
	case "IQ4XS", "Q4K", "Q6K":
		return 2
	}
	return 1
}

// matVec generates the product of rows with n activation rows: weights are multiplied as they are unpacked and never stored, so
// that memory is read without a pause.
func matVec(a *asm, f weights, vnni, packed bool, n int) {
	ahead := packedAhead
	if n > 1 {
		ahead = fewAhead
	}
	u := &unpacker{source: source{asm: a, packed: packed, bytes: f.size, ahead: ahead}, weights: f, vnni: vnni, each: scaleBytes, together: n > 2}
	kind, stride := "Packed", ""
	if !packed {
		kind, stride = "Plain", "rowStride, "
	}
	name := "matVec" + f.name + kind + u.isa()
	if n > 1 {
		name = fmt.Sprintf("matVec%d%s%s%s", n, f.name, kind, u.isa())
	}
	strides := "dstStride is not used with one row."
	if f.cols > 32 {
		strides = "stride is not used: a block is as long as the n rows. " + strides
	}
	if !packed {
		strides += " Rows are rowStride bytes long and apart."
	}
	u.Function(name)
	u.Doc(
		fmt.Sprintf("%s multiplies %s rows of %s weights with n = %d activation rows:", name, strings.ToLower(kind), f.doc, n), "",
		"\tfor r < 16*groups, t < n: dst[t*dstStride+r] = dot(row r of w, activation row t)", "",
		fmt.Sprintf("in the order of float operations of quant.MatMulQ8. A row has blocks blocks of %d columns; acts are their Acts, stride", f.cols),
		"bytes from block to block. groups and blocks are at least 1. No alignment is needed; nothing outside is touched, though",
		"memory behind w is asked for. Lanes are rows. "+strides)
	u.Pragma("noescape")
	u.SignatureExpr("func(dst *float32, dstStride int, w *byte, " + stride + "groups, blocks int, acts *byte, stride int)")
	u.loadStream()
	acts, blocks := u.GP64(), u.GP64()
	// Scales of eight blocks, halves of four for each row, and the sums.
	u.scales = u.GP64()
	u.alignedLocal(u.scales, 8*scaleBytes+n*128+n*sumBytes)
	u.SUBQ(I32(scaleAt), u.scales)
	behind := scaleAt + 8*scaleBytes

	u.Label("group")
	v := &vecSink{
		unpacker: u, n: n, acts: acts, halves: at(u.scales, behind), kept: at(u.scales, behind+n*128),
		state: map[rowPart]*partial{}, next: map[[2]int]int{},
	}
	v.clear()
	v.product = productNamed(u.productOf())
	u.out = v
	u.MOVQ(u.paramMem("acts"), acts)
	u.MOVQ(u.paramMem("blocks"), blocks)
	u.Label("block")
	u.scale(u)
	u.unpack(u)
	u.advance()
	if f.cols > 32 {
		u.ADDQ(I32(int32(f.cols/32*n*actBytes)), acts)
	} else {
		u.ADDQ(u.paramMem("stride"), acts)
	}
	u.DECQ(blocks)
	u.JNZ(LabelRef("block"))
	v.results()
	u.nextGroup()
	u.DECQ(u.paramMem("groups"))
	u.JNZ(LabelRef("group"))
	u.VZEROUPPER()
	u.RET()
}

func productNamed(name string) product {
	for _, p := range append(products(), vexProducts()...) {
		if p.name == name {
			return p
		}
	}
	panic("no product " + name)
}

// rowPart is the product of 8 rows of a block with activation row t.
type rowPart struct{ block, h, t int }

// partial is the integer product of a part, as far as it goes.
type partial struct {
	pairs, sum vector // int16 and int32
	fit, done  int    // products in pairs, and in all
	ready      bool   // all columns are in sum
}

// vecSink multiplies weights with activations.
type vecSink struct {
	*unpacker
	product
	n      int // activation rows
	acts   reg.Register
	sums   pair      // of a single row
	kept   Mem       // of several rows: registers are for what is unpacked
	halves Mem       // first halves of columns, scaled, (t, block)
	held   [2]factor // weights under way, of rows 0..7 and 8..15
	state  map[rowPart]*partial
	next   map[[2]int]int // by h and t, the block whose product comes next, since the order of floats is fixed
}

// clear begins the sums.
func (v *vecSink) clear() {
	if v.n == 1 {
		for h := range v.sums {
			v.sums[h] = v.YMM()
			v.VXORPS(v.sums[h], v.sums[h], v.sums[h])
		}
		return
	}
	zero := v.YMM()
	v.VXORPS(zero, zero, zero)
	for i := range 2 * v.n {
		v.VMOVUPS(zero, v.kept.Offset(32*i))
	}
}

// sum is the register with the sum of a row.
func (v *vecSink) sum(t, h int) vector {
	if v.n == 1 {
		return v.sums[h]
	}
	x := v.YMM()
	v.VMOVUPS(v.kept.Offset(sumBytes*t+32*h), x)
	return x
}

// keep stores what sum gave.
func (v *vecSink) keep(t, h int, sum vector) {
	if v.n > 1 {
		v.VMOVUPS(sum, v.kept.Offset(sumBytes*t+32*h))
	}
}

// results stores the sums of all rows.
func (v *vecSink) results() {
	to, stride := v.param("dst"), v.GP64()
	if v.n > 1 {
		v.MOVQ(v.paramMem("dstStride"), stride)
		v.SHLQ(Imm(2), stride)
	}
	for t := range v.n {
		if t > 0 {
			v.ADDQ(stride, to)
		}
		for h := range 2 {
			v.VMOVUPS(v.sum(t, h), at(to, 32*h))
		}
	}
	v.ADDQ(Imm(sumBytes), v.paramMem("dst"))
}

// at is the place of byte i of the Act of a block.
func (v *vecSink) at(block, t, i int) Mem { return at(v.acts, (block*v.n+t)*actBytes+i) }

func (v *vecSink) partial(part rowPart) *partial {
	p := v.state[part]
	if p == nil {
		p = &partial{}
		v.state[part] = p
	}
	return p
}

// factor is weights of four columns of rows 8h..8h+7.
type factor struct {
	h       int
	w, size vector // size: magnitudes of signed weights
}

// multiply calls step for each activation row, with the same columns b of it and a vector for the result, which may be b. Where
// the weights of 16 rows come together it waits for all of them, so that activations are loaded once: with four rows of Q4_1 in a
// cache of a Zen 4 17.9 instead of 15.4 GB/s.
func (v *vecSink) multiply(block, j int, f factor, step func(part rowPart, f factor, b, x vector)) {
	factors := []factor{f}
	if v.held[f.h] = f; v.together {
		if f.h == 0 {
			return
		}
		factors = v.held[:]
	}
	for t := range v.n {
		b := v.YMM()
		v.VPBROADCASTD(v.at(block, t, 4*j), b)
		for i, f := range factors {
			x := b
			if i+1 < len(factors) {
				x = v.YMM()
			}
			step(rowPart{block, f.h, t}, f, b, x)
		}
	}
}

// unsigned multiplies weights below 64, or any with VPDPBUSD.
func (v *vecSink) unsigned(block, j, h int, w vector) {
	if v.unpacker.vnni {
		v.multiply(block, j, factor{h: h, w: w}, func(part rowPart, f factor, b, _ vector) {
			p := v.partial(part)
			if p.sum == nil {
				p.sum = v.start(part, j/4)
			}
			v.VPDPBUSD(b, f.w, p.sum)
			v.count(part, p)
		})
		return
	}
	r := v.product.halves[0][0]
	v.multiply(block, j, factor{h: h, w: w}, func(part rowPart, f factor, b, x vector) {
		p := v.partial(part)
		v.VPMADDUBSW(b, f.w, x)
		if p.pairs == nil {
			p.pairs = x
		} else {
			v.VPADDW(x, p.pairs, p.pairs)
		}
		p.fit++
		if p.fit == len(r.steps) {
			v.VPMADDWD(v.constant(fmt.Sprintf("times%d", r.times), 0x00010001*uint32(r.times)), p.pairs, p.pairs)
			p.add(v.asm, p.pairs)
			p.pairs, p.fit = nil, 0
		}
		v.count(part, p)
	})
}

// start returns the first value of a sum of VPDPBUSD.
func (v *vecSink) start(part rowPart, half int) vector {
	x := v.YMM()
	if v.product.offset {
		v.VPBROADCASTD(v.at(part.block, part.t, v.product.offsetAt(half)), x)
	} else {
		v.VPXOR(x, x, x)
	}
	return x
}

// signed multiplies magnitudes with activations that get the sign of the weights: 2*128*127 fits an int16. For VPDPBUSD it
// adds 128.
func (v *vecSink) signed(block, j, h int, w vector) {
	if v.unpacker.vnni {
		v.VPXOR(v.constant("bytes80", 0x80808080), w, w)
		v.unsigned(block, j, h, w)
		return
	}
	f := factor{h: h, w: w, size: v.YMM()}
	v.VPABSB(w, f.size)
	v.multiply(block, j, f, func(part rowPart, f factor, b, x vector) {
		p := v.partial(part)
		v.VPSIGNB(f.w, b, x)
		v.VPMADDUBSW(x, f.size, x)
		v.VPMADDWD(v.constant("times1", 0x00010001), x, x)
		p.add(v.asm, x)
		v.count(part, p)
	})
}

func (v *vecSink) nonlinear(block, j, h int, w vector) {
	if v.unpacker.vnni {
		v.lookUp("nonlinear128", func(value int8) byte { return byte(value) + 128 }, w, w)
		v.unsigned(block, j, h, w)
		return
	}
	v.lookUp("nonlinear", func(value int8) byte { return byte(value) }, w, w)
	v.signed(block, j, h, w)
}

func (p *partial) add(a *asm, x vector) {
	if p.sum == nil {
		p.sum = x
	} else {
		a.VPADDD(x, p.sum, p.sum)
	}
}

// count notes that four more columns are done, and finishes what it can.
func (v *vecSink) count(part rowPart, p *partial) {
	p.done++
	switch {
	case p.done == 4 && len(v.product.halves) == 2:
		v.first(part, p)
	case p.done == 8:
		v.offset(part, len(v.product.halves)-1, p)
		p.ready = true
	}
	line := [2]int{part.h, part.t}
	for n := v.next[line]; n < 8; n++ {
		part.block = n
		p := v.state[part]
		if p == nil || !p.ready {
			break
		}
		v.finish(part, p)
		delete(v.state, part)
		v.next[line] = (n + 1) % (v.cols / 32)
		if v.next[line] == 0 {
			break
		}
	}
}

// offset adds what the offset of the weights makes, and converts to float.
func (v *vecSink) offset(part rowPart, half int, p *partial) {
	if v.product.offset && v.product.name != "U8" && !v.unpacker.vnni {
		x := v.YMM()
		v.VPBROADCASTD(v.at(part.block, part.t, v.product.offsetAt(half)), x)
		v.VPADDD(x, p.sum, p.sum)
	}
	v.VCVTDQ2PS(p.sum, p.sum)
}

// scaleOf is the place of scale or minimum which.
func (v *vecSink) scaleOf(block, which, h int) Mem {
	return at(v.scales, v.each*block+scaleAt+64*which+32*h)
}

// half is the place of the first half of a part.
func (v *vecSink) half(part rowPart) Mem { return v.halves.Offset(128*part.t + 32*(part.block%4)) }

// first scales the sum of the first 16 columns and puts it aside.
func (v *vecSink) first(part rowPart, p *partial) {
	v.offset(part, 0, p)
	v.VMULPS(v.scaleOf(part.block, 0, part.h), p.sum, p.sum)
	v.VMOVUPS(p.sum, v.half(part))
	p.sum = nil
}

// finish adds the product of a part to the float sum, in the order of the reference.
func (v *vecSink) finish(part rowPart, p *partial) {
	block, h, t, d := part.block, part.h, part.t, v.YMM()
	v.VBROADCASTSS(v.at(block, t, actD), d)
	if len(v.product.halves) == 2 {
		second := v.YMM()
		v.VMOVUPS(v.scaleOf(block, 1, h), second)
		v.VFMADD213PS(v.half(part), second, p.sum)
	} else {
		v.VMULPS(v.scaleOf(block, 0, h), d, d)
	}
	sum := v.sum(t, h)
	v.VFMADD231PS(d, p.sum, sum)
	if v.product.hasMin {
		for half, from := range [][]int{{actS}, {actSA, actSB}}[len(v.product.halves)-1] {
			s := v.YMM()
			v.VBROADCASTSS(v.at(block, t, from), s)
			v.VFMADD231PS(v.scaleOf(block, 2+half, h), s, sum)
		}
	}
	v.keep(t, h, sum)
}
