package daemon

import (
	"testing"
	"time"

	"siskin/daemon/memory"
)

// Levels are taken for thrashing only, and what other programs do makes nobody refuse.
func TestPressureLevels(t *testing.T) {
	const planned = 100 << 20
	for _, c := range []struct {
		name string
		step memory.Usage // what is added from report to report; Anonymous is not
		want relief
	}{
		{"filling for the first time", memory.Usage{Group: 1, Anonymous: planned}, reliefNone},
		{"few pages again", memory.Usage{Group: 1, Refaults: thrashing - 1, SystemRefaults: thrashing - 1}, reliefNone},
		{"others thrash", memory.Usage{Group: 1, SystemRefaults: thrashing}, reliefShrunk},
		{"its own group thrashes", memory.Usage{Group: 1, Refaults: thrashing, SystemRefaults: thrashing}, reliefRefuse},
		{"the system thrashes, no group", memory.Usage{SystemRefaults: thrashing}, reliefRefuse},
		{"more than planned", memory.Usage{Group: 1, Anonymous: planned + 1}, reliefRefuse},
	} {
		var p pressure
		var got relief
		usage := c.step
		usage.Refaults, usage.SystemRefaults = 0, 0
		for range 5 {
			usage.Refaults += c.step.Refaults
			usage.SystemRefaults += c.step.SystemRefaults
			before := got
			if got, _, _ = p.pressed(time.Unix(0, 0), usage, planned); got > before+1 {
				t.Errorf("%s: from %v to %v at once", c.name, before, got)
			}
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
