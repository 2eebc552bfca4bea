package recurrent_test

import "math"

// What follows computes the layers again, in float64 and as the papers write them, from the beginning of the sequence.

func softplus(x float64) float64 { return math.Log1p(math.Exp(x)) }
func silu(x float64) float64     { return x / (1 + math.Exp(-x)) }

func rmsNorm(x []float64, w []float32, eps float64) {
	var sum float64
	for _, f := range x {
		sum += f * f
	}
	for i := range x {
		x[i] = x[i] / math.Sqrt(sum/float64(len(x))+eps) * float64(w[i])
	}
}

// causalConv is out[t][c] = bias[c] + sum over j of w[j][c] * in[t-taps+1+j][c], with zeros before the first token.
func causalConv(in [][]float64, w, bias []float32, taps int) [][]float64 {
	channels := len(in[0])
	out := make([][]float64, len(in))
	for t := range in {
		out[t] = make([]float64, channels)
		for c := range channels {
			if bias != nil {
				out[t][c] = float64(bias[c])
			}
			for j := range taps {
				if from := t - taps + 1 + j; from >= 0 {
					out[t][c] += float64(w[j*channels+c]) * in[from][c]
				}
			}
		}
	}
	return out
}

func eachValue(x [][]float64, f func(float64) float64) [][]float64 {
	for _, row := range x {
		for i := range row {
			row[i] = f(row[i])
		}
	}
	return x
}

func unit(x []float64) []float64 {
	var sum float64
	for _, f := range x {
		sum += f * f
	}
	out := make([]float64, len(x))
	for i := range x {
		out[i] = x[i] / math.Sqrt(sum+1e-6)
	}
	return out
}

func innerProduct(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// outer adds factor * a bᵀ to m after scaling m.
func outer(m [][]float64, scale, factor float64, a, b []float64) {
	for i := range m {
		for j := range m[i] {
			m[i][j] = scale*m[i][j] + factor*a[i]*b[j]
		}
	}
}

func newMatrix(rows, cols int) [][]float64 {
	m := make([][]float64, rows)
	for i := range m {
		m[i] = make([]float64, cols)
	}
	return m
}
