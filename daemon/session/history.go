package session

import (
	"time"

	"siskin/mqtt/message"
)

// histories remembers the turns of conversations by session name. It bounds their number and, through dropOldest, their
// length: what no longer fits the context is forgotten.
type histories struct {
	byName map[string]*history
}

type history struct {
	turns []message.Message
	used  time.Time
}

func newHistories() histories { return histories{byName: make(map[string]*history)} }

// recall returns a copy of the turns of a session; an unknown or empty name has none.
func (e *Engine) recall(name string) []message.Message {
	h := e.byName[name]
	if h == nil || e.Now().Sub(h.used) > e.defaults.Load().SessionIdle {
		return nil
	}
	return append([]message.Message(nil), h.turns...)
}

// remember stores the conversation of a job together with its answer, and forgets the conversations that are idle for
// too long or, beyond the limit, the longest.
func (e *Engine) remember(j *job, answer string) {
	d := e.defaults.Load()
	now := e.Now()
	if j.request.Session != "" && d.MaxSessions > 0 {
		turns := append(append([]message.Message(nil), j.turns...), message.Message{Role: "assistant", Content: answer, ToolCalls: callsJSON(j.toolCalls())})
		if j.system != "" && turns[0].Role == "system" && turns[0].Content == j.system {
			turns = turns[1:] // the default is put in front again next time, as it is then
		}
		e.byName[j.request.Session] = &history{turns: turns, used: now}
	}
	for name, h := range e.byName {
		if now.Sub(h.used) > d.SessionIdle {
			delete(e.byName, name)
		}
	}
	for len(e.byName) > d.MaxSessions {
		oldest := ""
		for name, h := range e.byName {
			if oldest == "" || h.used.Before(e.byName[oldest].used) {
				oldest = name
			}
		}
		delete(e.byName, oldest)
	}
}

// busy reports whether a job of the same session, started earlier, is under way: turns of one conversation never overlap.
func (e *Engine) busy(j *job) bool {
	if j.request.Session == "" {
		return false
	}
	for _, o := range e.order {
		if o.request.Session == j.request.Session {
			return true
		}
	}
	for _, o := range e.pending {
		if o == j {
			return false
		}
		if o.request.Session == j.request.Session {
			return true
		}
	}
	return false
}
