package daemon

import (
	"errors"

	"siskin/daemon/config"
	"siskin/model/draft"
	"siskin/model/kernel"
)

// Plan is what a configuration comes to on this machine.
type Plan struct {
	Model        string
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
	Context                       int // tokens of one conversation, and of all that are under way together
	Parallel                      int
	// Memory in bytes. Weights are mapped from the file: clean pages that the system can take back; the rest is anonymous.
	Weights, Cache, Logits, Scratch, Drafts, Tokenizer int64
}

// Anonymous returns the memory that cannot be taken back: all but the weights.
func (p *Plan) Anonymous() int64 { return p.Cache + p.Logits + p.Scratch + p.Drafts + p.Tokenizer }

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
	e, err := loadEngine(&c, &o, false)
	defer func() { err = errors.Join(err, e.close()) }()
	if err != nil {
		return plan, err
	}
	memory := e.state.Memory()
	plan = Plan{
		Model: e.name, Architecture: e.model.Config.Architecture, Kernels: e.set.Name, Workers: e.pool.Workers(),
		DecodeThreads: e.threads.Decode, PrefillThreads: e.threads.Prefill, ThreadsFrom: e.threads.source,
		Packed: e.packing.used, Unpacked: e.packing.why,
		Context: c.Model.Context, Parallel: c.Model.Parallel,
		Weights: e.model.FileBytes(), Cache: memory.Cache, Logits: memory.Logits, Scratch: memory.Scratch,
		Tokenizer: int64(e.tokenizer.StateBytes()),
	}
	if draftsOf(&c) != 0 {
		plan.Drafts = int64(c.Model.Parallel) * draft.FinderBytes(c.Model.Context)
	}
	for _, s := range kernel.All() {
		plan.Available = append(plan.Available, s.Name)
	}
	return plan, nil
}
