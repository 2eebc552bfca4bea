package daemon_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/daemon/cores"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// logText collects log lines.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// open makes a daemon and closes it again; it returns what it logged.
func open(t *testing.T, c config.Config, o daemon.Options) string {
	t.Helper()
	var l logText
	o.Log = slog.New(slog.NewTextHandler(&l, nil))
	d, err := daemon.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return l.text.String()
}

// ticks is a clock that moves on by a millisecond whenever somebody looks: every pass takes as long, however busy the
// machine is.
func ticks() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}
}

func TestThreadsAreMeasuredOnce(t *testing.T) {
	c := tinyConfig(t, "127.0.0.1:1")
	o := daemon.Options{Version: "1", Log: slog.New(slog.DiscardHandler), StateFolder: filepath.Join(t.TempDir(), "state"), Clock: ticks()}
	from := func() string {
		t.Helper()
		plan, err := daemon.Check(c, o)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Workers != 2 || min(plan.DecodeThreads, plan.PrefillThreads) < 1 || max(plan.DecodeThreads, plan.PrefillThreads) > 2 {
			t.Errorf("%+v", plan)
		}
		return plan.ThreadsFrom
	}
	if got := from(); got != "default" {
		t.Errorf("before the first start: %q", got)
	}
	if _, err := os.Stat(o.StateFolder); err == nil {
		t.Error("the check has measured")
	}
	measures := func() bool { return strings.Contains(open(t, c, o), "threads measured") }
	if !measures() {
		t.Error("the first start measures nothing")
	}
	if got := from(); got != "measured" {
		t.Errorf("after the first start: %q", got)
	}
	if measures() {
		t.Error("the second start measures again")
	}
	o.Version = "2"
	if !measures() {
		t.Error("another version does not measure")
	}
	if err := os.WriteFile(filepath.Join(o.StateFolder, "threads.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !measures() {
		t.Error("with a damaged file it does not measure")
	}
}

func TestThreadsWithoutMeasurement(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	big := cores.Machine{Fast: []int{0, 1, 2}}
	for name, f := range map[string]struct {
		set                      func(*config.Config, *daemon.Options)
		workers, decode, prefill int
		from                     string
	}{
		"off":        {func(c *config.Config, _ *daemon.Options) { c.Model.Tune = false }, 2, 2, 2, "default"},
		"no folder":  {func(_ *config.Config, o *daemon.Options) { o.StateFolder = "" }, 2, 2, 2, "default"},
		"one core":   {func(c *config.Config, _ *daemon.Options) { c.Model.Threads = 0 }, 1, 1, 1, "default"},
		"fast cores": {func(c *config.Config, o *daemon.Options) { c.Model.Threads, c.Model.Tune, o.Machine = 0, false, big }, 3, 3, 3, "default"},
		"configured": {func(c *config.Config, _ *daemon.Options) { c.Model.DecodeThreads, c.Model.PrefillThreads = 1, 4 }, 4, 1, 4, "configuration"},
		"one configured, off": {
			func(c *config.Config, _ *daemon.Options) { c.Model.DecodeThreads, c.Model.Tune = 1, false }, 2, 1, 2, "default",
		},
	} {
		c := tinyConfig(t, "127.0.0.1:1")
		o := daemon.Options{Version: "1", StateFolder: folder}
		f.set(&c, &o)
		if text := open(t, c, o); strings.Contains(text, "measured") {
			t.Errorf("%s: measured: %s", name, text)
		}
		o.Log = slog.New(slog.DiscardHandler)
		plan, err := daemon.Check(c, o)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Workers != f.workers || plan.DecodeThreads != f.decode || plan.PrefillThreads != f.prefill || plan.ThreadsFrom != f.from {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}

// A folder that cannot be written costs a warning.
func TestThreadsCannotBeKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := open(t, tinyConfig(t, "127.0.0.1:1"), daemon.Options{Version: "1", StateFolder: file, Clock: ticks()})
	if !strings.Contains(text, "the next start will measure again") {
		t.Error(text)
	}
}

// On a machine with slow cores the fast ones answer; that they cannot be had is no reason not to.
func TestAnswersFromPinnedThreads(t *testing.T) {
	b := mqtttest.StartEmbedded(t)
	for _, cpus := range [][]int{{0}, {99999}} {
		_, stop := startWith(t, tinyConfig(t, b.Addr()), daemon.Options{Machine: cores.Machine{Fast: cpus, Mixed: true}})
		u := newUser(t, b.Addr())
		u.prompt(message.Request{ID: "a", Prompt: "hello", Temperature: greedy()})
		if a := u.answer("a"); a.Status != message.OK {
			t.Errorf("CPUs %v: %+v", cpus, a)
		}
		u.Cut()
		stop()
	}
}
