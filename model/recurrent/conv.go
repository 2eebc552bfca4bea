package recurrent

// convBlock is the channels that a worker takes at a time: the inputs and the kernel of four taps are then 8 KB.
const convBlock = 256

// convolution is the causal convolution under way: every channel by itself, over the last Taps inputs.
type convolution struct {
	src, dst []float32 // (rows, stride) inputs; (rows, channels) results
	stride   int       // of src
	weights  []float32 // (taps, channels), the oldest input first
	bias     []float32 // (channels) or nil
	silu     bool
}

// convolve runs the convolution of a layer.
func (s *State) convolve(layer int, c convolution) {
	s.layer, s.conv = layer, c
	s.pool.Run(len(s.runs)*s.convPieces(), s.convTask)
}

func (s *State) convPieces() int { return (s.shape.Channels + convBlock - 1) / convBlock }

// convPiece takes some channels through the rows of one run.
func (s *State) convPiece(_, i int) {
	pieces := s.convPieces()
	r := &s.runs[i/pieces]
	from := i % pieces * convBlock
	to := min(from+convBlock, s.shape.Channels)
	var memory [maxTaps][]float32
	taps := memory[:s.shape.Taps]
	for t := range r.rows {
		for j := range taps {
			taps[j] = s.input(r, t-(len(taps)-1-j))[from:to]
		}
		y := s.conv.dst[s.rowOf(r, t)*s.shape.Channels+from:][:to-from]
		s.conv.apply(y, taps, from, s.shape.Channels)
		if s.conv.silu {
			s.set.SiluMul(y, y, s.ones[:to-from])
		}
	}
	s.keepInputs(r, from, to)
}

// apply computes one output from the inputs, the oldest first.
func (c *convolution) apply(dst []float32, taps [][]float32, from, channels int) {
	if c.bias != nil {
		copy(dst, c.bias[from:])
	} else {
		clear(dst)
	}
	for j, x := range taps {
		w := c.weights[j*channels+from:][:len(dst)]
		x = x[:len(dst)]
		for i := range dst {
			dst[i] += w[i] * x[i]
		}
	}
}

// input returns the input of the convolution for the t-th row of a run; negative: of the tokens before it.
func (s *State) input(r *run, t int) []float32 {
	if t >= 0 {
		return s.conv.src[s.rowOf(r, t)*s.conv.stride:][:s.shape.Channels]
	}
	q := &s.sequences[r.seq]
	if t += r.replay; t >= 0 {
		return s.entry(q, s.layer, t).input
	}
	return s.convState(q, s.layer)[(t+s.shape.Taps-1)*s.shape.Channels:][:s.shape.Channels]
}

// keepInputs moves the state of some channels to the last row that is kept, and logs the inputs behind it. A row of the
// state is read before it is written, because it moves towards older places, and so is what was logged before.
func (s *State) keepInputs(r *run, from, to int) {
	q := &s.sequences[r.seq]
	state := s.convState(q, s.layer)
	if r.replay+r.kept > 0 {
		for j := range s.shape.Taps - 1 {
			copy(state[j*s.shape.Channels+from:j*s.shape.Channels+to], s.input(r, r.kept-(s.shape.Taps-1)+j)[from:to])
		}
	}
	for t := r.kept; t < r.rows; t++ {
		copy(s.entry(q, s.layer, t-r.kept).input[from:to], s.input(r, t)[from:to])
	}
}
