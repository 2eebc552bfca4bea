package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/mqtt/embedded"
	"siskin/mqtt/mqtttest"
)

func TestRefusesExposure(t *testing.T) {
	for _, tt := range []struct {
		listen  string
		auth    bool
		exposed bool
		bad     bool
	}{
		{listen: "127.0.0.1:0"},
		{listen: "127.9.9.9:0"},
		{listen: "[::1]:0"},
		{listen: "[::ffff:127.0.0.1]:0"},
		{listen: "0.0.0.0:0", exposed: true},
		{listen: "[::]:0", exposed: true},
		{listen: "192.0.2.1:1883", exposed: true},
		{listen: "0.0.0.0:0", auth: true},
		{listen: "localhost:1883", bad: true},
		{listen: ":1883", bad: true},
		{listen: "127.0.0.1", bad: true},
		{listen: "", bad: true},
	} {
		cfg := embedded.Config{Listen: tt.listen, Limits: embedded.DefaultLimits()}
		if tt.auth {
			cfg.Users = users(t, "u", "p")
		}
		b, err := embedded.New(cfg)
		switch {
		case errors.Is(err, embedded.ErrExposed) != tt.exposed:
			t.Errorf("%q: error %v, want ErrExposed: %v", tt.listen, err, tt.exposed)
		case tt.bad && (err == nil || !strings.Contains(err.Error(), "numeric address")):
			t.Errorf("%q: error %v, want one about the address", tt.listen, err)
		case !tt.bad && !tt.exposed && err != nil && !strings.Contains(tt.listen, "::1"):
			t.Errorf("%q: %v", tt.listen, err)
		}
		if err == nil {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := embedded.DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	_, err := embedded.New(embedded.Config{Listen: "127.0.0.1:0"})
	if n := strings.Count(fmt.Sprint(err), "limit "); n != 8 {
		t.Errorf("%d problems named, want all 8: %v", n, err)
	}
}

func TestLifeCycle(t *testing.T) {
	before := runtime.NumGoroutine()
	cfg := embedded.Config{Listen: "127.0.0.1:0", Limits: embedded.DefaultLimits()}
	b, err := embedded.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen = b.Addr()
	if _, err := embedded.New(cfg); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v, want address in use", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error)
	go func() { ran <- b.Run(ctx) }()
	c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "a"})
	silent, err := net.Dial("tcp", b.Addr()) // never says who it is
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	mqtttest.Eventually(t, "the silent connection is accepted", func() bool {
		return runtime.NumGoroutine() > before+6
	})
	if err := b.Run(ctx); !errors.Is(err, embedded.ErrRan) {
		t.Errorf("second run: error %v, want ErrRan", err)
	}
	start := time.Now()
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("closing took %v", d)
	}
	<-c.Gone()
	c.Cut()
	if err := b.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := b.Run(context.Background()); !errors.Is(err, embedded.ErrRan) {
		t.Errorf("run after close: error %v, want ErrRan", err)
	}
	again, err := embedded.New(cfg)
	if err != nil {
		t.Fatalf("the address is not free again: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	mqtttest.Eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestAuthentication(t *testing.T) {
	var log lockedBuffer
	b := mqtttest.StartEmbeddedWith(t, embedded.Config{
		Listen: "127.0.0.1:0", Limits: embedded.DefaultLimits(),
		Users:  users(t, "u", "s3cret"),
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ok := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "a", Username: "u", Password: "s3cret"})
	ok.Subscribe("t", 1)
	ok.Publish("t", 1, false, "hidden")
	ok.Expect("t", "hidden")
	ok.Close()
	for _, opt := range []mqtttest.ClientOptions{
		{ID: "a", Username: "u", Password: "wrong"},
		{ID: "b", Username: "v", Password: "s3cret"},
		{ID: "a"},
		{ID: "a", Username: "#owner", Password: "x"},
		{ID: "a", Username: "u", Password: "wrong again"},
	} {
		if _, code := mqtttest.TryDial(t, b.Addr(), opt); code != 4 && code != 5 {
			t.Errorf("%+v: code %d, want 4 or 5 (bad password, not authorised)", opt, code)
		}
	}
	b.Kill()
	if n := strings.Count(log.String(), "wrong user name or password"); n != 3 { // u, v and nobody: once each
		t.Errorf("refusals are logged %d times:\n%s", n, log.String())
	}
	if s := log.String(); strings.Contains(s, "s3cret") || strings.Contains(s, "hidden") || !strings.Contains(s, "level=DEBUG") {
		t.Errorf("log with a secret, or no log:\n%s", s)
	}
}

// lockedBuffer is for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, change func(*embedded.Limits)) *mqtttest.Embedded {
	lim := embedded.DefaultLimits()
	change(&lim)
	return mqtttest.StartEmbeddedWith(t, embedded.Config{Limits: lim})
}

func TestLimitConnections(t *testing.T) {
	t.Parallel()
	b := start(t, func(l *embedded.Limits) { l.Connections = 2 })
	// A connection of the start-up check may still be counted.
	var one *mqtttest.Client
	mqtttest.Eventually(t, "a first client gets in", func() bool {
		var code byte
		one, code = mqtttest.TryDial(t, b.Addr(), mqtttest.ClientOptions{ID: "1"})
		return code == 0
	})
	var two *mqtttest.Client
	mqtttest.Eventually(t, "a second client gets in", func() bool {
		var code byte
		two, code = mqtttest.TryDial(t, b.Addr(), mqtttest.ClientOptions{ID: "2"})
		return code == 0
	})
	if _, code := mqtttest.TryDial(t, b.Addr(), mqtttest.ClientOptions{ID: "3"}); code == 0 {
		t.Fatal("a third connection was accepted")
	}
	one.Publish("t", 1, false, "still works")
	two.Close()
	mqtttest.Eventually(t, "there is room again", func() bool {
		c, code := mqtttest.TryDial(t, b.Addr(), mqtttest.ClientOptions{ID: "4"})
		if code == 0 {
			c.Close()
		}
		return code == 0
	})
	one.Close()
}

func TestLimitSessions(t *testing.T) {
	t.Parallel()
	b := start(t, func(l *embedded.Limits) { l.Sessions = 2; l.SessionExpiry = time.Second })
	for _, id := range []string{"1", "2"} {
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: id, Persistent: true})
		c.Subscribe("t", 1)
		c.Close()
	}
	if _, code := mqtttest.TryDial(t, b.Addr(), mqtttest.ClientOptions{ID: "3"}); code != 3 {
		t.Errorf("code %d, want 3 (server unavailable)", code)
	}
	known := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "1", Persistent: true})
	if !known.SessionPresent() {
		t.Error("a kept session is not there")
	}
	mqtttest.Eventually(t, "the other session is forgotten", func() bool {
		c, code := mqtttest.TryDial(t, b.Addr(), mqtttest.ClientOptions{ID: "3"})
		if code == 0 {
			c.Close()
		}
		return code == 0
	})
	known.Close()
}

func TestLimitPacket(t *testing.T) {
	b := start(t, func(l *embedded.Limits) { l.PacketBytes = 64 << 10 })
	c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "1"})
	c.Publish("t", 1, false, strings.Repeat("x", 60<<10))
	c.Send("t", 1, false, strings.Repeat("x", 65<<10))
	<-c.Gone()
	c.Cut()
	other := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "2"})
	other.Publish("t", 1, false, "still works")
	other.Close()
}

func TestLimitInFlight(t *testing.T) {
	b := start(t, func(l *embedded.Limits) { l.InFlight = 30 })
	kept := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "kept", Persistent: true})
	kept.Subscribe("t", 1)
	kept.Close()
	c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "1"})
	for i := range 40 {
		c.Publish("t", 1, false, fmt.Sprint(i))
	}
	kept = mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "kept", Persistent: true})
	for i := range 30 {
		kept.Expect("t", fmt.Sprint(i))
	}
	kept.Barrier() // its acknowledgements are handled
	c.Publish("t", 1, false, "next")
	kept.Expect("t", "next")
	kept.Close()
	c.Close()
}

func TestLimitHeldBytes(t *testing.T) {
	t.Parallel()
	b := start(t, func(l *embedded.Limits) { l.HeldBytes = 100 << 10 })
	for _, id := range []string{"big", "small"} {
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: id, Persistent: true})
		c.Subscribe(id, 1)
		c.Close()
	}
	c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "1"})
	c.Publish("small", 1, false, "precious")
	for range 100 {
		c.Publish("big", 1, false, strings.Repeat("x", 4<<10))
	}
	c.Close()
	small := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "small", Persistent: true})
	small.Expect("small", "precious")
	small.Close()
	big := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "big", Persistent: true})
	if n := len(big.Drain(200 * time.Millisecond)); n > 28 {
		t.Errorf("%d messages of 4 KiB were held, the limit is 100 KiB and an eighth", n)
	}
	big.Close()
}

func TestLimitRetained(t *testing.T) {
	t.Parallel()
	b := start(t, func(l *embedded.Limits) { l.Retained = 2 })
	c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "1"})
	for _, topic := range []string{"a", "b", "c"} {
		c.Publish(topic, 1, true, "old")
	}
	c.Publish("a", 1, true, "new")
	c.Subscribe("#", 1)
	c.Subscribe("$SYS/#", 1)
	got := map[string]string{}
	for _, m := range c.Drain(200 * time.Millisecond) {
		got[m.Topic] = m.Payload
	}
	if len(got) != 2 || got["a"] != "new" || got["b"] != "old" {
		t.Errorf("retained: %v, want a: new, b: old", got)
	}
	c.Close()
}

func TestMessageExpiry(t *testing.T) {
	t.Parallel()
	b := start(t, func(l *embedded.Limits) { l.MessageExpiry = time.Second })
	kept := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "kept", Persistent: true})
	kept.Subscribe("t/#", 1)
	kept.Close()
	c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "1"})
	c.Publish("t/queued", 1, false, "x")
	c.Publish("retained", 1, true, "x")
	// Seconds are counted whole and looked at once a second.
	time.Sleep(3500 * time.Millisecond)
	c.Publish("t/fresh", 1, false, "x")
	kept = mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "kept", Persistent: true})
	kept.Expect("t/fresh", "x")
	kept.Subscribe("retained", 1)
	kept.Expect("retained", "x")
	kept.None(100 * time.Millisecond)
	kept.Close()
	c.Close()
}
