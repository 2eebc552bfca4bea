package mqtttest

import (
	"bufio"
	"net"
	"sync"
	"testing"
	"time"
)

// Direction is a direction through a Proxy.
type Direction int

// The directions, seen from the client.
const (
	Up   Direction = iota // to the broker
	Down                  // to the client
)

// Proxy forwards connections packet by packet and breaks them on demand. Closing
// the own connection of a client is not the same: the client knows of it.
type Proxy struct {
	t      testing.TB
	target string
	tcp    net.Listener

	mu      sync.Mutex
	changed *sync.Cond
	pairs   map[*pair]struct{}
	refuse  bool
	closed  bool
	rules   [2]rules
	work    sync.WaitGroup
}

// rules is what happens to one direction.
type rules struct {
	stalled bool
	delay   time.Duration
	cutAt   map[Type]chan struct{} // armed: cut instead of forwarding a packet of this type
	cutIn   map[Type]chan struct{} // armed: forward half of the packet, then cut
}

type pair struct{ client, broker net.Conn }

// NewProxy starts a proxy in front of a broker.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{t: t, target: target, tcp: tcp, pairs: make(map[*pair]struct{})}
	p.changed = sync.NewCond(&p.mu)
	for i := range p.rules {
		p.rules[i] = rules{cutAt: make(map[Type]chan struct{}), cutIn: make(map[Type]chan struct{})}
	}
	p.work.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.tcp.Addr().String() }

// Connections counts those that are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Refuse makes the proxy hang up on new connections at once, or stops that.
func (p *Proxy) Refuse(on bool) { p.set(func() { p.refuse = on }) }

// Stall stops forwarding in one direction without closing anything, or goes on.
func (p *Proxy) Stall(d Direction, on bool) { p.set(func() { p.rules[d].stalled = on }) }

// Delay holds each packet of one direction for a while.
func (p *Proxy) Delay(d Direction, by time.Duration) { p.set(func() { p.rules[d].delay = by }) }

// CutAt cuts the connection in place of the next packet of a type. The channel
// is closed when that happened; a cut that never happened fails the test.
func (p *Proxy) CutAt(d Direction, kind Type) <-chan struct{} {
	hit := make(chan struct{})
	p.set(func() { p.rules[d].cutAt[kind] = hit })
	return hit
}

// CutIn is CutAt, but forwards the first half of the packet.
func (p *Proxy) CutIn(d Direction, kind Type) <-chan struct{} {
	hit := make(chan struct{})
	p.set(func() { p.rules[d].cutIn[kind] = hit })
	return hit
}

// Cut cuts all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for x := range p.pairs {
		x.cut()
	}
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

// cut closes both sides; errors mean that they are closed.
func (x *pair) cut() {
	_ = x.client.Close()
	_ = x.broker.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.tcp.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.refuse
		p.mu.Unlock()
		if refuse {
			_ = client.Close()
			continue
		}
		broker, err := net.Dial("tcp", p.target)
		if err != nil { // the broker is down: so is the proxy
			_ = client.Close()
			continue
		}
		x := &pair{client, broker}
		p.mu.Lock()
		if p.closed {
			x.cut()
		} else {
			p.pairs[x] = struct{}{}
			p.work.Go(func() { p.pump(x, Up, client, broker) })
			p.work.Go(func() { p.pump(x, Down, broker, client) })
		}
		p.mu.Unlock()
	}
}

// pump forwards one direction until either side ends.
func (p *Proxy) pump(x *pair, d Direction, from, to net.Conn) {
	defer func() {
		x.cut()
		p.set(func() { delete(p.pairs, x) })
	}()
	r := bufio.NewReader(from)
	for {
		packet, err := ReadPacket(r)
		if err != nil {
			return
		}
		whole, hit, delay, ok := p.judge(x, d, packet.Type())
		if !ok {
			return
		}
		time.Sleep(delay)
		b := packet.Bytes()
		if !whole {
			b = b[:len(b)/2]
		}
		if hit != nil {
			defer close(hit)
		}
		if whole || len(b) > 0 {
			if _, err := to.Write(b); err != nil {
				return
			}
		}
		if !whole {
			return
		}
	}
}

// judge waits while the direction is stalled and says what to do with a packet:
// forward it, forward half of it and cut, or (not ok) cut.
func (p *Proxy) judge(x *pair, d Direction, kind Type) (whole bool, hit chan struct{}, delay time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.rules[d]
	for r.stalled && !p.closed {
		if _, open := p.pairs[x]; !open {
			return false, nil, 0, false
		}
		p.changed.Wait()
	}
	if hit := r.cutAt[kind]; hit != nil {
		delete(r.cutAt, kind)
		close(hit)
		return false, nil, 0, false
	}
	if hit := r.cutIn[kind]; hit != nil {
		delete(r.cutIn, kind)
		return false, hit, r.delay, true
	}
	return true, nil, r.delay, !p.closed
}

// close ends the proxy; cuts that were asked for and never happened fail the
// test.
func (p *Proxy) close() {
	_ = p.tcp.Close() // closed once, here
	p.set(func() {
		p.closed = true
		for _, r := range p.rules {
			if n := len(r.cutAt) + len(r.cutIn); n > 0 {
				p.t.Errorf("proxy: %d cuts never happened", n)
			}
		}
		for x := range p.pairs {
			x.cut()
		}
	})
	p.work.Wait()
}
