// Package access decides who may send prompts, and how many. MQTT 3.1.1 does not tell a receiver who a sender is; what tells it is a
// topic that only that sender may write to, which is for the broker to see to. Whoever prompts elsewhere is anonymous.
package access

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// Errors of Allow.
var (
	// ErrForbidden means that the sender may not prompt at all.
	ErrForbidden = errors.New("not allowed to prompt")
	// ErrRate means that the sender has prompted too often.
	ErrRate = errors.New("too many prompts")
)

// Anonymous is the sender that nobody knows.
const Anonymous = ""

// Rules say who may prompt.
type Rules struct {
	Anonymous bool     // senders that nobody knows may
	Clients   []string // that may; empty: all that have a name
	PerMinute int      // prompts of each client, and of all anonymous ones together; 0: any number
	Burst     int      // of these at once
}

// maxClients bounds the senders that are remembered: a name is for the sender to choose unless the broker forbids it.
const maxClients = 1024

// Gate applies rules. It may be used by several goroutines.
type Gate struct {
	rules Rules
	mu    sync.Mutex
	seen  map[string]*sender
}

// sender is one client, or all anonymous ones.
type sender struct {
	tokens  float64
	at      time.Time // when tokens were counted
	refused time.Time // the last time; zero: never
}

// New makes a gate.
func New(r Rules) *Gate { return &Gate{rules: r, seen: make(map[string]*sender)} }

// quiet is how long a sender must have behaved for its next refusal to be news.
const quiet = time.Minute

// Allow takes a prompt of a sender. The error is ErrForbidden or ErrRate; news is true for the first one in a while.
func (g *Gate) Allow(client string, now time.Time) (news bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sender(client, now)
	switch known := client != Anonymous; {
	case !known && !g.rules.Anonymous, known && len(g.rules.Clients) > 0 && !slices.Contains(g.rules.Clients, client):
		err = ErrForbidden
	case g.rules.PerMinute > 0:
		rate := float64(g.rules.PerMinute) / time.Minute.Seconds()
		s.tokens = min(float64(g.rules.Burst), s.tokens+max(0, now.Sub(s.at).Seconds())*rate)
		if s.at = now; s.tokens < 1 {
			err = ErrRate
		} else {
			s.tokens--
		}
	}
	if err != nil {
		news = s.refused.IsZero() || now.Sub(s.refused) >= quiet
		s.refused = now
	}
	return news, err
}

// sender finds a client, or takes the place of the one that was quiet for the longest. g.mu is held.
func (g *Gate) sender(client string, now time.Time) *sender {
	if s := g.seen[client]; s != nil {
		return s
	}
	if len(g.seen) >= maxClients {
		oldest := ""
		for name, s := range g.seen {
			if name != Anonymous && (oldest == "" || s.at.Before(g.seen[oldest].at)) {
				oldest = name
			}
		}
		delete(g.seen, oldest)
	}
	s := &sender{tokens: float64(g.rules.Burst), at: now}
	g.seen[client] = s
	return s
}
