package relay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

func start(t *testing.T, path, to string) (stop func() error) {
	t.Helper()
	r, err := Listen(path, func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", to) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func TestRelay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stop := start(t, path, echo(t))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := Listen(path, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("two relays at one place")
	}
	var open []net.Conn
	for range connections {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	ended := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err := c.Read(make([]byte, 1))
		return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	}
	many, err := net.Dial("unix", path)
	if err != nil || !ended(many) {
		t.Error("one too many is carried", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, c := range open {
		if !ended(c) {
			t.Error("a connection outlives the relay")
		}
	}
	// What a process that died has left is no obstacle, and a broker that is away ends the connection.
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	stop = start(t, path, "127.0.0.1:1")
	c, err := net.Dial("unix", path)
	if err != nil || !ended(c) {
		t.Error("nobody is there, and nobody says so", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
