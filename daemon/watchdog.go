package daemon

// Pulse tells whether a daemon makes progress, by comparing with what it saw the time before.
type Pulse struct {
	daemon *Daemon
	turns  uint64
}

// Pulse begins to watch; each watcher needs its own.
func (d *Daemon) Pulse() *Pulse { return &Pulse{daemon: d} }

// Beats reports whether the session has done a pass since the last call, or has nothing to do: it waits, and so does no
// request. So it does while another model is loaded. Where a lock of the queue is never given back, it does not return, which is an answer as well. A request that has just
// come may make it say no once, so a watchdog should ask several times before it bites.
func (p *Pulse) Beats() bool {
	if p.daemon.models.changing.Load() {
		return true // a large model on a slow card takes its time
	}
	turns, waiting := p.daemon.pipeline.engine.Load().Progress()
	moved := turns != p.turns
	p.turns = turns
	return moved || waiting && p.daemon.Waiting() == 0
}

// Waiting is how many accepted requests wait for their turn.
func (d *Daemon) Waiting() int { return d.pipeline.queue.Depth() }
