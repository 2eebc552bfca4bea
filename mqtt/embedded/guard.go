package embedded

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// guard is the hook that decides who comes in and how much is kept.
type guard struct {
	broker.HookBase
	server *broker.Server
	cfg    Config
	log    *slog.Logger

	mu    sync.Mutex
	added int64 // payload bytes queued since the last count of all sessions
}

func newGuard(server *broker.Server, cfg Config, log *slog.Logger) *guard {
	return &guard{server: server, cfg: cfg, log: log}
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

// OnConnectAuthenticate asks the owner of the broker.
func (g *guard) OnConnectAuthenticate(cl *broker.Client, pk packets.Packet) bool {
	if g.cfg.Authenticate == nil {
		return true
	}
	return g.cfg.Authenticate(cl.ID, string(pk.Connect.Username), pk.Connect.Password)
}

// OnACLCheck lets everybody use all topics but those of the broker itself.
func (g *guard) OnACLCheck(_ *broker.Client, topic string, write bool) bool {
	return !write || topic == "" || topic[0] != '$'
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
