package mqtt

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// fakeNet is a net.Conn of which only reading is used here.
type fakeNet struct {
	net.Conn
	io.Reader
}

func (f fakeNet) Read(p []byte) (int, error) { return f.Reader.Read(p) }

// limited is the conn of a client with short limits and one subscription.
func limited(in io.Reader) *conn {
	cfg := Defaults("tcp://x:1", "x")
	cfg.MaxInbound = 1000
	cfg.Subscriptions = []Subscription{{Filter: "a"}}
	return newConn(fakeNet{Reader: in}, &cfg)
}

// packet builds a control packet with a body of n bytes.
func packet(kind byte, n int) []byte {
	return append(appendLength([]byte{kind << 4}, n), bytes.Repeat([]byte{7}, n)...)
}

func TestConnPasses(t *testing.T) {
	long := 1001 + publishSlack
	var in, want []byte
	for _, p := range []struct {
		kind   byte
		n, out int
	}{
		{2, 2, 2},
		{typeSuback, 3, 3},
		{4, 2, 2},
		{13, 0, 0},
		{4, maxControl, maxControl},
		{typePublish, 0, 0},
		{typePublish, 127, 127},
		{typePublish, 128, 128},
		{typePublish, 16384, 16384},
		{typePublish, long, long},
		{typePublish, long + 1, long},
		{typePublish, 1 << 20, long},
		{typePublish, 3, 3},
	} {
		in = append(in, packet(p.kind, p.n)...)
		want = append(want, packet(p.kind, p.out)...)
	}
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(in), "byte by byte": iotest.OneByteReader(bytes.NewReader(in)), "halves": iotest.HalfReader(bytes.NewReader(in)),
	} {
		c := limited(r)
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes (%v), want %d", name, len(got), err, len(want))
		}
		if !c.failed.Load() {
			t.Errorf("%s: the end of the stream was not noted", name)
		}
	}
}

func TestConnRefuses(t *testing.T) {
	for name, in := range map[string][]byte{
		"length of 5 bytes":         {typePublish << 4, 0xff, 0xff, 0xff, 0xff, 1},
		"long CONNACK":              packet(2, maxControl+1),
		"SUBACK with two codes":     packet(typeSuback, 4),
		"SUBACK without code":       packet(typeSuback, 2),
		"SUBACK without identifier": packet(typeSuback, 0),
	} {
		c := limited(bytes.NewReader(in))
		if _, err := io.ReadAll(c); !errors.Is(err, errPacket) || !c.failed.Load() {
			t.Errorf("%s: error %v, want errPacket", name, err)
		}
	}
	// Ends in the middle of a packet.
	for _, in := range [][]byte{{0x30}, {0x30, 0x80}, {0x30, 5, 0}} {
		c := limited(bytes.NewReader(in))
		for {
			if _, err := packets.ReadPacket(c); err != nil {
				break
			}
		}
		if !c.failed.Load() {
			t.Errorf("% x: the end was not noted", in)
		}
	}
}

func TestConnWriteDeadline(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	raw, err := net.Dial("tcp", l.Addr().String()) // nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	cfg := Defaults("tcp://x:1", "x")
	cfg.WriteTimeout = 50 * time.Millisecond
	c := newConn(raw, &cfg)
	start := time.Now()
	for err == nil && time.Since(start) < 10*time.Second {
		_, err = c.Write(make([]byte, 1<<20))
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || !c.failed.Load() {
		t.Errorf("error %v, want a timeout", err)
	}
}

// FuzzConn: whatever a broker sends, paho reads packets of bounded size or an
// error, and never panics.
func FuzzConn(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x90, 3, 0, 1, 0})
	f.Add([]byte{0x32, 7, 0, 1, 'a', 0, 1, 'x', 'y', 0x40, 2, 0, 1})
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, in []byte) {
		c := limited(bytes.NewReader(in))
		for {
			p, err := packets.ReadPacket(c)
			if err != nil {
				return
			}
			switch p := p.(type) {
			case *packets.PublishPacket:
				if len(p.TopicName)+len(p.Payload) > c.maxPublish {
					t.Fatalf("PUBLISH with a topic of %d and a payload of %d bytes", len(p.TopicName), len(p.Payload))
				}
			case *packets.SubackPacket:
				if len(p.ReturnCodes) != 1 {
					t.Fatalf("SUBACK with codes % x", p.ReturnCodes)
				}
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	lo, hi := 500*time.Millisecond, time.Minute
	for _, tt := range []struct {
		failures int
		most     time.Duration
	}{
		{1, time.Second}, {2, 2 * time.Second}, {6, 32 * time.Second}, {7, time.Minute}, {29, time.Minute}, {30, time.Minute}, {1000, time.Minute},
	} {
		if got := backoff(tt.failures, lo, hi, 0); got != 0 {
			t.Errorf("after %d failures: at least %v, want 0", tt.failures, got)
		}
		if got := backoff(tt.failures, lo, hi, 0.5); got != tt.most/2 {
			t.Errorf("after %d failures: half-way %v, want %v", tt.failures, got, tt.most/2)
		}
	}
}

// order lists what pending would send now.
func order(p *pending) string {
	var out []byte
	for it := p.next(time.Now()); it != nil; it = p.next(time.Now()) {
		out = append(out, it.topic...)
	}
	return string(out)
}

func TestPendingOverLosses(t *testing.T) {
	cfg := Defaults("tcp://x:1", "x")
	cfg.MaxInFlight, cfg.MaxDeltas = 3, 2
	p := newPending(&cfg)
	items := map[string]*item{}
	put := func(topic string, qos byte) error {
		items[topic] = newItem(topic, qos, false, nil)
		return p.put(items[topic])
	}
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	must(put("0", 0), ErrDropped) // offline
	p.up(cfg.MaxInFlight)
	for _, s := range []string{"a", "b", "c", "d"} {
		must(put(s, 1), nil)
	}
	must(put("1", 0), nil)
	must(put("2", 0), nil)
	must(put("3", 0), ErrDropped) // no room
	want(order(p), "abc")
	p.acked(items["b"])
	want(order(p), "d12")
	must(put("4", 0), nil)
	p.acked(items["b"]) // a second PUBACK does nothing
	p.down()
	p.up(cfg.MaxInFlight)
	p.announce(newItem("s", 1, true, nil), true)
	want(order(p), "sac")
	p.down() // the status is not sent again, and now a and c go alone
	p.up(cfg.MaxInFlight)
	want(order(p), "a")
	p.acked(items["a"])
	want(order(p), "c")
	for range maxAttempts - 3 {
		p.down()
		want(order(p), "c")
	}
	p.down()
	<-items["c"].done
	must(items["c"].err, ErrRejected)
	want(order(p), "d")
	p.withdraw(items["d"], io.ErrUnexpectedEOF)
	must(items["d"].err, io.ErrUnexpectedEOF)
	must(put("e", 1), nil)
	p.end()
	must(items["e"].err, ErrClosed)
	must(put("f", 1), ErrClosed)
	if !p.empty() {
		t.Error("something is left")
	}
	if p.dropped != 3 {
		t.Errorf("%d dropped, want 3", p.dropped)
	}
}

// The order holds with acknowledgements in any order.
func TestPendingKeepsOrder(t *testing.T) {
	cfg := Defaults("tcp://x:1", "x")
	cfg.MaxInFlight = 8
	p := newPending(&cfg)
	p.up(cfg.MaxInFlight)
	var all []*item
	for i := range 26 {
		it := newItem(string(rune('a'+i)), 1, false, nil)
		all = append(all, it)
		if err := p.put(it); err != nil {
			t.Fatal(err)
		}
	}
	sent := []byte(order(p))
	for round := 0; !p.empty(); round++ {
		if round%3 == 2 {
			p.down()
			p.up(cfg.MaxInFlight)
			again := []byte(order(p))
			if !slices.IsSorted(again) {
				t.Fatalf("sent again in the order %s", again)
			}
		}
		p.mu.Lock()
		last := p.flight[len(p.flight)-1]
		p.mu.Unlock()
		p.acked(last)
		for _, c := range []byte(order(p)) {
			if !slices.Contains(sent, c) {
				sent = append(sent, c)
			}
		}
	}
	for _, it := range all {
		if it.err != nil {
			t.Errorf("%s: %v", it.topic, it.err)
		}
	}
	if !slices.IsSorted(sent) || len(sent) != len(all) {
		t.Errorf("first sent in the order %s", sent)
	}
}
