package model

import (
	"errors"
	"fmt"

	"siskin/model/gguf"
)

// Weights are the tensors of a model. Matrices refer to the mapping; the norms and biases, a few hundred kilobytes at most,
// are converted to float32 once.
type Weights struct {
	TokenEmbedding Matrix // (vocab, dim)
	OutputNorm     Norm   // (dim)
	Output         Matrix // (vocab, dim); the token embedding where the file has no output.weight
	Layers         []Layer
	LayerInputs    *LayerInputs // of the layers' Inject, or nil
	Embeddings     Embeddings   // what encoders add to tokens
	Dense          []Matrix     // what an embedding goes through behind its pooling
}

// readWeights takes the tensors of the architecture from the file. A tensor that is missing, of another shape, or of no
// meaning to the architecture is an error: running without it would give fluent nonsense.
func readWeights(f *gguf.File, c *Config, fam family) (Weights, error) {
	embedding, ok := f.Tensor("token_embd.weight")
	if !ok || len(embedding.Dims) != 2 {
		return Weights{}, fmt.Errorf("tensor token_embd.weight is missing or not a matrix: %w", ErrBadModel)
	}
	if c.Vocab = embedding.Dims[1]; c.Vocab < 1 || c.Vocab > maxVocab {
		return Weights{}, fmt.Errorf("tensor token_embd.weight has %d rows, want 1 to %d: %w", c.Vocab, maxVocab, ErrBadModel)
	}
	l := &loader{file: f, taken: make(map[string]bool)}
	w := Weights{
		TokenEmbedding: l.matrix("token_embd.weight", c.Vocab, c.Dim),
	}
	if name := fam.outputNorm(); name != noNorm {
		w.OutputNorm = l.norm(name, c.Dim)
	}
	w.Output = w.TokenEmbedding
	if _, ok := f.Tensor("output.weight"); ok {
		w.Output = l.matrix("output.weight", c.Vocab, c.Dim)
	}
	l.ropeFactors(c)
	if fam.extras != nil {
		fam.extras(l, c, &w)
	}
	for i := range c.Layers {
		w.Layers = append(w.Layers, fam.layer(l, c, i))
		if len(l.errs) > 0 {
			break // the same problem in every layer would bury it
		}
	}
	for _, t := range f.Tensors() {
		if len(l.errs) == 0 && !l.taken[t.Name] {
			l.fail("tensor %s is not known in the architecture %q: %w", t.Name, c.Architecture, ErrUnsupported)
		}
	}
	if len(l.errs) == 0 {
		w.numberShapes()
	}
	return w, errors.Join(l.errs...)
}

// normsBehind reports whether any block has a norm behind it.
func (w *Weights) normsBehind() bool {
	for i := range w.Layers {
		if l := &w.Layers[i]; l.MixPostNorm.present() || l.FeedPostNorm.present() || l.Inject != nil {
			return true
		}
	}
	return false
}

// headShape is what attention of a layer needs memory for.
type headShape struct{ headDim, group int }

// numberShapes gives every attention the index of its shape of heads.
func (w *Weights) numberShapes() {
	known := make(map[headShape]int)
	for i := range w.Layers {
		if a := w.Layers[i].Attention; a != nil {
			shape := headShape{a.HeadDim, a.Heads / a.KVHeads}
			if _, ok := known[shape]; !ok {
				known[shape] = len(known)
			}
			a.shape = known[shape]
		}
	}
}

// shapes lists the shapes of heads by their index.
func (w *Weights) shapes() []headShape {
	var out []headShape
	for i := range w.Layers {
		if a := w.Layers[i].Attention; a != nil && a.shape == len(out) {
			out = append(out, headShape{a.HeadDim, a.Heads / a.KVHeads})
		}
	}
	return out
}

// matrices calls visit for every matrix of the model, the output once more if it is tied.
func (w *Weights) matrices(visit func(*Matrix)) {
	visit(&w.TokenEmbedding)
	visit(&w.Output)
	if w.LayerInputs != nil {
		visit(&w.LayerInputs.Embedding)
		visit(&w.LayerInputs.Project)
	}
	if w.Embeddings.Positions.Rows > 0 {
		visit(&w.Embeddings.Positions)
	}
	for i := range w.Dense {
		visit(&w.Dense[i])
	}
	for i := range w.Layers {
		for _, m := range w.Layers[i].matrices() {
			visit(m)
		}
	}
}
