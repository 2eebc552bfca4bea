package model

import "math"

// normalise writes the norm of x to dst, which may be x.
func (s *State) normalise(dst, x []float32, n *Norm) {
	eps := s.model.Config.NormEpsilon
	if n.Bias == nil {
		s.set.RMSNorm(dst, x, n.Weight, eps)
		return
	}
	layerNorm(dst, x, n, eps)
}

// layerNorm: dst = (x - mean) / sqrt(variance + eps) * weight + bias.
func layerNorm(dst, x []float32, n *Norm, eps float32) {
	var sum, square float64
	for _, f := range x {
		sum += float64(f)
	}
	mean := sum / float64(len(x))
	for _, f := range x {
		d := float64(f) - mean
		square += float64(d * d)
	}
	by := 1 / math.Sqrt(square/float64(len(x))+float64(eps))
	for i, f := range x {
		dst[i] = float32(float32((float64(f)-mean)*by)*n.Weight[i]) + n.Bias[i]
	}
}

func scale(x []float32, by float32) {
	for i := range x {
		x[i] *= by
	}
}

// softCap: x = limit*tanh(x/limit) (Gemma 2, arXiv 2408.00118, section 2).
func softCap(x []float32, limit float32) {
	by := 1 / float64(limit)
	for i, f := range x {
		x[i] = limit * float32(math.Tanh(float64(f)*by))
	}
}

// gate computes gate = act(gate)*up, with up as memory.
func (s *State) activate(act Activation, gate, up []float32) {
	switch act {
	case GELU:
		gelu(gate)
		for i, u := range up[:len(gate)] {
			gate[i] *= u
		}
		return
	case GELUTanh:
		geluGate(gate, up)
	}
	s.set.SiluMul(gate, gate, up)
}

// gelu computes GELU in place, by way of float64: encoders are small.
func gelu(x []float32) {
	for i, v := range x {
		x[i] = float32(float64(v) / 2 * (1 + math.Erf(float64(v)/math.Sqrt2)))
	}
}

// activateAlone computes x = act(x).
func (s *State) activateAlone(act Activation, x, ones []float32) {
	if act == GELU {
		gelu(x)
		return
	}
	for i := range ones {
		ones[i] = 1
	}
	s.activate(act, x, ones)
}

// geluGate makes the arguments with which SiluMul computes gelu(gate)*up: since (1+tanh(u))/2 is the sigmoid of 2u, gelu(x)
// is x*sigmoid(z) with z = 2u = x*k, and so silu(z)*(up/k).
func geluGate(gate, up []float32) {
	const twice = 2 * 0.7978845608028654 // sqrt(2/pi)
	for i, x := range gate {
		k := twice * (1 + float32(0.044715*x)*x)
		gate[i], up[i] = x*k, up[i]/k
	}
}
