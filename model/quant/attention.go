package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The steps of attention over one page, for some query vectors of heads that share keys and values. A query is multiplied
// by log2(e)/sqrt(headDim) beforehand, so scores are exponents of two. With the maximum and the sum so far kept for each
// query (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135) no row of all scores is needed:
//
//	SoftmaxTile: weights = 2^(scores - maximum), and how far the maximum has moved
//
// stands between scores = queries . keys and output = moved*output + weights . values. For F16, keys and values are unpacked
// to float32 (KeyTile, ValueTile) and multiplied by TileProduct. For Q8 and Q4, queries and weights become integers of 16
// bits (QuantizeRows), and their products with the integers of the cache are exact (KeyScores, MixValues).
//
// Each number of a query is computed from its own row alone and in the order stated here, whatever the number of rows, so a
// query's result does not depend on what shares its call.

// KeyTile writes the keys of a block to dst (KVColumns, 64) as float32, turned and with one rounding for Q8 and Q4; of the 64 positions
// those of the panels of 16 that hold the first n, n in [1, 64]. It panics if a length does not fit.
func KeyTile(f KVFormat, dst []float32, block []byte, headDim, n int) {
	columns := f.KVColumns(headDim)
	checkTile(f, len(dst), columns*KVPage, block, f.KeyBytes(headDim), headDim, n)
	for pos := range (n + kvLanes - 1) / kvLanes * kvLanes {
		for k := range columns {
			at := k*KVPage + pos
			if f == KVF16 {
				dst[at] = f16At(block, 2*((pos/kvLanes*headDim+k)*kvLanes+pos%kvLanes))
				continue
			}
			difference := float32(f.integer(block, true, columns, pos, k)) * f.scale(block, columns, k/f.KVBlock(columns), pos)
			dst[at] = difference + f32At(block, f.ValueBytes(headDim)+4*k)
		}
	}
}

// ValueTile writes the values of the first n positions of a block to dst (64, KVWidth) as float32, exactly, turned for Q4; n in [1, 64].
// Columns from KVColumns on stay as they are. It panics if a length does not fit.
func ValueTile(f KVFormat, dst []float32, block []byte, headDim, n int) {
	columns, width := f.KVColumns(headDim), f.KVWidth(headDim)
	checkTile(f, len(dst), KVPage*width, block, f.ValueBytes(headDim), headDim, n)
	for pos := range n {
		for k := range columns {
			at := pos*width + k
			if f == KVF16 {
				dst[at] = f16At(block, 2*(pos*headDim+k))
				continue
			}
			dst[at] = float32(f.integer(block, false, columns, pos, k)) * f.scale(block, columns, k/f.KVBlock(columns), pos)
		}
	}
}

func checkTile(f KVFormat, have, want int, block []byte, size, headDim, n int) {
	if err := f.Check(headDim); err != nil {
		panic("quant: " + err.Error())
	}
	mustLen("tile", have, want)
	mustLen("block bytes", len(block), size)
	if n < 1 || n > KVPage {
		panic(fmt.Sprintf("quant: %d positions of a page", n))
	}
}

// TileProduct computes c[r*cStride+j] = scale[r]*c[r*cStride+j] + sum over i of a[r*aStride+i]*b[i*bStride+j], for r < m,
// i < k, j < cols; without scale (nil) the sum alone. The sum is added to the first term by one fused multiply-add for
// each i in increasing order; here they round to float64 in between. cols is a multiple of 16. It panics if a length does
// not fit.
func TileProduct(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32) {
	if m < 1 || k < 1 || cols < 1 || cols%kvLanes != 0 || cStride < cols || bStride < cols || aStride < k {
		panic(fmt.Sprintf("quant: tile product of %d rows, depth %d, %d columns, strides %d, %d, %d", m, k, cols, cStride, aStride, bStride))
	}
	mustAtLeast("results", len(c), (m-1)*cStride+cols)
	mustAtLeast("left tile", len(a), (m-1)*aStride+k)
	mustAtLeast("right tile", len(b), (k-1)*bStride+cols)
	if scale != nil {
		mustAtLeast("scales", len(scale), m)
	}
	for r := range m {
		row := c[r*cStride:][:cols]
		if scale == nil {
			clear(row)
		} else {
			for j := range row {
				row[j] *= scale[r]
			}
		}
		for i := range k {
			w := a[r*aStride+i]
			for j, v := range b[i*bStride:][:cols] {
				row[j] = fma(w, v, row[j])
			}
		}
	}
}

// SoftmaxTile turns m rows of scores (m, 64), of which the first cols are looked at, into weights relative to the maximum
// of each query so far. cols is a multiple of 16, at most 64; a score of negative infinity is for a position that the query
// does not see. For each row r:
//
//	now = max(top[r], scores of the row);  scale[r] = 2^(top[r]-now);  top[r] = now
//	score = 2^(score-now), zero below 2^-126
//	sum[r*16+l] = fma(scale[r], sum[r*16+l], weights l, l+16, l+32, l+48 in this order)
//
// top starts at negative infinity, sum (m, 16) at zero. It panics if a length does not fit.
func SoftmaxTile(scores []float32, m, cols int, top, sum, scale []float32) {
	if m < 1 || cols < 1 || cols > KVPage || cols%kvLanes != 0 {
		panic(fmt.Sprintf("quant: softmax of %d rows and %d columns", m, cols))
	}
	mustAtLeast("scores", len(scores), m*KVPage)
	mustAtLeast("maxima", len(top), m)
	mustAtLeast("sums", len(sum), m*kvLanes)
	mustAtLeast("scales", len(scale), m)
	for r := range m {
		row, sums := scores[r*KVPage:][:cols], sum[r*kvLanes:][:kvLanes]
		now := top[r]
		for _, f := range row {
			now = max(now, f)
		}
		scale[r] = exp2(top[r] - now)
		top[r] = now
		for l := range sums {
			sums[l] *= scale[r]
		}
		for j, f := range row {
			row[j] = exp2(f - now)
			sums[j%kvLanes] += row[j]
		}
	}
}

// FoldRows computes dst[r*width+j] = keep[r]*dst[r*width+j] + add[r]*src[r*width+j] for r < m, j < width, with the second
// product rounded and the sum fused, here by way of float64: it puts the parts of a long context together. width is a
// multiple of 16. It panics if a length does not fit.
func FoldRows(dst, src []float32, width, m int, keep, add []float32) {
	if m < 1 || width < 1 || width%kvLanes != 0 {
		panic(fmt.Sprintf("quant: fold of %d rows of %d columns", m, width))
	}
	mustAtLeast("results", len(dst), m*width)
	mustAtLeast("rows to add", len(src), m*width)
	mustAtLeast("factors", min(len(keep), len(add)), m)
	for r := range m {
		for j := r * width; j < (r+1)*width; j++ {
			dst[j] = fma(keep[r], dst[j], float32(add[r]*src[j]))
		}
	}
}

// exp2 is 2^x, zero where that is no normal number.
func exp2(x float32) float32 {
	if x < -126 {
		return 0
	}
	return float32(math.Exp2(float64(x)))
}

// Rotate turns the adjacent pairs of each of some heads, x (heads, headDim), by the angles whose cosines and sines are
// given (Su et al. 2021, arXiv 2104.09864; GGUF's NORM order), and multiplies every column by scale; columns beyond
// 2*len(cos) are not turned. It panics if a length does not fit.
func Rotate(x []float32, heads, headDim int, cos, sin []float32, scale float32) {
	mustLen("heads", len(x), heads*headDim)
	mustLen("sines", len(sin), len(cos))
	mustAtLeast("columns", headDim, 2*len(cos))
	for h := range heads {
		head := x[h*headDim:][:headDim]
		for j, c := range cos {
			a, b := head[2*j], head[2*j+1]
			head[2*j] = (float32(a*c) - float32(b*sin[j])) * scale
			head[2*j+1] = (float32(a*sin[j]) + float32(b*c)) * scale
		}
		for j := 2 * len(cos); j < headDim; j++ {
			head[j] *= scale
		}
	}
}

// Hadamard multiplies each block of x, a power of two of values, with the Hadamard matrix of that order and then with scale, in
// place: twice is the block times its length times both scales, and it keeps products of vectors but for that factor. It
// spreads what is in one place over all (Ashkboos et al. 2024, arXiv 2404.00456). In steps of h = 1, 2, 4, ...,
// (a, b) h places apart become (a+b, a-b). It panics if the lengths do not fit.
func Hadamard(x []float32, block int, scale float32) {
	if block < 1 || block&(block-1) != 0 || len(x)%block != 0 {
		panic(fmt.Sprintf("quant: %d values in blocks of %d to turn", len(x), block))
	}
	for h := 1; h < block; h *= 2 {
		for i := 0; i < len(x); i += 2 * h {
			first, second := x[i:i+h], x[i+h:i+2*h]
			for j, a := range first {
				b := second[j]
				first[j], second[j] = a+b, a-b
			}
		}
	}
	for i := range x {
		x[i] *= scale
	}
}

// QuantizeKV turns blocks of x into signed bytes, dst, and a scale for each block: with top the largest magnitude of a block,
//
//	scale = top/127;  integer = round(x * (127/top)), to nearest even
//
// A block whose top is at most 2^-100 becomes zeros with scale zero; one with a NaN or an infinity gets a scale that is no
// finite number, and integers that mean nothing. block is a multiple of 32 and divides the length of x. It panics if a length
// does not fit.
func QuantizeKV(dst []byte, scale, x []float32, block int) {
	if block < kvBlock || block%kvBlock != 0 || len(x)%block != 0 {
		panic(fmt.Sprintf("quant: %d keys or values in blocks of %d", len(x), block))
	}
	mustAtLeast("integers", len(dst), len(x))
	mustAtLeast("scales", len(scale), len(x)/block)
	for b := range len(x) / block {
		part := x[b*block:][:block]
		var levels float32
		scale[b], levels = rowScale(part, kvLevels)
		for i, f := range part {
			dst[b*block+i] = byte(toLevel(f, levels))
		}
	}
}

const (
	// rowLevels is the largest magnitude of QuantizeRows: two planes of signed bytes hold it, 127*256 + 127.
	rowLevels = 127*256 + 127
	// kvLevels is the largest magnitude of QuantizeKV.
	kvLevels = 127
	// rowLeast is the largest magnitude that counts as none, so that the levels per unit stay finite.
	rowLeast = 0x1p-100
)

// QuantizeRows turns m rows of float32, x[r*stride+i], into integers of 16 bits, one vector for each of some blocks of each
// row: vector v = r*blocks + b has the n products x[r*stride+i]*factor[b*64+i], or plain x for no factor. With top the
// largest magnitude of a vector,
//
//	scale[v] = top/32639;  dst[v*n+i] = round(x*factor * (32639/top)), to nearest even
//	sum[v*(n/per)+s] = the sum of per integers from s*per on
//
// A vector whose top is at most 2^-100 becomes zeros with scale zero; one with a NaN or an infinity gets a scale that is no
// finite number. Products with an x of zero are zero whatever the factor. factor is little-endian binary16; n and per are
// multiples of 16, per divides n. Here dst has the integers in order, little endian; a kernel set may arrange them as its
// products like it. It panics if a length does not fit.
func QuantizeRows(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int) {
	checkRows(len(dst), len(scale), len(sum), len(x), stride, len(factor), m, blocks, n, per)
	row := make([]float32, n)
	for v := range m * blocks {
		r, b := v/blocks, v%blocks
		for i := range row {
			row[i] = x[r*stride+i]
			if len(factor) > 0 && row[i] != 0 {
				row[i] *= f16At(factor, 2*(b*KVPage+i))
			}
		}
		var levels float32
		scale[v], levels = rowScale(row, rowLevels)
		clear(sum[v*(n/per):][:n/per])
		for i, f := range row {
			q := toLevel(f, levels)
			binary.LittleEndian.PutUint16(dst[2*(v*n+i):], uint16(q))
			sum[v*(n/per)+i/per] += q
		}
	}
}

// rowScale returns the scale with which integers up to most stand for x, and its inverse, levels: both zero if the largest
// magnitude is at most rowLeast, levels zero if it is no finite number.
func rowScale(x []float32, most float32) (scale, levels float32) {
	var top uint32 // as integers, magnitudes have the order of their values
	for _, f := range x {
		top = max(top, math.Float32bits(f)&0x7fffffff)
	}
	largest := math.Float32frombits(top)
	switch {
	case largest <= rowLeast:
		return 0, 0
	case largest <= math.MaxFloat32:
		return largest / most, most / largest
	default:
		return largest / most, 0
	}
}

// toLevel is x times levels, to the nearest integer and ties to even; 0 for levels of 0, whatever x is.
func toLevel(x, levels float32) int32 {
	if levels == 0 {
		return 0
	}
	return int32(math.RoundToEven(float64(x * levels)))
}

func checkRows(dst, scale, sum, x, stride, factor, m, blocks, n, per int) {
	if m < 1 || blocks < 1 || n < kvLanes || per < kvLanes || n%per != 0 || per%kvLanes != 0 || stride < n {
		panic(fmt.Sprintf("quant: %d rows of %d vectors of %d values, sums of %d, stride %d", m, blocks, n, per, stride))
	}
	mustAtLeast("integers", dst, 2*m*blocks*n)
	mustAtLeast("scales", scale, m*blocks)
	mustAtLeast("sums", sum, m*blocks*(n/per))
	mustAtLeast("values", x, (m-1)*stride+n)
	if factor > 0 {
		mustAtLeast("factors", factor, 2*((blocks-1)*KVPage+n))
	}
}

// KeyScores computes the scores of m query vectors with the keys of a block in f, Q8 or Q4: scores (m, 64), of which those of
// the pairs of panels that hold the first n positions are computed; the others become x . first key. q, scale and sum are what
// QuantizeRows makes of the queries, one vector for each, with sums of 32; x (m, columns) are the queries themselves. With d
// the integer product of a block of 32 columns,
//
//	score = x . first key;  for each block: score = fma(d*scale, scale of the block, score)
//
// headDim is a multiple of 32. It panics if a length does not fit.
func KeyScores(f KVFormat, scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys []byte, headDim, m, n int) {
	checkIntegers(f, headDim, m, n)
	mustLen("key bytes", len(keys), f.KeyBytes(headDim))
	size := f.KVBlock(headDim)
	blocks := headDim / size
	mustAtLeast("scores", len(scores), m*KVPage)
	mustAtLeast("integers of queries", len(q), 2*m*headDim)
	mustAtLeast("scales", len(scale), m)
	mustAtLeast("sums", len(sum), m*blocks)
	mustAtLeast("queries", len(x), m*headDim)
	positions := (n + 2*kvLanes - 1) / (2 * kvLanes) * 2 * kvLanes
	integers := f.unpack(keys, true, headDim, positions)
	for r := range m {
		var base float32
		for k, v := range x[r*headDim:][:headDim] {
			base = fma(v, f32At(keys, f.ValueBytes(headDim)+4*k), base)
		}
		for pos := range KVPage {
			scores[r*KVPage+pos] = base
		}
		for pos := range positions {
			score := base
			for b := range blocks {
				var d int32
				for k, i := range integers[pos*headDim+b*size:][:size] {
					d += i16At(q, r*headDim+b*size+k) * i
				}
				score = fma(float32(d)*scale[r], f.scale(keys, headDim, b, pos), score)
			}
			scores[r*KVPage+pos] = score
		}
	}
}

// MixValues adds weighted values of a block in f, Q8 or Q4, to m rows of results: out (m, headDim). p, scale and sum are what
// QuantizeRows makes of the weights of n positions with the scales of the values as factors: one vector for each block of
// columns, KVBlock, with one sum. With d the integer product of a column,
//
//	out = fma(d, scale of the block of columns, keep*out)
//
// n is a multiple of 16, headDim one of 32. It panics if a length does not fit.
func MixValues(f KVFormat, out []float32, p []byte, scale []float32, sum []int32, keep []float32, values []byte, headDim, m, n int) {
	checkIntegers(f, headDim, m, n)
	mustLen("value bytes", len(values), f.ValueBytes(headDim))
	size := f.KVBlock(headDim)
	blocks := headDim / size
	mustAtLeast("results", len(out), m*headDim)
	mustAtLeast("integers of weights", len(p), 2*m*blocks*n)
	mustAtLeast("scales", len(scale), m*blocks)
	mustAtLeast("sums", len(sum), m*blocks)
	mustAtLeast("factors", len(keep), m)
	integers := f.unpack(values, false, headDim, n)
	for r := range m {
		for k := range headDim {
			var d int32
			v := r*blocks + k/size
			for pos := range n {
				d += i16At(p, v*n+pos) * integers[pos*headDim+k]
			}
			at := &out[r*headDim+k]
			*at = fma(float32(d), scale[v], float32(keep[r]**at))
		}
	}
}

// unpack returns the integers of some positions, (positions, columns), without their offset.
func (f KVFormat) unpack(block []byte, keys bool, columns, positions int) []int32 {
	all := make([]int32, 0, positions*columns)
	for pos := range positions {
		for k := range columns {
			all = append(all, f.integer(block, keys, columns, pos, k))
		}
	}
	return all
}

func checkIntegers(f KVFormat, headDim, m, n int) {
	if f != KVQ8 && f != KVQ4 || headDim < kvBlock || headDim%kvBlock != 0 || m < 1 || n < 1 || n > KVPage {
		panic(fmt.Sprintf("quant: attention in %v of %d rows, %d columns, %d positions", f, m, headDim, n))
	}
}

// i16At reads little-endian integer i of 16 bits.
func i16At(src []byte, i int) int32 { return int32(int16(binary.LittleEndian.Uint16(src[2*i:]))) }
