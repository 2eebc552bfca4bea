package model_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/kvcache"
)

// kvFormats lists the formats, for tests that run hundreds of passes.
func kvFormats(t *testing.T) []kvcache.Format {
	t.Helper()
	if tokenLimit(t) < math.MaxInt {
		t.Skip("SKIPPED: hundreds of emulated passes take minutes")
	}
	return []kvcache.Format{kvcache.F16, kvcache.Q8, kvcache.Q4}
}

// A context of several parts gives the same bits whether its rows come in large passes, which go through the parts one
// after the other, or in small ones, whose parts are divided among workers; whatever else shares the pass, and after a
// rollback into a page.
func TestPartsChangeNothing(t *testing.T) {
	const n, most = 330, 64
	tokens, set := tinyTokens(n), kernel.All()[0]
	m := open(t, goldentest.Path(t, "archs", "llama-q8_0.gguf"))
	for _, f := range kvFormats(t) {
		limits := model.Limits{Rows: most, Logits: most, Sequences: 2, Context: n, Positions: 2 * n, KV: f}
		want := run(t, newState(t, m, set, limits), 0, tokens, most)
		s := newState(t, m, set, limits)
		run(t, s, 1, tinyTokens(70), most) // other pages in between
		run(t, s, 0, tokens[:300], 50)
		if _, err := s.Truncate(0, 280); err != nil {
			t.Fatal(err)
		}
		for start, size := 280, 1; start < n; start, size = start+size, size%9+1 {
			rows := rowsOf(tokens[start:min(start+size, n)], start, func(int) bool { return true })
			if err := s.Forward(append(rows, model.Row{Seq: 1, Pos: s.Cache.Len(1), Token: 7})); err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				if !slices.Equal(s.Logits(i), want[start+i]) {
					t.Fatalf("%v: logits at position %d differ in a pass of %d rows", f, start+i, len(rows))
				}
			}
		}
	}
}

// Rows of two sequences that alternate in a pass give the bits that each sequence gives alone, also where a page begins.
func TestAlternatingSequences(t *testing.T) {
	const n = 70
	set, tokens := kernel.All()[0], tinyTokens(n)
	m := open(t, goldentest.Path(t, "archs", "llama-q8_0.gguf"))
	for _, f := range kvFormats(t) {
		limits := model.Limits{Rows: 20, Logits: 20, Sequences: 2, Context: n, Positions: 256, KV: f}
		want := run(t, newState(t, m, set, limits), 0, tokens, 20)
		s := newState(t, m, set, limits)
		for start := 0; start < n; start += 10 {
			var rows []model.Row
			for pos := start; pos < start+10; pos++ {
				for seq := range 2 {
					rows = append(rows, model.Row{Seq: seq, Pos: pos, Token: tokens[pos], Logits: true})
				}
			}
			if err := s.Forward(rows); err != nil {
				t.Fatal(err)
			}
			for i, row := range rows {
				if !slices.Equal(s.Logits(i), want[row.Pos]) {
					t.Fatalf("%v: logits of sequence %d at position %d differ", f, row.Seq, row.Pos)
				}
			}
		}
	}
}

// A format that the model's heads do not fit is refused.
func TestFormatOfKeysAndValues(t *testing.T) {
	m, err := model.Parse(tiny.File())
	if err != nil {
		t.Fatal(err)
	}
	m.Config.HeadDim = 20
	pool := kernel.NewPool(1)
	defer pool.Close()
	if _, err := model.NewState(m, kernel.Generic(), pool, tinyLimits); err == nil || !strings.Contains(err.Error(), "multiple of 8") {
		t.Errorf("heads of %d columns in F16: error %v", m.Config.HeadDim, err)
	}
}
