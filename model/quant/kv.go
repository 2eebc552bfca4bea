package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// KVPage is the number of positions of one page of keys and values: 64 positions are 0.7 to 1.4 MiB for a model of 30
// layers with 192 key columns, small against a context, and two tiles of 64 by 64 float32 still fit a first-level cache.
const KVPage = 64

// kvLanes is the number of positions of a panel of keys, and kvBlock the number of columns with a scale of their own.
const (
	kvLanes = 16
	kvBlock = 32
)

// KVFormat says how keys and values are kept. For one head and the positions of one page:
//
// Keys lie in panels of 16 positions, (4, headDim, 16), so that a vector lane is a position and a score needs no sum over
// lanes; values lie in rows, (64, headDim), so that a lane is a column. A Q8 value is an int8 times a little-endian
// binary16 scale for 32 columns of a position; the scales, (headDim/32, 64), follow the values of either kind. The
// product of the two is exact in float32.
//
// Keys have a few columns that are large and nearly the same in all positions (Liu et al. 2024, arXiv 2402.02750), whose
// scale would be too coarse for the others. So Q8 keeps the differences to the first key of the page, which is itself kept
// after the scales, (headDim) little-endian float32; a key is fma(int8, scale, first key).
type KVFormat uint8

// The formats; the zero value is F16, little-endian binary16.
const (
	KVF16 KVFormat = iota
	KVQ8
	NumKVFormats
)

// String returns "f16" or "q8".
func (f KVFormat) String() string {
	switch f {
	case KVF16:
		return "f16"
	case KVQ8:
		return "q8"
	default:
		return fmt.Sprintf("KVFormat(%d)", uint8(f))
	}
}

// Check returns an error if heads of headDim columns cannot be kept in format f: the kernels take eight columns at a time,
// and a scale of Q8 is for 32.
func (f KVFormat) Check(headDim int) error {
	unit := 8
	if f == KVQ8 {
		unit = kvBlock
	}
	switch {
	case f >= NumKVFormats:
		return fmt.Errorf("%v is no format of keys and values", f)
	case headDim <= 0 || headDim%unit != 0:
		return fmt.Errorf("keys and values in %v: a head has %d columns, which is not a multiple of %d", f, headDim, unit)
	}
	return nil
}

// ValueBytes returns the size of the values of one head in one page.
func (f KVFormat) ValueBytes(headDim int) int {
	if f == KVQ8 {
		return KVPage*headDim + headDim/kvBlock*KVPage*2
	}
	return KVPage * headDim * 2
}

// KeyBytes returns the size of the keys of one head in one page.
func (f KVFormat) KeyBytes(headDim int) int {
	if f == KVQ8 {
		return f.ValueBytes(headDim) + 4*headDim
	}
	return f.ValueBytes(headDim)
}

// KeyF16 stores the key of position pos of a page, headDim binary16 values in row, in a block of keys.
func KeyF16(block, row []byte, pos int) {
	dim := len(row) / 2
	mustLen("key bytes", len(block), KVF16.KeyBytes(dim))
	panel := block[pos/kvLanes*dim*kvLanes*2+pos%kvLanes*2:]
	for k := range dim {
		panel[k*kvLanes*2], panel[k*kvLanes*2+1] = row[2*k], row[2*k+1]
	}
}

// f32At reads the little-endian float32 at src[i].
func f32At(src []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(src[i:]))
}

// FirstKeyQ8 prepares an empty block of keys for the key of position 0, and those that follow.
func FirstKeyQ8(block []byte, key []float32) {
	mustLen("key bytes", len(block), KVQ8.KeyBytes(len(key)))
	first := block[KVQ8.ValueBytes(len(key)):]
	for k, f := range key {
		binary.LittleEndian.PutUint32(first[4*k:], math.Float32bits(f))
	}
}

// KeyDifference sets dst to what a block of keys keeps of key: its difference to the first key.
func KeyDifference(dst []float32, block []byte, key []float32) {
	mustLen("differences", len(dst), len(key))
	mustLen("key bytes", len(block), KVQ8.KeyBytes(len(key)))
	first := block[KVQ8.ValueBytes(len(key)):]
	for k, f := range key {
		dst[k] = f - f32At(first, 4*k)
	}
}

// KeyQ8 stores the key of position pos of a page, the blocks of acts (headDim/32) of its KeyDifference, in a block of keys:
// the values as they are, the scale rounded to binary16, which moves a value by less than 0.1 of its own rounding.
func KeyQ8(block, acts []byte, pos int) {
	all := ActsOf(acts)
	dim := len(all) * kvBlock
	mustLen("key bytes", len(block), KVQ8.KeyBytes(dim))
	panel := block[pos/kvLanes*dim*kvLanes+pos%kvLanes:]
	for b := range all {
		for k, q := range all[b].Q {
			panel[(b*kvBlock+k)*kvLanes] = byte(q)
		}
		binary.LittleEndian.PutUint16(block[KVPage*dim+(b*KVPage+pos)*2:], F32ToF16(all[b].D))
	}
}

// ValueRow returns the place of the value of position pos in a block of F16 values: headDim binary16 values.
func ValueRow(block []byte, pos int) []byte {
	size := len(block) / KVPage
	return block[pos*size : (pos+1)*size : (pos+1)*size]
}

// ValueQ8 stores the value of position pos, the blocks of acts, in a block of values, as KeyQ8 stores a difference.
func ValueQ8(block, acts []byte, pos int) {
	all := ActsOf(acts)
	dim := len(all) * kvBlock
	mustLen("value bytes", len(block), KVQ8.ValueBytes(dim))
	for b := range all {
		row := block[pos*dim+b*kvBlock:][:kvBlock]
		for k, q := range all[b].Q {
			row[k] = byte(q)
		}
		binary.LittleEndian.PutUint16(block[KVPage*dim+(b*KVPage+pos)*2:], F32ToF16(all[b].D))
	}
}
