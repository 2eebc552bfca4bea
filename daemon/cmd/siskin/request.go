package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"siskin/mqtt/message"
)

// requestFlags are what a request may say beside its prompt.
type requestFlags struct {
	MaxTokens   int      `help:"Most tokens of the answer; default: the daemon's."`
	Temperature *float32 `help:"0 always takes the most likely token; default: the daemon's."`
	TopP        *float32 `help:"Default: the daemon's."`
	TopK        *int     `help:"Default: the daemon's."`
	MinP        *float32 `help:"Default: the daemon's."`
	Seed        *uint64  `help:"Makes an answer repeatable."`
	Adapter     []string `help:"Adapter to answer with, or NAME=SCALE; may be given several times." sep:"none"`
	Task        string   `help:"Task to answer with, of the daemon's configuration; none for none."`
	Think       *bool    `help:"Whether models that can write a chain of thought do; --think or --think=false."`
	Tools       string   `type:"existingfile" help:"File with a JSON list of tools that the model may call."`
	Set         []string `placeholder:"KEY=VALUE" help:"Another number of a request, such as mirostat=2; may be given several times." sep:"none"`
	LogitBias   []string `placeholder:"TOKEN=VALUE" help:"Added to the logit of a token, by its id; -100 forbids it." sep:"none"`
	LogProbs    *int     `name:"logprobs" placeholder:"N" help:"Print the log-probability of each token, and of N others, to standard error."`
	Suffix      *string  `help:"Text behind a gap that the answer fills; the prompt stands before it. For models that were trained to."`
	Stop        []string `help:"Text that ends the answer; may be given several times." sep:"none"`
}

func (f *requestFlags) request() (message.Request, error) {
	r := message.Request{
		MaxTokens: f.MaxTokens, Temperature: f.Temperature, TopP: f.TopP, TopK: f.TopK,
		MinP: f.MinP, Seed: f.Seed, Stop: f.Stop, Stream: true, Task: f.Task, Think: f.Think, Suffix: f.Suffix,
	}
	if err := f.sampling(&r.Sampling); err != nil {
		return r, err
	}
	for _, text := range f.Adapter {
		a := message.Adapter{Name: text, Scale: 1}
		if name, scale, ok := strings.Cut(text, "="); ok {
			v, err := strconv.ParseFloat(scale, 32)
			if err != nil {
				return r, usagef("--adapter %s: the scale %q is no number", text, scale)
			}
			a = message.Adapter{Name: name, Scale: float32(v)}
		}
		r.Adapters = append(r.Adapters, a)
	}
	if f.Tools != "" {
		tools, err := os.ReadFile(f.Tools)
		if err != nil {
			return r, err
		}
		if !json.Valid(tools) {
			return r, usagef("--tools %s: the file is not JSON", f.Tools)
		}
		r.Tools = tools
	}
	return r, nil
}

// sampling fills in the rarer parameters; the daemon checks their ranges.
func (f *requestFlags) sampling(s *message.Sampling) error {
	for _, text := range f.Set {
		key, value, ok := strings.Cut(text, "=")
		if _, err := strconv.ParseFloat(value, 32); !ok || err != nil {
			return usagef("--set %s: it is not KEY=NUMBER", text)
		}
		entry, err := json.Marshal(map[string]json.RawMessage{key: json.RawMessage(value)})
		if err != nil {
			return usagef("--set %s: %q is not a number as JSON has them", text, value)
		}
		known := json.NewDecoder(bytes.NewReader(entry))
		known.DisallowUnknownFields()
		if err := known.Decode(s); err != nil {
			return usagef("--set %s: a request has no such number", text)
		}
	}
	for _, text := range f.LogitBias {
		id, value, _ := strings.Cut(text, "=")
		v, err := strconv.ParseFloat(value, 32)
		if _, idErr := strconv.ParseUint(id, 10, 31); err != nil || idErr != nil {
			return usagef("--logit-bias %s: it is not TOKEN=NUMBER; siskin tokenize shows the ids of tokens", text)
		}
		if s.LogitBias == nil {
			s.LogitBias = make(map[string]float32)
		}
		s.LogitBias[id] = float32(v)
	}
	if f.LogProbs != nil {
		n := float32(*f.LogProbs)
		s.TopLogProbs = &n
	}
	return nil
}

// printLogProbs prints a line for each token of an answer: the token, its log-probability, and those that were more likely or next.
func printLogProbs(w io.Writer, tokens []message.TokenLogProb) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range tokens {
		fmt.Fprintf(table, "%d\t%q\t%.4f", t.ID, t.Token, t.LogProb)
		for _, other := range t.Top {
			fmt.Fprintf(table, "\t%q %.4f", other.Token, other.LogProb)
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}
