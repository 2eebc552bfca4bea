package mqtt

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"siskin/mqtt/topic"
)

// maxAttempts is on how many connections a message may be in flight when they
// are lost. From the second on it is alone in flight, so that one message at
// which a broker hangs up does not take others with it.
const maxAttempts = 6

// item is a message to publish.
type item struct {
	topic    string
	payload  []byte
	qos      byte
	retain   bool
	related  []byte    // correlation data; nil is none
	status   bool      // of the device: made anew on each connection, never sent again
	attempts int       // connections that were lost while it was in flight
	sent     time.Time // on this connection
	done     chan struct{}
	err      error // set before done is closed
}

func newItem(topic string, qos byte, retain bool, payload []byte) *item {
	return &item{topic: topic, qos: qos, retain: retain, payload: payload, done: make(chan struct{})}
}

// pending holds the messages that the broker has not taken, in order. It outlives
// connections.
type pending struct {
	maxDeltas int
	wake      chan struct{} // has room for one; filled when there may be something to send

	mu      sync.Mutex
	online  bool
	window  int // messages of QoS 1 that may be in flight on this connection
	ended   bool
	queue   []*item // to be sent
	flight  []*item // QoS 1, sent on this connection, without PUBACK
	deltas  int     // of queue, those of QoS 0
	dropped uint64
}

func newPending(cfg *Config) *pending {
	return &pending{maxDeltas: cfg.MaxDeltas, wake: make(chan struct{}, 1)}
}

func (p *pending) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// put appends a message, unless it is one of QoS 0 that cannot be sent soon.
func (p *pending) put(it *item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return ErrClosed
	}
	if it.qos == 0 {
		if !p.online || p.deltas >= p.maxDeltas {
			p.dropped++
			return ErrDropped
		}
		p.deltas++
	}
	p.queue = append(p.queue, it)
	p.poke()
	return nil
}

// announce puts the status of the device in front, which is all that may be
// there at the start of a connection, or behind what is waiting already.
func (p *pending) announce(it *item, front bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it.status = true
	if front {
		p.queue = slices.Insert(p.queue, 0, it)
	} else {
		p.queue = append(p.queue, it)
	}
	p.poke()
}

// next takes the message to send now, or nil.
func (p *pending) next(now time.Time) *item {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	it := p.queue[0]
	if it.qos == 1 {
		window := p.window
		if it.attempts > 1 || len(p.flight) > 0 && p.flight[0].attempts > 1 {
			window = 1
		}
		if len(p.flight) >= window {
			return nil
		}
		it.sent = now
		p.flight = append(p.flight, it)
	} else {
		p.deltas--
	}
	p.queue[0] = nil
	p.queue = p.queue[1:]
	return it
}

// refused is told that the broker does not take a message.
func (p *pending) refused(it *item, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if it.qos == 0 {
		p.dropped++
		return
	}
	p.finish(it, err)
	p.poke()
}

// acked is told of a PUBACK.
func (p *pending) acked(it *item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish(it, nil)
	p.poke()
}

// finish ends a message of QoS 1. p.mu is held.
func (p *pending) finish(it *item, err error) {
	select {
	case <-it.done:
		return
	default:
	}
	same := func(x *item) bool { return x == it }
	p.flight = slices.DeleteFunc(p.flight, same)
	p.queue = slices.DeleteFunc(p.queue, same)
	it.err = err
	close(it.done)
}

// withdraw forgets a message whose publisher has given up.
func (p *pending) withdraw(it *item, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish(it, err)
	p.poke()
}

// up is told of a new connection, and how many messages may be in flight on it.
func (p *pending) up(window int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.online, p.window = true, window
}

// down is told of the end of a connection: what was in flight is sent again on
// the next one, before everything else, and messages of QoS 0 are of no use any
// more.
func (p *pending) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.online = false
	again := p.flight
	p.flight = nil
	for _, it := range p.queue {
		if it.qos == 0 {
			p.dropped++
			continue
		}
		again = append(again, it)
	}
	p.queue, p.deltas = again, 0
	for _, it := range slices.Clone(again) {
		switch {
		case it.status:
			p.finish(it, ErrDropped)
		case it.sent.IsZero():
		default:
			p.lost(it)
		}
	}
}

// lost counts a connection that was lost while it was in flight. p.mu is held.
func (p *pending) lost(it *item) {
	it.sent = time.Time{}
	if it.attempts++; it.attempts >= maxAttempts {
		p.finish(it, fmt.Errorf("%w: %d connections were lost after sending it", ErrRejected, it.attempts))
	}
}

// oldest gives when the message that waits longest for its PUBACK was sent.
func (p *pending) oldest() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.flight) == 0 {
		return time.Time{}, false
	}
	return p.flight[0].sent, true
}

// empty reports whether there is nothing to send or to wait for.
func (p *pending) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) == 0 && len(p.flight) == 0
}

// close lets nothing more in.
func (p *pending) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

// end fails what is left.
func (p *pending) end() {
	p.close()
	p.down()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range slices.Clone(p.queue) {
		p.finish(it, ErrClosed)
	}
}

// Publish is described at Client.
func (l *Link) Publish(ctx context.Context, name string, qos byte, retain bool, payload []byte) error {
	return l.Send(ctx, Outgoing{Topic: name, QoS: qos, Retain: retain, Payload: payload})
}

// Send is described at Client.
func (l *Link) Send(ctx context.Context, m Outgoing) error {
	if err := l.send(ctx, m); err != nil {
		return fmt.Errorf("publish to %q: %w", m.Topic, err)
	}
	return nil
}

func (l *Link) send(ctx context.Context, m Outgoing) error {
	if err := topic.CheckName(m.Topic); err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if len(m.Payload) > l.cfg.MaxOutbound {
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrMessage, len(m.Payload), l.cfg.MaxOutbound)
	}
	if len(m.Correlation) > MaxCorrelation {
		return fmt.Errorf("%w: its correlation data has %d bytes, at most %d are allowed", ErrMessage, len(m.Correlation), MaxCorrelation)
	}
	it := newItem(m.Topic, m.QoS, m.Retain, m.Payload)
	it.related = m.Correlation
	switch m.QoS {
	case 0:
		return l.pending.put(it)
	case 1:
	default:
		return fmt.Errorf("%w: QoS %d, must be 0 or 1", ErrMessage, m.QoS)
	}
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ended:
		return ErrClosed
	}
	if err := l.pending.put(it); err != nil {
		return err
	}
	select {
	case <-it.done:
	case <-ctx.Done():
		l.pending.withdraw(it, ctx.Err())
	}
	return it.err
}

// Dropped counts the messages of QoS 0 that were not sent.
func (l *Link) Dropped() uint64 {
	l.pending.mu.Lock()
	defer l.pending.mu.Unlock()
	return l.pending.dropped
}
