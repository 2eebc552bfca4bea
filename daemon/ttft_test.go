package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/daemon/session"
	"siskin/model"
	"siskin/model/chat"
	"siskin/model/draft"
	"siskin/model/kernel"
	"siskin/model/sample"
	"siskin/model/tokenizer"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// channel is a source of requests.
type channel chan message.Request

func (c channel) Take(ctx context.Context) (message.Request, error) {
	select {
	case r := <-c:
		return r, nil
	case <-ctx.Done():
		return message.Request{}, ctx.Err()
	}
}

func (c channel) TryTake() (message.Request, bool) {
	select {
	case r := <-c:
		return r, true
	default:
		return message.Request{}, false
	}
}

// engineAlone runs the session by itself, as the daemon configures it; the channels tell of first deltas and of answers.
func engineAlone(t *testing.T, path string, threads int) (requests channel, first, whole <-chan string) {
	t.Helper()
	m, err := model.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	set := kernel.All()[0]
	pool := kernel.NewPool(threads)
	state, err := model.NewState(m, set, pool, model.Limits{Rows: 64, Logits: draft.MaxRows, Sequences: 4, Context: 2048})
	if err != nil {
		t.Fatal(err)
	}
	words, err := tokenizer.FromGGUF(m.File())
	if err != nil {
		t.Fatal(err)
	}
	source, _ := m.File().Str("tokenizer.chat_template")
	template, err := chat.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	requests, deltas, answers := make(channel, 1), make(chan string, 100), make(chan string, 100)
	e, err := session.New(session.Options{
		Model: m, State: state, Tokenizer: words, Template: template, ModelName: "alone", Source: requests,
		Defaults: session.Defaults{Sampling: sample.Defaults(), MaxTokens: 4, CapTokens: 400, SessionIdle: time.Hour},
		Now:      time.Now, NewSeed: func() uint64 { return 1 }, Log: slog.New(slog.DiscardHandler), Drafts: session.Adaptive,
		Answer: func(r message.Request, _ message.Answer) { answers <- r.ID },
		Delta: func(r message.Request, d message.Delta) {
			if d.Seq == 0 {
				deltas <- r.ID
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		pool.Close()
		_ = state.Close()
		_ = m.Close()
	})
	return requests, deltas, answers
}

// TestTimeToFirstToken measures what MQTT and the journal add to the time from a prompt to the first piece of its answer: the same
// prompts, in turn, to a session by itself and to a daemon behind a real broker.
func TestTimeToFirstToken(t *testing.T) {
	if raceSlowdown > 1 {
		t.Skip("measures time")
	}
	before := runtime.GOMAXPROCS(runtime.NumCPU() + 1) // as the program sets it
	defer runtime.GOMAXPROCS(before)
	const runs = 41
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	c := realConfig(t, broker.Addr())
	startWith(t, c, daemon.Options{JournalFolder: t.TempDir()})
	requests, deltas, answers := engineAlone(t, c.Model.Path, c.Model.Threads)
	watcher := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "watcher"})
	defer watcher.Cut()
	u := newUser(t, broker.Addr())
	defer u.Cut()
	watcher.Subscribe("siskin/"+device+"/delta/+", 0)
	ask := func(i int) message.Request {
		return message.Request{ID: fmt.Sprint("r", i), Prompt: fmt.Sprint("Tell me about number ", i), Stream: true, MaxTokens: 4, Temperature: greedy()}
	}
	var alone, behind []time.Duration
	for i := range runs {
		r := ask(i)
		begun := time.Now()
		r.Received = begun
		requests <- r
		<-deltas
		alone = append(alone, time.Since(begun))
		<-answers // its last tokens would hold up the other
		payload, err := ask(i).Encode()
		if err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		u.Publish("siskin/"+device+"/prompt", 1, false, string(payload))
		watcher.Next()
		behind = append(behind, time.Since(begun))
		u.answer(ask(i).ID)
		watcher.Drain(10 * time.Millisecond)
	}
	slices.Sort(alone)
	slices.Sort(behind)
	added := behind[runs/2] - alone[runs/2]
	t.Logf("time to the first piece, median of %d: %v in the process, %v over MQTT with the journal: %v more (aim: 2 ms)", runs, alone[runs/2], behind[runs/2], added)
	if added > 20*time.Millisecond { // beside other tests; the aim is for a quiet machine
		t.Errorf("MQTT adds %v", added)
	}
}
