//go:build !purego

package kernels

import "unsafe"

// rowValues bounds one call of a quantiser of rows: under 100 us at 1 value a nanosecond.
const rowValues = 1 << 16

// rowsCall is the first rows of a quantiser of rows, which take as many values as one call may.
type rowsCall struct {
	dst            []byte
	scale          []float32
	sum            []int32
	x              []float32
	stride, blocks int
	n, per         int
}

// checkRows panics unless the slices hold m rows, and tells the race detector.
func checkRows(c *rowsCall, factor []byte, m int) {
	vectors := m * c.blocks
	must(m >= 1 && c.blocks >= 1, "rows and blocks, at least", min(m, c.blocks), 1)
	must(c.per >= kvLanes && c.per%kvLanes == 0, "values of a sum, in whole vectors of", c.per, kvLanes)
	must(c.n >= c.per && c.n%c.per == 0, "values of a vector, in whole sums of", c.n, c.per)
	must(c.stride >= c.n, "stride at least", c.stride, c.n)
	must(len(c.dst) >= 2*vectors*c.n, "integers at least", len(c.dst), 2*vectors*c.n)
	must(len(c.scale) >= vectors, "scales at least", len(c.scale), vectors)
	must(len(c.sum) >= vectors*(c.n/c.per), "sums at least", len(c.sum), vectors*(c.n/c.per))
	must(len(c.x) >= (m-1)*c.stride+c.n, "values at least", len(c.x), (m-1)*c.stride+c.n)
	if len(factor) > 0 {
		must(len(factor) >= 2*((c.blocks-1)*kvPage+c.n), "factors at least", len(factor), 2*((c.blocks-1)*kvPage+c.n))
	} else {
		must(c.blocks == 1, "blocks without factors", c.blocks, 1)
	}
	raceWrite(c.dst[:2*vectors*c.n])
	raceWrite(c.scale[:vectors])
	raceRead(c.x[:(m-1)*c.stride+c.n])
	raceRead(factor)
}

// some is the number of rows of one call.
func (c *rowsCall) some() int { return max(1, rowValues/(c.blocks*c.n)) }

// after goes on behind some rows.
func (c *rowsCall) after(rows int) {
	vectors := rows * c.blocks
	c.dst, c.scale, c.sum, c.x = c.dst[2*vectors*c.n:], c.scale[vectors:], c.sum[vectors*(c.n/c.per):], c.x[rows*c.stride:]
}

// eachRows checks the arguments of a quantiser of m rows and calls run for as many rows at a time as one call may take.
func (c rowsCall) eachRows(factor []byte, m int, run func(c rowsCall, rows int)) {
	checkRows(&c, factor, m)
	for {
		rows := min(m, c.some())
		run(c, rows)
		if m -= rows; m == 0 {
			return
		}
		c.after(rows)
	}
}

// QuantizeRowsAVX2 is kernel.Attention.QuantizeRows for the products with VPMADDWD; its integers are those of the reference.
func QuantizeRowsAVX2(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int) {
	rowsCall{dst, scale, sum, x, stride, blocks, n, per}.eachRows(factor, m, func(c rowsCall, rows int) {
		if len(factor) > 0 {
			quantizeWeightsAVX2(&c.dst[0], &c.scale[0], &c.sum[0], &c.x[0], stride, &factor[0], rows, blocks, n, per)
		} else {
			quantizeRowsAVX2(&c.dst[0], &c.scale[0], &c.sum[0], &c.x[0], stride, rows, blocks, n, per)
		}
	})
}

// QuantizeRowsVNNI is QuantizeRowsAVX2 for the products with VPDPBUSD. It needs AVX2 only.
func QuantizeRowsVNNI(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int) {
	rowsCall{dst, scale, sum, x, stride, blocks, n, per}.eachRows(factor, m, func(c rowsCall, rows int) {
		if len(factor) > 0 {
			quantizeWeightsVNNI(&c.dst[0], &c.scale[0], &c.sum[0], &c.x[0], stride, &factor[0], rows, blocks, n, per)
		} else {
			quantizeRowsVNNI(&c.dst[0], &c.scale[0], &c.sum[0], &c.x[0], stride, rows, blocks, n, per)
		}
	})
}

// QuantizeRowsAVX512 is QuantizeRowsVNNI for CPUs with AVX-512.
func QuantizeRowsAVX512(dst []byte, scale []float32, sum []int32, x []float32, stride int, factor []byte, m, blocks, n, per int) {
	if len(factor) == 0 || n != kvPage || per != n {
		QuantizeRowsVNNI(dst, scale, sum, x, stride, factor, m, blocks, n, per)
		return
	}
	rowsCall{dst, scale, sum, x, stride, blocks, n, per}.eachRows(factor, m, func(c rowsCall, rows int) {
		quantizeWholeVNNI(&c.dst[0], &c.scale[0], &c.sum[0], &c.x[0], stride, &factor[0], rows, blocks)
	})
}

// integerMACs bounds one call of a product of integers, as tileProductMACs does.
const integerMACs = 1 << 20

// distance is how far ahead lies from block: 0 for nothing ahead.
func distance(block, ahead []byte) int {
	if len(ahead) == 0 {
		return 0
	}
	return int(uintptr(unsafe.Pointer(&ahead[0])) - uintptr(unsafe.Pointer(&block[0])))
}

// kvColumns returns how many columns share a scale, as quant.KVFormat.KVBlock has it.
func kvColumns(headDim int) int {
	if headDim%(2*kvBlock) == 0 {
		return 2 * kvBlock
	}
	return kvBlock
}

// checkIntegers panics unless a block in 8 or 4 bits, with more bytes behind its scales, fits; it returns the number of blocks
// of columns, that of pieces in each, the size of the integers and the number of rows of one call.
func checkIntegers(block, ahead []byte, bits, more, headDim, m, n int) (blocks, pieces, size, some int) {
	must(headDim >= kvBlock && headDim%kvBlock == 0, "columns of a head, in whole blocks of", headDim, kvBlock)
	must(n >= 1 && n <= kvPage, "positions from 1 to", n, kvPage)
	must(m >= 1, "rows at least", m, 1)
	per := kvColumns(headDim)
	blocks, pieces = headDim/per, per/kvBlock
	size = kvPage * headDim * bits / 8
	must(len(block) == size+2*blocks*kvPage+more, "block bytes", len(block), size+2*blocks*kvPage+more)
	must(len(ahead) == 0 || len(ahead) == len(block), "block ahead", len(ahead), len(block))
	raceRead(block)
	return blocks, pieces, size, max(1, integerMACs/(kvPage*headDim))
}

// scoresCall is the arguments of KeyScores in assembly, from row r on.
type scoresCall struct {
	scores       *float32
	q            *byte
	scale        *float32
	sum          *int32
	keys, scales *byte
	ahead, dim   int
	pieces       int // of 32 columns in each of
	blocks       int
	m, pairs     int
}

// keyScores checks the arguments of KeyScores, makes the scores begin with the products of the first key, and runs product.
func keyScores(product func(c scoresCall), bits int, scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte,
	headDim, m, n int,
) {
	blocks, pieces, size, some := checkIntegers(keys, ahead, bits, 4*headDim, headDim, m, n)
	must(len(scores) >= m*kvPage, "scores at least", len(scores), m*kvPage)
	must(len(q) >= 2*m*headDim, "integers of queries at least", len(q), 2*m*headDim)
	must(len(scale) >= m, "scales at least", len(scale), m)
	must(len(sum) >= m*blocks, "sums at least", len(sum), m*blocks)
	must(len(x) >= m*headDim, "queries at least", len(x), m*headDim)
	raceWrite(scores[:m*kvPage])
	raceRead(q[:2*m*headDim])
	raceRead(x[:m*headDim])
	first, far := &keys[size+2*blocks*kvPage], distance(keys, ahead)
	for r := 0; r < m; r += some {
		rows := min(some, m-r)
		firstScoresAVX2(&scores[r*kvPage], &x[r*headDim], first, far, headDim, rows)
		product(scoresCall{
			&scores[r*kvPage], &q[2*r*headDim], &scale[r], &sum[r*blocks], &keys[0], &keys[size], far, headDim, pieces, blocks, rows,
			(n + 2*kvLanes - 1) / (2 * kvLanes),
		})
	}
}

// valuesCall is the arguments of MixValues in assembly, from row r on.
type valuesCall struct {
	out        *float32
	p          *byte
	scale      *float32
	sum        *int32
	keep       *float32
	values     *byte
	ahead, dim int
	pieces     int // of 32 columns in each of
	blocks     int
	m, steps   int
}

// mixValues checks the arguments of MixValues, and runs product.
func mixValues(product func(c valuesCall), bits int, out []float32, p []byte, scale []float32, sum []int32, keep []float32,
	values, ahead []byte, headDim, m, n int,
) {
	blocks, pieces, _, some := checkIntegers(values, ahead, bits, 0, headDim, m, n)
	must(n%kvLanes == 0, "positions, in whole vectors of", n, kvLanes)
	must(len(out) >= m*headDim, "results at least", len(out), m*headDim)
	must(len(p) >= 2*m*blocks*n, "integers of weights at least", len(p), 2*m*blocks*n)
	must(len(scale) >= m*blocks, "scales at least", len(scale), m*blocks)
	must(len(sum) >= m*blocks, "sums at least", len(sum), m*blocks)
	must(len(keep) >= m, "factors at least", len(keep), m)
	raceWrite(out[:m*headDim])
	raceRead(p[:2*m*blocks*n])
	for r := 0; r < m; r += some {
		product(valuesCall{
			&out[r*headDim], &p[2*r*blocks*n], &scale[r*blocks], &sum[r*blocks], &keep[r], &values[0], distance(values, ahead),
			headDim, pieces, blocks, min(some, m-r), n / kvLanes,
		})
	}
}

// KeyScoresQ8AVX2 is kernel.KeyScores for Q8, with VPMADDWD.
func KeyScoresQ8AVX2(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(func(c scoresCall) {
		keyScoresQ8AVX2(c.scores, c.q, c.scale, c.sum, c.keys, c.scales, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.pairs)
	}, 8, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ8AVX2 is kernel.MixValues for Q8, with VPMADDWD.
func MixValuesQ8AVX2(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(func(c valuesCall) {
		mixValuesQ8AVX2(c.out, c.p, c.scale, c.sum, c.keep, c.values, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.steps)
	}, 8, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// KeyScoresQ4AVX2 is kernel.KeyScores for Q4, with VPMADDWD.
func KeyScoresQ4AVX2(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(func(c scoresCall) {
		keyScoresQ4AVX2(c.scores, c.q, c.scale, c.sum, c.keys, c.scales, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.pairs)
	}, 4, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ4AVX2 is kernel.MixValues for Q4, with VPMADDWD.
func MixValuesQ4AVX2(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(func(c valuesCall) {
		mixValuesQ4AVX2(c.out, c.p, c.scale, c.sum, c.keep, c.values, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.steps)
	}, 4, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// KeyScoresQ8AVXVNNI is kernel.KeyScores for Q8, with VPDPBUSD of AVX-VNNI.
func KeyScoresQ8AVXVNNI(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(func(c scoresCall) {
		keyScoresQ8AVXVNNI(c.scores, c.q, c.scale, c.sum, c.keys, c.scales, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.pairs)
	}, 8, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ8AVXVNNI is kernel.MixValues for Q8, with VPDPBUSD of AVX-VNNI.
func MixValuesQ8AVXVNNI(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(func(c valuesCall) {
		mixValuesQ8AVXVNNI(c.out, c.p, c.scale, c.sum, c.keep, c.values, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.steps)
	}, 8, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// KeyScoresQ4AVXVNNI is kernel.KeyScores for Q4, with VPDPBUSD of AVX-VNNI.
func KeyScoresQ4AVXVNNI(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(func(c scoresCall) {
		keyScoresQ4AVXVNNI(c.scores, c.q, c.scale, c.sum, c.keys, c.scales, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.pairs)
	}, 4, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ4AVXVNNI is kernel.MixValues for Q4, with VPDPBUSD of AVX-VNNI.
func MixValuesQ4AVXVNNI(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(func(c valuesCall) {
		mixValuesQ4AVXVNNI(c.out, c.p, c.scale, c.sum, c.keep, c.values, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.steps)
	}, 4, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// KeyScoresQ8VNNI is kernel.KeyScores for Q8, with VPDPBUSD of AVX-512 VNNI.
func KeyScoresQ8VNNI(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(func(c scoresCall) {
		keyScoresQ8VNNI(c.scores, c.q, c.scale, c.sum, c.keys, c.scales, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.pairs)
	}, 8, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ8VNNI is kernel.MixValues for Q8, with VPDPBUSD of AVX-512 VNNI.
func MixValuesQ8VNNI(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(func(c valuesCall) {
		mixValuesQ8VNNI(c.out, c.p, c.scale, c.sum, c.keep, c.values, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.steps)
	}, 8, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}

// KeyScoresQ4VNNI is kernel.KeyScores for Q4, with VPDPBUSD of AVX-512 VNNI.
func KeyScoresQ4VNNI(scores []float32, q []byte, scale []float32, sum []int32, x []float32, keys, ahead []byte, headDim, m, n int) {
	keyScores(func(c scoresCall) {
		keyScoresQ4VNNI(c.scores, c.q, c.scale, c.sum, c.keys, c.scales, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.pairs)
	}, 4, scores, q, scale, sum, x, keys, ahead, headDim, m, n)
}

// MixValuesQ4VNNI is kernel.MixValues for Q4, with VPDPBUSD of AVX-512 VNNI.
func MixValuesQ4VNNI(out []float32, p []byte, scale []float32, sum []int32, keep []float32, values, ahead []byte, headDim, m, n int) {
	mixValues(func(c valuesCall) {
		mixValuesQ4VNNI(c.out, c.p, c.scale, c.sum, c.keep, c.values, c.ahead, c.dim, c.pieces, c.blocks, c.m, c.steps)
	}, 4, out, p, scale, sum, keep, values, ahead, headDim, m, n)
}
