package daemon

import (
	"fmt"
	"math"

	"siskin/daemon/config"
	"siskin/daemon/queue"
	"siskin/model/budget"
	"siskin/model/draft"
	"siskin/model/kvcache"
)

// Bounds of what is not computed from shapes. Each was measured on amd64 with the default model, see
// doc/decisions/0019-memory-budget.md.
const (
	// runtimeBytes is the heap of the program itself: Go's runtime and stacks, the file's metadata, template, log.
	runtimeBytes = 4 << 20
	// mqttBytes is the client with the messages on their way, brokerBytes the embedded broker without held messages.
	mqttBytes   = 1 << 20
	brokerBytes = 2 << 20
	// metricsBytes is a server with its four connections, each with buffers of 8 KiB and a text of about as much.
	metricsBytes = 256 << 10
	// packingBytes is what packing in the background holds: two chunks, and the pages of files that are not yet on disk.
	packingBytes = 1 << 20
	// systemBytes is what the kernel charges for the process: sockets, thread stacks, files; page tables are extra.
	systemBytes = 3 << 19
	// programBytes is how much of the program's file stays in memory while it answers, trimmedBytes after memory.TrimProgram.
	programBytes, trimmedBytes = 9 << 20, 13 << 19
	// garbageShare of the heap may be garbage until the collector has gone through; least is for a small heap, and shortLeast is
	// that where memory is short, which makes the collector go through more often.
	garbageShare, garbageLeast, shortLeast = 8, 2 << 20, 1 << 20
	// marginBytes stay free: the system counts in batches of 64 pages for each CPU, and reads ahead.
	marginBytes = 3 << 20
)

const (
	// minQueue is the smallest queue.max_bytes that giving way leaves: 128 requests of the usual 8 KiB at most.
	minQueue = 1 << 20
	// minBatch is the smallest prefill batch that giving way leaves: fewer rows would read all weights for little.
	minBatch = 8
	// windowLayers are in memory at least when weights are streamed: the one under way and the next two.
	windowLayers = 3
	// messageBytes is what the daemon remembers of a conversation for each token of its context: text and structure.
	messageBytes = 8
	// candidateBytes is what the sampler holds for each token of the vocabulary when no top_k bounds the candidates.
	candidateBytes = 16
)

// planMemory finds what fits into the budget. The result is also valid with a *budget.OverBudget.
func (e *engine) planMemory(c *config.Config, o *Options, workers int) (budget.Plan, error) {
	bytes, from := int64(c.Memory.Budget), "memory.budget"
	if bytes == 0 {
		bytes, from = o.Memory.Budget()
	}
	kv, err := kvcache.Named(c.Model.KV)
	if err != nil {
		return budget.Plan{}, fmt.Errorf("model.kv: %w", err)
	}
	ask := budget.Ask{
		Want:     wanted(c),
		MinQueue: max(minQueue, int64(c.Queue.MaxPromptBytes)), MinBatch: minBatch, MinContext: c.Memory.MinContext, ContextStep: kvcache.PageLen,
		Weights: e.model.WeightBytes(), Window: e.model.WindowBytes(windowLayers),
		Strict: c.Memory.Strict,
		Cost:   func(choice budget.Choice) ([]budget.Item, error) { return e.cost(c, workers, choice) },
	}
	for _, f := range kvcache.Formats(e.model.Config.HeadDim) {
		if f == kv || len(ask.Formats) > 0 {
			ask.Formats = append(ask.Formats, f.String())
		}
	}
	return budget.Fit(bytes, from, ask)
}

// wanted is the choice of somebody who has the memory.
func wanted(c *config.Config) budget.Choice {
	return budget.Choice{QueueBytes: int64(c.Queue.MaxBytes), PrefillBatch: c.Model.PrefillBatch, KV: c.Model.KV, Context: c.Model.Context}
}

// storageBytes of weights are read to measure how fast the storage is: 15 ms of a good drive, a second of a poor card.
const storageBytes = 32 << 20

// streamWeights lets the weights come and go that do not fit, and adds to the plan how fast that can be at best.
func (e *engine) streamWeights(o *Options) {
	n := e.plan.Choice.StreamedBytes
	if n == 0 {
		return
	}
	if e.reader = e.state.Stream(e.model.WeightBytes()-n, windowLayers); e.reader == nil {
		return
	}
	bytes, took := e.reader.Time(storageBytes, o.clock())
	if took <= 0 {
		return
	}
	speed := float64(bytes) / took.Seconds()
	e.plan.Steps = append(e.plan.Steps, fmt.Sprintf("%s come from the file for every token, which it delivers at %.0f MB/s: at most %.1f tok/s",
		budget.MiB(e.reader.Bytes()), speed/1e6, speed/float64(e.reader.Bytes())))
}

// chosen is the configuration with what the plan has chosen.
func chosen(c config.Config, p *budget.Plan) config.Config {
	c.Queue.MaxBytes = config.Size(p.Choice.QueueBytes)
	c.Model.PrefillBatch, c.Model.KV, c.Model.Context = p.Choice.PrefillBatch, p.Choice.KV, p.Choice.Context
	return c
}

// within is the limits of a queue, as far as the plan has room for it.
func (e *engine) within(l queue.Limits) queue.Limits {
	spare := max(0, e.plan.Budget-e.plan.Total())
	l.MaxBytes = min(l.MaxBytes, e.plan.Choice.QueueBytes+spare/2) // half: what it takes while it is read is garbage as well
	return l
}

// cost lists what a choice takes beside the weights: first memory outside the heap, then the heap, then files.
func (e *engine) cost(asked *config.Config, workers int, choice budget.Choice) ([]budget.Item, error) {
	c := chosen(*asked, &budget.Plan{Choice: choice})
	limits, err := stateLimits(&c)
	if err != nil {
		return nil, err
	}
	state, err := e.model.StateMemory(e.set, workers, limits)
	if err != nil {
		return nil, err
	}
	items := []budget.Item{
		{Name: "keys and values", Bytes: state.Cache, From: fmt.Sprintf("%d tokens in %s; touched as conversations fill it", c.Model.Context, c.Model.KV)},
		{Name: "logits", Bytes: state.Logits, From: fmt.Sprintf("%d rows of %d", limits.Logits, e.model.Config.Vocab)},
		{Name: "scratch", Bytes: state.Scratch, From: fmt.Sprintf("activations of %d rows, %d threads", limits.Rows, workers)},
	}
	garbage, program, of := int64(garbageLeast), int64(programBytes), "pages of the program in use while it answers, measured"
	if choice != wanted(asked) { // what the daemon then does: HeapLimit, memory.TrimProgram
		garbage, program, of = shortLeast, trimmedBytes, of+"; others are dropped"
	}
	items = append(items, e.heapItems(&c, garbage)...)
	mapped := state.Cache + e.model.FileBytes() + e.model.WeightBytes()
	return append(items,
		budget.Item{Name: "system", Bytes: systemBytes + mapped/512, From: "the kernel's: sockets, stacks, 8 bytes of page table for each page"},
		budget.Item{Name: "program", Bytes: program, Kind: budget.File, From: of},
		budget.Item{Name: "margin", Bytes: marginBytes, From: "the system counts in batches, and reads ahead"},
	), nil
}

// heapItems lists what lies in the Go heap, of which so many bytes at least may be garbage.
func (e *engine) heapItems(c *config.Config, leastGarbage int64) []budget.Item {
	m, payload := &c.Model, int64(2*c.Queue.MaxPromptBytes)+payloadSlack
	items := []budget.Item{{Name: "runtime", Bytes: runtimeBytes, From: "Go's runtime, metadata, template, log; measured"}}
	add := func(name string, bytes int64, from string) {
		items = append(items, budget.Item{Name: name, Bytes: bytes, From: from})
	}
	add("tokenizer", int64(e.tokenizer.StateBytes()), "its tables")
	if draftsOf(c) != 0 {
		add("drafts", int64(m.Parallel)*draft.FinderBytes(m.Context), fmt.Sprintf("tables of %d answers of %d tokens", m.Parallel, m.Context))
	}
	add("sampling", int64(e.model.Config.Vocab)*candidateBytes, "candidates of the answer that chooses a token")
	conversations := int64(c.Session.MaxSessions+m.Parallel) * int64(m.Context) * messageBytes
	add("conversations", conversations, fmt.Sprintf("%d remembered, %d under way", c.Session.MaxSessions, m.Parallel))
	add("queue", int64(c.Queue.MaxBytes)+2*payload, "queue.max_bytes, and a request that is read")
	add("outbox", int64(outboxLimits(c).Bytes), "answers that the broker has not taken yet")
	add("mqtt", mqttBytes, "the client; measured")
	if c.MQTT.Embedded.Enabled {
		add("broker", brokerBytes+brokerLimits(c).HeldBytes, "queue.max_bytes of held messages; the rest measured")
	}
	if c.Metrics.Listen != "" {
		add("metrics", metricsBytes, "four connections")
	}
	if e.packing.want {
		add("packing", packingBytes, "two pieces of the file; measured")
	}
	var sum int64
	for i := range items {
		items[i].Heap = true
		sum += items[i].Bytes
	}
	garbage := max(sum/garbageShare, leastGarbage)
	return append(items, budget.Item{Name: "garbage", Bytes: garbage, Heap: true, From: fmt.Sprintf("1/%d of the heap until it is collected", garbageShare)})
}

// HeapLimit is what the plan gives the Go heap, for debug.SetMemoryLimit and debug.SetGCPercent, which are the process's: a heap
// whose plan has given way is collected twice as often as Go does by itself.
func (d *Daemon) HeapLimit() (bytes int64, percent int) {
	const usual, often = 100, 50
	e := d.engine.Load()
	switch {
	case e == nil:
		return math.MaxInt64, usual
	case e.plan.GaveWay():
		return e.plan.Heap(), often
	}
	return e.plan.Heap(), usual
}
