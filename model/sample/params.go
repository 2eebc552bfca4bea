package sample

import (
	"errors"
	"fmt"
	"math"
)

// MaxLastN is the longest history, in tokens, that penalties and DRY can look back on.
const MaxLastN = 32768

// Params says how a token is chosen. The zero value is not useful: start from Defaults.
type Params struct {
	// Seed starts the generator: PCG-DXSM of math/rand/v2 with state (Seed, 0x73697368696e). Every value is a seed; a
	// caller who wants a different answer each time picks one at random.
	Seed uint64

	// Temperature divides the logits; higher is more varied. 0 or less: greedy.
	Temperature float32
	// DynatempRange lets the temperature follow the entropy of the distribution, that much below and above Temperature; the
	// share of the entropy in the highest possible one is raised to DynatempExponent. Range 0 to 100, and 0 to 100; 0: off.
	DynatempRange    float32
	DynatempExponent float32
	// Mirostat is 1 or 2 for the algorithm of that number, 0 for none. It replaces every step but bias and temperature: the
	// surprise of the tokens is held near MirostatTau bits, range 0 to 100, with the learning rate MirostatEta, 0 to 1.
	Mirostat    int
	MirostatTau float32
	MirostatEta float32
	// AdaptiveTarget is the probability that chosen tokens have on average: adaptive-p, in place of the last draw. Range 0
	// to 1; 0 or less: off. AdaptiveDecay is the weight of the past, 0 to 0.99.
	AdaptiveTarget float32
	AdaptiveDecay  float32
	// TopK keeps that many of the most probable tokens. 0 or less: off.
	TopK int
	// TopP keeps the smallest set of most probable tokens whose probability reaches it. Range 0 to 1; 1: off.
	TopP float32
	// MinP keeps tokens at least this fraction as probable as the best one. Range 0 to 1; 0: off.
	MinP float32
	// TypicalP keeps the tokens whose information is nearest to the entropy, up to this probability mass (Meister et al.,
	// "Locally Typical Sampling"). Range above 0 to 1; 1: off.
	TypicalP float32
	// TopNSigma keeps tokens within that many standard deviations below the largest logit (Tang et al., "Top-nσ").
	// 0 or less: off.
	TopNSigma float32

	// RepeatLastN is how many of the last accepted tokens the three penalties below count. 0: penalties off.
	RepeatLastN int
	// RepeatPenalty divides a positive logit and multiplies a negative one if the token was seen. 1: off.
	RepeatPenalty float32
	// FrequencyPenalty is subtracted once per occurrence. 0: off.
	FrequencyPenalty float32
	// PresencePenalty is subtracted once if the token was seen at all. 0: off.
	PresencePenalty float32

	// DRY penalises tokens that would extend a repetition of what was already written; see DRY.
	DRY DRY

	// XTCProbability is the chance that, when at least two tokens reach XTCThreshold, all of them but the least probable
	// are removed ("exclude top choices"). Range 0 to 1; 0: off.
	XTCProbability float32
	// XTCThreshold is the probability that counts as a top choice. Range 0 to 1; above 0.5: off.
	XTCThreshold float32

	// Infill is the vocabulary of the step for text in a gap, behind XTC; nil: off.
	Infill Vocabulary

	// Bias is added to the logits before anything else. -Inf forbids a token. A token outside the vocabulary is ignored;
	// one that is listed twice gets the sum.
	Bias []Bias
}

// Bias is an addition to one token's logit.
type Bias struct {
	Token int32
	Value float32
}

// DRY is the "don't repeat yourself" penalty: a token that would make the end of the text repeat an earlier run of n
// tokens, n >= AllowedLength, loses Multiplier * Base^(n-AllowedLength) from its logit.
type DRY struct {
	Multiplier    float32 // 0: off
	Base          float32 // below 1: off
	AllowedLength int     // tokens
	LastN         int     // tokens of history that are searched; 0: off
	// Breakers are token sequences at which a repetition ends, such as a line break. A sequence of one token is also
	// never penalised itself.
	Breakers [][]int32
}

// Defaults returns the defaults of llama.cpp (common/common.h) with a seed of 0.
func Defaults() Params {
	return Params{
		Temperature: 0.8,

		DynatempExponent: 1,
		MirostatTau:      5,
		MirostatEta:      0.1,
		AdaptiveDecay:    0.9,

		TopK:          40,
		TopP:          0.95,
		MinP:          0.05,
		TypicalP:      1,
		TopNSigma:     -1,
		RepeatLastN:   64,
		RepeatPenalty: 1,
		DRY:           DRY{Base: 1.75, AllowedLength: 2, LastN: 64},
		XTCThreshold:  0.1,
	}
}

// Validate reports every parameter that is out of its range, joined into one error, or nil.
func (p Params) Validate() error {
	var errs []error
	within := func(name string, v, low, high float32) {
		if !(v >= low && v <= high) { // negated, so that NaN is refused
			errs = append(errs, fmt.Errorf("%s: %v is not between %v and %v", name, v, low, high))
		}
	}
	length := func(name string, v int) {
		if v < 0 || v > MaxLastN {
			errs = append(errs, fmt.Errorf("%s: %d is not between 0 and %d tokens", name, v, MaxLastN))
		}
	}
	within("temperature", p.Temperature, -math.MaxFloat32, 100)
	within("dynatemp_range", p.DynatempRange, 0, 100)
	within("dynatemp_exponent", p.DynatempExponent, 0, 100)
	if p.Mirostat < 0 || p.Mirostat > 2 {
		errs = append(errs, fmt.Errorf("mirostat: %d is not 0, 1 or 2", p.Mirostat))
	}
	within("mirostat_tau", p.MirostatTau, 0, 100)
	within("mirostat_eta", p.MirostatEta, 0, 1)
	within("adaptive_target", p.AdaptiveTarget, -1, 1)
	within("adaptive_decay", p.AdaptiveDecay, 0, 0.99)
	within("top_p", p.TopP, 0, 1)
	within("min_p", p.MinP, 0, 1)
	within("typical_p", p.TypicalP, math.SmallestNonzeroFloat32, 1)
	within("top_n_sigma", p.TopNSigma, -math.MaxFloat32, math.MaxFloat32)
	length("repeat_last_n", p.RepeatLastN)
	within("repeat_penalty", p.RepeatPenalty, 0.01, 100)
	within("frequency_penalty", p.FrequencyPenalty, -100, 100)
	within("presence_penalty", p.PresencePenalty, -100, 100)
	within("dry_multiplier", p.DRY.Multiplier, 0, 100)
	within("dry_base", p.DRY.Base, 0, 100)
	length("dry_allowed_length", p.DRY.AllowedLength)
	length("dry_last_n", p.DRY.LastN)
	for i, b := range p.DRY.Breakers {
		if len(b) == 0 {
			errs = append(errs, fmt.Errorf("dry_breakers: sequence %d is empty", i))
		}
	}
	within("xtc_probability", p.XTCProbability, 0, 1)
	within("xtc_threshold", p.XTCThreshold, 0, 1)
	for _, b := range p.Bias {
		if b.Value != b.Value || math.IsInf(float64(b.Value), 1) {
			errs = append(errs, fmt.Errorf("logit_bias: %v for token %d is neither finite nor -Inf", b.Value, b.Token))
		}
	}
	return errors.Join(errs...)
}
