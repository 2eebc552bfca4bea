// Package embedded is an MQTT broker inside the process, for one box where no
// other broker runs. It speaks MQTT 3.1.1 and 5 over TCP, on loopback unless
// there is authentication. Sessions, queued and retained messages are in memory,
// and, with a file for them, saved every few seconds and at the end. What must
// survive a power cut is in the journal of the daemon, not here.
//
// The protocol engine is github.com/mochi-mqtt/server/v2; decision record 0004
// says why, with numbers. This package adds limits, and mends what was found
// wrong with it at v2.7.9: see repair.go.
package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Errors of New and Run.
var (
	// ErrExposed is returned for an address that others can reach while nobody
	// is asked for a password.
	ErrExposed = errors.New("listening beyond loopback needs authentication")
	// ErrRan is returned by a second Run, and by a Run after Close.
	ErrRan = errors.New("the broker ran already")
)

// Limits bounds what clients can make the broker hold.
type Limits struct {
	Connections   int           // network connections at once, also before they say who they are
	Sessions      int           // connected clients and kept sessions together
	PacketBytes   int           // one packet from a client; a longer one ends its connection
	InFlight      int           // QoS 1 and 2 messages a session may have unacknowledged or queued; further ones are dropped
	HeldBytes     int64         // payloads of those, all sessions together; beyond it the session that holds most loses its queue
	Retained      int           // retained messages; further topics are not retained
	MessageExpiry time.Duration // a queued message is dropped after it, whole seconds; retained ones stay
	SessionExpiry time.Duration // a session is forgotten so long after its client left, whole seconds
}

// DefaultLimits gives limits for a small board. A packet may have 2 MiB so that
// an oversized request reaches the daemon, which answers it; a broker could only
// hang up.
func DefaultLimits() Limits {
	return Limits{
		Connections:   256,
		Sessions:      512,
		PacketBytes:   2 << 20,
		InFlight:      1024,
		HeldBytes:     16 << 20,
		Retained:      1024,
		MessageExpiry: 24 * time.Hour,
		SessionExpiry: 7 * 24 * time.Hour,
	}
}

// Validate returns all problems.
func (l Limits) Validate() error {
	var errs []error
	check := func(name string, v, lo, hi int64) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("limit %s: is %d, must be from %d to %d", name, v, lo, hi))
		}
	}
	check("Connections", int64(l.Connections), 1, 1<<16)
	check("Sessions", int64(l.Sessions), 1, 1<<20)
	check("PacketBytes", int64(l.PacketBytes), 1<<10, 256<<20) // the protocol's own end is 256 MiB
	check("InFlight", int64(l.InFlight), 1, 1<<15)             // half of the packet identifiers
	check("HeldBytes", l.HeldBytes, 1<<10, math.MaxInt64)
	check("Retained", int64(l.Retained), 1, 1<<20)
	check("MessageExpiry", int64(l.MessageExpiry), int64(time.Second), math.MaxInt64)
	check("SessionExpiry", int64(l.SessionExpiry), int64(time.Second), int64(math.MaxUint32*time.Second))
	return errors.Join(errs...)
}

// Config says where to listen and for whom.
type Config struct {
	// Listen is a numeric address and a port, such as "127.0.0.1:1883"; port 0
	// takes a free one.
	Listen string
	// Listener is one that listens already, such as a service manager hands over; it must be at Listen, and the broker closes
	// it. Nil: New makes one.
	Listener net.Listener
	// Users are those who may come in; nil lets everybody in, which New allows on
	// loopback only, or with CertRequired.
	Users *Users
	// ACL says who may use which topics; nil: everybody all but those of the broker.
	ACL *ACL
	// TLS encrypts connections; nil: they are in the clear. With CertRequired
	// clients must have a certificate, which TLS.ClientCAs has signed.
	TLS          *tls.Config
	CertRequired bool
	// StateFile keeps sessions, queues and retained messages over a restart; it is
	// made if absent, in a folder that is there. "": they are in memory only.
	StateFile string
	// Limits are those of DefaultLimits, or others.
	Limits Limits
	// Logger gets warnings; payloads are never logged. Nil is silent.
	Logger *slog.Logger
}

// Validate checks the limits and the address without taking it.
func (c *Config) Validate() error {
	if err := c.Limits.Validate(); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	if err := checkListen(*c); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	return nil
}

// Broker is a broker that listens. Make one with New.
type Broker struct {
	server   *broker.Server
	listener *listener
	guard    *guard
	repair   *repair
	log      *slog.Logger

	stateFile string
	saving    sync.Mutex
	saved     []byte // what is in the file

	mu     sync.Mutex
	state  state
	closed chan struct{} // closed when Close has ended
}

type state int

const (
	ready state = iota
	serving
	ended
)

// New checks the configuration and takes the address; clients are served from
// Run on. It fails with all problems of the limits, with ErrExposed, or with the
// error of listening.
func New(cfg Config) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = slog.New(quiet{log.Handler()})
	tcp, err := cfg.Listener, error(nil)
	if tcp == nil {
		if tcp, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("embedded broker: %w", err)
		}
	}
	b := &Broker{server: broker.New(options(cfg.Limits, log)), closed: make(chan struct{}), log: log, stateFile: cfg.StateFile}
	if cfg.TLS != nil {
		secure := cfg.TLS.Clone()
		secure.ClientAuth = tls.NoClientCert
		if secure.ClientCAs != nil {
			secure.ClientAuth = tls.VerifyClientCertIfGiven // the owner has none; guard asks the others
		}
		tcp = tls.NewListener(tcp, secure)
	}
	b.listener = newListener(tcp, cfg.Limits.Connections, log, b.goodbye)
	if err := b.attach(cfg, log); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded broker: %w", err), tcp.Close())
	}
	return b, nil
}

func (b *Broker) attach(cfg Config, log *slog.Logger) error {
	var err error
	if b.guard, err = newGuard(b.server, cfg, log); err != nil {
		return err
	}
	if err := b.server.AddHook(b.guard, nil); err != nil {
		return err
	}
	b.repair = newRepair(b.server, b.listener, cfg.Limits)
	if err := b.server.AddHook(b.repair, nil); err != nil {
		return err
	}
	return b.server.AddListener(b.listener)
}

// options translates the limits. Expiry of messages is not among them: the
// engine's own would drop retained messages as well, so repair.go does it.
func options(lim Limits, log *slog.Logger) *broker.Options {
	c := broker.NewDefaultServerCapabilities()
	c.MaximumClients = int64(lim.Connections)
	c.MaximumPacketSize = uint32(lim.PacketBytes)
	c.MaximumInflight = uint16(lim.InFlight)
	c.ReceiveMaximum = uint16(lim.InFlight)
	c.MaximumMessageExpiryInterval = 0
	c.MaximumSessionExpiryInterval = uint32(lim.SessionExpiry / time.Second)
	// Packets that wait for a slow connection; a queue of pointers is allocated
	// per connection. Beyond it QoS 0 is dropped, and QoS 1 as well.
	c.MaximumClientWritesPending = int32(max(lim.InFlight, 256))
	return &broker.Options{
		Capabilities: c,
		Logger:       log,
		// Each packet is written at once. The engine would hold one back while
		// another waits, and that one may wait for the answer to the first.
		ClientNetWriteBufferSize: 1,
		// In practice never: the engine stops the world for memory statistics at
		// each of these.
		SysTopicResendInterval: int64((100 * 365 * 24 * time.Hour) / time.Second),
	}
}

// checkListen wants an address whose reach is known without asking a resolver.
func checkListen(cfg Config) error {
	at, err := netip.ParseAddrPort(cfg.Listen)
	if err != nil {
		return fmt.Errorf("address %q: write a numeric address and a port, such as 127.0.0.1:1883", cfg.Listen)
	}
	if cfg.CertRequired && (cfg.TLS == nil || cfg.TLS.ClientCAs == nil) {
		return errors.New("certificates of clients need TLS, and who has signed them")
	}
	if !at.Addr().Unmap().IsLoopback() && cfg.Users == nil && !cfg.CertRequired {
		return fmt.Errorf("address %s: %w; listen on 127.0.0.1, or name users, or ask for certificates", at, ErrExposed)
	}
	return nil
}

// Owner returns a name and a password of which this process alone knows, for its own client: no rule binds it.
func (b *Broker) Owner() (username string, password []byte) {
	return ownerName, []byte(b.guard.owner)
}

// Addr gives the address that clients connect to, with the port that was taken.
func (b *Broker) Addr() string { return b.listener.Address() }

// Run serves clients until ctx is done or Close is called, then it closes the
// broker. It returns nil after a close, ErrRan if it cannot run.
func (b *Broker) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.state != ready {
		b.mu.Unlock()
		return ErrRan
	}
	err := b.serve()
	b.state = serving
	b.mu.Unlock()
	if err != nil {
		return errors.Join(fmt.Errorf("embedded broker: serve: %w", err), b.Close())
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := b.save(); err != nil {
				b.log.Error(err.Error())
			}
			continue
		case <-ctx.Done():
		case <-b.closed:
		}
		return b.Close()
	}
}

// serve starts the engine and then lets clients in. In between it takes back the
// topics under $SYS that the engine publishes: they would never be up to date,
// see options.
func (b *Broker) serve() error {
	defer close(b.listener.open)
	if err := b.server.Serve(); err != nil {
		return err
	}
	for name := range b.server.Topics.Retained.GetAll() {
		b.server.Topics.RetainMessage(packets.Packet{TopicName: name}) // empty: not retained any more
	}
	return b.load()
}

// goodbye tells all clients that the broker ends, as far as MQTT lets it.
func (b *Broker) goodbye() {
	for _, cl := range b.server.Clients.GetAll() {
		if !cl.Closed() {
			_ = b.server.DisconnectClient(cl, packets.ErrServerShuttingDown) // returns its own code
		}
	}
}

// Close ends all connections, sends the last wills of their clients to each
// other as far as possible, and frees the address. It may be called more than
// once, by several goroutines; all return when the broker is down.
func (b *Broker) Close() error {
	b.mu.Lock()
	was := b.state
	b.state = ended
	b.mu.Unlock()
	if was == ended {
		<-b.closed
		return nil
	}
	defer close(b.closed)
	if was == ready {
		return b.listener.tcp.Close()
	}
	return errors.Join(b.server.Close(), b.save())
}
