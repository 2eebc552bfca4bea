package tune

import (
	"siskin/model"
	"siskin/model/kernel"
)

// prefillRows of a measured pass: enough to be arithmetic rather than reading, few enough for the aim.
const prefillRows = 32

// StatePasses are passes of a state that nobody uses yet, in its first sequence.
type StatePasses struct {
	state *model.State
	pool  *kernel.Pool
	rows  []model.Row
}

// PassesOf makes the passes of a state whose workers are those of pool. Its first sequence must be empty, and is empty
// again after Reset.
func PassesOf(state *model.State, pool *kernel.Pool) *StatePasses {
	limits := state.Limits()
	p := &StatePasses{state: state, pool: pool}
	// Any token does: the work does not depend on it.
	for pos := range min(prefillRows, limits.Rows, limits.Context) {
		p.rows = append(p.rows, model.Row{Pos: pos})
	}
	return p
}

// SetThreads implements Passes.
func (p *StatePasses) SetThreads(n int) { p.pool.SetThreads(n, n) }

// Decode implements Passes; it computes logits.
func (p *StatePasses) Decode() error { return p.state.Forward([]model.Row{{Logits: true}}) }

// Prefill implements Passes.
func (p *StatePasses) Prefill() error { return p.state.Forward(p.rows) }

// PrefillRows implements Passes: 32, or as many as the state has room for.
func (p *StatePasses) PrefillRows() int { return len(p.rows) }

// Reset implements Passes.
func (p *StatePasses) Reset() error {
	_, err := p.state.Truncate(0, 0)
	return err
}
