//go:build !purego

package kernels

import "math"

// callValues is how many values one assembly call of these functions takes: under 100 us for the slowest, exp.
const callValues = 1 << 16

// Sizes of quant.Act: activations, bytes.
const (
	actLen   = 32
	actBytes = 64
)

// QuantizeAVX2 is kernel.Set.Quantize, bit for bit that of the reference.
func QuantizeAVX2(dst []byte, x []float32, n, t int) {
	stride := checkActs(dst, x, n, t)
	raceRead(x)
	for i := 0; i < len(x); i += callValues {
		at, blocks := i/actLen*stride+t*actBytes, min(callValues, len(x)-i)/actLen
		quantizeAVX2(&dst[at], stride, &x[i], blocks)
		raceWriteActs(dst[at:], stride, blocks)
	}
}

// QuantizeRefinedAVX2 is kernel.Set.QuantizeRefined, bit for bit that of the reference.
func QuantizeRefinedAVX2(dst []byte, x []float32, n, t, low int) {
	stride := checkActs(dst, x, n, t)
	must(low >= 0 && low < n && low != t, "row of the low plane is not another one", low, n)
	raceRead(x)
	for i := 0; i < len(x); i += callValues {
		at, lowAt, blocks := i/actLen*stride+t*actBytes, i/actLen*stride+low*actBytes, min(callValues, len(x)-i)/actLen
		quantizeRefinedAVX2(&dst[at], &dst[lowAt], stride, &x[i], blocks)
		raceWriteActs(dst[at:], stride, blocks)
		raceWriteActs(dst[lowAt:], stride, blocks)
	}
}

// checkActs panics unless dst holds row t of n rows of quantised x; it returns the bytes from one block of it to the next.
func checkActs(dst []byte, x []float32, n, t int) int {
	must(len(x)%actLen == 0, "activations are not a multiple of 32", len(x), len(x)/actLen*actLen)
	must(t >= 0 && t < n, "row is not below the number of rows", t, n)
	must(len(dst) >= len(x)/actLen*n*actBytes, "quantised activations at least", len(dst), len(x)/actLen*n*actBytes)
	return n * actBytes
}

// raceWriteActs tells the race detector of one row of quantised activations.
func raceWriteActs(dst []byte, stride, blocks int) {
	for b := range blocks {
		raceWrite(dst[b*stride:][:actBytes])
	}
}

// ToF16AVX2 is kernel.Set.ToF16, bit for bit that of the reference except for the payload of NaN.
func ToF16AVX2(dst []byte, x []float32) {
	must(len(dst) == 2*len(x), "binary16 bytes", len(dst), 2*len(x))
	raceRead(x)
	raceWrite(dst)
	for i := 0; i < len(x); i += callValues {
		toF16AVX2(&dst[2*i], &x[i], min(callValues, len(x)-i))
	}
}

// RMSNormAVX2 is kernel.Set.RMSNorm; the sum of squares is in float64, so the relative error of a result is below 2e-7.
func RMSNormAVX2(dst, x, w []float32, eps float32) {
	n := len(x)
	must(len(dst) == n, "normalised values", len(dst), n)
	must(len(w) == n, "norm weights", len(w), n)
	raceRead(x)
	raceRead(w)
	raceWrite(dst)
	var sum float64
	for i := 0; i < n; i += callValues {
		sum += sumSquaresAVX2(&x[i], min(callValues, n-i))
	}
	f := float32(1 / math.Sqrt(sum/float64(n)+float64(eps)))
	for i := 0; i < n; i += callValues {
		scaleMulAVX2(&dst[i], &x[i], &w[i], min(callValues, n-i), f)
	}
}

// SiluMulAVX2 is kernel.Set.SiluMul; the relative error of a result is below 1e-6 for gates above -88. Under that the
// result is within 1e-36 times up of the true one, which is smaller still.
func SiluMulAVX2(dst, gate, up []float32) {
	n := len(gate)
	must(len(dst) == n, "products", len(dst), n)
	must(len(up) == n, "factors", len(up), n)
	raceRead(gate)
	raceRead(up)
	raceWrite(dst)
	for i := 0; i < n; i += callValues {
		siluMulAVX2(&dst[i], &gate[i], &up[i], min(callValues, n-i))
	}
}
