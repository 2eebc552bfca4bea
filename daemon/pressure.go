package daemon

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"siskin/daemon/memory"
	"siskin/model/budget"
	"siskin/mqtt/message"
)

// relief is what is done while the system is short of memory: each level includes those before.
type relief int32

// The levels, in the order in which they are taken.
const (
	reliefNone   relief = iota
	reliefCaches        // keys and values of earlier conversations are dropped
	reliefShrunk        // the garbage collector runs and returns all it can
	reliefRefuse        // what is new is refused
)

// String is what the status says.
func (r relief) String() string { return [...]string{"", "caches", "shrunk", "refusing"}[r] }

const (
	// calm is how long there must be no pressure for one level less: longer than the ten seconds over which averages run.
	calm = 15 * time.Second
	// roomEvery is how often weights that are streamed get the room that nothing else uses, and roomReserve what stays free of
	// it: keys and values that a prompt makes in that time, and garbage.
	roomEvery   = 250 * time.Millisecond
	roomReserve = 1 << 20
	// statusEvery is how often the status is published while nothing happens.
	statusEvery = time.Minute
)

// thrashing is how many pages of files are read again between two reports of pressure if memory is too small for the work: 4 MiB in
// two seconds at least. A control group that fills with pages of files for the first time reports pressure as well.
const thrashing = 1024

// pressure is the level in use. All but level is watchMemory's.
type pressure struct {
	level       atomic.Int32
	last        time.Time // when there was pressure, or a level was left
	own, system int64     // refaults at the last report
}

// pressed takes the next level, if memory is indeed short; at the last it stays. That one is for thrashing of its own control
// group, or more memory of its own than planned: what other programs do does not make a daemon refuse that has what it needs.
func (p *pressure) pressed(now time.Time, usage memory.Usage, planned int64) (level relief, changed, short bool) {
	own, system := usage.Refaults-p.own >= thrashing, usage.SystemRefaults-p.system >= thrashing
	p.own, p.system = usage.Refaults, usage.SystemRefaults
	most := reliefNone
	switch {
	case own || usage.Anonymous > planned || system && usage.Group == 0:
		most = reliefRefuse
	case system:
		most = reliefShrunk
	}
	level = relief(p.level.Load())
	if most == reliefNone {
		return level, false, false
	}
	p.last = now
	level, changed = p.move(max(level, min(level+1, most)))
	return level, changed, true
}

// rested leaves a level if there was no pressure for long enough.
func (p *pressure) rested(now time.Time) (relief, bool) {
	if now.Sub(p.last) < calm {
		return relief(p.level.Load()), false
	}
	p.last = now
	return p.move(max(relief(p.level.Load())-1, reliefNone))
}

func (p *pressure) move(to relief) (relief, bool) { return to, p.level.Swap(int32(to)) != int32(to) }

// watchMemory answers pressure and publishes how memory stands, until ctx ends.
func (d *Daemon) watchMemory(ctx context.Context) {
	if d.Root == nil {
		return
	}
	place := d.Pressure
	if place.File == "" {
		place = memory.PressureOf(d.Root)
	}
	usage := memory.ReadUsage(d.Root)
	d.pressure.own, d.pressure.system = usage.Refaults, usage.SystemRefaults
	pressed := make(chan struct{})
	go func() {
		defer close(pressed)
		place.Watch(ctx, d.Root, func() {
			select {
			case pressed <- struct{}{}:
			case <-ctx.Done():
			}
		})
	}()
	every := time.NewTicker(statusEvery)
	defer every.Stop()
	rest := time.NewTimer(calm)
	defer rest.Stop()
	room := time.NewTicker(roomEvery)
	defer room.Stop()
	for watching := pressed; ; {
		select {
		case <-ctx.Done():
			for range pressed { // ends when Watch has
			}
			return
		case _, ok := <-watching:
			if !ok {
				watching = nil // there is nothing to watch
				continue
			}
			if d.streams() {
				continue
			}
			level, changed, short := d.pressure.pressed(time.Now(), memory.ReadUsage(d.Root), d.engine.Load().plan.Sum(budget.Anonymous))
			if short {
				d.relieve(level, changed)
				rest.Reset(calm)
			}
		case <-rest.C:
			if level, changed := d.pressure.rested(time.Now()); changed {
				d.relieve(level, true)
			}
			if relief(d.pressure.level.Load()) != reliefNone {
				rest.Reset(calm)
			}
		case <-room.C:
			d.lendRoom()
		case <-every.C:
			d.publishStatus(ctx)
		}
	}
}

// lendRoom lets streamed weights stay where the plan has set memory aside that is not used now. They are pages of a file: the
// system can take them back at once.
func (d *Daemon) lendRoom() {
	if d.engine.Load().reader == nil {
		return
	}
	p := &d.engine.Load().plan
	d.engine.Load().reader.Keep(p.Sum(budget.Anonymous) - p.Bytes("margin") - p.Bytes("system") - memory.ReadUsage(d.Root).Anonymous - roomReserve)
}

// streams reports whether waiting for memory is how the daemon works: weights come from the file all the time, and what it has of
// its own is within the plan.
func (d *Daemon) streams() bool {
	return d.engine.Load().reader != nil && memory.ReadUsage(d.Root).Anonymous <= d.engine.Load().plan.Sum(budget.Anonymous)
}

// relieve does what a level asks for. New is set if it is another than before.
func (d *Daemon) relieve(level relief, changed bool) {
	d.pipeline.short.Store(level >= reliefRefuse)
	if level >= reliefCaches {
		d.pipeline.engine.Load().Relieve()
	}
	if level >= reliefShrunk {
		debug.FreeOSMemory()
	}
	if !changed {
		return
	}
	usage := memory.ReadUsage(d.Root)
	if level == reliefNone {
		d.Log.Info("memory is no longer short", "usage", usage.String())
	} else {
		d.Log.Warn("the system is short of memory", "relief", level.String(), "usage", usage.String())
	}
	d.publishStatus(context.Background())
}

// publishStatus replaces the retained status; without a connection the next one does.
func (d *Daemon) publishStatus(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := d.client.Publish(ctx, d.pipeline.device.Status(), 0, true, d.status(message.Online)); err != nil {
		d.Log.Debug("status not published", "err", err)
	}
}

// memoryStatus is the part of the status about memory.
func (d *Daemon) memoryStatus() *message.Memory {
	if d.Root == nil {
		return nil
	}
	u, p := memory.ReadUsage(d.Root), &d.engine.Load().plan
	return &message.Memory{
		Budget: p.Budget, Planned: p.Total(), Anonymous: u.Anonymous, File: u.File, Group: u.Group, GroupMax: u.GroupMax,
		Refaults: u.Refaults, GaveWay: p.Steps, Pressure: relief(d.pressure.level.Load()).String(),
	}
}
