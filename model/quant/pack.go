package quant

import "fmt"

// PackRows is the number of rows that a packed layout interleaves.
const PackRows = 16

// Packing says how the bytes of PackRows rows are interleaved. The rows are cut into blocks of the format; all rows' first
// blocks come first, then all second blocks, ... Within the blocks of one number the fields follow one another as in the
// format, and each field is cut into units: the first units of all rows, then the second units of all rows, ...
// So packing is a permutation of bytes: nothing is converted and no byte is added.
type Packing struct {
	// Unit is the length of a unit of weights in bytes: 1, 4 or 8, or 0 for no packing. Scales have units of their own: 2
	// bytes where they are binary16 or 16 bits, 4 otherwise.
	Unit int
}

// Packed reports whether rows are interleaved at all.
func (p Packing) Packed() bool { return p.Unit != 0 }

// field is a part of a block.
type field struct {
	len  int
	unit int // 0: the unit of weights
}

// half is a binary16 number, or 16 bits of scales.
func half() field { return field{2, 2} }

func weights(n int) field { return field{n, 0} }

func scales(n int) field { return field{n, 4} }

// fields are the parts of the formats that can be packed, in the order of the block structures in ggml-common.h. The fifth
// bits of Q5_0 and Q5_1 are one word of 32 bits.
var fields = [NumTypes][]field{
	Q4_0:   {half(), weights(16)},
	Q4_1:   {half(), half(), weights(16)},
	Q5_0:   {half(), scales(4), weights(16)},
	Q5_1:   {half(), half(), scales(4), weights(16)},
	Q8_0:   {half(), weights(32)},
	IQ4_NL: {half(), weights(16)},
	Q2_K:   {scales(16), weights(64), half(), half()},
	Q3_K:   {weights(32), weights(64), scales(12), half()},
	Q4_K:   {half(), half(), scales(12), weights(128)},
	Q5_K:   {half(), half(), scales(12), weights(32), weights(128)},
	Q6_K:   {weights(128), weights(64), scales(16), half()},
	IQ4_XS: {half(), half(), scales(4), weights(128)},
}

// Packable reports whether rows of the type can be interleaved.
func (t Type) Packable() bool { return fields[t.clamp()] != nil }

// PackGroup interleaves PackRows tight rows of cols columns of format t: src and dst are PackRows*RowBytes(cols) bytes and
// do not overlap. It panics if a length does not fit or the type is not packable.
func PackGroup(t Type, p Packing, dst, src []byte, cols int) {
	permute(t, p, cols, len(dst), len(src), func(packed, at, n, rowBytes int) {
		for r := range PackRows {
			copy(dst[packed+r*n:][:n], src[r*rowBytes+at:])
		}
	})
}

// UnpackRow copies row r of a packed group to dst, RowBytes(cols) bytes. It panics as PackGroup does.
func UnpackRow(t Type, p Packing, dst, group []byte, r, cols int) {
	permute(t, p, cols, len(group), PackRows*len(dst), func(packed, at, n, _ int) {
		copy(dst[at:at+n], group[packed+r*n:])
	})
}

// permute calls move for every unit: the place of the first row's in the group, where those of the other rows follow; its
// place in a row; its length.
func permute(t Type, p Packing, cols, group, rows int, move func(packed, at, n, rowBytes int)) {
	rowBytes, err := t.RowBytes(cols)
	if err != nil || !t.Packable() || p.Unit <= 0 || 16%p.Unit != 0 {
		panic(fmt.Sprintf("quant: cannot pack %d columns of %v with units of %d bytes", cols, t, p.Unit))
	}
	mustLen("packed group", group, PackRows*rowBytes)
	mustLen("rows", rows, PackRows*rowBytes)
	packed := 0
	for block := 0; block < rowBytes; block += t.BlockBytes() {
		at := block
		for _, f := range fields[t] {
			unit := f.unit
			if unit == 0 {
				unit = p.Unit
			}
			for u := 0; u < f.len; u += unit {
				move(packed, at+u, unit, rowBytes)
				packed += PackRows * unit
			}
			at += f.len
		}
	}
}

// Halves gives the places of the binary16 numbers in a block, the scale first: random bits there could be NaN, so tests
// put small numbers. Nil where there are none, see Tame.
func (t Type) Halves() []int {
	switch t {
	case Q4_0, Q5_0, Q8_0, IQ4_NL, IQ4_XS, IQ1_S, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S:
		return []int{0}
	case Q4_1, Q5_1, Q4_K, Q5_K:
		return []int{0, 2}
	case Q2_K:
		return []int{80, 82}
	case Q3_K:
		return []int{108}
	case Q6_K:
		return []int{208}
	case TQ1_0:
		return []int{52}
	case TQ2_0:
		return []int{64}
	default:
		return nil
	}
}

// Tame gives a block of random bits a scale of ordinary size, in the formats whose scale is no binary16 number of its own.
func (t Type) Tame(block []byte) {
	switch t {
	case MXFP4:
		block[0] = 120 // 2^-8
	case IQ1_M:
		for i := range 4 { // 0x2000 is 2^-7
			block[49+2*i] = block[49+2*i]&15 | []byte{0, 0, 0, 0x20}[i]
		}
	case NVFP4:
		for i := range 4 {
			block[i] &= 0x3f
		}
	}
}
