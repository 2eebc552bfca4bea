package session

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"siskin/model/sample"
	"siskin/mqtt/message"
)

// sampling merges what the request asks for into the defaults.
func (e *Engine) sampling(r *message.Request, d *Defaults) sample.Params {
	p := d.Sampling
	set(&p.Temperature, r.Temperature)
	set(&p.TopP, r.TopP)
	set(&p.MinP, r.MinP)
	if r.TopK != nil {
		p.TopK = *r.TopK
	}
	s := &r.Sampling
	set(&p.TypicalP, s.TypicalP)
	set(&p.TopNSigma, s.TopNSigma)
	set(&p.RepeatPenalty, s.RepeatPenalty)
	setWhole(&p.RepeatLastN, s.RepeatLastN)
	set(&p.FrequencyPenalty, s.FrequencyPenalty)
	set(&p.PresencePenalty, s.PresencePenalty)
	set(&p.DRY.Multiplier, s.DRYMultiplier)
	set(&p.DRY.Base, s.DRYBase)
	setWhole(&p.DRY.AllowedLength, s.DRYAllowedLength)
	setWhole(&p.DRY.LastN, s.DRYLastN)
	set(&p.XTCProbability, s.XTCProbability)
	set(&p.XTCThreshold, s.XTCThreshold)
	set(&p.DynatempRange, s.DynatempRange)
	set(&p.DynatempExponent, s.DynatempExponent)
	setWhole(&p.Mirostat, s.Mirostat)
	set(&p.MirostatTau, s.MirostatTau)
	set(&p.MirostatEta, s.MirostatEta)
	set(&p.AdaptiveTarget, s.AdaptiveTarget)
	set(&p.AdaptiveDecay, s.AdaptiveDecay)
	if p.DRY.Multiplier > 0 && p.DRY.Breakers == nil {
		p.DRY.Breakers = e.dryBreakers()
	}
	if s.Infill != nil && *s.Infill == 1 {
		p.Infill = e.Tokenizer
	}
	p.Bias = e.bias(p.Bias, s.LogitBias)
	switch {
	case r.Seed != nil:
		p.Seed = *r.Seed
	case p.Seed == 0:
		p.Seed = e.NewSeed()
	}
	return p
}

func set(to, from *float32) {
	if from != nil {
		*to = *from
	}
}

func setWhole(to *int, from *float32) {
	if from != nil {
		*to = int(*from)
	}
}

// forbid is the bias that stands for never.
const forbid = -100

// bias adds to the defaults what the model's makers suppress and what a request asks for, by id, so that sums do not depend on
// the order of a map.
func (e *Engine) bias(defaults []sample.Bias, asked map[string]float32) []sample.Bias {
	suppressed := e.Tokenizer.Suppressed()
	if len(suppressed) == 0 && len(asked) == 0 {
		return defaults
	}
	out := slices.Clone(defaults)
	never := float32(math.Inf(-1))
	for _, id := range suppressed {
		out = append(out, sample.Bias{Token: id, Value: never})
	}
	first := len(out)
	for text, v := range asked {
		id, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			continue // message has checked it
		}
		if v <= forbid {
			v = never
		}
		out = append(out, sample.Bias{Token: int32(id), Value: v})
	}
	slices.SortFunc(out[first:], func(a, b sample.Bias) int { return int(a.Token) - int(b.Token) })
	return out
}

// dryBreakers are the tokens that hold one of the characters at which llama.cpp ends a repetition by default.
func (e *Engine) dryBreakers() [][]int32 {
	if e.breakers == nil {
		e.breakers = [][]int32{}
		for id := range int32(e.Tokenizer.VocabSize()) {
			if bytes.ContainsAny(e.Tokenizer.TokenBytes(id), "\n:\"*") {
				e.breakers = append(e.breakers, []int32{id})
			}
		}
	}
	return e.breakers
}

// logProb describes a chosen token, and the top most probable ones at its place, by the logits in e.raw.
func (e *Engine) logProb(id int32, top int) message.TokenLogProb {
	sum := sample.LogSumExp(e.raw)
	of := func(id int32, logProb float64) message.TokenLogProb {
		if !(logProb >= message.MinLogProb) {
			logProb = message.MinLogProb
		}
		return message.TokenLogProb{ID: id, Token: string(e.Tokenizer.TokenBytes(id)), LogProb: logProb}
	}
	out := of(id, float64(e.raw[id])-sum)
	for _, t := range sample.Top(nil, e.raw, top) {
		out.Top = append(out.Top, of(t.ID, t.LogProb))
	}
	return out
}
