package embedded_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"siskin/mqtt/mqtttest"
)

// The tests of this file run against mosquitto too: it is the measure of what
// repair.go mends.

// A message to a client survives a PUBLISH from that client with the same packet
// identifier.
func TestIdentifiersAreTwoSpaces(t *testing.T) {
	t.Parallel()
	mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) {
		late := mqtttest.ClientOptions{ID: "late", Persistent: true, LateAck: true}
		c := mqtttest.Dial(t, b.Addr(), late)
		c.Subscribe("in", 1)
		other := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "other"})
		for i := range 3 {
			other.Publish("in", 1, false, fmt.Sprint(i))
		}
		for i := range 3 {
			m := c.Expect("in", fmt.Sprint(i))
			c.SetNextID(m.ID)
			c.Publish("out", 1, false, "x")
			if i == 1 {
				c.Ack(m)
			}
		}
		c.Barrier() // the acknowledgement was handled
		c.Cut()
		c = mqtttest.Dial(t, b.Addr(), late)
		for _, want := range []string{"0", "2"} {
			if m := c.Expect("in", want); !m.Dup {
				t.Errorf("message %s came again without the DUP flag", want)
			}
		}
		c.None(50 * time.Millisecond)
		c.Close()
		other.Close()
	})
}

// SUBSCRIBE is accepted whatever its packet identifier.
func TestSubscribeWithUsedIdentifier(t *testing.T) {
	t.Parallel()
	mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) {
		late := mqtttest.ClientOptions{ID: "late", Persistent: true, LateAck: true}
		c := mqtttest.Dial(t, b.Addr(), late)
		c.Subscribe("in", 1)
		c.Publish("in", 1, false, "x")
		first := c.Expect("in", "x")
		c.Cut()
		c = mqtttest.Dial(t, b.Addr(), late)
		m := c.Expect("in", "x")
		if m.ID != first.ID {
			t.Errorf("identifier %d when sent again, was %d", m.ID, first.ID)
		}
		c.SetNextID(m.ID)
		c.Subscribe("more", 1)
		c.Cut()
		c = mqtttest.Dial(t, b.Addr(), late)
		c.Expect("in", "x")
		c.Publish("more", 1, false, "y")
		c.Expect("more", "y")
		c.Close()
	})
}

// QoS 2 from a client works while a message to it has the same number, and
// neither is lost.
func TestIdentifiersWithQoS2(t *testing.T) {
	t.Parallel()
	mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) {
		late := mqtttest.ClientOptions{ID: "late", Persistent: true, LateAck: true}
		c := mqtttest.Dial(t, b.Addr(), late)
		c.Subscribe("in", 1)
		other := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "other"})
		other.Subscribe("out", 2)
		other.Publish("in", 1, false, "x")
		m := c.Expect("in", "x")
		c.SetNextID(m.ID)
		c.Publish("out", 2, false, "y")
		other.Expect("out", "y")
		c.Cut()
		c = mqtttest.Dial(t, b.Addr(), late)
		m = c.Expect("in", "x")
		c.Ack(m)
		c.Publish("out", 2, false, "z")
		other.Expect("out", "z")
		c.Cut()
		c = mqtttest.Dial(t, b.Addr(), late)
		c.None(50 * time.Millisecond)
		c.Close()
		other.Close()
	})
}

// Queued messages come in the order in which they were published, also after
// being sent before.
func TestQueueKeepsOrder(t *testing.T) {
	t.Parallel()
	mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) {
		late := mqtttest.ClientOptions{ID: "late", Persistent: true, LateAck: true}
		c := mqtttest.Dial(t, b.Addr(), late)
		c.Subscribe("in", 1)
		c.Cut()
		other := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "other"})
		const n = 20 // as many as mosquitto sends without acknowledgement
		for i := range n / 2 {
			other.Publish("in", 1, false, fmt.Sprint(i))
		}
		for range 3 {
			c = mqtttest.Dial(t, b.Addr(), late)
			for i := range n / 2 {
				c.Expect("in", fmt.Sprint(i))
			}
			c.Cut()
		}
		for i := n / 2; i < n; i++ {
			other.Publish("in", 1, false, fmt.Sprint(i))
		}
		c = mqtttest.Dial(t, b.Addr(), late)
		for i := range n {
			c.Ack(c.Expect("in", fmt.Sprint(i)))
		}
		c.None(50 * time.Millisecond)
		c.Close()
		other.Close()
	})
}

// Nothing is lost that is published at the moment when a session goes on.
func TestResumeUnderLoad(t *testing.T) {
	t.Parallel()
	mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) {
		kept := mqtttest.ClientOptions{ID: "kept", Persistent: true}
		c := mqtttest.Dial(t, b.Addr(), kept)
		c.Subscribe("in", 1)
		const n, ahead = 2000, 200 // not more than can be sent between two cuts
		var arrived atomic.Int64
		published := make(chan struct{})
		go func() {
			defer close(published)
			other := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "other"})
			for i := range n {
				other.Send("in", 1, false, fmt.Sprint(i))
				if i%10 == 0 {
					other.Flush()
				}
				for int(arrived.Load()) < i-ahead && !t.Failed() {
					time.Sleep(time.Millisecond)
				}
			}
			other.Flush()
			other.Close()
		}()
		seen := make(map[string]bool)
		take := func(ms []mqtttest.Message) {
			for _, m := range ms {
				seen[m.Payload] = true
			}
			arrived.Store(int64(len(seen)))
		}
		for running := true; running; {
			select {
			case <-published:
				running = false
			case <-time.After(20 * time.Millisecond):
			}
			c.Cut()
			take(c.Unread())
			c = mqtttest.Dial(t, b.Addr(), kept)
		}
		take(c.Drain(200 * time.Millisecond))
		if len(seen) != n {
			t.Errorf("%d of %d messages arrived", len(seen), n)
		}
		c.Close()
	})
}

// When a client comes back while its old connection still stands, the old last
// will is out before the new connection is up (mosquitto 2.0 leaves it out if
// the session goes on), so that a retained state published then stands.
func TestTakeover(t *testing.T) {
	t.Parallel()
	mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) {
		watch := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "watch"})
		watch.Subscribe("state", 1)
		for _, persistent := range []bool{true, false} {
			opt := mqtttest.ClientOptions{
				ID: fmt.Sprint("c", persistent), Persistent: persistent,
				Will: &mqtttest.Message{Topic: "state", Payload: "offline", QoS: 1, Retain: true},
			}
			old := mqtttest.Dial(t, b.Addr(), opt)
			for i := range 20 {
				c := mqtttest.Dial(t, b.Addr(), opt)
				c.Publish("state", 1, true, fmt.Sprint("online ", i))
				m := watch.Next()
				if m.Payload == "offline" {
					m = watch.Next()
				}
				if want := fmt.Sprint("online ", i); m.Payload != want {
					t.Errorf("state %q, want %q", m.Payload, want)
				}
				// The old one's end must not take the new one along.
				c.Subscribe("own", 0) // so that nothing is unacknowledged at the next takeover
				c.Publish("own", 1, false, "x")
				c.Expect("own", "x")
				old.Cut()
				old = c
			}
			watch.None(50 * time.Millisecond)
			old.Close()
		}
		watch.Close()
	})
}

// Clients of all qualities of service, retained messages and shared
// subscriptions, a hundred at once.
func TestHundredClients(t *testing.T) {
	t.Parallel()
	mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) {
		clients := make([]*mqtttest.Client, 100)
		for i := range clients {
			clients[i] = mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: fmt.Sprint("c", i)})
			clients[i].Subscribe(fmt.Sprintf("to/%d", i), byte(i%3))
			clients[i].Subscribe("$share/g/shared", 1)
		}
		for i, c := range clients {
			to := (i + 1) % len(clients)
			c.Publish(fmt.Sprintf("to/%d", to), byte(i%3), false, fmt.Sprint("from ", i))
			clients[to].Expect(fmt.Sprintf("to/%d", to), fmt.Sprint("from ", i))
		}
		for range clients {
			clients[0].Publish("shared", 1, false, "x")
		}
		got := 0
		mqtttest.Eventually(t, "all shared messages are there", func() bool {
			for _, c := range clients {
				got += len(c.Unread())
			}
			return got >= len(clients)
		})
		if got != len(clients) {
			t.Errorf("%d shared messages, want each of %d once", got, len(clients))
		}
		for _, c := range clients {
			c.Close()
		}
	})
}
