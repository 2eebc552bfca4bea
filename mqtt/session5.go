package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// What a broker that does not speak MQTT 5 does: it says so, or hangs up.
var (
	errVersion = errors.New("broker does not speak MQTT 5")
	errHungUp  = errors.New("broker hangs up instead of an answer")
)

// session5 is one connection of MQTT 5.0. Packets are written and read by
// github.com/eclipse/paho.golang/packets v0.23.0; the few states of a client that
// neither resumes packets nor uses QoS 2 are here, since that module's client
// acknowledges, pings and resumes by rules of its own.
type session5 struct {
	base
	limit     int // of messages in flight, as the broker says
	maxPacket int // bytes, as the broker says
	keepAlive time.Duration
	subacked  chan *packets.Suback
	end       chan struct{} // closed by abandon
	once      sync.Once

	writing  sync.Mutex
	sent     atomic.Int64 // when the last packet went out, and came in, in ns
	received atomic.Int64

	flying sync.Mutex
	lastID uint16
	flight map[uint16]*item
}

func newSession5(l *Link) *session5 {
	s := &session5{subacked: make(chan *packets.Suback, 1), end: make(chan struct{}), flight: make(map[uint16]*item)}
	s.init(l)
	return s
}

func (s *session5) window() int { return s.limit }

// connect is that of session. It returns errVersion or errHungUp if another version
// is worth a try.
func (s *session5) connect(ctx context.Context) error {
	dialling, cancel := context.WithTimeout(ctx, s.link.cfg.ConnectTimeout)
	defer cancel()
	c, err := s.open(dialling)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	stop := context.AfterFunc(dialling, s.closeConn)
	ack, err := s.introduce(c)
	stop()
	if dialling.Err() != nil {
		err = errors.Join(dialling.Err(), err)
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if ack.ReasonCode >= failure {
		return fmt.Errorf("%w: %s", ErrRefused, reason(ack.ReasonCode, ack.Reason(), ack.Properties))
	}
	s.agree(ack)
	go s.line.run()
	go s.read(c)
	go s.ping()
	return s.subscribe(ctx)
}

// failure is the first reason code of a refusal (MQTT 5.0, section 2.4).
const failure = 0x80

// introduce sends CONNECT and waits for the answer.
func (s *session5) introduce(c *conn) (*packets.Connack, error) {
	if err := s.write(s.introduction()); err != nil {
		return nil, err
	}
	f, err := readFrame(c.in, maxControl5)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return nil, fmt.Errorf("%w: %w", errHungUp, err)
	case err != nil:
		return nil, err
	}
	// An older broker answers in its own form, of two bytes (MQTT 3.1.1, section 3.2).
	if f.kind() == packets.CONNACK && len(f.body) == 2 && f.body[1] != 0 {
		return nil, errVersion
	}
	p, err := f.decode()
	if err != nil {
		return nil, err
	}
	ack, ok := p.(*packets.Connack)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: type %d instead of CONNACK", errPacket, f.kind())
	case ack.ReasonCode == packets.ConnackUnsupportedProtocolVersion:
		return nil, errVersion
	}
	return ack, nil
}

func (s *session5) introduction() *packets.Connect {
	cfg := &s.link.cfg
	p := &packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: cfg.ClientID, KeepAlive: uint16(cfg.KeepAlive / time.Second),
		CleanStart: cfg.CleanSession, Properties: &packets.Properties{},
		UsernameFlag: cfg.Username != "", Username: cfg.Username, PasswordFlag: len(cfg.Password) > 0, Password: cfg.Password,
	}
	if !cfg.CleanSession { // until the broker forgets it, as in 3.1.1
		p.Properties.SessionExpiryInterval = new(uint32(math.MaxUint32))
	}
	if cfg.StatusTopic != "" {
		p.WillFlag, p.WillTopic, p.WillMessage, p.WillQOS, p.WillRetain = true, cfg.StatusTopic, cfg.Offline, 1, true
		p.WillProperties = &packets.Properties{}
	}
	return p
}

// agree takes over what the broker says of itself (MQTT 5.0, section 3.2.2.3).
func (s *session5) agree(ack *packets.Connack) {
	cfg := &s.link.cfg
	s.present, s.limit, s.maxPacket, s.keepAlive = ack.SessionPresent, cfg.MaxInFlight, math.MaxInt, cfg.KeepAlive
	if n := ack.Properties.ReceiveMaximum; n != nil {
		s.limit = max(1, min(s.limit, int(*n)))
	}
	if n := ack.Properties.MaximumPacketSize; n != nil {
		s.maxPacket = int(*n)
	}
	if n := ack.Properties.ServerKeepAlive; n != nil {
		s.keepAlive = time.Duration(*n) * time.Second // 0 is none
	}
}

// subscribe asks for all subscriptions, on each connection: a broker that was
// restarted has forgotten them.
func (s *session5) subscribe(ctx context.Context) error {
	cfg := &s.link.cfg
	if len(cfg.Subscriptions) == 0 {
		return nil
	}
	p := &packets.Subscribe{Properties: &packets.Properties{}, PacketID: 1}
	for _, sub := range cfg.Subscriptions {
		p.Subscriptions = append(p.Subscriptions, packets.SubOptions{Topic: sub.Filter, QoS: sub.QoS})
	}
	if err := s.write(p); err != nil {
		return fmt.Errorf("subscribe: %w", s.cause(err))
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	select {
	case ack := <-s.subacked:
		if len(ack.Reasons) != len(cfg.Subscriptions) {
			return fmt.Errorf("subscribe: %w: SUBACK for %d subscriptions, not %d", errPacket, len(ack.Reasons), len(cfg.Subscriptions))
		}
		for i, code := range ack.Reasons {
			if code >= failure {
				return fmt.Errorf("%w: %s: %s", ErrSubscribe, cfg.Subscriptions[i].Filter, reason(code, ack.Reason(i), ack.Properties))
			}
		}
		return nil
	case err := <-s.lost:
		return fmt.Errorf("subscribe: %w", err)
	case <-ctx.Done():
		return fmt.Errorf("subscribe: %w", ctx.Err())
	}
}

// write sends a packet in one call of Write.
func (s *session5) write(p io.WriterTo) error {
	b, err := encodePacket(p)
	if err != nil {
		return err
	}
	return s.send(b)
}

func (s *session5) send(b []byte) error {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, err := c.Write(b); err != nil {
		return err
	}
	s.sent.Store(time.Now().UnixNano())
	return nil
}

// publish is that of session. A message that the broker cannot take fails, and the
// connection goes on.
func (s *session5) publish(it *item) error {
	p := &packets.Publish{Topic: it.topic, QoS: it.qos, Retain: it.retain, Payload: it.payload, Properties: &packets.Properties{CorrelationData: it.related}}
	if it.qos > 0 {
		p.PacketID = s.fly(it)
	}
	b, err := encodePacket(p)
	if err == nil && len(b) > s.maxPacket {
		err = fmt.Errorf("%w: with its topic it has %d bytes, the broker takes %d", ErrMessage, len(b), s.maxPacket)
	}
	if err != nil {
		s.land(p.PacketID)
		s.link.pending.refused(it, err)
		return nil
	}
	if err := s.send(b); err != nil {
		return fmt.Errorf("publish to %q: %w", it.topic, err)
	}
	return nil
}

// fly gives a message a packet identifier that is free: 0 is none, and 1 is that of
// SUBSCRIBE.
func (s *session5) fly(it *item) uint16 {
	s.flying.Lock()
	defer s.flying.Unlock()
	for {
		s.lastID = max(s.lastID+1, 2)
		if _, taken := s.flight[s.lastID]; !taken {
			s.flight[s.lastID] = it
			return s.lastID
		}
	}
}

// land takes the message of a packet identifier out of flight; nil is none.
func (s *session5) land(id uint16) *item {
	s.flying.Lock()
	defer s.flying.Unlock()
	it := s.flight[id]
	delete(s.flight, id)
	return it
}

// read takes packets until the connection ends, and says why it did.
func (s *session5) read(c *conn) {
	var err error
	for err == nil {
		err = s.readOne(c)
	}
	c.failed.Store(true)
	s.lose(err)
}

func (s *session5) lose(err error) {
	select {
	case s.lost <- err:
	default: // the first reason counts
	}
}

func (s *session5) readOne(c *conn) error {
	f, err := readFrame(c.in, c.maxPublish+maxControl5)
	if err != nil {
		return err
	}
	s.received.Store(time.Now().UnixNano())
	p, err := f.decode()
	if err != nil {
		return err
	}
	switch p := p.(type) {
	case *packets.Publish:
		return s.take(p, &f)
	case *packets.Puback:
		s.taken(p)
	case *packets.Suback:
		select {
		case s.subacked <- p:
		default:
			return fmt.Errorf("%w: SUBACK that nobody asked for", errPacket)
		}
	case *packets.Pingresp:
	case *packets.Disconnect:
		return fmt.Errorf("the broker ends the connection: %s", reason(p.ReasonCode, p.Reason(), p.Properties))
	default:
		return fmt.Errorf("%w: type %d", errPacket, f.kind())
	}
	return nil
}

// take passes a message on.
func (s *session5) take(p *packets.Publish, f *frame) error {
	if p.Topic == "" || p.QoS > 1 {
		return fmt.Errorf("%w: PUBLISH without a topic or of QoS %d", errPacket, p.QoS)
	}
	m := Message{
		Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retained: p.Retain, Duplicate: p.Duplicate,
		ResponseTopic: p.Properties.ResponseTopic, Correlation: p.Properties.CorrelationData,
	}
	if n := p.Properties.MessageExpiry; n != nil {
		m.Expiry = max(time.Duration(*n)*time.Second, time.Nanosecond) // 0 would be none
	}
	switch most := s.link.cfg.MaxInbound + 1; {
	case f.cut && len(m.Payload) < most:
		m.Payload = make([]byte, most) // its properties took the room
	case len(m.Payload) > most:
		m.Payload = bytes.Clone(m.Payload[:most])
	}
	s.deliver(m, func() {
		if p.QoS > 0 { // an error will come to the reader too
			_ = s.write(&packets.Puback{PacketID: p.PacketID, Properties: &packets.Properties{}})
		}
	})
	return nil
}

// taken is told of a PUBACK.
func (s *session5) taken(p *packets.Puback) {
	it := s.land(p.PacketID)
	switch {
	case it == nil: // of a message whose publisher has given up
	case p.ReasonCode < failure:
		s.link.pending.acked(it)
	default:
		s.link.pending.refused(it, fmt.Errorf("%w: %s", ErrUnwanted, reason(p.ReasonCode, p.Reason(), p.Properties)))
	}
}

// ping keeps the connection alive, and ends it when nothing comes any more (MQTT
// 5.0, section 3.1.2.10).
func (s *session5) ping() {
	if s.keepAlive <= 0 {
		return
	}
	tick := time.NewTicker(max(s.keepAlive/4, time.Millisecond))
	defer tick.Stop()
	s.received.Store(time.Now().UnixNano())
	var asked time.Time // a ping that is not answered
	for {
		select {
		case <-s.end:
			return
		case <-tick.C:
		}
		now, received := time.Now(), time.Unix(0, s.received.Load())
		if received.After(asked) {
			asked = time.Time{}
		}
		late := s.keepAlive / 2
		switch {
		case !asked.IsZero() && now.Sub(asked) >= min(s.link.cfg.KeepAlive, pingTimeout):
			s.lose(errors.New("no answer to a ping"))
			s.closeConn()
			return
		case asked.IsZero() && (now.Sub(received) >= late || now.Sub(time.Unix(0, s.sent.Load())) >= late):
			asked = now
			if s.send([]byte{packets.PINGREQ << 4, 0}) != nil {
				return // the reader says why
			}
		}
	}
}

// disconnect says goodbye.
func (s *session5) disconnect() {
	_ = s.write(&packets.Disconnect{Properties: &packets.Properties{}}) // there is nobody left to tell
	s.closeConn()
}

// abandon is that of session.
func (s *session5) abandon() {
	s.once.Do(func() { close(s.end) })
	s.line.close()
	s.closeConn()
}

// reason says why the broker refuses: its own words, or the code's.
func reason(code byte, words string, p *packets.Properties) string {
	if p != nil && p.ReasonString != "" {
		return fmt.Sprintf("%s (code %#x)", p.ReasonString, code)
	}
	if words == "" {
		return fmt.Sprintf("code %#x", code)
	}
	short, _, _ := bytes.Cut([]byte(words), []byte(" - "))
	return fmt.Sprintf("%s (code %#x)", bytes.ToLower(short), code)
}
