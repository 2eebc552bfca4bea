// Package relay carries connections from a socket of this machine to somewhere else, byte for byte: so that a process without a
// network can reach a broker, and a process without the model holds the certificates.
package relay

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// Relay accepts on a Unix socket. Make one with Listen.
type Relay struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	log      *slog.Logger
	slots    chan struct{}
}

const (
	// connections at a time: the daemon has two, one for itself and one for its group, and a doctor may look in.
	connections = 8
	// dialTime is how long the other side may take.
	dialTime = 15 * time.Second
	// socketMode lets the group of the socket's owner in.
	socketMode = 0o660
)

// Listen takes the socket at path; what a process that died left there is replaced, a socket on which somebody listens is not. dial
// reaches the other side.
func Listen(path string, dial func(context.Context) (net.Conn, error), log *slog.Logger) (*Relay, error) {
	if old, err := net.Dial("unix", path); err == nil {
		return nil, errors.Join(&fs.PathError{Op: "listen", Path: path, Err: errors.New("another process listens there")}, old.Close())
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Relay{listener: l, dial: dial, log: log, slots: make(chan struct{}, connections)}, nil
}

// Run carries connections until ctx ends, and ends them then.
func (r *Relay) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var carried sync.WaitGroup
	defer carried.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = r.listener.Close() }) // Accept says so
	defer stop()
	for {
		from, err := r.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = from.Close() // nobody waits for it
			}
			return nil
		}
		if err != nil {
			return errors.Join(err, r.listener.Close())
		}
		select {
		case r.slots <- struct{}{}:
		default:
			r.log.Warn("relay: a connection too many", "most", connections)
			_ = from.Close() // the other side sees it
			continue
		}
		carried.Go(func() {
			defer func() { <-r.slots }()
			if err := r.carry(ctx, from); err != nil && ctx.Err() == nil {
				r.log.Warn("relay: no connection", "err", err)
			}
		})
	}
}

// Close frees the socket of a relay that does not run.
func (r *Relay) Close() error {
	if err := r.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// carry copies both ways until one side ends, and then ends the other.
func (r *Relay) carry(ctx context.Context, from net.Conn) (err error) {
	defer func() { _ = from.Close() }() // may be closed
	dialling, cancel := context.WithTimeout(ctx, dialTime)
	to, err := r.dial(dialling)
	cancel()
	if err != nil {
		return err
	}
	end := func() {
		_ = from.Close()
		_ = to.Close()
	}
	defer end()
	stop := context.AfterFunc(ctx, end)
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to) // either side may end it, and both hear of it
		end()
	})
	_, _ = io.Copy(to, from)
	end()
	back.Wait()
	return nil
}
