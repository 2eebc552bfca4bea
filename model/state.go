package model

import (
	"errors"
	"fmt"

	"siskin/model/arena"
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
	// Draft: the token may be taken back soon, as those behind it. Where a layer is recurrent, State.Truncate goes back
	// through the last Limits.Drafts of such rows at no cost.
	Draft bool
}

// Limits fixes the size of every buffer of a State.
type Limits struct {
	Rows      int // rows of one pass, at most
	Logits    int // rows of one pass that may want logits, at most Rows
	Sequences int // sequences in the KV cache
	Context   int // positions of one sequence, at most the model's own context
	Positions int // positions of all sequences together, rounded up to whole pages; 0: Context

	// For models with recurrent layers, see recurrent.Limits: rows that can be taken back, and checkpoints of all sequences.
	Drafts, Checkpoints int

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
	arena  *arena.Arena // of all buffers below that place takes
	memory Memory

	x      []float32 // (rows, dim) residual stream
	normal []float32 // (rows, dim) normalised input of a block
	wide   []float32 // (rows, heads, 2*headDim) queries and gates; nil where no layer has gates
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
	mixer     mixer              // of recurrent layers
	divided   bool               // rows of a sequence that follow each other are in several blocks
	entangled bool               // rows of a sequence have rows of others in between, so stretches of one page are not independent
	splits    splitAttention
	stream    streaming
	adapters  adapting

	aheads []kernel.Ahead // (workers) memory of ahead
	phase  phase
}

// NewState allocates a state for m, all of it outside the Go heap but for some kilobytes. The kernels must support every
// format of the model (see Model.Check). Close frees it.
func NewState(m *Model, set *kernel.Set, pool *kernel.Pool, limits Limits) (*State, error) {
	s, err := newState(m, set, limits)
	if err != nil {
		return nil, err
	}
	if err := m.Check(set); err != nil {
		return nil, err
	}
	s.pool = pool
	var counter arena.Arena
	if _, err := s.place(&counter, pool.Workers()); err != nil {
		return nil, err
	}
	if s.arena, err = arena.New(counter.Len()); err != nil {
		return nil, fmt.Errorf("model state: %w", err)
	}
	pages, err := s.place(s.arena, pool.Workers())
	if err != nil {
		return nil, errors.Join(err, s.arena.Close())
	}
	if s.Cache, err = kvcache.NewIn(pages, s.cacheShape(), limits.Sequences); err != nil {
		return nil, errors.Join(fmt.Errorf("model state: %w", err), s.arena.Close())
	}
	for _, shape := range m.Weights.shapes() {
		var attends []*kernel.Attend
		for range pool.Workers() {
			attends = append(attends, s.newAttend(shape))
		}
		s.attends = append(s.attends, attends)
	}
	for i := range s.ones {
		s.ones[i] = 1
	}
	s.wanted, s.rows = make([]int, 0, limits.Logits), make([]Row, 0, limits.Rows)
	s.blocks, s.stretches = make([]rowBlock, 0, limits.Rows), make([]stretch, 0, limits.Rows)
	s.phase.bind(s)
	return s, nil
}

// StateMemory says what NewState would take, without taking it. Its errors are those of NewState for limits.
func (m *Model) StateMemory(set *kernel.Set, workers int, limits Limits) (Memory, error) {
	s, err := newState(m, set, limits)
	if err != nil {
		return Memory{}, err
	}
	var counter arena.Arena
	if _, err := s.place(&counter, workers); err != nil {
		return Memory{}, err
	}
	return s.memory, nil
}

// newState checks the limits and makes a state without buffers.
func newState(m *Model, set *kernel.Set, limits Limits) (*State, error) {
	if limits.Positions == 0 {
		limits.Positions = limits.Context
	}
	if limits.Rows < 1 || limits.Logits < 1 || limits.Logits > limits.Rows || limits.Sequences < 1 ||
		limits.Context < 1 || limits.Positions < limits.Context {
		return nil, fmt.Errorf("model state: limits %+v: rows, logits (at most rows), sequences, context must be positive, positions at least context", limits)
	}
	if limits.Context > m.Config.Context {
		return nil, fmt.Errorf("model state: context %d is more than the %d positions that the model was trained for", limits.Context, m.Config.Context)
	}
	if err := limits.KV.Check(m.Config.HeadDim); err != nil {
		return nil, fmt.Errorf("model state: %w", err)
	}
	return &State{model: m, set: set, limits: limits}, nil
}

func (s *State) cacheShape() kvcache.Shape {
	c := &s.model.Config
	return kvcache.Shape{Layers: c.cacheLayers(), KVHeads: c.KVHeads, HeadDim: c.HeadDim, Format: s.limits.KV}
}

func (s *State) newAttend(shape headShape) *kernel.Attend {
	a := kernel.NewAttend(s.set, s.limits.KV, shape.headDim, min(s.limits.Rows, blockRows)*shape.group)
	a.Cap(s.model.Config.ScoreCap)
	return a
}

// place takes every buffer whose size follows from model and limits from a, notes how much that is, and returns the memory of
// the cache. With an arena that only counts it takes none.
// Its errors are those of shapes that no state can have.
func (s *State) place(a *arena.Arena, workers int) (cache []byte, err error) {
	c, n := &s.model.Config, s.limits.Rows
	pages := (s.limits.Positions + kvcache.PageLen - 1) / kvcache.PageLen
	cache = a.Pages(pages * s.cacheShape().PageBytes())
	s.memory.Cache = int64(a.Len())
	s.logits = a.Floats(s.limits.Logits * c.Vocab)
	s.memory.Logits = int64(a.Len()) - s.memory.Cache

	s.x = a.Floats(n * c.Dim)
	s.normal = a.Floats(n * c.Dim)
	if s.model.Weights.normsBehind() || c.Experts.Count > 0 {
		s.branch = a.Floats(n * c.Dim)
	}
	s.q = a.Floats(n * c.attentionWidth())
	s.k = a.Floats(n * c.kvWidth())
	s.v = a.Floats(n * c.kvWidth())
	s.heads = a.Floats(n * c.attentionWidth())
	s.gate = a.Floats(n * c.FFN)
	if s.model.Weights.LayerInputs != nil {
		s.inputs, s.inputRow = a.Floats(n*c.Layers*c.LayerInput), a.Floats(c.Layers*c.LayerInput)
	}
	s.row = a.Bytes(s.model.Weights.embeddingRowBytes())
	s.ones = a.Floats(c.HeadDim)
	if s.model.Weights.gatedAttention() {
		s.wide = a.Floats(n * 2 * c.attentionWidth())
	}
	s.routing = newRouting(c, n, a)
	s.rotations = newRotations(c.Ropes, s.limits.Context, n, a)
	s.splits = newSplitAttention(c, s.limits.KV, n, a)
	s.phase.place(s, a, workers)
	s.aheads = make([]kernel.Ahead, workers)
	if err := s.newMixer(a, workers); err != nil {
		return nil, fmt.Errorf("model state: %w", err)
	}
	heap := 4 * len(s.splits.left)
	for _, shape := range s.model.Weights.shapes() {
		heap += workers * s.newAttend(shape).Bytes()
	}
	for i := range s.rotations {
		heap += 8 * len(s.rotations[i].freqs)
	}
	if s.mixer.states != nil {
		s.memory.Cache += s.mixer.states.Bytes()
	}
	s.memory.Scratch = int64(a.Len()+heap) - s.memory.Logits - s.memory.Cache
	return cache, nil
}

// Trim gives the memory of cache pages that no sequence holds back to the system, and reports the bytes. They come back as
// sequences grow.
func (s *State) Trim() (bytes int) {
	s.Cache.Free(func(memory []byte) { bytes += s.arena.Release(memory) })
	return bytes
}

// Close frees the state's memory; neither it nor what it returned may be used any more. It may be called again.
func (s *State) Close() error { return s.arena.Close() }

// Limits returns the limits that the state was made with.
func (s *State) Limits() Limits { return s.limits }

// Memory is what a state holds, in bytes. All of it is anonymous memory; the cache is touched only as it fills.
type Memory struct {
	Cache   int64 // keys and values, states of recurrent layers and their checkpoints
	Logits  int64
	Scratch int64 // activations, attention under way, results on their way
}

// Memory returns what the state holds.
func (s *State) Memory() Memory { return s.memory }

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
	if err := s.admitWhole(); err != nil {
		s.withdraw()
		return err
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
