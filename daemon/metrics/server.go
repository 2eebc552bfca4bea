package metrics

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the server: who asks is another program on the same machine, or a server in the house.
const (
	maxConnections = 4
	maxHeader      = 4 << 10
	patience       = 5 * time.Second // for a request, and for taking the answer
	idle           = 2 * time.Minute // longer than the usual interval of a minute
)

// Server answers GET /metrics.
type Server struct {
	listener net.Listener
	http     http.Server
}

// Serve makes a server on l, which it closes: answers are counted in m, and read gives the other samples at each request.
func Serve(l net.Listener, m *Answers, read func() []Sample) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		var text bytes.Buffer
		_ = m.Write(&text, read()) // a buffer takes everything
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(text.Bytes()) // who has gone asks again
	})
	return &Server{
		listener: &limited{Listener: l, free: make(chan struct{}, maxConnections)},
		http: http.Server{
			Handler: mux, ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: idle, MaxHeaderBytes: maxHeader,
		},
	}
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() }) // nobody waits for what is under way
	defer stop()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends a server that may never have run.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// limited accepts a connection only while fewer than so many are open: the others wait, unread.
type limited struct {
	net.Listener
	free chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &counted{Conn: c, done: sync.OnceFunc(func() { <-l.free })}, nil
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	done func()
}

func (c *counted) Close() error {
	defer c.done()
	return c.Conn.Close()
}
