package model

import "math"

// Forward runs the rows through the model: it appends their keys and values to their sequences and computes the logits
// of the rows that want them. Rows of one sequence must come in order of position, starting at the sequence's length;
// rows of several sequences may be mixed. On error nothing has changed.
//
// The architecture is that of Llama (Touvron et al. 2023, arXiv 2302.13971): per layer, x += Wo·attention(norm(x)), then
// x += Wdown·(silu(Wgate·norm(x)) * Wup·norm(x)).
func (s *State) Forward(rows []Row) error {
	if err := s.admit(rows); err != nil {
		return err
	}
	s.pool.Begin(len(rows))
	c, w := &s.model.Config, &s.model.Weights
	s.embed()
	s.rotations()
	for i := range w.Layers {
		layer := &w.Layers[i]

		s.multiply(input{norm: layer.AttnNorm, cols: c.Dim, as: refined},
			product{w: &layer.Q, dst: s.q},
			product{w: &layer.K, dst: s.k},
			product{w: &layer.V, dst: s.v})
		s.rotateAndStore(i)
		ready := s.attend(i, layer.O.Type)
		s.multiply(input{x: s.heads, cols: c.Heads * c.HeadDim, as: refined, ready: ready},
			product{w: &layer.O, dst: s.x, add: true})

		s.multiply(input{norm: layer.FFNNorm, cols: c.Dim}, product{w: &layer.Gate, dst: s.gate, up: &layer.Up, next: &layer.Down})
		s.multiply(input{x: s.gate, cols: c.FFN, ready: true}, product{w: &layer.Down, dst: s.x, add: true})
	}
	s.head()
	return nil
}

// embed writes the token embeddings of the rows to x.
func (s *State) embed() {
	dim, table := s.model.Config.Dim, &s.model.Weights.TokenEmbedding
	for i, row := range s.rows {
		table.values(s.x[i*dim:(i+1)*dim], int(row.Token), s.row) // admit has checked the token
	}
}

// rotations computes the cosines and sines of every row's position, once for all layers.
func (s *State) rotations() {
	half := s.model.Config.RopeDim / 2
	for i, row := range s.rows {
		for j, freq := range s.freqs {
			sin, cos := math.Sincos(float64(row.Pos) * freq)
			s.ropeC[i*half+j], s.ropeS[i*half+j] = float32(cos), float32(sin)
		}
	}
}

// head computes the logits of the rows that want them: their residual rows are moved to the front, normalised and
// multiplied with the output matrix.
func (s *State) head() {
	if len(s.wanted) == 0 {
		return
	}
	dim := s.model.Config.Dim
	for to, from := range s.wanted {
		copy(s.x[to*dim:(to+1)*dim], s.x[from*dim:(from+1)*dim])
	}
	s.rows = s.rows[:len(s.wanted)]
	s.multiply(input{norm: s.model.Weights.OutputNorm, cols: dim, as: refined},
		product{w: &s.model.Weights.Output, dst: s.logits})
}
