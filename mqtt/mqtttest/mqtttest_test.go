package mqtttest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// failing is a testing.TB that notes errors instead of failing; Fatalf panics
// with them.
type failing struct {
	testing.TB
	errors  []string
	cleanup []func()
}

func (f *failing) Helper()          {}
func (f *failing) Cleanup(g func()) { f.cleanup = append(f.cleanup, g) }
func (f *failing) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

// finish runs the clean-up as the end of a test does, and gives the errors.
func (f *failing) finish() string {
	for i := len(f.cleanup) - 1; i >= 0; i-- {
		f.cleanup[i]()
	}
	return strings.Join(f.errors, "\n")
}

// What is left over fails the test.
func TestLeftOvers(t *testing.T) {
	b := StartEmbedded(t)
	for name, tt := range map[string]struct {
		do   func(f *failing)
		want string
	}{
		"nothing": {func(f *failing) {
			p := NewProxy(f, b.Addr())
			c := Dial(f, p.Addr(), ClientOptions{ID: "c"})
			c.Subscribe("t", 1)
			c.Publish("t", 1, false, "x")
			c.Expect("t", "x")
			c.Close()
		}, ""},
		"a message": {func(f *failing) {
			c := Dial(f, b.Addr(), ClientOptions{ID: "c"})
			c.Subscribe("t", 1)
			c.Publish("t", 1, false, "unread")
			Eventually(f, "the message is there", func() bool { return len(c.messages) == 1 })
			c.Close()
		}, `left over: "unread" on t`},
		"a client": {func(f *failing) {
			Dial(f, b.Addr(), ClientOptions{ID: "c"})
		}, "neither closed nor cut"},
		"a cut": {func(f *failing) {
			NewProxy(f, b.Addr()).CutAt(Up, Publish)
		}, "1 cuts never happened"},
	} {
		f := &failing{TB: t}
		tt.do(f)
		if got := f.finish(); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: errors %q, want %q", name, got, tt.want)
		}
	}
}

func TestPacket(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 2097151, 2097152} {
		p := Packet{First: 0x30, Body: bytes.Repeat([]byte{7}, n)}
		got, err := ReadPacket(bufio.NewReader(bytes.NewReader(p.Bytes())))
		if err != nil || got.First != p.First || !bytes.Equal(got.Body, p.Body) {
			t.Errorf("%d bytes: got %d bytes, %v", n, len(got.Body), err)
		}
	}
	for _, bad := range []string{"", "\x30", "\x30\x80", "\x30\x02a", "\x30\xff\xff\xff\xff\x01", "\x30\xff\xff\xff\x7f"} {
		if p, err := ReadPacket(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("% x was read as %+v", bad, p)
		}
	}
}

func TestProxy(t *testing.T) {
	before := runtime.NumGoroutine()
	b := StartEmbedded(t)
	f := &failing{TB: t}
	p := NewProxy(f, b.Addr())
	dial := func(id string) *Client { return Dial(t, p.Addr(), ClientOptions{ID: id}) }

	c := dial("delay")
	p.Delay(Down, 20*time.Millisecond)
	start := time.Now()
	c.Publish("t", 1, false, "x")
	if d := time.Since(start); d < 20*time.Millisecond {
		t.Errorf("a reply came after %v in spite of the delay", d)
	}
	p.Delay(Down, 0)

	p.Stall(Up, true)
	c.Send("t", 1, false, "x")
	select {
	case r := <-c.replies:
		t.Errorf("got %+v through a stalled proxy", r)
	case <-c.Gone():
		t.Error("stalling ended the connection")
	case <-time.After(50 * time.Millisecond):
	}
	p.Stall(Up, false)
	c.Flush()

	hit := p.CutAt(Up, Publish)
	c.Send("t", 1, false, "x")
	<-hit
	<-c.Gone()
	c.Cut()

	c = dial("cut in")
	hit = p.CutIn(Up, Publish)
	c.Send("t", 1, false, strings.Repeat("x", 1000))
	<-hit
	<-c.Gone()
	c.Cut()

	c = dial("cut all")
	p.Cut()
	<-c.Gone()
	c.Cut()

	p.Refuse(true)
	if _, code := TryDial(t, p.Addr(), ClientOptions{ID: "refused"}); code == 0 {
		t.Error("a connection was made while refusing")
	}
	p.Refuse(false)
	c = dial("last")
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if errs := f.finish(); errs != "" {
		t.Error(errs)
	}
	<-c.Gone()
	c.Cut()
	if _, err := net.Dial("tcp", p.Addr()); err == nil {
		t.Error("a closed proxy accepts")
	}
	b.Kill()
	Eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

// Both brokers come back on the same address; only one with persistence knows
// its sessions then.
func TestRestart(t *testing.T) {
	try := func(t *testing.T, b Broker, stop func(), keeps bool) {
		kept := ClientOptions{ID: "kept", Persistent: true}
		c := Dial(t, b.Addr(), kept)
		if c.SessionPresent() {
			t.Error("a session before the first connection")
		}
		c.Subscribe("t", 1)
		stop()
		<-c.Gone()
		c.Cut()
		b.Start()
		c = Dial(t, b.Addr(), kept)
		if c.SessionPresent() != keeps {
			t.Errorf("session present: %v, want %v", c.SessionPresent(), keeps)
		}
		c.Close()
	}
	Each(t, func(t *testing.T, b Broker) { try(t, b, b.Kill, false) })
	t.Run("persistent", func(t *testing.T) {
		m := StartMosquitto(t, MosquittoOptions{Persistence: true})
		try(t, m, m.Stop, true)
		if !strings.Contains(m.Log(), "running") {
			t.Errorf("log: %s", m.Log())
		}
	})
}

// A broker outlives the threads of the test: on Linux a child may die with the thread that started it.
func TestMosquittoOutlivesThreads(t *testing.T) {
	m := StartMosquitto(t, MosquittoOptions{})
	for range 50 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		}()
		<-done
	}
	time.Sleep(20 * time.Millisecond)
	c := Dial(t, m.Addr(), ClientOptions{ID: "c"})
	c.Subscribe("t", 1)
	c.Close()
}
