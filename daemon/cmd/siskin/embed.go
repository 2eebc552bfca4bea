package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"siskin/model"
	"siskin/model/embed"
	"siskin/model/tokenizer"
)

// embedTexts is how many texts share a pass of an encoder.
const embedTexts = 8

type embedCommand struct {
	modelFlags
	Pooling string   `default:"auto" enum:"auto,mean,cls,last" help:"How states become an embedding: mean, cls, last; auto: as the file says."`
	JSON    bool     `name:"json" help:"Print an object with text, tokens and embedding for each; default: the numbers of each on a line."`
	Text    []string `arg:"" optional:"" help:"Texts; default: the lines of standard input."`
}

// embedding is one line of --json.
type embedding struct {
	Text      string    `json:"text"`
	Tokens    int       `json:"tokens"`
	Embedding []float32 `json:"embedding"`
}

func (c *embedCommand) Run(s *streams) (err error) {
	texts := c.Text
	if len(texts) == 0 {
		if texts, err = lines(s.in); err != nil {
			return err
		}
	}
	if len(texts) == 0 {
		return usagef("embed: no text; give some as arguments, or as lines on standard input")
	}
	e, err := c.open(s.err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	words, err := tokenizer.FromGGUF(e.model.File())
	if err != nil {
		return err
	}
	longest, tokens := 1, make([][]int32, len(texts))
	for i, text := range texts {
		tokens[i] = words.Encode(nil, text, tokenizer.Options{BOS: true})
		if len(tokens[i]) > e.model.Config.Context {
			return fmt.Errorf("text %d has %d tokens; %s takes %d: divide it", i+1, len(tokens[i]), c.Model, e.model.Config.Context)
		}
		longest = max(longest, len(tokens[i]))
	}
	pooling := map[string]model.Pooling{"mean": model.PoolMean, "cls": model.PoolCLS, "last": model.PoolLast}[c.Pooling]
	embedder, state, err := newEmbedder(e, longest, min(embedTexts, len(texts)), pooling)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	return c.print(s.out, embedder, texts, tokens)
}

// newEmbedder makes one for texts of so many tokens.
func newEmbedder(e *engine, longest, texts int, pooling model.Pooling) (*embed.Embedder, *model.State, error) {
	limits := model.Limits{Rows: evalRows, Logits: 1, Sequences: 1, Context: longest}
	if e.model.Config.Encoder {
		limits.Rows, limits.Sequences, limits.Positions = longest*texts, texts, longest*texts
	}
	state, err := model.NewState(e.model, e.set, e.pool, limits)
	if err != nil {
		return nil, nil, err
	}
	embedder, err := embed.New(e.model, state, embed.Options{Pooling: pooling})
	if err != nil {
		return nil, nil, errors.Join(err, state.Close())
	}
	return embedder, state, nil
}

// print computes and prints some texts at a time.
func (c *embedCommand) print(w io.Writer, e *embed.Embedder, texts []string, tokens [][]int32) error {
	out := bufio.NewWriter(w)
	for from := 0; from < len(texts); from += embedTexts {
		to := min(from+embedTexts, len(texts))
		rows, err := e.Embed(tokens[from:to])
		if err != nil {
			return err
		}
		for i, row := range rows {
			var line []byte
			if c.JSON {
				line, err = json.Marshal(embedding{texts[from+i], len(tokens[from+i]), row})
			} else {
				line = fmt.Append(nil, strings.Trim(fmt.Sprint(row), "[]"))
			}
			if err != nil {
				return err
			}
			if _, err := out.Write(append(line, '\n')); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// lines reads the lines that are not empty.
func lines(r io.Reader) (out []string, err error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxLineBytes)
	for scan.Scan() {
		if line := strings.TrimSpace(scan.Text()); line != "" {
			out = append(out, line)
		}
	}
	return out, scan.Err()
}

type hiddenCommand struct {
	modelFlags
	Tokens string `required:"" type:"path" help:"File with {\"tokens\": [ids]}."`
}

// Run prints the hidden state of each position, one JSON row a line.
func (c *hiddenCommand) Run(s *streams) (err error) {
	tokens, err := readTokens(c.Tokens)
	if err != nil {
		return err
	}
	e, err := c.open(s.err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if len(tokens) > e.model.Config.Context {
		return usagef("%s: %d tokens; %s takes %d", c.Tokens, len(tokens), c.Model, e.model.Config.Context)
	}
	embedder, state, err := newEmbedder(e, len(tokens), 1, model.PoolMean) // which is not used
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	out := bufio.NewWriter(s.out)
	rows := json.NewEncoder(out)
	if err := embedder.Hidden(tokens, func(_ int, hidden []float32) error { return rows.Encode(hidden) }); err != nil {
		return err
	}
	return out.Flush()
}
