package recurrent

import (
	"fmt"

	"siskin/model/arena"
	"siskin/model/kernel"
)

// Shape is the state of one layer and sequence, the same for all recurrent layers of a model.
type Shape struct {
	Layers   int // recurrent layers
	Channels int // columns of the convolution
	Taps     int // of its kernel: an output is made of the last Taps inputs; at least 2
	Heads    int // matrices; 0: the layer is a convolution and nothing else
	Rows     int // of a matrix: the columns of a value
	Cols     int // of a matrix: the columns of a key
	Groups   int // keys of one token; divides Heads
}

// convLen and matrixLen are the values of one layer's state.
func (s Shape) convLen() int   { return (s.Taps - 1) * s.Channels }
func (s Shape) matrixLen() int { return s.Heads * s.Rows * s.Cols }

// layerLen is the number of values of one layer's state, stateLen of all layers.
func (s Shape) layerLen() int { return s.convLen() + s.matrixLen() }
func (s Shape) stateLen() int { return s.Layers * s.layerLen() }

// logLen is the number of values that are logged for one token and layer: the input of the convolution; decay, update and
// key of the matrices.
func (s Shape) logLen() int { return s.Channels + s.Heads + s.Heads*s.Rows + s.Groups*s.Cols }

// StateBytes is the memory of a sequence's state, and of a checkpoint.
func (s Shape) StateBytes() int { return 4 * s.stateLen() }

// LogBytes is the memory of the log of one token.
func (s Shape) LogBytes() int { return 4 * s.Layers * s.logLen() }

// maxTaps bounds the kernel of a convolution; known models have 3 or 4.
const maxTaps = 16

func (s Shape) check() error {
	if s.Layers < 1 || s.Channels < 1 || s.Taps < 2 || s.Taps > maxTaps || s.Heads < 0 {
		return fmt.Errorf("recurrent state: %+v: layers and channels must be positive, taps 2 to %d", s, maxTaps)
	}
	if s.Heads > 0 && (s.Rows < 1 || s.Cols < 1 || s.Groups < 1 || s.Heads%s.Groups != 0) {
		return fmt.Errorf("recurrent state: %+v: rows, columns and groups must be positive, groups a divisor of heads", s)
	}
	return nil
}

// Limits fixes the memory of a State.
type Limits struct {
	Rows        int // of a pass, at most
	Sequences   int
	Window      int // drafted tokens of a sequence that can be taken back without a checkpoint
	Checkpoints int // of all sequences together
}

// Row is what a State must know of a row of a pass.
type Row struct {
	Seq int
	// Draft: the token may be taken back. It is logged instead of applied, as are those behind it in its sequence.
	Draft bool
}

// State holds the states of some sequences and runs the layers. It belongs to one goroutine.
type State struct {
	shape  Shape
	limits Limits
	set    *kernel.Set
	pool   *kernel.Pool

	sequences   []sequence
	checkpoints []checkpoint
	ticks       uint64 // counts uses of checkpoints

	rows  int     // of the pass under way
	runs  []run   // its rows by sequence
	order []int32 // (rows) run after run

	buffers
}

// sequence is the state of one sequence at the position base, and the inputs of the logged tokens behind it.
type sequence struct {
	state  []float32 // (layers, layerLen): convolution, then matrices
	log    []float32 // (layers, Window, logLen)
	base   int
	logged int
	used   bool // the state may be other than zero
}

// run is the rows of the pass that belong to one sequence.
type run struct {
	seq    int
	start  int // in State.order
	rows   int
	kept   int // rows that are applied to the state; those behind are logged
	replay int // logged tokens that are applied before the first row
}

// New makes the states of empty sequences with memory of a, which is touched only as it is used; workers is the pool's. With an
// arena that only counts, the state must not be used and pool may be nil.
func New(shape Shape, limits Limits, set *kernel.Set, pool *kernel.Pool, workers int, a *arena.Arena) (*State, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	if limits.Rows < 1 || limits.Sequences < 1 || limits.Window < 0 || limits.Checkpoints < 0 {
		return nil, fmt.Errorf("recurrent state: limits %+v: rows and sequences must be positive", limits)
	}
	s := &State{
		shape: shape, limits: limits, set: set, pool: pool,
		sequences:   make([]sequence, limits.Sequences),
		checkpoints: make([]checkpoint, limits.Checkpoints),
		runs:        make([]run, 0, limits.Sequences),
		order:       make([]int32, limits.Rows),
	}
	for i := range s.sequences {
		s.sequences[i].state = a.Floats(shape.stateLen())
		s.sequences[i].log = a.Floats(shape.Layers * limits.Window * shape.logLen())
	}
	for i := range s.checkpoints {
		s.checkpoints[i] = checkpoint{seq: -1, state: a.Floats(shape.stateLen())}
	}
	s.bind(workers, a)
	return s, nil
}

// Shape returns the shape that the state was made with.
func (s *State) Shape() Shape { return s.shape }

// Bytes is the memory of states, logs and checkpoints.
func (s *State) Bytes() int64 {
	return int64(s.limits.Sequences)*int64(s.shape.StateBytes()+s.limits.Window*s.shape.LogBytes()) +
		int64(s.limits.Checkpoints)*int64(s.shape.StateBytes())
}

// Len returns the number of tokens of a sequence.
func (s *State) Len(seq int) int { return s.sequences[seq].base + s.sequences[seq].logged }

// Begin starts a pass: every layer must run once with the same rows, then End. Rows of one sequence are in order.
func (s *State) Begin(rows []Row) {
	s.rows, s.runs = len(rows), s.runs[:0]
	for _, row := range rows {
		r := s.runOf(row.Seq)
		if r == nil {
			q := &s.sequences[row.Seq]
			s.ready(q)
			s.runs = append(s.runs, run{seq: row.Seq, replay: q.logged})
			r = &s.runs[len(s.runs)-1]
		}
		if !row.Draft && r.kept == r.rows {
			r.kept++
		}
		r.rows++
	}
	start := 0
	for i := range s.runs {
		r := &s.runs[i]
		r.kept = max(r.kept, r.rows-s.limits.Window)
		r.start, start = start, start+r.rows
		at := r.start
		for j, row := range rows {
			if row.Seq == r.seq {
				s.order[at] = int32(j)
				at++
			}
		}
	}
}

// rowOf is the row of the pass that is the t-th of a run.
func (s *State) rowOf(r *run, t int) int { return int(s.order[r.start+t]) }

func (s *State) runOf(seq int) *run {
	for i := range s.runs {
		if s.runs[i].seq == seq {
			return &s.runs[i]
		}
	}
	return nil
}

// ready makes the state of an empty sequence zero.
func (s *State) ready(q *sequence) {
	if q.base == 0 && q.used {
		clear(q.state)
	}
	q.used = true
}

// End ends a pass: its rows are part of their sequences.
func (s *State) End() {
	for _, r := range s.runs {
		q := &s.sequences[r.seq]
		q.base += r.replay + r.kept
		q.logged = r.rows - r.kept
	}
	s.runs = s.runs[:0]
}

// convState and matrices are the state of a layer.
func (s *State) convState(q *sequence, layer int) []float32 {
	return q.state[layer*s.shape.layerLen():][:s.shape.convLen()]
}

func (s *State) matrices(q *sequence, layer int) []float32 {
	return q.state[layer*s.shape.layerLen()+s.shape.convLen():][:s.shape.matrixLen()]
}

// entry is what is logged of one token and layer.
type entry struct {
	input  []float32 // (channels) of the convolution
	decay  []float32 // (heads)
	update []float32 // (heads, rows)
	key    []float32 // (groups, cols)
}

func (s *State) entry(q *sequence, layer, token int) entry {
	sh, n := &s.shape, s.shape.logLen()
	e := q.log[(layer*s.limits.Window+token)*n:][:n]
	decay, update, key := sh.Channels, sh.Channels+sh.Heads, sh.Channels+sh.Heads+sh.Heads*sh.Rows
	return entry{input: e[:decay], decay: e[decay:update], update: e[update:key], key: e[key:]}
}
