package daemon

import (
	"errors"
	"log/slog"

	"siskin/daemon/config"
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
	Threads      int
	Context      int // tokens of one conversation, and of all that are under way together
	Parallel     int
	// Memory in bytes. Weights are mapped from the file: clean pages that the system can take back; the rest is anonymous.
	Weights, Cache, Logits, Scratch, Tokenizer int64
}

// Anonymous returns the memory that cannot be taken back: all but the weights.
func (p *Plan) Anonymous() int64 { return p.Cache + p.Logits + p.Scratch + p.Tokenizer }

// Check validates a configuration, maps and checks its model, tests the kernels and says what would run. It connects
// nowhere and keeps nothing.
func Check(c config.Config, log *slog.Logger) (plan Plan, err error) {
	if err := c.Validate(); err != nil {
		return plan, err
	}
	if _, err := newRules(&c); err != nil {
		return plan, err
	}
	if _, err := clientOptions(&c); err != nil {
		return plan, err
	}
	e, err := loadEngine(&c, log)
	defer func() { err = errors.Join(err, e.close()) }()
	if err != nil {
		return plan, err
	}
	memory := e.state.Memory()
	plan = Plan{
		Model: e.name, Architecture: e.model.Config.Architecture, Kernels: e.set.Name, Threads: e.pool.Workers(),
		Packed: e.packing.used, Unpacked: e.packing.why,
		Context: c.Model.Context, Parallel: c.Model.Parallel,
		Weights: e.model.FileBytes(), Cache: memory.Cache, Logits: memory.Logits, Scratch: memory.Scratch,
		Tokenizer: int64(e.tokenizer.StateBytes()),
	}
	for _, s := range kernel.All() {
		plan.Available = append(plan.Available, s.Name)
	}
	return plan, nil
}
