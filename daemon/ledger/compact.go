package ledger

import (
	"fmt"
	"time"

	"siskin/daemon/journal"
)

// prune forgets what is older than the window. l.mu is held.
func (l *Ledger) prune(now time.Time) {
	for len(l.done) > 0 && (len(l.done) > l.o.Limits.Window || now.Sub(l.done[0].received.Wall) > l.o.Limits.Age) {
		l.forgetOldest()
	}
}

// compactShare: half of the folder, or four times what is wanted, may be there before it is compacted, so that a byte is copied a
// third of a time at most.
const (
	compactShare    = 2
	compactTimes    = 4
	compactSegments = 8
)

// tidy begins to compact if that is worth it. l.mu is held.
func (l *Ledger) tidy() {
	bytes, segments := l.journal.Bytes()
	most := max(l.o.SegmentBytes, min(compactTimes*l.live, l.o.Limits.Bytes/compactShare))
	if l.compact || bytes <= most && segments < compactSegments {
		return
	}
	l.compact = true
	l.work.Go(func() {
		if err := l.Compact(); err != nil {
			l.o.Log.Error("journal: compacting failed, and is tried again later", "err", err)
		}
		l.mu.Lock()
		l.compact = false
		l.mu.Unlock()
	})
}

// Compact copies what is wanted still into new segments and removes the old ones.
func (l *Ledger) Compact() error {
	mark, err := l.journal.Mark()
	if err != nil {
		return err
	}
	l.mu.Lock()
	ids := make([]string, 0, len(l.entries))
	for id := range l.entries {
		ids = append(ids, id)
	}
	l.mu.Unlock()
	for _, id := range ids {
		if err := l.copy(id, mark); err != nil {
			return err
		}
	}
	return l.journal.Release(mark)
}

// copy appends what there is of a request before a mark anew. A copy of a request never comes behind its answer: if a crash took the
// answer away before the copy, the request would be worked on once more.
func (l *Ledger) copy(id string, mark uint64) error {
	for {
		l.mu.Lock()
		e := l.entries[id]
		if e == nil || e.pending || !e.place().Before(mark) {
			l.mu.Unlock()
			return nil
		}
		place := e.place()
		l.mu.Unlock()
		payload, err := l.read(place)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		l.mu.Lock()
		if e.ending || e.place() != place || l.entries[id] != e {
			l.mu.Unlock()
			time.Sleep(time.Millisecond) // the answer is about to be durable, or to fail
			continue
		}
		result, err := l.appendCopy(e, payload)
		l.mu.Unlock()
		if err != nil {
			return err
		}
		return <-result
	}
}

// place is the record that an entry is kept by.
func (e *entry) place() journal.Place {
	if e.state == Accepted {
		return e.request
	}
	return e.answer
}

// appendCopy appends an entry as it is now, with its payload. l.mu is held.
func (l *Ledger) appendCopy(e *entry, payload []byte) (<-chan error, error) {
	kind, to := byte(kindRequest), &e.request
	h := head{ID: e.id, Order: e.order, Hash: e.hash, Tries: e.tries, Deadline: e.deadline.Milliseconds()}
	if e.state > Accepted {
		kind, to = kindAnswer, &e.answer
		h = head{ID: e.id, Order: e.order, Hash: e.hash, Topic: e.topic, Cor: e.related, Sent: e.state == Sent}
	}
	h.setStamp(e.received)
	for name, ended := range e.effects {
		effect := head{ID: e.id, Effect: name, Done: ended}
		data, err := effect.encode(nil)
		if err != nil {
			return nil, err
		}
		l.journal.Append(kindEffect, data, nil) // durable before what follows
	}
	data, err := h.encode(payload)
	if err != nil {
		return nil, err
	}
	result := make(chan error, 1)
	l.journal.Append(kind, data, func(p journal.Place, err error) {
		if err == nil {
			l.mu.Lock()
			l.live -= e.live()
			*to = p
			l.live += e.live()
			if l.entries[e.id] != e {
				l.live -= e.live() // it was forgotten meanwhile
			}
			l.mu.Unlock()
		}
		result <- err
	})
	return result, nil
}
