package ledger

import (
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// staUnsync is STA_UNSYNC of adjtimex(2): nobody has set the clock lately.
const staUnsync = 0x40

// SystemClock returns the clock of this machine, whose root directory is given. With trusted the wall clock is believed as it is.
func SystemClock(root fs.FS, trusted bool) func() Stamp {
	name := "" // where the service manager hides it: see Stamp.Since
	if boot, err := fs.ReadFile(root, "proc/sys/kernel/random/boot_id"); err == nil {
		name = strings.TrimSpace(string(boot))
	}
	return func() Stamp {
		s := Stamp{Boot: name, Wall: time.Now(), Synced: trusted}
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
			s.Up = time.Duration(ts.Nano())
		}
		var x unix.Timex
		if state, err := unix.Adjtimex(&x); err == nil && state != unix.TIME_ERROR && x.Status&staUnsync == 0 {
			s.Synced = true
		}
		// A service manager may forbid adjtimex; systemd-timesyncd leaves a file (systemd-timesyncd.service(8)).
		if _, err := fs.Stat(root, "run/systemd/timesync/synchronized"); !s.Synced && err == nil {
			s.Synced = true
		}
		return s
	}
}
