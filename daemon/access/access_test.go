package access

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestWho(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		rules  Rules
		client string
		want   error
	}{
		{Rules{Anonymous: true}, Anonymous, nil},
		{Rules{}, Anonymous, ErrForbidden},
		{Rules{}, "porch", nil},
		{Rules{Clients: []string{"hall"}}, "hall", nil},
		{Rules{Clients: []string{"hall"}}, "porch", ErrForbidden},
		{Rules{Anonymous: true, Clients: []string{"hall"}}, Anonymous, nil},
	} {
		if _, err := New(c.rules).Allow(c.client, now); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%+v, %q: %v, want %v", c.rules, c.client, err, c.want)
		}
	}
}

// A flood of one client costs it, and nobody else; it is news once.
func TestRate(t *testing.T) {
	now := time.Now()
	g := New(Rules{Anonymous: true, PerMinute: 60, Burst: 5})
	passed, news := 0, 0
	for range 1000 {
		first, err := g.Allow("flood", now)
		if err == nil {
			passed++
		} else if !errors.Is(err, ErrRate) {
			t.Fatal(err)
		}
		if first {
			news++
		}
		now = now.Add(time.Millisecond)
	}
	if passed != 5 || news != 1 {
		t.Errorf("%d passed, %d times news", passed, news)
	}
	for _, other := range []string{"porch", Anonymous} {
		if _, err := g.Allow(other, now); err != nil {
			t.Errorf("%q: %v", other, err)
		}
	}
	now = now.Add(3 * time.Second)
	for range 3 {
		if _, err := g.Allow("flood", now); err != nil {
			t.Errorf("after three seconds: %v", err)
		}
	}
	g.Allow("flood", now) // the fourth, at the end of a burst
	now = now.Add(2 * time.Minute)
	for range 5 {
		g.Allow("flood", now)
	}
	if first, err := g.Allow("flood", now); err == nil || !first {
		t.Errorf("a new flood is news: %v %v", err, first)
	}
}

// However many names there are, memory is bounded.
func TestManyClients(t *testing.T) {
	g, now := New(Rules{PerMinute: 1, Burst: 1}), time.Now()
	for i := range 3 * maxClients {
		g.Allow(fmt.Sprint(i), now.Add(time.Duration(i)))
	}
	if len(g.seen) > maxClients {
		t.Errorf("%d senders", len(g.seen))
	}
}
