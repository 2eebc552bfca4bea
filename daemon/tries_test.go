package daemon

import (
	"log/slog"
	"testing"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/ledger"
	"siskin/daemon/queue"
	"siskin/mqtt/message"
)

// A request that waits through restarts is not tried by that; taken, handed back and taken again it is tried once.
func TestTriesAreThoseOfRequestsThatRan(t *testing.T) {
	c, o := config.Default(), Options{Log: slog.New(slog.DiscardHandler), JournalFolder: t.TempDir()}
	process := func(use func(p *pipeline)) {
		t.Helper()
		b, err := openBook(&c, &o, "box")
		if err != nil {
			t.Fatal(err)
		}
		r, err := newRules(&c)
		if err != nil {
			t.Fatal(err)
		}
		p := &pipeline{book: b, log: o.Log, now: time.Now}
		p.rules.Store(r)
		if p.queue, err = queue.New(queue.Options{Limits: queue.Limits{MaxRequests: 10, MaxBytes: 1 << 20}, Now: time.Now, Expired: p.expire}); err != nil {
			t.Fatal(err)
		}
		if err := p.resume(); err != nil {
			t.Fatal(err)
		}
		use(p)
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
	}
	tries := func(p *pipeline) int {
		t.Helper()
		waiting, err := p.book.Waiting()
		if err != nil || len(waiting) != 1 {
			t.Fatalf("%v, %v", waiting, err)
		}
		return waiting[0].Tries
	}
	process(func(p *pipeline) {
		done := make(chan error, 1)
		in := ledger.Request{ID: "a", Payload: []byte(`{"id":"a","prompt":"hello"}`), Received: p.book.clock()}
		if err := p.book.Accept(in, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	for range c.Journal.MaxTries + 3 {
		process(func(p *pipeline) {
			if n := tries(p); n != 0 || p.queue.Depth() != 1 {
				t.Errorf("%d tries, %d wait", n, p.queue.Depth())
			}
		})
	}
	for i := range c.Journal.MaxTries {
		process(func(p *pipeline) {
			for range 3 {
				r, ok := source{p.queue, p.began}.TryTake()
				if !ok {
					t.Fatal("nothing waits")
				}
				if err := p.queue.Return([]message.Request{r}); err != nil {
					t.Fatal(err)
				}
			}
			if n := tries(p); n != i+1 {
				t.Errorf("%d tries after %d processes", n, i+1)
			}
		})
	}
}
