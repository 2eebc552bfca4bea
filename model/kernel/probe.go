package kernel

import "encoding/binary"

// Probe is a pair of loops that do nothing but saturate a core: the limits of the machine that the kernels of a set are
// measured against. Both loops allocate nothing and may run on any number of threads at once.
type Probe struct {
	// Peak runs turns of independent int8 multiply-accumulates in registers, with the widest instruction that the set
	// multiplies with; at most MaxTurns, so that no call holds up a garbage collection.
	Peak func(turns int)
	// PeakMACs is the multiply-accumulates of one turn.
	PeakMACs int
	// Instruction is what Peak runs, for people.
	Instruction string
	// Read loads p with the widest loads of the set. A tail of less than 512 bytes may be left out.
	Read func(p []byte)
}

// MaxTurns keeps a call of Peak below 250 us: the slowest loop, sixteen instructions one after the other on a core of
// 1 GHz, takes 16 ns a turn.
const MaxTurns = 10000

// genericProbe is in plain Go, for the generic set.
func genericProbe() Probe {
	return Probe{Peak: genericPeak, PeakMACs: 8, Instruction: "integer multiplication in Go", Read: genericRead}
}

// genericPeak multiplies in eight chains, one product each a turn.
//
//go:noinline
func genericPeak(turns int) {
	var a, b, c, d, e, f, g, h int32
	x, y := int32(turns), int32(turns)|1
	for range turns {
		a, b, c, d = a+x*y, b^x*y, c-x*y, d+x*x
		e, f, g, h = e+y*y, f^y*y, g-x*x, h^x*x
		x, y = x+a, y+h
	}
	sink(a + b + c + d + e + f + g + h)
}

// genericRead adds up p in words.
func genericRead(p []byte) {
	var a, b, c, d uint64
	for ; len(p) >= 32; p = p[32:] {
		a += binary.LittleEndian.Uint64(p)
		b += binary.LittleEndian.Uint64(p[8:])
		c += binary.LittleEndian.Uint64(p[16:])
		d += binary.LittleEndian.Uint64(p[24:])
	}
	sink(int32(a + b + c + d))
}

// sink uses a value, so that the compiler keeps what made it.
//
//go:noinline
func sink(int32) {}
