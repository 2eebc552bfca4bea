//go:build !purego

package kernels

// Format is a format of weights (ggml-common.h, read 2026-11). A number, not a set of function values: pointers that go
// through a function value escape to the heap.
type Format uint8

// The formats, in groups of 32 and of 256 columns a block.
const (
	Q40   Format = iota // Q4_0
	Q41                 // Q4_1
	Q50                 // Q5_0
	Q51                 // Q5_1
	Q80                 // Q8_0
	IQ4NL               // IQ4_NL
	IQ4XS               // IQ4_XS
	Q4K                 // Q4_K
	Q5K                 // Q5_K
	Q6K                 // Q6_K
	Q2K                 // Q2_K
	Q3K                 // Q3_K
)

// block is the size of a block of weights, in bytes and in columns.
func (f Format) block() (bytes, columns int) {
	bytes = [...]int{
		Q40: 18, Q41: 20, Q50: 22, Q51: 24, Q80: 34, IQ4NL: 18, IQ4XS: 136, Q4K: 144, Q5K: 176, Q6K: 210, Q2K: 84, Q3K: 110,
	}[f]
	if f >= IQ4XS {
		return bytes, 256
	}
	return bytes, 32
}

// hasMin tells the formats with a minimum instead of an offset.
func (f Format) hasMin() bool {
	switch f {
	case Q41, Q51, Q4K, Q5K, Q2K:
		return true
	default:
		return false
	}
}
