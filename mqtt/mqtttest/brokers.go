package mqtttest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"siskin/mqtt/embedded"
)

// Embedded is the embedded broker as a Broker.
type Embedded struct {
	t      testing.TB
	cfg    embedded.Config
	broker *embedded.Broker
	ran    chan error
}

// StartEmbedded starts the embedded broker with its default limits.
func StartEmbedded(t testing.TB) *Embedded {
	t.Helper()
	return StartEmbeddedWith(t, embedded.Config{Limits: embedded.DefaultLimits()})
}

// StartEmbeddedWith starts it as configured; an empty Listen means a free port.
func StartEmbeddedWith(t testing.TB, cfg embedded.Config) *Embedded {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	e := &Embedded{t: t, cfg: cfg}
	e.Start()
	e.cfg.Listen = e.broker.Addr()
	t.Cleanup(e.Kill)
	return e
}

// Name is "embedded".
func (e *Embedded) Name() string { return "embedded" }

// Addr gives host:port.
func (e *Embedded) Addr() string { return e.cfg.Listen }

// Start starts it after Kill.
func (e *Embedded) Start() {
	e.t.Helper()
	b, err := embedded.New(e.cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.broker, e.ran = b, make(chan error, 1)
	go func() { e.ran <- b.Run(context.Background()) }()
	if !waitListening(b.Addr(), nil) {
		e.t.Fatal("the embedded broker does not accept")
	}
}

// Kill closes the broker; all it knew is gone.
func (e *Embedded) Kill() {
	e.t.Helper()
	if e.broker == nil {
		return
	}
	if err := e.broker.Close(); err != nil {
		e.t.Errorf("embedded broker: close: %v", err)
	}
	if err := <-e.ran; err != nil {
		e.t.Errorf("embedded broker: run: %v", err)
	}
	e.broker = nil
}

// MosquittoOptions is the configuration of a mosquitto.
type MosquittoOptions struct {
	// Persistence makes it keep sessions and messages on disk, saved after each
	// change.
	Persistence bool
	// Lines are added to its configuration file.
	Lines []string
}

// Mosquitto is a real mosquitto in a child process.
type Mosquitto struct {
	t      testing.TB
	path   string
	dir    string
	addr   string
	opt    MosquittoOptions
	cmd    *exec.Cmd
	exited chan struct{}
}

// StartMosquitto starts one on a free port. It skips the test as Tool does.
func StartMosquitto(t testing.TB, opt MosquittoOptions) *Mosquitto {
	t.Helper()
	m := &Mosquitto{t: t, path: Tool(t, "mosquitto"), dir: t.TempDir(), opt: opt}
	// Somebody else may take the free port first.
	for range 3 {
		m.addr = freeAddr(t)
		if m.start() {
			t.Cleanup(m.Kill)
			return m
		}
	}
	t.Fatalf("mosquitto does not start:\n%s", m.Log())
	return nil
}

// Name is "mosquitto".
func (m *Mosquitto) Name() string { return "mosquitto" }

// Addr gives host:port.
func (m *Mosquitto) Addr() string { return m.addr }

// Log gives what it logged so far.
func (m *Mosquitto) Log() string {
	b, err := os.ReadFile(m.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Start starts it after Kill or Stop.
func (m *Mosquitto) Start() {
	m.t.Helper()
	if !m.start() {
		m.t.Fatalf("mosquitto does not start again:\n%s", m.Log())
	}
}

// Kill sends SIGKILL.
func (m *Mosquitto) Kill() { m.end(syscall.SIGKILL) }

// Stop sends SIGTERM, upon which it saves its state if it has persistence.
func (m *Mosquitto) Stop() { m.end(syscall.SIGTERM) }

func (m *Mosquitto) end(sig syscall.Signal) {
	m.t.Helper()
	if m.cmd == nil {
		return
	}
	if err := m.cmd.Process.Signal(sig); err != nil {
		m.t.Errorf("mosquitto: %v", err)
	}
	<-m.exited
	m.cmd = nil
}

func (m *Mosquitto) file(name string) string { return filepath.Join(m.dir, name) }

func (m *Mosquitto) start() bool {
	m.t.Helper()
	host, port, err := net.SplitHostPort(m.addr)
	if err != nil {
		m.t.Fatal(err)
	}
	lines := []string{
		"listener " + port + " " + host,
		"allow_anonymous true",
		"user root", // of no meaning unless root runs the tests; then it may use the folder
		"log_dest stderr",
		"log_type all",
		"set_tcp_nodelay true",
		fmt.Sprintf("persistence %v", m.opt.Persistence),
		"persistence_location " + m.dir + "/",
		"autosave_on_changes true",
		"autosave_interval 1",
	}
	conf := strings.Join(append(lines, m.opt.Lines...), "\n") + "\n"
	if err := os.WriteFile(m.file("conf"), []byte(conf), 0o600); err != nil {
		m.t.Fatal(err)
	}
	log, err := os.OpenFile(m.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(m.path, "-c", m.file("conf"))
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd)
	started, exited := make(chan error), make(chan struct{})
	go func() {
		defer close(exited)
		defer func() { _ = log.Close() }()
		// The child dies with the thread that started it, not only with the process (prctl(2), PR_SET_PDEATHSIG), and a thread
		// ends with a goroutine that is locked to it. So this one keeps its thread as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed, mostly
		}
	}()
	if err := <-started; err != nil {
		m.t.Fatal(err)
	}
	if !waitListening(m.addr, exited) {
		_ = cmd.Process.Kill() // it may have exited
		<-exited
		return false
	}
	m.cmd, m.exited = cmd, exited
	return true
}
