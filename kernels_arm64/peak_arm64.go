//go:build !purego

package kernels

// Multiply-accumulates of one turn of the peak loops: products of a byte with a byte, added up.
const (
	PeakNEONMACs    = 16 * 8  // sixteen SMLAL or SMLAL2 of 8 bytes
	PeakDotProdMACs = 16 * 16 // sixteen SDOT of 16 bytes
	PeakI8MMMACs    = 16 * 32 // sixteen SMMLA of 2x8 by 8x2 bytes
)

// readSpan is the bytes of one turn of the read loop.
const readSpan = 256

// PeakNEON runs turns of nothing but SMLAL and SMLAL2 in registers: the int8 peak of a core without dot products. Below
// 250 us a call, so at most some 10,000 turns.
func PeakNEON(turns int) {
	if turns > 0 {
		peakNEON(turns)
	}
}

// PeakDotProd is PeakNEON for SDOT. It needs HasDotProd.
func PeakDotProd(turns int) {
	if turns > 0 {
		peakDotProd(turns)
	}
}

// PeakI8MM is PeakNEON for SMMLA. It needs HasI8MM.
func PeakI8MM(turns int) {
	if turns > 0 {
		peakI8MM(turns)
	}
}

// ReadNEON loads p in steps of 64 bytes, whole turns of 256 bytes only.
func ReadNEON(p []byte) {
	if turns := len(p) / readSpan; turns > 0 {
		raceRead(p)
		readNEON(&p[0], turns)
	}
}

// The assembly is in peak_arm64.s.

//go:noescape
func peakNEON(turns int)

//go:noescape
func peakDotProd(turns int)

//go:noescape
func peakI8MM(turns int)

//go:noescape
func readNEON(p *byte, turns int)
