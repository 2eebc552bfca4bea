package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/daemon/cores"
	"siskin/daemon/memory"
	"siskin/mqtt/message"
	"siskin/systemd/journald"
)

type runCommand struct {
	Config string `required:"" type:"path" help:"Configuration file (TOML); SIGHUP reads it again."`
	Role   string `enum:"all,inference,messaging,hardware" default:"all" help:"Which part to run: all; inference, with the model and the prompts but no network; messaging, which carries MQTT for it between daemon.socket and the broker."`
	overrideFlags
}

// overrideFlags override the configuration.
type overrideFlags struct {
	Kernels string `env:"SISKIN_KERNELS" help:"Kernel set instead of the configured one; 'siskin check' lists them."`
	Strict  bool   `help:"Where memory is short refuse to start instead of giving way, as memory.strict does."`
}

func (f *overrideFlags) override(c *config.Config) {
	if f.Kernels != "" {
		c.Model.Kernels = f.Kernels
	}
	c.Memory.Strict = c.Memory.Strict || f.Strict
}

func (c *runCommand) Run(ctx context.Context, s *streams) error {
	if c.Role == "hardware" {
		return configError{errors.New("--role hardware: this version reads no sensors and drives no pins; the unit is there for the one that does. Disable siskin-hardware.service")}
	}
	settings, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	c.override(&settings)
	var level slog.LevelVar
	log, err := newServiceLog(s.err, &settings, &level)
	if err != nil {
		return err
	}
	if c.Role == "messaging" {
		return carry(ctx, settings, log)
	}
	settings = c.withoutNetwork(settings, log)
	return serve(ctx, settings, log, func(ctx context.Context, d *daemon.Daemon, m *manager) {
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				warn(log, m.Reloading())
				c.reload(d, log, &level)
				warn(log, m.Ready("answering as "+settings.Device))
			}
		}
	})
}

// loadConfig reads the file; credentials are those that the service manager has handed over.
func loadConfig(path string) (config.Config, error) {
	c, err := config.Load(path)
	if err == nil {
		c, err = c.WithCredentials(os.Getenv("CREDENTIALS_DIRECTORY"))
	}
	if err != nil {
		return c, configError{err}
	}
	return c, nil
}

// companion is what a command does beside the running daemon, from READY until ctx ends.
type companion func(ctx context.Context, d *daemon.Daemon, m *manager)

// serve builds the daemon and runs it, with its companion, until ctx ends. The service manager, if there is one, is told how it
// goes.
func serve(ctx context.Context, c config.Config, log *slog.Logger, beside companion) (err error) {
	m, err := openManager(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	o := options(&c, log)
	if o.Pressure, err = pressure(); err != nil {
		return err
	}
	o.Listen = m.listen
	// One more than compute: while all workers spin, messages and the garbage collector still find a processor.
	runtime.GOMAXPROCS(max(daemon.Workers(&c, &o.Machine), runtime.NumCPU()) + 1)
	var d *daemon.Daemon
	restoreHeap := func() {}
	defer func() { restoreHeap() }()
	o.Planned = func() {
		restoreHeap()
		restoreHeap = limitHeap(d.HeapLimit())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	o.Ready = func() {
		warn(log, m.Ready("answering as "+c.Device))
		running.Go(func() { m.watch(ctx, d, c.Device) })
		running.Go(func() { beside(ctx, d, m) })
	}
	if d, err = load(c, o, m); err != nil {
		return err
	}
	o.Planned()
	go func() {
		<-ctx.Done()
		warn(log, m.Extend(c.Daemon.StopTimeout.Duration+stopSlack))
		warn(log, m.Stopping())
	}()
	err = d.Run(ctx)
	stop()
	running.Wait()
	return errors.Join(err, d.Close())
}

// load builds the daemon and asks the manager for patience meanwhile: a large model on a slow card takes its time.
func load(c config.Config, o daemon.Options, m *manager) (*daemon.Daemon, error) {
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() { m.loading(done) })
	d, err := daemon.New(c, o)
	close(done)
	asking.Wait()
	return d, err
}

// options are what a daemon of this machine and user gets beside its configuration. A user without a cache folder, and
// no folder in the configuration, has none.
func options(c *config.Config, log *slog.Logger) daemon.Options {
	o := daemon.Options{Version: version, Log: log, Machine: machine(), StateFolder: c.Daemon.State}
	o.Root = os.DirFS("/")
	o.Memory = memory.ReadLimits(o.Root)
	if cache, err := os.UserCacheDir(); o.StateFolder == "" && err == nil {
		o.StateFolder = filepath.Join(cache, "siskin")
	}
	if state := stateFolder(); state != "" {
		o.JournalFolder = filepath.Join(state, "journal")
	}
	return o
}

// stateFolder is where a service manager, or the user's system, keeps what must not be lost (systemd.exec(5), StateDirectory; XDG Base
// Directory Specification 0.8); "" is nowhere.
func stateFolder() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "siskin")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "siskin")
	}
	return ""
}

// limitHeap makes the garbage collector keep the heap within the plan, unless the user (GOMEMLIMIT, GOGC) has asked for less,
// until the returned function is called.
func limitHeap(bytes int64, percent int) (restore func()) {
	before := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(before, bytes))
	share := debug.SetGCPercent(percent)
	if share >= 0 && share < percent {
		debug.SetGCPercent(share)
	}
	return func() {
		debug.SetMemoryLimit(before)
		debug.SetGCPercent(share)
	}
}

// machine reads which cores this machine has.
func machine() cores.Machine { return cores.Read(os.DirFS("/"), runtime.NumCPU()) }

// reload adopts what can change; a configuration with problems changes nothing.
func (c *runCommand) reload(d *daemon.Daemon, log *slog.Logger, level *slog.LevelVar) {
	next, err := loadConfig(c.Config)
	if err != nil {
		log.Error("configuration not reloaded: the old one stays", "err", err)
		return
	}
	c.override(&next)
	next = c.withoutNetwork(next, log)
	live, restart, err := d.Reload(next)
	if err != nil {
		log.Error("configuration not reloaded: the old one stays", "err", err)
		return
	}
	level.Set(levelOf(next.Log.Level))
	log.Info("configuration reloaded", "adopted", strings.Join(live, " "))
	if len(restart) > 0 {
		log.Warn("settings that need a restart are unchanged", "settings", strings.Join(restart, " "))
	}
}

// newLog makes the logger of the configuration.
func newLog(w io.Writer, c *config.Config, level *slog.LevelVar) *slog.Logger {
	level.Set(levelOf(c.Log.Level))
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// newServiceLog is newLog, but for a process whose standard error is the journal of systemd: that gets entries with fields.
func newServiceLog(w io.Writer, c *config.Config, level *slog.LevelVar) (*slog.Logger, error) {
	file, ok := w.(*os.File)
	if !ok || c.Log.Format == "json" {
		return newLog(w, c, level), nil
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !journald.Stream(os.Getenv("JOURNAL_STREAM"), stat.Dev, stat.Ino) {
		return newLog(w, c, level), nil
	}
	level.Set(levelOf(c.Log.Level))
	h, err := journald.Open(journald.Socket, "siskin", level)
	if err != nil { // lines are better than nothing
		log := newLog(w, c, level)
		log.Warn("no fields in the log", "err", err)
		return log, nil
	}
	return slog.New(h), nil
}

// levelOf is the level of a name that the configuration has checked.
func levelOf(name string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo
	}
	return level
}

type demoCommand struct {
	Model  string `required:"" type:"path" help:"Model file (GGUF)."`
	Listen string `default:"127.0.0.1:1883" help:"Address of the embedded broker; port 0 takes a free one."`
	Prompt string `default:"What is the boiling point of water in Celsius?" help:"The question."`
	Once   bool   `help:"Stop after the answer."`
	overrideFlags
}

func (c *demoCommand) Run(ctx context.Context, s *streams) error {
	settings := config.Default()
	settings.Model.Path = c.Model
	settings.MQTT.Embedded.Enabled, settings.MQTT.Embedded.Listen = true, c.Listen
	settings.Journal.Enabled, settings.MQTT.Embedded.Persistence = false, false // it leaves nothing behind
	settings.Log.Level = "warn"
	c.override(&settings)
	var level slog.LevelVar
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var failed error
	begun := time.Now()
	err := serve(ctx, settings, newLog(s.err, &settings, &level), func(ctx context.Context, d *daemon.Daemon, _ *manager) {
		fmt.Fprintf(s.out, "siskin %s is ready after %d ms; broker at %s\n", version, time.Since(begun).Milliseconds(), d.Broker())
		failed = c.ask(ctx, settings.Device, d.Broker(), s)
		if failed != nil || c.Once {
			stop()
		}
	})
	return errors.Join(err, failed)
}

// ask puts the question through the broker, as any other client would, and says how to go on.
func (c *demoCommand) ask(ctx context.Context, device, broker string, s *streams) (err error) {
	f := brokerFlags{Broker: "tcp://" + broker, Device: device, Timeout: 5 * time.Minute}
	a, err := f.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	fmt.Fprintf(s.out, "\n%s ← %s\n", a.device.Prompt(), c.Prompt)
	fmt.Fprintf(s.out, "%s → ", a.device.Answer("…"))
	greedy := float32(0)
	r := message.Request{Prompt: c.Prompt, Temperature: &greedy, Stream: true}
	answer, err := converse(ctx, a, r, s)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, statsLine(answer))
	if c.Once {
		return nil
	}
	host, port, _ := strings.Cut(broker, ":")
	_, err = fmt.Fprintf(s.out, `
It stays up; Ctrl-C stops it. Ask the next question from another terminal:
  bin/siskin ask "Why is the sky blue?"
  bin/siskin chat
or with any MQTT client:
  mosquitto_sub -h %s -p %s -t 'siskin/%s/answer/+' &
  mosquitto_pub -h %s -p %s -t siskin/%s/prompt/text -m "Why is the sky blue?"
`, host, port, device, host, port, device)
	return err
}
