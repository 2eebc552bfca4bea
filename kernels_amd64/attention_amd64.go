//go:build !purego

package kernels

// The layout of quant.KVFormat: positions of a page, positions of a panel of keys, columns of a scale.
const (
	kvPage  = 64
	kvLanes = 16
	kvBlock = 32
)

// checkTile panics unless dst and a block in F16 hold n positions of headDim columns, and tells the race detector. It returns
// the first byte of ahead, or of block for nothing ahead.
func checkTile(dst []float32, width int, block, ahead []byte, headDim, n int) *byte {
	must(len(dst) == kvPage*width, "tile", len(dst), kvPage*width)
	raceWrite(dst)
	return checkHalves(block, ahead, headDim, n)
}

// kvPanels is the number of panels of keys that hold n positions.
func kvPanels(n int) int { return (n + kvLanes - 1) / kvLanes }

// kvWidth is the length of a row of a tile of values.
func kvWidth(headDim int) int { return (headDim + kvLanes - 1) / kvLanes * kvLanes }

// KeyTileF16AVX2 is kernel.Attention.KeyTile, bit for bit that of the reference.
func KeyTileF16AVX2(dst []float32, block, ahead []byte, headDim, n int) {
	keyTileF16AVX2(&dst[0], &block[0], checkTile(dst, headDim, block, ahead, headDim, n), headDim, kvPanels(n))
}

// ValueTileF16AVX2 is kernel.Attention.ValueTile, bit for bit that of the reference.
func ValueTileF16AVX2(dst []float32, block, ahead []byte, headDim, n int) {
	valueTileF16AVX2(&dst[0], &block[0], checkTile(dst, kvWidth(headDim), block, ahead, headDim, n), headDim, n)
}

// KeyTileF16AVX512 is KeyTileF16AVX2 for AVX-512.
func KeyTileF16AVX512(dst []float32, block, ahead []byte, headDim, n int) {
	keyTileF16AVX512(&dst[0], &block[0], checkTile(dst, headDim, block, ahead, headDim, n), headDim, kvPanels(n))
}

// ValueTileF16AVX512 is ValueTileF16AVX2 for AVX-512.
func ValueTileF16AVX512(dst []float32, block, ahead []byte, headDim, n int) {
	valueTileF16AVX512(&dst[0], &block[0], checkTile(dst, kvWidth(headDim), block, ahead, headDim, n), headDim, n)
}

// tileProductMACs bounds one call of a tile product: 100 us at 10 GMAC/s, which AVX2 exceeds by far.
const tileProductMACs = 1 << 20

// checkTileProduct panics unless the tiles hold what a product touches; it returns how many rows one call may take.
func checkTileProduct(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32) int {
	must(m >= 1, "rows at least", m, 1)
	must(k >= 1, "depth at least", k, 1)
	must(cols >= kvLanes && cols%kvLanes == 0, "columns, in whole vectors of", cols, kvLanes)
	must(cStride >= cols, "result stride at least", cStride, cols)
	must(aStride >= k, "left stride at least", aStride, k)
	must(bStride >= cols, "right stride at least", bStride, cols)
	must(len(c) >= (m-1)*cStride+cols, "results at least", len(c), (m-1)*cStride+cols)
	must(len(a) >= (m-1)*aStride+k, "left tile at least", len(a), (m-1)*aStride+k)
	must(len(b) >= (k-1)*bStride+cols, "right tile at least", len(b), (k-1)*bStride+cols)
	must(scale == nil || len(scale) >= m, "scales at least", len(scale), m)
	for r := range m {
		raceWrite(c[r*cStride:][:cols])
		raceRead(a[r*aStride:][:k])
	}
	raceRead(scale)
	raceRead(b[:(k-1)*bStride+cols])
	return max(1, tileProductMACs/(k*cols))
}

// scaleFrom is the place of scale r, or nil.
func scaleFrom(scale []float32, r int) *float32 {
	if scale == nil {
		return nil
	}
	return &scale[r]
}

// TileProductAVX2 is kernel.Attention.TileProduct, with one rounding for each fused multiply-add.
func TileProductAVX2(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32) {
	some := checkTileProduct(c, cStride, a, aStride, b, bStride, m, k, cols, scale)
	for r := 0; r < m; r += some {
		tileProductAVX2(&c[r*cStride], cStride, &a[r*aStride], aStride, &b[0], bStride, min(some, m-r), k, cols, scaleFrom(scale, r))
	}
}

// checkKeyProduct panics unless the slices hold what KeyProduct touches; it returns the first byte of ahead, as checkHalves does.
func checkKeyProduct(scores, q []float32, keys, ahead []byte, headDim, m, n int) *byte {
	must(m >= 1, "rows at least", m, 1)
	must(len(scores) >= m*kvPage, "scores at least", len(scores), m*kvPage)
	must(len(q) >= m*headDim, "queries at least", len(q), m*headDim)
	next := checkHalves(keys, ahead, headDim, n)
	raceWrite(scores[:m*kvPage])
	raceRead(q[:m*headDim])
	return next
}

// checkValueProduct is checkKeyProduct for ValueProduct.
func checkValueProduct(out, p, keep []float32, values, ahead []byte, headDim, m, n int) *byte {
	must(m >= 1, "rows at least", m, 1)
	must(headDim%kvLanes == 0, "columns of a head, in whole vectors of", headDim, kvLanes)
	must(len(out) >= m*headDim, "results at least", len(out), m*headDim)
	must(len(p) >= (m-1)*kvPage+n, "weights at least", len(p), (m-1)*kvPage+n)
	must(len(keep) >= m, "scales at least", len(keep), m)
	next := checkHalves(values, ahead, headDim, n)
	raceWrite(out[:m*headDim])
	raceRead(p[:(m-1)*kvPage+n])
	raceRead(keep[:m])
	return next
}

// Bytes from row to row and from strip to strip of keys, which lie in panels; the values' strips lie side by side.
const (
	keyRow     = 2 * kvLanes
	valueStrip = 2 * kvLanes
)

// KeyProductAVX2 is kernel.Attention.KeyProduct: KeyTileF16AVX2 and TileProductAVX2 in one, with the same bits.
func KeyProductAVX2(scores, q []float32, keys, ahead []byte, headDim, m, n int) {
	next := checkKeyProduct(scores, q, keys, ahead, headDim, m, n)
	halfProductAVX2(&scores[0], kvPage, &q[0], headDim, &keys[0], next, keyRow, keyRow*headDim, m, headDim, kvPanels(n)*kvLanes, nil)
}

// ValueProductAVX2 is kernel.Attention.ValueProduct: ValueTileF16AVX2 and TileProductAVX2 in one, with the same bits.
func ValueProductAVX2(out, p, keep []float32, values, ahead []byte, headDim, m, n int) {
	next := checkValueProduct(out, p, keep, values, ahead, headDim, m, n)
	halfProductAVX2(&out[0], headDim, &p[0], kvPage, &values[0], next, 2*headDim, valueStrip, m, n, headDim, &keep[0])
}

// KeyProductAVX512 is KeyProductAVX2 for AVX-512, with the same bits.
func KeyProductAVX512(scores, q []float32, keys, ahead []byte, headDim, m, n int) {
	next := checkKeyProduct(scores, q, keys, ahead, headDim, m, n)
	halfProductAVX512(&scores[0], kvPage, &q[0], headDim, &keys[0], next, keyRow, keyRow*headDim, m, headDim, kvPanels(n)*kvLanes, nil)
}

// ValueProductAVX512 is ValueProductAVX2 for AVX-512, with the same bits.
func ValueProductAVX512(out, p, keep []float32, values, ahead []byte, headDim, m, n int) {
	next := checkValueProduct(out, p, keep, values, ahead, headDim, m, n)
	halfProductAVX512(&out[0], headDim, &p[0], kvPage, &values[0], next, 2*headDim, valueStrip, m, n, headDim, &keep[0])
}

// checkHalves panics unless a block in F16 holds n positions of headDim columns, and tells the race detector. It returns the
// first byte of ahead, or of block for nothing ahead.
func checkHalves(block, ahead []byte, headDim, n int) *byte {
	must(headDim > 0 && headDim%8 == 0, "columns of a head, in whole units of", headDim, 8)
	must(n >= 1 && n <= kvPage, "positions from 1 to", n, kvPage)
	must(len(block) == 2*kvPage*headDim, "block bytes", len(block), 2*kvPage*headDim)
	must(len(ahead) == 0 || len(ahead) == len(block), "block ahead", len(ahead), len(block))
	raceRead(block)
	if len(ahead) == 0 {
		return &block[0]
	}
	return &ahead[0]
}

// TileProductAVX512 is TileProductAVX2 for AVX-512, with the same bits.
func TileProductAVX512(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32) {
	some := checkTileProduct(c, cStride, a, aStride, b, bStride, m, k, cols, scale)
	for r := 0; r < m; r += some {
		tileProductAVX512(&c[r*cStride], cStride, &a[r*aStride], aStride, &b[0], bStride, min(some, m-r), k, cols, scaleFrom(scale, r))
	}
}

// softmaxRows bounds one call of the softmax of a tile: under 100 us for rows of 64 scores.
const softmaxRows = 512

// checkSoftmaxTile panics unless the slices hold m rows.
func checkSoftmaxTile(scores []float32, m, cols int, top, sum, scale []float32) {
	must(m >= 1, "rows at least", m, 1)
	must(cols >= kvLanes && cols%kvLanes == 0 && cols <= kvPage, "columns, in whole vectors of", cols, kvLanes)
	must(len(scores) >= m*kvPage, "scores at least", len(scores), m*kvPage)
	must(len(top) >= m, "maxima at least", len(top), m)
	must(len(sum) >= m*kvLanes, "sums at least", len(sum), m*kvLanes)
	must(len(scale) >= m, "scales at least", len(scale), m)
	raceWrite(scores[:m*kvPage])
	raceWrite(top[:m])
	raceWrite(sum[:m*kvLanes])
	raceWrite(scale[:m])
}

// SoftmaxTileAVX2 is kernel.Attention.SoftmaxTile; the relative error of a power is below 5e-7.
func SoftmaxTileAVX2(scores []float32, m, cols int, top, sum, scale []float32) {
	checkSoftmaxTile(scores, m, cols, top, sum, scale)
	for r := 0; r < m; r += softmaxRows {
		softmaxTileAVX2(&scores[r*kvPage], min(softmaxRows, m-r), cols, &top[r], &sum[r*kvLanes], &scale[r])
	}
}

// SoftmaxTileAVX512 is SoftmaxTileAVX2 for AVX-512.
func SoftmaxTileAVX512(scores []float32, m, cols int, top, sum, scale []float32) {
	checkSoftmaxTile(scores, m, cols, top, sum, scale)
	for r := 0; r < m; r += softmaxRows {
		softmaxTileAVX512(&scores[r*kvPage], min(softmaxRows, m-r), cols, &top[r], &sum[r*kvLanes], &scale[r])
	}
}

// checkFoldRows panics unless the slices hold m rows.
func checkFoldRows(dst, src []float32, width, m int, keep, add []float32) {
	must(m >= 1, "rows at least", m, 1)
	must(width >= kvLanes && width%kvLanes == 0, "columns, in whole vectors of", width, kvLanes)
	must(len(dst) >= m*width, "results at least", len(dst), m*width)
	must(len(src) >= m*width, "rows to add at least", len(src), m*width)
	must(len(keep) >= m, "factors at least", len(keep), m)
	must(len(add) >= m, "factors at least", len(add), m)
	raceWrite(dst[:m*width])
	raceRead(src[:m*width])
	raceRead(keep[:m])
	raceRead(add[:m])
}

// FoldRowsAVX2 is kernel.Attention.FoldRows.
func FoldRowsAVX2(dst, src []float32, width, m int, keep, add []float32) {
	checkFoldRows(dst, src, width, m, keep, add)
	some := max(1, callValues/width)
	for r := 0; r < m; r += some {
		foldRowsAVX2(&dst[r*width], &src[r*width], width, min(some, m-r), &keep[r], &add[r])
	}
}

// FoldRowsAVX512 is FoldRowsAVX2 for AVX-512, with the same bits.
func FoldRowsAVX512(dst, src []float32, width, m int, keep, add []float32) {
	checkFoldRows(dst, src, width, m, keep, add)
	some := max(1, callValues/width)
	for r := 0; r < m; r += some {
		foldRowsAVX512(&dst[r*width], &src[r*width], width, min(some, m-r), &keep[r], &add[r])
	}
}

// RotateAVX2 is kernel.Attention.Rotate.
func RotateAVX2(x []float32, heads, headDim int, cos, sin []float32, scale float32) {
	pairs := len(cos)
	must(len(sin) == pairs, "sines", len(sin), pairs)
	must(heads >= 0 && headDim >= 2*pairs, "columns of a head at least", headDim, 2*pairs)
	must(len(x) == heads*headDim, "columns of all heads", len(x), heads*headDim)
	raceRead(cos)
	raceRead(sin)
	raceWrite(x)
	whole := pairs &^ 3
	if whole > 0 && heads > 0 {
		rotateAVX2(&x[0], heads, headDim, whole, &cos[0], &sin[0], scale)
	}
	if 2*whole == headDim {
		return
	}
	for h := range heads {
		head := x[h*headDim:][:headDim]
		for j := whole; j < pairs; j++ {
			a, b := head[2*j], head[2*j+1]
			head[2*j] = (float32(a*cos[j]) - float32(b*sin[j])) * scale
			head[2*j+1] = (float32(a*sin[j]) + float32(b*cos[j])) * scale
		}
		for j := 2 * pairs; j < headDim; j++ {
			head[j] *= scale
		}
	}
}
