package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
)

// off returns parameters with every step off, so that a test switches on what it is about.
func off() Params {
	return Params{Temperature: 1, TopP: 1, TypicalP: 1, RepeatPenalty: 1}
}

// probs runs the chain on logits that are the logarithms of in, and returns the distribution that would be drawn from.
func probs(t *testing.T, p Params, in []float64, history ...int32) map[int32]float64 {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	logits := make([]float32, len(in))
	for i, v := range in {
		logits[i] = float32(math.Log(v))
	}
	s := New(p, len(in))
	for _, h := range history {
		s.Accept(h)
	}
	s.adjust(logits)
	return dist(s.filter(logits))
}

func dist(c []candidate) map[int32]float64 {
	out := map[int32]float64{}
	if len(c) == 0 {
		return out
	}
	m := c[best(c)].logit
	sum := expSum(c, m)
	for _, t := range c {
		out[t.id] = exp(below(t.logit, m)) / sum
	}
	return out
}

// TestVectors holds distributions computed by hand from the definitions; inputs as in the sampling tests of llama.cpp.
func TestVectors(t *testing.T) {
	ramp := []float64{0.1, 0.2, 0.3, 0.4}
	flat4 := []float64{0.25, 0.25, 0.25, 0.25}
	flat5 := []float64{0.2, 0.2, 0.2, 0.2, 0.2}
	inf := float32(math.Inf(-1))
	type m = map[int32]float64
	for _, c := range []struct {
		name string
		set  func(*Params)
		in   []float64
		hist []int32
		want m
	}{
		{"off", func(*Params) {}, ramp, nil, m{0: .1, 1: .2, 2: .3, 3: .4}},
		{"temperature 0.5", func(p *Params) { p.Temperature = 0.5 }, ramp, nil, m{0: .01 / .3, 1: .04 / .3, 2: .09 / .3, 3: .16 / .3}},
		{"bias", func(p *Params) { p.Bias = []Bias{{0, float32(math.Log(4))}, {3, inf}, {99, 5}, {-1, 5}} }, ramp, nil, m{0: .4 / .9, 1: .2 / .9, 2: .3 / .9}},
		{"bias twice", func(p *Params) { p.Bias = []Bias{{0, float32(math.Log(2))}, {0, float32(math.Log(2))}} }, ramp, nil, m{0: .4 / 1.3, 1: .2 / 1.3, 2: .3 / 1.3, 3: .4 / 1.3}},
		{"top_k 1", func(p *Params) { p.TopK = 1 }, ramp, nil, m{3: 1}},
		{"top_k 3", func(p *Params) { p.TopK = 3 }, ramp, nil, m{3: .44444, 2: .33333, 1: .22222}},
		{"top_k 9", func(p *Params) { p.TopK = 9 }, ramp, nil, m{0: .1, 1: .2, 2: .3, 3: .4}},
		{"top_k ties", func(p *Params) { p.TopK = 2 }, flat5, nil, m{0: .5, 1: .5}},
		{"top_p 0", func(p *Params) { p.TopP = 0 }, ramp, nil, m{3: 1}},
		{"top_p 0.7", func(p *Params) { p.TopP = 0.69 }, ramp, nil, m{3: .4 / .7, 2: .3 / .7}},
		{"top_p 0.8", func(p *Params) { p.TopP = 0.8 }, ramp, nil, m{3: .44444, 2: .33333, 1: .22222}},
		{"min_p 0.24", func(p *Params) { p.MinP = 0.24 }, ramp, nil, m{0: .1, 1: .2, 2: .3, 3: .4}},
		{"min_p 0.26", func(p *Params) { p.MinP = 0.26 }, ramp, nil, m{1: .22222, 2: .33333, 3: .44444}},
		{"min_p 0.76", func(p *Params) { p.MinP = 0.76 }, ramp, nil, m{3: 1}},
		{"min_p 1", func(p *Params) { p.MinP = 1 }, ramp, nil, m{3: 1}},
		{"xtc", func(p *Params) { p.XTCProbability, p.XTCThreshold = 1, 0.09 }, ramp, nil, m{0: 1}},
		{"xtc 0.19", func(p *Params) { p.XTCProbability, p.XTCThreshold = 1, 0.19 }, ramp, nil, m{0: .1 / .3, 1: .2 / .3}},
		{"xtc 0.39", func(p *Params) { p.XTCProbability, p.XTCThreshold = 1, 0.39 }, ramp, nil, m{0: .1, 1: .2, 2: .3, 3: .4}},
		{"xtc above 0.5", func(p *Params) { p.XTCProbability, p.XTCThreshold = 1, 0.51 }, ramp, nil, m{0: .1, 1: .2, 2: .3, 3: .4}},
		{"typical 0.5", func(p *Params) { p.TypicalP = 0.5 }, []float64{.97, .01, .01, .01}, nil, m{0: 1}},
		// entropy 1.3322; distances: 0.4: 0.416, 0.2: 0.277; two of the latter have 0.4, which is not above 0.5
		{"typical keeps the middle", func(p *Params) { p.TypicalP = 0.5 }, []float64{.4, .2, .2, .2}, nil, m{1: 1. / 3, 2: 1. / 3, 3: 1. / 3}},
		{"repeat 50", func(p *Params) { p.RepeatLastN, p.RepeatPenalty = 64, 50 }, flat5, []int32{0}, m{0: 0, 1: .25, 2: .25, 3: .25, 4: .25}},
		{"frequency and presence", func(p *Params) { p.RepeatLastN, p.FrequencyPenalty, p.PresencePenalty = 64, 5, 5 }, flat5, []int32{0, 1, 2}, m{0: .000023, 1: .000023, 2: .000023, 3: .499966, 4: .499966}},
		{"frequency counts", func(p *Params) { p.RepeatLastN, p.FrequencyPenalty = 64, float32(math.Log(2)) }, flat4, []int32{0, 0, 1}, m{0: .25 / 2.75, 1: .5 / 2.75, 2: 1 / 2.75, 3: 1 / 2.75}},
		{"old tokens are forgotten", func(p *Params) { p.RepeatLastN, p.PresencePenalty = 2, 5 }, flat4, []int32{3, 3, 0, 1}, m{0: .003346, 1: .003346, 2: .496654, 3: .496654}},
		{"foreign tokens do no harm", func(p *Params) { p.RepeatLastN, p.PresencePenalty = 9, 5 }, flat4, []int32{-1, 4, 1 << 30}, m{0: .25, 1: .25, 2: .25, 3: .25}},
		{"dry short", func(p *Params) { p.DRY = DRY{1, 1.1, 2, 4, nil} }, flat4, []int32{0, 1}, m{0: .25, 1: .25, 2: .25, 3: .25}},
		{"dry", func(p *Params) { p.DRY = DRY{1, 1.1, 2, 5, nil} }, flat4, []int32{0, 1, 2, 0, 1}, m{0: .296923, 1: .296923, 2: .109232, 3: .296923}},
		{"dry multiplier", func(p *Params) { p.DRY = DRY{2, 1.1, 2, 5, nil} }, flat5, []int32{0, 1, 2, 0, 1}, m{0: .241818, 1: .241818, 2: .032727, 3: .241818, 4: .241818}},
		// the end "0 3 1 1" was seen before, followed by 2; only its "1 1" is after the breaker 3
		{"dry without breaker", func(p *Params) { p.DRY = DRY{1, 1.1, 2, 9, nil} }, flat4, []int32{0, 3, 1, 1, 2, 0, 3, 1, 1}, m{0: .303196, 1: .303196, 2: .090412, 3: .303196}},
		{"dry breaker", func(p *Params) { p.DRY = DRY{1, 1.1, 2, 9, [][]int32{{3}}} }, flat4, []int32{0, 3, 1, 1, 2, 0, 3, 1, 1}, m{0: .296923, 1: .296923, 2: .109232, 3: .296923}},
		{"dry longer breaker", func(p *Params) { p.DRY = DRY{1, 1.1, 2, 9, [][]int32{{3}, {3, 1}, {3, 2}}} }, flat4, []int32{0, 3, 1, 1, 2, 0, 3, 1, 1}, m{0: .25, 1: .25, 2: .25, 3: .25}},
		{"dry spares a breaker", func(p *Params) { p.DRY = DRY{1, 1.1, 2, 6, [][]int32{{3}}} }, flat5, []int32{0, 1, 3, 4, 0, 1}, m{0: .2, 1: .2, 2: .2, 3: .2, 4: .2}},
		{"dry clamps the exponent", func(p *Params) { p.DRY = DRY{1, 100, 0, 40, nil} }, flat4, make([]int32, 40), m{0: 0, 1: 1. / 3, 2: 1. / 3, 3: 1. / 3}},
		{"dry allowed", func(p *Params) { p.DRY = DRY{1, 1.1, 4, 7, nil} }, flat5, []int32{0, 1, 2, 3, 4, 0, 1}, m{0: .2, 1: .2, 2: .2, 3: .2, 4: .2}},
		{"top_n_sigma 1", func(p *Params) { p.TopNSigma = 1 }, ramp, nil, m{2: .4285714, 3: .5714286}},
		{"top_n_sigma 3", func(p *Params) { p.TopNSigma = 3 }, ramp, nil, m{0: .1, 1: .2, 2: .3, 3: .4}},
		// a forbidden token does not count: with it the deviation would be 0.518, without it is 0.284
		{"top_n_sigma after bias", func(p *Params) { p.TopNSigma, p.Bias = 1, []Bias{{0, inf}} }, ramp, nil, m{3: 1}},
		{"top_k then top_p", func(p *Params) { p.TopK, p.TopP = 3, 0.75 }, ramp, nil, m{3: .4 / .7, 2: .3 / .7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := off()
			c.set(&p)
			got := probs(t, p, c.in, c.hist...)
			if len(got) != len(c.want) {
				t.Errorf("kept %v, want %v", got, c.want)
			}
			for id, w := range c.want {
				if math.Abs(got[id]-w) > 1e-5 {
					t.Errorf("token %d: %.7f, want %.7f", id, got[id], w)
				}
			}
		})
	}
}

// naive is the chain from top_n_sigma on, written as plainly as possible: full sorts, math.Exp, math.Log.
func naive(p Params, logits []float32) map[int32]float64 {
	type cand struct {
		id int32
		l  float64
	}
	var c []cand
	for i, l := range logits {
		if !math.IsInf(float64(l), -1) {
			c = append(c, cand{int32(i), float64(l)})
		}
	}
	sorted := func() { sort.SliceStable(c, func(i, j int) bool { return c[i].l > c[j].l }) }
	softmax := func() []float64 {
		ps, sum, m := make([]float64, len(c)), 0.0, math.Inf(-1)
		for i := range c {
			m = math.Max(m, c[i].l)
		}
		for i := range c {
			ps[i] = math.Exp(c[i].l - m)
			sum += ps[i]
		}
		for i := range ps {
			ps[i] /= sum
		}
		return ps
	}
	sorted()
	if p.TopNSigma > 0 {
		mean, acc := 0.0, 0.0
		for _, x := range c {
			mean += x.l / float64(len(c))
		}
		for _, x := range c {
			acc += (x.l - mean) * (x.l - mean) / float64(len(c))
		}
		c = slices.DeleteFunc(c, func(x cand) bool { return x.l < c[0].l-float64(p.TopNSigma)*math.Sqrt(acc) })
	}
	if p.TopK > 0 {
		c = c[:min(len(c), p.TopK)]
	}
	if p.TypicalP < 1 {
		ps, h := softmax(), 0.0
		for _, x := range ps {
			h -= x * math.Log(x)
		}
		idx := make([]int, len(c))
		for i := range idx {
			idx[i] = i
		}
		sort.SliceStable(idx, func(i, j int) bool {
			return math.Abs(-math.Log(ps[idx[i]])-h) < math.Abs(-math.Log(ps[idx[j]])-h)
		})
		var kept []cand
		for cum, i := 0.0, 0; i < len(idx) && !(cum > float64(p.TypicalP)); i++ {
			kept = append(kept, c[idx[i]])
			cum += ps[idx[i]]
		}
		c = kept
		sort.SliceStable(c, func(i, j int) bool { return c[i].id < c[j].id })
		sorted()
	}
	if p.TopP < 1 {
		ps, cum := softmax(), 0.0
		for i := range ps {
			if cum += ps[i]; cum >= float64(p.TopP) {
				c = c[:i+1]
				break
			}
		}
	}
	if p.MinP > 0 {
		ps := softmax()
		n := 1
		for n < len(c) && ps[n] >= ps[0]*float64(p.MinP) {
			n++
		}
		c = c[:n]
	}
	if p.XTCProbability == 1 && p.XTCThreshold <= 0.5 {
		ps, top := softmax(), 0
		for top < len(ps) && ps[top] >= float64(p.XTCThreshold) {
			top++
		}
		if top >= 2 {
			c = c[top-1:]
		}
	}
	for i := range c {
		c[i].l /= float64(p.Temperature)
	}
	out := map[int32]float64{}
	for i, x := range softmax() {
		out[c[i].id] = x
	}
	return out
}

func TestChainEqualsNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(v ...float32) float32 { return v[r.IntN(len(v))] }
	for i := range 3000 {
		p := off()
		p.Temperature = pick(0.1, 0.8, 1, 2)
		p.TopK = int(pick(0, 0, 1, 5, 40, 500))
		p.TopP = pick(1, 0, 0.5, 0.95, 0.999)
		p.MinP = pick(0, 0.05, 0.5, 1)
		p.TypicalP = pick(1, 1, 0.2, 0.95)
		p.TopNSigma = pick(-1, -1, 1, 2.5)
		p.XTCProbability = pick(0, 0, 1)
		p.XTCThreshold = pick(0.05, 0.2, 0.6)
		logits := make([]float32, 1+r.IntN(300))
		for j := range logits {
			logits[j] = float32(r.NormFloat64() * 3)
			if r.IntN(8) == 0 {
				logits[j] = float32(math.Inf(-1))
			}
		}
		logits[r.IntN(len(logits))] = 1
		want := naive(p, logits)
		s := New(p, len(logits))
		got := dist(s.filter(logits))
		if len(got) != len(want) {
			t.Fatalf("case %d, %+v: kept %d tokens, want %d", i, p, len(got), len(want))
		}
		for id, w := range want {
			if math.Abs(got[id]-w) > 1e-5 {
				t.Fatalf("case %d, %+v: token %d: %v, want %v", i, p, id, got[id], w)
			}
		}
	}
}

func TestGreedy(t *testing.T) {
	p := Defaults()
	p.Temperature = 0
	s := New(p, 5)
	if got := s.Sample([]float32{1, 7, 7, float32(math.NaN()), 2}); got != 1 {
		t.Errorf("got token %d, want 1, the lower of two equal ones", got)
	}
	p.TypicalP = 0.5 // removes the best token of this distribution, also from a greedy choice
	s.Reset(p)
	if got := s.Sample(logs(.4, .2, .2, .2)); got != 1 {
		t.Errorf("typical: got token %d, want 1", got)
	}
	p = Defaults()
	p.Temperature, p.RepeatPenalty = 0, 2
	s.Reset(p)
	s.Accept(1)
	if got := s.Sample([]float32{1, 7, 4, 3, 2}); got != 2 {
		t.Errorf("penalty: got token %d, want 2", got)
	}
}

func logs(p ...float64) []float32 {
	out := make([]float32, len(p))
	for i, v := range p {
		out[i] = float32(math.Log(v))
	}
	return out
}

func TestNoChoice(t *testing.T) {
	inf, nan := float32(math.Inf(-1)), float32(math.NaN())
	for _, temp := range []float32{0, 1} {
		for _, k := range []int{0, 2} {
			for _, logits := range [][]float32{{}, {inf, inf}, {nan, nan, inf}} {
				p := off()
				p.Temperature, p.TopK = temp, k
				if got := New(p, len(logits)).Sample(slices.Clone(logits)); got != -1 {
					t.Errorf("temperature %v, top_k %d, %v: got %d, want -1", temp, k, logits, got)
				}
			}
		}
	}
}

func TestInfinity(t *testing.T) {
	p := Defaults()
	p.TypicalP, p.TopNSigma = 0.9, 2
	for seed := range uint64(20) {
		p.Seed = seed
		logits := []float32{3, float32(math.Inf(1)), 2, -5}
		if got := New(p, 4).Sample(logits); got != 1 {
			t.Fatalf("seed %d: got %d, want 1", seed, got)
		}
	}
}

// TestDraw checks frequencies over many draws against the distribution.
func TestDraw(t *testing.T) {
	s := New(off(), 4)
	const n = 40000
	want := []float64{.1, .2, .3, .4}
	logits := logs(want...)
	var count [4]int
	for range n {
		count[s.Sample(logits)]++
	}
	chi2 := 0.0
	for i, w := range want {
		d := float64(count[i]) - n*w
		chi2 += d * d / (n * w)
	}
	if chi2 > 16.27 { // 99.9 % of the chi-squared distribution with 3 degrees of freedom
		t.Errorf("counts %v, chi-squared %.1f", count, chi2)
	}
}

// TestSeed pins the tokens that seeds give, on every architecture.
func TestSeed(t *testing.T) {
	p := Defaults()
	p.TypicalP, p.RepeatPenalty, p.XTCProbability = 0.97, 1.1, 0.3
	p.DRY.Multiplier = 0.8
	got := ""
	for _, seed := range []uint64{0, 1, math.MaxUint64} {
		p.Seed = seed
		s := New(p, 1000)
		r := rand.New(rand.NewPCG(7, 7))
		logits := make([]float32, 1000)
		for range 12 {
			for i := range logits {
				logits[i] = float32(r.IntN(1<<16)) / (1 << 12)
			}
			id := s.Sample(logits)
			s.Accept(id)
			got += fmt.Sprint(id, " ")
		}
		got += "\n"
	}
	want := "967 203 783 792 18 954 211 206 714 902 888 186 \n" +
		"187 782 955 657 762 587 977 229 943 251 329 31 \n" +
		"907 533 880 883 112 748 893 167 242 853 23 546 \n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestNoAllocation(t *testing.T) {
	full := Defaults()
	full.TopK, full.RepeatPenalty, full.TypicalP, full.XTCProbability = 0, 1.2, 0.9, 0.5
	full.DRY.Multiplier, full.DRY.Breakers = 1, [][]int32{{3}, {4, 5}}
	full.TopNSigma = 3
	greedy := Defaults()
	greedy.Temperature = 0
	for _, p := range []Params{Defaults(), full, greedy} {
		r := rand.New(rand.NewPCG(3, 3))
		src, logits := make([]float32, 5000), make([]float32, 5000)
		for i := range src {
			src[i] = float32(r.NormFloat64())
		}
		s := New(p, len(src))
		if n := testing.AllocsPerRun(200, func() {
			copy(logits, src)
			s.Accept(s.Sample(logits))
		}); n != 0 {
			t.Errorf("%+v: %v allocations per token", p, n)
		}
		if n := testing.AllocsPerRun(10, func() { s.Reset(Defaults()) }); n != 0 {
			t.Errorf("Reset: %v allocations", n)
		}
	}
}

// TestReset checks that nothing of an earlier answer is left.
func TestReset(t *testing.T) {
	p := Defaults()
	p.RepeatPenalty, p.DRY.Multiplier, p.Seed = 1.5, 1, 9
	r := rand.New(rand.NewPCG(5, 5))
	src := make([]float32, 200)
	for i := range src {
		src[i] = float32(r.NormFloat64())
	}
	run := func(s *Sampler) (out []int32) {
		for range 50 {
			id := s.Sample(slices.Clone(src))
			s.Accept(id)
			out = append(out, id)
		}
		return out
	}
	s := New(p, len(src))
	first := run(s)
	q := p
	q.TopK, q.RepeatLastN = 0, 200
	s.Reset(q)
	run(s)
	s.Reset(p)
	if again := run(s); !slices.Equal(first, again) {
		t.Errorf("after Reset %v, want %v", again, first)
	}
}

func TestValidate(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Error(err)
	}
	if err := off().Validate(); err != nil {
		t.Error(err)
	}
	nan := float32(math.NaN())
	bad := Params{
		Temperature: nan, TopP: 2, MinP: -1, TypicalP: 0, TopNSigma: nan, RepeatLastN: -1, RepeatPenalty: 0,
		FrequencyPenalty: nan, PresencePenalty: 1000, XTCProbability: 2, XTCThreshold: -1,
		DRY:  DRY{Multiplier: -1, Base: nan, AllowedLength: -1, LastN: 1 << 20, Breakers: [][]int32{{}}},
		Bias: []Bias{{Token: 3, Value: nan}, {Token: 4, Value: float32(math.Inf(1))}, {Token: 5, Value: float32(math.Inf(-1))}},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, name := range []string{
		"temperature", "top_p", "min_p", "typical_p", "top_n_sigma", "repeat_last_n", "repeat_penalty", "frequency_penalty",
		"presence_penalty", "xtc_probability", "xtc_threshold", "dry_multiplier", "dry_base", "dry_allowed_length",
		"dry_last_n", "dry_breakers", "token 3", "token 4",
	} {
		if n := len(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, name) })); n != 1 {
			t.Errorf("%s is named %d times, want once", name, n)
		}
	}
	if len(lines) != 18 {
		t.Errorf("%d problems, want 18:\n%v", len(lines), err)
	}
}
