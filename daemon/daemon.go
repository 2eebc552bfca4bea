// Package daemon builds the assistant from a configuration and runs it: New, Run, Close. It is the composition root, the
// only place where packages meet that do not know each other; pipeline.go joins the ends of the data's way.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"siskin/daemon/access"
	"siskin/daemon/config"
	"siskin/daemon/cores"
	"siskin/daemon/ledger"
	"siskin/daemon/memory"
	"siskin/daemon/metrics"
	"siskin/daemon/outbox"
	"siskin/daemon/queue"
	"siskin/daemon/session"
	"siskin/daemon/sources"
	"siskin/model/kernel"
	"siskin/mqtt"
	"siskin/mqtt/embedded"
	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

// Options are what a daemon gets beside its configuration.
type Options struct {
	Version string
	Log     *slog.Logger
	// Machine says which cores there are. The zero value: one.
	Machine cores.Machine
	// Memory is what the system lets this process have. The zero value: nothing is known.
	Memory memory.Limits
	// Root is the file system where memory in use and pressure are read; nil: they are not. Pressure says where to watch; the
	// zero value finds the place.
	Root     fs.FS
	Pressure memory.Pressure
	// StateFolder is where the daemon keeps what it finds out. Empty: nowhere, so it finds out only what costs nothing.
	StateFolder string
	// JournalFolder is where requests and answers are kept through crashes, unless the configuration says where. Empty: in memory
	// only, then.
	JournalFolder string
	// Stamps tells the time of the journal; nil: the system's clocks do.
	Stamps func() ledger.Stamp
	// ClockPatience is how long requests of the last start wait for a clock that nobody has set; 0: DefaultClockPatience.
	ClockPatience time.Duration
	// Clock measures passes of the model and deadlines; nil: time.Now.
	Clock func() time.Time
	// Listen opens the address of a part, "broker" for the embedded one, "metrics"; nil: net.Listen. It lets a service manager
	// keep sockets over a restart.
	Listen func(part, address string) (net.Listener, error)
	// Planned is called after another model was loaded: HeapLimit says something else now. nil: nobody wants to know.
	Planned func()
	// Ready is called once the model is loaded, its kernels are tested and requests are taken: before the broker is
	// reached, which may be down while everything here is well.
	Ready func()
}

func (o *Options) clock() func() time.Time {
	if o.Clock == nil {
		return time.Now
	}
	return o.Clock
}

// Daemon is an assistant that is loaded and can run.
type Daemon struct {
	Options
	mu       sync.Mutex
	config   config.Config          // guarded by mu once Run runs
	engine   atomic.Pointer[engine] // of the model that runs; nil before New has one and after Close
	models   models
	choices  *choices
	pipeline *pipeline
	broker   *embedded.Broker // nil unless the configuration asks for one
	client   *mqtt.Link
	metrics  *metrics.Server // nil unless the configuration asks for one
	pressure pressure
}

// New checks the configuration, maps and checks the model, tests the kernels and allocates everything. It connects
// nowhere. On error nothing is left open.
func New(c config.Config, o Options) (d *Daemon, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d = &Daemon{Options: o, config: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
			d = nil
		}
	}()
	device, err := topic.NewDevice(c.Device)
	if err != nil {
		return d, err
	}
	d.models = newModels()
	d.choices = readChoices(&c, &o, device.Name())
	p := &pipeline{
		device: device, log: o.Log, now: o.clock(), answers: metrics.New(), running: d.engine.Load, chooseModel: d.models.want, choices: d.choices,
	}
	d.pipeline = p
	r, err := newRules(&c)
	if err != nil {
		return d, err
	}
	p.rules.Store(r)
	// The model first: what it takes decides what is left for the rest.
	e, err := d.choices.load(&c, &o, true)
	d.engine.Store(e)
	if err != nil {
		return d, err
	}
	d.choices.settle(&c)
	fits := &e.config
	p.queue, err = queue.New(queue.Options{Limits: queueLimits(fits), Now: p.now, Expired: p.expire})
	if err != nil {
		return d, err
	}
	p.outbox = outbox.New(outboxLimits(fits), d.publish)
	p.dropMisfit(e)
	p.gate = access.New(access.Rules{
		Anonymous: c.MQTT.Access.Anonymous, Clients: c.MQTT.Access.Clients, PerMinute: c.MQTT.Access.PerMinute, Burst: c.MQTT.Access.Burst,
	})
	p.sources = openSources(&c.Sources, p.now)
	d.openHome(&c)
	d.openVoice(&c)
	if p.book, err = openBook(&c, &o, device.Name()); err != nil {
		return d, err
	}
	s, err := session.New(e.options(p))
	if err != nil {
		return d, err
	}
	p.engine.Store(s)
	if err := d.openMetrics(); err != nil {
		return d, err
	}
	return d, d.openMessaging()
}

// openSources prepares what reads sensors; nil if the configuration names none.
func openSources(c *config.Sources, now func() time.Time) *sources.Sources {
	if len(c.Topics) == 0 {
		return nil
	}
	return sources.New(sources.Options{Filters: c.Topics, Age: c.MaxAge.Duration, Bytes: int(c.MaxBytes), Now: now})
}

// Limits of the outbox: every queued request has an answer, an acceptance and perhaps a refusal to come.
func outboxLimits(c *config.Config) outbox.Limits {
	const perRequest, answerBytes = 4, 64 << 10
	n := perRequest * (c.Queue.MaxRequests + c.Model.Parallel)
	return outbox.Limits{Messages: n, Bytes: int(c.Queue.MaxBytes) + (c.Model.Parallel+16)*answerBytes}
}

func queueLimits(c *config.Config) queue.Limits {
	return queue.Limits{MaxRequests: c.Queue.MaxRequests, MaxBytes: int64(c.Queue.MaxBytes)}
}

// Broker returns the address of the embedded broker, or "".
func (d *Daemon) Broker() string {
	if d.broker == nil {
		return ""
	}
	return d.broker.Addr()
}

// status is what the device says of itself while it is connected.
func (d *Daemon) status(state message.State) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.engine.Load()
	return message.Status{
		Memory: d.memoryStatus(),
		State:  state, Version: d.Version, Model: e.name, Kernels: e.set.Name,
		ContextTokens: e.config.Model.Context, QueueLimit: d.config.Queue.MaxRequests,
	}.Encode()
}

// Run serves until ctx ends. Then, in this order: no request is begun any more, answers under way get the stop timeout to
// finish, what waits or comes meanwhile is answered with shutting_down, the outbox is emptied as far as the broker takes
// it, and the device goes offline. The first failure of a part ends the others and is returned.
func (d *Daemon) Run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	transport, stopTransport := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTransport()
	brokering, stopBroker := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBroker()
	if err := d.pipeline.resume(); err != nil { // before anything new comes
		return err
	}
	var parts, broker sync.WaitGroup
	var first failure
	start := func(ctx context.Context, group *sync.WaitGroup, name string, run func(context.Context) error) {
		group.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				first.set(fmt.Errorf("%s: %w", name, err))
				stopServing()
			}
		})
	}
	if d.broker != nil {
		start(brokering, &broker, "embedded broker", d.broker.Run)
	}
	start(transport, &parts, "mqtt", d.client.Run)
	start(transport, &parts, "outbox", func(ctx context.Context) error { d.pipeline.outbox.Run(ctx); return nil })
	for _, part := range d.optional() {
		ctx := transport
		if part.serves {
			ctx = serving
		}
		start(ctx, &parts, part.name, part.run)
	}
	start(serving, &parts, "queue", d.pipeline.queue.Run)
	start(serving, &parts, "memory", func(ctx context.Context) error { d.watchMemory(ctx); return nil })
	start(serving, &parts, "models", func(ctx context.Context) error { d.grantWishes(ctx); return nil })
	e := d.engine.Load()
	e.trimProgram()
	d.Log.Info("ready", "model", e.name, "kernels", e.set.Name, "packed", e.packing.used != "",
		"decode_threads", e.threads.Decode, "prefill_threads", e.threads.Prefill, "device", d.pipeline.device.Name())
	if d.Ready != nil {
		d.Ready()
	}
	err := d.compute(serving)
	if err != nil {
		first.set(fmt.Errorf("session: %w", err))
	}
	d.drain()
	stopServing()
	stopTransport()
	parts.Wait()
	stopBroker() // last, so that the client can say goodbye
	broker.Wait()
	return first.get()
}

// part is something that runs beside the session, as long as there is a connection, or, if it serves, as long as requests are taken.
type part struct {
	name   string
	serves bool
	run    func(context.Context) error
}

// optional lists the parts that a configuration may do without.
func (d *Daemon) optional() (parts []part) {
	if h := d.pipeline.home; h != nil {
		parts = append(parts, part{"home assistant", false, func(ctx context.Context) error { h.run(ctx); return nil }})
	}
	if d.metrics != nil {
		parts = append(parts, part{"metrics", false, d.metrics.Run})
	}
	if l := d.pipeline.pool; l != nil {
		parts = append(parts, part{"group", true, l.run})
	}
	return parts
}

// compute runs the session, and that of the next model whenever another one is chosen, until ctx ends.
func (d *Daemon) compute(ctx context.Context) error {
	for {
		err := d.session(ctx)
		d.pipeline.handBack()
		if err != nil || ctx.Err() != nil {
			return err
		}
		if err := d.change(d.models.next); err != nil {
			return err
		}
	}
}

// session runs the session of the model, with what else is the model's alone, on the fast cores if the machine also has slow ones and
// the configuration says so.
func (d *Daemon) session(ctx context.Context) error {
	e, s := d.engine.Load(), d.pipeline.engine.Load()
	packing, stopPacking := context.WithCancel(ctx)
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx)) // until the last answer is finished
	var beside sync.WaitGroup
	defer func() { stopPacking(); stopReading(); beside.Wait() }()
	beside.Go(func() { e.pack(packing) })
	if e.reader != nil {
		beside.Go(func() { e.reader.Run(reading) })
	}
	if !e.config.Model.Pin || !d.Machine.Mixed {
		return s.Run(ctx)
	}
	done := make(chan error)
	go func() {
		if err := kernel.Pin(d.Machine.Fast); err != nil {
			d.Log.Warn("threads run on any core", "err", err)
		}
		done <- s.Run(ctx)
	}()
	return <-done
}

// flushTime is what the broker gets to take the last answers.
const flushTime = 5 * time.Second

// drain answers what still waits and empties the outbox.
func (d *Daemon) drain() {
	d.Log.Info("stopping")
	d.pipeline.stop()
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if !d.pipeline.outbox.Flush(ctx) {
		d.Log.Warn("stopped with messages that the broker has not taken", "messages", d.pipeline.outbox.Len())
	}
}

// Reload adopts what can change while the daemon runs: log level aside, which is the caller's. It returns the keys that
// were adopted and those that need a restart.
func (d *Daemon) Reload(next config.Config) (live, restart []string, err error) {
	if err := next.Validate(); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	live, restart = config.Changes(d.config, next)
	adopted := d.config.Adopt(next)
	r, err := newRules(&adopted)
	if err != nil {
		return nil, nil, err
	}
	if err := d.pipeline.engine.Load().SetDefaults(defaultsOf(&adopted)); err != nil {
		return nil, nil, err
	}
	d.pipeline.rules.Store(r)
	if err := d.pipeline.queue.SetLimits(d.engine.Load().within(queueLimits(&adopted))); err != nil {
		return nil, nil, err
	}
	moved := adopted.Model.Path != d.config.Model.Path
	d.config = adopted
	if moved {
		d.choices.settle(&adopted)
		d.models.want(configured)
	}
	if h := d.pipeline.home; h != nil {
		h.announce() // models, adapters and tasks may have come or gone
	} else {
		d.pipeline.sayTask()
	}
	return live, restart, nil
}

// Close frees what New has opened; Run must have returned. It may be called again.
func (d *Daemon) Close() error {
	var errs []error
	if d.client != nil {
		errs = append(errs, d.client.Close())
	}
	if d.metrics != nil {
		errs = append(errs, d.metrics.Close())
	}
	if d.pipeline != nil && d.pipeline.book != nil {
		errs = append(errs, d.pipeline.book.close())
		d.pipeline.book = nil
	}
	if d.broker != nil {
		errs = append(errs, d.broker.Close())
	}
	if e := d.engine.Swap(nil); e != nil {
		errs = append(errs, e.close())
	}
	return errors.Join(errs...)
}

// failure keeps the first error of several goroutines.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
