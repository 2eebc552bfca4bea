// Package session turns requests into answers: it owns the loop that renders a conversation, runs the model and samples
// tokens. All requests under way share every pass of the model, so several answers grow together.
//
// Requests come from a Source and answers leave through the functions in Options; the package does not know who is at
// either end. It reads no configuration and opens no file; the clock is an argument.
package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"siskin/daemon/task"
	"siskin/model"
	"siskin/model/chat"
	"siskin/model/draft"
	"siskin/model/lora"
	"siskin/model/sample"
	"siskin/model/tokenizer"
	"siskin/mqtt/message"
)

// Source hands out accepted requests, the most urgent first.
type Source interface {
	// Take waits for a request; it returns an error when ctx ends or the source is closed.
	Take(ctx context.Context) (message.Request, error)
	// TryTake returns at once; false means that no request is waiting.
	TryTake() (message.Request, bool)
}

// Defaults apply where a request says nothing. They can be replaced while the engine runs.
type Defaults struct {
	System    string        // system message of conversations that bring none; empty: the template's own
	Tasks     task.Set      // that requests may name
	Sampling  sample.Params // a seed of 0 means another one for each answer: see Options.NewSeed
	MaxTokens int           // tokens of an answer; at least 1
	CapTokens int           // most tokens that a request may ask for; at least MaxTokens
	// MaxSessions conversations are remembered, each until it has been idle for SessionIdle.
	MaxSessions int
	SessionIdle time.Duration
}

// Options is what an engine is made of. All of it is required but Reload and Adapters.
type Options struct {
	Model     *model.Model
	State     *model.State
	Tokenizer *tokenizer.Tokenizer
	Template  *chat.Template
	ModelName string // in answers
	Source    Source
	Defaults  Defaults
	// StopTimeout is how long answers under way may take to finish once Run's context has ended.
	StopTimeout time.Duration
	// Answer ends a request: it is called exactly once for each that was taken. Delta passes on a piece of a streamed
	// answer. Both are called from the engine's goroutine and must not block for long.
	Answer func(message.Request, message.Answer)
	Delta  func(message.Request, message.Delta)
	Now    func() time.Time
	// NewSeed gives the seed of a request where neither it nor the defaults have one.
	NewSeed func() uint64
	// Reload maps the model's file again after reading it has failed. It is called from the engine's goroutine, before each
	// request until it succeeds; as long as it does not, requests are answered with CodeModelFault. nil: it never does.
	Reload func() error
	// Drafts is how many tokens of an answer are drafted for a pass to check: Adaptive, as many as pay; 0, none; 1 to
	// draft.MaxDraft, always that many where there are some, for measurements. It changes no answer. Unless it is 0, the
	// state must have draft.MaxRows rows of logits, and a draft.FinderBytes of memory is used for each of its sequences.
	Drafts int
	// Adapters opens those that requests name; nil: there are none.
	Adapters Adapters
	Log      *slog.Logger
}

// Adaptive is the value of Options.Drafts that lets passes and answers decide.
const Adaptive = -1

// passTime is the aim for the duration of one pass with prefill in it: a cancellation or another request's next token
// waits that long, and 100 ms is what a person notices (Miller 1968; Card et al. 1983).
const passTime = 50 * time.Millisecond

// minChunk rows of prefill are always taken, however slow the machine: fewer would read all weights for little.
const minChunk = 8

// Engine runs the loop. Cancel, SetDefaults, Relieve, Retire and Progress may be called from any goroutine, all else is Run's.
type Engine struct {
	Options
	defaults atomic.Pointer[Defaults]

	turns   atomic.Uint64 // of the loop
	waiting atomic.Bool   // for a request: there is nothing to do

	mu        sync.Mutex
	cancelled map[string]bool    // ids to cancel
	wake      context.CancelFunc // ends the wait for a request; nil outside of it
	relieve   bool               // what idle slots hold is to be given back
	retiring  bool               // no request is begun any more

	slots   []slot
	order   []*job // jobs under way in order of admission; each holds a slot
	pending []*job // taken from the source, waiting for room or for their session's turn
	histories
	adapters map[string]*adapter // open ones, by name
	retired  []*lora.Adapter     // to be closed when nobody uses them

	rows    []model.Row
	faulty  bool          // the model cannot be read
	rowTime time.Duration // smoothed duration of one prefill row
	passes  uint64
	raw     []float32 // logits as the model gave them, for log-probabilities

	breakers [][]int32 // at which the DRY step ends a repetition; nil until a request needs them

	chooser  draft.Chooser
	drafting []*draft.Answer // the answers that the next pass may draft for; empty if it has none or reads a prompt
}

// New makes an engine; it starts nothing.
func New(o Options) (*Engine, error) {
	limits := o.State.Limits()
	if limits.Logits < limits.Sequences {
		return nil, fmt.Errorf("session: %d sequences but only %d rows of logits", limits.Sequences, limits.Logits)
	}
	if o.Drafts < Adaptive || o.Drafts > draft.MaxDraft {
		return nil, fmt.Errorf("session: %d drafted tokens, want %d to %d", o.Drafts, Adaptive, draft.MaxDraft)
	}
	if o.Drafts != 0 && limits.Logits < draft.MaxRows {
		return nil, fmt.Errorf("session: drafts need %d rows of logits, the state has %d", draft.MaxRows, limits.Logits)
	}
	e := &Engine{
		Options:   o,
		cancelled: make(map[string]bool),
		slots:     make([]slot, limits.Sequences),
		rows:      make([]model.Row, 0, limits.Rows),
		histories: newHistories(),
		adapters:  make(map[string]*adapter),
		chooser:   draft.Chooser{Fixed: max(0, o.Drafts)},
		drafting:  make([]*draft.Answer, 0, limits.Sequences),
	}
	var room sample.Room
	for i := range e.slots {
		e.slots[i] = slot{seq: i, tokens: make([]int32, 0, limits.Context), sampler: sample.NewIn(&room, o.Defaults.Sampling, o.Model.Config.Vocab)}
		if o.Drafts != 0 {
			e.slots[i].draft = draft.NewAnswer(limits.Context)
		}
	}
	return e, e.SetDefaults(o.Defaults)
}

// SetDefaults replaces the defaults for requests that start from now on; on error the old ones stay.
func (e *Engine) SetDefaults(d Defaults) error {
	if d.MaxTokens < 1 || d.CapTokens < d.MaxTokens || d.MaxSessions < 0 {
		return fmt.Errorf("session defaults: max tokens %d, cap %d, sessions %d: want 1 <= max tokens <= cap, sessions >= 0",
			d.MaxTokens, d.CapTokens, d.MaxSessions)
	}
	if err := d.Sampling.Validate(); err != nil {
		return fmt.Errorf("session defaults: %w", err)
	}
	e.defaults.Store(&d)
	return nil
}

// Cancel asks for the end of a request that the source has handed out and that is not answered yet; it is answered as
// cancelled after the pass under way. The caller must make sure that Answer for it has not returned, or the id stays
// marked.
func (e *Engine) Cancel(id string) {
	e.mu.Lock()
	e.cancelled[id] = true
	e.mu.Unlock()
}

// forget drops the mark of an answered request.
func (e *Engine) forget(id string) {
	e.mu.Lock()
	delete(e.cancelled, id)
	e.mu.Unlock()
}

func (e *Engine) isCancelled(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cancelled[id]
}

// Run serves requests until ctx ends or the source is closed. Then no request is taken any more, answers under way have
// StopTimeout to finish, and what is left is answered with the code shutting_down. After Retire it returns as well: see Left.
func (e *Engine) Run(ctx context.Context) error {
	// A model file that is cut under its mapping is a fault of this goroutine or of a worker: a failed pass, see forward.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for ; ctx.Err() == nil && !e.mayEnd(); e.turns.Add(1) {
		if len(e.order)+len(e.pending) == 0 {
			request, err := e.take(ctx)
			switch {
			case err == nil:
				e.begin(request)
			case !errors.Is(err, errWoken):
				return sourceError(ctx, err)
			}
		}
		e.giveBack()
		if e.faulty && !e.revive() {
			continue
		}
		e.fill()
		e.settle()
		e.pass()
	}
	if ctx.Err() != nil {
		e.drain()
	}
	for _, a := range e.adapters {
		e.retired = append(e.retired, a.Adapter)
	}
	clear(e.adapters)
	e.closeAdapters()
	return nil
}

// Progress returns how often the loop has turned, with one pass of the model at most in each turn, and whether it waits for a
// request. An engine that neither turns nor waits is stuck.
func (e *Engine) Progress() (turns uint64, waiting bool) { return e.turns.Load(), e.waiting.Load() }

// errWoken ends a wait for which there is something else to do.
var errWoken = errors.New("woken")

// take waits for a request, or until Relieve or Retire.
func (e *Engine) take(ctx context.Context) (message.Request, error) {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	e.mu.Lock()
	e.wake = stop
	due := e.relieve || e.retiring
	e.mu.Unlock()
	if due {
		return message.Request{}, errWoken
	}
	e.waiting.Store(true)
	request, err := e.Source.Take(waiting)
	e.waiting.Store(false)
	e.mu.Lock()
	e.wake = nil
	e.mu.Unlock()
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		err = errWoken
	}
	return request, err
}

// Relieve asks for the memory of the keys and values that no answer needs: the beginnings of earlier conversations, which
// then are read anew when they come again. It returns at once.
func (e *Engine) Relieve() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.relieve = true
	if e.wake != nil {
		e.wake()
	}
}

// giveBack does what Relieve asks for.
func (e *Engine) giveBack() {
	e.mu.Lock()
	due := e.relieve
	e.relieve = false
	e.mu.Unlock()
	if !due {
		return
	}
	for i := range e.slots {
		if s := &e.slots[i]; s.job == nil {
			e.truncate(s, 0)
		}
	}
	e.Log.Info("memory of earlier conversations is given back", "bytes", e.State.Trim())
}

// sourceError hides the error that only says that the context has ended.
func sourceError(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("session: take: %w", err)
}

// drain lets the jobs under way finish within StopTimeout and answers the rest.
func (e *Engine) drain() {
	limit := e.Now().Add(e.StopTimeout)
	stopping := Ended(message.CodeShuttingDown)
	for len(e.pending) > 0 {
		e.refuse(e.pending[0], stopping)
	}
	for ; len(e.order) > 0 && e.Now().Before(limit); e.turns.Add(1) {
		e.settle()
		e.pass()
	}
	for len(e.order) > 0 {
		e.finish(e.order[0], message.CodeShuttingDown)
	}
}

// fill takes requests while there may be a slot for them.
func (e *Engine) fill() {
	if e.isRetiring() {
		return
	}
	for len(e.order)+len(e.pending) < len(e.slots) {
		request, ok := e.Source.TryTake()
		if !ok {
			break
		}
		e.begin(request)
	}
	for i := 0; i < len(e.pending); {
		if !e.admit(e.pending[i]) {
			i++
		}
	}
}

// settle ends the jobs that were cancelled or have expired.
func (e *Engine) settle() {
	now := e.Now()
	for i := 0; i < len(e.order); {
		if code := e.endOf(e.order[i], now); code != message.CodeNone {
			e.finish(e.order[i], code)
		} else {
			i++
		}
	}
	for i := 0; i < len(e.pending); {
		if code := e.endOf(e.pending[i], now); code != message.CodeNone {
			e.refuse(e.pending[i], Ended(code))
		} else {
			i++
		}
	}
}

// endOf returns why a job must end now, or CodeNone.
func (e *Engine) endOf(j *job, now time.Time) message.Code {
	switch {
	case e.isCancelled(j.request.ID):
		return message.CodeCancelled
	case j.request.Expired(now):
		return message.CodeExpired
	default:
		return message.CodeNone
	}
}

// Ended is the refusal of a request that ended before its answer began.
func Ended(code message.Code) *message.Error { return &message.Error{Code: code, Text: reason(code)} }

// reason is the sentence for an answer that ended before it had any text.
func reason(code message.Code) string {
	switch code {
	case message.CodeCancelled:
		return "The request was cancelled before the answer began."
	case message.CodeExpired:
		return "The deadline of the request passed before the answer began."
	case message.CodeModelFault:
		return "The model's file cannot be read; the daemon's log has the details. It is tried again with the next request."
	case message.CodeShuttingDown:
		return "The daemon is stopping; ask again when it is back."
	default:
		return "The answer failed because of a fault inside the daemon; its log has the details."
	}
}
