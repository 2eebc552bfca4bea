package model_test

import (
	"math"
	"slices"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/kvcache"
)

// A context of several parts gives the same bits whether its rows come in large passes, which go through the parts one
// after the other, or in small ones, whose parts are divided among workers; in both formats, and whatever else shares the
// pass.
func TestPartsChangeNothing(t *testing.T) {
	if tokenLimit(t) < math.MaxInt {
		t.Skip("SKIPPED: hundreds of emulated passes take minutes")
	}
	m := open(t, goldentest.Path(t, "archs", "llama-q8_0.gguf"))
	const n = 600
	if m.Config.Context < n {
		t.Skipf("SKIPPED: the model was trained for %d positions", m.Config.Context)
	}
	tokens := tinyTokens(n)
	set := kernel.All()[0]
	for _, f := range []kvcache.Format{kvcache.F16, kvcache.Q8} {
		if f.Check(m.Config.HeadDim) != nil {
			continue
		}
		limits := model.Limits{Rows: 64, Logits: 64, Sequences: 2, Context: n, Positions: 2 * n, KV: f}
		want := run(t, newState(t, m, set, limits), 0, tokens, 64)
		s := newState(t, m, set, limits)
		run(t, s, 1, tokens[:300], 64) // other pages in between
		run(t, s, 0, tokens[:500], 50)
		for start, size := 500, 1; start < n; start, size = start+size, size%9+1 {
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
