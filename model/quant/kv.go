package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// KVPage is the number of positions of one page of keys and values: 64 positions are 0.7 to 1.4 MiB for a model of 30
// layers with 192 key columns, small against a context, and two tiles of 64 by 64 float32 still fit a first-level cache.
const KVPage = 64

// kvLanes is the number of positions or columns of a panel, kvBlock the number of columns with a scale of their own, and
// kvDepth the number of values of a lane that lie side by side, as many as an integer product adds up.
const (
	kvLanes = 16
	kvBlock = 32
	kvDepth = 4
)

// KVFormat says how keys and values are kept. For one head and the positions of one page:
//
// F16 is little-endian binary16. Keys lie in panels of 16 positions, (4, headDim, 16), so that a vector lane is a position
// and a score needs no sum over lanes; values lie in rows, (64, headDim), so that a lane is a column.
//
// Q8 and Q4 keep integers of 8 or 4 bits for products of integers. Heads are filled up with zeros to whole blocks of 32
// columns (KVColumns). Keys lie in panels of 16 positions, (4, headDim/4, 16, 4); values in panels of 16 columns,
// (headDim/16, 16, 16, 4): in both, lane l of a panel has four values side by side, of adjacent columns for keys and of
// adjacent positions for values. Q8 keeps a value plus 128 as a byte; Q4 a value plus 8, and a byte has that of an even four
// in its lower and that of the following odd four in its upper half. A value is the integer times a little-endian binary16
// scale for 32 columns of a position; the scales, (headDim/32, 64), follow.
//
// Keys have a few columns that are large and nearly the same in all positions (Liu et al. 2024, arXiv 2402.02750), whose
// scale would be too coarse for the others. So Q8 and Q4 keep the differences to the first key of the page, which is itself
// kept after the scales, (headDim) little-endian float32; a key is fma(integer, scale, first key).
type KVFormat uint8

// The formats; the zero value is F16.
const (
	KVF16 KVFormat = iota
	KVQ8
	KVQ4
	NumKVFormats
)

// String returns "f16", "q8" or "q4".
func (f KVFormat) String() string {
	switch f {
	case KVF16:
		return "f16"
	case KVQ8:
		return "q8"
	case KVQ4:
		return "q4"
	default:
		return fmt.Sprintf("KVFormat(%d)", uint8(f))
	}
}

// Check returns an error if heads of headDim columns cannot be kept in format f: the kernels of F16 take eight columns at a
// time, those of the others fill up heads of any size.
func (f KVFormat) Check(headDim int) error {
	switch {
	case f >= NumKVFormats:
		return fmt.Errorf("%v is no format of keys and values", f)
	case headDim <= 0 || headDim > kvMaxColumns:
		return fmt.Errorf("keys and values: a head has %d columns; at least 1 and at most %d are possible", headDim, kvMaxColumns)
	case f == KVF16 && headDim%8 != 0:
		return fmt.Errorf("keys and values in f16: a head has %d columns, which is not a multiple of 8; q8 takes any number", headDim)
	}
	return nil
}

// kvMaxColumns bounds the columns of a head: an integer product of 1024 is far from the limits of int32, and known models
// have up to 512.
const kvMaxColumns = 1024

// KVColumns returns the number of columns that are kept of a head: headDim in F16, whole blocks of 32 in the others.
func (f KVFormat) KVColumns(headDim int) int {
	if f == KVF16 {
		return headDim
	}
	return (headDim + kvBlock - 1) / kvBlock * kvBlock
}

// KVWidth is the row length of results for values in format f: KVColumns rounded up to whole vectors of 16.
func (f KVFormat) KVWidth(headDim int) int {
	return (f.KVColumns(headDim) + kvLanes - 1) / kvLanes * kvLanes
}

// integerBytes returns the size of the integers of one head in one page.
func (f KVFormat) integerBytes(headDim int) int {
	if f == KVQ4 {
		return KVPage * f.KVColumns(headDim) / 2
	}
	return KVPage * f.KVColumns(headDim)
}

// ValueBytes returns the size of the values of one head in one page.
func (f KVFormat) ValueBytes(headDim int) int {
	if f == KVF16 {
		return KVPage * headDim * 2
	}
	return f.integerBytes(headDim) + f.KVColumns(headDim)/kvBlock*KVPage*2
}

// KeyBytes returns the size of the keys of one head in one page.
func (f KVFormat) KeyBytes(headDim int) int {
	if f == KVF16 {
		return f.ValueBytes(headDim)
	}
	return f.ValueBytes(headDim) + 4*f.KVColumns(headDim)
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

// FirstKey prepares an empty block of keys in f, Q8 or Q4, for the key of position 0, and those that follow.
func (f KVFormat) FirstKey(block []byte, key []float32) {
	mustLen("key bytes", len(block), f.KeyBytes(len(key)))
	first := block[f.ValueBytes(len(key)):]
	clear(first)
	for k, x := range key {
		binary.LittleEndian.PutUint32(first[4*k:], math.Float32bits(x))
	}
}

// KeyDifference sets dst to what a block of keys in f, Q8 or Q4, keeps of key: its difference to the first key.
func (f KVFormat) KeyDifference(dst []float32, block []byte, key []float32) {
	mustLen("differences", len(dst), len(key))
	mustLen("key bytes", len(block), f.KeyBytes(len(key)))
	first := block[f.ValueBytes(len(key)):]
	for k, x := range key {
		dst[k] = x - f32At(first, 4*k)
	}
}

// StoreKey stores the key of position pos of a page, the blocks of acts (KVColumns/32) of its KeyDifference, in a block of
// keys in f: in Q8 the integers as they are, in Q4 as fourBits makes them. The scale is rounded to binary16, which moves a
// value by less than 0.1 of its own rounding.
func (f KVFormat) StoreKey(block, acts []byte, pos int) {
	all := ActsOf(acts)
	columns := len(all) * kvBlock
	mustLen("key bytes", len(block), f.KeyBytes(columns))
	four := pos / kvLanes * columns / kvDepth // of the panel's first columns
	for b := range all {
		var four4 [kvBlock]byte
		scale := all[b].D
		if f == KVQ4 {
			scale = fourBits(&four4, &all[b])
		}
		for k := 0; k < kvBlock; k += 2 * kvDepth {
			at := ((four+(b*kvBlock+k)/kvDepth)*kvLanes + pos%kvLanes) * kvDepth
			if f == KVQ4 {
				low, high := binary.LittleEndian.Uint32(four4[k:]), binary.LittleEndian.Uint32(four4[k+kvDepth:])
				binary.LittleEndian.PutUint32(block[(at-pos%kvLanes*kvDepth)/2+pos%kvLanes*kvDepth:], low|high<<4)
				continue
			}
			for i, q := range all[b].Q[k : k+2*kvDepth] {
				block[at+i/kvDepth*kvLanes*kvDepth+i%kvDepth] = byte(q) + 128
			}
		}
		f.putScale(block, columns, b, pos, scale)
	}
}

// StoreValue stores the value of position pos, the blocks of acts, in a block of values, as StoreKey stores a difference.
func (f KVFormat) StoreValue(block, acts []byte, pos int) {
	all := ActsOf(acts)
	columns := len(all) * kvBlock
	mustLen("value bytes", len(block), f.ValueBytes(columns))
	for b := range all {
		// 16 columns, and their other half a panel further, each with its fours of positions.
		const panel = KVPage * kvLanes
		at := 2*b*panel + pos/kvDepth*kvLanes*kvDepth + pos%kvDepth
		if f == KVQ8 {
			for k, q := range all[b].Q {
				block[at+k/kvLanes*panel+k%kvLanes*kvDepth] = byte(q) + 128
			}
			f.putScale(block, columns, b, pos, all[b].D)
			continue
		}
		var integers [kvBlock]byte
		f.putScale(block, columns, b, pos, fourBits(&integers, &all[b]))
		at = b*panel + pos/(2*kvDepth)*kvLanes*kvDepth + pos%kvDepth
		shift := pos / kvDepth % 2 * 4
		for k, q := range integers {
			p := &block[at+k/kvLanes*panel/2+k%kvLanes*kvDepth]
			*p = *p&^(15<<shift) | q<<shift
		}
	}
}

// putScale stores the scale of block b of position pos.
func (f KVFormat) putScale(block []byte, columns, b, pos int, scale float32) {
	binary.LittleEndian.PutUint16(block[f.integerBytes(columns)+(b*KVPage+pos)*2:], F32ToF16(scale))
}

// fourBits turns the integers of a block into such of 4 bits, plus 8, and returns their scale: that of the value with the
// largest magnitude as -8, so that all of [-8, 7] is used (as in the weight format Q4_0, ggml-quants.c,
// quantize_row_q4_0_ref). Rounding twice, to 8 bits before, moves few values.
func fourBits(dst *[kvBlock]byte, a *Act) (scale float32) {
	sign := int32(1)
	for _, q := range a.Q {
		if q == -127 || q == 127 {
			sign = -int32(q) / 127
			break
		}
	}
	for k, q := range a.Q {
		// round(q*8/127), away from zero upwards, as an unsigned division: 2*127*16 makes it positive.
		n := (uint32(sign*int32(q)*16+127+2*127*16) / (2 * 127)) - 16
		dst[k] = byte(min(int32(n)+8, 15))
	}
	return float32(sign) * a.D * (127.0 / 8)
}

// integer returns the integer of column k, minus its offset, of position pos in a block of keys or values.
func (f KVFormat) integer(block []byte, keys bool, columns, pos, k int) int32 {
	four, lane, at := k/kvLanes*KVPage/kvDepth+pos/kvDepth, k%kvLanes, pos%kvDepth
	if keys {
		four, lane, at = (pos/kvLanes*columns+k)/kvDepth, pos%kvLanes, k%kvDepth
	}
	if f == KVQ4 {
		return int32(block[(four/2*kvLanes+lane)*kvDepth+at]>>(four%2*4)&15) - 8
	}
	return int32(block[(four*kvLanes+lane)*kvDepth+at]) - 128
}

// Scales returns the scales of a block of values in f, Q8 or Q4: (columns/32, 64) binary16.
func (f KVFormat) Scales(block []byte, columns int) []byte {
	return block[f.integerBytes(columns):f.ValueBytes(columns)]
}

// scale returns the scale of block b of position pos.
func (f KVFormat) scale(block []byte, columns, b, pos int) float32 {
	return f16At(block, f.integerBytes(columns)+(b*KVPage+pos)*2)
}

// f32At reads the little-endian float32 at src[i].
func f32At(src []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(src[i:]))
}

// ValueRow returns the place of the value of position pos in a block of F16 values: headDim binary16 values.
func ValueRow(block []byte, pos int) []byte {
	size := len(block) / KVPage
	return block[pos*size : (pos+1)*size : (pos+1)*size]
}
