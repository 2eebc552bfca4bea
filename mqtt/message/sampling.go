package message

import (
	"encoding/json"
	"math"
	"strconv"
)

// MaxTopLogProbs is how many alternatives a request may ask for beside each token.
const MaxTopLogProbs = 20

// MaxLogitBias is how many tokens a request may bias.
const MaxLogitBias = 1024

// Sampling holds the rarer parameters of how tokens are chosen; model/sample says what they do. nil is not asked for.
type Sampling struct {
	TypicalP         *float32 `json:"typical_p,omitempty"`
	TopNSigma        *float32 `json:"top_n_sigma,omitempty"`
	RepeatPenalty    *float32 `json:"repeat_penalty,omitempty"`
	RepeatLastN      *float32 `json:"repeat_last_n,omitempty"` // whole
	FrequencyPenalty *float32 `json:"frequency_penalty,omitempty"`
	PresencePenalty  *float32 `json:"presence_penalty,omitempty"`
	DRYMultiplier    *float32 `json:"dry_multiplier,omitempty"`
	DRYBase          *float32 `json:"dry_base,omitempty"`
	DRYAllowedLength *float32 `json:"dry_allowed_length,omitempty"` // whole
	DRYLastN         *float32 `json:"dry_last_n,omitempty"`         // whole
	XTCProbability   *float32 `json:"xtc_probability,omitempty"`
	XTCThreshold     *float32 `json:"xtc_threshold,omitempty"`
	DynatempRange    *float32 `json:"dynatemp_range,omitempty"`
	DynatempExponent *float32 `json:"dynatemp_exponent,omitempty"`
	Mirostat         *float32 `json:"mirostat,omitempty"` // whole
	MirostatTau      *float32 `json:"mirostat_tau,omitempty"`
	MirostatEta      *float32 `json:"mirostat_eta,omitempty"`
	AdaptiveTarget   *float32 `json:"adaptive_target,omitempty"`
	AdaptiveDecay    *float32 `json:"adaptive_decay,omitempty"`
	// Infill is 1 for the step of a text with a suffix, 0 for none.
	Infill *float32 `json:"infill,omitempty"` // whole
	// TopLogProbs asks for the log-probability of each token of the answer and for that many alternatives, 0 to
	// MaxTopLogProbs.
	TopLogProbs *float32 `json:"top_logprobs,omitempty"` // whole
	// LogitBias is added to the logits of tokens, by their ids in decimal: -100 to 100, where -100 forbids the token.
	LogitBias map[string]float32 `json:"logit_bias,omitempty"`
}

// parameter is a field of Sampling with its range.
type parameter struct {
	key    string
	value  **float32
	lo, hi float32
	whole  bool
}

// parameters lists the fields but LogitBias.
func (s *Sampling) parameters() []parameter {
	return []parameter{
		{"typical_p", &s.TypicalP, math.SmallestNonzeroFloat32, 1, false},
		{"top_n_sigma", &s.TopNSigma, -1, 100, false},
		{"repeat_penalty", &s.RepeatPenalty, 0.01, 100, false},
		{"repeat_last_n", &s.RepeatLastN, 0, 32768, true},
		{"frequency_penalty", &s.FrequencyPenalty, -100, 100, false},
		{"presence_penalty", &s.PresencePenalty, -100, 100, false},
		{"dry_multiplier", &s.DRYMultiplier, 0, 100, false},
		{"dry_base", &s.DRYBase, 0, 100, false},
		{"dry_allowed_length", &s.DRYAllowedLength, 0, 32768, true},
		{"dry_last_n", &s.DRYLastN, 0, 32768, true},
		{"xtc_probability", &s.XTCProbability, 0, 1, false},
		{"xtc_threshold", &s.XTCThreshold, 0, 1, false},
		{"dynatemp_range", &s.DynatempRange, 0, 100, false},
		{"dynatemp_exponent", &s.DynatempExponent, 0, 100, false},
		{"mirostat", &s.Mirostat, 0, 2, true},
		{"mirostat_tau", &s.MirostatTau, 0, 100, false},
		{"mirostat_eta", &s.MirostatEta, 0, 1, false},
		{"adaptive_target", &s.AdaptiveTarget, -1, 1, false},
		{"adaptive_decay", &s.AdaptiveDecay, 0, 0.99, false},
		{"infill", &s.Infill, 0, 1, true},
		{"top_logprobs", &s.TopLogProbs, 0, MaxTopLogProbs, true},
	}
}

// check finds the first parameter that is out of its range.
func (s Sampling) check() *Error {
	for _, p := range s.parameters() {
		v := *p.value
		switch {
		case v == nil:
		case !(*v >= p.lo && *v <= p.hi): // negated, so that NaN is refused
			return fault(CodeBadRequest, p.key, "The value of %q must be from %v to %v, not %v.", p.key, p.lo, p.hi, *v)
		case p.whole && *v != float32(math.Trunc(float64(*v))):
			return fault(CodeBadRequest, p.key, "The value of %q must be a whole number, not %v.", p.key, *v)
		}
	}
	if len(s.LogitBias) > MaxLogitBias {
		return fault(CodeTooLarge, "logit_bias", "The map %q has more than %d entries.", "logit_bias", MaxLogitBias)
	}
	for id, v := range s.LogitBias {
		if n, err := strconv.ParseInt(id, 10, 32); err != nil || n < 0 {
			return fault(CodeBadRequest, "logit_bias", "The keys of %q must be ids of tokens, not %q.", "logit_bias", clip(id))
		}
		if !(v >= -100 && v <= 100) {
			return fault(CodeBadRequest, "logit_bias", "The values of %q must be from -100 to 100, not %v.", "logit_bias", v)
		}
	}
	return nil
}

// sampling reads the keys of Sampling.
func (d *reader) sampling() Sampling {
	var s Sampling
	for _, p := range s.parameters() {
		*p.value = d.number(p.key, float64(p.lo), float64(p.hi))
	}
	raw := d.value("logit_bias")
	if raw == nil {
		return s
	}
	if json.Unmarshal(raw, &s.LogitBias) != nil {
		d.fail(wrongType("logit_bias", `an object of numbers, {"id": bias}`, raw))
	}
	return s
}

// TokenLogProb is a token of an answer with the natural logarithm of its probability before anything was changed about it.
type TokenLogProb struct {
	ID      int32   `json:"id"`
	Token   string  `json:"token"`   // not always whole characters
	LogProb float64 `json:"logprob"` // at least MinLogProb
	// Top are the most probable tokens at its place, best first, if the request asked for any.
	Top []TokenLogProb `json:"top,omitempty"`
}

// MinLogProb stands for the logarithm of a probability of 0, which JSON does not have.
const MinLogProb = -9999
