package daemon

import (
	"time"

	"siskin/daemon/config"
	"siskin/daemon/cores"
	"siskin/daemon/tune"
)

// threads says how many workers run, how many of them take part in passes, and why.
type threads struct {
	workers int
	tune.Counts
	source string // as in Plan.ThreadsFrom
}

// Reasons for counts of threads.
const (
	fromDefault  = "default"
	fromConfig   = "configuration"
	fromMeasured = "measured"
)

// Workers returns how many threads a configuration has on a machine: as many as compute at the same time, at most.
func Workers(c *config.Config, m *cores.Machine) int {
	return max(mostThreads(c, m), c.Model.DecodeThreads, c.Model.PrefillThreads)
}

// mostThreads is how many threads compute where neither a setting nor a measurement says otherwise.
func mostThreads(c *config.Config, m *cores.Machine) int {
	if c.Model.Threads > 0 {
		return c.Model.Threads
	}
	return m.Threads()
}

// chooseThreads applies the counts of threads: configured ones, else measured ones. What is not known is measured, if
// measure is set, and kept in the folder of the state; without a folder, where each start would measure, it is not.
func (e *engine) chooseThreads(c *config.Config, o *Options, measure bool) error {
	most := mostThreads(c, &o.Machine)
	e.threads = threads{Workers(c, &o.Machine), tune.Counts{Decode: most, Prefill: most}, fromDefault}
	defer func() { e.pool.SetThreads(e.threads.Decode, e.threads.Prefill) }()
	configured := c.Model.DecodeThreads > 0 && c.Model.PrefillThreads > 0
	if c.Model.Tune && most > 1 && !configured && o.StateFolder != "" {
		if err := e.tuneThreads(c, o, most, measure); err != nil {
			return err
		}
	}
	if c.Model.DecodeThreads > 0 {
		e.threads.Decode = c.Model.DecodeThreads
	}
	if c.Model.PrefillThreads > 0 {
		e.threads.Prefill = c.Model.PrefillThreads
	}
	if configured {
		e.threads.source = fromConfig
	}
	return nil
}

// tuneThreads finds the counts in the cache, or measures them. That the cache cannot be written only costs the next start
// another measurement.
func (e *engine) tuneThreads(c *config.Config, o *Options, most int, measure bool) error {
	key, err := tune.KeyOf(c.Model.Path, e.set.Name, o.Machine.Model, most, o.Version)
	if err != nil {
		return err
	}
	r, known := tune.Load(o.StateFolder, key)
	if !known {
		if !measure {
			return nil
		}
		now := o.clock()
		begun := now()
		if r, err = tune.Measure(tune.PassesOf(e.state, e.pool), most, now); err != nil {
			return err
		}
		e.log.Info("threads measured", "decode", r.Decode, "prefill", r.Prefill, "speeds", r.String(),
			"steady", !r.Unsteady, "took", now().Sub(begun).Round(time.Millisecond))
		if r.Unsteady {
			return nil // other work disturbed it: the next start tries again
		}
		if err := tune.Save(o.StateFolder, key, r); err != nil {
			e.log.Warn("the next start will measure again", "err", err)
		}
	}
	e.threads.Counts, e.threads.source = r.Counts, fromMeasured
	return nil
}
