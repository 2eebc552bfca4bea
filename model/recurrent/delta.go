package recurrent

import "math"

// DeltaNet holds the small tensors of a gated delta net (arXiv 2412.06464, section 3.3), as Qwen3.5 has it.
type DeltaNet struct {
	Conv    []float32 // (taps, channels), the oldest input first; channels are queries, keys (groups*cols each) and values
	A       []float32 // (heads) negative rates of decay
	DT      []float32 // (heads) bias of the rates
	Norm    []float32 // (rows) of the output
	Epsilon float32   // of that norm
}

// l2Epsilon is what is added to the squared length of queries and keys before they are divided by it (transformers,
// models/qwen3_next, l2norm; fla-org/flash-linear-attention has the same).
const l2Epsilon = 1e-6

// DeltaNet runs a gated delta net between its projections: mixed (rows, channels), gate (rows, heads*Rows), alpha and beta
// (rows, heads) are what the input was projected to; out is (rows, heads*Rows). Keys are repeated in turns: head h has the
// key h mod groups, which is how the converter of llama.cpp orders the heads.
func (s *State) DeltaNet(layer int, w *DeltaNet, mixed, gate, alpha, beta, out []float32) {
	sh := &s.shape
	s.convolve(layer, convolution{src: mixed, stride: sh.Channels, dst: s.mixed, weights: w.Conv, silu: true})
	s.net, s.in = w, [3][]float32{alpha, beta}
	s.each(s.deltaTask)
	s.recur(layer, scan{delta: true, tiled: true, values: s.mixed[2*sh.Groups*sh.Cols:], stride: sh.Channels, out: out})
	s.in = [3][]float32{out, gate}
	s.ssm = nil
	s.each(s.normTask)
	s.net = nil
}

// deltaRow makes the arguments of the recurrence of one row.
func (s *State) deltaRow(_, i int) {
	sh := &s.shape
	row := s.mixed[i*sh.Channels:]
	for g := range sh.Groups {
		q, k := row[g*sh.Cols:][:sh.Cols], row[(sh.Groups+g)*sh.Cols:][:sh.Cols]
		pair := s.pair(i, g)
		qScale := 1 / math.Sqrt((dot(q, q)+l2Epsilon)*float64(sh.Cols))
		kScale := 1 / math.Sqrt(dot(k, k)+l2Epsilon)
		for j := range q {
			pair[j], pair[sh.Cols+j] = float32(qScale)*q[j], float32(kScale)*k[j]
		}
		s.dots[i*sh.Groups+g] = float32(dot(pair[:sh.Cols], pair[sh.Cols:]))
	}
	alpha, beta := s.in[0][i*sh.Heads:][:sh.Heads], s.in[1][i*sh.Heads:][:sh.Heads]
	for h := range sh.Heads {
		s.decay[i*sh.Heads+h] = float32(math.Exp(float64(s.net.A[h]) * softplus(float64(alpha[h])+float64(s.net.DT[h]))))
		s.gain[i*sh.Heads+h] = float32(sigmoid(float64(beta[h])))
	}
}

// normRow finishes the output of one row. The delta net normalises each head, then gates it; Mamba-2 gates first and
// normalises groups of heads, or not at all.
func (s *State) normRow(_, i int) {
	sh := &s.shape
	n := sh.Heads * sh.Rows
	out := s.in[0][i*n : (i+1)*n]
	if s.net != nil {
		for h := 0; h < n; h += sh.Rows {
			s.set.RMSNorm(out[h:h+sh.Rows], out[h:h+sh.Rows], s.net.Norm, s.net.Epsilon)
		}
		s.set.SiluMul(out, s.in[1][i*n:(i+1)*n], out)
		return
	}
	s.set.SiluMul(out, s.in[1][i*s.ssm.Projected(sh):][:n], out)
	if s.ssm.Norm == nil {
		return
	}
	size := n / sh.Groups
	for g := 0; g < n; g += size {
		s.set.RMSNorm(out[g:g+size], out[g:g+size], s.ssm.Norm[g:g+size], s.ssm.Epsilon)
	}
}
