// Package queue holds the accepted requests until somebody takes them: higher priority first, equal ones in the order of
// their arrival. It is bounded by count and by bytes, and it knows deadlines.
//
// Every request that Put accepted leaves in exactly one way: Take or TryTake hands it out, the function Options.Expired
// gets it, Cancel removes it, or Close gives it back. The id of a request that was handed out stays reserved until Done, and
// Return lets one wait again that was not begun.
//
// The queue is in memory: what waits is lost with the process.
package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"siskin/mqtt/message"
)

// Errors of Put. Each comes with a *message.Error in its chain, so message.Refusal makes the right answer of it.
var (
	// ErrFull: the queue holds as many requests or bytes as it may.
	ErrFull = errors.New("queue is full")
	// ErrDuplicate: a request with this id waits or was handed out and is not done.
	ErrDuplicate = errors.New("id is in use")
	// ErrExpired: the deadline has passed already.
	ErrExpired = errors.New("deadline has passed")
	// ErrClosed: Close was called. Take returns it, too.
	ErrClosed = errors.New("queue is closed")
)

// ErrNoID means that Put was given a request without an id; the caller forgot message.Request.EnsureID.
var ErrNoID = errors.New("request has no id")

// overheadBytes is what a waiting request counts on top of its texts: the structures that hold it, roughly.
const overheadBytes = 512

// Limits bounds what waits. Requests that were handed out do not count.
type Limits struct {
	MaxRequests int   // at least 1
	MaxBytes    int64 // texts of all requests, plus 512 for each; at least 1
}

func (l Limits) validate() error {
	if l.MaxRequests < 1 || l.MaxBytes < 1 {
		return fmt.Errorf("queue limits: %d requests, %d bytes: both must be at least 1", l.MaxRequests, l.MaxBytes)
	}
	return nil
}

// Options is what a queue is made of. All of it is required.
type Options struct {
	Limits Limits
	// Now is the clock that deadlines are measured with.
	Now func() time.Time
	// Expired gets every request whose deadline passes while it waits. Run calls it, one request at a time; it may use the
	// queue.
	Expired func(message.Request)
}

// Place is where a request is.
type Place int

// The places.
const (
	Nowhere Place = iota // never seen, or done
	Waiting              // in the queue
	Running              // handed out, not done
)

// Queue is a bounded priority queue of requests. All methods may be called from any goroutine.
type Queue struct {
	now     func() time.Time
	expired func(message.Request)

	mu      sync.Mutex
	limits  Limits
	byOrder heapOf           // what waits, next one on top
	byTime  heapOf           // those of it with a deadline, soonest on top
	ids     map[string]*item // waiting; nil for running
	overdue []message.Request
	bytes   int64
	seq     int64 // of the next request
	front   int64 // of the last one that came back; those are below all others
	closed  bool

	ready chan struct{} // capacity 1: something may wait
	alarm chan struct{} // capacity 1: the next deadline may be another one, or overdue is not empty
	done  chan struct{} // closed by Close
}

// item is one waiting request.
type item struct {
	request  message.Request
	seq      int64
	bytes    int64
	deadline time.Time // zero: none
	order    int       // index in byOrder
	time     int       // index in byTime
}

// New makes an empty queue. Deadlines of waiting requests are kept only while Run runs.
func New(o Options) (*Queue, error) {
	if err := o.Limits.validate(); err != nil {
		return nil, err
	}
	return &Queue{
		now:     o.Now,
		expired: o.Expired,
		limits:  o.Limits,
		byOrder: heapOf{before: sooner, index: func(i *item) *int { return &i.order }},
		byTime:  heapOf{before: earlier, index: func(i *item) *int { return &i.time }},
		ids:     make(map[string]*item),
		ready:   make(chan struct{}, 1),
		alarm:   make(chan struct{}, 1),
		done:    make(chan struct{}),
	}, nil
}

// sooner orders by priority, then by arrival.
func sooner(a, b *item) bool {
	if a.request.Priority != b.request.Priority {
		return a.request.Priority > b.request.Priority
	}
	return a.seq < b.seq
}

func earlier(a, b *item) bool { return a.deadline.Before(b.deadline) }

// Put accepts a request and returns how many wait now, this one included. Without a Received time, the present counts.
// The error is one of the sentinels above.
func (q *Queue) Put(r message.Request) (depth int, err error) {
	if r.ID == "" {
		return 0, ErrNoID
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	if r.Received.IsZero() {
		r.Received = now
	}
	i := &item{request: r, bytes: bytesOf(r)}
	if err := q.refuse(i, now); err != nil {
		return 0, err
	}
	i.seq = q.seq
	q.seq++
	q.add(i)
	return len(q.byOrder.items), nil
}

// add lets an item wait.
func (q *Queue) add(i *item) {
	r := &i.request
	q.ids[r.ID] = i
	q.bytes += i.bytes
	q.byOrder.push(i)
	if r.Deadline > 0 {
		i.deadline = r.Received.Add(r.Deadline)
		q.byTime.push(i)
		if q.byTime.items[0] == i {
			signal(q.alarm)
		}
	}
	signal(q.ready)
}

// Return takes requests back that were handed out and not begun, whatever the limits: they wait before all others of their priority, in
// the order given. The error is ErrClosed after Close; they are as good as handed out then.
func (q *Queue) Return(requests []message.Request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	for _, r := range slices.Backward(requests) {
		q.front--
		q.add(&item{request: r, bytes: bytesOf(r), seq: q.front})
	}
	return nil
}

// refuse returns why a request cannot be accepted, or nil.
func (q *Queue) refuse(i *item, now time.Time) error {
	r := i.request
	if q.closed {
		return refusal(ErrClosed, message.CodeShuttingDown, r.ID, "The daemon is stopping; ask again when it is back.")
	}
	if _, used := q.ids[r.ID]; used {
		return refusal(ErrDuplicate, message.CodeDuplicate, r.ID, "A request with this id is being worked on.")
	}
	if r.Expired(now) {
		return refusal(ErrExpired, message.CodeExpired, r.ID, "The deadline of the request passed before it arrived.")
	}
	if n := len(q.byOrder.items); n >= q.limits.MaxRequests || q.bytes+i.bytes > q.limits.MaxBytes {
		return refusal(ErrFull, message.CodeOverloaded, r.ID,
			fmt.Sprintf("Too much is waiting already (%d requests, %d bytes); ask again later.", n, q.bytes))
	}
	return nil
}

func refusal(cause error, code message.Code, id, text string) error {
	return fmt.Errorf("%w: %w", cause, &message.Error{Code: code, ID: id, Text: text})
}

// Take waits for a request and hands out the next one. The error is that of ctx, or ErrClosed.
func (q *Queue) Take(ctx context.Context) (message.Request, error) {
	for {
		if r, ok := q.TryTake(); ok {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return message.Request{}, ctx.Err()
		case <-q.done:
			return message.Request{}, ErrClosed
		case <-q.ready:
		}
	}
}

// TryTake hands out the next request; false if none waits. It never hands out one whose deadline has passed.
func (q *Queue) TryTake() (message.Request, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(q.now())
	if len(q.byOrder.items) == 0 {
		return message.Request{}, false
	}
	i := q.byOrder.items[0]
	q.drop(i)
	q.ids[i.request.ID] = nil
	if len(q.byOrder.items) > 0 {
		signal(q.ready) // another Take may be asleep: one signal can stand for several Puts
	}
	return i.request, true
}

// Done frees the id of a request that was handed out. It does nothing for other ids.
func (q *Queue) Done(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i, ok := q.ids[id]; ok && i == nil {
		delete(q.ids, id)
	}
}

// Cancel removes the request with this id if it waits, and returns it. Otherwise it tells whether it is running; to stop
// that is the business of whoever took it.
func (q *Queue) Cancel(id string) (message.Request, Place) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, ok := q.ids[id]
	if !ok {
		return message.Request{}, Nowhere
	}
	if i == nil {
		return message.Request{}, Running
	}
	q.drop(i)
	delete(q.ids, id)
	return i.request, Waiting
}

// IDs returns the ids of all requests that wait or were handed out and are not done.
func (q *Queue) IDs() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Sorted(maps.Keys(q.ids))
}

// Depth returns how many requests wait.
func (q *Queue) Depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.byOrder.items)
}

// Bytes returns what the waiting requests count against Limits.MaxBytes.
func (q *Queue) Bytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// SetLimits replaces the limits. What waits stays, even if it is more than they allow.
func (q *Queue) SetLimits(l Limits) error {
	if err := l.validate(); err != nil {
		return err
	}
	q.mu.Lock()
	q.limits = l
	q.mu.Unlock()
	return nil
}

// Run calls Options.Expired for requests at their deadlines, until ctx ends or the queue is closed. It returns nil.
func (q *Queue) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		gone, wait := q.takeOverdue()
		for _, r := range gone {
			q.expired(r)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-q.done:
			return nil
		case <-q.alarm:
		case <-timer.C:
		}
	}
}

// idleWait is how long Run sleeps when nothing has a deadline; the alarm wakes it earlier.
const idleWait = time.Hour

// takeOverdue returns the requests to report, and the time until there may be more.
func (q *Queue) takeOverdue() (gone []message.Request, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.expire(now)
	gone, q.overdue = q.overdue, nil
	if len(q.byTime.items) == 0 {
		return gone, idleWait
	}
	return gone, q.byTime.items[0].deadline.Sub(now)
}

// expire moves what is past its deadline to overdue, for Run to report.
func (q *Queue) expire(now time.Time) {
	for len(q.byTime.items) > 0 && !now.Before(q.byTime.items[0].deadline) {
		i := q.byTime.items[0]
		q.drop(i)
		delete(q.ids, i.request.ID)
		q.overdue = append(q.overdue, i.request)
		signal(q.alarm)
	}
}

// drop removes a waiting item from all but the ids.
func (q *Queue) drop(i *item) {
	q.byOrder.remove(i)
	if !i.deadline.IsZero() {
		q.byTime.remove(i)
	}
	q.bytes -= i.bytes
}

// Close refuses all further requests, ends Take and Run with what they are at, and gives back what waited, in order. A
// second call gives back nothing.
func (q *Queue) Close() []message.Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	q.closed = true
	close(q.done)
	left := q.overdue
	q.overdue = nil
	for len(q.byOrder.items) > 0 {
		i := q.byOrder.items[0]
		q.drop(i)
		delete(q.ids, i.request.ID)
		left = append(left, i.request)
	}
	return left
}

// bytesOf is what a request counts against MaxBytes.
func bytesOf(r message.Request) int64 {
	n := overheadBytes + len(r.ID) + len(r.Prompt) + len(r.Context) + len(r.Session) + len(r.Task) + len(r.ReplyTo) + len(r.Tools)
	for _, m := range r.Messages {
		n += len(m.Role) + len(m.Content) + len(m.ToolCalls) + len(m.ToolCallID) + len(m.Name)
	}
	for _, s := range r.Stop {
		n += len(s)
	}
	return int64(n)
}

// signal leaves a token in a channel of capacity 1 unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
