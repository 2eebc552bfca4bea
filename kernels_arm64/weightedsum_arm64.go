//go:build !purego

package kernels

import "fmt"

const (
	// sumPositions is the number of positions of one call: their values, 128 bytes each for a head of 64, stay in the L1
	// cache while the columns are gone through, and the call stays short.
	sumPositions = 128
	// sumColumns is the number of columns of one call, sumHeads the largest number of heads.
	sumColumns = 8
	sumHeads   = 4
)

// WeightedSumF16NEON adds the attention-weighted values:
//
//	dst[g*dim+i] += sum over pos of p[g*pStride+pos] * v[pos*dim+i]   for g < n, i < dim, pos < nPos
//
// v is (nPos, dim) little-endian binary16, p holds n rows at stride pStride >= nPos, dst is (n, dim). The sum goes over
// increasing positions with fused multiply-add, one rounding per position, so it may be cut into several calls without a
// change of its bits. It panics if a length does not fit.
func WeightedSumF16NEON(dst, p []float32, pStride int, v []byte, nPos, dim, n int) {
	if nPos < 0 || dim < 0 || n < 0 || n > 1 && pStride < nPos {
		panic(fmt.Sprintf("kernels: weighted sum of %d positions, dim %d, %d heads, stride %d", nPos, dim, n, pStride))
	}
	if nPos == 0 || dim == 0 || n == 0 {
		return
	}
	if nPos > len(v)/2/dim || n > len(dst)/dim || nPos > len(p) || n > 1 && n-1 > (len(p)-nPos)/pStride {
		panic(fmt.Sprintf("kernels: weighted sum of %d positions, dim %d, %d heads, stride %d: %d value bytes, %d weights, "+
			"%d sums", nPos, dim, n, pStride, len(v), len(p), len(dst)))
	}
	raceRead(v[:2*nPos*dim])
	raceWrite(dst[:n*dim])
	for g := range n {
		raceRead(p[g*pStride:][:nPos])
	}
	for pos := 0; pos < nPos; pos += sumPositions {
		count := min(sumPositions, nPos-pos)
		for g := 0; g < n; g += sumHeads {
			weightedSum(dst[g*dim:], p[g*pStride+pos:], pStride, v[2*pos*dim:], count, dim, min(sumHeads, n-g))
		}
	}
}

// weightedSum is WeightedSumF16NEON for at most sumHeads heads and few positions.
func weightedSum(dst, p []float32, pStride int, v []byte, nPos, dim, n int) {
	whole := dim - dim%sumColumns
	for i := 0; i < whole; i += sumColumns {
		switch n {
		case 1:
			weightedSumF16NEON1(&dst[i], 4*dim, &p[0], 4*pStride, &v[2*i], 2*dim, nPos)
		case 2:
			weightedSumF16NEON2(&dst[i], 4*dim, &p[0], 4*pStride, &v[2*i], 2*dim, nPos)
		case 3:
			weightedSumF16NEON3(&dst[i], 4*dim, &p[0], 4*pStride, &v[2*i], 2*dim, nPos)
		case 4:
			weightedSumF16NEON4(&dst[i], 4*dim, &p[0], 4*pStride, &v[2*i], 2*dim, nPos)
		}
	}
	for i := whole; i < dim; i++ {
		for g := range n {
			weightedSumF16One(&dst[g*dim+i], &p[g*pStride], &v[2*i], 2*dim, nPos)
		}
	}
}

// The assembly is in weightedsum_arm64.s.

//go:noescape
func weightedSumF16NEON1(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)

//go:noescape
func weightedSumF16NEON2(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)

//go:noescape
func weightedSumF16NEON3(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)

//go:noescape
func weightedSumF16NEON4(dst *float32, dstStride int, p *float32, pStride int, v *byte, vStride, nPos int)

//go:noescape
func weightedSumF16One(dst, p *float32, v *byte, vStride, nPos int)
