//go:build !purego

package kernels

import "math"

// callValues is how many values one assembly call of these functions takes: under 100 us for the slowest, exp.
const callValues = 1 << 16

// QuantizeQ8AVX2 is kernel.Set.Quantize, bit for bit that of the reference.
func QuantizeQ8AVX2(q []int8, d, s, x []float32) {
	n := len(x)
	must(n%blockLen == 0, "activations are not a multiple of 32", n, n/blockLen*blockLen)
	must(len(q) == n, "quantised activations", len(q), n)
	must(len(d) == n/blockLen, "activation scales", len(d), n/blockLen)
	must(len(s) == n/blockLen, "activation sums", len(s), n/blockLen)
	raceRead(x)
	raceWrite(q)
	raceWrite(d)
	raceWrite(s)
	for i := 0; i < n; i += callValues {
		quantizeQ8AVX2(&q[i], &d[i/blockLen], &s[i/blockLen], &x[i], min(callValues, n-i)/blockLen)
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

// SoftmaxAVX2 is kernel.Set.Softmax; the relative error of a result is below 1e-6, and one whose exponential is below
// 2^-126 is 0. A NaN or positive infinity among x makes all results NaN.
func SoftmaxAVX2(x []float32) {
	raceWrite(x)
	top := float32(math.Inf(-1))
	for i := 0; i < len(x); i += callValues {
		top = max(top, maxAVX2(&x[i], min(callValues, len(x)-i)))
	}
	var sum float64
	for i := 0; i < len(x); i += callValues {
		sum += expSumAVX2(&x[i], min(callValues, len(x)-i), top)
	}
	for i := 0; i < len(x); i += callValues {
		scaleAVX2(&x[i], min(callValues, len(x)-i), float32(1/sum))
	}
}
