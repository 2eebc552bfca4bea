package sample

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// gap is a vocabulary of the tokens of one case.
type gap map[int32]struct {
	text string
	end  bool
}

func (g gap) TokenBytes(id int32) []byte { return []byte(g[id].text) }
func (g gap) IsControl(id int32) bool    { return g[id].end }
func (g gap) IsEOG(id int32) bool        { return g[id].end }
func (g gap) EOS() (int32, bool)         { return endOfGap, endOfGap >= 0 }

// endOfGap is what the vocabulary of the reference ends with.
const endOfGap = 151645

// The reference is llama.cpp's own step over tokens of a real vocabulary.
func TestInfill(t *testing.T) {
	data, err := os.ReadFile("testdata/infill.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Cases []struct {
			Tokens []struct {
				ID    int32
				Logit float32
				Text  string
				End   bool
			}
			Kept [][2]float64
		}
	}
	if err := json.Unmarshal(data, &reference); err != nil || len(reference.Cases) == 0 {
		t.Fatal(len(reference.Cases), err)
	}
	for i, c := range reference.Cases {
		v, cands := gap{}, []candidate(nil)
		for _, x := range c.Tokens {
			v[x.ID] = struct {
				text string
				end  bool
			}{x.Text, x.End}
			cands = append(cands, newCandidate(x.Logit, x.ID))
		}
		got := infill(cands, v)
		var ids, want []int32
		for _, x := range got {
			ids = append(ids, x.id)
		}
		for _, x := range c.Kept {
			want = append(want, int32(x[0]))
		}
		slices.Sort(ids)
		slices.Sort(want)
		if !slices.Equal(ids, want) {
			t.Errorf("case %d: kept %v, want %v", i, ids, want)
			continue
		}
		m := got[best(got)].logit
		sum := expSum(got, m)
		for _, x := range got {
			for _, w := range c.Kept {
				if p := exp(below(x.logit, m)) / sum; len(want) > 1 && int32(w[0]) == x.id && math.Abs(p-w[1]) > 1e-5 {
					t.Errorf("case %d, token %d: probability %.6f, want %.6f", i, x.id, p, w[1])
				}
			}
		}
	}
}

// In the chain: a likely end ends, even greedily, and of tokens that begin alike the likelier one speaks for both.
func TestInfillInTheChain(t *testing.T) {
	v := gap{0: {"in", false}, 1: {"int", false}, 2: {"x", false}, 3: {"", true}}
	p := Defaults()
	p.Infill, p.Temperature, p.MinP = v, 0, 0
	for _, c := range []struct {
		logits []float32
		want   int32
	}{
		{[]float32{1, 1.2, 1.5, -9}, 1},
		{[]float32{1, 1.2, 1.5, 0.5}, 3},
	} {
		if got := New(p, len(v)).Sample(slices.Clone(c.logits)); got != c.want {
			t.Errorf("%v: token %d, want %d", c.logits, got, c.want)
		}
	}
}
