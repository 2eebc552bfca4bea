package mqtt

import (
	"context"
	"errors"
	"sync"
	"time"
)

// session is one connection from dialling to its end, in one version of the
// protocol. Its methods are called by Link.Run's goroutine.
type session interface {
	// connect dials, introduces the client and subscribes, until ctx is done.
	connect(ctx context.Context) error
	// state is what both versions have.
	state() *base
	// window is how many messages of QoS 1 the broker takes without having
	// acknowledged the first.
	window() int
	// publish hands over a message, which is written soon. An error means that
	// the connection is of no use any more.
	publish(it *item) error
	// disconnect says goodbye, so that the broker does not publish the last will.
	disconnect()
	// abandon ends what is left of the connection. Without a goodbye before, the
	// broker publishes the last will.
	abandon()
}

// quiesce is how long the end of a connection may take.
const quiesce = 250 * time.Millisecond

// pingTimeout is the longest wait for a PINGRESP.
const pingTimeout = 10 * time.Second

// base is what the versions of the protocol have in common.
type base struct {
	link    *Link
	line    *ackLine
	lost    chan error // what ended the connection
	present bool       // the broker knew the session

	mu   sync.Mutex
	conn *conn // nil before it is dialled
}

func (s *base) init(l *Link) { s.link, s.line, s.lost = l, newAckLine(), make(chan error, 1) }

func (s *base) state() *base { return s }

func (s *base) open(ctx context.Context) (*conn, error) {
	c, err := s.link.broker().dial(ctx, s.link.cfg.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	guarded := newConn(c, &s.link.cfg)
	s.mu.Lock()
	s.conn = guarded
	s.mu.Unlock()
	if ctx.Err() != nil { // it came too late for closeConn
		return nil, errors.Join(ctx.Err(), c.Close())
	}
	return guarded, nil
}

// closeConn ends the network connection at once.
func (s *base) closeConn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close() // may be closed
	}
}

// failed reports whether the network connection has had an error.
func (s *base) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == nil || s.conn.failed.Load()
}

// cause gives the reason for which the connection was lost, which comes a little
// later than the failure to publish that it leads to.
func (s *base) cause(err error) error {
	select {
	case lost := <-s.lost:
		return lost
	case <-time.After(quiesce):
		return err
	}
}

// deliver passes a message to the handler; ack tells the broker.
func (s *base) deliver(m Message, ack func()) {
	cfg := &s.link.cfg
	if cfg.Handler == nil || m.Retained && !cfg.KeepRetained {
		if cfg.LateAck {
			s.line.add(ack)()
		} else {
			ack()
		}
		return
	}
	if cfg.LateAck {
		m.ack = s.line.add(ack)
	}
	s.link.handling.Lock()
	defer s.link.handling.Unlock()
	if s.link.over {
		return // without an acknowledgement the broker keeps it
	}
	cfg.Handler(m)
	if !cfg.LateAck {
		ack()
	}
}
