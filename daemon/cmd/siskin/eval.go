package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"

	"siskin/model"
	"siskin/model/kvcache"
	"siskin/model/sample"
)

type evalCommand struct {
	Logprobs logprobsCommand `cmd:"" help:"Print the log-probabilities of every next token, one JSON line per position."`
	Hidden   hiddenCommand   `cmd:"" help:"Print the hidden state of every position behind the last layer, one JSON row per position; of encoders as well."`
}

// evalRows is the number of positions of one pass, which bounds the memory for logits.
const evalRows = 32

type logprobsCommand struct {
	modelFlags
	Tokens string `required:"" type:"path" help:"File with {\"tokens\": [ids]}."`
	KV     string `default:"f16" help:"How keys and values are kept: f16, q8 or q4."`
	Top    int    `default:"32" help:"How many of the most likely tokens to list."`
}

// position is one line of output. Next is null at the last position, which has no next token.
type position struct {
	Pos  int      `json:"pos"`
	Next *float64 `json:"next"`
	Top  [][2]any `json:"top"`
}

func (c *logprobsCommand) Run(ctx context.Context, s *streams) (err error) {
	tokens, err := readTokens(c.Tokens)
	if err != nil {
		return err
	}
	e, err := c.open(s.err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if c.Top < 0 || c.Top > e.model.Config.Vocab {
		return usagef("--top %d: want 0 to %d, the size of the vocabulary", c.Top, e.model.Config.Vocab)
	}
	limits := model.Limits{Rows: evalRows, Logits: evalRows, Sequences: 1, Context: len(tokens)}
	if limits.KV, err = kvcache.Named(c.KV); err != nil {
		return usagef("--kv: %w", err)
	}
	state, err := model.NewState(e.model, e.set, e.pool, limits)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	out := bufio.NewWriter(s.out)
	for start := 0; start < len(tokens) && ctx.Err() == nil; start += evalRows {
		if err := c.pass(state, tokens, start, json.NewEncoder(out)); err != nil {
			return err
		}
	}
	return errors.Join(out.Flush(), ctx.Err())
}

// pass runs one chunk of tokens and prints its positions.
func (c *logprobsCommand) pass(state *model.State, tokens []int32, start int, out *json.Encoder) error {
	var rows []model.Row
	for pos := start; pos < min(start+evalRows, len(tokens)); pos++ {
		rows = append(rows, model.Row{Pos: pos, Token: tokens[pos], Logits: true})
	}
	if err := state.Forward(rows); err != nil {
		return err
	}
	for i, row := range rows {
		logits := state.Logits(i)
		norm := sample.LogSumExp(logits)
		line := position{Pos: row.Pos, Top: [][2]any{}}
		if row.Pos+1 < len(tokens) {
			next := float64(logits[tokens[row.Pos+1]]) - norm
			line.Next = &next
		}
		for _, t := range sample.Top(nil, logits, c.Top) {
			line.Top = append(line.Top, [2]any{t.ID, t.LogProb})
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func readTokens(path string) ([]int32, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Tokens []int32 `json:"tokens"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, usagef("%s: %v; want {\"tokens\": [ids]}", path, err)
	}
	if len(file.Tokens) == 0 {
		return nil, usagef("%s: no tokens; want {\"tokens\": [ids]} with at least one id", path)
	}
	return file.Tokens, nil
}
