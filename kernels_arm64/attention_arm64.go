//go:build !purego

package kernels

import "fmt"

// must panics unless ok: a length that does not fit is a bug of the caller.
func must(ok bool, what string, got, want int) {
	if !ok {
		panic(fmt.Sprintf("kernels: %s: %d, want %d", what, got, want))
	}
}

// The layout of quant.KVFormat: positions of a page, positions of a panel of keys, columns of a scale.
const (
	kvPage  = 64
	kvLanes = 16
	kvBlock = 32
)

// tileCall is what a function that unpacks a block was asked for, after the checks.
type tileCall struct {
	dst          *float32
	block, ahead *byte
}

// checkTile panics unless dst and block hold n positions of headDim columns, and tells the race detector.
func checkTile(dst []float32, width int, block, ahead []byte, headDim, n int) tileCall {
	const unit = 8
	size := 2 * kvPage * headDim
	must(headDim > 0 && headDim%unit == 0, "columns of a head, in whole units of", headDim, unit)
	must(n >= 1 && n <= kvPage, "positions from 1 to", n, kvPage)
	must(len(dst) == kvPage*width, "tile", len(dst), kvPage*width)
	must(len(block) == size, "block bytes", len(block), size)
	must(len(ahead) == 0 || len(ahead) == size, "block ahead", len(ahead), size)
	raceRead(block)
	raceWrite(dst)
	c := tileCall{dst: &dst[0], block: &block[0], ahead: &block[0]}
	if len(ahead) > 0 {
		c.ahead = &ahead[0]
	}
	return c
}

// kvPanels is the number of panels of keys that hold n positions.
func kvPanels(n int) int { return (n + kvLanes - 1) / kvLanes }

// kvWidth is the length of a row of a tile of values.
func kvWidth(headDim int) int { return (headDim + kvLanes - 1) / kvLanes * kvLanes }

// KeyTileF16NEON is kernel.Attention.KeyTile for binary16, bit for bit that of the reference.
func KeyTileF16NEON(dst []float32, block, ahead []byte, headDim, n int) {
	c := checkTile(dst, headDim, block, ahead, headDim, n)
	keyTileF16NEON(c.dst, c.block, c.ahead, headDim, kvPanels(n))
}

// ValueTileF16NEON is kernel.Attention.ValueTile for binary16, bit for bit that of the reference.
func ValueTileF16NEON(dst []float32, block, ahead []byte, headDim, n int) {
	c := checkTile(dst, kvWidth(headDim), block, ahead, headDim, n)
	valueTileF16NEON(c.dst, c.block, c.ahead, headDim, n)
}

// checkTileProduct panics unless the tiles hold what a product touches.
func checkTileProduct(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32) {
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
}

// scaleFrom is the place of scale r, or nil.
func scaleFrom(scale []float32, r int) *float32 {
	if scale == nil {
		return nil
	}
	return &scale[r]
}

// productRows and productColumns are the largest tile of one call: at most 4 x 16 x 256 multiply-adds for a head of 256.
const (
	productRows    = 4
	productColumns = 16
)

// TileProductNEON is kernel.Attention.TileProduct, with one rounding for each fused multiply-add.
func TileProductNEON(c []float32, cStride int, a []float32, aStride int, b []float32, bStride, m, k, cols int, scale []float32) {
	checkTileProduct(c, cStride, a, aStride, b, bStride, m, k, cols, scale)
	for j := 0; j < cols; j += productColumns {
		for r := 0; r < m; r += productRows {
			to, from, factor := &c[r*cStride+j], &a[r*aStride], scaleFrom(scale, r)
			switch m - r {
			case 1:
				tileProductNEON1(to, 4*cStride, from, 4*aStride, &b[j], 4*bStride, k, factor)
			case 2:
				tileProductNEON2(to, 4*cStride, from, 4*aStride, &b[j], 4*bStride, k, factor)
			case 3:
				tileProductNEON3(to, 4*cStride, from, 4*aStride, &b[j], 4*bStride, k, factor)
			default:
				tileProductNEON4(to, 4*cStride, from, 4*aStride, &b[j], 4*bStride, k, factor)
			}
		}
	}
}

// softmaxRows bounds one call of the softmax of a tile: about 100 us for rows of 64 scores on a Cortex-A53.
const softmaxRows = 128

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

// SoftmaxTileNEON is kernel.Attention.SoftmaxTile; the relative error of a power is below 5e-7.
func SoftmaxTileNEON(scores []float32, m, cols int, top, sum, scale []float32) {
	checkSoftmaxTile(scores, m, cols, top, sum, scale)
	for r := 0; r < m; r += softmaxRows {
		softmaxTileNEON(&scores[r*kvPage], min(softmaxRows, m-r), cols, &top[r], &sum[r*kvLanes], &scale[r])
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

// FoldRowsNEON is kernel.Attention.FoldRows.
func FoldRowsNEON(dst, src []float32, width, m int, keep, add []float32) {
	checkFoldRows(dst, src, width, m, keep, add)
	some := max(1, callValues/width)
	for r := 0; r < m; r += some {
		foldRowsNEON(&dst[r*width], &src[r*width], width, min(some, m-r), &keep[r], &add[r])
	}
}

// RotateNEON is kernel.Attention.Rotate.
func RotateNEON(x []float32, heads, headDim int, cos, sin []float32, scale float32) {
	pairs := len(cos)
	must(len(sin) == pairs, "sines", len(sin), pairs)
	must(heads >= 0 && headDim >= 2*pairs, "columns of a head at least", headDim, 2*pairs)
	must(len(x) == heads*headDim, "columns of all heads", len(x), heads*headDim)
	raceRead(cos)
	raceRead(sin)
	raceWrite(x)
	whole := pairs &^ 3
	if whole > 0 && heads > 0 {
		rotateNEON(&x[0], heads, 4*headDim, whole, &cos[0], &sin[0], scale)
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

// The assembly is in attention_arm64.s.

//go:noescape
func tileProductNEON1(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)

//go:noescape
func tileProductNEON2(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)

//go:noescape
func tileProductNEON3(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)

//go:noescape
func tileProductNEON4(c *float32, cStride int, a *float32, aStride int, b *float32, bStride, k int, scale *float32)

//go:noescape
func softmaxTileNEON(scores *float32, m, cols int, top, sum, scale *float32)

//go:noescape
func foldRowsNEON(dst, src *float32, width, m int, keep, add *float32)

//go:noescape
func keyTileF16NEON(dst *float32, src, ahead *byte, dim, panels int)

//go:noescape
func valueTileF16NEON(dst *float32, src, ahead *byte, dim, n int)

//go:noescape
func rotateNEON(x *float32, heads, stride, pairs int, cos, sin *float32, scale float32)
