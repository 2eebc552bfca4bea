package mqtt

import "sync"

// ackLine acknowledges the messages of a connection in the order in which they came, whatever the order in which they became safe:
// MQTT 3.1.1, section 4.6, MQTT-4.6.0-2. It does so in a goroutine of its own, since sending waits for a slow connection and those who
// call Ack must not.
type ackLine struct {
	mu      sync.Mutex
	waiting []*lineItem
	wake    chan struct{} // capacity 1
	end     chan struct{} // closed with the connection
	once    sync.Once
	sending sync.Mutex // held while messages are acknowledged
}

type lineItem struct {
	ack   func()
	ready bool
}

func newAckLine() *ackLine { return &ackLine{wake: make(chan struct{}, 1), end: make(chan struct{})} }

// add puts a message at the end of the line and returns what makes it ready.
func (l *ackLine) add(ack func()) (ready func()) {
	it := &lineItem{ack: ack}
	l.mu.Lock()
	l.waiting = append(l.waiting, it)
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		it.ready = true
		first := len(l.waiting) > 0 && l.waiting[0].ready
		l.mu.Unlock()
		if first {
			select {
			case l.wake <- struct{}{}:
			default:
			}
		}
	}
}

// run acknowledges until close.
func (l *ackLine) run() {
	for {
		l.flush()
		select {
		case <-l.wake:
		case <-l.end:
			return
		}
	}
}

// flush acknowledges what may be acknowledged now.
func (l *ackLine) flush() {
	l.sending.Lock()
	defer l.sending.Unlock()
	for it := l.next(); it != nil; it = l.next() {
		it.ack()
	}
}

// next takes the first message of the line if it is ready.
func (l *ackLine) next() *lineItem {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || !l.waiting[0].ready {
		return nil
	}
	it := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return it
}

func (l *ackLine) close() { l.once.Do(func() { close(l.end) }) }
