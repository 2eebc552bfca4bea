package daemon

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/session"
	"siskin/model"
	"siskin/model/chat"
	"siskin/model/draft"
	"siskin/model/kernel"
	"siskin/model/kvcache"
	"siskin/model/sample"
	"siskin/model/tokenizer"
)

// engine is the model with all that runs it.
type engine struct {
	model     *model.Model
	set       *kernel.Set
	pool      *kernel.Pool
	state     *model.State
	tokenizer *tokenizer.Tokenizer
	template  *chat.Template
	name      string // of the model, in answers
	threads   threads
	packing   packing
	log       *slog.Logger
}

// loadEngine chooses the kernels, which passes their self-test, maps the model, allocates its state and chooses how many
// threads it runs with, after a measurement if measure is set.
func loadEngine(c *config.Config, o *Options, measure bool) (e *engine, err error) {
	e = &engine{name: modelName(c.Model.Path), log: o.Log}
	set, err := kernel.ByName(c.Model.Kernels)
	if set == nil {
		return e, fmt.Errorf("model.kernels: %w", err)
	}
	if err != nil {
		e.log.Error("a kernel set failed its self-test and is not used", "used", set.Name, "err", err)
	}
	e.set = set
	if e.model, err = model.Open(c.Model.Path); err != nil {
		return e, fmt.Errorf("model.path: %w", err)
	}
	if c.Model.Context > e.model.Config.Context {
		return e, fmt.Errorf("model.context: %d is more than the %d tokens that %s was trained for", c.Model.Context, e.model.Config.Context, e.name)
	}
	e.usePacked(c)
	var pinned []int
	if c.Model.Pin && o.Machine.Mixed {
		pinned = o.Machine.Fast
	}
	e.pool = kernel.NewPinnedPool(Workers(c, &o.Machine), pinned)
	if e.state, err = newState(e.model, set, e.pool, c); err != nil {
		return e, err
	}
	if err := e.loadText(c); err != nil {
		return e, err
	}
	return e, e.chooseThreads(c, o, measure)
}

// newState makes the state for the limits and the format of keys and values in the configuration.
func newState(m *model.Model, set *kernel.Set, pool *kernel.Pool, c *config.Config) (*model.State, error) {
	limits, err := stateLimits(c), error(nil)
	if limits.KV, err = kvcache.Named(c.Model.KV); err != nil {
		return nil, fmt.Errorf("model.kv: %w", err)
	}
	return model.NewState(m, set, pool, limits)
}

// stateLimits gives all answers that grow at the same time one context together: a long conversation takes the room
// that short ones leave.
func stateLimits(c *config.Config) model.Limits {
	logits := c.Model.Parallel
	if draftsOf(c) != 0 {
		logits = max(logits, draft.MaxRows)
	}
	return model.Limits{
		Rows:      max(c.Model.PrefillBatch, logits),
		Logits:    logits,
		Sequences: c.Model.Parallel,
		Context:   c.Model.Context,
	}
}

// draftsOf translates model.speculate.
func draftsOf(c *config.Config) int {
	if c.Model.Speculate == config.SpeculateOff {
		return 0
	}
	return session.Adaptive
}

// loadText reads tokenizer and chat template from the model's file.
func (e *engine) loadText(c *config.Config) (err error) {
	file := e.model.File()
	if e.tokenizer, err = tokenizer.FromGGUFAs(file, c.Model.TokenizerPre); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	if w := e.tokenizer.Warning(); w != "" {
		e.log.Warn("tokenizer", "model", e.name, "warning", w)
	}
	if got, want := e.tokenizer.VocabSize(), e.model.Config.Vocab; got > want {
		return fmt.Errorf("%s: the vocabulary has %d tokens, the embedding only %d rows", e.name, got, want)
	}
	source, ok := file.Str("tokenizer.chat_template")
	if !ok {
		e.log.Warn("the model has no chat template: ChatML is used", "model", e.name)
		source = chat.DefaultSource
	}
	if e.template, err = chat.Parse(source); err != nil {
		return fmt.Errorf("%s: chat template: %w", e.name, err)
	}
	return nil
}

// modelName is the file's name without its ending: what a person recognises.
func modelName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".gguf") }

// options makes the session's options.
func (e *engine) options(c *config.Config, p *pipeline) session.Options {
	return session.Options{
		Model: e.model, State: e.state, Tokenizer: e.tokenizer, Template: e.template, ModelName: e.name,
		Source: p.queue, Defaults: defaultsOf(c), StopTimeout: c.Daemon.StopTimeout.Duration,
		Answer: p.answer, Delta: p.delta, Now: time.Now, NewSeed: rand.Uint64, Drafts: draftsOf(c), Log: e.log,
	}
}

// defaultsOf translates the configuration into what applies where a request says nothing.
func defaultsOf(c *config.Config) session.Defaults {
	s := sample.Defaults()
	g := &c.Generate
	s.Temperature, s.TopK, s.TopP, s.MinP = float32(g.Temperature), g.TopK, float32(g.TopP), float32(g.MinP)
	s.RepeatPenalty, s.RepeatLastN = float32(g.RepeatPenalty), g.RepeatLastN
	s.Seed = uint64(g.Seed)
	return session.Defaults{
		System: g.System, Sampling: s, MaxTokens: g.MaxTokens, CapTokens: g.MaxTokensLimit,
		MaxSessions: c.Session.MaxSessions, SessionIdle: c.Session.IdleTimeout.Duration,
	}
}

func (e *engine) close() error {
	if e.pool != nil {
		e.pool.Close()
	}
	if e.model == nil {
		return nil
	}
	return e.model.Close()
}
