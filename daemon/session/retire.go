package session

import "siskin/mqtt/message"

// Retire asks Run to return as soon as the answers under way are finished, however long they take; no request is begun any more.
func (e *Engine) Retire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.retiring = true
	if e.wake != nil {
		e.wake()
	}
}

func (e *Engine) isRetiring() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.retiring
}

// mayEnd reports whether Retire has been called and no answer is under way any more.
func (e *Engine) mayEnd() bool { return len(e.order) == 0 && e.isRetiring() }

// Left returns the requests that were taken and are not begun, in the order in which they were taken, once Run has returned because
// of Retire. Answer was called for none of them; those for which Cancel was called are apart. Its caller must see to it that Cancel is
// not called for them meanwhile. The engine lets go of its model then.
func (e *Engine) Left() (waiting, cancelled []message.Request) {
	for _, j := range e.pending {
		if e.isCancelled(j.request.ID) {
			cancelled = append(cancelled, j.request)
		} else {
			waiting = append(waiting, j.request)
		}
	}
	e.pending, e.slots, e.rows, e.raw, e.breakers, e.drafting = nil, nil, nil, nil, nil, nil
	e.Model, e.State, e.Tokenizer, e.Template, e.Reload = nil, nil, nil, nil, nil
	return waiting, cancelled
}

// Inherit takes over the conversations that another engine remembers, as texts: they are read anew, by this one's model. Neither may
// be running.
func (e *Engine) Inherit(from *Engine) { e.histories = from.histories }
