package daemon

import (
	"fmt"
	"net"
	runtimemetrics "runtime/metrics"

	"siskin/daemon/memory"
	"siskin/daemon/metrics"
)

// openMetrics listens for who reads the metrics, if the configuration says so.
func (d *Daemon) openMetrics() error {
	address := d.config.Metrics.Listen
	if address == "" {
		return nil
	}
	listen := d.Listen
	if listen == nil {
		listen = func(_, address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	l, err := listen("metrics", address)
	if err != nil {
		return fmt.Errorf("metrics.listen: %w", err)
	}
	d.metrics = metrics.Serve(l, d.pipeline.answers, d.samples)
	return nil
}

// Metrics returns the address where metrics are read, or "".
func (d *Daemon) Metrics() string {
	if d.metrics == nil {
		return ""
	}
	return d.metrics.Addr()
}

// goRuntime is the heap in use, in bytes, and the number of goroutines; unlike runtime.ReadMemStats it stops nothing.
func goRuntime() (heap, goroutines float64) {
	list := []runtimemetrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/sched/goroutines:goroutines"},
	}
	runtimemetrics.Read(list)
	return float64(list[0].Value.Uint64() + list[1].Value.Uint64()), float64(list[2].Value.Uint64())
}

// samples is what the daemon knows of itself at the moment. A name added here wants its line in doc/metrics.md.
func (d *Daemon) samples() []metrics.Sample {
	gauge := func(name, help string, value float64, labels ...metrics.Label) metrics.Sample {
		return metrics.Sample{Name: name, Kind: metrics.Gauge, Help: help, Value: value, Labels: labels}
	}
	count := func(name, help string, value uint64) metrics.Sample {
		return metrics.Sample{Name: name, Kind: metrics.Counter, Help: help, Value: float64(value)}
	}
	d.mu.Lock()
	limit := d.config.Queue.MaxRequests
	d.mu.Unlock()
	connected := 0.0
	if d.client.Connected() {
		connected = 1
	}
	heap, goroutines := goRuntime()
	p := d.pipeline
	out := []metrics.Sample{
		gauge("siskin_info", "Version, model and kernels; always 1.", 1, metrics.Label{Name: "version", Value: d.Version},
			metrics.Label{Name: "model", Value: d.engine.Load().name}, metrics.Label{Name: "kernels", Value: d.engine.Load().set.Name}),
		gauge("siskin_mqtt_connected", "Whether the broker is connected.", connected),
		count("siskin_mqtt_connections_total", "Connections to brokers that came up.", d.client.Connections()),
		count("siskin_mqtt_dropped_total", "Pieces of answers that were not sent for want of a connection or of room.", d.client.Dropped()),
		gauge("siskin_queue_requests", "Requests that wait.", float64(p.queue.Depth())),
		gauge("siskin_queue_limit_requests", "Requests that may wait.", float64(limit)),
		gauge("siskin_queue_bytes", "Memory of the requests that wait.", float64(p.queue.Bytes())),
		gauge("siskin_outbox_messages", "Messages that the broker has not taken yet.", float64(p.outbox.Len())),
		gauge("siskin_heap_bytes", "The Go heap in use.", heap),
		gauge("siskin_goroutines", "Goroutines.", goroutines),
	}
	if b := p.book; b != nil {
		out = append(out, gauge("siskin_journal_bytes", "Records in the journal, those that nobody wants any more included.", float64(b.Bytes())),
			metrics.Sample{Name: "siskin_journal_written_bytes_total", Kind: metrics.Counter, Value: float64(b.Written()), Help: "Bytes written to the journal."})
	}
	if d.Root == nil {
		return out
	}
	u, plan := memory.ReadUsage(d.Root), &d.engine.Load().plan
	return append(out,
		gauge("siskin_memory_budget_bytes", "What the process may take.", float64(plan.Budget)),
		gauge("siskin_memory_planned_bytes", "What the plan gives out of the budget.", float64(plan.Total())),
		gauge("siskin_memory_anonymous_bytes", "Resident memory of its own.", float64(u.Anonymous)),
		gauge("siskin_memory_file_bytes", "Resident pages of files.", float64(u.File)),
		gauge("siskin_memory_group_bytes", "What its control group is charged with; 0: unknown.", float64(u.Group)),
		gauge("siskin_memory_group_limit_bytes", "The limit of its control group; 0: none.", float64(u.GroupMax)),
		gauge("siskin_memory_streamed_bytes", "Weights that are read from the file in every pass, by the plan.", float64(plan.Choice.StreamedBytes)),
		gauge("siskin_memory_pressure_level", "What is done about pressure: 0 nothing, 1 caches dropped, 2 buffers given back, 3 new requests refused.",
			float64(d.pressure.level.Load())),
		metrics.Sample{
			Name: "siskin_memory_refaults_total", Kind: metrics.Counter, Value: float64(u.Refaults),
			Help: "Pages of files that the control group had to read again soon after it lost them.",
		},
	)
}
