package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"siskin/daemon/journal"
	"siskin/daemon/journal/journaltest"
	"siskin/daemon/ledger"
)

// world is what is outside of the process, and stays when it dies: what clients were told, in order.
type world struct {
	sent      []string            // prompts that clients want answered, in their order
	acked     map[string]bool     // the broker does not send them again, unless the acknowledgement was lost
	accepted  []string            // in the order in which clients were told so
	refused   map[string]bool     // told so
	given     map[string]bool     // refused at some time
	published []string            // ids in the order of their first answers
	texts     map[string][]string // every answer that was published
	effects   map[string]int      // how often each was done
	unknown   map[string]bool     // effects that a later process found begun
	runs      int                 // of the model: no two give the same text
}

func newWorld(n int) *world {
	w := &world{acked: map[string]bool{}, refused: map[string]bool{}, given: map[string]bool{}, texts: map[string][]string{}, effects: map[string]int{}, unknown: map[string]bool{}}
	for i := range n {
		w.sent = append(w.sent, fmt.Sprintf("p%02d", i))
	}
	return w
}

// clock is a clock that goes on by a millisecond whenever it is asked.
func clock() func() ledger.Stamp {
	at := time.UnixMilli(1_750_000_000_000)
	return func() ledger.Stamp {
		at = at.Add(time.Millisecond)
		return ledger.Stamp{Boot: "b", Up: time.Duration(at.UnixNano()), Wall: at}
	}
}

func open(t testing.TB, f journal.Folder, bytes int64) (*ledger.Ledger, error) {
	t.Helper()
	return ledger.Open(ledger.Options{
		Folder: f, SegmentBytes: 4096, Limits: ledger.Limits{Bytes: bytes, Window: 6, Age: time.Hour}, Clock: clock(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// process lives until it dies or has nothing to do: it resumes what the book has, takes what clients send, works, delivers.
func (w *world) process(t *testing.T, f *journaltest.Folder, again *rand.Rand) {
	l, err := open(t, f, 64<<10)
	if err != nil {
		return // a daemon that does not start; the next one will
	}
	defer func() { _ = l.Close() }()
	for _, id := range l.Unsent() {
		w.deliver(l, f, id)
	}
	waiting, err := l.Waiting()
	if err != nil {
		return
	}
	for _, r := range waiting {
		for _, name := range r.Open {
			w.unknown[r.ID+name] = true
		}
		w.work(l, f, r.ID, len(r.Open)+len(r.Ended) > 0)
	}
	for _, id := range w.sent {
		lost := again.IntN(4) == 0 // an acknowledgement that the broker never got
		if f.Dead() || w.acked[id] && !lost || w.refused[id] {
			continue
		}
		w.receive(l, f, id)
	}
	if !f.Dead() {
		_ = l.Compact()
	}
}

// receive is what happens to a message of the broker.
func (w *world) receive(l *ledger.Ledger, f *journaltest.Folder, id string) {
	switch l.Find(id) {
	case ledger.Accepted:
		w.acked[id] = true
		return // it is worked on
	case ledger.Answered, ledger.Sent:
		w.acked[id] = true
		if a, err := l.Load(id); err == nil && !f.Dead() {
			w.publish(id, string(a.Payload))
		}
		return
	case ledger.Unknown:
	}
	if len(w.texts[id]) > 0 && w.acked[id] {
		return // older than the window: no client repeats so late
	}
	done := make(chan error, 1)
	err := l.Accept(ledger.Request{ID: id, Payload: []byte("ask " + id + strings.Repeat("?", 200)), Deadline: time.Minute}, func(err error) { done <- err })
	if err == nil {
		err = <-done
	}
	if f.Dead() {
		return // nobody was told anything
	}
	w.acked[id] = true
	if err != nil {
		w.refused[id], w.given[id] = true, true
		return
	}
	w.accepted = append(w.accepted, id)
	w.work(l, f, id, false)
}

// work answers a request, with an effect on the way.
func (w *world) work(l *ledger.Ledger, f *journaltest.Folder, id string, done bool) {
	if l.Try(id, false) != nil || f.Dead() {
		return
	}
	w.runs++
	text := fmt.Sprintf("%s in run %d", id, w.runs)
	if !done {
		if l.Effect(id, "lamp", false) == nil && !f.Dead() {
			w.effects[id]++
			if err := l.Effect(id, "lamp", true); err != nil {
				return
			}
		}
	}
	for range 3 { // the disk may be full for good, then the answer waits for another day
		done := make(chan error, 1)
		if err := l.Answer(ledger.Answer{ID: id, Topic: "answer/" + id, Payload: []byte(text)}, func(err error) { done <- err }); err != nil || f.Dead() {
			return
		}
		if <-done == nil {
			w.deliver(l, f, id)
			return
		}
	}
}

func (w *world) deliver(l *ledger.Ledger, f *journaltest.Folder, id string) {
	a, err := l.Load(id)
	for i := 0; i < 3 && err != nil; i++ { // an error of reading
		a, err = l.Load(id)
	}
	if err != nil || f.Dead() {
		return
	}
	w.publish(id, string(a.Payload))
	_ = l.Sent(id)
}

func (w *world) publish(id, text string) {
	if len(w.texts[id]) == 0 {
		w.published = append(w.published, id)
	}
	w.texts[id] = append(w.texts[id], text)
}

// check knows nothing of the book: it reads what the clients saw.
func (w *world) check(t *testing.T, name string) {
	t.Helper()
	for _, id := range w.accepted {
		if len(w.texts[id]) == 0 {
			t.Errorf("%s: %s was accepted and has no answer", name, id)
		}
	}
	for id, texts := range w.texts {
		for _, text := range texts {
			if text != texts[0] {
				t.Errorf("%s: %s was answered with %q and with %q", name, id, texts[0], text)
			}
		}
		if w.refused[id] {
			t.Errorf("%s: %s was refused and answered", name, id)
		}
	}
	for id, n := range w.effects {
		if n > 1 {
			t.Errorf("%s: the effect of %s was done %d times", name, id, n)
		}
	}
	if !slices.IsSorted(w.published) {
		t.Errorf("%s: answers out of order: %v", name, w.published)
	}
	for _, id := range w.sent {
		if len(w.texts[id]) == 0 && !w.refused[id] && !w.given[id] {
			t.Errorf("%s: nothing ever came of %s", name, id)
		}
	}
}

// Every operation on a file fails, or is the last thing that the process does, with every kind of loss; the next process dies as
// well, at another operation; the third one ends the work.
func TestEveryFault(t *testing.T) {
	const n = 14
	w, f := newWorld(n), journaltest.New(0, journaltest.None)
	w.process(t, f, rand.New(rand.NewPCG(1, 1)))
	w.check(t, "without a fault")
	if len(w.accepted) != n || len(w.refused) > 0 {
		t.Fatalf("accepted %v, refused %v", w.accepted, w.refused)
	}
	ops, runs, doubled, unsure := f.Ops(), 0, 0, 0
	for at := 1; at <= ops; at++ {
		for _, fault := range []journaltest.Fault{journaltest.FailOnce, journaltest.Full, journaltest.Broken, journaltest.Die} {
			for _, loss := range []journaltest.Loss{journaltest.Keep, journaltest.Lose, journaltest.Mixed} {
				name := fmt.Sprintf("operation %d, fault %d, loss %d", at, fault, loss)
				rng := rand.New(rand.NewPCG(uint64(at), uint64(fault)*8+uint64(loss)))
				w, f := newWorld(n), journaltest.New(at, fault)
				w.process(t, f, rng)
				f = f.After(loss, rng, 1+rng.IntN(ops), journaltest.Die)
				w.process(t, f, rng)
				f = f.After(loss, rng, 0, journaltest.None)
				w.process(t, f, rng)
				w.process(t, f.After(journaltest.Keep, rng, 0, journaltest.None), rng)
				if fault == journaltest.Broken {
					clear(w.refused) // see the comment of journal.Append: a disk that fails for good, and is back with what it had not confirmed
				}
				w.check(t, name)
				runs++
				for _, texts := range w.texts {
					doubled += len(texts) - 1
				}
				unsure += len(w.unknown)
			}
		}
	}
	t.Logf("%d operations, %d histories of four processes: %d answers were repeated as they were, %d effects are unknown", ops, runs, doubled, unsure)
}

// A process that is killed between any two operations leaves what the next one needs, also when that happens during compaction of
// a book that is in use.
func TestCompactWhileUsed(t *testing.T) {
	f := journaltest.New(0, journaltest.None)
	l, err := open(t, f, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	compacted := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				compacted <- n
				return
			default:
				if err := l.Compact(); err != nil {
					t.Error(err)
				}
				n++
			}
		}
	}()
	const n = 300
	for i := range n {
		id := fmt.Sprintf("p%03d", i)
		done := make(chan error, 2)
		if err := l.Accept(ledger.Request{ID: id, Payload: []byte("x")}, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 && i < n-9 {
			continue // stays accepted
		}
		if err := l.Answer(ledger.Answer{ID: id, Topic: "t", Payload: []byte(id)}, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i%3 == 1 {
			if err := l.Sent(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	times := <-compacted
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = open(t, f, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := l.Waiting()
	if err != nil || len(waiting) != 97 || !slices.IsSortedFunc(waiting, func(a, b ledger.Request) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("%d waiting, %v", len(waiting), err)
	}
	unsent := l.Unsent()
	if len(unsent) < 100 || !slices.IsSorted(unsent) {
		t.Errorf("%d unsent", len(unsent))
	}
	for _, id := range unsent {
		if a, err := l.Load(id); err != nil || string(a.Payload) != id {
			t.Errorf("%+v %v", a, err)
		}
	}
	t.Logf("compacted %d times", times)
}

func TestBounds(t *testing.T) {
	now := time.UnixMilli(1_750_000_000_000)
	o := ledger.Options{
		Folder: journaltest.New(0, journaltest.None), SegmentBytes: 4096,
		Limits: ledger.Limits{Bytes: 40_000, Window: 3, Age: time.Hour, Rate: 1000, Burst: 12_000},
		Clock:  func() ledger.Stamp { return ledger.Stamp{Wall: now} }, Log: slog.New(slog.DiscardHandler),
	}
	l, err := ledger.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	accept := func(id string, bytes int) error {
		done := make(chan error, 1)
		err := l.Accept(ledger.Request{ID: id, Hash: "h" + id, Payload: make([]byte, bytes), Received: o.Clock()}, func(err error) { done <- err })
		if err != nil {
			return err
		}
		return <-done
	}
	answer := func(id string) {
		done := make(chan error, 1)
		if err := errors.Join(l.Answer(ledger.Answer{ID: id, Topic: "t", Payload: []byte("x")}, func(err error) { done <- err }), <-done, l.Sent(id)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		id := fmt.Sprint(i)
		if err := accept(id, 100); err != nil {
			t.Fatal(err)
		}
		if err := accept(id, 100); !errors.Is(err, ledger.ErrKnown) {
			t.Errorf("again: %v", err)
		}
		if l.FindHash("h"+id) != id {
			t.Error("its hash is not found")
		}
		answer(id)
	}
	if l.Find("1") != ledger.Unknown || l.FindHash("h1") != "" || l.Find("2") != ledger.Sent {
		t.Error("the window is not three answers")
	}
	if err := accept("big", 20_000); !errors.Is(err, ledger.ErrFull) {
		t.Errorf("faster than the rate: %v", err)
	}
	now = now.Add(time.Minute)
	if err := accept("a", 9_000); err != nil {
		t.Error(err)
	}
	now = now.Add(time.Minute)
	if err := accept("b", 9_000); !errors.Is(err, ledger.ErrFull) {
		t.Errorf("more than a quarter of the folder: %v", err)
	}
	now = now.Add(2 * time.Hour)
	answer("a")
	if l.Find("4") != ledger.Unknown || l.Find("a") != ledger.Sent {
		t.Error("the window is not an hour")
	}
	if err := l.Answer(ledger.Answer{ID: "a"}, nil); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("answered twice: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Time that passed is known within one start, and over a start only from clocks that were set.
func TestSince(t *testing.T) {
	wall := time.UnixMilli(1_750_000_000_000)
	at := func(boot string, up, w time.Duration, synced bool) ledger.Stamp {
		return ledger.Stamp{Boot: boot, Up: up, Wall: wall.Add(w), Synced: synced}
	}
	for i, c := range []struct {
		then, now ledger.Stamp
		elapsed   time.Duration
		known     bool
	}{
		{at("a", time.Hour, 0, false), at("a", 2*time.Hour, -9*time.Hour, false), time.Hour, true},
		{at("a", time.Hour, 0, true), at("b", time.Minute, 3*time.Hour, true), 3 * time.Hour, true},
		{at("a", time.Hour, 0, true), at("b", time.Minute, 3*time.Hour, false), 0, false},
		{at("a", time.Hour, 0, false), at("b", time.Minute, 3*time.Hour, true), 0, false},
		{at("a", time.Hour, 0, true), at("b", time.Minute, -time.Hour, true), 0, false},
		{at("", time.Hour, 0, false), at("", 2*time.Hour, time.Hour+time.Second, false), time.Hour, true},
		{at("", time.Hour, 0, false), at("", 2*time.Hour, 5*time.Minute, false), 0, false},
		{at("", time.Hour, 0, false), at("", time.Minute, time.Minute, false), 0, false},
	} {
		elapsed, known := c.now.Since(c.then)
		if known != c.known || known && elapsed != c.elapsed {
			t.Errorf("case %d: %v %v, want %v %v", i, elapsed, known, c.elapsed, c.known)
		}
	}
}

// What an asker wants back comes with the answer after a restart and after compacting, and the book without it is as before.
func TestCorrelation(t *testing.T) {
	f := journaltest.New(0, journaltest.None)
	l, err := open(t, f, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for id, cor := range map[string][]byte{"with": {0, 1, '\n', 255}, "without": nil} {
		done := make(chan error, 2)
		if err := errors.Join(l.Accept(ledger.Request{ID: id, Payload: []byte("x")}, func(err error) { done <- err }), <-done,
			l.Answer(ledger.Answer{ID: id, Topic: "t", Payload: []byte("y"), Correlation: cor}, func(err error) { done <- err }), <-done); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		for id, cor := range map[string][]byte{"with": {0, 1, '\n', 255}, "without": nil} {
			if a, err := l.Load(id); err != nil || !bytes.Equal(a.Correlation, cor) || string(a.Payload) != "y" {
				t.Errorf("%s: %+v, %v", id, a, err)
			}
		}
		if err := errors.Join(l.Compact(), l.Close()); err != nil {
			t.Fatal(err)
		}
		if l, err = open(t, f, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
