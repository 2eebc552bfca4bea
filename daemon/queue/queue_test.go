package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"siskin/mqtt/message"
)

var roomy = Limits{MaxRequests: 1000, MaxBytes: 1 << 20}

func newQueue(t *testing.T, l Limits, expired func(message.Request)) *Queue {
	t.Helper()
	if expired == nil {
		expired = func(r message.Request) { t.Errorf("%s expired", r.ID) }
	}
	q, err := New(Options{Limits: l, Now: time.Now, Expired: expired})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func put(t *testing.T, q *Queue, r message.Request) {
	t.Helper()
	if _, err := q.Put(r); err != nil {
		t.Fatalf("put %s: %v", r.ID, err)
	}
}

func drain(q *Queue) (ids []string) {
	for {
		r, ok := q.TryTake()
		if !ok {
			return ids
		}
		ids = append(ids, r.ID)
	}
}

func TestOrder(t *testing.T) {
	q := newQueue(t, roomy, nil)
	for i, p := range []int{0, 5, 0, -9, 5, 9} {
		put(t, q, message.Request{ID: fmt.Sprint("r", i), Priority: p})
	}
	if got, want := drain(q), []string{"r5", "r1", "r4", "r0", "r2", "r3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What comes back waits before all others of its priority, in its order, with its deadline; cancelled it is gone; a closed queue takes
// nothing back.
func TestReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expired []string
		q := newQueue(t, Limits{MaxRequests: 4, MaxBytes: 1 << 20}, func(r message.Request) { expired = append(expired, r.ID) })
		for i, p := range []int{0, 0, 0, 5} {
			put(t, q, message.Request{ID: fmt.Sprint("r", i), Priority: p, Deadline: time.Duration(i) * time.Minute})
		}
		var taken []message.Request
		for range 3 {
			r, ok := q.TryTake()
			if !ok {
				t.Fatal("nothing waits")
			}
			taken = append(taken, r)
		}
		put(t, q, message.Request{ID: "late"})
		if err := q.Return(taken[1:]); err != nil { // r0 and r1
			t.Fatal(err)
		}
		if err := q.Return(taken[:1]); err != nil {
			t.Fatal(err)
		}
		if _, place := q.Cancel("r0"); place != Waiting {
			t.Errorf("r0 is %v", place)
		}
		if _, err := q.Put(message.Request{ID: "r1"}); !errors.Is(err, ErrDuplicate) {
			t.Errorf("a second r1: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			if err := q.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(90 * time.Second) // r1 had a minute
		synctest.Wait()
		if got, want := drain(q), []string{"r3", "r2", "late"}; !slices.Equal(got, want) || !slices.Equal(expired, []string{"r1"}) {
			t.Errorf("got %v, want %v; expired %v", got, want, expired)
		}
		q.Close()
		if err := q.Return(taken); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestRefusals(t *testing.T) {
	q := newQueue(t, Limits{MaxRequests: 2, MaxBytes: 2*overheadBytes + 10}, nil)
	check := func(r message.Request, want error, code message.Code) {
		t.Helper()
		_, err := q.Put(r)
		if !errors.Is(err, want) {
			t.Fatalf("%s: got %v, want %v", r.ID, err, want)
		}
		if a := message.Refusal("", err); a.Code != code || a.ID != r.ID || a.Text == "" {
			t.Errorf("%s: answer %+v, want code %s", r.ID, a, code)
		}
	}
	put(t, q, message.Request{ID: "a", Prompt: "1234"})
	check(message.Request{ID: "a"}, ErrDuplicate, message.CodeDuplicate)
	check(message.Request{ID: "b", Prompt: "12345"}, ErrFull, message.CodeOverloaded) // one byte too many
	check(message.Request{ID: "b", Received: time.Now().Add(-time.Minute), Deadline: time.Second}, ErrExpired, message.CodeExpired)
	put(t, q, message.Request{ID: "b", Prompt: "1234"})
	if q.Depth() != 2 || q.Bytes() != 2*overheadBytes+10 {
		t.Errorf("depth %d, bytes %d", q.Depth(), q.Bytes())
	}
	check(message.Request{ID: "c"}, ErrFull, message.CodeOverloaded)

	if r, ok := q.TryTake(); !ok || r.ID != "a" {
		t.Fatalf("took %q, %v", r.ID, ok)
	}
	check(message.Request{ID: "a"}, ErrDuplicate, message.CodeDuplicate) // running
	q.Done("a")
	q.Done("b") // waits: nothing happens
	check(message.Request{ID: "b"}, ErrDuplicate, message.CodeDuplicate)
	put(t, q, message.Request{ID: "a"})

	if _, err := q.Put(message.Request{}); !errors.Is(err, ErrNoID) {
		t.Errorf("no id: %v", err)
	}
	q.Close()
	check(message.Request{ID: "d"}, ErrClosed, message.CodeShuttingDown)
	if _, err := New(Options{Limits: Limits{MaxRequests: 1}}); err == nil {
		t.Error("no bytes allowed: no error")
	}
}

func TestCancel(t *testing.T) {
	q := newQueue(t, roomy, nil)
	put(t, q, message.Request{ID: "a", Deadline: time.Hour})
	put(t, q, message.Request{ID: "b"})
	if r, at := q.Cancel("a"); at != Waiting || r.ID != "a" {
		t.Errorf("a: %q, %v", r.ID, at)
	}
	if _, at := q.Cancel("a"); at != Nowhere {
		t.Errorf("a again: %v", at)
	}
	if got := drain(q); !slices.Equal(got, []string{"b"}) {
		t.Errorf("left: %v", got)
	}
	if _, at := q.Cancel("b"); at != Running {
		t.Errorf("b: %v", at)
	}
	q.Done("b")
	if _, at := q.Cancel("b"); at != Nowhere {
		t.Errorf("b after Done: %v", at)
	}
	if q.Bytes() != 0 || q.Depth() != 0 || len(q.byTime.items) != 0 || len(q.ids) != 0 {
		t.Errorf("not empty: %+v", q)
	}
}

func TestSetLimits(t *testing.T) {
	q := newQueue(t, roomy, nil)
	put(t, q, message.Request{ID: "a"})
	put(t, q, message.Request{ID: "b"})
	if err := q.SetLimits(Limits{MaxRequests: 1, MaxBytes: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Put(message.Request{ID: "c"}); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if got := drain(q); len(got) != 2 {
		t.Errorf("left %v", got)
	}
	if err := q.SetLimits(Limits{}); err == nil {
		t.Error("no limits: no error")
	}
}

// TestExpiry checks that requests expire to the moment, in a clock of the test's own.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var got []string
		q := newQueue(t, roomy, func(r message.Request) {
			got = append(got, fmt.Sprint(r.ID, " after ", time.Since(start)))
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- q.Run(ctx) }()
		put(t, q, message.Request{ID: "late", Deadline: 3 * time.Hour})
		put(t, q, message.Request{ID: "never"})
		time.Sleep(time.Second)
		put(t, q, message.Request{ID: "soon", Deadline: 2 * time.Second}) // earlier than what Run sleeps for
		put(t, q, message.Request{ID: "received before", Received: start, Deadline: 2 * time.Second})
		put(t, q, message.Request{ID: "taken", Deadline: time.Minute, Priority: 1})
		if r, ok := q.TryTake(); !ok || r.ID != "taken" {
			t.Errorf("took %q", r.ID)
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		want := []string{"received before after 2s", "soon after 3s", "late after 3h0m0s"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := drain(q); !slices.Equal(got, []string{"never"}) {
			t.Errorf("left %v", got)
		}
	})
}

// TestTakeSkipsExpired checks that nothing expired is handed out, even if Run does not come round to it.
func TestTakeSkipsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expired []string
		q := newQueue(t, roomy, func(r message.Request) { expired = append(expired, r.ID) })
		put(t, q, message.Request{ID: "a", Deadline: time.Second, Priority: 1})
		put(t, q, message.Request{ID: "b"})
		time.Sleep(time.Second)
		if r, ok := q.TryTake(); !ok || r.ID != "b" {
			t.Errorf("took %q", r.ID)
		}
		put(t, q, message.Request{ID: "a"}) // its id is free again
		go q.Run(t.Context())
		synctest.Wait()
		if !slices.Equal(expired, []string{"a"}) {
			t.Errorf("expired: %v", expired)
		}
		q.Close()
	})
}

func TestTakeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, roomy, nil)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var got []string
		for range 3 { // more takers than signals
			wg.Go(func() {
				r, err := q.Take(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				got = append(got, r.ID)
				mu.Unlock()
			})
		}
		synctest.Wait()
		for _, id := range []string{"a", "b", "c"} {
			put(t, q, message.Request{ID: id})
		}
		wg.Wait()
		slices.Sort(got)
		if !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("took %v", got)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := q.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the error of the context", err)
		}
		wg.Go(func() {
			if _, err := q.Take(t.Context()); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		})
		synctest.Wait()
		q.Close()
		wg.Wait()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, roomy, nil)
		put(t, q, message.Request{ID: "overdue", Deadline: time.Second})
		put(t, q, message.Request{ID: "low"})
		put(t, q, message.Request{ID: "high", Priority: 1, Deadline: time.Hour})
		time.Sleep(2 * time.Second)
		if r, ok := q.TryTake(); !ok || r.ID != "high" { // moves overdue aside
			t.Errorf("took %q", r.ID)
		}
		var got []string
		for _, r := range q.Close() {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, []string{"overdue", "low"}) {
			t.Errorf("got %v", got)
		}
		if again := q.Close(); again != nil {
			t.Errorf("second Close: %v", again)
		}
		if err := q.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestModel runs random calls against a plain slice that says what should happen.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		limits := Limits{MaxRequests: 20, MaxBytes: 20 * (overheadBytes + 40)}
		q := newQueue(t, limits, func(message.Request) {})
		var waiting []message.Request // in order of arrival
		running := map[string]bool{}
		used := func() (n int64) {
			for _, w := range waiting {
				n += bytesOf(w)
			}
			return n
		}
		for step := range 20000 {
			waiting = slices.DeleteFunc(waiting, func(w message.Request) bool { return w.Expired(time.Now()) })
			id := fmt.Sprint("id", r.IntN(60))
			at := slices.IndexFunc(waiting, func(w message.Request) bool { return w.ID == id })
			switch r.IntN(6) {
			case 0, 1, 2:
				q.expireNow()
				req := message.Request{ID: id, Priority: r.IntN(3), Prompt: strings.Repeat("x", r.IntN(80)), Received: time.Now()}
				if r.IntN(2) == 0 {
					req.Deadline = time.Duration(r.IntN(50)) * time.Second
				}
				var want error
				switch {
				case at >= 0 || running[id]:
					want = ErrDuplicate
				case len(waiting) >= limits.MaxRequests || used()+bytesOf(req) > limits.MaxBytes:
					want = ErrFull
				}
				if _, err := q.Put(req); !errors.Is(err, want) {
					t.Fatalf("step %d: put: %v, want %v", step, err, want)
				} else if err == nil {
					waiting = append(waiting, req)
				}
			case 3:
				best := -1
				for i, w := range waiting {
					if best < 0 || w.Priority > waiting[best].Priority {
						best = i
					}
				}
				got, ok := q.TryTake()
				if ok != (best >= 0) || ok && got.ID != waiting[best].ID {
					t.Fatalf("step %d: took %q, %v", step, got.ID, ok)
				}
				if ok {
					running[got.ID] = true
					waiting = slices.Delete(waiting, best, best+1)
				}
			case 4:
				q.expireNow()
				want := Nowhere
				if at >= 0 {
					want = Waiting
					waiting = slices.Delete(waiting, at, at+1)
				} else if running[id] {
					want = Running
				}
				if _, got := q.Cancel(id); got != want {
					t.Fatalf("step %d: cancel: %v, want %v", step, got, want)
				}
			case 5:
				q.Done(id)
				delete(running, id)
				time.Sleep(time.Duration(r.IntN(3)) * time.Second)
			}
			if step%100 == 0 {
				q.expireNow()
				waiting = slices.DeleteFunc(waiting, func(w message.Request) bool { return w.Expired(time.Now()) })
				if q.Depth() != len(waiting) || q.Bytes() != used() {
					t.Fatalf("step %d: depth %d, bytes %d; want %d, %d", step, q.Depth(), q.Bytes(), len(waiting), used())
				}
			}
		}
	})
}

// expireNow does what Run does at a deadline, at the test's own time.
func (q *Queue) expireNow() {
	gone, _ := q.takeOverdue()
	for _, r := range gone {
		q.expired(r)
	}
}

// TestEachOnce lets many goroutines put, take, cancel and let expire at once, and counts: whatever was accepted must come
// out exactly once.
func TestEachOnce(t *testing.T) {
	var mu sync.Mutex
	out := map[string]int{}
	count := func(id string) {
		mu.Lock()
		out[id]++
		mu.Unlock()
	}
	q := newQueue(t, Limits{MaxRequests: 50, MaxBytes: 1 << 20}, func(r message.Request) { count(r.ID) })
	ctx, cancel := context.WithCancel(t.Context())
	var putters, others sync.WaitGroup
	others.Go(func() { q.Run(ctx) })
	for range 3 {
		others.Go(func() {
			for {
				r, err := q.Take(ctx)
				if err != nil {
					return
				}
				count(r.ID)
				q.Done(r.ID)
			}
		})
	}
	var accepted sync.Map
	for g := range 4 {
		putters.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 2000 {
				id := fmt.Sprint(g, "-", i)
				req := message.Request{ID: id, Priority: r.IntN(3), Deadline: time.Duration(r.IntN(200)) * time.Microsecond}
				if _, err := q.Put(req); err == nil {
					accepted.Store(id, true)
				} else if !errors.Is(err, ErrFull) {
					t.Error(err)
				}
				if r.IntN(4) == 0 {
					if c, at := q.Cancel(id); at == Waiting {
						count(c.ID)
					}
				}
			}
		})
	}
	putters.Wait()
	for _, r := range q.Close() {
		count(r.ID)
	}
	cancel()
	others.Wait()
	n := 0
	accepted.Range(func(id, _ any) bool {
		n++
		if out[id.(string)] != 1 {
			t.Errorf("%v came out %d times", id, out[id.(string)])
		}
		return true
	})
	if n != len(out) || n == 0 {
		t.Errorf("%d accepted, %d came out", n, len(out))
	}
}
