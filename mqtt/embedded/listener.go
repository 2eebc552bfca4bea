package embedded

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
)

// Times that a client has.
const (
	helloTime = 10 * time.Second // from connecting to CONNECT
	byeTime   = time.Second      // to take the last packets when the broker closes
)

// listener accepts connections for the engine. Compared with the engine's own it
// bounds their number and the time until they say who they are, knows when the
// work on each has ended, and waits for all of them in Close.
type listener struct {
	tcp  net.Listener
	most int
	log  *slog.Logger
	// goodbye tells the clients that the broker ends.
	goodbye func()
	// open is closed when clients may come in; the address is taken before.
	open chan struct{}

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]*stages
	work   sync.WaitGroup
}

// stages of a connection, each a channel that is closed when it is reached.
type stages struct {
	greeted chan struct{} // CONNACK has been written
	ended   chan struct{} // all work has ended
	window  chan struct{} // full while the client has as many unacknowledged messages as it takes; see repair.go
}

// newListener has goodbye called in Close, before connections are cut.
func newListener(tcp net.Listener, most int, log *slog.Logger, goodbye func()) *listener {
	return &listener{
		tcp: tcp, most: most, log: log, goodbye: goodbye,
		open: make(chan struct{}), conns: make(map[net.Conn]*stages),
	}
}

// Init, ID, Protocol and Address are for the engine.

func (l *listener) Init(*slog.Logger) error { return nil }
func (l *listener) ID() string              { return "tcp" }
func (l *listener) Protocol() string        { return "tcp" }
func (l *listener) Address() string         { return l.tcp.Addr().String() }

// Serve accepts until Close. An error such as a full table of files passes, so
// it tries again a little later.
func (l *listener) Serve(establish listeners.EstablishFn) {
	<-l.open
	for {
		conn, err := l.tcp.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			l.log.Warn("embedded broker: accept", "error", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if !l.start(conn, establish) {
			l.log.Warn("embedded broker: connection refused", "remote", conn.RemoteAddr(), "limit", l.most)
			_ = conn.Close() // nothing was said on it
		}
	}
}

// start works on conn in a goroutine of its own, unless there are too many.
func (l *listener) start(conn net.Conn, establish listeners.EstablishFn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= l.most {
		return false
	}
	// The engine sets its own deadline once it has read CONNECT.
	if err := conn.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return false
	}
	at := &stages{greeted: make(chan struct{}), ended: make(chan struct{})}
	l.conns[conn] = at
	l.work.Go(func() {
		defer close(at.ended)
		err := establish(l.ID(), conn)
		l.log.Debug("embedded broker: connection ended", "remote", conn.RemoteAddr(), "error", err)
		_ = conn.Close() // mostly closed before
		l.mu.Lock()
		delete(l.conns, conn)
		l.mu.Unlock()
	})
	return true
}

// stages gives those of a connection, or nil if all work on it has ended.
func (l *listener) stages(conn net.Conn) *stages {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[conn]
}

// Close stops accepting, says goodbye to the clients, and waits for all work to
// end. A client that does not read cannot hold it up. The engine's own way to
// say goodbye can stop for ever, see repair.go.
func (l *listener) Close(listeners.CloseFn) {
	_ = l.tcp.Close() // fails only if closed before
	l.mu.Lock()
	l.closed = true
	for conn := range l.conns {
		_ = conn.SetDeadline(time.Now().Add(byeTime)) // a closed connection needs none
	}
	l.mu.Unlock()
	l.goodbye()
	l.mu.Lock()
	for conn := range l.conns {
		_ = conn.Close() // also those that never said who they are
	}
	l.mu.Unlock()
	l.work.Wait()
}
