package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"siskin/model/gguf"
	"siskin/model/quant"
)

// loader takes tensors by name, checks their shapes, and remembers which were taken. Its methods are the blocks that the
// families' files are made of.
type loader struct {
	file  *gguf.File
	taken map[string]bool
	errs  []error
}

func (l *loader) fail(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

func (l *loader) has(name string) bool {
	_, ok := l.file.Tensor(name)
	return ok
}

// matrix takes the tensor name with the given shape; GGUF lists the columns first.
func (l *loader) matrix(name string, rows, cols int) Matrix { return l.stack(name, rows, cols) }

// stack is matrix for a tensor of one matrix (rows, cols) behind the other, as many as count says; their rows are numbered
// through.
func (l *loader) stack(name string, rows, cols int, count ...int) Matrix {
	t, ok := l.file.Tensor(name)
	if !ok {
		l.fail("tensor %s is missing: %w", name, ErrBadModel)
		return Matrix{}
	}
	l.taken[name] = true
	want := append([]int{cols, rows}, count...)
	same := len(t.Dims) == len(want)
	for i := range want {
		same = same && t.Dims[i] == want[i]
	}
	if !same {
		l.fail("tensor %s has the shape %v, want %v: %w", name, t.Dims, want, ErrBadModel)
		return Matrix{}
	}
	rowBytes, err := t.Type.RowBytes(cols)
	if err != nil {
		l.fail("tensor %s: %w", name, errors.Join(err, ErrBadModel))
	}
	for _, n := range count {
		rows *= n
	}
	return Matrix{Name: name, Type: t.Type, Rows: rows, Cols: cols, Data: t.Data, rowBytes: rowBytes, total: rows}
}

// vector takes a tensor of n values as float32.
func (l *loader) vector(name string, n int) []float32 {
	return l.values(name, n)
}

// values takes a tensor of the given dimensions, columns first, as float32.
func (l *loader) values(name string, dims ...int) []float32 {
	t, ok := l.file.Tensor(name)
	if !ok {
		l.fail("tensor %s is missing: %w", name, ErrBadModel)
		return nil
	}
	l.taken[name] = true
	if !slices.Equal(t.Dims, dims) {
		l.fail("tensor %s has the shape %v, want %v: %w", name, t.Dims, dims, ErrBadModel)
		return nil
	}
	n := 1
	for _, d := range dims {
		n *= d
	}
	out := make([]float32, n)
	if err := quant.Dequantize(t.Type, out, t.Data); err != nil {
		l.fail("tensor %s: %w", name, errors.Join(err, ErrUnsupported))
	}
	return out
}

// optional is vector for a tensor that may be absent; then nil.
func (l *loader) optional(name string, n int) []float32 {
	if !l.has(name) {
		return nil
	}
	return l.vector(name, n)
}

// leave marks tensors as known that may be there and are not used: layers of Gemma 4 that share keys and values have
// projections all the same.
func (l *loader) leave(names ...string) {
	for _, name := range names {
		l.taken[name] = true
	}
}

// norm takes name.weight, and name.bias if there is one.
func (l *loader) norm(name string, n int) Norm {
	return Norm{Weight: l.vector(name+".weight", n), Bias: l.optional(name+".bias", n)}
}

// block is the prefix of the names of layer i.
func block(i int) string { return fmt.Sprintf("blk.%d.", i) }

// attention takes the four projections of layer i with the biases that are there. A layer that shares keys and values has
// no projections for them.
func (l *loader) attention(c *Config, i int) *Attention {
	p, a := block(i), &Attention{LayerConfig: c.PerLayer[i]}
	q, kv := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	switch {
	case l.has(p + "attn_qkv.weight"):
		l.fusedAttention(a, c.Dim, i)
	default:
		a.Q, a.QBias = l.matrix(p+"attn_q.weight", q, c.Dim), l.optional(p+"attn_q.bias", q)
		if a.Shared {
			l.leave(p+"attn_k.weight", p+"attn_v.weight", p+"attn_k_norm.weight")
			break
		}
		a.K, a.KBias = l.matrix(p+"attn_k.weight", kv, c.Dim), l.optional(p+"attn_k.bias", kv)
		if l.has(p+"attn_v.weight") || !c.keysAreValues {
			a.V, a.VBias = l.matrix(p+"attn_v.weight", kv, c.Dim), l.optional(p+"attn_v.bias", kv)
		}
	}
	a.O, a.OBias = l.matrix(p+"attn_output.weight", c.Dim, q), l.optional(p+"attn_output.bias", c.Dim)
	return a
}

// fusedAttention takes the three projections from one tensor: queries, keys, values.
func (l *loader) fusedAttention(a *Attention, dim, i int) {
	q, kv := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	all := l.matrix(block(i)+"attn_qkv.weight", q+2*kv, dim)
	bias := l.optional(block(i)+"attn_qkv.bias", q+2*kv)
	if all.Rows == 0 {
		return
	}
	a.Q, a.K, a.V = all.part(0, q), all.part(q, q+kv), all.part(q+kv, q+2*kv)
	if bias != nil {
		a.QBias, a.KBias, a.VBias = bias[:q], bias[q:q+kv], bias[q+kv:]
	}
}

// headNorms takes the norms of queries and keys, of each head or of all together.
func (l *loader) headNorms(a *Attention, i int, wide bool) {
	q, k := a.HeadDim, a.HeadDim
	if wide {
		q, k = a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	}
	a.QNorm = l.vector(block(i)+"attn_q_norm.weight", q)
	if !a.Shared {
		a.KNorm = l.vector(block(i)+"attn_k_norm.weight", k)
	}
}

// gated takes the three matrices of a unit of layer i that is gated by SiLU, with the biases that are there. Where ffn_up has twice the rows,
// the gate is its first half.
func (l *loader) gated(c *Config, i int) *Feed {
	p, ffn := block(i), c.PerLayer[i].FFN
	f := &Feed{Activation: SiLU}
	if t, ok := l.file.Tensor(p + "ffn_up.weight"); ok && !l.has(p+"ffn_gate.weight") && t.Rows() == 2*ffn {
		if both := l.matrix(t.Name, 2*ffn, c.Dim); both.Rows > 0 {
			f.Gate, f.Up = both.part(0, ffn), both.part(ffn, 2*ffn)
		}
	} else {
		f.Gate, f.GateBias = l.matrix(p+"ffn_gate.weight", ffn, c.Dim), l.optional(p+"ffn_gate.bias", ffn)
		f.Up, f.UpBias = l.matrix(p+"ffn_up.weight", ffn, c.Dim), l.optional(p+"ffn_up.bias", ffn)
	}
	f.Down, f.DownBias = l.matrix(p+"ffn_down.weight", c.Dim, ffn), l.optional(p+"ffn_down.bias", c.Dim)
	return f
}

// experts takes the router and the experts of layer i.
func (l *loader) experts(c *Config, i int, act Activation) *Experts {
	p, x := block(i), &c.Experts
	e := &Experts{Router: l.matrix(p+"ffn_gate_inp.weight", x.Count, c.Dim), Each: make([]Feed, x.Count)}
	gate := l.stack(p+"ffn_gate_exps.weight", x.FFN, c.Dim, x.Count)
	up := l.stack(p+"ffn_up_exps.weight", x.FFN, c.Dim, x.Count)
	down := l.stack(p+"ffn_down_exps.weight", c.Dim, x.FFN, x.Count)
	if x.Shared > 0 {
		e.Shared = &Feed{
			Activation: act,
			Gate:       l.matrix(p+"ffn_gate_shexp.weight", x.Shared, c.Dim),
			Up:         l.matrix(p+"ffn_up_shexp.weight", x.Shared, c.Dim),
			Down:       l.matrix(p+"ffn_down_shexp.weight", c.Dim, x.Shared),
		}
	}
	if len(l.errs) > 0 {
		return e
	}
	for j := range e.Each {
		e.Each[j] = Feed{
			Activation: act,
			Gate:       gate.part(j*x.FFN, (j+1)*x.FFN),
			Up:         up.part(j*x.FFN, (j+1)*x.FFN),
			Down:       down.part(j*c.Dim, (j+1)*c.Dim),
		}
	}
	return e
}

// ropeFactors takes the divisors of the angles, if there are some. They are of the layers whose window is the whole context.
func (l *loader) ropeFactors(c *Config) {
	r := &c.Ropes[0]
	r.Factors = l.factors("rope_freqs.weight", r.Dim/2)
	if short := l.factors("rope_factors_short.weight", r.Dim/2); short != nil {
		r.Factors = short
	}
	r.LongFactors = l.factors("rope_factors_long.weight", r.Dim/2)
}

func (l *loader) factors(name string, n int) []float32 {
	out := l.optional(name, n)
	if i := badFactor(out); i >= 0 {
		l.fail("%s: factor %d is %g, want a positive number: %w", name, i, out[i], ErrBadModel)
	}
	return out
}

// skip takes all tensors whose names begin with prefix and does nothing with them.
func (l *loader) skip(prefix string) {
	for _, t := range l.file.Tensors() {
		if strings.HasPrefix(t.Name, prefix) {
			l.taken[t.Name] = true
		}
	}
}
