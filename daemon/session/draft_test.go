package session_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"siskin/daemon/session"
	"siskin/model"
	"siskin/model/draft"
	"siskin/model/kernel"
	"siskin/model/sample"
	"siskin/mqtt/message"
)

var draftLimits = model.Limits{Rows: 32, Logits: draft.MaxRows, Sequences: 3, Context: 256}

// checkedSource looks at the cache whenever the engine asks for more work, which is before every pass while a slot is
// free.
type checkedSource struct {
	session.Source
	engine *session.Engine
	t      *testing.T
}

func (s *checkedSource) TryTake() (message.Request, bool) {
	if s.engine != nil {
		if broken := s.engine.Broken(); broken != "" {
			s.t.Error(broken)
		}
	}
	return s.Source.TryTake()
}

// newDraftRig is a rig whose answers draft, and whose cache is checked.
func newDraftRig(t *testing.T, drafts int, change func(o *session.Options)) *rig {
	t.Helper()
	source := &checkedSource{t: t}
	r := newRig(t, kernel.All()[0], draftLimits, func(o *session.Options) {
		source.Source = o.Source
		o.Source, o.Drafts = source, drafts
		if change != nil {
			change(o)
		}
	})
	// The engine waits for its first request, which the test has not sent yet.
	source.engine = r.engine
	return r
}

// plain is an answer without what drafts and the clock change.
func plain(a message.Answer) message.Answer {
	a.Timing, a.Usage.DraftedTokens, a.Usage.AcceptedTokens = message.Timing{}, 0, 0
	return a
}

func ptr[T any](v T) *T { return &v }

// cases are requests of all kinds that sampling knows.
func cases() []message.Request {
	again := strings.Repeat("the thin thing ", 3)
	return []message.Request{
		{Prompt: again, MaxTokens: 50},
		{Prompt: "q", MaxTokens: 60, Stream: true},
		{Prompt: "x9", MaxTokens: 1},
		{Prompt: "x9", MaxTokens: 2},
		{Prompt: "x9", MaxTokens: 9},
		{Prompt: strings.Repeat(again, 4), MaxTokens: 60}, // more than the context holds
		{Prompt: again, MaxTokens: 40, Temperature: ptr[float32](0.3), Seed: ptr[uint64](3)},
		{Prompt: again, MaxTokens: 40, Temperature: ptr[float32](0.8), Seed: ptr[uint64](4), TopK: ptr(0), TopP: ptr[float32](1), MinP: ptr[float32](0)},
		{Prompt: "q", MaxTokens: 40, Temperature: ptr[float32](1.5), Seed: ptr[uint64](5)},
		{Prompt: "s one", MaxTokens: 30, Session: "s"},
		{Prompt: "s two", MaxTokens: 30, Session: "s", Stream: true},
	}
}

// samplings are the defaults that requests cannot ask for.
func samplings() map[string]func(p *sample.Params) {
	return map[string]func(p *sample.Params){
		"plain": func(*sample.Params) {},
		"penalties": func(p *sample.Params) {
			p.RepeatPenalty, p.FrequencyPenalty, p.PresencePenalty, p.RepeatLastN = 1.05, 0.02, 0.01, 20
		},
		"dry, typical, xtc": func(p *sample.Params) {
			p.DRY = sample.DRY{Multiplier: 0.1, Base: 1.2, AllowedLength: 4, LastN: 50}
			p.TypicalP, p.XTCProbability, p.XTCThreshold = 0.9, 0.2, 0.1
		},
	}
}

// stopped adds requests that end at a string in the middle of what others answer.
func stopped(requests []message.Request, answers []message.Answer) []message.Request {
	for i, a := range answers {
		letters := []rune(a.Text)
		if middle := len(letters) / 2; middle > 4 && i%2 == 0 && requests[i].Session == "" {
			q := requests[i]
			q.Stop = []string{string(letters[middle : middle+2]), "never this"}
			requests = append(requests, q)
		}
	}
	return requests
}

// askAll asks one after the other and returns the answers, and how many tokens were drafted and accepted.
func askAll(r *rig, requests []message.Request) (answers []message.Answer, drafted, accepted int) {
	r.t.Helper()
	for i, q := range requests {
		q.ID = fmt.Sprint(i)
		a := r.ask(q)[0]
		if q.Stream && r.deltas[q.ID] != a.Text {
			r.t.Errorf("case %d: deltas %q, answer %q", i, r.deltas[q.ID], a.Text)
		}
		drafted += a.Usage.DraftedTokens
		accepted += a.Usage.AcceptedTokens
		answers = append(answers, plain(a))
	}
	return answers, drafted, accepted
}

// Whatever is drafted, every answer is the same, with its deltas, its tokens and what it leaves in the cache.
func TestDraftsChangeNothing(t *testing.T) {
	for name, change := range samplings() {
		t.Run(name, func(t *testing.T) {
			with := func(drafts int) *rig {
				return newDraftRig(t, drafts, func(o *session.Options) { change(&o.Defaults.Sampling) })
			}
			whole, _, _ := askAll(with(0), cases())
			requests := stopped(cases(), whole)
			want, none, _ := askAll(with(0), requests)
			if none != 0 || len(requests) < len(whole)+3 {
				t.Fatalf("%d drafted of none; %d requests", none, len(requests))
			}
			lengths := []int{3, 7, session.Adaptive}
			if name == "plain" {
				lengths = []int{1, 2, 3, 4, 5, 6, 7, session.Adaptive}
			}
			for _, drafts := range lengths {
				got, drafted, accepted := askAll(with(drafts), requests)
				for i := range got {
					if !reflect.DeepEqual(got[i], want[i]) {
						t.Errorf("%d drafts, case %d:\ngot  %+v\nwant %+v", drafts, i, got[i], want[i])
					}
				}
				if drafts > 0 && (accepted == 0 || accepted == drafted) {
					t.Errorf("%d drafts: %d of %d accepted: the test needs right and wrong ones", drafts, accepted, drafted)
				}
			}
		})
	}
}

// Answers that grow together share the rows of a pass and are as if alone, also while the prompt of another is read.
func TestDraftsOfSeveralAnswers(t *testing.T) {
	alone, _, _ := askAll(newDraftRig(t, 0, nil), cases())
	for _, drafts := range []int{1, 3, 7, session.Adaptive} {
		r := newDraftRig(t, drafts, nil)
		requests := cases()[:9] // turns of one session do not grow together
		for i := range requests {
			requests[i].ID = fmt.Sprint(i)
		}
		drafted := 0
		for i, a := range r.ask(requests...) {
			drafted += a.Usage.DraftedTokens
			a = plain(a)
			a.Usage.CachedTokens = alone[i].Usage.CachedTokens // follows the order in which slots get free
			if !reflect.DeepEqual(a, alone[i]) {
				t.Errorf("%d drafts, case %d:\ngot  %+v\nwant %+v", drafts, i, a, alone[i])
			}
		}
		if drafts > 0 && drafted == 0 {
			t.Errorf("%d drafts: none was made", drafts)
		}
	}
}

// A request that is cancelled, or whose time is over, at a token of its answer ends with that token, also if the pass has
// checked more. What follows finds a sound cache.
func TestDraftsEndInTheMiddle(t *testing.T) {
	const at = 23 // the delta with which the end comes
	for _, how := range []message.Code{message.CodeCancelled, message.CodeExpired} {
		var want []message.Answer
		for _, drafts := range []int{0, 7} {
			var r *rig
			var late atomic.Int64
			base := time.Now()
			r = newDraftRig(t, drafts, func(o *session.Options) {
				o.Now = func() time.Time { return base.Add(time.Duration(late.Load())) }
				keep := o.Delta
				o.Delta = func(q message.Request, d message.Delta) {
					keep(q, d)
					if q.ID != "ends" || d.Seq != at {
						return
					}
					if how == message.CodeCancelled {
						r.engine.Cancel(q.ID)
					} else {
						late.Store(int64(time.Hour))
					}
				}
			})
			q := message.Request{ID: "ends", Prompt: strings.Repeat("the thin thing ", 8), MaxTokens: 90, Stream: true, Deadline: time.Minute}
			first := r.ask(q)[0]
			late.Store(0)
			q.ID = "again"
			got := []message.Answer{plain(first), plain(r.ask(q)[0])}
			if drafts == 0 {
				want = got
				continue
			}
			if first.Code != how || !reflect.DeepEqual(got[0], want[0]) || !reflect.DeepEqual(got[1], want[1]) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", how, got, want)
			}
			if first.Usage.AcceptedTokens == 0 {
				t.Errorf("%s: nothing was drafted", how)
			}
		}
	}
}

// Logits that become no numbers while a draft is checked end the answer as a fault; nothing of it stays.
func TestFaultInTheMiddleOfADraft(t *testing.T) {
	set, on := kernel.Generic(), new(atomic.Bool)
	norm := set.RMSNorm
	set.RMSNorm = func(dst, x, w []float32, eps float32) {
		norm(dst, x, w, eps)
		if on.Load() {
			dst[0] = float32(math.NaN())
		}
	}
	r := newRig(t, set, draftLimits, func(o *session.Options) {
		o.Drafts = 7
		keep := o.Delta
		o.Delta = func(q message.Request, d message.Delta) {
			keep(q, d)
			if q.ID == "broken" && d.Seq == 20 {
				on.Store(true)
			}
		}
	})
	q := message.Request{ID: "before", Prompt: strings.Repeat("the thin thing ", 8), MaxTokens: 60, Stream: true}
	before := r.ask(q)[0]
	q.ID = "broken"
	if broken := r.ask(q)[0]; broken.Code != message.CodeInternal || broken.Usage.AcceptedTokens == 0 {
		t.Errorf("broken: %+v", broken)
	}
	on.Store(false)
	q.ID = "after"
	if after := r.ask(q)[0]; after.Text != before.Text || after.Usage.CachedTokens != 0 {
		t.Errorf("after: %+v, before: %q", after, before.Text)
	}
}

// Where passes of more rows take no longer, a loop is written several tokens a pass; where they take their sum, one by
// one but for trials. The clock is one that passes of the model move.
func TestDraftsFollowTheClock(t *testing.T) {
	for _, c := range []struct {
		name        string
		price       func(rows int) time.Duration
		least, most int
	}{
		{"free", func(int) time.Duration { return time.Millisecond }, 60, 120},
		{"dear", func(rows int) time.Duration { return time.Duration(rows) * time.Millisecond }, 0, 6},
	} {
		var clock, rows atomic.Int64
		set := kernel.Generic()
		norm := set.RMSNorm
		set.RMSNorm = func(dst, x, w []float32, eps float32) {
			norm(dst, x, w, eps)
			rows.Add(1)
		}
		const normsOfRow = 2*2 + 1 // two layers of two, and one before the logits
		r := newRig(t, set, draftLimits, func(o *session.Options) {
			o.Drafts = session.Adaptive
			o.Now = func() time.Time {
				if n := rows.Swap(0) / normsOfRow; n > 0 {
					clock.Add(int64(c.price(int(n))))
				}
				return time.Unix(0, clock.Load())
			}
		})
		a := r.ask(message.Request{ID: "a", Prompt: strings.Repeat("the thin thing ", 8), MaxTokens: 120})[0]
		if a.Usage.DraftedTokens < c.least || a.Usage.DraftedTokens > c.most {
			t.Errorf("%s: %+v, want %d to %d drafted", c.name, a.Usage, c.least, c.most)
		}
	}
}

func TestBadDraftOptions(t *testing.T) {
	for _, c := range []struct{ drafts, logits int }{{-2, 8}, {8, 8}, {session.Adaptive, 7}, {1, 7}} {
		with := draftLimits
		with.Logits = c.logits
		o := newRig(t, kernel.Generic(), with, nil).engine.Options
		o.Drafts = c.drafts
		if _, err := session.New(o); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}
