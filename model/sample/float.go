package sample

import "math"

// math.Exp and math.Log are assembly on some architectures and plain Go on others, and plain Go may be compiled with
// fused multiply-add, so their last bits differ between machines. The two functions below use only operations that
// IEEE 754 rounds exactly; each product is converted before it is added, which forbids fusing.

const (
	log2e = 1.44269504088896338700
	ln2Hi = 6.93147180369123816490e-01 // high part of ln 2, its low 21 bits are zero, so that k*ln2Hi is exact
	ln2Lo = 1.90821492927058770002e-10
)

// expTerms are the coefficients of the Taylor series, highest power first. For |r| <= ln2/2 the first term left out is
// below 0.35^15/15! = 1e-19.
var expTerms = [...]float64{
	1.0 / 87178291200,
	1.0 / 6227020800,
	1.0 / 479001600,
	1.0 / 39916800,
	1.0 / 3628800,
	1.0 / 362880,
	1.0 / 40320,
	1.0 / 5040,
	1.0 / 720,
	1.0 / 120,
	1.0 / 24,
	1.0 / 6,
	1.0 / 2,
	1.0 / 1,
	1.0 / 1,
}

// exp returns e**x for x <= 0 with a relative error below 1e-15; 0 below -700 and for NaN.
func exp(x float64) float64 {
	if !(x >= -700) {
		return 0
	}
	x = float64(x) // when this function is inlined, a product passed as x must not be fused with the subtraction below
	k := math.Floor(float64(x*log2e) + 0.5)
	r := (x - float64(k*ln2Hi)) - float64(k*ln2Lo) // |r| <= ln2/2
	sum := 0.0
	for _, c := range expTerms[:] { // the slice is not copied, the array would be
		sum = float64(sum*r) + c
	}
	// k >= -1010, so the result is a normal number and adding to its exponent multiplies it by 2^k.
	return math.Float64frombits(math.Float64bits(sum) + uint64(int64(k))<<52)
}

// log returns the natural logarithm of a positive, normal x with a relative error below 1e-15 away from 1.
func log(x float64) float64 {
	m, k := math.Frexp(float64(x)) // x = m * 2^k, m in [0.5, 1)
	if m < math.Sqrt2/2 {
		m *= 2
		k--
	}
	// ln m = 2 atanh(s); |s| <= 0.172, and s^25/25 < 1e-20 is the first term left out.
	s := (m - 1) / (m + 1)
	s2 := float64(s * s)
	sum := 0.0
	for i := 23; i > 0; i -= 2 {
		sum = float64(sum*s2) + 1/float64(i)
	}
	return (float64(float64(k)*ln2Lo) + float64(2*float64(s*sum))) + float64(float64(k)*ln2Hi)
}
