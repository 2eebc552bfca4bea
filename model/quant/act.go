package quant

import (
	"fmt"
	"math"
	"unsafe"
)

const (
	// ActBlock is the number of activations that share one scale.
	ActBlock = 32
	// ActBytes is the size of an Act: one cache line, so that a kernel that goes over the rows of one block reads memory in
	// order, a line a row.
	ActBytes = 64
)

// Act is one block of 32 activations in 8 bits, with the sums that formats with an offset or a minimum need. A is the
// first half of the block, B the second.
//
// Quantised activations of n rows of cols columns are (cols/32, n) Acts: all rows of the first block, then all rows of
// the second. Kernels see them as bytes, little endian, in the order of the fields.
type Act struct {
	Q      [ActBlock]int8 // x/D, rounded to nearest even, in [-127, 127]
	D      float32        // max|x| / 127
	S      float32        // D * sum of Q
	SA, SB float32        // D * sum of each half of Q
	N      int32          // -128 * sum of Q: what an offset of 128 in the weights adds to an integer product
	NA, NB int32          // -128 * sum of each half of Q
	_      int32
}

// ActsOf views bytes as Acts. It panics unless b is whole blocks and aligned to 4 bytes.
func ActsOf(b []byte) []Act {
	if len(b) == 0 {
		return nil
	}
	if len(b)%ActBytes != 0 || uintptr(unsafe.Pointer(&b[0]))%unsafe.Alignof(Act{}) != 0 {
		panic(fmt.Sprintf("quant: %d bytes are not whole aligned blocks of activations", len(b)))
	}
	return unsafe.Slice((*Act)(unsafe.Pointer(&b[0])), len(b)/ActBytes)
}

// NewActs allocates n bytes, aligned to the size of a block, for n/ActBytes blocks.
func NewActs(n int) []byte {
	b := make([]byte, n+ActBytes)
	skip := -uintptr(unsafe.Pointer(&b[0])) % ActBytes
	return b[skip : int(skip)+n : int(skip)+n]
}

// Quantize turns one row of activations into its Acts: block b of x goes to dst[(b*n+t)*ActBytes:], the place of row t of
// n. A block whose scale underflows to zero becomes zeros. A block with a NaN or an infinity gets D = S = SA = SB = NaN
// and Q = 0, so that products with it show the fault instead of a plausible number. It panics if the lengths do not fit.
func Quantize(dst []byte, x []float32, n, t int) {
	if len(x)%ActBlock != 0 || t < 0 || t >= n {
		panic(fmt.Sprintf("quant: %d activations as row %d of %d: want a multiple of %d", len(x), t, n, ActBlock))
	}
	mustAtLeast("quantised activations", len(dst), len(x)/ActBlock*n*ActBytes)
	acts := ActsOf(dst)
	for b := range len(x) / ActBlock {
		quantizeBlock(&acts[b*n+t], x[b*ActBlock:][:ActBlock])
	}
}

// QuantizeRefined is Quantize with two planes: x becomes row t, and what the 8 bits of row t leave of x becomes row low.
// The sum of the products with both rows has 16-bit activations.
func QuantizeRefined(dst []byte, x []float32, n, t, low int) {
	Quantize(dst, x, n, t)
	acts := ActsOf(dst)
	var rest [ActBlock]float32
	for b := range len(x) / ActBlock {
		a := &acts[b*n+t]
		for i := range rest {
			rest[i] = x[b*ActBlock+i] - float32(a.D*float32(a.Q[i]))
		}
		quantizeBlock(&acts[b*n+low], rest[:])
	}
}

// quantizeBlock fills a from x, (32).
func quantizeBlock(a *Act, x []float32) {
	var amax float32
	finite := true
	for _, v := range x {
		abs := math.Float32frombits(math.Float32bits(v) & 0x7fffffff)
		amax = max(amax, abs)
		finite = finite && abs <= math.MaxFloat32
	}
	d := amax / 127
	*a = Act{D: d}
	if !finite {
		nan := float32(math.NaN())
		a.D, a.S, a.SA, a.SB = nan, nan, nan, nan
	}
	if !finite || d == 0 {
		return
	}
	var sums [2]int32
	for i, v := range x {
		r := math.RoundToEven(float64(v / d))
		// Only a subnormal d is coarse enough for a quotient beyond 127.
		k := int32(min(max(r, -127), 127))
		a.Q[i] = int8(k)
		sums[i/16] += k
	}
	a.SA, a.SB, a.S = d*float32(sums[0]), d*float32(sums[1]), d*float32(sums[0]+sums[1])
	a.NA, a.NB, a.N = -128*sums[0], -128*sums[1], -128*(sums[0]+sums[1])
}
