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
	D      float32        // max|x|/127, rounded up to 5 significant bits: 2^e * (1 + i/16), i from 0 to 15
	S      float32        // D * sum of Q
	SA, SB float32        // D * sum of each half of Q
	N      int32          // -128 * sum of Q: what an offset of 128 in the weights adds to an integer product
	NA, NB int32          // -128 * sum of each half of Q
	// M is the bits of the float32 1.5 * 2^(23+e), whose last place is 2^e: with an integer of less than 2^22 added to its bits,
	// and itself subtracted as a float, the integer is a float32 times 2^e, exactly. NaN if D is NaN.
	M uint32
}

const (
	// mostActivation is where overflow begins for Quantize, and leastActivation where a block is nothing but zeros. In between scales,
	// their products with the scales of weights and M are normal numbers and exact. No activation of a working model is near.
	mostActivation, leastActivation = 1 << 106, 1.0 / (1 << 93)

	// Bits of a float32: the last 19 of 23 bits of the mantissa, which a scale of activations has not; the exponent; and what the
	// exponent has to be larger by, beside a half in the mantissa, in M.
	scaleTail    = 1<<19 - 1
	exponentBits = 0xff << 23
	exactOffset  = 23<<23 | 1<<22
)

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
// n. The scale has few bits, so that a kernel for many rows can multiply it with weights' scales beforehand; rounded up, it makes
// the integers 2 % smaller in the mean than they could be. A block without a magnitude of 2^-93 becomes zeros. A block with a magnitude of
// 2^106 and more, a NaN or an infinity gets D = S = SA = SB = NaN and Q = 0, so that products with it show the fault instead of a
// plausible number. It panics if the lengths do not fit.
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

// quantizeBlock fills a from x, (32). One reciprocal serves the block: divisions are dear on small cores.
func quantizeBlock(a *Act, x []float32) {
	var top uint32 // as integers magnitudes have the order of their values, with infinity and NaN above all finite ones
	for _, v := range x {
		top = max(top, math.Float32bits(v)&^(1<<31))
	}
	*a = Act{M: exactOffset}
	if top >= math.Float32bits(mostActivation) {
		nan := float32(math.NaN())
		a.D, a.S, a.SA, a.SB, a.M = nan, nan, nan, nan, math.MaxUint32
		return
	}
	if top < math.Float32bits(leastActivation) {
		return
	}
	d := math.Float32bits(math.Float32frombits(top) * float32(1.0/127))
	d = (d + scaleTail) &^ scaleTail
	a.D, a.M = math.Float32frombits(d), d&exponentBits+exactOffset
	inverse := 1 / a.D
	var sums [2]int32
	for i, v := range x {
		q := int32(math.RoundToEven(float64(v * inverse)))
		a.Q[i] = int8(q)
		sums[i/16] += q
	}
	a.SA, a.SB, a.S = a.D*float32(sums[0]), a.D*float32(sums[1]), a.D*float32(sums[0]+sums[1])
	a.NA, a.NB, a.N = -128*sums[0], -128*sums[1], -128*(sums[0]+sums[1])
}
