package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"siskin/daemon"
	"siskin/daemon/memory"
	"siskin/systemd/notify"
)

const (
	// extension is what is asked for while a model is loaded, and extendEvery how often: a load that has stopped making the
	// process run at all is then found after half a minute. The unit's own TimeoutStartSec must be longer than extendEvery.
	extension   = 30 * time.Second
	extendEvery = 10 * time.Second
	// stopSlack is what a stop takes beside the answers under way: the outbox is emptied, files are closed.
	stopSlack = 10 * time.Second
	// statusEvery is how often "systemctl status" gets a new sentence if there is no watchdog.
	statusEvery = 5 * time.Second
	// beatsPerInterval is how often the watchdog is told: one beat may be missed when a request has just come, see daemon.Pulse.
	beatsPerInterval = 4
)

// manager is the service manager that has started this process; one without a socket does nothing.
type manager struct {
	*notify.Notifier
	log       *slog.Logger
	watchdog  time.Duration // 0: it does not watch
	inherited map[string]*os.File
}

// openManager reads the environment of the service (systemd.exec(5), sd_notify(3), sd_listen_fds(3)).
func openManager(log *slog.Logger) (*manager, error) {
	m := &manager{log: log}
	var err error
	if m.watchdog, err = notify.WatchdogInterval(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"), os.Getpid()); err != nil {
		return nil, err
	}
	m.inherited, err = notify.Inherited(os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDNAMES"), os.Getpid())
	if err != nil {
		return nil, err
	}
	if m.Notifier, err = notify.Open(os.Getenv("NOTIFY_SOCKET")); err != nil {
		return nil, errors.Join(err, m.closeInherited())
	}
	return m, nil
}

// Close ends the connection; sockets that nobody wanted are closed as well.
func (m *manager) Close() error { return errors.Join(m.Notifier.Close(), m.closeInherited()) }

func (m *manager) closeInherited() error {
	var errs []error
	for _, f := range m.inherited {
		errs = append(errs, f.Close())
	}
	m.inherited = nil
	return errors.Join(errs...)
}

// pressure is where systemd says that memory is watched (its MEMORY_PRESSURE.md); the zero value where it does not.
func pressure() (memory.Pressure, error) {
	trigger, err := base64.StdEncoding.DecodeString(os.Getenv("MEMORY_PRESSURE_WRITE"))
	if err != nil {
		return memory.Pressure{}, fmt.Errorf("MEMORY_PRESSURE_WRITE: %w", err)
	}
	return memory.Pressure{File: os.Getenv("MEMORY_PRESSURE_WATCH"), Trigger: string(trigger)}, nil
}

// listen takes an address, from the manager if it has handed over a socket of this name and address. It gives the socket to the
// manager, so that clients which connect during a restart wait instead of being refused.
func (m *manager) listen(part, address string) (net.Listener, error) {
	if f, ok := m.inherited[part]; ok {
		delete(m.inherited, part)
		l, err := net.FileListener(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("socket %s of the service manager: %w", part, err)
		}
		if l.Addr().String() == address {
			return l, nil
		}
		m.log.Info("the service manager's socket has another address and is not used", "socket", part, "address", l.Addr().String())
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	warn(m.log, m.Store(part, f))
	return l, f.Close()
}

// loading asks for more time until done is closed.
func (m *manager) loading(done <-chan struct{}) {
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		warn(m.log, m.Extend(extension))
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// watch tells the manager, until ctx ends, that the daemon lives, as long as it makes progress, and what it does. It takes both
// from the daemon itself: one that is stuck in a pass or on a lock is restarted.
func (m *manager) watch(ctx context.Context, d *daemon.Daemon, device string) {
	every := statusEvery
	if m.watchdog > 0 {
		every = min(every, m.watchdog/beatsPerInterval)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	shown := ""
	for pulse := d.Pulse(); ; {
		if pulse.Beats() && m.watchdog > 0 {
			warn(m.log, m.Watchdog())
		}
		if text := statusText(d, device); text != shown {
			shown = text
			warn(m.log, m.Status(text))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// statusText is what "systemctl status" shows.
func statusText(d *daemon.Daemon, device string) string {
	if n := d.Waiting(); n > 0 {
		return fmt.Sprintf("answering as %s, %d waiting", device, n)
	}
	return "answering as " + device
}

func warn(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("service manager", "err", err)
	}
}
