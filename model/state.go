package model

import (
	"errors"
	"fmt"
	"slices"

	"siskin/model/kernel"
	"siskin/model/kvcache"
)

// Row is one token of a pass: the smallest piece of work. A pass takes rows of any number of sequences, so batching,
// prefill in chunks and the check of drafted tokens are the same call.
type Row struct {
	Seq    int   // sequence in the KV cache, [0, Limits.Sequences)
	Pos    int   // position in the sequence: the number of tokens before this one
	Token  int32 // id, [0, Config.Vocab)
	Logits bool  // whether the pass computes logits for this row
}

// Limits fixes the size of every buffer of a State.
type Limits struct {
	Rows      int // rows of one pass, at most
	Logits    int // rows of one pass that may want logits, at most Rows
	Sequences int // sequences in the KV cache
	Context   int // positions of one sequence, at most the model's own context
	Positions int // positions of all sequences together, rounded up to whole pages; 0: Context

	KV kvcache.Format // how keys and values are kept; F16 wants a head size that is a multiple of 8
}

// Errors of running; test with errors.Is.
var (
	// ErrRow is wrapped when a row of a pass is out of range or out of order.
	ErrRow = errors.New("bad row")
	// ErrContext is wrapped when a sequence would grow beyond Limits.Context.
	ErrContext = errors.New("context is full")
)

// State is everything that a pass writes: activations, KV cache, logits. All of it is allocated once, by NewState; a
// pass allocates nothing. A State belongs to one goroutine.
type State struct {
	Cache *kvcache.Cache

	model  *Model
	set    *kernel.Set
	pool   *kernel.Pool
	limits Limits

	x      []float32 // (rows, dim) residual stream
	normal []float32 // (rows, dim) normalised input of a block
	branch []float32 // (rows, dim) result of a block on its way to the norm behind it; nil where none needs it
	q      []float32 // (rows, heads*headDim) queries
	k, v   []float32 // (rows, kvHeads*headDim) keys and values of this pass
	heads  []float32 // (rows, heads*headDim) attention output
	gate   []float32 // (rows, ffn) gate, then gate*up
	inputs []float32 // (rows, layers, LayerInput) inputs of the layers' Inject, or nil
	logits []float32 // (limits.Logits, vocab)
	wanted []int     // rows that want logits, in order
	rows   []Row     // the rows of the pass under way

	row       []byte    // one row of the embedding, when it is read from a packed matrix
	inputRow  []float32 // (layers*LayerInput) one row of the second embedding
	routing   routing
	ones      []float32          // (headDim) weights of a norm without weights
	rotations []rotation         // (Config.Ropes)
	attends   [][]*kernel.Attend // (shapes of heads, workers) attention under way
	blocks    []rowBlock         // (at most rows) the rows of the pass in pieces that share keys and values
	stretches []stretch          // (at most rows) the rows of the pass by sequence and page
	entangled bool               // rows of a sequence have rows of others in between, so stretches of one page are not independent
	splits    splitAttention

	phase phase
}

// NewState allocates a state for m. The kernels must support every format of the model (see Model.Check).
func NewState(m *Model, set *kernel.Set, pool *kernel.Pool, limits Limits) (*State, error) {
	c := &m.Config
	if limits.Positions == 0 {
		limits.Positions = limits.Context
	}
	if limits.Rows < 1 || limits.Logits < 1 || limits.Logits > limits.Rows || limits.Sequences < 1 ||
		limits.Context < 1 || limits.Positions < limits.Context {
		return nil, fmt.Errorf("model state: limits %+v: rows, logits (at most rows), sequences, context must be positive, positions at least context", limits)
	}
	if limits.Context > c.Context {
		return nil, fmt.Errorf("model state: context %d is more than the %d positions that the model was trained for", limits.Context, c.Context)
	}
	if err := m.Check(set); err != nil {
		return nil, err
	}
	pages := (limits.Positions + kvcache.PageLen - 1) / kvcache.PageLen
	shape := kvcache.Shape{Layers: c.cacheLayers(), KVHeads: c.KVHeads, HeadDim: c.HeadDim, Format: limits.KV}
	cache, err := kvcache.New(shape, pages, limits.Sequences)
	if err != nil {
		return nil, fmt.Errorf("model state: %w", err)
	}
	n := limits.Rows
	s := &State{
		Cache: cache, model: m, set: set, pool: pool, limits: limits,
		x:         make([]float32, n*c.Dim),
		normal:    make([]float32, n*c.Dim),
		q:         make([]float32, n*c.attentionWidth()),
		k:         make([]float32, n*c.kvWidth()),
		v:         make([]float32, n*c.kvWidth()),
		heads:     make([]float32, n*c.attentionWidth()),
		gate:      make([]float32, n*c.FFN),
		logits:    make([]float32, limits.Logits*c.Vocab),
		wanted:    make([]int, 0, limits.Logits),
		rows:      make([]Row, 0, n),
		row:       make([]byte, m.Weights.TokenEmbedding.rowBytes),
		routing:   newRouting(c, n),
		ones:      slices.Repeat([]float32{1}, c.HeadDim),
		rotations: newRotations(c.Ropes, limits.Context, n),
		blocks:    make([]rowBlock, 0, n),
		stretches: make([]stretch, 0, n),
		splits:    newSplitAttention(c, limits.KV, n),
	}
	if m.Weights.normsBehind() || c.Experts.Count > 0 {
		s.branch = make([]float32, n*c.Dim)
	}
	if in := m.Weights.LayerInputs; in != nil {
		s.inputs, s.inputRow = make([]float32, n*c.Layers*c.LayerInput), make([]float32, c.Layers*c.LayerInput)
		s.row = make([]byte, max(len(s.row), in.Embedding.rowBytes))
	}
	for _, shape := range m.Weights.shapes() {
		var attends []*kernel.Attend
		for range pool.Workers() {
			a := kernel.NewAttend(set, limits.KV, shape.headDim, min(n, blockRows)*shape.group)
			a.Cap(c.ScoreCap)
			attends = append(attends, a)
		}
		s.attends = append(s.attends, attends)
	}
	s.phase.bind(s)
	return s, nil
}

// Limits returns the limits that the state was made with.
func (s *State) Limits() Limits { return s.limits }

// Memory is what a state holds, in bytes. All of it is anonymous memory; the cache is touched only as it fills.
type Memory struct {
	Cache   int64 // keys and values
	Logits  int64
	Scratch int64 // activations, attention under way, results on their way
}

// Memory returns what the state holds.
func (s *State) Memory() Memory {
	floats := len(s.x) + len(s.normal) + len(s.branch) + len(s.q) + len(s.k) + len(s.v) + len(s.heads) + len(s.gate) + len(s.inputs)
	attends := 4*(len(s.splits.memory)+len(s.splits.left)) + s.routing.bytes()
	for _, shape := range s.attends {
		for _, a := range shape {
			attends += a.Bytes()
		}
	}
	for i := range s.rotations {
		attends += s.rotations[i].bytes()
	}
	return Memory{
		Cache:   int64(s.Cache.Capacity()) * int64(s.Cache.Shape().PositionBytes()),
		Logits:  4 * int64(len(s.logits)),
		Scratch: 4*int64(floats) + int64(s.phase.bytes()+attends+len(s.row)),
	}
}

// Logits returns the logits (vocab) of the i-th row of the last pass that wanted them. They are valid, and may be
// changed, until the next pass.
func (s *State) Logits(i int) []float32 {
	vocab := s.model.Config.Vocab
	return s.logits[i*vocab : (i+1)*vocab : (i+1)*vocab]
}

// admit checks the rows of a pass and extends the sequences; on error nothing has changed.
func (s *State) admit(rows []Row) error {
	if len(rows) == 0 || len(rows) > s.limits.Rows {
		return fmt.Errorf("pass of %d rows: want 1 to %d: %w", len(rows), s.limits.Rows, ErrRow)
	}
	s.rows, s.wanted = s.rows[:0], s.wanted[:0]
	for i, row := range rows {
		if err := s.admitRow(row); err != nil {
			s.withdraw()
			return fmt.Errorf("row %d of %d (sequence %d, position %d, token %d): %w",
				i, len(rows), row.Seq, row.Pos, row.Token, err)
		}
		s.rows = append(s.rows, row)
		if row.Logits {
			s.wanted = append(s.wanted, i)
		}
	}
	return nil
}

func (s *State) admitRow(row Row) error {
	switch {
	case row.Seq < 0 || row.Seq >= s.limits.Sequences:
		return fmt.Errorf("want a sequence below %d: %w", s.limits.Sequences, ErrRow)
	case row.Token < 0 || int(row.Token) >= s.model.Config.Vocab:
		return fmt.Errorf("want a token below %d: %w", s.model.Config.Vocab, ErrRow)
	case row.Pos != s.Cache.Len(row.Seq):
		return fmt.Errorf("the next position of the sequence is %d: %w", s.Cache.Len(row.Seq), ErrRow)
	case row.Pos >= s.limits.Context:
		return fmt.Errorf("%d positions: %w", s.limits.Context, ErrContext)
	case row.Logits && len(s.wanted) == s.limits.Logits:
		return fmt.Errorf("more than %d rows want logits: %w", s.limits.Logits, ErrRow)
	}
	return s.Cache.Extend(row.Seq, 1)
}

// withdraw takes back what admit has extended.
func (s *State) withdraw() {
	for i := len(s.rows) - 1; i >= 0; i-- {
		if err := s.Cache.Truncate(s.rows[i].Seq, s.rows[i].Pos); err != nil {
			panic("model: withdraw: " + err.Error()) // admit has just extended this very sequence
		}
	}
	s.rows = s.rows[:0]
}
