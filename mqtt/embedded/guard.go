package embedded

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// guard is the hook that decides who comes in and how much is kept.
type guard struct {
	broker.HookBase
	server *broker.Server
	cfg    Config
	log    *slog.Logger

	owner string // password of the owner

	mu      sync.Mutex
	added   int64                // payload bytes queued since the last count of all sessions
	refused map[string]time.Time // by user: when a refusal was logged
}

// ownerName is the user that this process is; CheckUser allows nobody to have it.
const ownerName = "#owner"

func newGuard(server *broker.Server, cfg Config, log *slog.Logger) (*guard, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	return &guard{server: server, cfg: cfg, log: log, owner: hex.EncodeToString(secret), refused: make(map[string]time.Time)}, nil
}

// ID names the hook.
func (g *guard) ID() string { return "guard" }

// Provides lists the events that the engine passes on.
func (g *guard) Provides(event byte) bool {
	return slices.Contains([]byte{
		broker.OnConnect, broker.OnConnectAuthenticate, broker.OnACLCheck, broker.OnPublish, broker.OnQosPublish,
	}, event)
}

// OnConnect refuses a new session beyond the limit, with a code that says so.
func (g *guard) OnConnect(cl *broker.Client, _ packets.Packet) error {
	if _, known := g.server.Clients.Get(cl.ID); known || g.server.Clients.Len() < g.cfg.Limits.Sessions {
		return nil
	}
	g.log.Warn("embedded broker: session refused", "client", cl.ID, "limit", g.cfg.Limits.Sessions)
	_ = g.server.SendConnack(cl, packets.ErrServerUnavailable, false, nil) // the connection ends either way
	return packets.ErrServerUnavailable
}

// OnConnectAuthenticate checks certificate and password; the reason of a refusal is logged once a minute for each user.
func (g *guard) OnConnectAuthenticate(cl *broker.Client, pk packets.Packet) bool {
	name, password := string(pk.Connect.Username), pk.Connect.Password
	if name == ownerName {
		return subtle.ConstantTimeCompare(password, []byte(g.owner)) == 1
	}
	why := ""
	switch {
	case g.cfg.CertRequired && !certified(cl.Net.Conn):
		why = "no certificate"
	case g.cfg.Users != nil && !g.cfg.Users.Check(name, password):
		why = "wrong user name or password"
	}
	if why != "" {
		g.logRefusal(cl, name, why)
	}
	return why == ""
}

// certified reports whether a client has shown a certificate, which the handshake has verified.
func certified(conn net.Conn) bool {
	secure, ok := conn.(*tls.Conn)
	return ok && len(secure.ConnectionState().PeerCertificates) > 0
}

const (
	// refusalEvery is how often the same user's refusals are logged, and maxRefused how many users are remembered for it.
	refusalEvery = time.Minute
	maxRefused   = 256
)

func (g *guard) logRefusal(cl *broker.Client, user, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.refused[user]) < refusalEvery {
		return
	}
	if len(g.refused) >= maxRefused {
		clear(g.refused)
	}
	g.refused[user] = time.Now()
	g.log.Warn("embedded broker: client refused", "user", user, "client", cl.ID, "remote", cl.Net.Remote, "reason", why)
}

// OnACLCheck applies the rules; without rules everybody uses all topics but those of the broker itself. A filter of a subscription
// passes: what its owner may not read is not sent.
func (g *guard) OnACLCheck(cl *broker.Client, topic string, write bool) bool {
	if write && (topic == "" || topic[0] == '$') {
		return false
	}
	user := string(cl.Properties.Username)
	if g.cfg.ACL == nil || user == ownerName || !write && strings.ContainsAny(topic, "+#") {
		return true
	}
	return g.cfg.ACL.Allows(user, cl.ID, topic, write)
}

// OnPublish does not keep a retained message for one topic more than allowed; it
// is delivered as a plain one.
func (g *guard) OnPublish(cl *broker.Client, pk packets.Packet) (packets.Packet, error) {
	if !pk.FixedHeader.Retain || len(pk.Payload) == 0 || g.server.Topics.Retained.Len() < g.cfg.Limits.Retained {
		return pk, nil
	}
	if _, known := g.server.Topics.Retained.Get(pk.TopicName); !known {
		g.log.Warn("embedded broker: message not retained", "client", cl.ID, "limit", g.cfg.Limits.Retained)
		pk.FixedHeader.Retain = false
	}
	return pk, nil
}

// OnQosPublish is called for each message that a session has to keep. Counting
// all of them walks over all sessions, so it is done once per eighth of the
// limit; that is also how far the limit may be passed.
func (g *guard) OnQosPublish(_ *broker.Client, pk packets.Packet, _ int64, _ int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.added += int64(len(pk.Payload))
	if g.added < g.cfg.Limits.HeldBytes/8 {
		return
	}
	g.added = 0
	for {
		total, worst, most := g.count()
		if total <= g.cfg.Limits.HeldBytes || worst == nil {
			return
		}
		g.log.Warn("embedded broker: queue of a session dropped", "client", worst.ID, "bytes", most, "limit", g.cfg.Limits.HeldBytes)
		worst.ClearInflights()
	}
}

// count adds up the payloads of all sessions and finds the one that holds most.
func (g *guard) count() (total int64, worst *broker.Client, most int64) {
	for _, cl := range g.server.Clients.GetAll() {
		var n int64
		for _, pk := range cl.State.Inflight.GetAll(false) {
			n += int64(len(pk.Payload))
		}
		total += n
		if n > most {
			worst, most = cl, n
		}
	}
	return total, worst, most
}

// quiet passes on what the engine logs without whole packets, which hold
// payloads and passwords, and turns its chatter down.
type quiet struct{ next slog.Handler }

// Enabled, Handle, WithAttrs and WithGroup are those of slog.Handler.

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.next.Enabled(ctx, level)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	level := r.Level
	if level == slog.LevelInfo {
		level = slog.LevelDebug
		if !q.next.Enabled(ctx, level) {
			return nil
		}
	}
	out := slog.NewRecord(r.Time, level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "pk" && a.Key != "packet" {
			out.AddAttrs(a)
		}
		return true
	})
	return q.next.Handle(ctx, out)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.next.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.next.WithGroup(name)} }
