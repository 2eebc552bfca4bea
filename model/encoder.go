package model

import (
	"fmt"

	"siskin/model/quant"
)

// Pooling says how the hidden states of a text become one embedding: <architecture>.pooling_type of GGUF (llama.h,
// enum llama_pooling_type).
type Pooling uint8

// The ways.
const (
	PoolNone Pooling = iota // none: a state for each token
	PoolMean                // the mean of all
	PoolCLS                 // the first one
	PoolLast                // the last one
	PoolRank                // a score, by a head of its own; not supported
)

// String returns the name that commands use.
func (p Pooling) String() string {
	if p > PoolRank {
		return fmt.Sprintf("Pooling(%d)", uint8(p))
	}
	return [...]string{"none", "mean", "cls", "last", "rank"}[p]
}

// pooling reads it; absent is none.
func (m *metadata) pooling() Pooling {
	value, ok := m.Uint(m.use("pooling_type"))
	if ok && value >= uint64(PoolRank) {
		m.fail(fmt.Errorf("%s.pooling_type is %d; 0 to 3 are known: %w", m.arch, value, ErrUnsupported))
		return PoolNone
	}
	return Pooling(value)
}

// Embeddings is what encoders add to the embeddings of tokens.
type Embeddings struct {
	Positions Matrix    // (context, dim); without rows: none
	Type      []float32 // (dim) of the first kind of token, or nil
	Norm      Norm      // of the sum
}

// position adds to the embedding of row i, x (dim), what the model has for its position, and normalises the sum.
func (s *State) position(i, pos int, x []float32) {
	e := &s.model.Weights.Embeddings
	if e.Type != nil {
		s.set.Add(x, e.Type)
	}
	if e.Positions.Rows > 0 {
		at := s.normal[i*len(x) : (i+1)*len(x)]
		e.Positions.values(at, pos, s.row) // admit has checked the position: the context is at most the table
		s.set.Add(x, at)
	}
	if e.Norm.present() {
		s.normalise(x, x, &e.Norm)
	}
}

// end normalises the residual stream itself, if there is such a norm.
func (s *State) end(n *Norm) {
	if !n.present() {
		return
	}
	s.phase.post = n
	s.each(s.phase.endTask)
}

func (s *State) endRow(_, i int) {
	dim := s.model.Config.Dim
	x := s.x[i*dim : (i+1)*dim]
	s.normalise(x, x, s.phase.post)
}

// Hidden writes the hidden state of row i of the last pass, behind the last norm of the model, to dst (dim). No row of that pass may
// have asked for logits.
func (s *State) Hidden(i int, dst []float32) {
	dim := s.model.Config.Dim
	x := s.x[i*dim : (i+1)*dim]
	if n := &s.model.Weights.OutputNorm; n.present() {
		s.normalise(dst[:dim], x, n)
		return
	}
	copy(dst[:dim], x)
}

// admitWhole checks that the rows of an encoder are whole sequences: each position sees those behind it as well.
func (s *State) admitWhole() error {
	if !s.model.Config.Encoder {
		return nil
	}
	for i, row := range s.rows {
		follows := i > 0 && s.rows[i-1].Seq == row.Seq && s.rows[i-1].Pos+1 == row.Pos
		if row.Logits || !follows && row.Pos != 0 {
			return fmt.Errorf("row %d: an encoder takes whole sequences, from position 0 on, and gives no logits: %w", i, ErrRow)
		}
	}
	return nil
}

// seen is the number of positions of the sequence of row i that are there in the pass: all of them, for an encoder.
func (s *State) seen(i int) int {
	end := i
	for end+1 < len(s.rows) && s.rows[end+1].Seq == s.rows[i].Seq {
		end++
	}
	return s.rows[end].Pos + 1
}

// embeddings takes what encoders add to tokens.
func (l *loader) embeddings(c *Config, w *Weights, positions bool) {
	e := &w.Embeddings
	if positions {
		e.Positions = l.matrix("position_embd.weight", c.Context, c.Dim)
	}
	if t, ok := l.file.Tensor("token_types.weight"); ok && len(t.Dims) == 2 && t.Dims[0] == c.Dim {
		all := l.values("token_types.weight", t.Dims...)
		e.Type = all[:min(len(all), c.Dim)]
	}
	e.Norm = l.norm("token_embd_norm", c.Dim)
}

// ungated takes the two matrices of a unit without gate of layer i, with the biases that are there.
func (l *loader) ungated(c *Config, i int, act Activation) *Feed {
	p, ffn := block(i), c.PerLayer[i].FFN
	return &Feed{
		Activation: act,
		Up:         l.matrix(p+"ffn_up.weight", ffn, c.Dim), UpBias: l.optional(p+"ffn_up.bias", ffn),
		Down: l.matrix(p+"ffn_down.weight", c.Dim, ffn), DownBias: l.optional(p+"ffn_down.bias", c.Dim),
	}
}

// embeddingRowBytes is the longest row of what embed reads.
func (w *Weights) embeddingRowBytes() int {
	most := max(w.TokenEmbedding.rowBytes, w.Embeddings.Positions.rowBytes)
	if w.LayerInputs != nil {
		most = max(most, w.LayerInputs.Embedding.rowBytes)
	}
	return max(most, quant.PackRows)
}
