package daemon_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/daemon/journal"
	"siskin/daemon/ledger"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// stamps is a clock of a machine that was started anew.
func stamps(boot string, at time.Time, synced bool) func() ledger.Stamp {
	start := time.Now()
	return func() ledger.Stamp {
		up := time.Since(start)
		return ledger.Stamp{Boot: boot, Up: up, Wall: at.Add(up), Synced: synced}
	}
}

// write makes a book as a process that died would have left it.
func write(t *testing.T, folder string, fill func(l *ledger.Ledger)) {
	t.Helper()
	disk, err := journal.OpenDisk(filepath.Join(folder, device))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ledger.Options{
		Folder: disk, SegmentBytes: 1 << 16, Limits: ledger.Limits{Bytes: 1 << 20, Window: 100, Age: time.Hour},
		Clock: stamps("old", time.Now(), true), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	fill(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
}

func accept(t *testing.T, l *ledger.Ledger, id string, received ledger.Stamp, deadline time.Duration) {
	t.Helper()
	payload, err := message.Request{ID: id, Prompt: "hello " + id}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	if err := l.Accept(ledger.Request{ID: id, Payload: payload, Received: received, Deadline: deadline}, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// What waits when the daemon stops is answered by the next one, in its order; what was answered is answered with the same words
// when it is asked again, also by the next one.
func TestStopKeepsWhatWaits(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	c := tinyConfig(t, broker.Addr())
	c.Model.Parallel = 1
	c.Daemon.StopTimeout.Duration, c.Queue.MaxRequests = 0, 1000
	o := daemon.Options{JournalFolder: t.TempDir()}
	_, stop := startWith(t, c, o)
	u := newUser(t, broker.Addr())
	defer u.Cut()
	u.prompt(message.Request{ID: "first", Prompt: "hello"})
	first := u.answer("first")
	const n = 200
	sender := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "sender"})
	defer sender.Cut()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			sender.Publish("siskin/"+device+"/prompt", 1, false, fmt.Sprintf(`{"id":"w%d","prompt":"hello"}`, i))
		}
	}()
	u.until("some are accepted", func() bool { return len(u.accepted) >= 20 })
	stop()
	<-sent
	u.until("the daemon is offline", func() bool { return !u.online })
	before := len(u.answers)
	if before >= n+1 {
		t.Fatal("nothing waited")
	}
	startWith(t, c, o)
	u.until("all are answered", func() bool { return len(u.answers) == n+1 })
	for id, answers := range u.answers {
		if a := answers[0]; len(answers) != 1 || a.Status != message.OK {
			t.Errorf("%s: %d answers, %+v", id, len(answers), a)
		}
	}
	u.prompt(message.Request{ID: "first", Prompt: "hello"})
	u.until("the answer comes again", func() bool { return len(u.answers["first"]) == 2 })
	if again := u.answers["first"][1]; again.Text != first.Text || again.Usage != first.Usage {
		t.Errorf("asked again: %+v, before %+v", again, first)
	}
	t.Logf("%d of %d were answered before the stop", before, n+1)
}

// A prompt without an id that the broker sends again, since the acknowledgement was lost, is one prompt; the same text sent twice is
// two.
func TestTextPromptOnce(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	proxy := mqtttest.NewProxy(t, broker.Addr())
	c := tinyConfig(t, proxy.Addr())
	startWith(t, c, daemon.Options{JournalFolder: t.TempDir()})
	u := newUser(t, broker.Addr())
	defer u.Cut()
	cut := proxy.CutAt(mqtttest.Up, mqtttest.Puback)
	u.Publish("siskin/"+device+"/prompt/text", 1, false, "light on")
	<-cut
	u.until("it is answered", func() bool { return len(u.answers) == 1 })
	u.Publish("siskin/"+device+"/prompt/text", 1, false, "light on")
	u.until("it is answered", func() bool { return len(u.answers) >= 2 })
	u.prompt(message.Request{ID: "end", Prompt: "x"})
	u.answer("end")
	if len(u.answers) != 3 {
		t.Errorf("%d answers to two texts and a request", len(u.answers))
	}
}

// After a restart of the machine a prompt whose deadline has passed, or may have passed, never runs.
func TestExpiredOverRestart(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		synced bool // the clock after the restart
		later  bool // it is set a little later
		off    time.Duration
		want   message.Outcome
	}{
		"in time":            {true, false, time.Second, message.OK},
		"too late":           {true, false, time.Hour, message.Expired},
		"no clock":           {false, false, time.Second, message.Expired},
		"clock set, in time": {false, true, time.Second, message.OK},
		"clock set, late":    {false, true, time.Hour, message.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			broker := mqtttest.StartEmbedded(t)
			c, folder := tinyConfig(t, broker.Addr()), t.TempDir()
			write(t, folder, func(l *ledger.Ledger) {
				accept(t, l, "old", ledger.Stamp{Boot: "old", Up: time.Hour, Wall: now, Synced: true}, time.Minute)
			})
			var set atomic.Bool
			set.Store(test.synced)
			clock := stamps("new", now.Add(test.off), true)
			o := daemon.Options{JournalFolder: folder, ClockPatience: 3 * time.Second, Stamps: func() ledger.Stamp {
				s := clock()
				s.Synced = set.Load()
				return s
			}}
			u := &user{
				t: t, Client: mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "early"}), accepted: map[string]int{},
				deltas: map[string][]message.Delta{}, answers: map[string][]message.Answer{}, replies: map[string][]message.Answer{},
			}
			defer u.Cut()
			u.Subscribe("siskin/"+device+"/#", 1)
			startWith(t, c, o)
			if test.later {
				time.AfterFunc(500*time.Millisecond, func() { set.Store(true) })
			}
			if a := u.answer("old"); a.Status != test.want {
				t.Errorf("%+v, want the status %q", a, test.want)
			}
		})
	}
}

// A request during which the process died too often is given up, said on the topic for that, and answered.
func TestPoison(t *testing.T) {
	broker := mqtttest.StartEmbedded(t)
	c, folder := tinyConfig(t, broker.Addr()), t.TempDir()
	now := stamps("boot", time.Now(), true)
	write(t, folder, func(l *ledger.Ledger) {
		for _, id := range []string{"poison", "bystander"} {
			accept(t, l, id, now(), 0)
		}
		for range c.Journal.MaxTries + 1 {
			if err := l.Try("poison", true); err != nil {
				t.Fatal(err)
			}
		}
	})
	watcher := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "watcher"})
	defer watcher.Cut()
	watcher.Subscribe("siskin/"+device+"/#", 1)
	startWith(t, c, daemon.Options{JournalFolder: folder, Stamps: now})
	seen := map[string]string{}
	for len(seen) < 3 {
		m := watcher.Next()
		if kind := strings.TrimPrefix(m.Topic, "siskin/"+device+"/"); kind != "status" && !strings.HasPrefix(kind, "accepted") {
			seen[kind] = m.Payload
		}
	}
	if dead := seen["dead"]; !strings.Contains(dead, `"id":"poison"`) || !strings.Contains(dead, "hello poison") || !strings.Contains(dead, "stopped 4 times") {
		t.Errorf("dead: %s", dead)
	}
	if a := seen["answer/poison"]; !strings.Contains(a, `"status":"error"`) || !strings.Contains(a, "not tried again") {
		t.Errorf("answer: %s", a)
	}
	if a := seen["answer/bystander"]; !strings.Contains(a, `"status":"ok"`) {
		t.Errorf("bystander: %s", a)
	}
}

// A journal that is full refuses, says so, and serves again when there is room.
func TestJournalFull(t *testing.T) {
	broker := mqtttest.StartEmbedded(t)
	c := tinyConfig(t, broker.Addr())
	c.Journal.WriteRate = 1 << 10 // 16 KiB at once
	startWith(t, c, daemon.Options{JournalFolder: t.TempDir()})
	u := newUser(t, broker.Addr())
	defer u.Cut()
	u.prompt(message.Request{ID: "big", Prompt: strings.Repeat("long ", 4000)})
	if a := u.answer("big"); a.Status != message.Overloaded || !strings.Contains(a.Text, "1024 bytes a second") {
		t.Errorf("%+v", a)
	}
	u.prompt(message.Request{ID: "small", Prompt: "hello"})
	if a := u.answer("small"); a.Status != message.OK {
		t.Errorf("%+v", a)
	}
	if u.accepted["big"] != 0 || u.accepted["small"] != 1 {
		t.Errorf("accepted %v", u.accepted)
	}
}

// Two daemons of one name cannot have one journal.
func TestJournalLocked(t *testing.T) {
	broker := mqtttest.StartEmbedded(t)
	c, o := tinyConfig(t, broker.Addr()), daemon.Options{Version: "1", Log: slog.New(slog.DiscardHandler), JournalFolder: t.TempDir()}
	startWith(t, c, o)
	d, err := daemon.New(c, o)
	if err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), "journal.dir") {
		t.Errorf("%v %v", d, err)
	}
}
