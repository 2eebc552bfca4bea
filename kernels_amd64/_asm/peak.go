package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// peakChains is the number of independent accumulators of a peak loop: enough for two units with a latency of five
// cycles, and few enough for 16 registers with the operands.
const peakChains = 12

// readSpan is the bytes that one turn of a read loop takes.
const readSpan = 512

// peakKernels are loops that do nothing but saturate the units: the machine's own limits, for the benchmark.
func peakKernels(a *asm) {
	a.peak("peakVNNI", "VPDPBUSD of 64 bytes", func(i int) {
		a.VPDPBUSD(reg.Z14, reg.Z15, physical('Z', i))
	})
	a.peak("peakAVXVNNI", "VPDPBUSD of 32 bytes in its VEX form", func(i int) {
		a.vexDotProduct(i, 15, 14)
	})
	a.peak("peakAVX2", "VPMADDUBSW of 32 bytes, each with its VPADDW", func(i int) {
		if i%2 == 0 { // one register for the products, one for their sum
			a.VPMADDUBSW(reg.Y14, reg.Y15, physical('Y', i))
			a.VPADDW(physical('Y', i), physical('Y', i+1), physical('Y', i+1))
		}
	})
	a.read("readVNNI", 64, func(from operand.Op, i int) { a.VMOVDQU64(from, physical('Z', i)) })
	a.read("readAVX2", 32, func(from operand.Op, i int) { a.VMOVDQU(from, physical('Y', i)) })
}

// peak writes a loop of step(0) to step(peakChains-1), on registers that hold zero.
func (a *asm) peak(name, what string, step func(i int)) {
	a.Function(name)
	a.Attributes(attr.NOSPLIT)
	a.SignatureExpr("func(n int)")
	a.Doc(fmt.Sprintf("%s runs n turns, n at least 1, of independent chains of", name), what+"; it touches no memory.")
	a.Pragma("noescape")
	n := a.Load(a.Param("n"), reg.RCX)
	for i := range 16 {
		a.VPXOR(physical('Y', i), physical('Y', i), physical('Y', i)) // clears the upper half of a Z register too
	}
	a.Label(name + "Turn")
	for i := range peakChains {
		step(i)
	}
	a.DECQ(n)
	a.JNZ(operand.LabelRef(name + "Turn"))
	a.VZEROUPPER()
	a.RET()
}

// vexDotProduct is VPDPBUSD ymm in the VEX encoding of AVX-VNNI, which the Go assembler does not know, for registers 0 to
// 15: d += u v . s m (Intel SDM volume 2, VPDPBUSD: VEX.256.66.0F38.W0 50 /r).
func (a *asm) vexDotProduct(d, v, m int) {
	low := func(r int) uint32 { // the inverted bit that registers 8 to 15 clear
		if r < 8 {
			return 1
		}
		return 0
	}
	second, third := 0x42|low(d)<<7|low(m)<<5, uint32(15-v)<<3|5
	a.Instruction(&ir.Instruction{Opcode: "LONG", Operands: []operand.Op{operand.U32(0xc4 | second<<8 | third<<16 | 0x50<<24)}})
	a.Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []operand.Op{operand.U8(0xc0 | (d&7)<<3 | m&7)}})
}

// physical is the register Yi or Zi, for i up to 15.
func physical(width byte, i int) reg.Register {
	ymm := []reg.Register{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}
	if width == 'Y' {
		return ymm[i]
	}
	return ymm[i].(reg.Vec).AsZ()
}

// read writes a loop that loads readSpan bytes a turn, in loads of the given width.
func (a *asm) read(name string, width int, load func(from operand.Op, i int)) {
	a.Function(name)
	a.Attributes(attr.NOSPLIT)
	a.SignatureExpr("func(p *byte, turns int)")
	a.Doc(fmt.Sprintf("%s loads turns * %d bytes at p, turns at least 1, and does nothing with them.", name, readSpan),
		"No alignment is needed.")
	a.Pragma("noescape")
	p, n := a.Load(a.Param("p"), reg.RAX), a.Load(a.Param("turns"), reg.RCX)
	a.Label(name + "Turn")
	for i := range readSpan / width {
		load(at(p, i*width), i)
	}
	a.ADDQ(operand.U32(readSpan), p)
	a.DECQ(n)
	a.JNZ(operand.LabelRef(name + "Turn"))
	a.VZEROUPPER()
	a.RET()
}
