package recurrent_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"siskin/model/arena"
	"siskin/model/kernel"
	"siskin/model/recurrent"
)

// rig feeds tokens of several sequences to both layers of a State.
type rig struct {
	t testing.TB
	layer
	state *recurrent.State
}

func newRig(t testing.TB, l layer, set *kernel.Set, workers int, limits recurrent.Limits) *rig {
	t.Helper()
	pool := kernel.NewPool(workers)
	t.Cleanup(pool.Close)
	var counter arena.Arena
	if _, err := recurrent.New(l.shape, limits, set, nil, workers, &counter); err != nil {
		t.Fatal(err)
	}
	memory, err := arena.New(counter.Len())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := recurrent.New(l.shape, limits, set, pool, workers, memory)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, l, s}
}

// input of a token is noise that depends on layer, sequence, position and the choice of a token there.
func (r *rig) input(layer, seq, pos int, other bool) []float32 {
	odd := uint64(0)
	if other {
		odd = 1
	}
	return random(rand.New(rand.NewPCG(uint64(1000*layer+seq), uint64(pos)<<1+odd)), r.in(), -1, 1)
}

// token is one row of a pass.
type token struct {
	seq, pos     int
	draft, other bool
}

// pass runs rows and returns the outputs of both layers.
func (r *rig) pass(tokens ...token) [][]float32 {
	rows := make([]recurrent.Row, len(tokens))
	for i, t := range tokens {
		if n := r.state.Len(t.seq); i == 0 && n != t.pos {
			r.t.Fatalf("sequence %d has %d tokens, want %d", t.seq, n, t.pos)
		}
		rows[i] = recurrent.Row{Seq: t.seq, Draft: t.draft}
	}
	r.state.Begin(rows)
	outs := make([][]float32, len(tokens))
	for index := range r.shape.Layers {
		in := make([][]float32, len(tokens))
		for i, t := range tokens {
			in[i] = r.input(index, t.seq, t.pos, t.other)
		}
		out := make([]float32, len(tokens)*r.out)
		r.run(r.state, index, r.projections(in), out)
		for i := range tokens {
			outs[i] = append(outs[i], out[i*r.out:(i+1)*r.out]...)
		}
	}
	r.state.End()
	return outs
}

// want computes the outputs of the first n tokens of a sequence by the reference.
func (r *rig) want(seq, n int) [][]float64 {
	out := make([][]float64, n)
	for index := range r.shape.Layers {
		in := newMatrix(n, r.in())
		for pos := range n {
			for i, f := range r.input(index, seq, pos, false) {
				in[pos][i] = float64(f)
			}
		}
		for pos, row := range r.reference(in) {
			out[pos] = append(out[pos], row...)
		}
	}
	return out
}

func tokensOf(seq, from, to int) (out []token) {
	for pos := from; pos < to; pos++ {
		out = append(out, token{seq: seq, pos: pos})
	}
	return out
}

func nmse(got [][]float32, want [][]float64) float64 {
	var diff, square float64
	for i := range want {
		for j, w := range want[i] {
			diff += (float64(got[i][j]) - w) * (float64(got[i][j]) - w)
			square += w * w
		}
	}
	return diff / square
}

var limits = recurrent.Limits{Rows: 32, Sequences: 3, Window: 7, Checkpoints: 4}

func TestLayersAreThoseOfThePapers(t *testing.T) {
	for _, l := range layers() {
		for _, set := range kernel.All() {
			r := newRig(t, l, set, 2, limits)
			got := append(r.pass(tokensOf(0, 0, 25)...), r.pass(tokensOf(0, 25, 40)...)...)
			if e := nmse(got, r.want(0, 40)); !(e < 1e-11) {
				t.Errorf("%s, %s: NMSE %.1e, want less than 1e-11", l.name, set.Name, e)
			}
		}
	}
}

// equal compares to the bit.
func equal(t *testing.T, got, want [][]float32, where ...any) {
	t.Helper()
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Fatalf("%v: outputs of row %d of %d differ", where, i, len(want))
		}
	}
}

func TestPassesChangeNothing(t *testing.T) {
	const n = 30
	for _, l := range layers() {
		for _, set := range kernel.All() {
			single := newRig(t, l, set, 1, limits)
			var want [][]float32
			for pos := range n {
				want = append(want, single.pass(token{pos: pos})...)
			}
			for _, workers := range []int{1, 3} {
				for _, size := range []int{2, 7, 30} {
					r := newRig(t, l, set, workers, limits)
					var got [][]float32
					for from := 0; from < n; from += size {
						got = append(got, r.pass(tokensOf(0, from, min(from+size, n))...)...)
					}
					equal(t, got, want, l.name, set.Name, workers, "workers, passes of", size)
				}
				r := newRig(t, l, set, workers, limits)
				var got [][]float32
				for pos := 0; pos < n; pos += 2 { // entangled with another sequence
					out := r.pass(token{pos: pos}, token{seq: 2, pos: pos}, token{pos: pos + 1}, token{seq: 2, pos: pos + 1})
					got = append(got, out[0], out[2])
				}
				equal(t, got, want, l.name, set.Name, workers, "workers, mixed")
			}
		}
	}
}

// A random course of drafts, taken back in part, of cuts, checkpoints and restored copies gives the same outputs as the
// tokens alone.
func TestTakingBack(t *testing.T) {
	const n = 60
	for _, l := range layers() {
		for _, set := range kernel.All() {
			single := newRig(t, l, set, 1, limits)
			var want [][]float32
			for pos := range n {
				want = append(want, single.pass(token{pos: pos})...)
			}
			r := newRig(t, l, set, 2, limits)
			rng := rand.New(rand.NewPCG(7, 8))
			for step, pos := 0, 0; pos < n && step < 300; step++ {
				what := fmt.Sprintf("%s, %s, step %d, position %d", l.name, set.Name, step, pos)
				switch rng.IntN(8) {
				default: // some certain tokens, then drafts of which some are wrong
					certain, right, wrong := 1+rng.IntN(3), rng.IntN(4), rng.IntN(4)
					tokens := tokensOf(0, pos, min(n, pos+certain))
					for i := len(tokens); i < certain+right && pos+i < n; i++ {
						tokens = append(tokens, token{pos: pos + i, draft: true})
					}
					good := len(tokens)
					for i := range wrong {
						tokens = append(tokens, token{pos: pos + good + i, draft: true, other: true})
					}
					equal(t, r.pass(tokens...)[:good], want[pos:pos+good], what)
					pos += good
					if left, err := r.state.Truncate(0, pos); left != pos || err != nil {
						t.Fatalf("%s: truncating drafts left %d, error %v", what, left, err)
					}
				case 0:
					if kept := r.state.Checkpoint(0); kept > pos || kept < pos-limits.Window {
						t.Fatalf("%s: checkpoint at %d", what, kept)
					}
				case 1:
					to := rng.IntN(pos + 1)
					expect := r.state.Resumable(0, to)
					left, err := r.state.Truncate(0, to)
					if err != nil || left > to || left != expect || r.state.Len(0) != left {
						t.Fatalf("%s: truncating to %d left %d, length %d, expected %d, error %v", what, to, left, r.state.Len(0), expect, err)
					}
					pos = left
				case 2:
					var file bytes.Buffer
					if err := r.state.Save(&file, 0); err != nil {
						t.Fatal(err)
					}
					if _, err := r.state.Truncate(0, 0); err != nil {
						t.Fatal(err)
					}
					r.pass(tokensOf(0, 0, 3)...)
					if err := r.state.Restore(&file, 0, pos); err != nil || file.Len() != 0 || r.state.Len(0) != pos {
						t.Fatalf("%s: restore: %v, %d bytes left, length %d", what, err, file.Len(), r.state.Len(0))
					}
				}
			}
		}
	}
}

// Checkpoints are found again, the one longest unused makes room, and those behind a cut are gone.
func TestCheckpoints(t *testing.T) {
	small := limits
	small.Checkpoints = 2
	r := newRig(t, shortConv(64, 3), kernel.Generic(), 1, small)
	at := func(n, want int) {
		t.Helper()
		if got := r.state.Resumable(0, n); got != want {
			t.Errorf("resumable at %d: %d, want %d", n, got, want)
		}
	}
	truncate := func(n, want int) {
		t.Helper()
		if got, err := r.state.Truncate(0, n); got != want || err != nil {
			t.Errorf("truncate to %d: %d, want %d, error %v", n, got, want, err)
		}
	}
	if got := r.state.Checkpoint(0); got != 0 {
		t.Errorf("a checkpoint of nothing at %d", got)
	}
	for pos := 0; pos < 30; pos += 10 {
		r.pass(tokensOf(0, pos, pos+10)...)
		if pos < 20 {
			r.state.Checkpoint(0)
		}
	}
	at(30, 30)
	at(29, 20)
	at(19, 10)
	at(9, 0)
	truncate(15, 10) // forgets 20
	r.pass(tokensOf(0, 10, 13)...)
	r.state.Checkpoint(0)
	at(12, 10)
	r.state.Checkpoint(1) // of an empty sequence: nothing
	at(12, 10)
	r.pass(tokensOf(0, 13, 14)...)
	r.state.Checkpoint(0) // 10 was used by the cut before 13 was made: it goes
	at(12, 0)
	at(13, 13)
	truncate(14, 14)
	truncate(5, 0)
	at(0, 0)
	if _, err := r.state.Truncate(0, 1); err == nil {
		t.Error("truncated to more than there is")
	}
	if _, err := r.state.Truncate(3, 0); err == nil {
		t.Error("truncated a sequence that does not exist")
	}
}

func TestDamagedCopies(t *testing.T) {
	r := newRig(t, deltaNet(3, 3, 20, 24), kernel.Generic(), 1, limits)
	r.pass(append(tokensOf(0, 0, 5), token{pos: 5, draft: true})...)
	var file bytes.Buffer
	if err := r.state.Save(&file, 0); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	for _, n := range []int{0, 8, 16, 100, len(whole) - 1} {
		if err := r.state.Restore(bytes.NewReader(whole[:n]), 1, 6); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			t.Errorf("%d of %d bytes: error %v", n, len(whole), err)
		}
		if got := r.state.Len(1); got != 0 {
			t.Errorf("%d of %d bytes: %d tokens", n, len(whole), got)
		}
	}
	for at, value := range map[int]byte{0: 9, 7: 255, 8: 8, 15: 255} {
		bad := slices.Clone(whole)
		bad[at] = value
		if err := r.state.Restore(bytes.NewReader(bad), 1, 6); !errors.Is(err, recurrent.ErrCopy) {
			t.Errorf("byte %d of the head is %d: error %v", at, value, err)
		}
	}
	if err := r.state.Restore(bytes.NewReader(whole), 1, 6); err != nil {
		t.Error(err)
	}
}

func TestPassesDoNotAllocate(t *testing.T) {
	for _, l := range layers() {
		r := newRig(t, l, kernel.All()[0], 2, limits)
		in := r.projections([][]float32{r.input(0, 0, 0, false), r.input(0, 0, 1, false)})
		out := make([]float32, 2*r.out)
		rows := []recurrent.Row{{}, {Draft: true}}
		again := func() {
			r.state.Begin(rows)
			for index := range r.shape.Layers {
				r.run(r.state, index, in, out)
			}
			r.state.End()
			if _, err := r.state.Truncate(0, r.state.Len(0)-1); err != nil {
				t.Fatal(err)
			}
			r.state.Checkpoint(0)
		}
		again()
		n := testing.AllocsPerRun(5, again)
		for range 4 { // those of others in the process are counted with them
			n = min(n, testing.AllocsPerRun(5, again))
		}
		if n != 0 {
			t.Errorf("%s: %g allocations in a pass", l.name, n)
		}
	}
}

func TestBadShapes(t *testing.T) {
	pool := kernel.NewPool(1)
	defer pool.Close()
	good := recurrent.Shape{Layers: 1, Channels: 8, Taps: 4, Heads: 2, Rows: 2, Cols: 2, Groups: 1}
	for name, change := range map[string]func(s *recurrent.Shape, l *recurrent.Limits){
		"no layers":            func(s *recurrent.Shape, _ *recurrent.Limits) { s.Layers = 0 },
		"no channels":          func(s *recurrent.Shape, _ *recurrent.Limits) { s.Channels = 0 },
		"a kernel of 1":        func(s *recurrent.Shape, _ *recurrent.Limits) { s.Taps = 1 },
		"a kernel of 17":       func(s *recurrent.Shape, _ *recurrent.Limits) { s.Taps = 17 },
		"3 groups for 2 heads": func(s *recurrent.Shape, _ *recurrent.Limits) { s.Groups = 3 },
		"matrices of no rows":  func(s *recurrent.Shape, _ *recurrent.Limits) { s.Rows = 0 },
		"no sequences":         func(_ *recurrent.Shape, l *recurrent.Limits) { l.Sequences = 0 },
		"checkpoints below 0":  func(_ *recurrent.Shape, l *recurrent.Limits) { l.Checkpoints = -1 },
	} {
		shape, limit := good, limits
		change(&shape, &limit)
		if _, err := recurrent.New(shape, limit, kernel.Generic(), pool, 1, new(arena.Arena)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
