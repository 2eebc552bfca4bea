package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// attention generates the steps of attention for one instruction set.
type attention struct {
	*asm
	suffix string
	bytes  int  // of a vector
	halves bool // the right tile of a product is binary16, in strips of 16 columns
}

func attentionKernels(a *asm) {
	for _, k := range []attention{{asm: a, suffix: "AVX2", bytes: 32}, {asm: a, suffix: "AVX512", bytes: 64}} {
		k.tileProduct()
		k.softmaxTile()
		k.foldRows()
		k.keyTileF16()
		k.valueTileF16()
	}
	attention{asm: a, suffix: "AVX2", bytes: 32, halves: true}.tileProduct()
	attention{asm: a, suffix: "AVX512", bytes: 64, halves: true}.tileProduct()
	a.rotate()
}

// panelBytes is 16 float32: one vector of AVX-512, two of AVX2.
const panelBytes = 64

func (k attention) wide() bool { return k.bytes == 64 }

func (k attention) vec() reg.VecVirtual {
	if k.wide() {
		return k.ZMM()
	}
	return k.YMM()
}

func (k attention) function(name, signature string, doc ...string) {
	k.Function(name + k.suffix)
	k.Doc(append([]string{name + k.suffix + " " + doc[0]}, doc[1:]...)...)
	k.Pragma("noescape")
	k.SignatureExpr(signature)
}

// zero clears v. The generator does not know that VPXORD of one register reads nothing, and VXORPS of 64 bytes needs
// AVX-512 DQ.
func (k attention) zero(v reg.VecVirtual) {
	if k.wide() {
		k.VMOVUPS(k.float("zero", 0), v)
	} else {
		k.VXORPS(v, v, v)
	}
}

// rowsOf addresses up to six rows: rows 0 to 2 from low, rows 3 to 5 from high.
type rowsOf struct{ low, high, stride reg.Register }

func (r rowsOf) at(row, disp int) Mem {
	if row < 3 {
		return strided(r.low, r.stride, row, disp)
	}
	return strided(r.high, r.stride, row-3, disp)
}

// rows starts addressing at base; the rows from 3 on only where they exist.
func (k attention) rows(base, stride reg.Register, count int) rowsOf {
	r := rowsOf{low: k.GP64(), stride: stride}
	k.MOVQ(base, r.low)
	if count > 3 {
		r.high = k.GP64()
		k.LEAQ(atIndex(base, stride, 2, 0), r.high)
		k.ADDQ(stride, r.high)
	}
	return r
}

func (k attention) next(r rowsOf, bytes int) {
	k.ADDQ(Imm(uint64(bytes)), r.low)
	if r.high != nil {
		k.ADDQ(Imm(uint64(bytes)), r.high)
	}
}

// productRegs are the general registers of tileProduct; strides in bytes.
type productRegs struct{ c, cStride, a, aStride, bStride, strip, scale reg.Register }

// productRows is the number of rows of the widest tile: 6 x 4 sums, 4 columns and a factor are 29 of 32 registers of
// AVX-512; 6 x 2 sums, 2 columns and a factor are 15 of 16 of AVX2.
const productRows = 6

// halfColumns is the number of columns that lie together in a tile of binary16.
const halfColumns = 16

func (k attention) tileProduct() {
	if k.halves {
		k.function("halfProduct", "func(c *float32, cStride int, a *float32, aStride int, b, ahead *byte, bStride, strip, m, k, cols int, scale *float32)",
			"is tileProduct"+k.suffix+", with the same bits, where the right tile is binary16: 16 columns lie together, bStride bytes from row",
			"to row of them and strip bytes from strip to strip. As much as is read of it is prefetched from ahead on.")
	} else {
		k.function("tileProduct", "func(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, m, k, cols int, scale *float32)",
			"multiplies tiles, r < m, j < cols:", "",
			"\tc[r*cStride+j] = scale[r]*c[r*cStride+j] + sum over i < k of a[r*aStride+i]*b[i*bStride+j]", "",
			"without scale (nil) the sum alone. The sum is added by fused multiply-add in increasing i. cols is a multiple of 16; m, k",
			"and cols are positive. No alignment is needed; nothing else is touched.")
	}
	rows := k.AllocLocal(8)
	r := productRegs{cStride: k.param("cStride"), aStride: k.param("aStride"), bStride: k.param("bStride")}
	for _, stride := range []reg.Register{r.cStride, r.aStride} {
		k.SHLQ(Imm(2), stride)
	}
	if k.halves {
		r.strip = k.param("strip")
	} else {
		k.SHLQ(Imm(2), r.bStride)
	}
	strips := []int{64, 16}
	if !k.wide() {
		strips = []int{16}
	}
	for i, cols := range strips {
		label := fmt.Sprintf("strip%d", cols)
		k.Label(label)
		if i < len(strips)-1 {
			k.CMPQ(k.paramMem("cols"), Imm(uint64(cols)))
			k.JLT(LabelRef(fmt.Sprintf("strip%d", strips[i+1])))
		}
		k.strip(r, rows, cols)
		k.nextStrip(r, cols)
		k.ADDQ(U32(uint32(4*cols)), k.paramMem("c"))
		k.SUBQ(Imm(uint64(cols)), k.paramMem("cols"))
		k.JZ(LabelRef("done"))
		k.JMP(LabelRef(label))
	}
	k.Label("done")
	k.ret()
}

// nextStrip leaves the columns of a strip behind.
func (k attention) nextStrip(r productRegs, cols int) {
	if !k.halves {
		k.ADDQ(U32(uint32(4*cols)), k.paramMem("b"))
		return
	}
	if k.wide() {
		bytes := k.param("k")
		k.IMUL3Q(U32(uint32(2*cols)), bytes, bytes)
		k.ADDQ(bytes, k.paramMem("ahead"))
	} else {
		k.ADDQ(r.strip, k.paramMem("ahead"))
	}
	for range cols / halfColumns {
		k.ADDQ(r.strip, k.paramMem("b"))
	}
}

// strip computes some columns of all rows; left is a place to count them.
func (k attention) strip(r productRegs, left Mem, cols int) {
	m := k.param("m")
	k.MOVQ(m, left)
	r.c, r.a, r.scale = k.param("c"), k.param("a"), k.param("scale")
	for rows := productRows; rows > 0; rows-- {
		name := fmt.Sprintf("%dx%d", rows, cols)
		k.Label("tile" + name)
		k.CMPQ(left, Imm(uint64(rows)))
		k.JLT(LabelRef("under" + name))
		k.productTile(r, rows, cols, name)
		if rows == productRows {
			k.advance(r.c, r.cStride)
			k.advance(r.a, r.aStride)
			k.TESTQ(r.scale, r.scale)
			k.JZ(LabelRef("sum" + name))
			k.ADDQ(Imm(4*productRows), r.scale)
			k.Label("sum" + name)
			k.SUBQ(Imm(productRows), left)
			k.JNZ(LabelRef("tile" + name))
		}
		k.JMP(LabelRef(fmt.Sprintf("end%d", cols)))
		k.Label("under" + name)
	}
	k.Label(fmt.Sprintf("end%d", cols))
}

// advance adds productRows strides to p.
func (k attention) advance(p, stride reg.Register) {
	k.LEAQ(atIndex(p, stride, 4, 0), p)
	k.LEAQ(atIndex(p, stride, 2, 0), p)
}

func (k attention) productTile(r productRegs, rows, cols int, name string) {
	sums := make([][]reg.VecVirtual, rows)
	for i := range sums {
		for range 4 * cols / k.bytes {
			sums[i] = append(sums[i], k.vec())
		}
	}
	c := k.rows(r.c, r.cStride, rows)
	k.TESTQ(r.scale, r.scale)
	k.JZ(LabelRef("zero" + name))
	factor := k.vec()
	for i := range sums {
		k.VBROADCASTSS(at(r.scale, 4*i), factor)
		for j, sum := range sums[i] {
			k.VMULPS(c.at(i, j*k.bytes), factor, sum)
		}
	}
	k.JMP(LabelRef("start" + name))
	k.Label("zero" + name)
	for i := range sums {
		for _, sum := range sums[i] {
			k.zero(sum)
		}
	}
	k.Label("start" + name)
	a, b, left := k.rows(r.a, r.aStride, rows), k.right(r, cols), k.param("k")
	k.Label("depth" + name)
	columns := k.columns(b, len(sums[0]))
	for i := range sums {
		k.VBROADCASTSS(a.at(i, 0), factor)
		for j, sum := range sums[i] {
			k.VFMADD231PS(columns[j], factor, sum)
		}
	}
	k.nextRow(b, r.bStride, cols)
	k.next(a, 4)
	k.DECQ(left)
	k.JNZ(LabelRef("depth" + name))
	for i := range sums {
		for j, sum := range sums[i] {
			k.VMOVUPS(sum, c.at(i, j*k.bytes))
		}
	}
}

// rightTile addresses a row of some columns of the right tile: at(i) is a strip of it where it is binary16. What is ahead is
// read from end to end with 64 bytes, where a row lies in several strips; with 32 it is a distance.
type rightTile struct {
	rowsOf
	ahead reg.Register
}

func (k attention) right(r productRegs, cols int) rightTile {
	base, strips := k.param("b"), 1
	if !k.halves {
		return rightTile{rowsOf: rowsOf{low: base}}
	}
	strips = cols / halfColumns
	ahead := k.param("ahead")
	if !k.wide() {
		k.SUBQ(base, ahead)
	}
	return rightTile{k.rows(base, r.strip, strips), ahead}
}

// columns loads the vectors of a row.
func (k attention) columns(b rightTile, count int) []reg.VecVirtual {
	columns := make([]reg.VecVirtual, count)
	for j := range columns {
		columns[j] = k.vec()
		o := j * k.bytes
		if k.halves {
			k.VCVTPH2PS(b.at(o/panelBytes, o%panelBytes/2), columns[j])
		} else {
			k.VMOVUPS(at(b.low, o), columns[j])
		}
	}
	return columns
}

// nextRow goes on to the next row, and asks for what is ahead into the second level (decision 0014).
func (k attention) nextRow(b rightTile, stride reg.Register, cols int) {
	if k.halves && !k.wide() {
		k.PREFETCHT1(atIndex(b.low, b.ahead, 1, 0))
	}
	k.ADDQ(stride, b.low)
	if b.high != nil {
		k.ADDQ(stride, b.high)
	}
	if !k.halves || !k.wide() {
		return
	}
	for o := 0; o < 2*cols; o += 64 {
		k.PREFETCHT1(at(b.ahead, o))
	}
	k.ADDQ(U32(uint32(2*cols)), b.ahead)
}

func (k attention) softmaxTile() {
	k.function("softmaxTile", "func(scores *float32, m, cols int, top, sum, scale *float32)",
		"is quant.SoftmaxTile: for m rows of scores at a distance of 64, of which the first cols are",
		"looked at, a multiple of 16. The relative error of a power is below 5e-7. No alignment is needed; nothing else is",
		"touched.")
	row, rows, top, sum, scale := k.param("scores"), k.param("m"), k.param("top"), k.param("sum"), k.param("scale")
	bytes := k.param("cols")
	k.SHLQ(Imm(2), bytes)
	k.Label("row")
	at0 := k.GP64()
	best, now, moved := k.vec(), k.vec(), k.vec()
	k.VBROADCASTSS(at(top, 0), moved)
	k.VMOVAPS(moved, best)
	k.XORQ(at0, at0)
	k.Label("max")
	for o := 0; o < panelBytes; o += k.bytes {
		k.VMAXPS(atIndex(row, at0, 1, o), best, best)
	}
	k.ADDQ(Imm(panelBytes), at0)
	k.CMPQ(at0, bytes)
	k.JLT(LabelRef("max"))
	k.reduceMax(best, now)
	k.VMOVSS(now.AsX(), at(top, 0))
	k.VSUBPS(now, moved, moved)
	k.exp2(moved)
	k.VMOVSS(moved.AsX(), at(scale, 0))
	var sums []reg.VecVirtual
	for o := 0; o < panelBytes; o += k.bytes {
		s := k.vec()
		k.VMULPS(at(sum, o), moved, s)
		sums = append(sums, s)
	}
	k.XORQ(at0, at0)
	k.Label("exp")
	for i, s := range sums {
		v := k.vec()
		k.VMOVUPS(atIndex(row, at0, 1, i*k.bytes), v)
		k.VSUBPS(now, v, v)
		k.exp2(v)
		k.VADDPS(v, s, s)
		k.VMOVUPS(v, atIndex(row, at0, 1, i*k.bytes))
	}
	k.ADDQ(Imm(panelBytes), at0)
	k.CMPQ(at0, bytes)
	k.JLT(LabelRef("exp"))
	for i, s := range sums {
		k.VMOVUPS(s, at(sum, i*k.bytes))
	}
	k.ADDQ(U32(256), row)
	k.ADDQ(Imm(4), top)
	k.ADDQ(Imm(panelBytes), sum)
	k.ADDQ(Imm(4), scale)
	k.DECQ(rows)
	k.JNZ(LabelRef("row"))
	k.ret()
}

func (k attention) foldRows() {
	k.function("foldRows", "func(dst, src *float32, width, m int, keep, add *float32)",
		"sets dst[r*width+j] = keep[r]*dst[r*width+j] + add[r]*src[r*width+j], the second product rounded,",
		"then fused, for r < m, j < width, a multiple of 16. No alignment is needed; nothing else is touched.")
	dst, src, rows, keep, add := k.param("dst"), k.param("src"), k.param("m"), k.param("keep"), k.param("add")
	k.Label("row")
	left, a, b := k.param("width"), k.vec(), k.vec()
	k.VBROADCASTSS(at(keep, 0), a)
	k.VBROADCASTSS(at(add, 0), b)
	k.Label("columns")
	for o := 0; o < panelBytes; o += k.bytes {
		v := k.vec()
		k.VMULPS(at(src, o), b, v)
		k.VFMADD231PS(at(dst, o), a, v)
		k.VMOVUPS(v, at(dst, o))
	}
	k.ADDQ(Imm(panelBytes), dst)
	k.ADDQ(Imm(panelBytes), src)
	k.SUBQ(Imm(16), left)
	k.JNZ(LabelRef("columns"))
	k.ADDQ(Imm(4), keep)
	k.ADDQ(Imm(4), add)
	k.DECQ(rows)
	k.JNZ(LabelRef("row"))
	k.ret()
}

// reduceMax sets all lanes of to to the largest lane of v.
func (k attention) reduceMax(v, to reg.VecVirtual) {
	if k.wide() {
		k.VEXTRACTF64X4(Imm(1), v, to.AsY())
		k.VMAXPS(to.AsY(), v.AsY(), v.AsY())
	}
	k.VEXTRACTF128(Imm(1), v.AsY(), to.AsX())
	k.VMAXPS(to.AsX(), v.AsX(), v.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		k.VPERMILPS(Imm(order), v.AsX(), to.AsX())
		k.VMAXPS(to.AsX(), v.AsX(), v.AsX())
	}
	k.VBROADCASTSS(v.AsX(), to)
}

// exp2 replaces v, at most 0 or NaN, by 2^v, and by 0 below -126. With n = round(v) and r = v - n: 2^v = 2^n 2^r. The
// polynomial is that of exp for e^(r ln 2).
func (k attention) exp2(v reg.VecVirtual) {
	coefficient := func(name string, c float64, power int) Mem {
		return k.float(name, float32(c*math.Pow(math.Ln2, float64(power))))
	}
	least := k.float("powerMin", -126)
	n, p := k.vec(), k.vec()
	if k.wide() {
		k.VRNDSCALEPS(Imm(0), v, n)
	} else {
		k.VROUNDPS(Imm(0), v, n)
	}
	var normal reg.Register
	if k.wide() {
		normal = k.K()
		k.VCMPPS(Imm(5), least, v, normal) // not less: NaN stays
	} else {
		y := k.YMM()
		k.VCMPPS(Imm(5), least, v, y)
		normal = y
	}
	k.VSUBPS(n, v, v)
	k.VMOVUPS(coefficient("power5", 0.008312501013278961, 5), p)
	k.VFMADD213PS(coefficient("power4", 0.041890330612659454, 4), v, p)
	k.VFMADD213PS(coefficient("power3", 0.16667115688323975, 3), v, p)
	k.VFMADD213PS(coefficient("power2", 0.499992311000824, 2), v, p)
	k.VFMADD213PS(coefficient("power1", 1, 1), v, p)
	k.VFMADD213PS(k.float("one", 1), v, p)
	if k.wide() {
		k.VSCALEFPS_Z(n, p, normal, v)
		return
	}
	k.VCVTPS2DQ(n, n)
	k.VPSLLD(Imm(23), n, n)
	k.VPADDD(n, p, v)
	k.VANDPS(normal, v, v)
}
