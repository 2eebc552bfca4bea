package sample

import "math"

// Steps that end the chain in place of a plain temperature and draw.

// dynamic is the temperature for c when it follows the entropy: from p.Temperature - p.DynatempRange, where one token is
// certain, to p.Temperature + p.DynatempRange, where all are equally probable (llama.cpp, temp_ext).
func dynamic(c []candidate, p *Params) float64 {
	t, span := float64(p.Temperature), float64(p.DynatempRange)
	if len(c) < 2 {
		return t
	}
	low := max(0, t-span)
	m := c[best(c)].logit
	sum := expSum(c, m)
	logSum, entropy := log(sum), 0.0
	for i := range c {
		d := below(c[i].logit, m)
		if e := exp(d); e > 0 {
			entropy += float64(e / sum * (logSum - d))
		}
	}
	share := min(1, max(0, entropy/log(float64(len(c)))))
	return low + float64((t+span-low)*power(share, float64(p.DynatempExponent)))
}

// power is x**y for x in [0, 1] and y >= 0, of this package's exp and log.
func power(x, y float64) float64 {
	switch {
	case y == 0 || x == 1:
		return 1
	case x <= 0:
		return 0
	}
	return exp(float64(y * log(x)))
}

// heat divides the logits of c by the temperature. One that is not positive leaves only the best token.
func heat(c []candidate, t float64) []candidate {
	if t <= 0 {
		b := best(c)
		c[0] = c[b]
		return c[:1]
	}
	t32 := float32(t)
	for i := range c {
		c[i].logit /= t32
	}
	return c
}

// mirostatM is how many of the most probable tokens the first mirostat estimates the slope of the distribution from.
const mirostatM = 100

// mirostat draws a token with the surprise of the answer held near Tau (Basu et al., "Mirostat: a neural text decoding
// algorithm that directly controls perplexity", 2021, algorithms 1 and 2).
func (s *Sampler) mirostat(c []candidate) int32 {
	if s.p.Mirostat == 1 {
		c = s.mirostatFirst(c)
	} else {
		c = mirostatSecond(c, s.mu)
	}
	m := c[best(c)].logit
	sum := expSum(c, m)
	chosen := s.pick(c, m, sum)
	surprise := (log(sum) - below(c[chosen].logit, m)) / math.Ln2
	s.mu -= float64(float64(s.p.MirostatEta) * (surprise - float64(s.p.MirostatTau)))
	return c[chosen].id
}

// mirostatFirst keeps as many tokens as Zipf's law, fitted to the most probable ones, gives the wanted surprise.
func (s *Sampler) mirostatFirst(c []candidate) []candidate {
	c = prefix(c, 0, 1, func(float64) bool { return false }) // all, best first
	tb, tt := 0.0, 0.0
	for i := 0; i+1 < min(mirostatM, len(c)); i++ {
		b := below(c[i+1].logit, c[i].logit)
		if math.IsInf(b, -1) {
			break
		}
		t := log(float64(i+2)) - log(float64(i+1))
		tb -= float64(t * b)
		tt += float64(t * t)
	}
	if tt == 0 || tb <= 0 {
		return c // one token, or all equal: nothing to cut
	}
	slope := tb / tt
	excess := slope - 1
	// k = ((excess * 2^mu) / (1 - n^-excess))^(1/slope); exp of this package takes no positive argument, so its reciprocal.
	denominator := 1 - expAny(-float64(excess*log(float64(len(c)))))
	if denominator == 0 || excess/denominator <= 0 {
		return c
	}
	k := expAny(float64((log(excess/denominator) + float64(s.mu*math.Ln2)) / slope))
	if k < float64(len(c)) {
		c = c[:max(1, int(k))]
	}
	return c
}

// expAny is exp for arguments of either sign; +Inf above 700.
func expAny(x float64) float64 {
	if x > 0 {
		e := exp(-x)
		if e == 0 {
			return math.Inf(1)
		}
		return 1 / e
	}
	return exp(x)
}

// mirostatSecond keeps the tokens whose surprise in bits is at most mu, the best in any case.
func mirostatSecond(c []candidate, mu float64) []candidate {
	b := best(c)
	m, top := c[b].logit, c[b]
	logSum := log(expSum(c, m))
	kept := c[:0]
	for i := range c {
		if (logSum-below(c[i].logit, m))/math.Ln2 <= mu {
			kept = append(kept, c[i])
		}
	}
	if len(kept) == 0 {
		kept = append(kept, top)
	}
	return kept
}

// Constants of adaptive-p in llama.cpp: the shape of the preference around the target probability.
const (
	adaptivePeak      = 5
	adaptiveSharpness = 10
	adaptiveWidth     = 0.3
)

// adaptive draws a token whose probability is near a target that moves so that the tokens chosen have AdaptiveTarget on
// average (llama.cpp, adaptive-p): logits become peak - sharpness*d*d/(1+d), where d is the distance of the probability to
// the target in widths.
func (s *Sampler) adaptive(c []candidate) int32 {
	m := c[best(c)].logit
	sum := expSum(c, m)
	target := float64(s.p.AdaptiveTarget)
	if s.weight > 0 {
		target = min(1, max(0, 2*target-s.weighted/s.weight))
	}
	for i := range c {
		c[i].key = exp(below(c[i].logit, m)) / sum
		d := math.Abs(c[i].key-target) / adaptiveWidth
		c[i].logit = float32(adaptivePeak - float64(adaptiveSharpness*float64(d*d))/(1+d))
	}
	m = c[best(c)].logit
	chosen := s.pick(c, m, expSum(c, m))
	decay := float64(s.p.AdaptiveDecay)
	s.weighted = c[chosen].key + float64(decay*s.weighted)
	s.weight = 1 + float64(decay*s.weight)
	return c[chosen].id
}

// resetAdapting starts what mirostat and adaptive-p follow.
func (s *Sampler) resetAdapting() {
	s.mu = 2 * float64(s.p.MirostatTau)
	s.weighted, s.weight = 0, 0
	if d := float64(s.p.AdaptiveDecay); s.p.AdaptiveTarget > 0 && d < 1 {
		s.weight = 1 / (1 - d)
		s.weighted = float64(s.p.AdaptiveTarget) * s.weight
	}
}
