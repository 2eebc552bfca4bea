//go:build !purego

package kernels

import "fmt"

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

// block is the size of a block of weights, in bytes and in columns. Not a table: an array in a function is copied there first, 20
// ns of each product.
func (f Format) block() (bytes, columns int) {
	switch f {
	case Q40, IQ4NL:
		return 18, 32
	case Q41:
		return 20, 32
	case Q50:
		return 22, 32
	case Q51:
		return 24, 32
	case Q80:
		return 34, 32
	case IQ4XS:
		return 136, 256
	case Q4K:
		return 144, 256
	case Q5K:
		return 176, 256
	case Q6K:
		return 210, 256
	case Q2K:
		return 84, 256
	case Q3K:
		return 110, 256
	default:
		panic(fmt.Sprintf("kernels: format %d", f))
	}
}

// blocks is how many blocks a row of that many columns has; it panics if they are not whole. Divisors are constants, since a
// division takes 5 ns.
func (f Format) blocks(cols int) int {
	blocks, columns := cols/32, 32
	if f >= IQ4XS {
		blocks, columns = cols/256, 256
	}
	must(cols == blocks*columns, "columns are not whole blocks", cols, blocks*columns)
	return blocks
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
