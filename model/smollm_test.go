package model_test

import (
	"math"
	"os"
	"strconv"
	"testing"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/kvcache"
)

const smollm = "smollm2-135m-instruct-q4_1"

// tokenLimit shortens the texts where every instruction is emulated: SISKIN_TEST_TOKENS, 0 for all.
func tokenLimit(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SISKIN_TEST_TOKENS")
	if text == "" {
		return math.MaxInt
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("SISKIN_TEST_TOKENS=%q: want a positive number", text)
	}
	return n
}

// testSets are the sets of this CPU; the plain Go one only where it does not take minutes.
func testSets(t *testing.T) []*kernel.Set {
	t.Helper()
	sets := kernel.All()
	if tokenLimit(t) < math.MaxInt && len(sets) > 1 {
		return sets[:len(sets)-1]
	}
	return sets
}

type goldenText struct {
	Tokens  []int32                 `json:"tokens"`
	Next    []float64               `json:"reference_next_logprob"`
	Top     map[string][][2]float64 `json:"top32"`
	MeanNLL float64                 `json:"reference_mean_nll"`
	Peer    struct {
		KL float64 `json:"mean_kl"`
	} `json:"peer"`
}

// The distance to exact arithmetic on the same weights is at most half that of the best known engine.
func TestGoldenTexts(t *testing.T) {
	var golden map[string]goldenText
	goldentest.JSON(t, &golden, smollm, "logits.json")
	m := open(t, goldentest.Model(t))
	for _, set := range testSets(t) {
		for name, text := range golden {
			t.Run(set.Name+"/"+name, func(t *testing.T) { checkText(t, m, set, kvcache.F16, text, 0.5) })
		}
	}
}

// With keys and values in 8 bits it is well below that of the best known engine with 16, and with those in 4 bits within what
// daemon/doc/decisions/0012-integer-attention.md says that they cost.
func TestGoldenTextsInQ8(t *testing.T) { goldenTextsIn(t, kvcache.Q8, 0.75) }

func TestGoldenTextsInQ4(t *testing.T) { goldenTextsIn(t, kvcache.Q4, 20) }

func goldenTextsIn(t *testing.T, kv kvcache.Format, factor float64) {
	var golden map[string]goldenText
	goldentest.JSON(t, &golden, smollm, "logits.json")
	m := open(t, goldentest.Model(t))
	for name, text := range golden {
		t.Run(name, func(t *testing.T) { checkText(t, m, testSets(t)[0], kv, text, factor) })
	}
}

// checkText allows a mean divergence of factor times the peer's.
func checkText(t *testing.T, m *model.Model, set *kernel.Set, kv kvcache.Format, text goldenText, factor float64) {
	const rows = 32
	tokens := text.Tokens[:min(len(text.Tokens), tokenLimit(t))]
	s := newState(t, m, set, model.Limits{Rows: rows, Logits: rows, Sequences: 1, Context: 1024, KV: kv})
	var kl, nll, want float64
	var tops, next int
	for start := 0; start < len(tokens); start += rows {
		part := tokens[start:min(start+rows, len(tokens))]
		if err := s.Forward(rowsOf(part, start, func(int) bool { return true })); err != nil {
			t.Fatal(err)
		}
		for i := range part {
			pos := start + i
			logprobs := logSoftmax(s.Logits(i))
			if pos+1 < len(tokens) {
				nll -= logprobs[tokens[pos+1]]
				want -= text.Next[pos]
				next++
			}
			if top, ok := text.Top[strconv.Itoa(pos)]; ok {
				kl += divergence(top, logprobs)
				tops++
			}
		}
	}
	kl /= float64(tops)
	t.Logf("mean KL %.5f over %d positions (peer %.5f), mean NLL %.5f (reference %.5f)",
		kl, tops, text.Peer.KL, nll/float64(next), want/float64(next))
	if most := factor * text.Peer.KL; !(kl <= most) {
		t.Errorf("mean KL %.5f, want at most %.5f, %v times the peer's", kl, most, factor)
	}
}

// divergence is KL(reference || ours) over the reference's listed tokens and one bucket for all others.
func divergence(top [][2]float64, logprobs []float64) float64 {
	var kl, restP, restQ float64 = 0, 1, 1
	for _, pair := range top {
		p, logq := math.Exp(pair[1]), logprobs[int(pair[0])]
		kl += p * (pair[1] - logq)
		restP -= p
		restQ -= math.Exp(logq)
	}
	if restP > 1e-9 && restQ > 1e-12 {
		kl += restP * math.Log(restP/restQ)
	}
	return kl
}

// Given the reference's own prefix, the best token is the reference's wherever its margin is not within rounding.
func TestGoldenGreedy(t *testing.T) {
	var golden []struct {
		Prompt string
		Tokens []int32
		Greedy []int32 `json:"reference_greedy"`
		Margin []float64
	}
	goldentest.JSON(t, &golden, smollm, "greedy.json")
	m := open(t, goldentest.Model(t))
	if tokenLimit(t) < math.MaxInt {
		golden = golden[:1]
	}
	for _, set := range testSets(t) {
		golden := golden
		if set.Name == "generic" {
			golden = golden[:min(3, len(golden))] // a second for each token of each chat; the texts above are run in full
		}
		s := newState(t, m, set, model.Limits{Rows: 256, Logits: 256, Sequences: 1, Context: 1024})
		steps, agree, doubtful := 0, 0, 0
		for _, chat := range golden {
			if _, err := s.Truncate(0, 0); err != nil {
				t.Fatal(err)
			}
			all := append(append([]int32(nil), chat.Tokens...), chat.Greedy...)
			first := len(chat.Tokens) - 1
			if err := s.Forward(rowsOf(all[:len(all)-1], 0, func(pos int) bool { return pos >= first })); err != nil {
				t.Fatal(err)
			}
			for i, want := range chat.Greedy {
				steps++
				got := argmax(s.Logits(i))
				switch {
				case got == want:
					agree++
				case chat.Margin[i] >= 0.5:
					t.Errorf("%s: %q, step %d: token %d, want %d at a margin of %.2f", set.Name, chat.Prompt, i, got, want, chat.Margin[i])
				default:
					doubtful++
				}
			}
		}
		t.Logf("%s: %d of %d greedy steps equal, %d differ at a margin below 0.5", set.Name, agree, steps, doubtful)
	}
}

func argmax(x []float32) int32 {
	best := 0
	for i, f := range x {
		if f > x[best] {
			best = i
		}
	}
	return int32(best)
}
