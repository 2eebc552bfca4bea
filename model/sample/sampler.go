package sample

import (
	"math"
	"math/rand/v2"
)

// pcgStream is the second half of the generator's initial state; it only has to stay the same.
const pcgStream = 0x73697368696e

// Sampler chooses tokens of one sequence. It keeps the history that penalties need. It is not safe for concurrent use.
type Sampler struct {
	p                Params
	nVocab           int
	pcg              rand.PCG
	hist             history
	dry              dryState
	mu               float64 // mirostat: surprise in bits above which tokens are cut
	weighted, weight float64 // adaptive-p: probabilities of the chosen tokens and their number, the older the less
	room             *Room
}

// Room is where a sampler keeps the candidates of the Sample under way. Samplers of which one at a time samples can share it:
// without a TopK it is as long as the vocabulary, 16 bytes a token. Its zero value is ready.
type Room struct {
	cands []candidate
}

// candidate is a token that is still in the race.
type candidate struct {
	key   float64 // what the current step orders by, larger first
	logit float32
	id    int32
}

// New returns a sampler for a vocabulary of nVocab tokens with a room of its own. p should have passed Validate; values
// outside the ranges do no harm but have no defined meaning.
func New(p Params, nVocab int) *Sampler { return NewIn(&Room{}, p, nVocab) }

// NewIn is New with a room that other samplers may have too.
func NewIn(room *Room, p Params, nVocab int) *Sampler {
	s := &Sampler{nVocab: nVocab, room: room}
	s.Reset(p)
	return s
}

// Reset makes s as New(p, nVocab) would, with the same vocabulary, and reuses its memory where it is large enough.
func (s *Sampler) Reset(p Params) {
	s.p = p
	s.pcg.Seed(p.Seed, pcgStream)
	lastN := 0
	if s.penalised() {
		lastN = p.RepeatLastN
	}
	s.dry.reset(p.DRY)
	s.hist.reset(max(lastN, s.dry.lastN))
	s.resetAdapting()
	n := s.nVocab
	if p.TopK > 0 && p.Mirostat == 0 {
		n = min(n, p.TopK)
	}
	if !s.needsCandidates() {
		n = 0
	}
	if cap(s.room.cands) < n {
		s.room.cands = make([]candidate, 0, n)
	}
}

// penalised tells whether any of the three plain penalties is on.
func (s *Sampler) penalised() bool {
	p := &s.p
	return p.RepeatLastN > 0 && (p.RepeatPenalty != 1 || p.FrequencyPenalty != 0 || p.PresencePenalty != 0)
}

// needsCandidates is false if the largest logit is the answer: greedy, and no step that can remove the best token.
// (Typical-p, XTC and infill can; all the other steps keep it.)
func (s *Sampler) needsCandidates() bool {
	p := &s.p
	return p.Temperature > 0 || p.TypicalP < 1 || p.Infill != nil || (p.XTCProbability > 0 && p.XTCThreshold <= 0.5)
}

// Accept adds a token to the history that penalties and DRY look at: each token of the prompt, then each chosen token.
func (s *Sampler) Accept(token int32) { s.hist.push(token) }

// Sample returns the next token. logits has shape (vocab) and is modified. The result is -1 if no logit is a number above
// -Inf, which happens only if the model is broken or every token is forbidden. Sample does not Accept what it returns.
func (s *Sampler) Sample(logits []float32) int32 {
	s.adjust(logits)
	if !s.needsCandidates() {
		return argmax(logits)
	}
	c := s.filter(logits)
	switch {
	case len(c) == 0:
		return -1
	case s.p.Temperature <= 0:
		return c[best(c)].id
	case s.p.Mirostat > 0:
		return s.mirostat(c)
	case s.p.AdaptiveTarget > 0:
		return s.adaptive(c)
	}
	m := c[best(c)].logit
	return c[s.pick(c, m, expSum(c, m))].id
}

// adjust applies the steps that change single logits: bias, penalties, DRY.
func (s *Sampler) adjust(logits []float32) {
	for _, b := range s.p.Bias {
		if b.Token >= 0 && int(b.Token) < len(logits) {
			logits[b.Token] += b.Value
		}
	}
	if s.p.Mirostat > 0 && s.p.Temperature > 0 {
		return
	}
	if s.penalised() {
		s.penalise(logits)
	}
	s.dry.apply(logits, &s.hist)
}

// filter runs the steps that remove tokens, and divides by the temperature. The order of the result is the same for the
// same logits.
func (s *Sampler) filter(logits []float32) []candidate {
	p := &s.p
	if p.Mirostat > 0 && p.Temperature > 0 {
		c := appendAll(s.room.cands[:0], logits, negInf)
		s.room.cands = c
		if len(c) > 0 {
			c = heat(c, float64(p.Temperature))
		}
		return c
	}
	floor := sigmaFloor(logits, p.TopNSigma)
	c := s.room.cands[:0]
	if p.TopK > 0 {
		c = topK(c, min(p.TopK, s.nVocab), logits, floor)
	} else {
		c = appendAll(c, logits, floor)
	}
	s.room.cands = c
	if len(c) == 0 {
		return c
	}
	if p.TypicalP < 1 {
		c = typical(c, float64(p.TypicalP))
	}
	if p.TopP < 1 {
		c = topP(c, float64(p.TopP))
	}
	if p.MinP > 0 {
		c = minP(c, float64(p.MinP))
	}
	if p.XTCProbability > 0 && p.XTCThreshold <= 0.5 && len(c) > 1 {
		if s.uniform() <= float64(p.XTCProbability) {
			c = xtc(c, float64(p.XTCThreshold))
		}
	}
	if p.Infill != nil {
		c = infill(c, p.Infill)
	}
	switch {
	case len(c) == 0:
	case p.Temperature > 0 && p.DynatempRange > 0:
		c = heat(c, dynamic(c, p))
	case p.Temperature > 0:
		c = heat(c, float64(p.Temperature))
	}
	return c
}

// appendAll appends all logits of at least floor.
func appendAll(c []candidate, logits []float32, floor float32) []candidate {
	for i, l := range logits {
		if l >= floor && l > negInf {
			c = append(c, newCandidate(l, int32(i)))
		}
	}
	return c
}

// pick draws the index of one of c with the probability that its logit gives it; m and sum are those of the softmax over c.
func (s *Sampler) pick(c []candidate, m float32, sum float64) int {
	u := float64(s.uniform() * sum)
	cum := 0.0
	for i := range c {
		cum += exp(below(c[i].logit, m))
		if cum > u {
			return i
		}
	}
	return best(c) // unreachable unless rounding made cum end below u
}

// uniform returns a number in [0, 1) with 53 random bits.
func (s *Sampler) uniform() float64 { return float64(s.pcg.Uint64()>>11) / (1 << 53) }

var negInf = float32(math.Inf(-1))

func newCandidate(logit float32, id int32) candidate {
	return candidate{key: float64(logit), logit: logit, id: id}
}

// argmax returns the lowest index of the largest value above -Inf, or -1.
func argmax(x []float32) int32 {
	id, m := int32(-1), negInf
	for i, v := range x {
		if v > m {
			id, m = int32(i), v
		}
	}
	return id
}
