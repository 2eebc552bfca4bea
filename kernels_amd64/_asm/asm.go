package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// asm is the avo context of one assembly file, with the helpers that the kernels share.
type asm struct {
	*build.Context
	consts map[string]operand.Mem
}

func newAsm() *asm {
	a := &asm{Context: build.NewContext(), consts: map[string]operand.Mem{}}
	a.ConstraintExpr("!purego")
	return a
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

// alignedLocal lets r point to some bytes of the frame that begin a cache line: frames are aligned to less.
func (a *asm) alignedLocal(r reg.Register, bytes int) {
	a.LEAQ(a.AllocLocal(bytes+64), r)
	a.ADDQ(operand.Imm(63), r)
	a.ANDQ(operand.I32(-64), r)
}

// at is the memory operand disp(base).
func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// atIndex is the memory operand disp(base)(index*scale).
func atIndex(base, index reg.Register, scale uint8, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale, Disp: disp}
}

// strided is the memory operand disp(base + i*stride), i at most 2.
func strided(base, stride reg.Register, i, disp int) operand.Mem {
	if i == 0 {
		return at(base, disp)
	}
	return atIndex(base, stride, uint8(i), disp)
}
