//go:build !purego

package kernels

// Multiply-accumulates of one turn of the peak loops: products of a byte with a byte, added up.
const (
	PeakVNNIMACs    = 12 * 64 // twelve VPDPBUSD of 64 bytes
	PeakAVXVNNIMACs = 12 * 32 // twelve VPDPBUSD of 32 bytes
	PeakAVX2MACs    = 6 * 32  // six VPMADDUBSW of 32 bytes
)

// readSpan is the bytes of one turn of the read loops.
const readSpan = 512

// PeakVNNI runs turns of nothing but VPDPBUSD zmm in registers: the int8 peak of the core. Below 250 us a call, so at most
// some 10,000 turns. It needs HasAVX512VNNI.
func PeakVNNI(turns int) {
	if turns > 0 {
		peakVNNI(turns)
	}
}

// PeakAVXVNNI is PeakVNNI for VPDPBUSD ymm in the VEX encoding. It needs AVX-VNNI.
func PeakAVXVNNI(turns int) {
	if turns > 0 {
		peakAVXVNNI(turns)
	}
}

// PeakAVX2 is PeakVNNI for VPMADDUBSW ymm, each followed by the VPADDW that sums its products. It needs HasAVX2.
func PeakAVX2(turns int) {
	if turns > 0 {
		peakAVX2(turns)
	}
}

// ReadVNNI loads p in steps of 64 bytes, whole turns of 512 bytes only. It needs HasAVX512VNNI.
func ReadVNNI(p []byte) {
	if turns := len(p) / readSpan; turns > 0 {
		raceRead(p)
		readVNNI(&p[0], turns)
	}
}

// ReadAVX2 is ReadVNNI in steps of 32 bytes. It needs HasAVX2.
func ReadAVX2(p []byte) {
	if turns := len(p) / readSpan; turns > 0 {
		raceRead(p)
		readAVX2(&p[0], turns)
	}
}
