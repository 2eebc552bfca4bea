package model_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// Weights that come and go give the bits of weights that stay, whatever stays of them, with a reader beside and without one,
// for one row and for many, over passes that want logits and such that do not.
func TestStreaming(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.gguf")
	file := modeltest.Tiny{Seed: 5, Type: quant.Q4_1, Layers: 9, Context: 256}.File()
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, set := range []*kernel.Set{kernel.All()[0], kernel.Generic()} {
		m := open(t, path)
		tokens := tinyTokens(40)
		for i := range tokens {
			tokens[i] %= int32(m.Config.Vocab)
		}
		run := func(s *model.State) (out []float32) {
			t.Helper()
			for _, rows := range [][]model.Row{
				rowsOf(tokens[:30], 0, func(int) bool { return false }),
				rowsOf(tokens[30:36], 30, func(pos int) bool { return pos > 33 }),
				rowsOf(tokens[36:37], 36, func(int) bool { return true }),
			} {
				if err := s.Forward(rows); err != nil {
					t.Fatal(err)
				}
				wanted := 0
				for i := range rows {
					if rows[i].Logits {
						out = append(out, s.Logits(wanted)...)
						wanted++
					}
				}
			}
			return out
		}
		limits := model.Limits{Rows: 32, Logits: 4, Sequences: 1, Context: 64}
		want := run(newState(t, m, set, limits))
		for _, resident := range []int64{0, m.WeightBytes() / 2, m.WeightBytes() - 1, m.WeightBytes() * 2} {
			for _, beside := range []bool{false, true} {
				s := newState(t, m, set, limits)
				reader := s.Stream(resident, 3)
				if (reader == nil) != (resident > m.WeightBytes()+m.WindowBytes(3)) {
					t.Fatalf("resident %d of %d: reader %v", resident, m.WeightBytes(), reader != nil)
				}
				stop := func() {}
				if reader != nil && beside {
					ctx, cancel := context.WithCancel(context.Background())
					done := make(chan struct{})
					go func() { reader.Run(ctx); close(done) }()
					stop = func() { cancel(); <-done }
				}
				for round := range 2 {
					if _, err := s.Truncate(0, 0); err != nil {
						t.Fatal(err)
					}
					if got := run(s); !slices.Equal(got, want) {
						t.Error(fmt.Sprint(set.Name, ", resident ", resident, ", beside ", beside, ", round ", round, ": other logits"))
					}
				}
				stop()
			}
		}
	}
}
