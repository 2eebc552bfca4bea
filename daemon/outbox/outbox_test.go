package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"siskin/daemon/outbox"
)

// recorder publishes to a list and fails as told.
type recorder struct {
	mu   sync.Mutex
	sent []string
	fail func(attempt int) bool
	n    int
}

func (r *recorder) publish(_ context.Context, m outbox.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if r.fail != nil && r.fail(r.n) {
		return errors.New("link down")
	}
	r.sent = append(r.sent, m.Topic)
	return nil
}

func TestOrderIsKeptThroughFailures(t *testing.T) {
	r := &recorder{fail: func(n int) bool { return n == 3 || n == 4 }}
	o := outbox.New(outbox.Limits{Messages: 100, Bytes: 1 << 20}, r.publish)
	for i := range 20 {
		if err := o.Put(outbox.Message{Topic: fmt.Sprint(i), Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { o.Run(ctx); close(done) }()
	if !o.Flush(ctx) {
		t.Fatal("not flushed")
	}
	cancel()
	<-done
	for i, topic := range r.sent {
		if topic != fmt.Sprint(i) {
			t.Fatalf("sent %v, want 0 to 19 in order, each once", r.sent)
		}
	}
	if len(r.sent) != 20 {
		t.Fatalf("%d sent, want 20", len(r.sent))
	}
}

func TestLimits(t *testing.T) {
	o := outbox.New(outbox.Limits{Messages: 2, Bytes: 10}, (&recorder{}).publish)
	if err := o.Put(outbox.Message{Topic: "a", Payload: make([]byte, 10)}); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("11 of 10 bytes: error %v, want ErrFull", err)
	}
	for range 2 {
		if err := o.Put(outbox.Message{Topic: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Put(outbox.Message{Topic: "a"}); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("third of 2 messages: error %v, want ErrFull", err)
	}
	if o.Len() != 2 {
		t.Errorf("%d messages, want 2", o.Len())
	}
}

func TestFlushEndsWithItsContext(t *testing.T) {
	o := outbox.New(outbox.Limits{Messages: 2, Bytes: 10}, (&recorder{}).publish)
	if err := o.Put(outbox.Message{Topic: "a"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if o.Flush(ctx) {
		t.Error("flushed although nothing runs")
	}
}
