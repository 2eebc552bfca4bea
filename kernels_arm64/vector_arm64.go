//go:build !purego

package kernels

import (
	"fmt"
	"math"
)

// vectorStep is the number of values that a vector kernel takes per step; what remains goes through a padded copy.
const vectorStep = 8

// callValues bounds the values of one call of assembly: the slowest kernel takes 24 ns per value on a Cortex-A53 at 1 GHz
// (static estimate, llvm-mca, in order), so a call at most 100 us.
const callValues = 4096

// restValues is how many values of a second plane of activations wait on the stack.
const restValues = 512

// QuantizeNEON turns x into row t of n rows of activations: block b goes to dst[(b*n+t)*64:], laid out as quant.Act. The
// bits are those of quant.Quantize. It panics if a length does not fit.
func QuantizeNEON(dst []byte, x []float32, n, t int) {
	checkQuantize(dst, x, n, t)
	for i := 0; i < len(x); i += callValues {
		quantize(&dst[(i/blockLen*n+t)*actBytes], &x[i], n*actBytes, min(callValues, len(x)-i)/blockLen, nil)
	}
}

// QuantizeRefinedNEON makes x row t and what that leaves of x row low; the bits are those of quant.QuantizeRefined. It
// panics if a length does not fit.
func QuantizeRefinedNEON(dst []byte, x []float32, n, t, low int) {
	checkQuantize(dst, x, n, t)
	checkQuantize(dst, x, n, low)
	var rest [restValues]float32
	for i := 0; i < len(x); i += restValues {
		blocks, first := min(restValues, len(x)-i)/blockLen, i/blockLen*n
		quantize(&dst[(first+t)*actBytes], &x[i], n*actBytes, blocks, &rest[0])
		quantize(&dst[(first+low)*actBytes], &rest[0], n*actBytes, blocks, nil)
	}
}

// checkQuantize panics unless x is whole blocks and dst holds row t of n, and tells the race detector.
func checkQuantize(dst []byte, x []float32, n, t int) {
	if len(x)%blockLen != 0 || t < 0 || t >= n || len(dst) < len(x)/blockLen*n*actBytes {
		panic(fmt.Sprintf("kernels: %d activations as row %d of %d in %d bytes", len(x), t, n, len(dst)))
	}
	raceRead(x)
	for b := range len(x) / blockLen {
		raceWrite(dst[(b*n+t)*actBytes:][:actBytes])
	}
}

// ToF16NEON stores x as little-endian binary16, rounded to nearest, ties to even; from 65520 on the result is infinity,
// NaN stays NaN. It panics unless len(dst) = 2*len(x).
func ToF16NEON(dst []byte, x []float32) {
	mustLen("binary16 bytes", len(dst), 2*len(x))
	raceRead(x)
	raceWrite(dst)
	for i := 0; i < len(x); i += callValues {
		toF16(&dst[2*i], &x[i], min(callValues, len(x)-i))
	}
}

// RMSNormNEON computes dst = x / sqrt(mean(x^2) + eps) * w; all are (n), dst may be x. The mean is taken in float64, so
// the relative error is that of three roundings to float32, 1.8e-7. It panics if a length does not fit.
func RMSNormNEON(dst, x, w []float32, eps float32) {
	n := len(x)
	mustLen("normalised values", len(dst), n)
	mustLen("norm weights", len(w), n)
	if n == 0 {
		return
	}
	raceRead(x)
	raceRead(w)
	raceWrite(dst)
	whole := n - n%vectorStep
	var pad, padW [vectorStep]float32
	copy(pad[:], x[whole:])
	copy(padW[:], w[whole:])
	sum := sumSquares(&pad[0], vectorStep)
	for i := 0; i < whole; i += callValues {
		sum += sumSquares(&x[i], min(callValues, whole-i))
	}
	by := float32(1 / math.Sqrt(sum/float64(n)+float64(eps)))
	for i := 0; i < whole; i += callValues {
		scaleMul(&dst[i], &x[i], &w[i], min(callValues, whole-i), by)
	}
	scaleMul(&pad[0], &pad[0], &padW[0], vectorStep, by)
	copy(dst[whole:], pad[:])
}

// SiluMulNEON computes dst = gate * sigmoid(gate) * up; all are (n), dst may be gate or up. The relative error is at most
// 4e-7 for gate >= -87; below, the absolute error is at most 1e-36*|up|*max(1, |gate|/88). It panics if a length does not fit.
func SiluMulNEON(dst, gate, up []float32) {
	n := len(gate)
	mustLen("gated values", len(dst), n)
	mustLen("up values", len(up), n)
	raceRead(gate)
	raceRead(up)
	raceWrite(dst)
	whole := n - n%vectorStep
	for i := 0; i < whole; i += callValues {
		siluMul(&dst[i], &gate[i], &up[i], min(callValues, whole-i))
	}
	if whole < n {
		var padG, padU [vectorStep]float32
		copy(padG[:], gate[whole:])
		copy(padU[:], up[whole:])
		siluMul(&padG[0], &padG[0], &padU[0], vectorStep)
		copy(dst[whole:], padG[:])
	}
}

// The assembly is in vector_arm64.s.

//go:noescape
func quantize(dst *byte, x *float32, stride, blocks int, rest *float32)

//go:noescape
func toF16(dst *byte, x *float32, n int)

//go:noescape
func sumSquares(x *float32, n int) float64

//go:noescape
func scaleMul(dst, x, w *float32, n int, scale float32)

//go:noescape
func siluMul(dst, gate, up *float32, n int)
