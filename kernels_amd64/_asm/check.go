package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/reg"
)

// checkRegisters refuses an AVX2 function that would need AVX-512: the register allocator knows all 32 vector registers,
// and the Go assembler encodes an instruction with one of the upper 16 as EVEX without a word.
func checkRegisters(f *ir.File) error {
	for _, fn := range f.Functions() {
		if !strings.HasSuffix(fn.Name, "AVX2") {
			continue
		}
		for _, isa := range fn.ISA {
			if strings.HasPrefix(isa, "AVX512") {
				return fmt.Errorf("%s needs %s", fn.Name, isa)
			}
		}
		for _, i := range fn.Instructions() {
			for _, op := range i.Operands {
				if r, ok := op.(reg.Physical); ok && r.Kind() == reg.KindVector && r.PhysicalIndex() > 15 {
					return fmt.Errorf("%s: %s uses %s", fn.Name, i.Opcode, r.Asm())
				}
			}
		}
	}
	return nil
}
