package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vexProducts lists the products with VPDPBUSD. It adds up in int32, so the width of the weights does not matter; those
// with an offset are shifted until it is 128.
func vexProducts() []product {
	all, first, last := []run{{0, steps(0, 8), 1}}, []run{{0, steps(0, 4), 1}}, []run{{0, steps(4, 4), 1}}
	return []product{
		{name: "U8Min", doc: "unsigned weights with minima", record: tileBytes, vnni: true, hasMin: true, halves: [][]run{all}},
		{name: "U8", doc: "weights with an offset of 128", record: tileBytes, vnni: true, offset: true, halves: [][]run{all}},
		{
			name: "U8HalvesMin", doc: "unsigned weights with scales and minima of 16 columns", record: tileBytes, vnni: true, hasMin: true,
			halves: [][]run{first, last},
		},
		{
			name: "U8Halves", doc: "weights with an offset of 128 and scales of 16 columns", record: tileBytes, vnni: true, offset: true,
			halves: [][]run{first, last},
		},
	}
}

// vexTiles generates the products of tiles for AVX-VNNI, and what unpacks weights for them where the tiles are not those
// of AVX2.
func vexTiles(a *asm) {
	for _, p := range vexProducts() {
		(&tileKernel{asm: a, product: p}).generate()
		(&tileKernel{asm: a, product: p}).generateListed()
	}
	for _, f := range formats() {
		if f.shift {
			unpackTile(a, f, true)
		}
	}
}

// encodeVEX replaces VPDPBUSD in functions for AVX-VNNI by the bytes of its VEX form: the Go assembler knows only the EVEX
// form, which needs AVX-512. Encoding: Intel SDM volume 2, VPDPBUSD, VEX.256.66.0F38.W0 50 /r, read 2026-11. The
// functions must need nothing else of AVX-512.
func encodeVEX(f *ir.File) error {
	for _, fn := range f.Functions() {
		if !strings.HasSuffix(fn.Name, "AVXVNNI") {
			continue
		}
		var nodes []ir.Node
		for _, node := range fn.Nodes {
			i, ok := node.(*ir.Instruction)
			if !ok {
				nodes = append(nodes, node)
				continue
			}
			if i.Opcode == "VPDPBUSD" {
				nodes = append(nodes, vexBytes(i)...)
				continue
			}
			if slices.ContainsFunc(i.ISA, func(isa string) bool { return strings.HasPrefix(isa, "AVX512") }) {
				return fmt.Errorf("%s: %s needs AVX-512", fn.Name, i.Opcode)
			}
			for _, op := range i.Operands {
				if r, ok := op.(reg.Physical); ok && r.Kind() == reg.KindVector && r.PhysicalIndex() > 15 {
					return fmt.Errorf("%s: %s uses %s", fn.Name, i.Opcode, r.Asm())
				}
			}
			nodes = append(nodes, node)
		}
		fn.Nodes = nodes
		fn.ISA = slices.DeleteFunc(fn.ISA, func(isa string) bool { return strings.HasPrefix(isa, "AVX512") })
		if !slices.Contains(fn.ISA, "AVXVNNI") {
			fn.ISA = append(fn.ISA, "AVXVNNI")
		}
	}
	return nil
}

// vexBytes is VPDPBUSD m, v, d as bytes, with the instruction that they are as a comment.
func vexBytes(i *ir.Instruction) []ir.Node {
	var n [3]uint8
	for j := range n {
		n[j] = uint8(i.Operands[j].(reg.Physical).PhysicalIndex())
	}
	m, v, d := n[0], n[1], n[2]
	set := func(ok bool, bit uint) uint32 {
		if ok {
			return 1 << bit
		}
		return 0
	}
	word := uint32(0xc4) | (0x42|set(d < 8, 7)|set(m < 8, 5))<<8 | (uint32(15-v)<<3|5)<<16 | 0x50<<24
	tail := 0xc0 | (d&7)<<3 | m&7
	return []ir.Node{
		ir.NewComment(fmt.Sprintf("VPDPBUSD Y%d, Y%d, Y%d", m, v, d)),
		&ir.Instruction{Opcode: "LONG", Operands: []operand.Op{operand.U32(word)}},
		&ir.Instruction{Opcode: "BYTE", Operands: []operand.Op{operand.U8(tail)}},
	}
}
