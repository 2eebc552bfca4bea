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

// refSoftmax is the softmax, as plainly as possible.
func refSoftmax(l []float64) []float64 {
	out, sum, m := make([]float64, len(l)), 0.0, slices.Max(l)
	for i, x := range l {
		out[i] = math.Exp(x - m)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// TestDynatemp has the cases of llama.cpp's test of temp_ext, and random ones.
func TestDynatemp(t *testing.T) {
	ramp := []float64{.1, .2, .3, .4}
	for _, c := range []struct {
		temp, span, exponent float32
		want                 map[int32]float64
	}{
		{1, 0, 1, map[int32]float64{0: .1, 1: .2, 2: .3, 3: .4}},
		{0.001, 0, 1, map[int32]float64{3: 1}},
	} {
		p := off()
		p.Temperature, p.DynatempRange, p.DynatempExponent = c.temp, c.span, c.exponent
		got := probs(t, p, ramp)
		for id, w := range c.want {
			if math.Abs(got[id]-w) > 1e-5 {
				t.Errorf("%+v: token %d: %v, want %v", c, id, got[id], w)
			}
		}
	}
	r := rand.New(rand.NewPCG(11, 1))
	for range 500 {
		p := off()
		p.Temperature, p.DynatempRange, p.DynatempExponent = 0.2+r.Float32()*2, r.Float32()*3, r.Float32()*3
		logits, l := make([]float32, 2+r.IntN(80)), []float64{}
		for i := range logits {
			logits[i] = float32(r.NormFloat64() * 2)
			l = append(l, float64(logits[i]))
		}
		entropy := 0.0
		for _, x := range refSoftmax(l) {
			if x > 0 {
				entropy -= x * math.Log(x)
			}
		}
		low, high := math.Max(0, float64(p.Temperature)-float64(p.DynatempRange)), float64(p.Temperature)+float64(p.DynatempRange)
		temp := low + (high-low)*math.Pow(entropy/math.Log(float64(len(l))), float64(p.DynatempExponent))
		for i := range l {
			l[i] /= temp
		}
		got := dist(New(p, len(l)).filter(logits))
		for i, w := range refSoftmax(l) {
			if math.Abs(got[int32(i)]-w) > 1e-5 {
				t.Fatalf("%+v: token %d: %v, want %v", p, i, got[int32(i)], w)
			}
		}
	}
}

// refDraw is the draw of a sampler: the same generator, over p in its order.
func refDraw(pcg *rand.PCG, p []float64) int {
	u, cum := float64(pcg.Uint64()>>11)/(1<<53), 0.0
	for i, x := range p {
		if cum += x; cum > u {
			return i
		}
	}
	return len(p) - 1
}

// TestMirostat follows both algorithms of the paper for some answers, written out without the package's helpers.
func TestMirostat(t *testing.T) {
	for version := 1; version <= 2; version++ {
		for seed := range uint64(40) {
			r := rand.New(rand.NewPCG(seed, 9))
			p := off()
			p.Seed, p.Mirostat, p.MirostatTau, p.MirostatEta = seed, version, 0.5+r.Float32()*6, 0.05+r.Float32()*0.4
			p.Temperature = 0.5 + r.Float32()
			p.TopK, p.RepeatPenalty, p.RepeatLastN = 3, 2, 64 // without effect: mirostat replaces them
			n := 3 + r.IntN(300)
			s, pcg, mu := New(p, n), rand.NewPCG(seed, pcgStream), 2*float64(p.MirostatTau)
			for step := range 30 {
				logits, l := make([]float32, n), make([]float64, n)
				for i := range logits {
					logits[i] = float32(r.NormFloat64() * 3)
					l[i] = float64(float32(logits[i] / p.Temperature))
				}
				order := make([]int, n)
				for i := range order {
					order[i] = i
				}
				probability := refSoftmax(l)
				if version == 1 {
					sort.SliceStable(order, func(a, b int) bool { return l[order[a]] > l[order[b]] })
					num, den := 0.0, 0.0
					for i := 0; i < min(99, n-1); i++ {
						ti := math.Log(float64(i+2) / float64(i+1))
						num += ti * math.Log(probability[order[i]]/probability[order[i+1]])
						den += ti * ti
					}
					slope := num / den
					k := math.Pow((slope-1)*math.Pow(2, mu)/(1-math.Pow(float64(n), 1-slope)), 1/slope)
					order = order[:max(1, int(math.Min(k, float64(n))))] // k can be larger than any int
				} else {
					order = slices.DeleteFunc(order, func(i int) bool { return -math.Log2(probability[i]) > mu })
					if len(order) == 0 {
						order = []int{slices.Index(l, slices.Max(l))}
					}
				}
				var kept []float64
				for _, i := range order {
					kept = append(kept, l[i])
				}
				kept = refSoftmax(kept)
				i := refDraw(pcg, kept)
				mu -= float64(p.MirostatEta) * (-math.Log2(kept[i]) - float64(p.MirostatTau))
				if got := s.Sample(logits); int(got) != order[i] || math.Abs(s.mu-mu) > 1e-4 {
					t.Fatalf("mirostat %d, seed %d, step %d: token %d, mu %v; want %d, %v", version, seed, step, got, s.mu, order[i], mu)
				}
			}
		}
	}
}

func TestMirostatEdges(t *testing.T) {
	inf := float32(math.Inf(-1))
	for version := 1; version <= 2; version++ {
		p := off()
		p.Mirostat, p.MirostatTau, p.MirostatEta = version, 0, 0.1
		for _, logits := range [][]float32{{1}, {inf, 2, inf}, {3, 3, 3, 3}, {500, -500}, {inf, 1, 1}} {
			if got := New(p, len(logits)).Sample(slices.Clone(logits)); got < 0 || logits[got] == inf {
				t.Errorf("mirostat %d of %v: token %d", version, logits, got)
			}
		}
		if got := New(p, 2).Sample([]float32{inf, inf}); got != -1 {
			t.Errorf("mirostat %d of nothing: token %d", version, got)
		}
	}
	p := off()
	p.Mirostat, p.Temperature, p.MirostatTau = 2, 0, 5
	if got := New(p, 3).Sample([]float32{1, 3, 2}); got != 1 {
		t.Errorf("mirostat, greedy: token %d", got)
	}
}

// TestAdaptive follows adaptive-p for some answers, and sees that tokens near the target are what it takes.
func TestAdaptive(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 4))
		p := off()
		p.Seed, p.AdaptiveTarget, p.AdaptiveDecay, p.MinP = seed, 0.05+r.Float32()*0.9, r.Float32()*0.99, 0.01
		n := 3 + r.IntN(100)
		s, pcg := New(p, n), rand.NewPCG(seed, pcgStream)
		target, decay := float64(p.AdaptiveTarget), float64(p.AdaptiveDecay)
		weighted, weight := target/(1-decay), 1/(1-decay)
		for step := range 30 {
			logits, l := make([]float32, n), []float64{}
			var ids []int
			for i := range logits {
				logits[i] = float32(r.NormFloat64() * 3)
			}
			for i, x := range logits {
				if float64(x) >= float64(slices.Max(logits))+math.Log(float64(p.MinP)) {
					ids, l = append(ids, i), append(l, float64(x))
				}
			}
			aim := math.Min(1, math.Max(0, 2*target-weighted/weight))
			probability := refSoftmax(l)
			for i, x := range probability {
				d := math.Abs(x-aim) / 0.3
				l[i] = float64(float32(5 - 10*d*d/(1+d)))
			}
			i := refDraw(pcg, refSoftmax(l))
			weighted, weight = probability[i]+decay*weighted, 1+decay*weight
			if got := s.Sample(logits); int(got) != ids[i] || math.Abs(s.weighted-weighted) > 1e-6 || math.Abs(s.weight-weight) > 1e-6 {
				t.Fatalf("seed %d, step %d: token %d, %v of %v; want %d, %v of %v", seed, step, got, s.weighted, s.weight, ids[i], weighted, weight)
			}
		}
	}
	p := off()
	p.AdaptiveTarget = 0.2
	var count [3]int
	for seed := range uint64(300) {
		p.Seed = seed
		count[New(p, 3).Sample(logs(.75, .2, .05))]++
	}
	if count[1] < 150 {
		t.Errorf("of probabilities 0.75, 0.2, 0.05 the second is nearest, but the counts are %v", count)
	}
}

func TestAdaptNoAllocation(t *testing.T) {
	for _, set := range []func(*Params){
		func(p *Params) { p.Mirostat = 1 }, func(p *Params) { p.Mirostat = 2 }, func(p *Params) { p.AdaptiveTarget = 0.3 }, func(p *Params) { p.DynatempRange = 0.3 },
	} {
		p := Defaults()
		set(&p)
		src := make([]float32, 3000)
		r := rand.New(rand.NewPCG(3, 3))
		for i := range src {
			src[i] = float32(r.NormFloat64())
		}
		s, logits := New(p, len(src)), make([]float32, len(src))
		if n := testing.AllocsPerRun(100, func() {
			copy(logits, src)
			s.Accept(s.Sample(logits))
		}); n != 0 {
			t.Errorf("%+v: %v allocations per token", p, n)
		}
	}
}

func TestValidateAdapting(t *testing.T) {
	nan := float32(math.NaN())
	p := Defaults()
	p.DynatempRange, p.DynatempExponent, p.Mirostat, p.MirostatTau, p.MirostatEta, p.AdaptiveTarget, p.AdaptiveDecay = -1, nan, 3, -1, 2, 2, 1
	text := fmt.Sprint(p.Validate())
	for _, name := range []string{"dynatemp_range", "dynatemp_exponent", "mirostat: 3", "mirostat_tau", "mirostat_eta", "adaptive_target", "adaptive_decay"} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is missing in: %s", name, text)
		}
	}
}
