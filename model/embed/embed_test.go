package embed_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"siskin/model"
	"siskin/model/embed"
	"siskin/model/goldentest"
	"siskin/model/kernel"
)

func newEmbedder(t *testing.T, name string, limits model.Limits, o embed.Options) (*embed.Embedder, error) {
	t.Helper()
	m, err := model.Open(goldentest.Path(t, "archs", name))
	if err != nil {
		t.Fatal(err)
	}
	pool := kernel.NewPool(2)
	s, err := model.NewState(m, kernel.All()[0], pool, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), m.Close()); err != nil {
			t.Error(err)
		}
		pool.Close()
	})
	return embed.New(m, s, o)
}

func texts(lengths ...int) [][]int32 {
	out := make([][]int32, len(lengths))
	for i, n := range lengths {
		for j := range n {
			out[i] = append(out[i], int32((i*131+j*17)%500))
		}
	}
	return out
}

// Texts together give the bits of each alone, whatever shares its pass; they have the length one; and the poolings are those of the
// states.
func TestEmbed(t *testing.T) {
	for _, name := range []string{"bert.gguf", "qwen3.gguf"} {
		for _, pooling := range []model.Pooling{model.PoolMean, model.PoolCLS, model.PoolLast} {
			limits := model.Limits{Rows: 64, Logits: 1, Sequences: 3, Context: 60, Positions: 256}
			e, err := newEmbedder(t, name, limits, embed.Options{Pooling: pooling})
			if err != nil {
				t.Fatal(err)
			}
			all := texts(5, 60, 1, 30, 30, 3, 2)
			together, err := e.Embed(all)
			if err != nil {
				t.Fatal(err)
			}
			for i, tokens := range all {
				alone, err := e.Embed([][]int32{tokens})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(alone[0], together[i]) {
					t.Errorf("%s, %v: text %d alone and among others differ", name, pooling, i)
				}
				sum, square, n := make([]float64, e.Dim()), 0.0, 0
				if err := e.Hidden(tokens, func(pos int, hidden []float32) error {
					if pos != n {
						t.Errorf("position %d after %d", pos, n-1)
					}
					n++
					for j, h := range hidden {
						if pooling == model.PoolMean || pooling == model.PoolCLS && pos == 0 || pooling == model.PoolLast && pos == len(tokens)-1 {
							sum[j] += float64(h)
						}
					}
					return nil
				}); err != nil || n != len(tokens) {
					t.Fatal(err, n)
				}
				var length float64
				for _, v := range sum {
					length += v * v
				}
				for j, v := range together[i] {
					square += float64(v) * float64(v)
					if want := sum[j] / math.Sqrt(length); math.Abs(float64(v)-want) > 1e-5 {
						t.Fatalf("%s, %v: text %d, column %d: %g, want %g", name, pooling, i, j, v, want)
					}
				}
				if math.Abs(square-1) > 1e-5 {
					t.Errorf("%s, %v: text %d has the length %g", name, pooling, i, math.Sqrt(square))
				}
			}
		}
	}
}

func TestEmbedRefuses(t *testing.T) {
	limits := model.Limits{Rows: 16, Logits: 1, Sequences: 1, Context: 40}
	e, err := newEmbedder(t, "bert.gguf", limits, embed.Options{})
	if err != nil || e.Pooling() != model.PoolMean || e.Most() != 16 {
		t.Fatalf("%v, %v", e, err)
	}
	for _, bad := range [][][]int32{{{}}, texts(17), {{1, 2, 100000}}} {
		if _, err := e.Embed(bad); err == nil {
			t.Errorf("%d tokens are taken", len(bad[0]))
		}
	}
	if _, err := e.Embed(texts(16)); err != nil {
		t.Errorf("after refusals: %v", err)
	}
	stop := errors.New("enough")
	if err := e.Hidden(texts(3)[0], func(int, []float32) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if _, err := newEmbedder(t, "qwen3.gguf", limits, embed.Options{}); !errors.Is(err, embed.ErrPooling) || !strings.Contains(err.Error(), "mean") {
		t.Errorf("a model without pooling: %v", err)
	}
}
