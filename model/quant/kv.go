package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// KVPage is the number of positions of one page of keys and values: 64 positions are 0.7 to 1.4 MiB for a model of 30
// layers with 192 key columns, small against a context, and two tiles of 64 by 64 float32 still fit a first-level cache.
const KVPage = 64

// kvLanes is the number of positions or columns of a panel, kvDepth the number of values of a lane that lie side by side, as
// many as an integer product adds up, and kvBlock and kvMostBlock how many columns share a scale: see KVBlock.
const (
	kvLanes     = 16
	kvDepth     = 4
	kvBlock     = 32
	kvMostBlock = 64
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
// scale for a block of columns of a position, KVBlock; the scales, (headDim/KVBlock, 64), follow.
//
// Keys have a few columns that are large and nearly the same in all positions (Liu et al. 2024, arXiv 2402.02750), whose
// scale would be too coarse for the others. Against both: Q8 and Q4 keep keys turned (KeyTurn), which spreads a large column
// over its whole block, and turn the queries as well, so that no product changes; and they keep differences to the first
// key of the page, which is itself kept after the scales, (headDim) little-endian float32. A turned key is
// fma(integer, scale, first key). Q4 keeps values turned too (ValueTurn), and the results are turned back.
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

// KVBlock returns the number of columns of a head that share a scale in Q8 and Q4: 64 where the columns are whole blocks of
// that, 32 otherwise. What is turned is turned within these blocks.
func (f KVFormat) KVBlock(headDim int) int {
	if f.KVColumns(headDim)%kvMostBlock == 0 {
		return kvMostBlock
	}
	return kvBlock
}

// kvTurn is the factor of what is kept turned: the length of a block stays about what it was, and the factor is exact.
const kvTurn = 1.0 / 8

// KeyTurn returns the factors with which Hadamard turns keys before they are stored in f, Q8 or Q4, and queries: the
// products of both are those of before.
func (f KVFormat) KeyTurn(headDim int) (keys, queries float32) {
	return kvTurn, 1 / (kvTurn * float32(f.KVBlock(headDim)))
}

// ValueTurn is KeyTurn for values and results, and reports whether f turns those: with 8 bits it makes no difference.
func (f KVFormat) ValueTurn(headDim int) (values, results float32, turned bool) {
	values, results = f.KeyTurn(headDim)
	return values, results, f == KVQ4
}

// KVWidth is the row length of results for values in format f: KVColumns rounded up to whole vectors of 16.
func (f KVFormat) KVWidth(headDim int) int {
	return (f.KVColumns(headDim) + kvLanes - 1) / kvLanes * kvLanes
}

// integerBytes returns the size of the integers of one head in one page.
func (f KVFormat) integerBytes(headDim int) int {
	return KVPage * f.KVColumns(headDim) * f.bits() / 8
}

// ValueBytes returns the size of the values of one head in one page.
func (f KVFormat) ValueBytes(headDim int) int {
	if f == KVF16 {
		return KVPage * headDim * 2
	}
	return f.integerBytes(headDim) + f.KVColumns(headDim)/f.KVBlock(headDim)*KVPage*2
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

// FirstKey prepares an empty block of keys in f, Q8 or Q4, for the turned key of position 0, (KVColumns), and those that follow.
func (f KVFormat) FirstKey(block []byte, key []float32) {
	mustLen("key bytes", len(block), f.KeyBytes(len(key)))
	first := block[f.ValueBytes(len(key)):]
	for k, x := range key {
		binary.LittleEndian.PutUint32(first[4*k:], math.Float32bits(x))
	}
}

// KeyDifference turns a turned key, (KVColumns), into what a block of keys in f, Q8 or Q4, keeps of it: its difference to the
// first key.
func (f KVFormat) KeyDifference(key []float32, block []byte) {
	mustLen("key bytes", len(block), f.KeyBytes(len(key)))
	first := block[f.ValueBytes(len(key)):]
	for k := range key {
		key[k] -= f32At(first, 4*k)
	}
}

// StoreKey stores the key of position pos of a page, what QuantizeKV makes of its KeyDifference: the integers, (KVColumns)
// signed bytes, which Q4 overwrites, and the scales. In Q8 the integers are kept as they are, in Q4 as fourBits makes
// them. A scale is rounded to binary16, which moves a value by less than 0.1 of its own rounding.
func (f KVFormat) StoreKey(block, integers []byte, scale []float32, pos int) {
	columns := len(integers)
	mustLen("key bytes", len(block), f.KeyBytes(columns))
	f.putScales(block, integers, scale, pos)
	// Fours of adjacent columns are 16 lanes apart; in Q4 two of them share their bytes.
	const lanes = kvLanes * kvDepth
	lane := block[pos/kvLanes*columns*kvLanes*f.bits()/8+pos%kvLanes*kvDepth:]
	four := func(i int) uint32 { return binary.LittleEndian.Uint32(integers[i*kvDepth:]) }
	for i := range columns / kvDepth * f.bits() / 8 {
		if f == KVQ4 {
			binary.LittleEndian.PutUint32(lane[i*lanes:], four(2*i)|four(2*i+1)<<4)
		} else {
			binary.LittleEndian.PutUint32(lane[i*lanes:], four(i)^0x80808080)
		}
	}
}

// StoreValue stores the value of position pos, or what ValueTurn makes of it, as StoreKey stores a difference.
func (f KVFormat) StoreValue(block, integers []byte, scale []float32, pos int) {
	columns := len(integers)
	mustLen("value bytes", len(block), f.ValueBytes(columns))
	f.putScales(block, integers, scale, pos)
	const lanes = kvLanes * kvDepth
	size := KVPage * kvLanes * f.bits() / 8
	for ; len(integers) > 0; integers, block = integers[kvLanes:], block[size:] {
		if f == KVQ8 {
			four := block[pos/kvDepth*lanes:][:lanes]
			for k, q := range integers[:kvLanes] {
				four[k*kvDepth+pos%kvDepth] = q ^ 0x80
			}
			continue
		}
		four, shift := block[pos/(2*kvDepth)*lanes:][:lanes], pos/kvDepth%2*4
		for k, q := range integers[:kvLanes] {
			p := &four[k*kvDepth+pos%kvDepth]
			*p = *p&^(15<<shift) | q<<shift
		}
	}
}

// putScales stores the scales of position pos. For Q4 it makes the integers such of 4 bits, plus 8.
func (f KVFormat) putScales(block, integers []byte, scale []float32, pos int) {
	columns, size := len(integers), f.KVBlock(len(integers))
	mustAtLeast("scales", len(scale), columns/size)
	for b := range columns / size {
		d := scale[b]
		if f == KVQ4 {
			d = fourBits(integers[b*size:][:size], d)
		}
		binary.LittleEndian.PutUint16(block[f.integerBytes(columns)+(b*KVPage+pos)*2:], F32ToF16(d))
	}
}

// bits is the size of an integer of f, Q8 or Q4.
func (f KVFormat) bits() int {
	if f == KVQ4 {
		return 4
	}
	return 8
}

// fourBits turns the signed bytes of a block with a scale into integers of 4 bits, plus 8, and returns their scale: that of the
// value with the largest magnitude as -8, so that all of [-8, 7] is used (as in the weight format Q4_0, ggml-quants.c,
// quantize_row_q4_0_ref). Rounding twice, to 8 bits before, moves few values.
func fourBits(integers []byte, scale float32) float32 {
	sign := int32(1)
	for _, b := range integers {
		if q := int32(int8(b)); q == -127 || q == 127 {
			sign = -q / 127
			break
		}
	}
	for k, b := range integers {
		// round(q*8/127), away from zero upwards, as an unsigned division: 2*127*16 makes it positive.
		n := (uint32(sign*int32(int8(b))*16+127+2*127*16) / (2 * 127)) - 16
		integers[k] = byte(min(int32(n)+8, 15))
	}
	return float32(sign) * scale * (127.0 / 8)
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

// Scales returns the scales of a block of values in f, Q8 or Q4: (columns/KVBlock, 64) binary16.
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
