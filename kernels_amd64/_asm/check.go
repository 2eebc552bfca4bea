package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
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

// constant returns a 64-byte constant of repeated 32-bit words; AVX2 code reads its first half. The name is local to the
// assembly file.
func (a *asm) constant(name string, words ...uint32) operand.Mem {
	if m, ok := a.consts[name]; ok {
		return m
	}
	m := a.StaticGlobal(name)
	a.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		a.AddDatum(4*i, operand.U32(words[i%len(words)]))
	}
	a.consts[name] = m
	return m
}

// param loads an argument into a new general register.
func (a *asm) param(name string) reg.Register { return a.Load(a.Param(name), a.GP64()) }

// paramMem is the place of an argument on the stack, for those that are not worth a register.
func (a *asm) paramMem(name string) operand.Mem {
	b, err := a.Param(name).Resolve()
	if err != nil {
		panic(err) // a name that the signature does not have
	}
	return b.Addr
}

// at is the memory operand disp(base).
func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// atIndex is the memory operand disp(base)(index*scale).
func atIndex(base, index reg.Register, scale uint8, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale, Disp: disp}
}
