package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/mqtt"
	"siskin/mqtt/embedded"
	"siskin/mqtt/mqtttest"
)

// inbox collects messages.
type inbox chan mqtt.Message

func (in inbox) next(t *testing.T) mqtt.Message {
	t.Helper()
	select {
	case m := <-in:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message")
		return mqtt.Message{}
	}
}

func (in inbox) none(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case m := <-in:
		t.Fatalf("got %.80q on %s, want nothing", m.Payload, m.Topic)
	case <-time.After(d):
	}
}

// broker is a broker and the version of the protocol in which a test speaks to it.
type broker struct {
	mqtttest.Broker
	protocol string
}

// each runs a test with every broker in every version.
func each(t *testing.T, test func(t *testing.T, b broker)) {
	t.Helper()
	for _, version := range []string{mqtt.Protocol3, mqtt.Protocol5} {
		t.Run(version, func(t *testing.T) {
			mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) { test(t, broker{b, version}) })
		})
	}
}

// config is that of a device "dev" that speaks the version of b at addr.
func (b broker) config(addr string, in inbox) mqtt.Config {
	c := config(addr, in)
	c.Protocol = b.protocol
	return c
}

// config is that of a device "dev" with short times.
func config(addr string, in inbox) mqtt.Config {
	c := mqtt.Defaults("tcp://"+addr, "dev")
	c.Subscriptions = []mqtt.Subscription{{Filter: "in", QoS: 1}, {Filter: "control", QoS: 1}}
	c.Handler = func(m mqtt.Message) {
		if in != nil { // what must return
			in <- m
		}
	}
	c.BackoffMin, c.BackoffMax = 2*time.Millisecond, 50*time.Millisecond
	return c
}

// running is a link with its Run.
type running struct {
	*mqtt.Link
	t   *testing.T
	ran chan error
}

func run(t *testing.T, c mqtt.Config) *running {
	t.Helper()
	l, err := mqtt.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Link: l, t: t, ran: make(chan error, 1)}
	go func() { r.ran <- l.Run(context.Background()) }()
	t.Cleanup(r.stop)
	return r
}

// up runs a link and waits until it is connected.
func up(t *testing.T, c mqtt.Config) *running {
	t.Helper()
	r := run(t, c)
	r.wait(true)
	return r
}

func (r *running) wait(connected bool) {
	r.t.Helper()
	mqtttest.Eventually(r.t, fmt.Sprint("connected: ", connected), func() bool { return r.Connected() == connected })
}

func (r *running) stop() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
	if err := <-r.ran; err != nil {
		r.t.Errorf("run: %v", err)
	}
	r.ran <- nil // for a second stop
}

// send publishes at QoS 1 with patience.
func (r *running) send(topic, payload string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.Publish(ctx, topic, 1, false, []byte(payload))
}

func (r *running) mustSend(topic, payload string) {
	r.t.Helper()
	if err := r.send(topic, payload); err != nil {
		r.t.Fatal(err)
	}
}

func TestBothWays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		in := make(inbox, 10)
		l := up(t, b.config(b.Addr(), in))
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		c.Subscribe("out/#", 1)
		c.Publish("in", 1, false, "question")
		if m := in.next(t); m.Topic != "in" || string(m.Payload) != "question" || m.QoS != 1 || m.Retained || m.Duplicate {
			t.Errorf("got %+v", m)
		}
		c.Publish("in", 0, false, "")
		if m := in.next(t); m.QoS != 0 || len(m.Payload) != 0 {
			t.Errorf("got %+v", m)
		}
		l.mustSend("out/1", "answer")
		if m := c.Expect("out/1", "answer"); m.QoS != 1 || m.Retain {
			t.Errorf("got %+v", m)
		}
		if err := l.Publish(context.Background(), "out/0", 0, false, []byte("delta")); err != nil {
			t.Error(err)
		}
		if m := c.Expect("out/0", "delta"); m.QoS != 0 {
			t.Errorf("got %+v", m)
		}
		c.Close()
	})
}

// Deltas and the answer behind them stay in order, and so do many publishers'
// own messages.
func TestOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		l := up(t, b.config(b.Addr(), nil))
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		c.Subscribe("out/#", 1)
		const publishers, deltas = 8, 20
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				topic := fmt.Sprint("out/", p)
				for i := range deltas {
					if err := l.Publish(context.Background(), topic, 0, false, []byte(fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				}
				if err := l.send(topic, "end"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		seen := map[string]int{}
		for range publishers * (deltas + 1) {
			m := c.Next()
			want := fmt.Sprint(seen[m.Topic])
			if seen[m.Topic] == deltas {
				want = "end"
			}
			if m.Payload != want {
				t.Fatalf("%s: got %s, want %s", m.Topic, m.Payload, want)
			}
			seen[m.Topic]++
		}
		c.Close()
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		p := mqtttest.NewProxy(t, b.Addr())
		cfg := b.config(p.Addr(), nil)
		n := 0
		cfg.StatusTopic, cfg.Offline = "state", []byte("offline")
		cfg.Online = func() []byte { n++; return []byte(fmt.Sprint("online ", n)) }
		w := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "w"})
		w.Subscribe("state", 1)
		l := up(t, cfg)
		w.Expect("state", "online 1")
		l.Announce()
		w.Expect("state", "online 2")
		p.Refuse(true)
		p.Cut()
		w.Expect("state", "offline") // the last will
		l.wait(false)
		l.Announce() // of no effect
		p.Refuse(false)
		l.wait(true)
		w.Expect("state", "online 3")
		l.stop()
		w.Expect("state", "offline")
		if l.Connected() {
			t.Error("connected after the end")
		}
		late := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "late"})
		late.Subscribe("state", 1)
		if m := late.Expect("state", "offline"); !m.Retain {
			t.Error("the state is not retained")
		}
		late.Close()
		w.Close()
	})
}

// A device that comes back before the broker has noticed that it was gone is
// online in the end.
func TestStatusAfterSilentLoss(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		p := mqtttest.NewProxy(t, b.Addr())
		cfg := b.config(p.Addr(), nil)
		cfg.StatusTopic, cfg.Offline = "state", []byte("offline")
		cfg.Online = func() []byte { return []byte("online") }
		cfg.AckTimeout = 100 * time.Millisecond
		l := up(t, cfg)
		w := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "w"})
		p.Stall(mqtttest.Up, true)
		p.Stall(mqtttest.Down, true)
		sent := make(chan error)
		go func() { sent <- l.send("out", "x") }()
		l.wait(false)
		p.Stall(mqtttest.Up, false)
		p.Stall(mqtttest.Down, false)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		l.wait(true)
		time.Sleep(50 * time.Millisecond) // for a late last will
		w.Subscribe("state", 1)
		w.Expect("state", "online")
		w.Close()
	})
}

func TestRetainedIsIgnored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		c.Publish("in", 1, true, "kept")
		in := make(inbox, 10)
		cfg := b.config(b.Addr(), in)
		l := up(t, cfg)
		in.none(t, 100*time.Millisecond)
		c.Publish("in", 1, true, "fresh") // comes as a plain message to who is there
		if m := in.next(t); string(m.Payload) != "fresh" || m.Retained {
			t.Errorf("got %+v", m)
		}
		l.stop()
		cfg.KeepRetained = true
		up(t, cfg)
		m := in.next(t)
		if m.Duplicate { // the goodbye was faster than the acknowledgement of the plain message
			m = in.next(t)
		}
		if string(m.Payload) != "fresh" || !m.Retained {
			t.Errorf("got %+v", m)
		}
		c.Close()
	})
}

// What is published while the device is away waits, in order, and has the
// handler even before the subscription is confirmed.
func TestPersistentSession(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		in := make(inbox, 100)
		up(t, b.config(b.Addr(), in)).stop()
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		for i := range 50 {
			c.Publish("in", 1, false, fmt.Sprint(i))
		}
		l := up(t, b.config(b.Addr(), in))
		for i := range 50 {
			if m := in.next(t); string(m.Payload) != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", m.Payload, i)
			}
		}
		l.stop()
		clean := b.config(b.Addr(), in)
		clean.CleanSession = true
		up(t, clean).stop()
		c.Publish("in", 1, false, "for nobody")
		up(t, b.config(b.Addr(), in))
		in.none(t, 100*time.Millisecond)
		c.Close()
	})
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	line, err := embedded.HashPassword("u", []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	users, err := embedded.ParseUsers([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	b := mqtttest.StartEmbeddedWith(t, embedded.Config{Limits: embedded.DefaultLimits(), Users: users})
	cfg := config(b.Addr(), nil)
	cfg.Attempts = 2
	l, err := mqtt.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Run(context.Background()); !errors.Is(err, mqtt.ErrRefused) {
		t.Errorf("without a password: error %v, want ErrRefused", err)
	}
	var log lockedBuffer
	again := cfg
	again.Attempts, again.Logger = 5, slog.New(slog.NewTextHandler(&log, nil))
	if l, err := mqtt.New(again); err != nil {
		t.Fatal(err)
	} else if err := l.Run(context.Background()); !errors.Is(err, mqtt.ErrRefused) || strings.Count(log.String(), "refuses") != 1 {
		t.Errorf("five attempts are logged otherwise than once: %v\n%s", err, log.String())
	}
	if err := l.Run(context.Background()); !errors.Is(err, mqtt.ErrRan) {
		t.Errorf("second run: error %v, want ErrRan", err)
	}
	if err := l.Publish(context.Background(), "t", 1, false, nil); !errors.Is(err, mqtt.ErrClosed) {
		t.Errorf("publish after the end: error %v, want ErrClosed", err)
	}
	cfg.Username, cfg.Password = "u", []byte("p")
	good := up(t, cfg)
	good.mustSend("t", "x")
	good.stop()
	b.Kill()
	if l, err = mqtt.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := l.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("without a broker: error %v, want connection refused", err)
	}
	b.Start()
}

func TestCloseWithoutRun(t *testing.T) {
	t.Parallel()
	l, err := mqtt.New(config("127.0.0.1:1", nil))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Run(context.Background()); !errors.Is(err, mqtt.ErrRan) {
		t.Errorf("error %v, want ErrRan", err)
	}
	if err := l.Publish(context.Background(), "t", 1, false, nil); !errors.Is(err, mqtt.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

// Close and the end of the context come through in all states, soon, and leave
// no goroutine.
func TestEndsInAllStates(t *testing.T) {
	b := mqtttest.StartEmbedded(t)
	p := mqtttest.NewProxy(t, b.Addr())
	time.Sleep(50 * time.Millisecond)
	before := runtime.NumGoroutine()
	for _, state := range []string{"connected", "dialling", "pausing", "stalled"} {
		for _, byContext := range []bool{true, false} {
			cfg := config(p.Addr(), nil)
			cfg.CloseTimeout = 200 * time.Millisecond
			cfg.StatusTopic, cfg.Offline, cfg.Online = "state", []byte("off"), func() []byte { return []byte("on") }
			switch state {
			case "dialling":
				p.Stall(mqtttest.Up, true) // the broker never sees CONNECT
			case "pausing":
				p.Refuse(true)
				cfg.BackoffMin, cfg.BackoffMax = time.Hour, time.Hour
			}
			l, err := mqtt.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ran := make(chan error, 1)
			go func() { ran <- l.Run(ctx) }()
			if state == "connected" || state == "stalled" {
				mqtttest.Eventually(t, "connected", l.Connected)
			}
			if state == "stalled" {
				p.Stall(mqtttest.Up, true)
				go func() { _ = l.Publish(context.Background(), "t", 1, false, nil) }() // ends with the client
			}
			time.Sleep(50 * time.Millisecond)
			start := time.Now()
			if byContext {
				cancel()
			} else if err := l.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ran; err != nil {
				t.Errorf("%s: run: %v", state, err)
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("%s: ending took %v", state, d)
			}
			cancel()
			p.Refuse(false)
			p.Stall(mqtttest.Up, false)
			p.Cut()
			mqtttest.Eventually(t, state+": all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
		}
	}
}
