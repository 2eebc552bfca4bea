// Package bench measures how fast a model runs, and the machine that it runs on, in the same run and in turn, so that both
// see the same disturbances: speeds are stated as shares of what the machine can do.
//
// It measures with the model's own interface, State.Forward, and starts no process: who wants a busy machine hands in what
// makes it so.
package bench

import (
	"context"
	"fmt"
	"slices"

	"siskin/model"
	"siskin/model/kvcache"
)

// Plan is what to measure. Its zero value measures nothing; Full and Quick are the plans of the command.
type Plan struct {
	Prompts []int          // tokens of each prefill
	Depths  []int          // positions before the decoded tokens; 0 is always among those that are measured
	Batches []int          // sequences that are decoded together
	Tokens  int            // tokens of one run of decoding; a batch decodes a quarter of it for each sequence
	Rows    int            // rows of one pass of a prefill
	Runs    int            // how often everything is measured
	KV      kvcache.Format // how keys and values are kept
	Roof    bool           // measure the machine too

	// Busy makes the machine busy until stop is called; nil: nothing is measured on a busy machine.
	Busy func(context.Context) (stop func() error, err error)
	// Progress is told what goes on, a line at a time; nil: nobody is.
	Progress func(line string)
}

// Full is the plan of a record.
func Full() Plan {
	return Plan{
		Prompts: standardPrompts[:], Depths: standardDepths[:], Batches: standardBatches[:],
		Tokens: 64, Rows: 64, Runs: 5,
	}
}

// Quick is a plan of a few seconds.
func Quick() Plan {
	return Plan{Prompts: []int{128}, Depths: []int{0}, Tokens: 32, Rows: 64, Runs: 5}
}

// What a record always has, null where it was not measured.
var (
	standardPrompts = [...]int{32, 128, 512}
	standardDepths  = [...]int{0, 512, 2048}
	standardBatches = [...]int{1, 2, 3, 4, 5, 6, 7, 8}
)

// Bounds of a plan: beyond them a number is a mistake.
const (
	maxTokens  = 1 << 20
	maxBatch   = 64
	maxRows    = 4096
	maxRuns    = 1000
	maxEntries = 32
)

// Validate reports the first number that is out of range, with the name of its flag.
func (p *Plan) Validate() error {
	for _, c := range []struct {
		flag      string
		values    []int
		low, high int
	}{
		{"--prompts", p.Prompts, 1, maxTokens},
		{"--depths", p.Depths, 0, maxTokens},
		{"--batches", p.Batches, 1, maxBatch},
		{"--tokens", []int{p.Tokens}, 4, maxTokens},
		{"--rows", []int{p.Rows}, 1, maxRows},
		{"--runs", []int{p.Runs}, 1, maxRuns},
	} {
		if len(c.values) > maxEntries {
			return fmt.Errorf("%s: %d numbers, at most %d", c.flag, len(c.values), maxEntries)
		}
		for i, v := range c.values {
			if v < c.low || v > c.high {
				return fmt.Errorf("%s: %d, want %d to %d", c.flag, v, c.low, c.high)
			}
			if slices.Contains(c.values[:i], v) {
				return fmt.Errorf("%s: %d is there twice", c.flag, v)
			}
		}
	}
	return nil
}

// within returns the plan without what is longer than the model's context, and says what it left out.
func (p Plan) within(c *model.Config) Plan {
	fits := func(what string, extra int, from []int) (kept []int) {
		for _, n := range from {
			if n+extra > c.Context {
				p.say(fmt.Sprintf("%s %d is left out: the model's context is %d tokens", what, n, c.Context))
				continue
			}
			kept = append(kept, n)
		}
		return kept
	}
	if !slices.Contains(p.Depths, 0) {
		p.Depths = slices.Insert(slices.Clone(p.Depths), 0, 0)
	}
	p.Tokens = min(p.Tokens, c.Context)
	p.Prompts = fits("prefill", 0, p.Prompts)
	p.Depths = fits("depth", p.Tokens, p.Depths)
	return p
}

func (p *Plan) say(line string) {
	if p.Progress != nil {
		p.Progress(line)
	}
}

// steps is how many passes a run of a batch takes.
func (p *Plan) steps() int { return max(1, p.Tokens/4) }
