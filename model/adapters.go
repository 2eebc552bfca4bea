package model

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"siskin/model/lora"
)

// Adapted is an adapter in use by a sequence: what it adds is multiplied by Scale, for the positions from From on.
type Adapted struct {
	Adapter *lora.Adapter
	Scale   float32
	From    int
}

// MaxAdapters is how many adapters a sequence may have at a time.
const MaxAdapters = 8

// ErrAdapter is wrapped when an adapter does not fit the model or a sequence.
var ErrAdapter = errors.New("adapter does not fit")

// CheckAdapter reports whether an adapter fits the model: its architecture, and the shape of every matrix that it adds to.
func (m *Model) CheckAdapter(a *lora.Adapter) error {
	if a.Architecture != m.Config.Architecture {
		return fmt.Errorf("it is for the architecture %q, the model is %q: %w", a.Architecture, m.Config.Architecture, ErrAdapter)
	}
	shapes := make(map[string][3]int) // of the tensors that products read: rows and columns of a matrix, matrices
	m.Weights.matrices(func(w *Matrix) { shapes[w.Name] = [3]int{w.total, w.Cols, 1} })
	for i := range m.Weights.Layers {
		if e := m.Weights.Layers[i].Experts; e != nil {
			for j := range e.Each {
				for _, w := range e.Each[j].matrices() {
					shapes[w.Name] = [3]int{w.Rows, w.Cols, len(e.Each)}
				}
			}
		}
	}
	for _, name := range a.Names() {
		p := a.Pairs[name]
		shape, ok := shapes[name]
		if !ok {
			return fmt.Errorf("it adds to %s, which the model does not have: %w", name, ErrAdapter)
		}
		rows, cols := p.B.Rows, p.A.Cols
		if name == lora.Embedding {
			rows, cols = p.A.Rows, p.B.Rows
		}
		if want := [3]int{rows, cols, p.Count}; shape != want {
			return fmt.Errorf("what it adds to %s has the shape %v (rows, columns, experts), the tensor has %v: %w", name, want, shape, ErrAdapter)
		}
	}
	for _, id := range a.Invocation {
		if int(id) >= m.Config.Vocab {
			return fmt.Errorf("its invocation token %d is not in the vocabulary of %d: %w", id, m.Config.Vocab, ErrAdapter)
		}
	}
	return nil
}

// adapting is what a pass does with adapters.
type adapting struct {
	sets [][]Adapted // by sequence

	// Of the pass under way:
	list    []*lora.Adapter // in use by any row, in order of their digests, so that a sum does not depend on how they were named
	scale   []float32       // (list, stride) asked for; 0: the row does without
	stride  int             // rows that scale has
	rows    []int           // (rows) of the region under way: which rows of scale they are; nil: the same
	pairs   []*lora.Pair    // (factors of the region, list); nil: nothing is added
	inner   []float32       // (factors of the region, list, rows, rank) A·x
	rank    int             // the largest of list
	scratch []float32       // (workers, adaptRows) B·A·x of a row
	used    []int32         // places of pairs that are not nil
	expert  []int32         // (used) which matrix of the pair is meant
	task    func(worker, i int)
}

const (
	// factorsOf each product of a region: its matrix, and the second one of a gated unit.
	factorsOf = 2
	// adaptRows is how many matrix rows are added to at once.
	adaptRows = 256
)

// Adapt lets a sequence use adapters from the next pass on; none turns all off. What the sequence holds already was computed as it
// was: to start anew is the caller's business. It must have been checked with Model.CheckAdapter. No pass may be under way.
func (s *State) Adapt(seq int, set []Adapted) error {
	if seq < 0 || seq >= s.limits.Sequences || len(set) > MaxAdapters {
		return fmt.Errorf("%d adapters for sequence %d, want at most %d for one below %d: %w", len(set), seq, MaxAdapters, s.limits.Sequences, ErrAdapter)
	}
	a := &s.adapters
	if a.sets == nil {
		if len(set) == 0 {
			return nil
		}
		a.sets = make([][]Adapted, s.limits.Sequences)
		a.scratch = make([]float32, s.pool.Workers()*adaptRows)
		a.task = s.innerProduct
	}
	a.sets[seq] = append(a.sets[seq][:0], set...)
	most, rank := 0, 0
	for _, of := range a.sets {
		most += len(of)
		for _, one := range of {
			rank = max(rank, one.Adapter.Rank())
		}
	}
	a.rank = rank
	factors := maxProducts * factorsOf * most
	a.pairs, a.used, a.expert = slices.Grow(a.pairs[:0], factors), slices.Grow(a.used[:0], factors), slices.Grow(a.expert[:0], factors)
	a.scale = slices.Grow(a.scale[:0], most*s.limits.Rows)
	a.inner = slices.Grow(a.inner[:0], factors*s.limits.Rows*rank)
	a.list = slices.Grow(a.list[:0], most)
	return nil
}

// begin collects the adapters of the rows of a pass.
func (a *adapting) begin(rows []Row) {
	a.list = a.list[:0]
	if a.sets == nil {
		return
	}
	for _, row := range rows {
		for _, one := range a.sets[row.Seq] {
			if row.Pos >= one.From && one.Scale != 0 && !slices.Contains(a.list, one.Adapter) {
				a.list = append(a.list, one.Adapter)
			}
		}
	}
	slices.SortFunc(a.list, func(x, y *lora.Adapter) int { return bytes.Compare(x.Digest[:], y.Digest[:]) })
	a.stride, a.rows = len(rows), nil
	a.scale = a.scale[:len(a.list)*len(rows)]
	clear(a.scale)
	for i, row := range rows {
		for _, one := range a.sets[row.Seq] {
			if row.Pos >= one.From {
				if k := slices.Index(a.list, one.Adapter); k >= 0 {
					a.scale[k*len(rows)+i] = one.Scale
				}
			}
		}
	}
}

// keepRows follows the head, which moves the rows that want logits to the front.
func (a *adapting) keepRows(wanted []int, rows int) {
	for k := range a.list {
		for to, from := range wanted {
			a.scale[k*len(wanted)+to] = a.scale[k*rows+from]
		}
	}
	a.stride = len(wanted)
}

// adaptRegion computes A·x of every adapter for the products of a region whose input is ready.
func (s *State) adaptRegion() {
	a, p := &s.adapters, &s.phase
	if len(a.list) == 0 {
		return
	}
	a.pairs, a.used, a.expert = a.pairs[:p.count*factorsOf*len(a.list)], a.used[:0], a.expert[:0]
	for i := range p.count {
		for second, w := range [factorsOf]*Matrix{p.products[i].w, p.products[i].up} {
			for k, adapter := range a.list {
				at := (i*factorsOf+second)*len(a.list) + k
				a.pairs[at] = nil
				if w == nil || w.Name == lora.Embedding { // a tied output is not that of a language model head's adapter
					continue
				}
				pair := adapter.Pairs[w.Name]
				if a.pairs[at] = pair; pair != nil {
					a.used = append(a.used, int32(at))
					expert := 0
					if pair.Count > 1 {
						expert = w.first / pair.B.Rows
					}
					a.expert = append(a.expert, int32(expert))
				}
			}
		}
	}
	a.inner = a.inner[:len(a.pairs)*len(s.rows)*a.rank]
	if len(s.rows) <= serialRows {
		for i := range a.used {
			a.task(0, i)
		}
		return
	}
	s.pool.Run(len(a.used), a.task)
}

// innerProduct is A·x of one pair for all rows.
func (s *State) innerProduct(_, i int) {
	a, n := &s.adapters, len(s.rows)
	at := int(a.used[i])
	f, expert := &a.pairs[at].A, int(a.expert[i])
	s.set.Float(f.Type)(a.inner[at*n*a.rank:], f.Rows, f.Slice(expert*f.Rows, (expert+1)*f.Rows), f.Rows, f.Cols, s.phase.x[:n*f.Cols], n)
}

// adapt adds what the adapters have for rows [from, to) of a matrix to the products with it.
func (s *State) adapt(worker, factor int, w *Matrix, from, to int, dst []float32, dstStride int) {
	a, n := &s.adapters, len(s.rows)
	for k, adapter := range a.list {
		at := factor*len(a.list) + k
		pair := a.pairs[at]
		if pair == nil {
			continue
		}
		multiply, tmp := s.set.Float(pair.B.Type), a.scratch[worker*adaptRows:(worker+1)*adaptRows]
		for i := range n {
			asked := a.asked(k, i)
			if asked == 0 {
				continue
			}
			x, by := a.inner[(at*n*a.rank)+i*pair.Rank:][:pair.Rank], adapter.Scale(pair, asked)
			for first := from; first < to; first += adaptRows {
				last := min(to, first+adaptRows)
				multiply(tmp, last-first, pair.B.Slice(w.first+first, w.first+last), last-first, pair.Rank, x, 1)
				add := dst[i*dstStride+first-from:][:last-first]
				for j := range add {
					add[j] += float32(by * tmp[j])
				}
			}
		}
	}
}

// asked is the scale of adapter k for row i of the region under way.
func (a *adapting) asked(k, i int) float32 {
	if a.rows != nil {
		i = a.rows[i]
	}
	return a.scale[k*a.stride+i]
}

// adaptEmbedding adds to the embedding of a row, x (dim), what its adapters have for the token.
func (s *State) adaptEmbedding(row int, token int32, x []float32) {
	a := &s.adapters
	for k, adapter := range a.list {
		pair, asked := adapter.Pairs[lora.Embedding], a.asked(k, row)
		if pair == nil || asked == 0 {
			continue
		}
		inner, by := a.inner[:pair.Rank], adapter.Scale(pair, asked)
		pair.A.Row(inner, int(token))
		for first := 0; first < len(x); first += adaptRows {
			last := min(len(x), first+adaptRows)
			tmp := a.scratch[:last-first]
			s.set.Float(pair.B.Type)(tmp, last-first, pair.B.Slice(first, last), last-first, pair.Rank, inner, 1)
			for j, v := range tmp {
				x[first+j] += float32(by * v)
			}
		}
	}
}

// Invoked returns the position from which an adapter is active in a sequence of tokens: 0, or that of the last occurrence of its
// invocation tokens; false if they do not occur.
func Invoked(a *lora.Adapter, tokens []int32) (from int, ok bool) {
	n := len(a.Invocation)
	if n == 0 {
		return 0, true
	}
	for i := len(tokens) - n; i >= 0; i-- {
		if slices.Equal(tokens[i:i+n], a.Invocation) {
			return i, true
		}
	}
	return 0, false
}

// SameAdapters returns the number of positions for which two sets give the same keys and values: all of them, or those before the
// first position at which they differ. Sets are compared by what is in the adapters.
func SameAdapters(a, b []Adapted) int {
	const all = int(^uint(0) >> 1)
	if len(a) == len(b) && slices.EqualFunc(sorted(a), sorted(b), func(x, y Adapted) bool {
		return x.Adapter.Digest == y.Adapter.Digest && x.Scale == y.Scale && x.From == y.From
	}) {
		return all
	}
	from := all
	for _, one := range slices.Concat(a, b) {
		if one.Scale != 0 {
			from = min(from, one.From)
		}
	}
	return from
}

func sorted(set []Adapted) []Adapted {
	return slices.SortedFunc(slices.Values(set), func(x, y Adapted) int {
		return cmp.Or(bytes.Compare(x.Adapter.Digest[:], y.Adapter.Digest[:]), cmp.Compare(x.From, y.From), cmp.Compare(x.Scale, y.Scale))
	})
}
