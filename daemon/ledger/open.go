package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"siskin/daemon/journal"
)

// Open reads the book.
func Open(o Options) (*Ledger, error) {
	l := &Ledger{o: o, entries: map[string]*entry{}, hashes: map[string]string{}, tokens: float64(o.Limits.Burst), filled: o.Clock().Wall}
	j, err := journal.Open(journal.Options{
		Folder: o.Folder, SegmentBytes: o.SegmentBytes,
		Replay: func(r journal.Record) error {
			if err := l.replay(r); err != nil {
				o.Log.Error("journal: a record makes no sense and is left out", "number", r.Number, "err", err)
			}
			return nil
		},
		Damaged: func(d journal.Damage) {
			o.Log.Error("journal: damaged, what was there is lost", "segment", d.Segment, "offset", d.Offset, "bytes", d.Bytes)
		},
		Failed: func(err error) { o.Log.Warn("journal: storage failed, a new segment was begun", "err", err) },
	})
	if err != nil {
		return nil, err
	}
	l.journal = j
	for id, e := range l.entries {
		if e.state == Accepted && e.request == (journal.Place{}) || e.state > Accepted && e.answer == (journal.Place{}) {
			delete(l.entries, id) // the rest of it was damaged, or is gone
			continue
		}
		l.live += e.live()
		if e.state == Sent {
			l.done = append(l.done, e)
		}
	}
	slices.SortFunc(l.done, byOrder)
	return l, nil
}

func byOrder(a, b *entry) int { return cmp.Compare(a.order, b.order) }

// replay takes a record into the book. Records of one request may come in any order.
func (l *Ledger) replay(r journal.Record) error {
	h, _, err := decode(r.Data)
	if err != nil {
		return err
	}
	e := l.entries[h.ID]
	if e == nil {
		e = &entry{id: h.ID, state: Accepted}
		l.entries[h.ID] = e
	}
	e.order = max(e.order, h.Order)
	l.order = max(l.order, h.Order)
	if h.Hash != "" {
		e.hash = h.Hash
		l.hashes[h.Hash] = e.id
	}
	e.tries = max(e.tries, h.Tries)
	switch r.Kind {
	case kindRequest:
		e.request, e.deadline = r.Place, time.Duration(h.Deadline)*time.Millisecond
		if e.state == Accepted {
			e.received = h.stamp()
		}
	case kindTry:
	case kindAnswer:
		e.answer, e.topic, e.related = r.Place, h.Topic, h.Cor
		e.state, e.received = max(e.state, Answered), h.stamp()
		if h.Sent {
			e.state = Sent
		}
	case kindSent:
		e.state = Sent
	case kindEffect:
		e.effect(h.Effect, h.Done)
	default:
		return fmt.Errorf("kind %d is not known", r.Kind)
	}
	return nil
}

func (e *entry) effect(name string, ended bool) {
	if e.effects == nil {
		e.effects = map[string]bool{}
	}
	e.effects[name] = e.effects[name] || ended
}
