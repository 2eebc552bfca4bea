package model_test

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/kvcache"
)

var tinyLimits = model.Limits{Rows: 24, Logits: 24, Sequences: 3, Context: 100, Positions: 256}

func tinyTokens(n int) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32((i*i*7 + 13*i + 5) % 512)
	}
	return tokens
}

// run feeds tokens in passes of the given size and returns the logits of every position.
func run(t testing.TB, s *model.State, seq int, tokens []int32, size int) [][]float32 {
	t.Helper()
	var out [][]float32
	for start := 0; start < len(tokens); start += size {
		part := tokens[start:min(start+size, len(tokens))]
		rows := rowsOf(part, start, func(int) bool { return true })
		for i := range rows {
			rows[i].Seq = seq
		}
		if err := s.Forward(rows); err != nil {
			t.Fatal(err)
		}
		for i := range part {
			out = append(out, slices.Clone(s.Logits(i)))
		}
	}
	return out
}

// However tokens are divided into passes and whatever else shares a pass, on however many threads, the logits are the
// same to the bit: batching is an optimisation and never an approximation.
func TestBatchingChangesNothing(t *testing.T) {
	files, threads, sizes := []string{"llama-q4_0.gguf", "llama.gguf", "llama-q8_0.gguf"}, []int{1, 2, 4}, []int{1, 2, 7, 24}
	if tokenLimit(t) < math.MaxInt {
		files, threads, sizes = files[:1], []int{2}, []int{7} // emulated: waiting for each other takes minutes
	}
	for _, file := range files {
		m := open(t, goldentest.Path(t, "archs", file))
		tokens := tinyTokens(80) // more than one page of the cache
		for _, set := range testSets(t) {
			want := run(t, newState(t, m, set, tinyLimits), 0, tokens, 1)
			for _, workers := range threads {
				pool := kernel.NewPool(workers)
				s, err := model.NewState(m, set, pool, tinyLimits)
				if err != nil {
					t.Fatal(err)
				}
				for _, size := range sizes {
					if _, err := s.Truncate(0, 0); err != nil {
						t.Fatal(err)
					}
					equalLogits(t, run(t, s, 0, tokens, size), want, file, set.Name, workers, size)
				}
				mixed := runMixed(t, s, tokens)
				equalLogits(t, mixed, want, file, set.Name, workers, "mixed with another sequence")
				pool.Close()
				closeState(t, s)
			}
		}
	}
}

// runMixed runs the tokens in sequence 2 while every pass also holds rows of sequence 1.
func runMixed(t *testing.T, s *model.State, tokens []int32) [][]float32 {
	t.Helper()
	for seq := range 3 {
		if _, err := s.Truncate(seq, 0); err != nil {
			t.Fatal(err)
		}
	}
	var out [][]float32
	for pos, id := range tokens {
		rows := []model.Row{{Seq: 1, Pos: pos, Token: int32(pos), Logits: pos%3 == 0}, {Seq: 2, Pos: pos, Token: id, Logits: true}}
		if err := s.Forward(rows); err != nil {
			t.Fatal(err)
		}
		index := 0
		if pos%3 == 0 {
			index = 1
		}
		out = append(out, slices.Clone(s.Logits(index)))
	}
	return out
}

func equalLogits(t *testing.T, got, want [][]float32, where ...any) {
	t.Helper()
	for pos := range want {
		if !slices.Equal(got[pos], want[pos]) {
			t.Fatalf("%v: logits at position %d differ", where, pos)
		}
	}
}

// After a rollback the sequence goes on as if the tokens taken back had never been.
func TestRollback(t *testing.T) {
	m := open(t, goldentest.Path(t, "archs", "llama-q4_0.gguf"))
	for _, set := range testSets(t) {
		s := newState(t, m, set, tinyLimits)
		tokens := tinyTokens(70)
		want := run(t, s, 0, tokens, 10)
		for _, keep := range []int{0, 1, 63, 64, 65, 69} {
			if _, err := s.Truncate(0, keep); err != nil {
				t.Fatal(err)
			}
			for i, id := range tokens[keep:] {
				if err := s.Forward([]model.Row{{Pos: keep + i, Token: id, Logits: true}}); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(s.Logits(0), want[69]) {
				t.Errorf("%s: rollback to %d: the last logits differ", set.Name, keep)
			}
		}
	}
}

func TestBadRowsChangeNothing(t *testing.T) {
	m := open(t, goldentest.Path(t, "archs", "llama.gguf"))
	s := newState(t, m, kernel.Generic(), tinyLimits)
	run(t, s, 0, tinyTokens(10), 10)
	for name, c := range map[string]struct {
		rows []model.Row
		want error
	}{
		"no rows":               {nil, model.ErrRow},
		"too many rows":         {make([]model.Row, 25), model.ErrRow},
		"sequence -1":           {[]model.Row{{Seq: -1}}, model.ErrRow},
		"sequence 3":            {[]model.Row{{Seq: 3}}, model.ErrRow},
		"token -1":              {[]model.Row{{Pos: 10, Token: -1}}, model.ErrRow},
		"token 512":             {[]model.Row{{Pos: 10, Token: 512}}, model.ErrRow},
		"a gap":                 {[]model.Row{{Pos: 11}}, model.ErrRow},
		"a repetition":          {[]model.Row{{Pos: 9}}, model.ErrRow},
		"the second row is bad": {[]model.Row{{Pos: 10}, {Pos: 12}}, model.ErrRow},
		"out of order":          {[]model.Row{{Seq: 1, Pos: 1}, {Seq: 1, Pos: 0}}, model.ErrRow},
	} {
		if err := s.Forward(c.rows); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
		if s.Cache.Len(0) != 10 || s.Cache.Len(1) != 0 {
			t.Errorf("%s: the sequences have %d and %d positions, want 10 and 0", name, s.Cache.Len(0), s.Cache.Len(1))
		}
	}
}

func TestContextAndCacheLimits(t *testing.T) {
	m := open(t, goldentest.Path(t, "archs", "llama.gguf"))
	s := newState(t, m, kernel.Generic(), tinyLimits)
	run(t, s, 0, tinyTokens(100), 20)
	if err := s.Forward([]model.Row{{Pos: 100}}); !errors.Is(err, model.ErrContext) {
		t.Errorf("position 100 of 100: error %v, want ErrContext", err)
	}
	run(t, s, 1, tinyTokens(100), 20) // two pages each of four
	if err := s.Forward([]model.Row{{Seq: 2}}); !errors.Is(err, kvcache.ErrFull) {
		t.Errorf("a third sequence: error %v, want ErrFull", err)
	}
	if _, err := s.Truncate(0, 64); err != nil {
		t.Fatal(err)
	}
	if err := s.Forward([]model.Row{{Seq: 2}}); err != nil {
		t.Errorf("after a page was freed: %v", err)
	}
}

func TestForwardDoesNotAllocate(t *testing.T) {
	m := open(t, goldentest.Path(t, "archs", "llama-q4_0.gguf"))
	for _, set := range testSets(t) {
		s := newState(t, m, set, tinyLimits)
		one := []model.Row{{Token: 5, Logits: true}}
		many := rowsOf(tinyTokens(20), 0, func(pos int) bool { return pos == 19 })
		for name, rows := range map[string][]model.Row{"decode": one, "prefill": many} {
			n := testing.AllocsPerRun(20, func() {
				if _, err := s.Truncate(0, 0); err != nil {
					t.Fatal(err)
				}
				if err := s.Forward(rows); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%s, %s: %g allocations per pass, want 0", set.Name, name, n)
			}
		}
	}
}

// A thousand decoded tokens allocate nothing and let the garbage collector rest, also while the sequence grows by pages.
func TestThousandTokensWithoutGarbage(t *testing.T) {
	m := open(t, goldentest.Path(t, "archs", "llama-q4_0.gguf"))
	set, err := kernel.Best()
	if err != nil {
		t.Log(err)
	}
	s := newState(t, m, set, model.Limits{Rows: 8, Logits: 1, Sequences: 1, Context: m.Config.Context})
	row := []model.Row{{Token: 5, Logits: true}}
	decode := func(tokens int) {
		for range tokens {
			if row[0].Pos = s.Cache.Len(0); row[0].Pos == m.Config.Context {
				if _, err := s.Truncate(0, 0); err != nil {
					t.Fatal(err)
				}
				row[0].Pos = 0
			}
			if err := s.Forward(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What the runtime does for itself, such as cleaning up after a collection, counts too: the best of a few tries.
	allocations, collections := uint64(math.MaxUint64), uint32(math.MaxUint32)
	for range 5 {
		decode(100)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		decode(1000)
		runtime.ReadMemStats(&after)
		allocations, collections = min(allocations, after.Mallocs-before.Mallocs), min(collections, after.NumGC-before.NumGC)
	}
	if allocations != 0 || collections != 0 {
		t.Errorf("1000 tokens: %d allocations, %d collections, want none", allocations, collections)
	}
}

func TestBadLimits(t *testing.T) {
	m := open(t, goldentest.Path(t, "archs", "llama.gguf"))
	pool := kernel.NewPool(1)
	defer pool.Close()
	for _, l := range []model.Limits{
		{},
		{Rows: 1, Logits: 2, Sequences: 1, Context: 10},
		{Rows: 1, Logits: 1, Sequences: 0, Context: 10},
		{Rows: 1, Logits: 1, Sequences: 1, Context: 1 << 20},
		{Rows: 1, Logits: 1, Sequences: 1, Context: 10, Positions: 5},
	} {
		if _, err := model.NewState(m, kernel.Generic(), pool, l); err == nil {
			t.Errorf("limits %+v were accepted", l)
		}
	}
}
