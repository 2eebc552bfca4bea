package encode

import "math"

// grid is the set of integers that a format multiplies a scale with.
type grid struct {
	low, high int
	step      float32 // what scale changes the divisor by
	nonlinear bool    // the 16 values of IQ4_NL, low and high the extreme ones
}

// levels is the grid of a symmetric format of 2n values.
func levels(n int) grid { return grid{low: -n, high: n - 1, step: 0.125} }

// nonlinear is the grid of IQ4_NL and IQ4_XS, 241 wide where that of Q4_0 is 16.
func nonlinear() grid { return grid{low: -127, high: 113, step: 2, nonlinear: true} }

// nonlinear4 are the values of IQ4_NL and IQ4_XS (ggml-common.h, kvalues_iq4nl).
var nonlinear4 = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// nearest4 has for each half step, floor(2v)+256, the code of the nearest value of nonlinear4, in hexadecimal. The middles
// between the values are multiples of a half, so this is exact but for v in the middle.
const nearest4 = "00000000000000000000000001111111111111111111111111111111111111111111122222222222222222222222222222222222222233333333333333333333" +
	"33333333333333444444444444444444444444444444555555555555555555555555555666666666666666666666666677777777777777777777777888888888" +
	"88888888888888999999999999999999999999aaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbcccccccccccccccccccccccccccccccdddddd" +
	"ddddddddddddddddddddddddddddddeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeffffffffffffffffffffffffffffffffffffffffffffffffffffff"

// code4 is the code of the nearest value of nonlinear4.
func code4(v float32) uint8 {
	digit := nearest4[min(max(int(math.Floor(float64(2*v)))+256, 0), 511)]
	return digit&15 + digit>>6*9
}

// nearest is the value of the grid that is nearest to v.
func (g grid) nearest(v float32) int {
	// Clamped as a float: the conversion of a large one is not defined.
	v = min(max(v, -256), 256)
	if g.nonlinear {
		return int(nonlinear4[code4(v)])
	}
	return min(max(round(v), g.low), g.high)
}

// round is to nearest, ties to even; |v| < 2^22.
func round(v float32) int {
	const shift = 3 << 22 // 1.5 * 2^23: the unit of the sum is 1
	return int(int32(math.Float32bits(v+shift))) - int(int32(math.Float32bits(shift)))
}

// quantise writes the values nearest to x/d and returns the squared error.
func (g grid) quantise(q []int8, x []float32, d float32) (sum float64) {
	inv := inverse(d)
	for i, v := range x {
		k := g.nearest(v * inv)
		q[i] = int8(k)
		e := float64(v) - float64(d)*float64(k)
		sum += float64(e * e)
	}
	return sum
}

// inverse is 1/d, 0 for 0.
func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

// steps are the divisors that scale tries, around that which takes the largest weight to the end of the grid: below it the
// weights stay inside, above it the largest are cut off and the steps get finer.
const (
	stepsBelow = 6
	stepsAbove = 14
)

// scale searches the d with the least squared error of x - d*q, q of the grid. Either end of the grid takes the weight of
// the largest magnitude.
func (g grid) scale(x []float32) float32 {
	var top float32
	for _, v := range x {
		if abs(v) > abs(top) {
			top = v
		}
	}
	if top == 0 {
		return 0
	}
	var best float64
	var d float32
	for _, end := range [2]int{g.low, g.high} {
		for i := -stepsBelow; i <= stepsAbove; i++ {
			inv := float32(end) / top * (1 + float32(i)*g.step/abs(float32(end)))
			xq, qq := g.fit(x, inv)
			if qq > 0 && xq*xq > best*qq {
				best, d = xq*xq/qq, float32(xq/qq)
			}
		}
	}
	return d
}

// fit sums x*q and q*q for q nearest to x*inv: the best scale of these q is their quotient, and leaves a squared error of
// x*x - xq*xq/qq.
func (g grid) fit(x []float32, inv float32) (xq, qq float64) {
	squares := 0
	for _, v := range x {
		k := g.nearest(v * inv)
		xq += float64(v) * float64(k)
		squares += k * k
	}
	return xq, float64(squares)
}

func abs(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

// line is value = d*q + m.
type line struct{ d, m float32 }

// quantise writes the integers 0 to top that are nearest to (x-m)/d and returns the squared error.
func (l line) quantise(q []int8, x []float32, top int) (sum float64) {
	inv := inverse(l.d)
	for i, v := range x {
		k := clampRound((v-l.m)*inv, top)
		q[i] = int8(k)
		e := float64(v) - float64(float64(l.d)*float64(k)) - float64(l.m)
		sum += float64(e * e)
	}
	return sum
}

// clampRound is v rounded into 0 to top.
func clampRound(v float32, top int) int { return round(min(max(v, 0), float32(top))) }

// bestLine searches scale and minimum with the least squared error for integers 0 to top. The minimum is at most 0 if
// belowZero: formats that store it without a sign.
func bestLine(x []float32, top int, belowZero bool) line {
	low, high := x[0], x[0]
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	if belowZero {
		low = min(low, 0)
	}
	if high <= low {
		return line{0, low}
	}
	best := line{(high - low) / float32(top), low}
	least := math.Inf(1)
	try := func(from line) bool {
		l, err := fitLine(x, from, top, belowZero)
		if err < least {
			least, best = err, l
			return true
		}
		return false
	}
	// Ends drawn in by fifths of a step of the grid, or out by up to two.
	fifth := (high - low) / float32(5*top)
	for in := float32(-2); in < 5; in++ {
		for out := float32(-2); out < 5; out++ {
			l := line{m: low + float32(in*fifth)}
			l.d = (high - float32(out*fifth) - l.m) / float32(top)
			if l.d > 0 {
				try(l)
			}
		}
	}
	for range 4 {
		if !try(best) {
			break
		}
	}
	return best
}

// fitLine is the best line for the integers that the line from gives, and its squared error with them.
func fitLine(x []float32, from line, top int, belowZero bool) (line, float64) {
	inv := inverse(from.d)
	var sx, sxq, sxx float64
	var sq, sqq int
	for _, v := range x {
		k := clampRound((v-from.m)*inv, top)
		f := float64(v)
		sx, sxx = sx+f, sxx+float64(f*f)
		sxq += f * float64(k)
		sq, sqq = sq+k, sqq+k*k
	}
	n := len(x)
	det := float64(n*sqq - sq*sq)
	if det <= 0 {
		return from, math.Inf(1)
	}
	d := (float64(float64(n)*sxq) - float64(sx*float64(sq))) / det
	m := (sx - float64(d*float64(sq))) / float64(n)
	if belowZero && m > 0 {
		d, m = sxq/float64(sqq), 0
	}
	return line{float32(d), float32(m)}, sxx - float64(d*sxq) - float64(m*sx)
}
