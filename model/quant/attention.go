package quant

import (
	"fmt"
	"math"
)

// The steps of attention over one page, for some query vectors of heads that share keys and values. A query is multiplied
// by log2(e)/sqrt(headDim) beforehand, so scores are exponents of two. With the maximum and the sum so far kept for each
// query (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135) no row of all scores is needed:
//
//	KeyTile, TileProduct: scores = queries . keys
//	SoftmaxTile:          weights = 2^(scores - maximum), and how far the maximum has moved
//	ValueTile, TileProduct: output = moved*output + weights . values
//
// Each number of a query is computed from its own row alone and in the order stated here, whatever the number of rows, so a
// query's result does not depend on what shares its call.

// KVWidth is the row length of a tile of values: headDim rounded up to whole vectors of 16.
func KVWidth(headDim int) int { return (headDim + kvLanes - 1) / kvLanes * kvLanes }

// KeyTile writes the keys of a block to dst (headDim, 64) as float32, with one rounding for Q8; of the 64 positions those of the panels of
// 16 that hold the first n, n in [1, 64]. It panics if a length does not fit.
func KeyTile(f KVFormat, dst []float32, block []byte, headDim, n int) {
	checkTile(f, len(dst), headDim*KVPage, block, f.KeyBytes(headDim), headDim, n)
	for pos := range (n + kvLanes - 1) / kvLanes * kvLanes {
		for k := range headDim {
			at := (pos/kvLanes*headDim+k)*kvLanes + pos%kvLanes
			dst[k*KVPage+pos] = f.value(block, at, headDim, pos, k)
			if f == KVQ8 {
				dst[k*KVPage+pos] += f32At(block, KVQ8.ValueBytes(headDim)+4*k)
			}
		}
	}
}

// ValueTile writes the values of the first n positions of a block to dst (64, KVWidth(headDim)) as float32, exactly; n in
// [1, 64]. Columns from headDim on stay as they are. It panics if a length does not fit.
func ValueTile(f KVFormat, dst []float32, block []byte, headDim, n int) {
	width := KVWidth(headDim)
	checkTile(f, len(dst), KVPage*width, block, f.ValueBytes(headDim), headDim, n)
	for pos := range n {
		for k := range headDim {
			dst[pos*width+k] = f.value(block, pos*headDim+k, headDim, pos, k)
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

// value returns the element number at of a block, which belongs to column k of position pos.
func (f KVFormat) value(block []byte, at, headDim, pos, k int) float32 {
	if f == KVF16 {
		return f16At(block, 2*at)
	}
	return float32(int8(block[at])) * f16At(block, KVPage*headDim+(k/kvBlock*KVPage+pos)*2)
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
