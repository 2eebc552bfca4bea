package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/kvcache"
)

// Subject is what is measured: an open model and what runs it. Subjects may share a model and a pool.
type Subject struct {
	Name   string // of the model, for people
	Packed bool   // whether the weights are interleaved for the set
	Model  *model.Model
	Set    *kernel.Set
	Pool   *kernel.Pool
}

// runner measures one subject. Each measurement has sequences of its own in the KV cache: 0 is for prefills, one for each
// depth is filled to it once, and the rest is for batches.
type runner struct {
	Subject
	plan   Plan
	work   Work
	probe  kernel.Probe
	state  *model.State
	groups [][]measurement      // of measurements that are compared with each other
	values map[string][]float64 // by key, one for each run
	rows   []model.Row
}

// Run measures all subjects, in turn within each run, and returns one result for each.
func Run(ctx context.Context, plan Plan, subjects []Subject) (results []Result, err error) {
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	var runners []*runner
	defer func() {
		for _, r := range runners {
			err = errors.Join(err, r.state.Close())
		}
	}()
	for _, s := range subjects {
		r, err := newRunner(ctx, plan, s)
		if err != nil {
			return nil, fmt.Errorf("%s, kernels %s: %w", s.Name, s.Set.Name, err)
		}
		runners = append(runners, r)
	}
	for i := range plan.Runs {
		for _, r := range runners {
			plan.say(fmt.Sprintf("run %d of %d: %s", i+1, plan.Runs, r.label()))
			if err := r.run(ctx); err != nil {
				return nil, fmt.Errorf("%s, kernels %s: %w", r.Name, r.Set.Name, err)
			}
		}
	}
	for _, r := range runners {
		results = append(results, r.result())
	}
	return results, nil
}

// newRunner allocates the state and fills the sequences of the depths, which warms everything up.
func newRunner(ctx context.Context, plan Plan, s Subject) (*runner, error) {
	c := &s.Model.Config
	plan = plan.within(c)
	r := &runner{
		Subject: s, plan: plan, work: WorkOf(s.Model), probe: kernel.ProbeOf(s.Set), values: map[string][]float64{},
	}
	largest := slices.Max(append(slices.Clone(plan.Batches), 1))
	pages := func(positions int) int { return (positions + kvcache.PageLen - 1) / kvcache.PageLen * kvcache.PageLen }
	context := plan.Tokens
	positions := pages(slices.Max(append(slices.Clone(plan.Prompts), 1))) + largest*pages(plan.steps())
	for _, n := range plan.Prompts {
		context = max(context, n)
	}
	for _, n := range plan.Depths {
		context = max(context, n+plan.Tokens)
		positions += pages(n + plan.Tokens)
	}
	var err error
	r.state, err = model.NewState(s.Model, s.Set, s.Pool, model.Limits{
		Rows: max(plan.Rows, largest), Logits: largest, Sequences: 1 + len(plan.Depths) + largest,
		Context: context, Positions: max(positions, context), KV: plan.KV,
	})
	if err != nil {
		return nil, err
	}
	r.schedule()
	plan.say("filling the context for " + r.label())
	for i, depth := range plan.Depths {
		if err := r.feed(ctx, 1+i, depth, depth); err != nil {
			return nil, errors.Join(err, r.state.Close())
		}
	}
	return r, nil
}

// label names the subject in a line of progress.
func (r *runner) label() string {
	if r.Packed {
		return r.Set.Name + ", packed"
	}
	return r.Set.Name
}

// rewind shortens n sequences from seq on to depth tokens.
func (r *runner) rewind(ctx context.Context, seq, n, depth int) error {
	for i := range n {
		if r.state.Len(seq+i) <= depth {
			continue
		}
		if _, err := r.state.Truncate(seq+i, depth); err != nil {
			return err
		}
		if err := r.feed(ctx, seq+i, depth, depth); err != nil { // nothing, but with recurrent layers
			return err
		}
	}
	return nil
}

// feed extends a sequence to some tokens of a prompt of n in passes of plan.Rows. Any tokens do: the work does not depend on
// them.
func (r *runner) feed(ctx context.Context, seq, to, n int) error {
	for pos := r.state.Len(seq); pos < to; {
		r.rows = r.rows[:0]
		for len(r.rows) < r.plan.Rows && pos < to {
			r.rows = append(r.rows, model.Row{Seq: seq, Pos: pos, Token: r.token(pos), Logits: pos == n-1})
			pos++
		}
		if err := r.pass(ctx); err != nil {
			return err
		}
	}
	return nil
}

// write writes a token at each of the positions [from, to) to each of n sequences from seq on.
func (r *runner) write(ctx context.Context, seq, n, from, to int) error {
	for pos := from; pos < to; pos++ {
		r.rows = r.rows[:0]
		for i := range n {
			r.rows = append(r.rows, model.Row{Seq: seq + i, Pos: pos, Token: r.token(pos + i), Logits: true})
		}
		if err := r.pass(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) pass(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.state.Forward(r.rows)
}

func (r *runner) token(pos int) int32 { return int32(pos % r.Model.Config.Vocab) }
