package daemon

import (
	"errors"

	"siskin/daemon/config"
	"siskin/daemon/store"
	"siskin/model/budget"
	"siskin/model/kernel"
	"siskin/mqtt/topic"
)

// Plan is what a configuration comes to on this machine.
type Plan struct {
	Model        string
	Configured   string // its name, if another model was chosen instead; else ""
	Architecture string
	Kernels      string   // in use
	Available    []string // kernel sets of this CPU, the fastest first
	Packed       string   // packed file in use, or ""
	Unpacked     string   // why none is used; "" if one is
	Workers      int
	// DecodeThreads and PrefillThreads are how many workers take part in passes of few rows and of many. ThreadsFrom says
	// why: "configuration", "measured" by an earlier start, or "default".
	DecodeThreads, PrefillThreads int
	ThreadsFrom                   string
	Parallel                      int
	Tasks                         []string
	Memory                        budget.Plan
}

// Check validates a configuration, maps and checks its model, tests the kernels and says what would run. It connects
// nowhere and keeps nothing.
func Check(c config.Config, o Options) (plan Plan, err error) {
	if err := c.Validate(); err != nil {
		return plan, err
	}
	if _, err := newRules(&c); err != nil {
		return plan, err
	}
	if _, err := clientOptions(&c); err != nil {
		return plan, err
	}
	device, err := topic.NewDevice(c.Device)
	if err != nil {
		return plan, err
	}
	e, err := readChoices(&c, &o, device.Name()).load(&c, &o, false)
	defer func() { err = errors.Join(err, e.close()) }()
	if err != nil {
		return plan, err
	}
	plan = Plan{
		Model: e.name, Architecture: e.model.Config.Architecture, Kernels: e.set.Name, Workers: e.pool.Workers(),
		DecodeThreads: e.threads.Decode, PrefillThreads: e.threads.Prefill, ThreadsFrom: e.threads.source,
		Packed: e.packing.used, Unpacked: e.packing.why,
		Parallel: c.Model.Parallel, Tasks: tasksOf(&c).Names(), Memory: e.plan,
	}
	if name := store.Name(c.Model.Path); name != e.name {
		plan.Configured = name
	}
	for _, s := range kernel.All() {
		plan.Available = append(plan.Available, s.Name)
	}
	return plan, nil
}
