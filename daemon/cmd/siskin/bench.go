package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"siskin/model"
)

type benchCommand struct {
	modelFlags
	Prompt   int  `default:"512" help:"Tokens of the prefill."`
	Generate int  `default:"128" help:"Tokens to decode."`
	Batch    int  `default:"64" help:"Rows of one prefill pass."`
	Runs     int  `default:"3" help:"Runs of each; the median is reported."`
	JSON     bool `help:"Print one JSON object."`
}

// benchResult is what one bench measured: medians, and the extremes of the runs.
type benchResult struct {
	Model      string     `json:"model"`
	Kernels    string     `json:"kernels"`
	Threads    int        `json:"threads"`
	WeightMB   float64    `json:"weight_mb_per_token"`
	Prefill    float64    `json:"prefill_tokens_per_second"`
	PrefillAll [2]float64 `json:"prefill_min_max"`
	Decode     float64    `json:"decode_tokens_per_second"`
	DecodeAll  [2]float64 `json:"decode_min_max"`
	ReadGBs    float64    `json:"decode_gb_per_second"`
}

func (c *benchCommand) Run(ctx context.Context, s *streams) (err error) {
	if c.Prompt < 1 || c.Generate < 1 || c.Batch < 1 || c.Runs < 1 || c.Batch > 4096 || c.Runs > 1000 {
		return usagef("bench: --prompt, --generate, --batch (at most 4096) and --runs (at most 1000) must be positive")
	}
	e, err := c.open(s.err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	state, err := model.NewState(e.model, e.set, e.pool,
		model.Limits{Rows: c.Batch, Logits: 1, Sequences: 1, Context: c.Prompt + c.Generate})
	if err != nil {
		return err
	}
	var prefill, decode []float64
	for range c.Runs {
		p, err := c.once(ctx, state, e.model.Config.Vocab, &prefill)
		if err != nil {
			return err
		}
		decode = append(decode, p)
	}
	slices.Sort(prefill)
	slices.Sort(decode)
	weights := float64(e.model.WeightBytes())
	r := benchResult{
		Model: c.Model, Kernels: e.set.Name, Threads: e.pool.Workers(), WeightMB: weights / 1e6,
		Prefill: prefill[len(prefill)/2], PrefillAll: [2]float64{prefill[0], prefill[len(prefill)-1]},
		Decode: decode[len(decode)/2], DecodeAll: [2]float64{decode[0], decode[len(decode)-1]},
	}
	r.ReadGBs = r.Decode * weights / 1e9
	if c.JSON {
		return json.NewEncoder(s.out).Encode(r)
	}
	_, err = fmt.Fprintf(s.out, "kernels %s, %d threads, %.1f MB of weights per token\n"+
		"prefill %4d tokens  %8.1f tok/s  (%.1f to %.1f)\n"+
		"decode  %4d tokens  %8.1f tok/s  (%.1f to %.1f)  %.1f GB/s\n",
		r.Kernels, r.Threads, r.WeightMB, c.Prompt, r.Prefill, r.PrefillAll[0], r.PrefillAll[1],
		c.Generate, r.Decode, r.DecodeAll[0], r.DecodeAll[1], r.ReadGBs)
	return err
}

// once measures one prefill, whose speed it appends, and the decoding behind it, whose speed it returns.
func (c *benchCommand) once(ctx context.Context, state *model.State, vocab int, prefill *[]float64) (float64, error) {
	if err := state.Cache.Truncate(0, 0); err != nil {
		return 0, err
	}
	// Any tokens do: the work does not depend on them.
	token := func(pos int) int32 { return int32(pos % vocab) }
	begun := time.Now()
	rows := make([]model.Row, 0, c.Batch)
	for pos := range c.Prompt {
		rows = append(rows, model.Row{Pos: pos, Token: token(pos), Logits: pos == c.Prompt-1})
		if len(rows) == c.Batch || pos == c.Prompt-1 {
			if err := state.Forward(rows); err != nil {
				return 0, err
			}
			rows = rows[:0]
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	*prefill = append(*prefill, float64(c.Prompt)/time.Since(begun).Seconds())
	begun = time.Now()
	for i := range c.Generate {
		pos := c.Prompt + i
		if err := state.Forward([]model.Row{{Pos: pos, Token: token(pos), Logits: true}}); err != nil {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return float64(c.Generate) / time.Since(begun).Seconds(), nil
}
