package recurrent

// ShortConv holds the small tensors of a gated short convolution (LFM2 technical report, arXiv 2511.23404, section 2):
// out = C * conv(B * x), with B, C and x from one projection.
type ShortConv struct {
	Conv []float32 // (taps, channels), the oldest input first
}

// ShortConv runs a gated short convolution: projected (rows, 3*channels) holds B, C and x of each row, and B*x replaces x;
// out is (rows, channels).
func (s *State) ShortConv(layer int, w *ShortConv, projected, out []float32) {
	n := s.shape.Channels
	s.in = [3][]float32{projected, out}
	s.each(s.gateTask)
	s.convolve(layer, convolution{src: projected[2*n:], stride: 3 * n, dst: out, weights: w.Conv})
	for i := range s.rows {
		y, c := out[i*n:(i+1)*n], projected[(3*i+1)*n:][:n]
		for j, f := range c {
			y[j] *= f
		}
	}
}

// gateRow multiplies x with B.
func (s *State) gateRow(_, i int) {
	n := s.shape.Channels
	row := s.in[0][3*i*n : 3*(i+1)*n]
	b, x := row[:n], row[2*n:]
	for j, f := range b {
		x[j] *= f
	}
}
