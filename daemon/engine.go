package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"

	"siskin/daemon/config"
	"siskin/daemon/memory"
	"siskin/daemon/session"
	"siskin/daemon/store"
	"siskin/model"
	"siskin/model/budget"
	"siskin/model/chat"
	"siskin/model/draft"
	"siskin/model/kernel"
	"siskin/model/kvcache"
	"siskin/model/sample"
	"siskin/model/stream"
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
	plan      budget.Plan
	asked     config.Config
	config    config.Config // asked, with what the plan has chosen
	threads   threads
	packing   packing
	reader    *stream.Reader // of weights that do not stay in memory; nil: all stay
	populated func()         // ends the mapping of weights, or nil
	closed    bool
	log       *slog.Logger
}

// loadEngine chooses the kernels, which pass their self-test, maps the model, plans the memory, allocates the state and
// chooses how many threads it runs with, after a measurement if measure is set. Errors: a *budget.OverBudget.
func loadEngine(c *config.Config, o *Options, measure bool) (e *engine, err error) {
	e = &engine{name: store.Name(c.Model.Path), asked: *c, log: o.Log}
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
	if e.model.Config.Encoder {
		return e, fmt.Errorf("model.path: %s is an encoder: it makes embeddings (siskin embed), not answers", e.name)
	}
	if c.Model.Context > e.model.Config.Context {
		return e, fmt.Errorf("model.context: %d is more than the %d tokens that %s was trained for", c.Model.Context, e.model.Config.Context, e.name)
	}
	e.usePacked(c)
	if err := e.loadText(c); err != nil {
		return e, err
	}
	workers := Workers(c, &o.Machine)
	if e.plan, err = e.planMemory(c, o, workers); err != nil {
		return e, err
	}
	if e.plan.Choice.StreamedBytes == 0 {
		e.populate() // while the state gets its memory
	}
	e.config = chosen(*c, &e.plan)
	for _, step := range e.plan.Steps {
		e.log.Warn("memory is short", "budget", budget.MiB(e.plan.Budget), "from", e.plan.Source, "instead", step)
	}
	c = &e.config
	var pinned []int
	if c.Model.Pin && o.Machine.Mixed {
		pinned = o.Machine.Fast
	}
	e.pool = kernel.NewPinnedPool(workers, pinned)
	limits, err := stateLimits(c)
	if err != nil {
		return e, err
	}
	if e.state, err = model.NewState(e.model, set, e.pool, limits); err != nil {
		return e, err
	}
	e.streamWeights(o)
	return e, e.chooseThreads(c, o, measure)
}

// populate begins to map all weights, so that the first answer does not wait for it.
func (e *engine) populate() {
	ctx, cancel := context.WithCancel(context.Background())
	done := e.model.Populate(ctx)
	e.populated = func() {
		cancel()
		<-done
	}
}

// adaptersDir is the folder of adapters.
func adaptersDir(m *config.Model) string {
	if m.Adapters != "" {
		return m.Adapters
	}
	return store.AdaptersBeside(m.Path)
}

// checkpointsEach is how many positions of a conversation a recurrent model can go back to: the end of its last prompt, and one
// before.
const checkpointsEach = 2

// stateLimits gives all answers that grow at the same time one context together: a long conversation takes the room
// that short ones leave.
func stateLimits(c *config.Config) (model.Limits, error) {
	kv, err := kvcache.Named(c.Model.KV)
	if err != nil {
		return model.Limits{}, fmt.Errorf("model.kv: %w", err)
	}
	logits := c.Model.Parallel
	if draftsOf(c) != 0 {
		logits = max(logits, draft.MaxRows)
	}
	return model.Limits{
		Rows:      max(c.Model.PrefillBatch, logits),
		Logits:    logits,
		Sequences: c.Model.Parallel,
		Context:   c.Model.Context,
		KV:        kv,
		Drafts:    draft.MaxDraft, Checkpoints: checkpointsEach * c.Model.Parallel, // of recurrent layers, if there are any
	}, nil
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

// options makes the session's options.
func (e *engine) options(p *pipeline) session.Options {
	c := &e.config
	return session.Options{
		Model: e.model, State: e.state, Tokenizer: e.tokenizer, Template: e.template, ModelName: e.name,
		Source: source{p.queue, p.began}, Defaults: defaultsOf(c), StopTimeout: c.Daemon.StopTimeout.Duration,
		Reload: e.reload, Answer: p.answer, Delta: p.delta, Now: p.now, NewSeed: rand.Uint64, Drafts: draftsOf(c), Log: e.log,
		Adapters: store.Adapters{Dir: adaptersDir(&c.Model)},
	}
}

// reload opens the model's file anew, after reading it has failed.
func (e *engine) reload() error {
	fresh, err := model.Open(e.config.Model.Path)
	if err != nil {
		return err
	}
	path, cache := e.config.Model.Path, e.config.Model.PackDir
	if e.packing.used != "" {
		if err := store.UsePacked(fresh, path, e.set, cache); err != nil {
			e.log.Warn("the packed file is not used: the plain model is", "err", err)
		}
	}
	if err := e.model.Replace(fresh); err != nil {
		return errors.Join(err, fresh.Close())
	}
	return nil
}

// trimProgram gives back pages of the program that nobody uses while it answers, if the plan counts on that.
func (e *engine) trimProgram() {
	if !e.plan.GaveWay() {
		return
	}
	if err := memory.TrimProgram(); err != nil {
		e.log.Warn("the program keeps all of its pages in memory", "err", err)
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
		System: g.System, Tasks: tasksOf(c), Sampling: s, MaxTokens: g.MaxTokens, CapTokens: g.MaxTokensLimit,
		MaxSessions: c.Session.MaxSessions, SessionIdle: c.Session.IdleTimeout.Duration,
	}
}

// close frees what belongs to the model; what is known of it stays. It may be called again.
func (e *engine) close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	if e.populated != nil {
		e.populated()
	}
	defer func() { e.tokenizer, e.template, e.state, e.model = nil, nil, nil, nil }() // large ones are not to wait for who holds e
	if e.pool != nil {
		e.pool.Close()
	}
	var errs []error
	if e.state != nil {
		errs = append(errs, e.state.Close())
	}
	if e.model != nil {
		errs = append(errs, e.model.Close())
	}
	return errors.Join(errs...)
}
