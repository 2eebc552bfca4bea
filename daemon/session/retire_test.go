package session_test

import (
	"testing"
	"time"

	"siskin/daemon/session"
	"siskin/model/kernel"
	"siskin/mqtt/message"
)

// An engine that retires finishes the answer under way, gives back what it has not begun, and ends.
func TestRetire(t *testing.T) {
	var r *rig
	step := 0
	r = newRig(t, kernel.Generic(), limits, func(o *session.Options) {
		o.Delta = func(message.Request, message.Delta) { // in the engine's goroutine, so the answer cannot end meanwhile
			switch {
			case step == 0:
				for _, id := range []string{"next", "never"} { // they wait for their session's turn
					r.source <- message.Request{ID: id, Prompt: "and on", Session: "s"}
				}
				step++
			case step == 1 && len(r.source) == 0: // both are taken
				r.engine.Retire()
				r.source <- message.Request{ID: "late", Prompt: "late"}
				step++
			}
		}
	})
	r.source <- message.Request{ID: "long", Prompt: "long", Session: "s", MaxTokens: 150, Stream: true}
	r.ended()
	r.engine.Cancel("never")
	if len(r.source) != 1 || len(r.answers) != 1 || r.answers["long"].Status != message.OK || r.answers["long"].Usage.CompletionTokens < 20 {
		t.Errorf("%d requests left, answers %+v", len(r.source), r.answers)
	}
	waiting, cancelled := r.engine.Left()
	if len(waiting) != 1 || waiting[0].ID != "next" || len(cancelled) != 1 || cancelled[0].ID != "never" {
		t.Errorf("waiting %v, cancelled %v", waiting, cancelled)
	}
}

// An engine that waits for a request retires at once.
func TestRetireIdle(t *testing.T) {
	r := newRig(t, kernel.Generic(), limits, nil)
	for waiting := false; !waiting; time.Sleep(time.Millisecond) {
		_, waiting = r.engine.Progress()
	}
	r.engine.Retire()
	r.ended()
	if waiting, cancelled := r.engine.Left(); len(waiting)+len(cancelled) != 0 {
		t.Errorf("left %v, %v", waiting, cancelled)
	}
}
