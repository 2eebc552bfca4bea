package recurrent

import "math"

// Mamba2 holds the small tensors of a Mamba-2 layer (arXiv 2405.21060, section 7).
type Mamba2 struct {
	Conv     []float32 // (taps, channels), the oldest input first; channels are x (heads*Rows), B and C (groups*cols each)
	ConvBias []float32 // (channels) or nil
	A        []float32 // (heads) negative rates of decay
	D        []float32 // (heads) how much of x goes to the output
	DT       []float32 // (heads) bias of the time steps
	Norm     []float32 // (heads*Rows) of groups of heads, after the gate; or nil
	Epsilon  float32   // of that norm
}

// Projected is the columns of the projection of the input: gate, x, B, C, time steps.
func (*Mamba2) Projected(sh *Shape) int { return sh.Heads*sh.Rows + sh.Channels + sh.Heads }

// Mamba2 runs a Mamba-2 layer between its projections: projected is (rows, Projected), out (rows, heads*Rows).
func (s *State) Mamba2(layer int, w *Mamba2, projected, out []float32) {
	sh := &s.shape
	inner, stride := sh.Heads*sh.Rows, w.Projected(sh)
	s.convolve(layer, convolution{src: projected[inner:], stride: stride, dst: s.mixed, weights: w.Conv, bias: w.ConvBias, silu: true})
	s.ssm, s.in = w, [3][]float32{projected[inner+sh.Channels:]}
	s.each(s.mambaTask)
	s.recur(layer, scan{values: s.mixed, stride: sh.Channels, skip: w.D, out: out})
	s.in = [3][]float32{out, projected}
	s.each(s.normTask)
	s.ssm = nil
}

// mambaRow makes the arguments of the recurrence of one row: B is the key, C the query, the time step the gain.
func (s *State) mambaRow(_, i int) {
	sh := &s.shape
	row := s.mixed[i*sh.Channels+sh.Heads*sh.Rows:]
	for g := range sh.Groups {
		b, c := row[g*sh.Cols:][:sh.Cols], row[(sh.Groups+g)*sh.Cols:][:sh.Cols]
		pair := s.pair(i, g)
		copy(pair[:sh.Cols], c)
		copy(pair[sh.Cols:], b)
		s.dots[i*sh.Groups+g] = float32(dot(b, c))
	}
	steps := s.in[0][i*s.ssm.Projected(sh):][:sh.Heads]
	for h, f := range steps {
		dt := softplus(float64(f) + float64(s.ssm.DT[h]))
		s.decay[i*sh.Heads+h] = float32(math.Exp(dt * float64(s.ssm.A[h])))
		s.gain[i*sh.Heads+h] = float32(dt)
	}
}
