package mqtttest

import (
	"bufio"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"
)

// ClientOptions is what CONNECT says.
type ClientOptions struct {
	ID         string
	Persistent bool // no clean session
	KeepAlive  time.Duration
	Username   string
	Password   string
	Will       *Message // Topic, Payload, QoS, Retain
	// LateAck leaves acknowledging to the test, by Ack.
	LateAck bool
}

// Client is a client without mercy or magic: it shows messages as they came and
// does nothing by itself but acknowledge. Its methods fail the test on errors.
type Client struct {
	t       testing.TB
	conn    net.Conn
	opt     ClientOptions
	present bool

	mu     sync.Mutex // for writing and lastID
	lastID uint16

	messages chan Message
	replies  chan Packet   // SUBACK, PUBACK, PUBREC, PUBCOMP, PINGRESP
	gone     chan struct{} // closed when the connection has ended
	left     bool
}

// Dial connects and fails the test unless the broker accepts. The client must be
// closed or cut in the test.
func Dial(t testing.TB, addr string, opt ClientOptions) *Client {
	t.Helper()
	c, code := TryDial(t, addr, opt)
	if code != 0 {
		t.Fatalf("client %s: connection refused with code %d", opt.ID, code)
	}
	return c
}

// TryDial connects and gives the return code of CONNACK, or 255 if the broker
// hung up; the client is nil unless the code is 0.
func TryDial(t testing.TB, addr string, opt ClientOptions) (*Client, byte) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{
		t: t, conn: conn, opt: opt,
		// Room for all that a test leaves unread, so that reading never stops.
		messages: make(chan Message, 1<<14), replies: make(chan Packet, 1<<12), gone: make(chan struct{}),
	}
	c.send(connectPacket(opt))
	r := bufio.NewReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	p, err := ReadPacket(r)
	_ = conn.SetReadDeadline(time.Time{})
	if err != nil || p.Type() != Connack || len(p.Body) != 2 {
		_ = conn.Close()
		return nil, 255
	}
	if p.Body[1] != 0 {
		_ = conn.Close()
		return nil, p.Body[1]
	}
	c.present = p.Body[0]&1 != 0
	go c.read(r)
	t.Cleanup(func() {
		if !c.left {
			t.Errorf("client %s: neither closed nor cut", opt.ID)
			_ = conn.Close()
		}
	})
	return c, 0
}

func connectPacket(opt ClientOptions) Packet {
	var flags byte
	if !opt.Persistent {
		flags |= 1 << 1
	}
	payload := text(nil, opt.ID)
	if w := opt.Will; w != nil {
		flags |= 1<<2 | w.QoS<<3
		if w.Retain {
			flags |= 1 << 5
		}
		payload = text(text(payload, w.Topic), w.Payload)
	}
	if opt.Username != "" {
		flags |= 1<<7 | 1<<6
		payload = text(text(payload, opt.Username), opt.Password)
	}
	body := append(text(nil, "MQTT"), 4, flags)
	body = binary.BigEndian.AppendUint16(body, uint16(opt.KeepAlive/time.Second))
	return Packet{First: byte(Connect) << 4, Body: append(body, payload...)}
}

// SessionPresent reports whether the broker knew the session.
func (c *Client) SessionPresent() bool { return c.present }

// Gone is closed when the connection has ended.
func (c *Client) Gone() <-chan struct{} { return c.gone }

func (c *Client) read(r *bufio.Reader) {
	defer close(c.gone)
	for {
		p, err := ReadPacket(r)
		if err != nil {
			return
		}
		switch p.Type() {
		case Publish:
			m, err := p.message()
			if err != nil {
				c.t.Errorf("client %s: %v", c.opt.ID, err)
				return
			}
			c.messages <- m
			if !c.opt.LateAck {
				c.Ack(m)
			}
		case Pubrel:
			c.send(Packet{First: byte(Pubcomp) << 4, Body: p.Body})
		default:
			c.replies <- p
		}
	}
}

// send ignores a connection that has ended; the test sees that elsewhere.
func (c *Client) send(p Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.conn.Write(p.Bytes())
}

func (c *Client) nextID() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastID++; c.lastID == 0 {
		c.lastID = 1
	}
	return c.lastID
}

// SetNextID chooses the packet identifier of the next own packet.
func (c *Client) SetNextID(id uint16) { c.lastID = id - 1 }

// await waits for the reply to an own packet.
func (c *Client) await(kind Type, id uint16) Packet {
	c.t.Helper()
	select {
	case p := <-c.replies:
		if p.Type() != kind || p.id() != id {
			c.t.Fatalf("client %s: got packet type %d for %d, want %d for %d", c.opt.ID, p.Type(), p.id(), kind, id)
		}
		return p
	case <-c.gone:
		c.t.Fatalf("client %s: connection ended while waiting for packet type %d", c.opt.ID, kind)
	case <-time.After(patience):
		c.t.Fatalf("client %s: no packet of type %d", c.opt.ID, kind)
	}
	return Packet{}
}

// Barrier waits until the broker has handled everything that was sent before. A
// PUBACK alone does not say that: the embedded broker sends it before it passes
// the message on, and a SUBACK before the retained messages.
func (c *Client) Barrier() {
	c.t.Helper()
	c.send(Packet{First: byte(Pingreq) << 4})
	c.await(Pingresp, 0)
}

// Subscribe subscribes and fails the test if the broker refuses. Then the
// subscription is in force and retained messages are on their way.
func (c *Client) Subscribe(filter string, qos byte) {
	c.t.Helper()
	id := c.nextID()
	body := append(text(binary.BigEndian.AppendUint16(nil, id), filter), qos)
	c.send(Packet{First: byte(Subscribe)<<4 | 2, Body: body})
	p := c.await(Suback, id)
	if len(p.Body) != 3 || p.Body[2] > 2 {
		c.t.Fatalf("client %s: subscription to %s refused: % x", c.opt.ID, filter, p.Body)
	}
	c.Barrier()
}

// Send sends a PUBLISH and does not wait; it gives the packet identifier.
func (c *Client) Send(topic string, qos byte, retain bool, payload string) uint16 {
	first := byte(Publish)<<4 | qos<<1
	if retain {
		first |= 1
	}
	body := text(nil, topic)
	var id uint16
	if qos > 0 {
		id = c.nextID()
		body = binary.BigEndian.AppendUint16(body, id)
	}
	c.send(Packet{First: first, Body: append(body, payload...)})
	return id
}

// Publish publishes and waits until the broker has taken the message, and passed
// it on to who is there.
func (c *Client) Publish(topic string, qos byte, retain bool, payload string) {
	c.t.Helper()
	id := c.Send(topic, qos, retain, payload)
	switch qos {
	case 1:
		c.await(Puback, id)
	case 2:
		c.await(Pubrec, id)
		c.send(Packet{First: byte(Pubrel)<<4 | 2, Body: binary.BigEndian.AppendUint16(nil, id)})
		c.await(Pubcomp, id)
	}
	c.Barrier()
}

// Flush waits until the broker has handled everything that was sent before, and
// forgets its replies to that, such as those to Send.
func (c *Client) Flush() {
	c.t.Helper()
	c.send(Packet{First: byte(Pingreq) << 4})
	for end := time.After(patience); ; {
		select {
		case p := <-c.replies:
			if p.Type() == Pingresp {
				return
			}
		case <-c.gone:
			c.t.Errorf("client %s: connection ended", c.opt.ID)
			return
		case <-end:
			c.t.Errorf("client %s: no reply", c.opt.ID)
			return
		}
	}
}

// Ack acknowledges a message.
func (c *Client) Ack(m Message) {
	kind := Puback
	switch m.QoS {
	case 0:
		return
	case 2:
		kind = Pubrec
	}
	c.send(Packet{First: byte(kind) << 4, Body: binary.BigEndian.AppendUint16(nil, m.ID)})
}

// Next gives the next message.
func (c *Client) Next() Message {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(patience):
		c.t.Fatalf("client %s: no message", c.opt.ID)
		return Message{}
	}
}

// Expect gives the next message and fails the test unless topic and payload are
// as wanted.
func (c *Client) Expect(topic, payload string) Message {
	c.t.Helper()
	m := c.Next()
	if m.Topic != topic || m.Payload != payload {
		c.t.Fatalf("client %s: got %.80q on %s, want %.80q on %s", c.opt.ID, m.Payload, m.Topic, payload, topic)
	}
	return m
}

// None fails the test if a message comes within d.
func (c *Client) None(d time.Duration) {
	c.t.Helper()
	select {
	case m := <-c.messages:
		c.t.Fatalf("client %s: got %.80q on %s, want nothing", c.opt.ID, m.Payload, m.Topic)
	case <-time.After(d):
	}
}

// Drain gives all messages until none comes for d.
func (c *Client) Drain(d time.Duration) []Message {
	var out []Message
	for {
		select {
		case m := <-c.messages:
			out = append(out, m)
		case <-time.After(d):
			return out
		}
	}
}

// Unread gives the messages that are there now.
func (c *Client) Unread() []Message {
	var out []Message
	for {
		select {
		case m := <-c.messages:
			out = append(out, m)
		default:
			return out
		}
	}
}

// Cut ends the connection without a word, so that the last will is due. Unread
// messages are forgotten.
func (c *Client) Cut() {
	c.left = true
	_ = c.conn.Close() // may have ended
	<-c.gone
}

// Close says goodbye and fails the test if there are messages that it has not
// read.
func (c *Client) Close() {
	c.t.Helper()
	c.send(Packet{First: byte(Disconnect) << 4})
	c.Cut()
	select {
	case m := <-c.messages:
		c.t.Errorf("client %s: left over: %.80q on %s", c.opt.ID, m.Payload, m.Topic)
	default:
	}
}
