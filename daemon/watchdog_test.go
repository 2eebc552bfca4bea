package daemon_test

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// stuck is a clock that stops a goroutine which asks for the time in a certain method, until it is freed.
type stuck struct {
	mu    sync.Mutex
	where string
	held  chan struct{}
}

func (s *stuck) now() time.Time {
	s.mu.Lock()
	where, held := s.where, s.held
	s.mu.Unlock()
	if where != "" && calledIn(where) {
		<-held
	}
	return time.Now()
}

// calledIn reports whether a method of this name is on the stack.
func calledIn(method string) bool {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, method) {
			return true
		}
		if !more {
			return false
		}
	}
}

func (s *stuck) hold(where string) {
	s.mu.Lock()
	s.where, s.held = where, make(chan struct{})
	s.mu.Unlock()
}

func (s *stuck) free() {
	s.mu.Lock()
	s.where = ""
	close(s.held)
	s.mu.Unlock()
}

// beats asks a new pulse a few times, as the watchdog does, and reports whether any said yes but the first, which only notes
// where things stand. An answer that does not come within a second is no.
func beats(d *daemon.Daemon) bool {
	const times = 4
	p, answers := d.Pulse(), make(chan bool, times)
	go func() {
		for range times {
			answers <- p.Beats()
			time.Sleep(20 * time.Millisecond)
		}
	}()
	limit := time.After(time.Second)
	for i := range times {
		select {
		case yes := <-answers:
			if yes && i > 0 {
				return true
			}
		case <-limit:
			return false
		}
	}
	return false
}

// A daemon that waits or works has a pulse; one that is stuck in a turn of its session, or on the lock of its queue, has none,
// and has it again when it goes on.
func TestPulse(t *testing.T) {
	broker := mqtttest.StartEmbedded(t)
	c := tinyConfig(t, broker.Addr())
	c.Model.Pack, c.Model.Tune, c.Generate.MaxTokens = "off", false, 400
	var clock stuck
	d, _ := startWith(t, c, daemon.Options{Clock: clock.now})
	u := newUser(t, broker.Addr())
	defer u.Cut()
	if !beats(d) {
		t.Error("idle: no pulse")
	}
	for id, where := range map[string]string{"passing": "session.(*Engine).pass", "queueing": "queue.(*Queue).Put"} {
		clock.hold(where)
		u.prompt(message.Request{ID: id, Prompt: "hello", Temperature: greedy()})
		time.Sleep(100 * time.Millisecond) // for the request to get there
		if beats(d) {
			t.Errorf("stuck in %s: it beats", where)
		}
		clock.free()
		u.answer(id)
		if !beats(d) {
			t.Errorf("after being stuck in %s: no pulse", where)
		}
	}
}
