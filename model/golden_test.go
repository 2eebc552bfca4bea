package model_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
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
	t.Cleanup(func() { closeState(t, s) })
	return s
}

func closeState(t testing.TB, s *model.State) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
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
		{"lfm2", 1e-5},
		{"qwen35", 1e-5},
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
			var want golden
			goldentest.JSON(t, &want, "archs", c.name+".json")
			compare(t, open(t, goldentest.Path(t, "archs", c.name+".gguf")), c.name, &want, c.most)
		})
	}
}

// golden is the logits of a text at some positions.
type golden struct {
	Tokens    []int32
	Positions []int
	Rows      [][]float64
}

// compare runs the text with every kernel set.
func compare(t *testing.T, m *model.Model, name string, want *golden, most float64) {
	t.Helper()
	for _, set := range kernel.All() {
		if err := m.Check(set); err != nil {
			t.Fatal(err)
		}
		s := newState(t, m, set, model.Limits{Rows: len(want.Tokens), Logits: len(want.Tokens), Sequences: 1, Context: 128})
		rows := rowsOf(want.Tokens, 0, func(pos int) bool { return slices.Contains(want.Positions, pos) })
		if err := s.Forward(rows); err != nil {
			t.Fatal(err)
		}
		var diff, square float64
		for i, row := range want.Rows {
			for j, g := range s.Logits(i) {
				diff += (float64(g) - row[j]) * (float64(g) - row[j])
				square += row[j] * row[j]
			}
		}
		nmse := diff / square
		t.Logf("%s, %s: NMSE %.2e (at most %.0e)", name, set.Name, nmse, most)
		if !(nmse <= most) {
			t.Errorf("%s, %s: NMSE %.2e, want at most %.0e", name, set.Name, nmse, most)
		}
	}
}

// Architectures without golden data: testdata/archs/README.md says where the logits are from.
func TestOwnReferences(t *testing.T) {
	for _, name := range []string{"falcon-h1", "falcon-h1-norm", "granitehybrid", "granitehybrid-moe"} {
		t.Run(name, func(t *testing.T) {
			m, want := ownReference(t, name)
			compare(t, m, name, &want, 1e-5)
		})
	}
}

// ownReference opens a model of testdata/archs and what another program says of it.
func ownReference(t *testing.T, name string) (m *model.Model, want golden) {
	t.Helper()
	path := filepath.Join("testdata", "archs", name)
	data, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	return open(t, path+".gguf"), want
}

// The same for encoders.
func TestOwnEncoders(t *testing.T) {
	for _, name := range []string{"nomic-bert", "gemma-embedding"} {
		m, want := ownReference(t, name)
		for _, set := range kernel.All() {
			s := newState(t, m, set, model.Limits{Rows: len(want.Tokens), Logits: 1, Sequences: 1, Context: 128, Positions: 128})
			if err := s.Forward(rowsOf(want.Tokens, 0, func(int) bool { return false })); err != nil {
				t.Fatal(err)
			}
			got := make([]float32, m.Config.Dim)
			var diff, square float64
			for i, pos := range want.Positions {
				s.Hidden(pos, got)
				for j, g := range got {
					diff += (float64(g) - want.Rows[i][j]) * (float64(g) - want.Rows[i][j])
					square += want.Rows[i][j] * want.Rows[i][j]
				}
			}
			t.Logf("%s, %s: NMSE %.2e (at most 1e-5)", name, set.Name, diff/square)
			if !(diff/square <= 1e-5) {
				t.Errorf("%s, %s: NMSE %.2e, want at most 1e-5", name, set.Name, diff/square)
			}
		}
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

// Encoders: the states behind the last layer, of all tokens at once. The reference rounds nothing; keys and values are in binary16 here.
func TestGoldenEncoder(t *testing.T) {
	var want golden
	goldentest.JSON(t, &want, "archs", "bert.json")
	m := open(t, goldentest.Path(t, "archs", "bert.gguf"))
	for _, set := range kernel.All() {
		s := newState(t, m, set, model.Limits{Rows: 2 * len(want.Tokens), Logits: 1, Sequences: 3, Context: 128, Positions: 384})
		// Beside it another text, whose keys were longer before: neither sees the other, nor what was there.
		noise := rowsOf(want.Tokens[:40], 0, func(int) bool { return false })
		for i := range noise {
			noise[i].Seq = 1
		}
		for _, again := range []int{40, 9} {
			if _, err := s.Truncate(1, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Truncate(0, 0); err != nil {
				t.Fatal(err)
			}
			if err := s.Forward(append(slices.Clone(noise[:again]), rowsOf(want.Tokens, 0, func(int) bool { return false })...)); err != nil {
				t.Fatal(err)
			}
			got := make([]float32, m.Config.Dim)
			var diff, square float64
			for i, pos := range want.Positions {
				s.Hidden(again+pos, got)
				for j, g := range got {
					diff += (float64(g) - want.Rows[i][j]) * (float64(g) - want.Rows[i][j])
					square += want.Rows[i][j] * want.Rows[i][j]
				}
			}
			t.Logf("%s: NMSE %.2e (at most 1e-4)", set.Name, diff/square)
			if !(diff/square <= 1e-4) {
				t.Errorf("%s: NMSE %.2e, want at most 1e-4", set.Name, diff/square)
			}
		}
		for what, rows := range map[string][]model.Row{
			"logits": {{Seq: 2, Logits: true}}, "the end alone": {{Seq: 0, Pos: 48}}, "two parts": {{Seq: 2}, {Seq: 1, Pos: 9}},
		} {
			if err := s.Forward(rows); !errors.Is(err, model.ErrRow) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}
