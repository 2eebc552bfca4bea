// Package outbox keeps what the daemon has to say until the broker has taken it: answers wait here through a lost
// connection and leave in order. It is bounded and lives in memory; it knows nothing of MQTT but a function that
// publishes.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Message is one publication.
type Message struct {
	Topic   string
	Payload []byte
	Retain  bool // the broker keeps it for those who come later
	// Correlation is what an asker wants back with it; nil: nothing.
	Correlation []byte
	// Taken is called once the broker has acknowledged it; nil: nobody wants to know.
	Taken func()
}

// size is what a message counts against the bound in bytes.
func (m *Message) size() int { return len(m.Topic) + len(m.Payload) + len(m.Correlation) }

// Publish hands a message to the broker. It returns nil once the broker has acknowledged it, and must return when ctx
// ends; any other error means that it may or may not have arrived, and the message is sent again.
type Publish func(ctx context.Context, m Message) error

// Limits bounds what waits.
type Limits struct {
	Messages int
	Bytes    int
}

// ErrFull is wrapped by Put when a message was dropped for lack of room.
var ErrFull = errors.New("outbox is full")

// retryPause is the pause after a failed publication: failures while connected are rare, and the connection has a
// back-off of its own.
const retryPause = 200 * time.Millisecond

// Outbox is the queue of messages. Put and Len may be called from any goroutine.
type Outbox struct {
	publish Publish
	limits  Limits

	mu      sync.Mutex
	waiting []Message
	bytes   int
	changed chan struct{} // capacity 1: a message came or went
}

// New makes an outbox; it starts nothing.
func New(limits Limits, publish Publish) *Outbox {
	return &Outbox{publish: publish, limits: limits, changed: make(chan struct{}, 1)}
}

// Put adds a message; it never blocks. Beyond the limits the message is not kept and the error says so.
func (o *Outbox) Put(m Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= o.limits.Messages || o.bytes+m.size() > o.limits.Bytes {
		return fmt.Errorf("%s: %d messages and %d bytes wait for the broker: %w", m.Topic, len(o.waiting), o.bytes, ErrFull)
	}
	o.waiting = append(o.waiting, m)
	o.bytes += m.size()
	o.signal()
	return nil
}

// Crowded reports whether half of the room is taken: what need not be said is better left out.
func (o *Outbox) Crowded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) > o.limits.Messages/2 || o.bytes > o.limits.Bytes/2
}

// Len returns the number of messages that the broker has not acknowledged.
func (o *Outbox) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)
}

func (o *Outbox) signal() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// first returns the oldest message.
func (o *Outbox) first() (Message, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return Message{}, false
	}
	return o.waiting[0], true
}

// Run publishes, one message after the other in the order of Put, until ctx ends; what is left then stays. A message
// leaves the outbox only when its publication has succeeded.
func (o *Outbox) Run(ctx context.Context) {
	for ctx.Err() == nil {
		m, ok := o.first()
		if !ok {
			select {
			case <-ctx.Done():
			case <-o.changed:
			}
			continue
		}
		if err := o.publish(ctx, m); err != nil {
			pause(ctx, retryPause)
			continue
		}
		o.remove()
		if m.Taken != nil {
			m.Taken()
		}
	}
}

// remove drops the oldest message, which has been published.
func (o *Outbox) remove() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= o.waiting[0].size()
	o.waiting[0] = Message{} // let go of the payload
	o.waiting = o.waiting[1:]
	if len(o.waiting) == 0 {
		o.waiting = nil // the array behind grows no further
	}
}

// Flush waits until everything is published or ctx ends; it reports whether the outbox is empty. Run must be running.
func (o *Outbox) Flush(ctx context.Context) bool {
	for o.Len() > 0 && ctx.Err() == nil {
		pause(ctx, 5*time.Millisecond)
	}
	return o.Len() == 0
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
