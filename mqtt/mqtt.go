// Package mqtt keeps one connection to an MQTT broker, in version 5.0 of the
// protocol where the broker speaks it and 3.1.1 where not: it comes back after
// every loss, subscribes anew, announces the device, and knows which messages
// the broker has really taken. It says nothing about what messages mean; names
// are in mqtt/topic, forms in mqtt/message.
//
// MQTT 3.1.1 is spoken by github.com/eclipse/paho.mqtt.golang v1.5.1, of which
// little is used: a new paho client for each connection, no reconnecting and no
// storing by paho, acknowledgements by hand. The comments give the reasons; they
// come from its source, read 2026-11. Of MQTT 5.0 the packets are those of
// github.com/eclipse/paho.golang v0.23.0; decision record 0021 says why.
//
// What it promises:
//
//   - Publish at QoS 1 returns nil only after a PUBACK. A message without one is
//     sent again on the next connection, in the old order, so it arrives at least
//     once.
//   - Publish at QoS 0 never waits; without connection or room the message is
//     dropped.
//   - A message from the broker is acknowledged when the handler is done with it,
//     not before. It may come twice, also while the first copy is in work.
//   - Messages go to the handler one at a time, in the broker's order.
//   - Everything is bounded, in number and in bytes.
package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"siskin/mqtt/topic"
)

// Client is a connection to a broker that lasts. Link is the one implementation;
// the interface is for those who only publish.
type Client interface {
	// Run keeps the connection until ctx is done or Close is called, and then
	// says goodbye. It may be called once. It returns nil after a goodbye, or the
	// last error when Config.Attempts are used up. When it has returned, Config.Handler
	// is not running and will not be called again.
	Run(ctx context.Context) error
	// Publish sends a message. At QoS 1 it waits until the broker has taken the
	// message, however often the connection breaks meanwhile. It fails with the
	// error of ctx (then the message may or may not arrive), ErrClosed,
	// ErrRejected, ErrMessage; at QoS 0 also with ErrDropped, and nil only means
	// that the message is on its way. The payload must not be changed until
	// Publish has returned, at QoS 0 never.
	Publish(ctx context.Context, topic string, qos byte, retain bool, payload []byte) error
	// Send is Publish for a message with more to it.
	Send(ctx context.Context, m Outgoing) error
	// Connected reports whether the broker can be reached now: it is connected
	// and all subscriptions are in force.
	Connected() bool
	// Close ends Run in good order and waits for it. It may be called more than
	// once, also without Run. It never fails; the error is for io.Closer.
	Close() error
}

// Errors while publishing.
var (
	// ErrMessage means that no broker would take such a message.
	ErrMessage = errors.New("message cannot be published")
	// ErrDropped means that a message of QoS 0 was not sent.
	ErrDropped = errors.New("message of QoS 0 dropped")
	// ErrRejected means that the connection was lost so often right after this
	// message that the broker seems to hang up because of it.
	ErrRejected = errors.New("broker does not take the message")
	// ErrUnwanted means that the broker has refused the message and said why, which
	// only one of MQTT 5 does: others acknowledge what they throw away.
	ErrUnwanted = errors.New("broker refuses the message")
	// ErrClosed means that the client has been closed, or that Run has ended.
	ErrClosed = errors.New("mqtt client is closed")
)

// Errors while connecting; Run logs them, and returns them when it gives up.
var (
	// ErrRefused means that the broker does not let the client in.
	ErrRefused = errors.New("broker refuses the connection")
	// ErrSubscribe means that the broker does not allow a subscription.
	ErrSubscribe = errors.New("broker refuses a subscription")
	// ErrRan is returned by a second Run.
	ErrRan = errors.New("mqtt client ran already")
)

// Message is a message from the broker.
type Message struct {
	Topic string
	// Payload is cut, but still longer than Config.MaxInbound, if the message is
	// longer than that. It belongs to the receiver.
	Payload  []byte
	QoS      byte
	Retained bool
	// Duplicate says that the broker has sent the message before. A copy may
	// come without it, for example after a restart of the broker.
	Duplicate bool
	// Of MQTT 5, where the sender has given them: where it wants the answer and what
	// is to come back with it, and how long the message is still of use; 0 is for
	// ever.
	ResponseTopic string
	Correlation   []byte
	Expiry        time.Duration
	ack           func()
}

// Outgoing is a message to publish.
type Outgoing struct {
	Topic   string
	QoS     byte
	Retain  bool
	Payload []byte
	// Correlation is what the sender of a request wants back, MaxCorrelation bytes at
	// most. It goes out with MQTT 5 only; nil is none.
	Correlation []byte
}

// MaxCorrelation is the longest correlation data, in bytes (MQTT 5.0, section 1.5.6).
const MaxCorrelation = 1<<16 - 1

// Ack tells the broker that it need not send the message again; call it once
// the message is safe. The broker hears of messages in the order in which they
// came. It matters with Config.LateAck only. After a loss of the connection it
// does nothing, and the broker sends the message again.
func (m Message) Ack() {
	if m.ack != nil {
		m.ack()
	}
}

// Subscription is a topic filter and the highest quality of service wanted.
type Subscription struct {
	Filter string
	QoS    byte
}

// TLS says how to know the broker and how to be known to it.
type TLS struct {
	CAFile     string // PEM; "" is the system's roots
	CertFile   string // PEM; own certificate, or ""
	KeyFile    string // PEM; its key
	ServerName string // name in the broker's certificate; "" is the host of Broker
}

// Versions of the protocol. ProtocolAuto is 5.0 where the broker speaks it, and 3.1.1
// where it says that it does not, or hangs up.
const (
	ProtocolAuto = ""
	Protocol5    = "5"
	Protocol3    = "3.1.1"
)

// Config says which broker, and what to do there. Start from Defaults.
type Config struct {
	// Broker is scheme://host:port; the scheme is tcp or mqtt, or ssl, tls or
	// mqtts for TLS, or ws or wss for a WebSocket, with a path. The port may be left
	// out. A socket of this machine is unix:///path.
	Broker string
	// Fallbacks are brokers to try, in this order, when one cannot be reached. The
	// one that can is kept until it is lost.
	Fallbacks []string
	// Protocol is the version to speak: ProtocolAuto, Protocol5 or Protocol3.
	Protocol string
	// ClientID names the session at the broker; it must be unique there.
	ClientID string
	// CleanSession asks the broker to forget everything at a disconnect. Without
	// it messages of QoS 1 wait there while this client is away.
	CleanSession bool
	Username     string // "" for none
	Password     []byte
	TLS          TLS // only with a scheme that uses it

	Subscriptions []Subscription
	// Handler gets the messages. It must return soon, since nothing else is read
	// from the broker meanwhile, and it must never wait for Publish at QoS 1,
	// whose PUBACK could not come, nor for Close, which waits for it. Nil if there are no subscriptions.
	Handler func(Message)
	// LateAck leaves acknowledging to the handler, by Message.Ack, at any time;
	// otherwise its return acknowledges. A broker stops sending after some
	// unacknowledged messages (mosquitto: 20), so do not hold them for long.
	LateAck bool
	// KeepRetained passes retained messages on. Otherwise they are acknowledged
	// and dropped: a command that the broker keeps would be carried out again at
	// each connection.
	KeepRetained bool

	// StatusTopic gets Online(), retained, on each connection before anything
	// else, and Offline when the client is closed and as the last will; "" for
	// none.
	StatusTopic string
	Online      func() []byte
	Offline     []byte

	// Up is called on each connection, when its subscriptions are in force. It
	// must not wait for the link.
	Up func()

	KeepAlive      time.Duration // whole seconds; a dead connection is noticed within KeepAlive and 15 s more
	ConnectTimeout time.Duration // for each of: connecting, TLS and CONNACK together, subscribing
	WriteTimeout   time.Duration // for one packet
	AckTimeout     time.Duration // without PUBACK for so long, connect anew
	CloseTimeout   time.Duration // for the last messages and the goodbye
	// BackoffMin and BackoffMax bound the pauses between attempts: the nth is
	// random between 0 and the smaller of BackoffMin·2ⁿ and BackoffMax.
	BackoffMin, BackoffMax time.Duration
	// Attempts is how many in a row may fail before Run gives up; 0 is no limit.
	Attempts int

	MaxWaiting  int // QoS 1: messages not yet taken by the broker; Publish waits beyond it
	MaxInFlight int // QoS 1: of these, sent and without PUBACK
	MaxDeltas   int // QoS 0: messages not yet sent; dropped beyond it
	MaxOutbound int // bytes of a payload to send
	MaxInbound  int // bytes of a payload from the broker that arrive whole

	// Logger gets losses and returns of the connection; nil is silent.
	Logger *slog.Logger
}

// Defaults gives a configuration for a device that wants its messages kept
// while it is away.
func Defaults(broker, clientID string) Config {
	return Config{
		Broker:         broker,
		ClientID:       clientID,
		KeepAlive:      30 * time.Second,
		ConnectTimeout: 10 * time.Second,
		WriteTimeout:   10 * time.Second,
		AckTimeout:     45 * time.Second,
		CloseTimeout:   2 * time.Second,
		BackoffMin:     500 * time.Millisecond,
		BackoffMax:     60 * time.Second,
		MaxWaiting:     256,
		MaxInFlight:    32,
		MaxDeltas:      256,
		MaxOutbound:    1 << 20,
		MaxInbound:     512 << 10,
	}
}

// Validate returns all problems but those of the files of TLS.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, err := c.endpoints(false); err != nil {
		errs = append(errs, err)
	}
	if c.ClientID == "" || len(c.ClientID) > 128 {
		bad("client id: %q, must have 1 to 128 bytes", c.ClientID)
	}
	if c.Protocol != ProtocolAuto && c.Protocol != Protocol5 && c.Protocol != Protocol3 {
		bad("protocol: %q, must be %q, %q or empty", c.Protocol, Protocol5, Protocol3)
	}
	if c.Username == "" && len(c.Password) > 0 {
		bad("password: without a user name the protocol has no place for it")
	}
	seen := make(map[string]bool)
	for _, s := range c.Subscriptions {
		if seen[s.Filter] {
			bad("subscription %q: given twice", s.Filter)
		}
		seen[s.Filter] = true
		if err := topic.CheckFilter(s.Filter); err != nil {
			bad("subscription %q: %w", s.Filter, err)
		}
		if s.QoS > 1 {
			bad("subscription %q: QoS %d, must be 0 or 1", s.Filter, s.QoS)
		}
	}
	if len(c.Subscriptions) > 0 && c.Handler == nil {
		bad("handler: missing, though there are subscriptions")
	}
	if c.StatusTopic != "" {
		if err := topic.CheckName(c.StatusTopic); err != nil {
			bad("status topic: %w", err)
		}
		if c.Online == nil || len(c.Offline) == 0 || len(c.Offline) > 1<<15 {
			bad("status: Online and Offline (up to 32 KiB) are needed with a status topic")
		}
	}
	return errors.Join(append(errs, c.validateNumbers())...)
}

func (c *Config) validateNumbers() error {
	var errs []error
	check := func(name string, v, lo, hi int64) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("%s: is %d, must be from %d to %d", name, v, lo, hi))
		}
	}
	duration := func(name string, v, lo, hi time.Duration) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("%s: is %v, must be from %v to %v", name, v, lo, hi))
		}
	}
	duration("KeepAlive", c.KeepAlive, time.Second, 18*time.Hour)
	duration("ConnectTimeout", c.ConnectTimeout, time.Millisecond, time.Hour)
	duration("WriteTimeout", c.WriteTimeout, time.Millisecond, time.Hour)
	duration("AckTimeout", c.AckTimeout, time.Millisecond, 24*time.Hour)
	duration("CloseTimeout", c.CloseTimeout, time.Millisecond, time.Hour)
	duration("BackoffMin", c.BackoffMin, time.Millisecond, time.Hour)
	duration("BackoffMax", c.BackoffMax, c.BackoffMin, 24*time.Hour)
	check("Attempts", int64(c.Attempts), 0, 1<<30)
	check("MaxWaiting", int64(c.MaxWaiting), 1, 1<<20)
	check("MaxInFlight", int64(c.MaxInFlight), 1, 1<<15)
	check("MaxDeltas", int64(c.MaxDeltas), 1, 1<<20)
	check("MaxOutbound", int64(c.MaxOutbound), 1, 255<<20)
	check("MaxInbound", int64(c.MaxInbound), 1, 255<<20)
	return errors.Join(errs...)
}

// redact leaves out what may be a password in an address.
func redact(broker string) string {
	scheme, rest, ok := strings.Cut(broker, "://")
	if i := strings.LastIndexByte(rest, '@'); ok && i >= 0 {
		return scheme + "://…@" + rest[i+1:]
	}
	return broker
}
