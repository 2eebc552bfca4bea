package model

import (
	"fmt"
	"math"

	"siskin/model/arena"
	"siskin/model/recurrent"
)

// Recurrent is the weights of a mixer with a state of fixed size, of one of three kinds; see package recurrent. In is what
// all of them have: the projection of the input.
type Recurrent struct {
	In    Matrix // (recurrent.Shape's projected columns, dim)
	Gate  Matrix // (heads*rows, dim) of a delta net
	Alpha Matrix // (heads, dim) of a delta net
	Beta  Matrix // (heads, dim) of a delta net
	Out   Matrix // (dim, columns of the output)

	ShortConv *recurrent.ShortConv
	DeltaNet  *recurrent.DeltaNet
	Mamba2    *recurrent.Mamba2

	index int // of the layer among those with a state
}

// mixer is the states of recurrent layers and what the steps of one layer hand to each other.
type mixer struct {
	states *recurrent.State // nil where the model has no recurrent layer
	rows   []recurrent.Row  // of the pass under way

	in          []float32 // (rows, projected columns)
	gate        []float32 // (rows, heads*rows)
	alpha, beta []float32 // (rows, heads)
	out         []float32 // (rows, columns of the output)
}

// recurrentWidth is the columns of the output of a recurrent layer before the projection.
func (c *Config) recurrentWidth() int {
	if c.Recurrent.Heads > 0 {
		return c.Recurrent.Heads * c.Recurrent.Rows
	}
	return c.Recurrent.Channels
}

// newMixer makes the states, if the model has recurrent layers, with memory of a.
func (s *State) newMixer(a *arena.Arena, workers int) error {
	c := &s.model.Config
	if c.Recurrent.Layers == 0 {
		return nil
	}
	limits := recurrent.Limits{
		Rows: s.limits.Rows, Sequences: s.limits.Sequences, Window: s.limits.Drafts, Checkpoints: s.limits.Checkpoints,
	}
	var err error
	m := &s.mixer
	if m.states, err = recurrent.New(c.Recurrent, limits, s.set, s.pool, workers, a); err != nil {
		return err
	}
	n, projected, delta := s.limits.Rows, 0, false
	for i := range s.model.Weights.Layers {
		if r := s.model.Weights.Layers[i].Recurrent; r != nil {
			projected, delta = max(projected, r.In.Rows), delta || r.DeltaNet != nil
		}
	}
	m.rows = make([]recurrent.Row, n)
	m.in = a.Floats(n * projected)
	m.out = a.Floats(n * c.recurrentWidth())
	if delta {
		m.gate = a.Floats(n * c.recurrentWidth())
		m.alpha, m.beta = a.Floats(n*c.Recurrent.Heads), a.Floats(n*c.Recurrent.Heads)
	}
	return nil
}

func (s *State) beginRecurrent() {
	if s.mixer.states == nil {
		return
	}
	rows := s.mixer.rows[:len(s.rows)]
	for i, row := range s.rows {
		rows[i] = recurrent.Row{Seq: row.Seq, Draft: row.Draft}
	}
	s.mixer.states.Begin(rows)
}

func (s *State) endRecurrent() {
	if s.mixer.states != nil {
		s.mixer.states.End()
	}
}

// recur computes the output of a recurrent layer before its last projection.
func (s *State) recur(layer *Layer) {
	r, m, in := layer.Recurrent, &s.mixer, s.normed(&layer.MixNorm)
	in.refined = true
	projected := product{w: &r.In, dst: m.in}
	switch {
	case r.DeltaNet != nil:
		s.multiply(in, projected, product{w: &r.Gate, dst: m.gate}, product{w: &r.Alpha, dst: m.alpha}, product{w: &r.Beta, dst: m.beta})
		m.states.DeltaNet(r.index, r.DeltaNet, m.in, m.gate, m.alpha, m.beta, m.out)
	case r.Mamba2 != nil:
		s.multiply(in, projected)
		m.states.Mamba2(r.index, r.Mamba2, m.in, m.out)
	default:
		s.multiply(in, projected)
		m.states.ShortConv(r.index, r.ShortConv, m.in, m.out)
	}
}

// addRecurrent is x += Out·output.
func (s *State) addRecurrent(layer *Layer) {
	r := layer.Recurrent
	s.multiply(input{x: s.mixer.out, cols: r.Out.Cols, refined: true}, s.toResidual(product{w: &r.Out}, &layer.MixPostNorm))
}

// gatedAttention reports whether any attention has gates.
func (w *Weights) gatedAttention() bool {
	for i := range w.Layers {
		if a := w.Layers[i].Attention; a != nil && a.Gated {
			return true
		}
	}
	return false
}

// splitGates copies the queries from where they lie between the gates.
func (s *State) splitGates(a *Attention) {
	for i := range len(s.rows) * a.Heads {
		copy(s.q[i*a.HeadDim:(i+1)*a.HeadDim], s.wide[2*i*a.HeadDim:])
	}
}

// applyGates multiplies the heads by the sigmoids of their gates.
func (s *State) applyGates(a *Attention) {
	for i := range len(s.rows) * a.Heads {
		head, gate := s.heads[i*a.HeadDim:(i+1)*a.HeadDim], s.wide[(2*i+1)*a.HeadDim:][:a.HeadDim]
		for j, g := range gate {
			head[j] *= float32(1 / (1 + math.Exp(-float64(g))))
		}
	}
}

// stateShape reads the shape of Mamba-2 layers and of delta nets, which have the same keys.
func (m *metadata) stateShape(layers int) recurrent.Shape {
	inner := m.count("ssm.inner_size", 0, maxDim)
	s := recurrent.Shape{
		Layers: layers,
		Taps:   m.count("ssm.conv_kernel", 0, maxTaps),
		Heads:  m.count("ssm.time_step_rank", 0, maxHeads),
		Cols:   m.count("ssm.state_size", 0, maxStateSize),
		Groups: m.count("ssm.group_count", 0, maxHeads),
	}
	s.Rows = inner / s.Heads
	s.Channels = inner + 2*s.Groups*s.Cols
	if inner%s.Heads != 0 || s.Heads%s.Groups != 0 {
		m.fail(fmt.Errorf("%s.ssm: inner_size %d, time_step_rank %d, group_count %d: each must divide the one before: %w",
			m.arch, inner, s.Heads, s.Groups, ErrBadModel))
	}
	if s.Taps == 1 {
		m.fail(fmt.Errorf("%s.ssm.conv_kernel is 1, want 2 to %d: %w", m.arch, maxTaps, ErrBadModel))
	}
	return s
}

// Bounds on states: those of recurrent.Shape, and what a million columns of state would need.
const (
	maxTaps      = 16
	maxStateSize = 4096
)

// recurrentLayers marks the layers for which is is true as recurrent and nothing else, and returns their number.
func (c *Config) recurrentLayers(is func(i int) bool) int {
	n := 0
	for i := range c.PerLayer {
		if is(i) {
			c.PerLayer[i].KVHeads = 0
			n++
		}
	}
	return n
}

// stateIndex is the index of layer i among the layers without attention.
func (c *Config) stateIndex(i int) int {
	n := 0
	for j := range c.PerLayer[:i] {
		if c.PerLayer[j].KVHeads == 0 {
			n++
		}
	}
	return n
}

// taps takes the kernel of a causal convolution, one row for each channel, and turns it: (taps, channels).
func (l *loader) taps(name string, s *recurrent.Shape) []float32 {
	rows := l.values(name, s.Taps, s.Channels)
	if rows == nil {
		return nil
	}
	out := make([]float32, len(rows))
	for c := range s.Channels {
		for j := range s.Taps {
			out[j*s.Channels+c] = rows[c*s.Taps+j]
		}
	}
	return out
}

// mamba2 takes the tensors of the Mamba-2 mixer of layer i.
func (l *loader) mamba2(c *Config, i, index int) *Recurrent {
	p, s := block(i), &c.Recurrent
	inner := s.Heads * s.Rows
	w := &recurrent.Mamba2{
		Conv:     l.taps(p+"ssm_conv1d.weight", s),
		ConvBias: l.optional(p+"ssm_conv1d.bias", s.Channels),
		A:        l.values(p+"ssm_a", 1, s.Heads),
		D:        l.values(p+"ssm_d", 1, s.Heads),
		DT:       l.vector(p+"ssm_dt.bias", s.Heads),
		Epsilon:  c.NormEpsilon,
	}
	if l.has(p + "ssm_norm.weight") {
		w.Norm = l.values(p+"ssm_norm.weight", inner/s.Groups, s.Groups)
	}
	return &Recurrent{
		In:     l.matrix(p+"ssm_in.weight", w.Projected(s), c.Dim),
		Out:    l.matrix(p+"ssm_out.weight", c.Dim, inner),
		Mamba2: w,
		index:  index,
	}
}
