package daemon_test

import (
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"siskin/daemon"
	"siskin/daemon/memory"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// strained is this system with a pressure of its own, which takes no trigger and is therefore read every two seconds, without
// control groups, and with refaults of its own.
type strained struct {
	fs.FS
	text     atomic.Pointer[string]
	thrashes atomic.Bool
	refaults atomic.Int64
}

func (s *strained) set(average string) {
	text := "some avg10=" + average + " avg60=0.00 avg300=0.00 total=0\n"
	s.text.Store(&text)
}

func (s *strained) Open(name string) (fs.File, error) {
	switch name {
	case "nowhere/pressure":
		return fstest.MapFS{name: {Data: []byte(*s.text.Load())}}.Open(name)
	case "proc/self/status": // what tests and the race detector take is no matter of the plan
		return fstest.MapFS{name: {Data: []byte("Name:\ttest\nRssAnon:\t    1000 kB\nRssFile:\t    2000 kB\n")}}.Open(name)
	case "proc/self/cgroup":
		return nil, fs.ErrNotExist
	case "proc/vmstat":
		if s.thrashes.Load() {
			s.refaults.Add(2000)
		}
		return fstest.MapFS{name: {Data: fmt.Appendf(nil, "nr_free_pages 7\nworkingset_refault_file %d\n", s.refaults.Load())}}.Open(name)
	}
	return s.FS.Open(name)
}

// A system that is short of memory gets relief step by step, all of it announced, at the end new requests are refused; what
// was remembered of earlier conversations is dropped, and their answers stay the same.
func TestPressure(t *testing.T) {
	broker := mqtttest.StartEmbedded(t)
	c := tinyConfig(t, broker.Addr())
	c.Model.Pack = "off"
	root := &strained{FS: os.DirFS("/")}
	root.set("0.00")
	startWith(t, c, daemon.Options{Root: root, Pressure: memory.Pressure{File: "/nowhere/pressure"}})
	u := newUser(t, broker.Addr())
	defer u.Cut()
	if m := u.status.Memory; m == nil || m.Budget <= 0 || m.Planned <= 0 || m.Anonymous <= 0 || m.File <= 0 || m.Pressure != "" {
		t.Fatalf("status %+v, memory %+v", u.status, m)
	}
	ask := func(id string) message.Answer {
		u.prompt(message.Request{ID: id, Prompt: "hello", Temperature: greedy()})
		return u.answer(id)
	}
	before := ask("before")
	if again := ask("again"); again.Usage.CachedTokens == 0 || again.Text != before.Text {
		t.Errorf("nothing of the prompt was remembered: %+v", again)
	}
	root.set("50.00")
	time.Sleep(5 * time.Second) // two reports of pressure while nothing is read again: pages that come for the first time
	if again := ask("quiet"); again.Usage.CachedTokens == 0 || u.status.Memory.Pressure != "" {
		t.Errorf("pressure without refaults: %+v, %+v", again, u.status.Memory)
	}
	root.thrashes.Store(true)
	u.until("caches are dropped", func() bool { return u.status.Memory != nil && u.status.Memory.Pressure == "caches" })
	if after := ask("dropped"); after.Usage.CachedTokens != 0 || after.Text != before.Text || after.Status != message.OK {
		t.Errorf("after the caches were dropped: %+v", after)
	}
	u.until("new requests are refused", func() bool { return u.status.Memory.Pressure == "refusing" })
	if a := ask("refused"); a.Status != message.Overloaded || a.Code != message.CodeOverloaded {
		t.Errorf("with no memory left: %+v", a)
	}
	root.set("0.00")
	u.until("the last level is left", func() bool { return u.status.Memory.Pressure != "refusing" })
	if a := ask("recovered"); a.Status != message.OK || a.Text != before.Text {
		t.Errorf("recovered: %+v", a)
	}
}
