package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Link is the Client that speaks to a broker. Make one with New.
type Link struct {
	cfg     Config
	brokers []endpoint
	current int    // index of the broker in use; Run's
	old     []bool // brokers that have said that they do not speak MQTT 5; Run's
	log     *slog.Logger
	pending *pending
	slots   chan struct{} // one for each Publish of QoS 1 under way

	handling  sync.Mutex // one message at a time, also over two connections
	over      bool       // no message is handled any more; guarded by handling
	connected atomic.Bool
	came      atomic.Uint64 // connections that came up
	ran       atomic.Bool
	stopping  chan struct{} // closed by Close
	stopOnce  sync.Once
	ended     chan struct{} // closed when Run has ended, or will never run
	endOnce   sync.Once
}

var _ Client = (*Link)(nil)

// New checks the configuration, all problems at once, and reads the files of
// TLS. It connects nowhere.
//
// The first call in a process points the package-level loggers of paho, which
// are all it has, at cfg.Logger. That is the one global this package touches.
func New(cfg Config) (*Link, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	brokers, err := cfg.endpoints(true)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	l := &Link{
		cfg: cfg, brokers: brokers, old: make([]bool, len(brokers)), log: cfg.Logger,
		pending:  newPending(&cfg),
		slots:    make(chan struct{}, cfg.MaxWaiting),
		stopping: make(chan struct{}), ended: make(chan struct{}),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	redirectLog(l.log)
	return l, nil
}

// broker is the one in use.
func (l *Link) broker() *endpoint { return &l.brokers[l.current] }

// Connected is described at Client.
func (l *Link) Connected() bool { return l.connected.Load() }

// Connections counts the connections that came up.
func (l *Link) Connections() uint64 { return l.came.Load() }

// Announce publishes the status of the device anew, after a change. Without a
// connection there is nothing to do: each connection begins with it.
func (l *Link) Announce() {
	if l.cfg.StatusTopic != "" && l.Connected() {
		l.pending.announce(newItem(l.cfg.StatusTopic, 1, true, l.cfg.Online()), false)
	}
}

// Close is described at Client.
func (l *Link) Close() error {
	l.stopOnce.Do(func() { close(l.stopping) })
	if l.ran.CompareAndSwap(false, true) {
		l.end() // Run will never come
	}
	<-l.ended
	return nil
}

func (l *Link) end() {
	l.endOnce.Do(func() {
		l.pending.end()
		// A connection that is closed may still have a message under way to the handler.
		l.handling.Lock()
		l.over = true
		l.handling.Unlock()
		close(l.ended)
	})
}

// settled is how long a connection must have lasted for the pauses to start
// small again; otherwise a broker that hangs up at once would be called without
// pause.
const settled = 10 * time.Second

// Run is described at Client.
func (l *Link) Run(ctx context.Context) error {
	if !l.ran.CompareAndSwap(false, true) {
		return ErrRan
	}
	defer l.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-l.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	failures, attempts := 0, 0
	said := make([]string, len(l.brokers)) // the last failure of each
	for {
		start := time.Now()
		up, err := l.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if up && time.Since(start) >= settled {
			failures = 0
		}
		failures++
		if up {
			attempts = 0
		} else if attempts++; attempts == l.cfg.Attempts {
			return fmt.Errorf("mqtt: %s: %w", l.broker().name, err)
		}
		pause := backoff(failures, l.cfg.BackoffMin, l.cfg.BackoffMax, rand.Float64())
		lost, last := l.broker().name, &said[l.current]
		if !up {
			if l.current = (l.current + 1) % len(l.brokers); l.current != 0 {
				pause = min(pause, l.cfg.BackoffMin) // the next one is another
			}
		}
		level := slog.LevelWarn
		if text := fmt.Sprint(err); !up && text == *last {
			level = slog.LevelDebug // a wrong password is no news the second time
		} else {
			*last = text
		}
		l.log.Log(ctx, level, "mqtt: no connection to the broker", "broker", lost, "error", err, "next_attempt_in", pause.Round(time.Millisecond))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// errAckTimeout ends a connection on which a PUBACK stays out.
var errAckTimeout = errors.New("the broker does not acknowledge a message")

// session is one connection from dialling to its end. It reports whether it came
// up, and what ended it.
func (l *Link) session(ctx context.Context) (up bool, err error) {
	s, err := l.connect(ctx)
	if err != nil {
		return false, err
	}
	l.pending.up(s.window())
	if l.cfg.StatusTopic != "" {
		l.pending.announce(newItem(l.cfg.StatusTopic, 1, true, l.cfg.Online()), true)
	}
	l.connected.Store(true)
	l.came.Add(1)
	if l.cfg.Up != nil {
		l.cfg.Up()
	}
	l.log.Info("mqtt: connected", "broker", l.broker().name, "client", l.cfg.ClientID, "session_present", s.state().present)
	err = l.serve(ctx, s)
	if ctx.Err() != nil {
		l.goodbye(s)
	}
	l.connected.Store(false)
	s.abandon()
	l.pending.down()
	return true, err
}

// connect makes a connection in the newest version of the protocol that both sides
// speak.
func (l *Link) connect(ctx context.Context) (session, error) {
	if l.cfg.Protocol == Protocol5 || l.cfg.Protocol == ProtocolAuto && !l.old[l.current] {
		s := newSession5(l)
		err := s.connect(ctx)
		if err == nil {
			return s, nil
		}
		s.abandon()
		l.old[l.current] = errors.Is(err, errVersion) // one that only hangs up may have another reason
		if !l.old[l.current] && !errors.Is(err, errHungUp) || l.cfg.Protocol == Protocol5 || ctx.Err() != nil {
			return nil, err
		}
	}
	s := newSession3(l)
	if err := s.connect(ctx); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

// serve sends what is pending until the connection or ctx ends.
func (l *Link) serve(ctx context.Context, s session) error {
	check := time.NewTicker(max(l.cfg.AckTimeout/4, time.Millisecond))
	defer check.Stop()
	for {
		if err := l.flush(s); err != nil {
			return s.state().cause(err)
		}
		select {
		case <-l.pending.wake:
		case err := <-s.state().lost:
			return err
		case <-check.C:
			if sent, ok := l.pending.oldest(); ok && time.Since(sent) >= l.cfg.AckTimeout {
				return errAckTimeout
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// flush sends as much as may be sent now.
func (l *Link) flush(s session) error {
	for {
		it := l.pending.next(time.Now())
		if it == nil {
			return nil
		}
		if err := s.publish(it); err != nil {
			return err
		}
	}
}

// goodbye sends the last messages, says that the device is offline and
// disconnects, all within CloseTimeout.
func (l *Link) goodbye(s session) {
	l.pending.close()
	s.state().line.flush()
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.CloseTimeout)
	defer cancel()
	said := l.cfg.StatusTopic == ""
	for {
		if err := l.flush(s); err != nil {
			return
		}
		if l.pending.empty() {
			if said {
				s.disconnect()
				return
			}
			said = true
			l.pending.announce(newItem(l.cfg.StatusTopic, 1, true, l.cfg.Offline), false)
			continue
		}
		select {
		case <-l.pending.wake:
		case err := <-s.state().lost:
			l.log.Warn("mqtt: connection lost while saying goodbye", "broker", l.broker().name, "error", err)
			return
		case <-ctx.Done():
			l.log.Warn("mqtt: no time for a goodbye", "broker", l.broker().name)
			return
		}
	}
}
