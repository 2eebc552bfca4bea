package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"siskin/mqtt/message"
)

type askCommand struct {
	brokerFlags
	requestFlags
	Session string   `help:"Conversation to go on with."`
	Stats   bool     `help:"Print tokens and times to standard error."`
	Text    []string `arg:"" optional:"" help:"The question; default: standard input."`
}

func (c *askCommand) Run(ctx context.Context, s *streams) (err error) {
	r, err := c.request()
	if err != nil {
		return err
	}
	r.Session = c.Session
	if r.Prompt = strings.Join(c.Text, " "); r.Prompt == "" && r.Suffix == nil {
		text, err := io.ReadAll(io.LimitReader(s.in, maxLineBytes))
		if err != nil {
			return err
		}
		r.Prompt = strings.TrimSpace(string(text))
	}
	if r.Prompt == "" && r.Suffix == nil {
		return usagef("ask: no question; give it as arguments or on standard input")
	}
	a, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	answer, err := converse(ctx, a, r, s)
	if err == nil && answer.LogProbs != nil {
		err = printLogProbs(s.err, *answer.LogProbs)
	}
	if err == nil && c.Stats {
		fmt.Fprintln(s.err, statsLine(answer))
	}
	return err
}

// converse asks, shows the answer as it is written and ends its line. An answer that is not ok is an error.
func converse(ctx context.Context, a *asker, r message.Request, s *streams) (message.Answer, error) {
	answer, err := a.ask(ctx, r, func(text string) { io.WriteString(s.out, text) }) //nolint:errcheck // the terminal is gone: nobody to tell
	if err != nil {
		return answer, err
	}
	if answer.Status != message.OK {
		return answer, fmt.Errorf("%s (%s): %s", answer.Status, answer.Code, answer.Text)
	}
	if _, err = fmt.Fprintln(s.out); err != nil {
		return answer, err
	}
	for _, call := range answer.ToolCalls {
		if _, err := fmt.Fprintf(s.out, "%s(%s)\n", call.Function.Name, call.Function.Arguments); err != nil {
			return answer, err
		}
	}
	return answer, nil
}

func statsLine(a message.Answer) string {
	speed := 0.0
	if a.Timing.DecodeMs > 0 {
		speed = float64(a.Usage.CompletionTokens) / float64(a.Timing.DecodeMs) * 1000
	}
	drafts := ""
	if a.Usage.DraftedTokens > 0 {
		drafts = fmt.Sprintf(" (%d of %d guesses right)", a.Usage.AcceptedTokens, a.Usage.DraftedTokens)
	}
	return fmt.Sprintf("%s: %d prompt tokens (%d cached), %d answer tokens%s; queue %d ms, prefill %d ms, decode %d ms (%.0f tok/s)",
		a.Model, a.Usage.PromptTokens, a.Usage.CachedTokens, a.Usage.CompletionTokens, drafts,
		a.Timing.QueueMs, a.Timing.PrefillMs, a.Timing.DecodeMs, speed)
}

type chatCommand struct {
	brokerFlags
	requestFlags
	Session string `help:"Conversation to go on with; default: a new one."`
}

func (c *chatCommand) Run(ctx context.Context, s *streams) (err error) {
	a, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	session := c.Session
	if session == "" {
		if session, err = message.NewID(rand.Reader); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.err, "talking to %s; an empty line or Ctrl-D ends\n", a.device.Name())
	lines := make(chan string)
	read := make(chan error, 1)
	go func() { read <- readLines(s.in, lines) }()
	for {
		fmt.Fprint(s.err, "> ")
		var line string
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-read:
			return err
		case line = <-lines:
		}
		r, err := c.request()
		if err != nil {
			return err
		}
		r.Session, r.Prompt = session, strings.TrimSpace(line)
		if r.Prompt == "" {
			return nil
		}
		if _, err := converse(ctx, a, r, s); err != nil {
			if ctx.Err() != nil {
				return err
			}
			fmt.Fprintln(s.err, "siskin:", err) // one refused turn does not end the conversation
		}
	}
}

// maxLineBytes of what a person types; the daemon has its own limit.
const maxLineBytes = 1 << 20

// readLines sends each line of r; it returns at the end of r.
func readLines(r io.Reader, lines chan<- string) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLineBytes)
	for scanner.Scan() {
		lines <- scanner.Text()
	}
	return scanner.Err()
}
