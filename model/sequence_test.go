package model_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/kvcache"
)

var sequenceLimits = model.Limits{Rows: 24, Logits: 24, Sequences: 3, Context: 100, Positions: 320, Drafts: 7, Checkpoints: 4}

// architectures lists a float model of every architecture that there is a small one of.
func architectures(t *testing.T) []string {
	t.Helper()
	own, err := filepath.Glob(filepath.Join("testdata", "archs", "*.gguf"))
	if err != nil || len(own) == 0 {
		t.Fatalf("no models in testdata: %v", err)
	}
	golden, err := filepath.Glob(filepath.Join(filepath.Dir(goldentest.Path(t, "archs", "llama.gguf")), "*.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	// Other formats and the adapter are no architectures; the sequences of encoders do not grow.
	return slices.DeleteFunc(slices.Concat(own, golden), func(path string) bool {
		name := filepath.Base(path)
		return strings.HasPrefix(name, "llama-") || strings.Contains(name, "bert") || strings.Contains(name, "embedding")
	})
}

// tokensBelow is a text of n tokens of a vocabulary.
func tokensBelow(vocab, n int) []int32 {
	tokens := tinyTokens(n)
	for i := range tokens {
		tokens[i] %= int32(vocab)
	}
	return tokens
}

// The same tokens give the same logits to the bit in passes of any size, after tokens were taken back, and in a sequence that
// was saved and restored.
func TestSequences(t *testing.T) {
	paths := architectures(t)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m := open(t, path)
			tokens := tokensBelow(m.Config.Vocab, 90) // more than one page of the cache
			for _, set := range testSets(t) {
				s := newState(t, m, set, sequenceLimits)
				want := run(t, s, 0, tokens, 1)
				for _, size := range []int{5, 24} {
					truncate(t, s, 0, 0)
					equalLogits(t, run(t, s, 0, tokens, size), want, set.Name, "passes of", size)
				}
				takeBack(t, s, m.Config.Vocab, tokens, want, set.Name)
				saveAndRestore(t, m, set, tokens, want)
			}
		})
	}
}

func truncate(t *testing.T, s *model.State, seq, n int) int {
	t.Helper()
	resumable := s.Resumable(seq, n)
	left, err := s.Truncate(seq, n)
	if err != nil || left > n || left != resumable || s.Len(seq) != left {
		t.Fatalf("truncate to %d: %d are left, the length is %d, resumable was %d, error %v", n, left, s.Len(seq), resumable, err)
	}
	return left
}

// takeBack takes tokens back at random, of drafts and of others, with checkpoints now and then.
func takeBack(t *testing.T, s *model.State, vocab int, tokens []int32, want [][]float32, name string) {
	t.Helper()
	truncate(t, s, 0, 0)
	rng := rand.New(rand.NewPCG(1, 2))
	for step, pos := 0, 0; step < 60; step++ {
		if rng.IntN(3) == 0 {
			s.Checkpoint(0)
		}
		if rng.IntN(4) == 0 || pos > len(tokens)-12 {
			pos = truncate(t, s, 0, rng.IntN(pos+1))
			continue
		}
		certain, right, wrong := 1+rng.IntN(4), rng.IntN(4), rng.IntN(4)
		var rows []model.Row
		for i := range certain + right + wrong {
			row := model.Row{Pos: pos + i, Token: tokens[pos+i], Logits: true, Draft: i >= certain}
			if i >= certain+right {
				row.Token = (row.Token + 1) % int32(vocab)
			}
			rows = append(rows, row)
		}
		if err := s.Forward(rows); err != nil {
			t.Fatal(err)
		}
		for i := range certain + right {
			if !slices.Equal(s.Logits(i), want[pos+i]) {
				t.Fatalf("%s, step %d: logits at position %d differ", name, step, pos+i)
			}
		}
		pos += certain + right
		if left := truncate(t, s, 0, pos); left != pos {
			t.Fatalf("%s, step %d: taking drafts back to %d left %d", name, step, pos, left)
		}
	}
}

// saveAndRestore moves a sequence to another State and another number.
func saveAndRestore(t *testing.T, m *model.Model, set *kernel.Set, tokens []int32, want [][]float32) {
	t.Helper()
	from, to := newState(t, m, set, sequenceLimits), newState(t, m, set, sequenceLimits)
	for _, n := range []int{0, 1, 64, 71} {
		truncate(t, from, 0, 0)
		run(t, from, 0, tokens[:n], 24)
		var file bytes.Buffer
		if err := from.Save(&file, 0); err != nil {
			t.Fatal(err)
		}
		run(t, to, 2, tokens[:9], 9) // what is there already
		if got, err := to.Restore(&file, 2); got != n || err != nil || file.Len() != 0 {
			t.Fatalf("%s: restore of %d tokens: %d, %v, %d bytes left", set.Name, n, got, err, file.Len())
		}
		for pos := n; pos < n+10; pos++ {
			if err := to.Forward([]model.Row{{Seq: 2, Pos: pos, Token: tokens[pos], Logits: true}}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(to.Logits(0), want[pos]) {
				t.Fatalf("%s: restored %d tokens, logits at %d differ", set.Name, n, pos)
			}
		}
		truncate(t, to, 2, 0)
	}
}

// A saved sequence that is damaged, cut, or not for this State leaves an empty sequence and says so.
func TestDamagedSequences(t *testing.T) {
	m := open(t, filepath.Join("testdata", "archs", "falcon-h1.gguf"))
	other := open(t, filepath.Join("testdata", "archs", "granitehybrid.gguf"))
	tokens := tokensBelow(m.Config.Vocab, 20)
	s := newState(t, m, kernel.Generic(), sequenceLimits)
	run(t, s, 0, tokens, 20)
	var file bytes.Buffer
	if err := s.Save(&file, 0); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	refused := func(what string, to *model.State, data []byte, want error) {
		t.Helper()
		run(t, to, 1, tokens[:3], 3)
		n, err := to.Restore(bytes.NewReader(data), 1)
		if n != 0 || !errors.Is(err, want) || to.Len(1) != 0 {
			t.Errorf("%s: %d tokens restored, the length is %d, error %v, want %v", what, n, to.Len(1), err, want)
		}
	}
	for _, n := range []int{0, 10, 63, 64, 5000, len(whole) - 5, len(whole) - 1} {
		refused(fmt.Sprintf("%d of %d bytes", n, len(whole)), s, whole[:n], model.ErrSaved)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		bad := slices.Clone(whole)
		at := rng.IntN(len(bad))
		if rng.IntN(3) == 0 {
			at = rng.IntN(80) // the header
		}
		bad[at] ^= 1 << rng.IntN(8)
		refused(fmt.Sprintf("byte %d changed", at), s, bad, model.ErrSaved)
	}
	refused("another model", newState(t, other, kernel.Generic(), sequenceLimits), whole, model.ErrSaved)
	short, few := sequenceLimits, sequenceLimits
	short.Context = 19
	refused("a shorter context", newState(t, m, kernel.Generic(), short), whole, model.ErrSaved)
	few.Sequences, few.Context, few.Positions = 2, 60, 64
	full := newState(t, m, kernel.Generic(), few)
	run(t, full, 0, tokens, 20)
	if _, err := full.Restore(bytes.NewReader(whole), 1); !errors.Is(err, kvcache.ErrFull) {
		t.Errorf("a cache without room: error %v, want ErrFull", err)
	}
	broken := errors.New("broken")
	if _, err := s.Restore(io.MultiReader(bytes.NewReader(whole[:300]), failing{broken}), 0); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: error %v", err)
	}
	if err := s.Save(failing{broken}, 0); !errors.Is(err, broken) {
		t.Errorf("a writer that fails: error %v", err)
	}
	if _, err := s.Restore(bytes.NewReader(whole), 3); !errors.Is(err, model.ErrRow) {
		t.Errorf("a sequence that does not exist: error %v", err)
	}
	if err := s.Save(io.Discard, -1); !errors.Is(err, model.ErrRow) {
		t.Errorf("a sequence that does not exist: error %v", err)
	}
}

// failing is a reader and writer that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// leastAllocs counts the allocations of run in the best of some runs: others of the process, such as the test runner's own,
// are counted with them on a busy machine.
func leastAllocs(run func()) float64 {
	least := testing.AllocsPerRun(3, run)
	for range 4 {
		least = min(least, testing.AllocsPerRun(3, run))
	}
	return least
}

// A pass allocates nothing, drafts and checkpoints included.
func TestRecurrentPassesDoNotAllocate(t *testing.T) {
	for _, path := range architectures(t) {
		m := open(t, path)
		s := newState(t, m, testSets(t)[0], sequenceLimits)
		rows := []model.Row{{Logits: true}, {Pos: 1}, {Pos: 2, Draft: true, Logits: true}}
		if n := leastAllocs(func() {
			if err := s.Forward(rows); err != nil {
				t.Fatal(err)
			}
			s.Checkpoint(0)
			if _, err := s.Truncate(0, 0); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %g allocations in a pass", filepath.Base(path), n)
		}
	}
}
