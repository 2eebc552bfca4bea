// Package ledger is the book of requests, on a journal: what was accepted, begun, answered and delivered. It holds
//
//   - the queue: an accepted request is there until it has an answer, through crashes and power cuts;
//   - the outbox: an answer is there until the broker has taken it, and is never made a second time;
//   - the window: answered requests are remembered for a while, so that a repetition gets the same answer;
//   - tries: a request during which the process died again and again is found out;
//   - effects: what a request was about to do outside when the process died.
//
// Payloads stay on disk; memory holds a few hundred bytes for each request. Records say nothing about their order: a request
// carries its own place, so that compacting may copy them in any order, beside new ones.
package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"siskin/daemon/journal"
)

// Errors; test with errors.Is.
var (
	// ErrFull means that the book holds as much as it may, or is written to faster than it may be.
	ErrFull = errors.New("ledger is full")
	// ErrUnknown means that there is no such request.
	ErrUnknown = errors.New("request is not in the ledger")
	// ErrKnown means that a request with this id is in the book already.
	ErrKnown = errors.New("request is in the ledger already")
)

// State is how far a request is.
type State int

// The states.
const (
	Unknown  State = iota
	Accepted       // waiting, or being worked on
	Answered       // the broker has not taken the answer yet
	Sent           // it has
)

// Limits bounds a ledger.
type Limits struct {
	// Bytes of the folder, about; a quarter is for what is wanted still.
	Bytes int64
	// Window is how many answers are remembered, and Age for how long.
	Window int
	Age    time.Duration
	// Rate is how many bytes a second may be written for new requests on average, and Burst how many at once. 0: any.
	Rate, Burst int64
}

// Options of a ledger.
type Options struct {
	Folder journal.Folder
	// SegmentBytes of the journal.
	SegmentBytes int64
	Limits       Limits
	Clock        func() Stamp
	Log          *slog.Logger
}

// Request is what is accepted.
type Request struct {
	ID string
	// Hash identifies a message without an id; "" if it has one.
	Hash     string
	Payload  []byte
	Received Stamp
	Deadline time.Duration // from then on; 0: none
	Tries    int           // how often it was begun
	// Open lists the effects that were begun and not ended when the process died: nobody knows whether they happened. Ended lists
	// those that did.
	Open, Ended []string
}

// Answer is what a request came to.
type Answer struct {
	ID      string
	Topic   string
	Payload []byte
	// Correlation is the asker's, who gets it back; nil: none.
	Correlation []byte
}

// entry is a request in the book.
type entry struct {
	id, hash string
	order    uint64
	state    State
	tries    int
	received Stamp
	deadline time.Duration
	topic    string
	related  []byte          // correlation data
	effects  map[string]bool // begun: ended
	request  journal.Place
	answer   journal.Place
	pending  bool          // its first record is not durable yet
	waiters  []func(error) // for that
	ending   bool          // an answer is on its way to the disk
}

// live is what the entry keeps on disk.
func (e *entry) live() int64 {
	if e.state == Accepted {
		return e.request.Bytes()
	}
	return e.answer.Bytes()
}

// Ledger is an open book. All methods may be called from any goroutine.
type Ledger struct {
	o       Options
	journal *journal.Journal

	mu      sync.Mutex
	entries map[string]*entry
	hashes  map[string]string // to ids
	order   uint64
	live    int64     // bytes of all entries
	done    []*entry  // Sent, oldest first
	tokens  float64   // of the rate
	filled  time.Time // when tokens were counted
	compact bool      // under way
	work    sync.WaitGroup
}

// Close writes what is under way and ends.
func (l *Ledger) Close() error {
	l.work.Wait()
	return l.journal.Close()
}

// Written returns how many bytes have been handed to the storage.
func (l *Ledger) Written() int64 { return l.journal.Written() }

// Bytes returns what the records on disk take, dead ones too.
func (l *Ledger) Bytes() int64 {
	bytes, _ := l.journal.Bytes()
	return bytes
}

// Waiting returns the requests that were accepted and have no answer, in the order in which they were accepted.
func (l *Ledger) Waiting() ([]Request, error) {
	l.mu.Lock()
	var list []*entry
	for _, e := range l.entries {
		if e.state == Accepted && !e.pending {
			list = append(list, e)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(list, byOrder)
	out := make([]Request, 0, len(list))
	for _, e := range list {
		payload, err := l.read(e.request)
		if err != nil {
			return nil, fmt.Errorf("request %s: %w", e.id, err)
		}
		r := Request{ID: e.id, Hash: e.hash, Payload: payload, Received: e.received, Deadline: e.deadline, Tries: e.tries}
		for name, ended := range e.effects {
			if ended {
				r.Ended = append(r.Ended, name)
			} else {
				r.Open = append(r.Open, name)
			}
		}
		slices.Sort(r.Open)
		slices.Sort(r.Ended)
		out = append(out, r)
	}
	return out, nil
}

// Unsent returns the ids of answers that the broker has not taken, in the order in which their requests were accepted.
func (l *Ledger) Unsent() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*entry
	for _, e := range l.entries {
		if e.state == Answered && !e.pending {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, byOrder)
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.id
	}
	return out
}

// read returns the payload of a record.
func (l *Ledger) read(p journal.Place) ([]byte, error) {
	r, err := l.journal.Read(p)
	if err != nil {
		return nil, err
	}
	_, payload, err := decode(r.Data)
	return payload, err
}

// Find returns how far the request with an id is.
func (l *Ledger) Find(id string) State {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil {
		return e.state
	}
	return Unknown
}

// FindHash returns the id that a message without one got when it was accepted; "" if it was not.
func (l *Ledger) FindHash(hash string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hashes[hash]
}

// Load returns an answer of the book.
func (l *Ledger) Load(id string) (Answer, error) {
	for {
		l.mu.Lock()
		e := l.entries[id]
		if e == nil || e.state < Answered {
			l.mu.Unlock()
			return Answer{}, fmt.Errorf("answer of %s: %w", id, ErrUnknown)
		}
		a, place := Answer{ID: id, Topic: e.topic, Correlation: e.related}, e.answer
		l.mu.Unlock()
		var err error
		if a.Payload, err = l.read(place); err == nil {
			return a, nil
		}
		l.mu.Lock()
		moved := l.entries[id] == e && e.answer != place
		l.mu.Unlock()
		if !moved { // else it was compacted meanwhile
			return a, fmt.Errorf("answer of %s: %w", id, err)
		}
	}
}

// Accept takes a request in. An error says at once why it cannot; otherwise done is called once, when the request is durable, or
// with the reason why it is not and is not in the book. Calls of done are in the order of the calls of Accept.
func (l *Ledger) Accept(r Request, done func(error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[r.ID] != nil {
		return ErrKnown
	}
	h := head{ID: r.ID, Order: l.order + 1, Hash: r.Hash, Deadline: r.Deadline.Milliseconds()}
	h.setStamp(r.Received)
	data, err := h.encode(r.Payload)
	if err != nil {
		return err
	}
	if err := l.room(int64(len(data)), r.Received.Wall); err != nil {
		return err
	}
	l.order++
	e := &entry{id: r.ID, hash: r.Hash, order: h.Order, state: Accepted, received: r.Received, deadline: r.Deadline, pending: true}
	l.entries[r.ID] = e
	if r.Hash != "" {
		l.hashes[r.Hash] = r.ID
	}
	l.journal.Append(kindRequest, data, func(p journal.Place, err error) {
		l.mu.Lock()
		if err != nil {
			l.forget(e)
		} else {
			e.request, e.pending = p, false
			l.live += e.live()
		}
		waiters := e.waiters
		e.waiters = nil
		l.mu.Unlock()
		done(err)
		for _, w := range waiters {
			w(err)
		}
	})
	return nil
}

// Await calls done when the request with an id is durable, at once if it is; with an error if it will not be, or is not there.
func (l *Ledger) Await(id string, done func(error)) {
	l.mu.Lock()
	e := l.entries[id]
	if e != nil && e.pending {
		e.waiters = append(e.waiters, done)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	if e == nil {
		done(fmt.Errorf("%s: %w", id, ErrUnknown))
		return
	}
	done(nil)
}

// room makes room for a request, or says that there is none. l.mu is held.
func (l *Ledger) room(bytes int64, now time.Time) error {
	limit := l.o.Limits
	if limit.Rate > 0 {
		if passed := now.Sub(l.filled).Seconds(); passed > 0 {
			l.tokens = min(float64(limit.Burst), l.tokens+passed*float64(limit.Rate))
		}
		l.filled = now
		if l.tokens < float64(bytes) {
			return fmt.Errorf("%w: more than %d bytes a second are written for new requests", ErrFull, limit.Rate)
		}
		l.tokens -= float64(bytes)
	}
	most := limit.Bytes / liveShare
	for l.live+bytes > most && len(l.done) > 0 {
		l.forgetOldest()
	}
	if l.live+bytes > most {
		return fmt.Errorf("%w: requests and answers that are not delivered take %d bytes of %d", ErrFull, l.live, most)
	}
	return nil
}

// liveShare is the part of the folder for what is wanted still: half of it may be dead before it is compacted, and a quarter is
// for the copies.
const liveShare = 4

// forget removes an entry from the book. l.mu is held.
func (l *Ledger) forget(e *entry) {
	delete(l.entries, e.id)
	if l.hashes[e.hash] == e.id {
		delete(l.hashes, e.hash)
	}
}

// forgetOldest removes the oldest remembered answer. l.mu is held.
func (l *Ledger) forgetOldest() {
	e := l.done[0]
	l.done[0] = nil
	l.done = l.done[1:]
	l.live -= e.live()
	l.forget(e)
}

// Try notes that a request is begun. With durable it waits until that is safe; without, a power cut may forget it, but not the end
// of the process.
func (l *Ledger) Try(id string, durable bool) error {
	l.mu.Lock()
	e := l.entries[id]
	if e == nil {
		l.mu.Unlock()
		return fmt.Errorf("%s: %w", id, ErrUnknown)
	}
	e.tries++
	h := head{ID: id, Tries: e.tries}
	l.mu.Unlock()
	return l.note(kindTry, h, durable)
}

// Effect notes that something outside is about to be done for a request, or, with ended, that it was done. The first is durable when
// it returns.
func (l *Ledger) Effect(id, name string, ended bool) error {
	l.mu.Lock()
	e := l.entries[id]
	if e == nil {
		l.mu.Unlock()
		return fmt.Errorf("%s: %w", id, ErrUnknown)
	}
	e.effect(name, ended)
	l.mu.Unlock()
	return l.note(kindEffect, head{ID: id, Effect: name, Done: ended}, !ended)
}

// note appends a record without a payload.
func (l *Ledger) note(kind byte, h head, durable bool) error {
	data, err := h.encode(nil)
	if err != nil {
		return err
	}
	if !durable {
		l.journal.Append(kind, data, nil)
		return nil
	}
	result := make(chan error, 1)
	l.journal.Append(kind, data, func(_ journal.Place, err error) { result <- err })
	return <-result
}

// Answer ends a request. done is called once: with nil when the answer is durable, which is before anybody may see it; else the
// request is as it was.
func (l *Ledger) Answer(a Answer, done func(error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[a.ID]
	if e == nil || e.state != Accepted || e.ending {
		return fmt.Errorf("%s: %w", a.ID, ErrUnknown)
	}
	h := head{ID: a.ID, Order: e.order, Hash: e.hash, Topic: a.Topic, Cor: a.Correlation}
	h.setStamp(l.o.Clock())
	data, err := h.encode(a.Payload)
	if err != nil {
		return err
	}
	e.ending = true
	l.journal.Append(kindAnswer, data, func(p journal.Place, err error) {
		l.mu.Lock()
		e.ending = false
		switch {
		case l.entries[e.id] != e:
			err = errors.Join(err, fmt.Errorf("%s: its acceptance failed: %w", e.id, ErrUnknown))
		case err == nil:
			l.live -= e.live()
			e.state, e.answer, e.topic, e.related, e.received, e.effects = Answered, p, a.Topic, a.Correlation, h.stamp(), nil
			l.live += e.live()
		}
		l.mu.Unlock()
		done(err)
	})
	return nil
}

// Sent notes that the broker has taken an answer. If that is lost in a crash, the answer is sent again as it is.
func (l *Ledger) Sent(id string) error {
	l.mu.Lock()
	e := l.entries[id]
	if e == nil || e.state != Answered {
		l.mu.Unlock()
		return fmt.Errorf("%s: %w", id, ErrUnknown)
	}
	e.state = Sent
	l.done = append(l.done, e)
	l.prune(l.o.Clock().Wall)
	l.tidy()
	l.mu.Unlock()
	return l.note(kindSent, head{ID: id}, false)
}
