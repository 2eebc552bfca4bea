//go:build !purego

package kernels

import (
	"fmt"
	"math"
)

const (
	// rowLevels and rowLeast are those of quant.QuantizeRows.
	rowLevels = 127*256 + 127
	rowLeast  = 0x1p-100
	// sumRows and dotRows are the most rows of one panelSums, without and with SDOT, which keeps two planes of sums.
	sumRows, dotRows = 4, 3
)

// QuantizeRowsNEON is kernel.Attention.QuantizeRows for the products with plain NEON; scales, integers and sums are those of the
// reference.
func QuantizeRowsNEON(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int) {
	quantizeRows(0, dst, scale, sum, x, stride, factor, m, blocks, n, per)
}

// QuantizeRowsDotProd is QuantizeRowsNEON for the products with SDOT; it needs plain NEON only.
func QuantizeRowsDotProd(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int) {
	quantizeRows(1, dst, scale, sum, x, stride, factor, m, blocks, n, per)
}

func quantizeRows(planes int, dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int) {
	vectors := m * blocks
	must(m >= 1 && blocks >= 1, "rows and blocks, at least", min(m, blocks), 1)
	must(per >= kvLanes && per%kvLanes == 0, "values of a sum, in whole vectors of", per, kvLanes)
	must(n >= per && n%per == 0, "values of a vector, in whole sums of", n, per)
	must(stride >= n, "stride at least", stride, n)
	must(len(dst) >= 2*vectors*n, "integers at least", len(dst), 2*vectors*n)
	must(len(scale) >= vectors, "scales at least", len(scale), vectors)
	must(len(sum) >= vectors*(n/per), "sums at least", len(sum), vectors*(n/per))
	must(len(x) >= (m-1)*stride+n, "values at least", len(x), (m-1)*stride+n)
	if len(factor) > 0 {
		must(len(factor) >= 2*((blocks-1)*kvPage+n), "factors at least", len(factor), 2*((blocks-1)*kvPage+n))
	}
	raceWrite(dst[:2*vectors*n])
	raceWrite(scale[:vectors])
	raceRead(x[:(m-1)*stride+n])
	raceRead(factor)
	for v := range vectors {
		from := &x[v/blocks*stride]
		var by *byte
		if len(factor) > 0 {
			by = &factor[2*kvPage*(v%blocks)]
		}
		var levels float32
		scale[v], levels = rowScale(from, by, n, rowLevels)
		rowIntegersNEON(&dst[2*v*n], &sum[v*(n/per)], from, by, n, per, levels, planes)
	}
}

// rowScale returns the scale with which integers up to most stand for n values, as rowTopNEON takes them, and its inverse, levels:
// both zero if the largest magnitude is at most rowLeast, levels zero if it is no finite number.
func rowScale(x *float32, factor *byte, n int, most float32) (scale, levels float32) {
	top := math.Float32frombits(rowTopNEON(x, factor, n))
	switch {
	case top <= rowLeast:
		return 0, 0
	case top <= math.MaxFloat32:
		return top / most, most / top
	default:
		return top / most, 0
	}
}

// kvColumns returns how many columns share a scale, as quant.KVFormat.KVBlock has it.
func kvColumns(headDim int) int {
	if headDim%(2*kvBlock) == 0 {
		return 2 * kvBlock
	}
	return kvBlock
}

// checkIntegers panics unless a block in 8 or 4 bits, with more bytes behind its scales, fits; it returns the size of the integers and
// what to prefetch, the block itself where nothing lies ahead.
func checkIntegers(block, ahead []byte, bits, more, headDim, m, n int) (size int, far []byte) {
	must(headDim >= kvBlock && headDim%kvBlock == 0, "columns of a head, in whole blocks of", headDim, kvBlock)
	must(n >= 1 && n <= kvPage, "positions from 1 to", n, kvPage)
	must(m >= 1, "rows at least", m, 1)
	size = kvPage * headDim * bits / 8
	want := size + headDim/kvColumns(headDim)*kvPage*2 + more
	must(len(block) == want, "block bytes", len(block), want)
	must(len(ahead) == 0 || len(ahead) == want, "block ahead", len(ahead), want)
	raceRead(block)
	if len(ahead) == 0 {
		ahead = block
	}
	return size, ahead
}

// panelKind is a way to multiply panels: of fours in 8 or 4 bits, with SDOT or without.
type panelKind struct {
	bits int
	dot  bool
}

// rows is the most rows of one call of sums.
func (k panelKind) rows() int {
	if k.dot {
		return dotRows
	}
	return sumRows
}

// offset is by how much the integers of the cache that sums has multiplied were too large: half their range, for they are kept
// unsigned, but SDOT takes those of 8 bits as signed ones.
func (k panelKind) offset() int {
	if k.dot && k.bits == 8 {
		return 0
	}
	return 1 << (k.bits - 1)
}

// sums runs the sums for some rows, at least one, over a panel.
func (k panelKind) sums(rows int, sum *[sumRows * kvLanes]int32, src, ahead, q *byte, stride, eights int) {
	const withDot = 1 << 16
	which := k.bits<<8 | rows
	if k.dot {
		which |= withDot
	}
	switch which {
	case withDot | 8<<8 | 1:
		panelSumsQ8DotProd1(&sum[0], src, ahead, q, stride, eights)
	case withDot | 8<<8 | 2:
		panelSumsQ8DotProd2(&sum[0], src, ahead, q, stride, eights)
	case withDot | 8<<8 | 3:
		panelSumsQ8DotProd3(&sum[0], src, ahead, q, stride, eights)
	case withDot | 4<<8 | 1:
		panelSumsQ4DotProd1(&sum[0], src, ahead, q, stride, eights)
	case withDot | 4<<8 | 2:
		panelSumsQ4DotProd2(&sum[0], src, ahead, q, stride, eights)
	case withDot | 4<<8 | 3:
		panelSumsQ4DotProd3(&sum[0], src, ahead, q, stride, eights)
	case 8<<8 | 1:
		panelSumsQ8NEON1(&sum[0], src, ahead, q, stride, eights)
	case 8<<8 | 2:
		panelSumsQ8NEON2(&sum[0], src, ahead, q, stride, eights)
	case 8<<8 | 3:
		panelSumsQ8NEON3(&sum[0], src, ahead, q, stride, eights)
	case 8<<8 | 4:
		panelSumsQ8NEON4(&sum[0], src, ahead, q, stride, eights)
	case 4<<8 | 1:
		panelSumsQ4NEON1(&sum[0], src, ahead, q, stride, eights)
	case 4<<8 | 2:
		panelSumsQ4NEON2(&sum[0], src, ahead, q, stride, eights)
	case 4<<8 | 3:
		panelSumsQ4NEON3(&sum[0], src, ahead, q, stride, eights)
	case 4<<8 | 4:
		panelSumsQ4NEON4(&sum[0], src, ahead, q, stride, eights)
	default:
		panic(fmt.Sprintf("kernels: sums of %d rows in %d bits", rows, k.bits))
	}
}

// keyScores is kernel.KeyScores for keys in 8 or 4 bits.
func keyScores(k panelKind, scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	per := kvColumns(headDim)
	blocks := headDim / per
	size, far := checkIntegers(keys, ahead, k.bits, 4*headDim, headDim, m, n)
	must(len(scores) >= m*kvPage, "scores at least", len(scores), m*kvPage)
	must(len(q) >= 2*m*headDim, "integers of queries at least", len(q), 2*m*headDim)
	must(len(scale) >= m, "scales at least", len(scale), m)
	must(len(sum) >= m*blocks, "sums at least", len(sum), m*blocks)
	must(len(x) >= m*headDim, "queries at least", len(x), m*headDim)
	raceWrite(scores[:m*kvPage])
	raceRead(q[:2*m*headDim])
	raceRead(x[:m*headDim])
	firstScoresNEON(&scores[0], &x[0], &keys[size+2*blocks*kvPage], headDim, m)
	panel, part := kvLanes*headDim*k.bits/8, kvLanes*per*k.bits/8
	var d [sumRows * kvLanes]int32
	for p := range (n + 2*kvLanes - 1) / (2 * kvLanes) * 2 {
		for b := range blocks {
			at, scales := p*panel+b*part, size+2*(b*kvPage+p*kvLanes)
			for r := 0; r < m; r += k.rows() {
				rows := min(k.rows(), m-r)
				k.sums(rows, &d, &keys[at], &far[at], &q[2*(r*headDim+b*per)], 2*headDim, per/8)
				addScoresNEON(&scores[r*kvPage+p*kvLanes], &d[0], &keys[scales], &scale[r], &sum[r*blocks+b], 4*blocks, k.offset(), rows)
			}
		}
	}
}

// mixValues is kernel.MixValues for values in 8 or 4 bits.
func mixValues(k panelKind, out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	per := kvColumns(headDim)
	blocks := headDim / per
	_, far := checkIntegers(values, ahead, k.bits, 0, headDim, m, n)
	must(n%kvLanes == 0, "positions, in whole vectors of", n, kvLanes)
	must(len(out) >= m*headDim, "results at least", len(out), m*headDim)
	must(len(p) >= 2*m*blocks*n, "integers of weights at least", len(p), 2*m*blocks*n)
	must(len(scale) >= m*blocks, "scales at least", len(scale), m*blocks)
	must(len(sum) >= m*blocks, "sums at least", len(sum), m*blocks)
	must(len(keep) >= m, "factors at least", len(keep), m)
	raceWrite(out[:m*headDim])
	raceRead(p[:2*m*blocks*n])
	panel := kvLanes * kvPage * k.bits / 8
	var d [sumRows * kvLanes]int32
	for c := range headDim / kvLanes {
		b := c * kvLanes / per
		for r := 0; r < m; r += k.rows() {
			rows, v := min(k.rows(), m-r), r*blocks+b
			k.sums(rows, &d, &values[c*panel], &far[c*panel], &p[2*v*n], 2*blocks*n, n/8)
			addValuesNEON(&out[r*headDim+c*kvLanes], 4*headDim, &d[0], &keep[r], &scale[v], &sum[v], 4*blocks, k.offset(), rows)
		}
	}
}

// KeyScoresQ8NEON is kernel.KeyScores for Q8, with plain NEON.
func KeyScoresQ8NEON(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(panelKind{8, false}, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ8NEON is kernel.MixValues for Q8, with plain NEON.
func MixValuesQ8NEON(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(panelKind{8, false}, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// KeyScoresQ4NEON is kernel.KeyScores for Q4, with plain NEON.
func KeyScoresQ4NEON(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(panelKind{4, false}, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ4NEON is kernel.MixValues for Q4, with plain NEON.
func MixValuesQ4NEON(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(panelKind{4, false}, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// KeyScoresQ8DotProd is kernel.KeyScores for Q8, with SDOT.
func KeyScoresQ8DotProd(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(panelKind{8, true}, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ8DotProd is kernel.MixValues for Q8, with SDOT.
func MixValuesQ8DotProd(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(panelKind{8, true}, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// KeyScoresQ4DotProd is kernel.KeyScores for Q4, with SDOT.
func KeyScoresQ4DotProd(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(panelKind{4, true}, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ4DotProd is kernel.MixValues for Q4, with SDOT.
func MixValuesQ4DotProd(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(panelKind{4, true}, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

//go:noescape
func panelSumsQ8NEON1(sum *int32, src, ahead, q *byte, stride, eights int)

//go:noescape
func panelSumsQ8NEON2(sum *int32, src, ahead, q *byte, stride, eights int)

//go:noescape
func panelSumsQ8NEON3(sum *int32, src, ahead, q *byte, stride, eights int)

//go:noescape
func panelSumsQ8NEON4(sum *int32, src, ahead, q *byte, stride, eights int)

//go:noescape
func panelSumsQ4NEON1(sum *int32, src, ahead, q *byte, stride, eights int)

//go:noescape
func panelSumsQ4NEON2(sum *int32, src, ahead, q *byte, stride, eights int)

//go:noescape
func panelSumsQ4NEON3(sum *int32, src, ahead, q *byte, stride, eights int)

//go:noescape
func panelSumsQ4NEON4(sum *int32, src, ahead, q *byte, stride, eights int)

//go:noescape
func addScoresNEON(scores *float32, d *int32, scales *byte, scale *float32, sum *int32, stride, offset, m int)

//go:noescape
func addValuesNEON(out *float32, outStride int, d *int32, keep, scale *float32, sum *int32, stride, offset, m int)

//go:noescape
func firstScoresNEON(scores, x *float32, first *byte, dim, m int)

//go:noescape
func rowTopNEON(x *float32, factor *byte, n int) uint32

//go:noescape
func rowIntegersNEON(dst *byte, sum *int32, x *float32, factor *byte, n, per int, levels float32, planes int)
