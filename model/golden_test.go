package model_test

import (
	"math"
	"slices"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
)

func newState(t testing.TB, m *model.Model, set *kernel.Set, limits model.Limits) *model.State {
	t.Helper()
	pool := kernel.NewPool(2)
	t.Cleanup(pool.Close)
	s, err := model.NewState(m, set, pool, limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t testing.TB, path string) *model.Model {
	t.Helper()
	m, err := model.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// rowsOf makes one pass of all tokens of a text.
func rowsOf(tokens []int32, start int, logits func(pos int) bool) []model.Row {
	rows := make([]model.Row, len(tokens))
	for i, id := range tokens {
		rows[i] = model.Row{Pos: start + i, Token: id, Logits: logits(start + i)}
	}
	return rows
}

// Tiny random models, computed by another program in float32: formats, rotation, grouping and norms must be right.
func TestGoldenArchitectures(t *testing.T) {
	for _, c := range []struct {
		name string
		most float64 // normalised mean square error of the logits
	}{
		{"llama", 1e-5},
		{"llama-rope3", 1e-5},
		{"qwen2", 1e-5},
		{"qwen3", 1e-5},
		{"qwen3moe", 5e-3},
		{"gemma3", 1e-5},
		{"phi3", 1e-5},
		{"granite", 1e-5},
		{"smollm3", 1e-5},
		{"llama-q4_0", 1e-3},
		{"llama-q5_0", 1e-3},
		{"llama-q5_1", 1e-3},
		{"llama-q8_0", 1e-3},
		{"llama-q2_k", 1e-3},
		{"llama-q3_k_s", 1e-3},
		{"llama-q4_k_m", 1e-3},
		{"llama-q5_k_s", 1e-3},
		{"llama-q6_k", 1e-3},
		{"llama-iq4_nl", 1e-3},
		{"llama-iq4_xs", 1e-3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var golden struct {
				Tokens    []int32
				Positions []int
				Rows      [][]float64
			}
			goldentest.JSON(t, &golden, "archs", c.name+".json")
			m := open(t, goldentest.Path(t, "archs", c.name+".gguf"))
			for _, set := range kernel.All() {
				if err := m.Check(set); err != nil {
					t.Fatal(err)
				}
				s := newState(t, m, set, model.Limits{Rows: len(golden.Tokens), Logits: len(golden.Tokens), Sequences: 1, Context: 128})
				rows := rowsOf(golden.Tokens, 0, func(pos int) bool { return slices.Contains(golden.Positions, pos) })
				if err := s.Forward(rows); err != nil {
					t.Fatal(err)
				}
				var diff, square float64
				for i, want := range golden.Rows {
					for j, g := range s.Logits(i) {
						diff += (float64(g) - want[j]) * (float64(g) - want[j])
						square += want[j] * want[j]
					}
				}
				nmse := diff / square
				t.Logf("%s, %s: NMSE %.2e (at most %.0e)", c.name, set.Name, nmse, c.most)
				if !(nmse <= c.most) {
					t.Errorf("%s, %s: NMSE %.2e, want at most %.0e", c.name, set.Name, nmse, c.most)
				}
			}
		})
	}
}

// logSoftmax returns log-probabilities in float64.
func logSoftmax(logits []float32) []float64 {
	top := float64(slices.Max(logits))
	var sum float64
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	out := make([]float64, len(logits))
	for i, l := range logits {
		out[i] = float64(l) - top - math.Log(sum)
	}
	return out
}
