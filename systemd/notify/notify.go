// Package notify tells the service manager how the process is doing: the protocol of sd_notify(3), systemd 257, which is a
// datagram of "NAME=value" lines to a Unix socket.
//
// It reads no environment: the caller passes what NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say. Without a socket all
// calls do nothing, so that a process runs the same way by hand.
package notify

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// writeTimeout bounds how long a call can block on a manager that does not read.
const writeTimeout = time.Second

// maxStatusBytes is what Status and Ready send of a text.
const maxStatusBytes = 512

// Notifier sends to one socket. It is safe for concurrent use.
type Notifier struct {
	conn *net.UnixConn // nil: there is no manager
}

// Open connects to the socket that NOTIFY_SOCKET names: a path, or a name in the abstract namespace after "@". Empty means
// that there is no manager.
func Open(socket string) (*Notifier, error) {
	if socket == "" {
		return &Notifier{}, nil
	}
	if socket[0] != '/' && socket[0] != '@' {
		return nil, fmt.Errorf("notify: socket %q: only a path or an abstract name is supported", socket)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	return &Notifier{conn: conn}, nil
}

// Ready says that the start or a reload is complete, and shows status.
func (n *Notifier) Ready(status string) error {
	return n.send("READY=1", "STATUS="+oneLine(status))
}

// Reloading says that a reload has begun; Ready ends it. The manager wants the time with it, to tell this reload from an
// earlier one.
func (n *Notifier) Reloading() error {
	if n.conn == nil {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Microseconds(), 10))
}

// Stopping says that the process has begun to stop.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status shows a sentence in "systemctl status". Line ends become spaces, and it is cut after 512 bytes.
func (n *Notifier) Status(text string) error { return n.send("STATUS=" + oneLine(text)) }

// Watchdog says that the process is alive. It must be called more often than WatchdogInterval.
func (n *Notifier) Watchdog() error { return n.send("WATCHDOG=1") }

// Extend asks for that much time from now on before a start, a reload or a stop counts as timed out (EXTEND_TIMEOUT_USEC). It
// must be called again before the time is over, and the first time before the manager's own limit (TimeoutStartSec).
func (n *Notifier) Extend(d time.Duration) error {
	return n.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// Close ends the connection; later calls fail.
func (n *Notifier) Close() error {
	if n.conn == nil {
		return nil
	}
	if err := n.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

func (n *Notifier) send(lines ...string) error {
	if n.conn == nil {
		return nil
	}
	if err := n.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if _, err := n.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// oneLine keeps a text from ending its line, which would start another assignment.
func oneLine(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxStatusBytes)], "")
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}

// monotonic returns the time of CLOCK_MONOTONIC, which the manager compares with that of its own signal (systemd.service(5), Type=notify-reload;
// src/core/service.c, service_notify_message). The standard library does not give that clock's value, and /proc/uptime is hidden by
// ProcSubset=pid.
func monotonic() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("notify: clock: %w", err)
	}
	return time.Duration(now.Nano()), nil
}

// WatchdogInterval reads WATCHDOG_USEC, the longest time between two calls of Watchdog, and WATCHDOG_PID, the process that
// is meant; self is the own process. It returns 0 if no watchdog waits for this process.
func WatchdogInterval(usec, pid string, self int) (time.Duration, error) {
	if usec == "" || pid != "" && pid != strconv.Itoa(self) {
		return 0, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(1<<63-1)/int64(time.Microsecond) {
		return 0, fmt.Errorf("notify: WATCHDOG_USEC %q is not a number of microseconds", usec)
	}
	return time.Duration(n) * time.Microsecond, nil
}
