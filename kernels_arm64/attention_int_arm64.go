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
	// sumRows is the number of rows of one panelSums.
	sumRows = 4
)

// QuantizeRowsNEON is kernel.Attention.QuantizeRows for the products of this file; scales, integers and sums are those of the
// reference.
func QuantizeRowsNEON(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int) {
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
		top := math.Float32frombits(rowTopNEON(from, by, n))
		levels := rowLevels / top
		scale[v] = top / rowLevels
		switch {
		case top <= rowLeast:
			scale[v], levels = 0, 0
		case !(top <= math.MaxFloat32):
			levels = 0
		}
		rowIntegersNEON(&dst[2*v*n], &sum[v*(n/per)], from, by, n, per, levels)
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

// panelSums runs the sums for rows rows, 1 to 4, over a panel of fours in 8 or 4 bits.
func panelSums(bits, rows int, sum *[sumRows * kvLanes]int32, src, ahead, q *byte, stride, eights int) {
	switch bits<<8 | rows {
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
		panic(fmt.Sprintf("kernels: sums of %d rows in %d bits", rows, bits))
	}
}

// offset is what the integers of a cache have been moved by to be unsigned: half their range.
func offset(bits int) int { return 1 << (bits - 1) }

// keyScores is kernel.KeyScores for keys in 8 or 4 bits.
func keyScores(bits int, scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	per := kvColumns(headDim)
	blocks := headDim / per
	size, far := checkIntegers(keys, ahead, bits, 4*headDim, headDim, m, n)
	must(len(scores) >= m*kvPage, "scores at least", len(scores), m*kvPage)
	must(len(q) >= 2*m*headDim, "integers of queries at least", len(q), 2*m*headDim)
	must(len(scale) >= m, "scales at least", len(scale), m)
	must(len(sum) >= m*blocks, "sums at least", len(sum), m*blocks)
	must(len(x) >= m*headDim, "queries at least", len(x), m*headDim)
	raceWrite(scores[:m*kvPage])
	raceRead(q[:2*m*headDim])
	raceRead(x[:m*headDim])
	firstScoresNEON(&scores[0], &x[0], &keys[size+2*blocks*kvPage], headDim, m)
	panel, part := kvLanes*headDim*bits/8, kvLanes*per*bits/8
	var d [sumRows * kvLanes]int32
	for p := range (n + 2*kvLanes - 1) / (2 * kvLanes) * 2 {
		for b := range blocks {
			at, scales := p*panel+b*part, size+2*(b*kvPage+p*kvLanes)
			for r := 0; r < m; r += sumRows {
				rows := min(sumRows, m-r)
				panelSums(bits, rows, &d, &keys[at], &far[at], &q[2*(r*headDim+b*per)], 2*headDim, per/8)
				addScoresNEON(&scores[r*kvPage+p*kvLanes], &d[0], &keys[scales], &scale[r], &sum[r*blocks+b], 4*blocks, offset(bits), rows)
			}
		}
	}
}

// mixValues is kernel.MixValues for values in 8 or 4 bits.
func mixValues(bits int, out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	per := kvColumns(headDim)
	blocks := headDim / per
	_, far := checkIntegers(values, ahead, bits, 0, headDim, m, n)
	must(n%kvLanes == 0, "positions, in whole vectors of", n, kvLanes)
	must(len(out) >= m*headDim, "results at least", len(out), m*headDim)
	must(len(p) >= 2*m*blocks*n, "integers of weights at least", len(p), 2*m*blocks*n)
	must(len(scale) >= m*blocks, "scales at least", len(scale), m*blocks)
	must(len(sum) >= m*blocks, "sums at least", len(sum), m*blocks)
	must(len(keep) >= m, "factors at least", len(keep), m)
	raceWrite(out[:m*headDim])
	raceRead(p[:2*m*blocks*n])
	panel := kvLanes * kvPage * bits / 8
	var d [sumRows * kvLanes]int32
	for c := range headDim / kvLanes {
		b := c * kvLanes / per
		for r := 0; r < m; r += sumRows {
			rows, v := min(sumRows, m-r), r*blocks+b
			panelSums(bits, rows, &d, &values[c*panel], &far[c*panel], &p[2*v*n], 2*blocks*n, n/8)
			addValuesNEON(&out[r*headDim+c*kvLanes], 4*headDim, &d[0], &keep[r], &scale[v], &sum[v], 4*blocks, offset(bits), rows)
		}
	}
}

// KeyScoresQ8NEON is kernel.KeyScores for Q8.
func KeyScoresQ8NEON(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(8, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// KeyScoresQ4NEON is kernel.KeyScores for Q4.
func KeyScoresQ4NEON(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(4, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ8NEON is kernel.MixValues for Q8.
func MixValuesQ8NEON(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(8, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// MixValuesQ4NEON is kernel.MixValues for Q4.
func MixValuesQ4NEON(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(4, out, p, scale, sum, keep, values, ahead, headDim, m, n)
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
func rowIntegersNEON(dst *byte, sum *int32, x *float32, factor *byte, n, per int, levels float32)
