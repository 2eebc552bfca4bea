package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"siskin/mqtt"
	"siskin/mqtt/embedded"
	"siskin/mqtt/mqtttest"
)

// The broker dies while messages are on their way, and comes back: all arrive,
// those that were accepted before it died aside, in order.
func TestBrokerRestart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		in := make(inbox, 10)
		p := mqtttest.NewProxy(t, b.Addr())
		l := up(t, b.config(p.Addr(), in))
		p.Stall(mqtttest.Down, true) // no PUBACK comes through
		var all sync.WaitGroup
		send := func(i int) {
			all.Go(func() {
				if err := l.send("out", fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(2 * time.Millisecond) // one after the other
		}
		for i := range 5 {
			send(i)
		}
		b.Kill()
		p.Stall(mqtttest.Down, false)
		l.wait(false)
		for i := 5; i < 10; i++ {
			send(i)
		}
		b.Start()
		w := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "w", Persistent: true})
		w.Subscribe("out", 1)
		all.Wait()
		// The link may have been back before w; then w has missed some.
		last := -1
		for _, m := range w.Drain(100 * time.Millisecond) {
			var i int
			if _, err := fmt.Sscan(m.Payload, &i); err != nil || i != last+1 && last >= 0 {
				t.Errorf("got %s after %d", m.Payload, last)
			}
			last = i
		}
		l.wait(true)
		w.Publish("in", 1, false, "subscribed again")
		if m := in.next(t); string(m.Payload) != "subscribed again" {
			t.Errorf("got %s", m.Payload)
		}
		w.Close()
	})
}

// The same with somebody there who sees all: the broker keeps its state on disk
// and is stopped, so that nothing may be missing.
func TestBrokerRestartLosesNothing(t *testing.T) {
	t.Parallel()
	b := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Persistence: true})
	w := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "w", Persistent: true})
	w.Subscribe("out", 1)
	w.Close()
	l := up(t, config(b.Addr(), nil))
	const n = 300
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := l.send("out", fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
		if i%100 == 50 {
			b.Stop()
			b.Start()
		}
	}
	all.Wait()
	w = mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "w", Persistent: true})
	seen := make(map[string]bool)
	for len(seen) < n {
		seen[w.Next().Payload] = true
	}
	w.Drain(50 * time.Millisecond) // those that came twice
	w.Close()
}

// The connection breaks around a PUBLISH: the message arrives, and Publish
// returns once it has.
func TestCutAroundPublish(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		p := mqtttest.NewProxy(t, b.Addr())
		l := up(t, b.config(p.Addr(), nil))
		w := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "w"})
		w.Subscribe("out/#", 1)
		for _, tt := range []struct {
			name   string
			copies int
			arm    func() <-chan struct{}
		}{
			{"before", 1, func() <-chan struct{} { return p.CutAt(mqtttest.Up, mqtttest.Publish) }},
			{"inside", 1, func() <-chan struct{} { return p.CutIn(mqtttest.Up, mqtttest.Publish) }},
			{"before-puback", 2, func() <-chan struct{} { return p.CutAt(mqtttest.Down, mqtttest.Puback) }},
			{"inside-puback", 2, func() <-chan struct{} { return p.CutIn(mqtttest.Down, mqtttest.Puback) }},
		} {
			hit := tt.arm()
			l.mustSend("out/"+tt.name, "x")
			<-hit
			for range tt.copies {
				w.Expect("out/"+tt.name, "x")
			}
			l.wait(true)
		}
		w.Close()
	})
}

// A message that is not acknowledged comes again: the handler had not returned
// when the connection broke.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		p := mqtttest.NewProxy(t, b.Addr())
		in := make(inbox) // without room: the handler waits for the test
		l := up(t, b.config(p.Addr(), in))
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		c.Publish("in", 1, false, "x")
		c.Publish("in", 1, false, "y")
		time.Sleep(50 * time.Millisecond) // the handler has x
		p.Cut()
		if m := in.next(t); string(m.Payload) != "x" || m.Duplicate {
			t.Errorf("got %+v", m)
		}
		// The acknowledgement of x went nowhere. Y may have been read before the cut.
		m := in.next(t)
		if string(m.Payload) == "y" && !m.Duplicate {
			m = in.next(t)
		}
		if string(m.Payload) != "x" || !m.Duplicate {
			t.Errorf("got %s, duplicate %v, want x again", m.Payload, m.Duplicate)
		}
		if m := in.next(t); string(m.Payload) != "y" {
			t.Errorf("got %s, want y", m.Payload)
		}
		l.wait(true)
		in.none(t, 50*time.Millisecond)
		c.Close()
	})
}

func TestLateAck(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		in := make(inbox, 10)
		cfg := b.config(b.Addr(), in)
		cfg.LateAck = true
		// The goodbye is acknowledged, and with it all before it: mosquitto forgets
		// what it has not read when the client comes back at once.
		cfg.StatusTopic, cfg.Offline, cfg.Online = "state", []byte("off"), func() []byte { return []byte("on") }
		l := up(t, cfg)
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		for i := range 3 {
			c.Publish("in", 1, false, fmt.Sprint(i))
		}
		first := in.next(t)
		in.next(t)
		in.next(t)
		first.Ack()
		c.Publish("in", 1, false, "3") // behind the acknowledgement, on the same connections
		stale := in.next(t)
		l.stop()
		stale.Ack() // too late, and harmless
		l = up(t, cfg)
		for i := 1; i < 4; i++ {
			m := in.next(t)
			if string(m.Payload) != fmt.Sprint(i) || !m.Duplicate {
				t.Errorf("got %s, duplicate %v, want %d again", m.Payload, m.Duplicate, i)
			}
			m.Ack()
		}
		l.stop()
		up(t, cfg)
		in.none(t, 50*time.Millisecond)
		c.Close()
	})
}

// Nothing is handled when a link has ended: what is under way is waited for, and what comes later is left to the broker.
func TestEndWaitsForHandler(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		cfg := b.config(b.Addr(), nil)
		cfg.LateAck = true
		began, release := make(chan struct{}, 10), make(chan struct{})
		var ended, handled atomic.Int32
		cfg.Handler = func(mqtt.Message) {
			began <- struct{}{}
			<-release
			handled.Add(1 + 10*ended.Load())
		}
		l := up(t, cfg)
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		for i := range 3 {
			c.Publish("in", 1, false, fmt.Sprint(i))
		}
		<-began
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = l.Close() // it never fails
			ended.Store(1)
		}()
		select {
		case <-closed:
			t.Error("ended while a message was handled")
		case <-time.After(100 * time.Millisecond):
		}
		close(release)
		<-closed
		before := handled.Load()
		time.Sleep(50 * time.Millisecond)
		if after := handled.Load(); before < 1 || before > 3 || after != before {
			t.Errorf("handled %d at the end, %d later", before, after)
		}
		c.Close()
	})
}

// Mosquitto sends 20 messages that are not acknowledged and then nothing, not
// even a command on another topic. The embedded broker goes on.
func TestManyUnacknowledged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		in := make(inbox, 100)
		cfg := b.config(b.Addr(), in)
		cfg.LateAck = true
		up(t, cfg)
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		for i := range 25 {
			c.Publish("in", 1, false, fmt.Sprint(i))
		}
		c.Publish("control", 1, false, "stop")
		want := 20
		if b.Name() == "embedded" {
			want = 26
		}
		var got []mqtt.Message
		for range want {
			got = append(got, in.next(t))
		}
		in.none(t, 100*time.Millisecond)
		for _, m := range got {
			m.Ack()
		}
		for len(got) < 26 {
			m := in.next(t)
			m.Ack()
			got = append(got, m)
		}
		if m := got[25]; m.Topic != "control" || string(m.Payload) != "stop" {
			t.Errorf("last message %s on %s", m.Payload, m.Topic)
		}
		c.Close()
	})
}

// A connection that is open and dead is given up: by the keep-alive, or sooner
// when a PUBACK stays out.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	b := mqtttest.StartEmbedded(t)
	for _, d := range []mqtttest.Direction{mqtttest.Up, mqtttest.Down} {
		for _, tt := range []struct {
			name            string
			keepAlive, acks time.Duration
		}{{"keep-alive", time.Second, time.Hour}, {"puback", time.Hour, 200 * time.Millisecond}} {
			t.Run(fmt.Sprint(tt.name, d), func(t *testing.T) {
				t.Parallel()
				p := mqtttest.NewProxy(t, b.Addr())
				cfg := config(p.Addr(), nil)
				cfg.ClientID = fmt.Sprint(tt.name, d)
				cfg.KeepAlive, cfg.AckTimeout = tt.keepAlive, tt.acks
				l := up(t, cfg)
				p.Stall(d, true)
				sent := make(chan error)
				go func() { sent <- l.send("out", "x") }()
				l.wait(false)
				p.Stall(d, false)
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// QoS 0 never waits: not without a connection, and not when the broker does not
// read.
func TestDeltasAreDropped(t *testing.T) {
	t.Parallel()
	b := mqtttest.StartEmbedded(t)
	p := mqtttest.NewProxy(t, b.Addr())
	p.Refuse(true)
	cfg := config(p.Addr(), nil)
	cfg.MaxDeltas = 10
	l := run(t, cfg)
	payload := make([]byte, 1<<20)
	delta := func(size int) error {
		start := time.Now()
		err := l.Publish(context.Background(), "delta", 0, false, payload[:size])
		if d := time.Since(start); d > cfg.WriteTimeout/5 {
			t.Errorf("a delta took %v", d)
		}
		return err
	}
	if err := delta(1); !errors.Is(err, mqtt.ErrDropped) {
		t.Errorf("without a connection: error %v, want ErrDropped", err)
	}
	p.Refuse(false)
	l.wait(true)
	w := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "w"})
	w.Subscribe("delta", 0)
	if err := delta(1); err != nil {
		t.Error(err)
	}
	w.Next()
	p.Stall(mqtttest.Up, true)
	dropped := 0
	for range 100 { // more than buffers on the way hold
		if errors.Is(delta(1<<20), mqtt.ErrDropped) {
			dropped++
		}
	}
	if dropped == 0 || l.Dropped() != uint64(dropped)+1 {
		t.Errorf("%d dropped, %d counted", dropped, l.Dropped())
	}
	p.Stall(mqtttest.Up, false)
	w.Cut()
}

// A message at which the broker hangs up is given back, and takes no other one
// along.
func TestRejected(t *testing.T) {
	t.Parallel()
	lim := embedded.DefaultLimits()
	lim.PacketBytes = 10 << 10
	b := mqtttest.StartEmbeddedWith(t, embedded.Config{Limits: lim})
	l := up(t, config(b.Addr(), nil))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			size, want := 10, error(nil)
			if i == 7 {
				size, want = 20<<10, mqtt.ErrRejected
			}
			if err := l.send("out", strings.Repeat("x", size)); !errors.Is(err, want) {
				t.Errorf("message %d: error %v, want %v", i, err, want)
			}
		})
	}
	all.Wait()
}

func TestPayloadSizes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		in := make(inbox, 10)
		cfg := b.config(b.Addr(), in)
		cfg.MaxInbound, cfg.MaxOutbound = 10<<10, 20<<10
		l := up(t, cfg)
		c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
		c.Subscribe("out", 1)
		whole := strings.Repeat("w", 10<<10)
		c.Publish("in", 1, false, whole)
		if m := in.next(t); string(m.Payload) != whole {
			t.Errorf("%d bytes of %d", len(m.Payload), len(whole))
		}
		c.Publish("in", 1, false, strings.Repeat("w", 1<<20))
		if n := len(in.next(t).Payload); n <= cfg.MaxInbound || n > cfg.MaxInbound+70<<10 {
			t.Errorf("1 MiB became %d bytes, want a little more than %d", n, cfg.MaxInbound)
		}
		c.Publish("in", 1, false, "next")
		if m := in.next(t); string(m.Payload) != "next" {
			t.Errorf("got %.20q after a long message", m.Payload)
		}
		l.mustSend("out", strings.Repeat("o", 20<<10))
		c.Next()
		for _, bad := range []struct {
			topic string
			qos   byte
			size  int
		}{{"out", 1, 20<<10 + 1}, {"out", 0, 20<<10 + 1}, {"out/+", 1, 1}, {"", 1, 1}, {"a\x00", 0, 1}, {"out", 2, 1}} {
			if err := l.Publish(context.Background(), bad.topic, bad.qos, false, make([]byte, bad.size)); !errors.Is(err, mqtt.ErrMessage) {
				t.Errorf("%+v: error %v, want ErrMessage", bad, err)
			}
		}
		c.Close()
	})
}

// Publish gives up with its context, at every place where it waits.
func TestPublishContext(t *testing.T) {
	t.Parallel()
	b := mqtttest.StartEmbedded(t)
	p := mqtttest.NewProxy(t, b.Addr())
	cfg := config(p.Addr(), nil)
	cfg.MaxWaiting, cfg.MaxInFlight = 3, 1
	l := up(t, cfg)
	p.Stall(mqtttest.Down, true)
	var all sync.WaitGroup
	for range 5 { // one in flight, two in the queue, two before it
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := l.Publish(ctx, "out", 1, false, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want deadline exceeded", err)
			}
		})
	}
	all.Wait()
	p.Stall(mqtttest.Down, false)
	l.mustSend("out", "there is room again")
}

// Close sends what is waiting before it says goodbye.
func TestCloseSendsTheRest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b broker) {
		p := mqtttest.NewProxy(t, b.Addr())
		cfg := b.config(p.Addr(), nil)
		cfg.StatusTopic, cfg.Offline, cfg.Online = "state", []byte("off"), func() []byte { return []byte("on") }
		cfg.MaxInFlight = 2
		// Watched from before the first connection: whoever subscribes while the state is published
		// gets it twice, retained and live.
		w := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "w"})
		w.Subscribe("out", 1)
		w.Subscribe("state", 1)
		l := up(t, cfg)
		w.Expect("state", "on")
		p.Delay(mqtttest.Down, 10*time.Millisecond)
		sent := make(chan error, 10)
		for range 10 {
			go func() { sent <- l.send("out", "x") }()
		}
		time.Sleep(15 * time.Millisecond)
		l.stop()
		for range 10 {
			if err := <-sent; err != nil {
				t.Error(err)
			}
			w.Expect("out", "x")
		}
		w.Expect("state", "off")
		w.Close()
	})
}
