package main

import "fmt"

// hadamards generates quant.Hadamard, to the bit, for the orders that keys and values have.
func hadamards(a *asm) {
	a.includes("What keys and values in 8 and 4 bits are turned with: quant.Hadamard for blocks of 32 or 64 values, at least one.")
	for _, order := range []int{32, 64} {
		a.hadamard(order)
	}
}

// hadamard writes the function for one order. Registers: R0 x, R1 blocks left; the block goes from V0 on to V16 on and back, one
// step at a time. Before, V16 to V31 are scratch, for four pairs of vectors that do not wait for each other.
func (a *asm) hadamard(order int) {
	n := order / 4
	a.function(fmt.Sprintf("hadamard%dNEON", order), "(x *float32, blocks int, scale float32)", 20)
	a.op("MOVD x+0(FP), R0")
	a.op("MOVD blocks+8(FP), R1")
	a.label("block")
	from, to := span(0, n), span(16, n)
	a.load("R0", 0, from)
	for i := 0; i < n; i += 2 {
		a.within(from[i], from[i+1], span(16+2*i%16, 4), "S4")
		a.within(from[i], from[i+1], span(16+2*i%16, 4), "D2")
	}
	for h := 1; h < n; h *= 2 {
		for i := range n {
			if i&h == 0 {
				a.op("FADD_4S(%d, %d, %d)", from[i+h], from[i], to[i])
				a.op("FSUB_4S(%d, %d, %d)", from[i+h], from[i], to[i+h])
			}
		}
		from, to = to, from
	}
	a.op("FMOVS scale+16(FP), F%d", to[0])
	for _, v := range from {
		a.op("FMULE_4S(0, %d, %d, %d)", to[0], v, v)
	}
	a.store("R0", 0, from)
	a.op("ADD $%d, R0", 4*order)
	a.op("SUBS $1, R1")
	a.op("BNE block")
	a.op("RET")
	a.line("")
}

// within is a step of the length of a lane of the arrangement in two vectors: values that meet come to the same lanes and go back.
func (a *asm) within(v, w int, scratch []int, arrangement string) {
	turn := func(name string, second, first, to int) {
		a.op("%s V%d.%[5]s, V%[3]d.%[5]s, V%[4]d.%[5]s", name, second, first, to, arrangement)
	}
	turn("VTRN1", w, v, scratch[0])
	turn("VTRN2", w, v, scratch[1])
	a.op("FADD_4S(%d, %d, %d)", scratch[1], scratch[0], scratch[2])
	a.op("FSUB_4S(%d, %d, %d)", scratch[1], scratch[0], scratch[3])
	turn("VTRN1", scratch[3], scratch[2], v)
	turn("VTRN2", scratch[3], scratch[2], w)
}
