package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vnniRow is where an activation row has byte i of its current Act, and its sums of group g.
type vnniRow struct {
	act func(i int) Mem
	sum func(g int) Mem
}

// rowAt is the activation row whose number times actBytes is in row.
func (k *vnniKernel) rowAt(row reg.Register) vnniRow {
	return vnniRow{
		act: func(i int) Mem { return atIndex(k.act, row, 1, i) },
		sum: func(g int) Mem { return atIndex(k.sums, row, vnniRecord/actBytes, 64*g) },
	}
}

// rowNumber is activation row t.
func (k *vnniKernel) rowNumber(t int) vnniRow {
	return vnniRow{
		act: func(i int) Mem { return at(k.act, actBytes*t+i) },
		sum: func(g int) Mem { return at(k.sums, vnniRecord*t+64*g) },
	}
}

// vnniStarts is the type of starts.
type vnniStarts func(act func(i int) Mem, s int) [2][]reg.VecVirtual

// vnniAdd adds the products of a block of a row of both groups to the row's sums.
type vnniAdd struct {
	starts vnniStarts
	add    func(row vnniRow, isum [2][]reg.VecVirtual, v [2]vnniVectors)
}

// table multiplies the scales of both groups with all mantissas that a scale of activations can have. Products and multiplications by
// float scales share two units of the CPU, which bound everything else; additions have others, so a table of 16 scales, made by
// additions for all rows of a call, and powers of two made by additions too (startsTabled), take 2 of 22 operations of a row of Q4_1 off
// them, 2 of 20 of Q4_0. Nothing here rounds: scales of weights have at most 17 bits, mantissas 5.
func (k *vnniKernel) table(v [2]vnniVectors) {
	for g := range v {
		step, d := k.ZMM(), k.ZMM()
		k.VMULPS(k.float("step", 1.0/scaleSteps), v[g].d[0], step)
		k.VMOVAPS(v[g].d[0], d)
		for i := range scaleSteps {
			if i > 0 {
				k.VADDPS(step, d, d)
			}
			k.VMOVUPS(d, at(k.sums, vnniTable+128*i+64*g))
		}
	}
}

// startsTabled is starts for addTabled: the bits of quant.Act.M beside it.
func (k *vnniKernel) startsTabled(act func(i int) Mem, _ int) (sum [2][]reg.VecVirtual) {
	c, same := k.ZMM(), k.ZMM()
	k.VPBROADCASTD(act(actM), c)
	if k.offset {
		k.VPADDD_BCST(act(actN), c, c)
	}
	k.VMOVDQA32(c, same)
	return [2][]reg.VecVirtual{{c}, {same}}
}

// addTabled is add with scales from the table, to the same bits.
func (k *vnniKernel) addTabled(row vnniRow, isum [2][]reg.VecVirtual, v [2]vnniVectors) {
	// The four bits after the first of the mantissa, times two vectors.
	index := k.GP64()
	k.MOVL(row.act(actD), index.As32())
	k.SHRL(Imm(19-7), index.As32())
	k.ANDL(U32((scaleSteps-1)<<7), index.As32())
	for g := range v {
		sum, i := k.ZMM(), isum[g][0]
		k.VMOVUPS(row.sum(g), sum)
		k.VSUBPS_BCST(row.act(actM), i, i)
		k.VFMADD231PS(atIndex(k.sums, index, 1, vnniTable+64*g), i, sum)
		k.addMinima(row, v[g], sum)
		k.VMOVUPS(sum, row.sum(g))
	}
}
