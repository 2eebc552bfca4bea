package model

import (
	"errors"
	"fmt"

	"siskin/model/gguf"
	"siskin/model/quant"
)

// Layer holds the weights of one transformer block; shapes are (rows, cols).
type Layer struct {
	AttnNorm []float32 // (dim)
	Q        Matrix    // (heads*headDim, dim)
	K, V     Matrix    // (kvHeads*headDim, dim)
	O        Matrix    // (dim, heads*headDim)
	FFNNorm  []float32 // (dim)
	Gate, Up Matrix    // (ffn, dim)
	Down     Matrix    // (dim, ffn)
}

// Weights are the tensors of a model. Matrices refer to the mapping; the norms, a few hundred kilobytes at most, are
// converted to float32 once.
type Weights struct {
	TokenEmbedding Matrix    // (vocab, dim)
	OutputNorm     []float32 // (dim)
	Output         Matrix    // (vocab, dim); the token embedding where the file has no output.weight
	RopeFactors    []float32 // (ropeDim/2) divisors of the rotation frequencies, or nil
	Layers         []Layer
}

// loader takes tensors by name, checks their shapes, and remembers which were taken.
type loader struct {
	file  *gguf.File
	taken map[string]bool
	errs  []error
}

func (l *loader) fail(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

// matrix takes the tensor name with the given shape; GGUF lists the columns first.
func (l *loader) matrix(name string, rows, cols int) Matrix {
	t, ok := l.file.Tensor(name)
	if !ok {
		l.fail("tensor %s is missing: %w", name, ErrBadModel)
		return Matrix{}
	}
	l.taken[name] = true
	if len(t.Dims) != 2 || t.Dims[0] != cols || t.Dims[1] != rows {
		l.fail("tensor %s has the shape %v, want [%d %d]: %w", name, t.Dims, cols, rows, ErrBadModel)
		return Matrix{}
	}
	rowBytes, err := t.Type.RowBytes(cols)
	if err != nil {
		l.fail("tensor %s: %w", name, errors.Join(err, ErrBadModel))
	}
	return Matrix{Name: name, Type: t.Type, Rows: rows, Cols: cols, Data: t.Data, rowBytes: rowBytes}
}

// vector takes a tensor of n values as float32.
func (l *loader) vector(name string, n int) []float32 {
	t, ok := l.file.Tensor(name)
	if !ok {
		l.fail("tensor %s is missing: %w", name, ErrBadModel)
		return nil
	}
	l.taken[name] = true
	if len(t.Dims) != 1 || t.Dims[0] != n {
		l.fail("tensor %s has the shape %v, want [%d]: %w", name, t.Dims, n, ErrBadModel)
		return nil
	}
	out := make([]float32, n)
	if err := quant.Dequantize(t.Type, out, t.Data); err != nil {
		l.fail("tensor %s: %w", name, errors.Join(err, ErrUnsupported))
	}
	return out
}

// optional is vector for a tensor that may be absent; then nil.
func (l *loader) optional(name string, n int) []float32 {
	if _, ok := l.file.Tensor(name); !ok {
		return nil
	}
	return l.vector(name, n)
}

// readWeights takes the tensors of the architecture from the file. A tensor that is missing, of another shape, or of no
// meaning to the architecture is an error: running without it would give fluent nonsense.
func readWeights(f *gguf.File, c *Config) (Weights, error) {
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
		OutputNorm:     l.vector("output_norm.weight", c.Dim),
		RopeFactors:    l.optional("rope_freqs.weight", c.RopeDim/2),
	}
	w.Output = w.TokenEmbedding
	if _, ok := f.Tensor("output.weight"); ok {
		w.Output = l.matrix("output.weight", c.Vocab, c.Dim)
	}
	for i := range c.Layers {
		w.Layers = append(w.Layers, l.layer(fmt.Sprintf("blk.%d.", i), c))
		if len(l.errs) > 0 {
			break // the same problem in every layer would bury it
		}
	}
	for _, t := range f.Tensors() {
		if len(l.errs) == 0 && !l.taken[t.Name] {
			l.fail("tensor %s is not known in the architecture %q: %w", t.Name, c.Architecture, ErrUnsupported)
		}
	}
	for i, f := range w.RopeFactors {
		if !(f > 0) {
			l.fail("rope_freqs.weight: factor %d is %g, want a positive number: %w", i, f, ErrBadModel)
			break
		}
	}
	return w, errors.Join(l.errs...)
}

func (l *loader) layer(prefix string, c *Config) Layer {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	return Layer{
		AttnNorm: l.vector(prefix+"attn_norm.weight", c.Dim),
		Q:        l.matrix(prefix+"attn_q.weight", q, c.Dim),
		K:        l.matrix(prefix+"attn_k.weight", kv, c.Dim),
		V:        l.matrix(prefix+"attn_v.weight", kv, c.Dim),
		O:        l.matrix(prefix+"attn_output.weight", c.Dim, q),
		FFNNorm:  l.vector(prefix+"ffn_norm.weight", c.Dim),
		Gate:     l.matrix(prefix+"ffn_gate.weight", c.FFN, c.Dim),
		Up:       l.matrix(prefix+"ffn_up.weight", c.FFN, c.Dim),
		Down:     l.matrix(prefix+"ffn_down.weight", c.Dim, c.FFN),
	}
}

// matrices calls visit for every matrix of the model, the output once more if it is tied.
func (w *Weights) matrices(visit func(*Matrix)) {
	visit(&w.TokenEmbedding)
	visit(&w.Output)
	for i := range w.Layers {
		for _, m := range w.Layers[i].matrices() {
			visit(m)
		}
	}
}

// matrices lists the matrices of a layer in the order in which a pass reads them.
func (l *Layer) matrices() []*Matrix {
	return []*Matrix{&l.Q, &l.K, &l.V, &l.O, &l.Gate, &l.Up, &l.Down}
}
