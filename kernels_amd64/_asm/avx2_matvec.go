package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scaleBytes is what a record keeps where weights are multiplied at once: scales and minima only.
const scaleBytes = tileBytes - scaleAt

// matVec generates the product of packed rows with one activation row: weights are multiplied as they are unpacked and
// never stored, so that memory is read without a pause.
func matVec(a *asm, f weights, vnni bool) {
	u := &unpacker{source: source{asm: a, packed: true, bytes: f.size, ahead: packedAhead}, weights: f, vnni: vnni, each: scaleBytes}
	name := "matVec" + f.name + "Packed" + u.isa()
	u.Function(name)
	u.Doc(
		fmt.Sprintf("%s multiplies packed rows of %s weights with one activation row:", name, f.doc), "",
		"\tfor r < 16*groups: dst[r] = dot(row r of w, activation row)", "",
		fmt.Sprintf("in the order of float operations of quant.MatMulQ8. A row has blocks blocks of %d columns; acts are its Acts.", f.cols),
		"groups and blocks are at least 1. No alignment is needed; nothing outside is touched, though memory behind w is asked for.",
		"Lanes are rows.")
	u.Pragma("noescape")
	u.SignatureExpr("func(dst *float32, w *byte, groups, blocks int, acts *byte)")
	u.load()
	dst, groups, acts, blocks := u.param("dst"), u.param("groups"), u.GP64(), u.GP64()
	frame := u.GP64()
	u.LEAQ(u.AllocLocal(9*scaleBytes+64), frame)
	u.ADDQ(Imm(63), frame)
	u.ANDQ(I32(-64), frame)
	u.scales = u.GP64()
	u.LEAQ(at(frame, -scaleAt), u.scales)

	u.Label("group")
	v := &vecSink{unpacker: u, acts: acts, halves: at(frame, 8*scaleBytes), state: map[rowPart]*partial{}}
	for h := range v.sums {
		v.sums[h] = u.YMM()
		u.VXORPS(v.sums[h], v.sums[h], v.sums[h])
	}
	v.product = productNamed(u.productOf())
	u.out = v
	u.MOVQ(u.paramMem("acts"), acts)
	u.MOVQ(u.paramMem("blocks"), blocks)
	u.Label("block")
	u.scale(u)
	u.unpack(u)
	u.advance()
	u.ADDQ(I32(int32(f.cols/32*actBytes)), acts)
	u.DECQ(blocks)
	u.JNZ(LabelRef("block"))
	for h, sum := range v.sums {
		u.VMOVUPS(sum, at(dst, 32*h))
	}
	u.ADDQ(Imm(sumBytes), dst)
	u.DECQ(groups)
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

// rowPart is a block of 8 rows.
type rowPart struct{ block, h int }

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
	acts   reg.Register
	sums   pair
	halves Mem // first halves of columns, scaled, (block, h)
	state  map[rowPart]*partial
	next   [2]int // the block whose product comes next, since the order of floats is fixed
}

func (v *vecSink) at(block, i int) Mem { return at(v.acts, block*actBytes+i) }

func (v *vecSink) partial(block, h int) *partial {
	p := v.state[rowPart{block, h}]
	if p == nil {
		p = &partial{}
		v.state[rowPart{block, h}] = p
	}
	return p
}

// unsigned multiplies weights below 64, or any with VPDPBUSD.
func (v *vecSink) unsigned(block, j, h int, w vector) {
	p, x := v.partial(block, h), v.YMM()
	if v.unpacker.vnni {
		if p.sum == nil {
			p.sum = v.start(block, j/4)
		}
		v.VPBROADCASTD(v.at(block, 4*j), x)
		v.VPDPBUSD(x, w, p.sum)
		v.count(block, h, p)
		return
	}
	v.VPBROADCASTD(v.at(block, 4*j), x)
	v.VPMADDUBSW(x, w, x)
	if p.pairs == nil {
		p.pairs = x
	} else {
		v.VPADDW(x, p.pairs, p.pairs)
	}
	p.fit++
	r := v.product.halves[0][0]
	if p.fit == len(r.steps) {
		v.VPMADDWD(v.constant(fmt.Sprintf("times%d", r.times), 0x00010001*uint32(r.times)), p.pairs, p.pairs)
		p.add(v.asm, p.pairs)
		p.pairs, p.fit = nil, 0
	}
	v.count(block, h, p)
}

// start returns the first value of a sum of VPDPBUSD.
func (v *vecSink) start(block, half int) vector {
	x := v.YMM()
	if v.product.offset {
		v.VPBROADCASTD(v.at(block, v.product.offsetAt(half)), x)
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
	p, x, size := v.partial(block, h), v.YMM(), v.YMM()
	v.VPBROADCASTD(v.at(block, 4*j), x)
	v.VPABSB(w, size)
	v.VPSIGNB(w, x, x)
	v.VPMADDUBSW(x, size, x)
	v.VPMADDWD(v.constant("times1", 0x00010001), x, x)
	p.add(v.asm, x)
	v.count(block, h, p)
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
func (v *vecSink) count(block, h int, p *partial) {
	p.done++
	switch {
	case p.done == 4 && len(v.product.halves) == 2:
		v.first(block, h, p)
	case p.done == 8:
		v.offset(block, len(v.product.halves)-1, p)
		p.ready = true
	}
	for n := v.next[h]; n < 8; n++ {
		p := v.state[rowPart{n, h}]
		if p == nil || !p.ready {
			break
		}
		v.finish(n, h, p)
		delete(v.state, rowPart{n, h})
		v.next[h] = (n + 1) % (v.cols / 32)
		if v.next[h] == 0 {
			break
		}
	}
}

// offset adds what the offset of the weights makes, and converts to float.
func (v *vecSink) offset(block, half int, p *partial) {
	if v.product.offset && v.product.name != "U8" && !v.unpacker.vnni {
		x := v.YMM()
		v.VPBROADCASTD(v.at(block, v.product.offsetAt(half)), x)
		v.VPADDD(x, p.sum, p.sum)
	}
	v.VCVTDQ2PS(p.sum, p.sum)
}

// scaleOf is the place of scale or minimum which.
func (v *vecSink) scaleOf(block, which, h int) Mem {
	return at(v.scales, v.each*block+scaleAt+64*which+32*h)
}

// first scales the sum of the first 16 columns and puts it aside.
func (v *vecSink) first(block, h int, p *partial) {
	v.offset(block, 0, p)
	v.VMULPS(v.scaleOf(block, 0, h), p.sum, p.sum)
	v.VMOVUPS(p.sum, v.halves.Offset(32*(block%4)))
	p.sum = nil
}

// finish adds the product of a part to the float sum, in the order of the reference.
func (v *vecSink) finish(block, h int, p *partial) {
	d := v.YMM()
	v.VBROADCASTSS(v.at(block, actD), d)
	if len(v.product.halves) == 2 {
		second := v.YMM()
		v.VMOVUPS(v.scaleOf(block, 1, h), second)
		v.VFMADD213PS(v.halves.Offset(32*(block%4)), second, p.sum)
	} else {
		v.VMULPS(v.scaleOf(block, 0, h), d, d)
	}
	v.VFMADD231PS(d, p.sum, v.sums[h])
	if !v.product.hasMin {
		return
	}
	for half, from := range [][]int{{actS}, {actSA, actSB}}[len(v.product.halves)-1] {
		s := v.YMM()
		v.VBROADCASTSS(v.at(block, from), s)
		v.VFMADD231PS(v.scaleOf(block, 2+half, h), s, v.sums[h])
	}
}
