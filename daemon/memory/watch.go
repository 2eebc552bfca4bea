package memory

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// Pressure says where the system tells that tasks wait for memory: a file with pressure stall information (PSI), and what is
// written to it to be told. The zero value: PressureOf finds it.
type Pressure struct {
	File    string // absolute
	Trigger string
}

const (
	// trigger asks to be told when some task has waited for memory for 150 ms of 2 s: the shortest window that the kernel grants
	// to everybody (accounting/psi: unprivileged ones are multiples of 2 s), and the share that systemd's own default has.
	trigger = "some 150000 2000000"
	// pollEvery is how often the averages are read where no trigger is granted, and pollShare the percentage of the last 10 s
	// that counts as pressure: the same share.
	pollEvery = 2 * time.Second
	pollShare = 7.5
)

// PressureOf finds the file for this process, its control group's before the whole system's; empty if there is none.
func PressureOf(root fs.FS) Pressure {
	for _, g := range groups(root) {
		if file := path.Join(g.folder, "memory.pressure"); read(root, file) != "" {
			return Pressure{"/" + file, trigger}
		}
	}
	if read(root, "proc/pressure/memory") != "" {
		return Pressure{"/proc/pressure/memory", trigger}
	}
	return Pressure{}
}

// errNoTrigger says that the system does not tell by itself.
var errNoTrigger = errors.New("no trigger")

// Watch calls pressed, at most every two seconds, while tasks wait for memory, until ctx ends. It costs nothing while none do;
// where the system does not tell by itself the file is read every two seconds. It returns at once if there is no file.
func (p Pressure) Watch(ctx context.Context, root fs.FS, pressed func()) {
	if p.File == "" || p.File == "/dev/null" { // systemd names it for "do not watch"
		return
	}
	if err := p.await(ctx, pressed); err == nil || ctx.Err() != nil {
		return
	}
	for tick := time.NewTicker(pollEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			if average(read(root, strings.TrimPrefix(p.File, "/"))) > pollShare {
				pressed()
			}
		}
	}
}

// average is the share of the last 10 s, in percent, that some task has waited.
func average(text string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "some avg10="); ok {
			value, _, _ := strings.Cut(rest, " ")
			share, err := strconv.ParseFloat(value, 64)
			if err == nil {
				return share
			}
		}
	}
	return 0
}
