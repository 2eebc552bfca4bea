// Package embed turns texts into embeddings: the hidden states of a model, pooled as its file says, put through its dense layers if it
// has any, and scaled to length one. Encoders see a text at once, several texts a pass; other models read it like a prompt.
package embed

import (
	"errors"
	"fmt"
	"math"

	"siskin/model"
)

// ErrPooling says that the model's file does not tell how states are pooled, and nobody else did.
var ErrPooling = errors.New("no pooling")

// Embedder computes embeddings with one state. It belongs to one goroutine.
type Embedder struct {
	model   *model.Model
	state   *model.State
	pooling model.Pooling

	rows   []model.Row
	hidden []float32 // (dim)
	sum    []float64 // (dim)
	row    []float32 // of a dense layer
}

// Options of an Embedder.
type Options struct {
	// Pooling in the place of the file's; PoolNone: the file's, or for an encoder whose file says nothing, the mean.
	Pooling model.Pooling
}

// New makes an embedder. The state must be for m, and hold nothing.
func New(m *model.Model, s *model.State, o Options) (*Embedder, error) {
	pooling := o.Pooling
	if pooling == model.PoolNone {
		pooling = m.Config.Pooling
	}
	if pooling == model.PoolNone && m.Config.Encoder {
		pooling = model.PoolMean
	}
	if pooling != model.PoolMean && pooling != model.PoolCLS && pooling != model.PoolLast {
		return nil, fmt.Errorf("the model's file does not say how its states become an embedding: choose mean, cls or last: %w", ErrPooling)
	}
	widest := m.Config.Dim
	for i := range m.Weights.Dense {
		widest = max(widest, m.Weights.Dense[i].Cols)
	}
	return &Embedder{
		model: m, state: s, pooling: pooling, rows: make([]model.Row, 0, s.Limits().Rows),
		hidden: make([]float32, m.Config.Dim), sum: make([]float64, m.Config.Dim), row: make([]float32, widest),
	}, nil
}

// Dim is the length of an embedding.
func (e *Embedder) Dim() int {
	if n := len(e.model.Weights.Dense); n > 0 {
		return e.model.Weights.Dense[n-1].Rows
	}
	return e.model.Config.Dim
}

// Pooling is the one in use.
func (e *Embedder) Pooling() model.Pooling { return e.pooling }

// Most is the number of tokens that a text may have.
func (e *Embedder) Most() int {
	l := e.state.Limits()
	if e.model.Config.Encoder {
		return min(l.Rows, l.Context)
	}
	return l.Context
}

// Check refuses texts that are empty or too long.
func (e *Embedder) check(texts [][]int32) error {
	for i, tokens := range texts {
		if len(tokens) == 0 || len(tokens) > e.Most() {
			return fmt.Errorf("text %d has %d tokens, want 1 to %d: divide it", i+1, len(tokens), e.Most())
		}
	}
	return nil
}

// Embed returns the embedding (Dim) of each text, given as tokens with what the model wants around them. A failed pass ends all.
func (e *Embedder) Embed(texts [][]int32) ([][]float32, error) {
	if err := e.check(texts); err != nil {
		return nil, err
	}
	out := make([][]float32, len(texts))
	for from := 0; from < len(texts); {
		to := from + 1
		for used := len(texts[from]); e.model.Config.Encoder && to < len(texts) && to-from < e.state.Limits().Sequences; to++ {
			if used += len(texts[to]); used > e.state.Limits().Rows || used > e.state.Cache.Capacity() {
				break
			}
		}
		err := e.run(texts[from:to], func(text int, states func(visit func(pos int, hidden []float32))) {
			out[from+text] = e.finish(len(texts[from+text]), states)
		})
		if err != nil {
			return nil, err
		}
		from = to
	}
	return out, nil
}

// Hidden calls visit with the hidden state of every token of a text, in order. The slice is good until visit returns.
func (e *Embedder) Hidden(tokens []int32, visit func(pos int, hidden []float32) error) error {
	if err := e.check([][]int32{tokens}); err != nil {
		return err
	}
	var failed error
	err := e.run([][]int32{tokens}, func(_ int, states func(visit func(pos int, hidden []float32))) {
		states(func(pos int, hidden []float32) {
			if failed == nil {
				failed = visit(pos, hidden)
			}
		})
	})
	return errors.Join(err, failed)
}

// run sends texts through the model, each in a sequence of its own, and hands the states of their tokens to each, in one or more
// parts for a text that takes several passes. It leaves the sequences empty.
func (e *Embedder) run(texts [][]int32, each func(text int, states func(visit func(pos int, hidden []float32)))) (err error) {
	defer func() {
		for seq := range texts {
			_, truncated := e.state.Truncate(seq, 0)
			err = errors.Join(err, truncated)
		}
	}()
	if len(texts) > 1 || e.model.Config.Encoder {
		e.rows = e.rows[:0]
		for seq, tokens := range texts {
			for pos, id := range tokens {
				e.rows = append(e.rows, model.Row{Seq: seq, Pos: pos, Token: id})
			}
		}
		if err := e.state.Forward(e.rows); err != nil {
			return err
		}
		first := 0
		for text, tokens := range texts {
			each(text, func(visit func(int, []float32)) {
				for pos := range tokens {
					e.state.Hidden(first+pos, e.hidden)
					visit(pos, e.hidden)
				}
			})
			first += len(tokens)
		}
		return nil
	}
	var failed error
	each(0, func(visit func(int, []float32)) { failed = e.causal(texts[0], visit) })
	return failed
}

// causal reads a text in passes of as many rows as there may be.
func (e *Embedder) causal(tokens []int32, visit func(pos int, hidden []float32)) error {
	for from := 0; from < len(tokens); from += cap(e.rows) {
		e.rows = e.rows[:0]
		for pos := from; pos < min(from+cap(e.rows), len(tokens)); pos++ {
			e.rows = append(e.rows, model.Row{Pos: pos, Token: tokens[pos]})
		}
		if err := e.state.Forward(e.rows); err != nil {
			return err
		}
		for i, row := range e.rows {
			e.state.Hidden(i, e.hidden)
			visit(row.Pos, e.hidden)
		}
	}
	return nil
}

// finish pools the states of a text of n tokens.
func (e *Embedder) finish(n int, states func(visit func(pos int, hidden []float32))) []float32 {
	clear(e.sum)
	states(func(pos int, hidden []float32) {
		switch {
		case e.pooling == model.PoolCLS && pos != 0, e.pooling == model.PoolLast && pos != n-1:
			return
		}
		for j, h := range hidden {
			e.sum[j] += float64(h)
		}
	})
	out := make([]float32, len(e.sum))
	for j, s := range e.sum {
		if e.pooling == model.PoolMean {
			s /= float64(n)
		}
		out[j] = float32(s)
	}
	for i := range e.model.Weights.Dense {
		out = e.dense(&e.model.Weights.Dense[i], out)
	}
	var square float64
	for _, v := range out {
		square += float64(v) * float64(v)
	}
	if length := math.Sqrt(square); length > 0 {
		for j := range out {
			out[j] = float32(float64(out[j]) / length)
		}
	}
	return out
}

// dense multiplies with a matrix of the model.
func (e *Embedder) dense(w *model.Matrix, x []float32) []float32 {
	out := make([]float32, w.Rows)
	for r := range out {
		w.Row(e.row[:w.Cols], r)
		var sum float64
		for j, v := range e.row[:w.Cols] {
			sum += float64(v) * float64(x[j])
		}
		out[r] = float32(sum)
	}
	return out
}
