package session_test

import (
	"context"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"siskin/daemon/session"
	"siskin/model"
	"siskin/model/chat"
	"siskin/model/gguf"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
	"siskin/model/sample"
	"siskin/model/tokenizer"
	"siskin/mqtt/message"
)

// rig is an engine over a tiny model, with a source and a record of what came out.
type rig struct {
	t       testing.TB
	engine  *session.Engine
	source  chan message.Request
	mu      sync.Mutex
	answers map[string]message.Answer
	order   []string // ids in the order of their answers
	deltas  map[string]string
	arrived chan struct{}
	ended   func() // waits for the engine
}

// Take and TryTake make the rig the engine's source.
func (r *rig) Take(ctx context.Context) (message.Request, error) {
	select {
	case q := <-r.source:
		return q, nil
	case <-ctx.Done():
		return message.Request{}, ctx.Err()
	}
}

func (r *rig) TryTake() (message.Request, bool) {
	select {
	case q := <-r.source:
		return q, true
	default:
		return message.Request{}, false
	}
}

// newRig starts an engine over a tiny model; the set may have been tampered with.
func newRig(t testing.TB, set *kernel.Set, limits model.Limits, change func(o *session.Options)) *rig {
	t.Helper()
	m, err := model.Parse(modeltest.Tiny{Seed: 5, Type: quant.Q8_0, Layers: 2, Context: 512}.File())
	if err != nil {
		t.Fatal(err)
	}
	return modelRig(t, m, set, limits, change)
}

// modelRig starts an engine over any model.
func modelRig(t testing.TB, m *model.Model, set *kernel.Set, limits model.Limits, change func(o *session.Options)) *rig {
	t.Helper()
	r := &rig{t: t, source: make(chan message.Request, 100), answers: map[string]message.Answer{}, deltas: map[string]string{}, arrived: make(chan struct{}, 100)}
	pool := kernel.NewPool(2)
	t.Cleanup(pool.Close)
	state, err := model.NewState(m, set, pool, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	})
	text := m.File()
	if kind, _ := text.Str("tokenizer.ggml.model"); kind == "none" || kind == "" { // a small vocabulary fits all models of the tests
		if text, err = gguf.Parse(modeltest.Tiny{Seed: 5, Type: quant.Q8_0, Layers: 1, Context: 64}.File()); err != nil {
			t.Fatal(err)
		}
	}
	words, err := tokenizer.FromGGUF(text)
	if err != nil {
		t.Fatal(err)
	}
	source, _ := text.Str("tokenizer.chat_template")
	template, err := chat.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	greedy := sample.Defaults()
	greedy.Temperature = 0
	o := session.Options{
		Model: m, State: state, Tokenizer: words, Template: template, ModelName: "tiny", Source: r,
		Defaults:    session.Defaults{Sampling: greedy, MaxTokens: 6, CapTokens: 400, MaxSessions: 2, SessionIdle: time.Hour},
		StopTimeout: 50 * time.Millisecond, Now: time.Now, NewSeed: func() uint64 { return 1 },
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
		Answer: r.answer,
		Delta: func(q message.Request, d message.Delta) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.deltas[q.ID] += d.Delta
		},
	}
	if change != nil {
		change(&o)
	}
	if r.engine, err = session.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.engine.Run(ctx) }()
	r.ended = sync.OnceFunc(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		r.ended()
	})
	return r
}

func (r *rig) answer(q message.Request, a message.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.answers[q.ID]; ok {
		r.t.Errorf("%s was answered twice", q.ID)
	}
	r.answers[q.ID] = a
	r.order = append(r.order, q.ID)
	r.arrived <- struct{}{}
}

// ask sends requests and waits for their answers.
func (r *rig) ask(requests ...message.Request) []message.Answer {
	r.t.Helper()
	for _, q := range requests {
		q.Received = time.Now()
		r.source <- q
	}
	for range requests {
		select {
		case <-r.arrived:
		case <-time.After(time.Minute):
			r.t.Fatalf("no answer; so far %v", r.order)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []message.Answer
	for _, q := range requests {
		out = append(out, r.answers[q.ID])
	}
	return out
}

var limits = model.Limits{Rows: 32, Logits: 3, Sequences: 3, Context: 256}

func TestSharedBeginningIsNotComputedAgain(t *testing.T) {
	r := newRig(t, kernel.Generic(), limits, nil)
	first := r.ask(message.Request{ID: "a", Prompt: "the same question"})[0]
	again := r.ask(message.Request{ID: "b", Prompt: "the same question"})[0]
	if again.Usage.CachedTokens != again.Usage.PromptTokens-1 || again.Text != first.Text {
		t.Errorf("again: %+v, %q; first %q", again.Usage, again.Text, first.Text)
	}
}

// Requests that together need more pages than there are wait for each other; all are answered as if alone.
func TestMoreThanTheCacheHolds(t *testing.T) {
	r := newRig(t, kernel.Generic(), limits, nil)
	alone := r.ask(message.Request{ID: "alone", Prompt: "long", MaxTokens: 150})[0]
	var requests []message.Request
	for _, id := range []string{"1", "2", "3", "4", "5", "6"} {
		requests = append(requests, message.Request{ID: id, Prompt: "long", MaxTokens: 150})
	}
	for i, a := range r.ask(requests...) {
		if a.Status != message.OK || a.Text != alone.Text {
			t.Errorf("request %d: %s %q, want %q", i, a.Status, a.Text, alone.Text)
		}
	}
}

// Turns of one conversation never overlap: the second sees the answer to the first.
func TestTurnsOfOneSessionFollowEachOther(t *testing.T) {
	r := newRig(t, kernel.Generic(), limits, nil)
	answers := r.ask(
		message.Request{ID: "1", Prompt: "one", Session: "s"},
		message.Request{ID: "2", Prompt: "two", Session: "s"},
		message.Request{ID: "3", Prompt: "six", Session: "s"})
	if !slices.Equal(r.order, []string{"1", "2", "3"}) {
		t.Errorf("answered in the order %v", r.order)
	}
	for i := 1; i < 3; i++ {
		if answers[i].Usage.PromptTokens <= answers[i-1].Usage.PromptTokens {
			t.Errorf("turn %d has %d prompt tokens, the one before %d", i+1, answers[i].Usage.PromptTokens, answers[i-1].Usage.PromptTokens)
		}
	}
}

// A conversation that outgrows the context loses its oldest turns, never its system message; one prompt that does not fit
// is refused.
func TestOldTurnsAreDropped(t *testing.T) {
	r := newRig(t, kernel.Generic(), limits, nil)
	turns := []message.Message{{Role: "system", Content: "be brief"}}
	for range 12 {
		turns = append(turns, message.Message{Role: "user", Content: "a question of some length"}, message.Message{Role: "assistant", Content: "an answer"})
	}
	turns = append(turns, message.Message{Role: "user", Content: "the last"})
	a := r.ask(message.Request{ID: "a", Messages: turns})[0]
	if a.Status != message.OK || a.Usage.PromptTokens > 250 {
		t.Errorf("long conversation: %+v", a)
	}
	a = r.ask(message.Request{ID: "b", Prompt: strings.Repeat("x", 400)})[0]
	if a.Code != message.CodeContextFull || !strings.Contains(a.Text, "256") {
		t.Errorf("long prompt: %+v", a)
	}
	a = r.ask(message.Request{ID: "c", Prompt: strings.Repeat("x", 200), MaxTokens: 300})[0]
	if a.Status != message.OK || a.Code == message.CodeMaxTokens {
		t.Errorf("an answer that the context cuts: %+v", a)
	}
}

// Deltas and answer agree, and a stop string ends both without being shown.
func TestStopString(t *testing.T) {
	r := newRig(t, kernel.Generic(), limits, nil)
	full := r.ask(message.Request{ID: "full", Prompt: "go", MaxTokens: 40})[0]
	letters := []rune(full.Text)
	stop := string(letters[len(letters)/2])
	cut := r.ask(message.Request{ID: "cut", Prompt: "go", MaxTokens: 40, Stop: []string{stop}, Stream: true})[0]
	want, _, found := strings.Cut(full.Text, stop)
	if !found || cut.Text != want || cut.Code != message.CodeNone || r.deltas["cut"] != want {
		t.Errorf("stop %q in %q: answer %q (code %q), deltas %q", stop, full.Text, cut.Text, cut.Code, r.deltas["cut"])
	}
}

// A panic in a kernel and logits that are no numbers are answered as internal errors; the next request is served.
func TestFaultsAreAnswered(t *testing.T) {
	for name, spoil := range map[string]func(s *kernel.Set, on *atomic.Bool){
		"panic": func(s *kernel.Set, on *atomic.Bool) {
			softmax := s.SoftmaxTile
			s.SoftmaxTile = func(scores []float32, m, cols int, top, sum, scale []float32) {
				if on.Load() {
					panic("broken kernel")
				}
				softmax(scores, m, cols, top, sum, scale)
			}
		},
		"not a number": func(s *kernel.Set, on *atomic.Bool) {
			norm := s.RMSNorm
			s.RMSNorm = func(dst, x, w []float32, eps float32) {
				norm(dst, x, w, eps)
				if on.Load() {
					dst[0] = float32(math.NaN())
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			set, on := kernel.Generic(), new(atomic.Bool)
			spoil(set, on)
			r := newRig(t, set, limits, nil)
			before := r.ask(message.Request{ID: "before", Prompt: "hello"})[0]
			on.Store(true)
			broken := r.ask(message.Request{ID: "broken", Prompt: "hello there"})[0]
			if broken.Status != message.Failed || broken.Code != message.CodeInternal || broken.Text == "" {
				t.Errorf("broken: %+v", broken)
			}
			on.Store(false)
			after := r.ask(message.Request{ID: "after", Prompt: "hello"})[0]
			if after.Status != message.OK || after.Text != before.Text {
				t.Errorf("after: %+v, before: %q", after, before.Text)
			}
		})
	}
}

func TestBadDefaults(t *testing.T) {
	r := newRig(t, kernel.Generic(), limits, nil)
	for _, d := range []session.Defaults{
		{}, {Sampling: sample.Defaults(), MaxTokens: 5, CapTokens: 4}, {Sampling: sample.Params{TopP: 7}, MaxTokens: 1, CapTokens: 1},
	} {
		if err := r.engine.SetDefaults(d); err == nil {
			t.Errorf("accepted %+v", d)
		}
	}
}
