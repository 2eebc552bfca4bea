package notify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen opens the manager's side.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func receive(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := l.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestMessages(t *testing.T) {
	for _, name := range []string{
		filepath.Join(t.TempDir(), "n"),
		fmt.Sprintf("@siskin-test-%d", os.Getpid()),
	} {
		l := listen(t, name)
		n, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			send func() error
			want string
		}{
			{func() error { return n.Ready("serving m.gguf") }, "READY=1\nSTATUS=serving m.gguf"},
			{n.Stopping, "STOPPING=1"},
			{n.Watchdog, "WATCHDOG=1"},
			{func() error { return n.Extend(90 * time.Second) }, "EXTEND_TIMEOUT_USEC=90000000"},
			{func() error { return n.Status("a\nREADY=1\x00") }, "STATUS=a READY=1 "},
			{func() error { return n.Status(strings.Repeat("é", 300)) }, "STATUS=" + strings.Repeat("é", 256)},
			{func() error { return n.Status("x" + strings.Repeat("é", 300)) }, "STATUS=x" + strings.Repeat("é", 255)},
		} {
			if err := c.send(); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, l); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if err := n.Watchdog(); err == nil {
			t.Error("after Close: no error")
		}
	}
}

// TestReloading checks the time against the kernel's clock: never before the call, and not after it.
func TestReloading(t *testing.T) {
	l := listen(t, filepath.Join(t.TempDir(), "n"))
	n, err := Open(l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	clock := func(id int32) int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(id, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano() / 1000
	}
	for range 20 {
		low := clock(unix.CLOCK_MONOTONIC)
		if err := n.Reloading(); err != nil {
			t.Fatal(err)
		}
		high := clock(unix.CLOCK_MONOTONIC)
		value, ok := strings.CutPrefix(receive(t, l), "RELOADING=1\nMONOTONIC_USEC=")
		got, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil || got < low || got > high {
			t.Fatalf("MONOTONIC_USEC=%s, want %d to %d", value, low, high)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestNoManager(t *testing.T) {
	n, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Ready": func() error { return n.Ready("") }, "Reloading": n.Reloading, "Stopping": n.Stopping,
		"Status": func() error { return n.Status("") }, "Watchdog": n.Watchdog, "Close": n.Close,
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenFails(t *testing.T) {
	for _, socket := range []string{filepath.Join(t.TempDir(), "none"), "relative/path", "vsock:2:9", "/" + strings.Repeat("x", 200)} {
		if _, err := Open(socket); err == nil {
			t.Errorf("%q: no error", socket)
		}
	}
}

// TestStuckManager checks that a manager that does not read cannot block the process for good.
func TestStuckManager(t *testing.T) {
	l := listen(t, filepath.Join(t.TempDir(), "n"))
	n, err := Open(l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	start := time.Now()
	for range 10000 { // until the socket's queue is full
		if err = n.Watchdog(); err != nil {
			break
		}
	}
	if d := time.Since(start); err == nil || d > 20*writeTimeout {
		t.Errorf("error %v after %v", err, d)
	}
}

func TestConcurrent(t *testing.T) {
	l := listen(t, filepath.Join(t.TempDir(), "n"))
	n, err := Open(l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const each = 20
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range each {
				if err := n.Watchdog(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 * each {
		if got := receive(t, l); got != "WATCHDOG=1" {
			t.Fatalf("got %q", got)
		}
	}
	wg.Wait()
}

func TestWatchdogInterval(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		fails     bool
	}{
		{"", "", 0, false},
		{"30000000", "", 30 * time.Second, false},
		{"30000000", "42", 30 * time.Second, false},
		{"30000000", "43", 0, false},
		{"0", "", 0, true},
		{"-5", "", 0, true},
		{"soon", "", 0, true},
		{"9223372036854775807", "", 0, true},
	} {
		got, err := WatchdogInterval(c.usec, c.pid, 42)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%q, %q: got %v, %v", c.usec, c.pid, got, err)
		}
	}
}
