package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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

// measurement is one number that is taken in every run.
type measurement struct {
	key  string // of the result, with the unit
	take func(context.Context) (float64, error)
}

// runner measures one subject. Each measurement has sequences of its own in the KV cache: 0 is for prefills, one for each
// depth is filled to it once, and the rest is for batches.
type runner struct {
	Subject
	plan         Plan
	work         Work
	probe        kernel.Probe
	state        *model.State
	measurements []measurement
	values       map[string][]float64 // by key, one for each run
	rows         []model.Row
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
		if err := r.feed(ctx, 1+i, depth); err != nil {
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

// schedule lists the measurements in the order of a run: each of the machine beside what is compared with it.
func (r *runner) schedule() {
	add := func(key string, take func(context.Context) (float64, error)) {
		r.measurements = append(r.measurements, measurement{key, take})
	}
	threads := r.Pool.Workers()
	if r.plan.Roof {
		spans := weightSpans(r.Model)
		add(keyRead, func(context.Context) (float64, error) { return readGBs(&r.probe, threads, spans), nil })
	}
	for i, depth := range r.plan.Depths {
		add(decodeKey(depth), func(ctx context.Context) (float64, error) {
			return r.decode(ctx, 1+i, 1, depth, r.plan.Tokens)
		})
	}
	if r.plan.Busy != nil {
		add(keyContended, r.contended)
	}
	for _, n := range r.plan.Batches {
		add(batchKey(n), func(ctx context.Context) (float64, error) {
			return r.decode(ctx, 1+len(r.plan.Depths), n, 0, r.plan.steps())
		})
	}
	if r.plan.Roof {
		add(keyPeak, func(context.Context) (float64, error) { return peakGMACs(&r.probe, threads), nil })
	}
	for _, n := range r.plan.Prompts {
		add(prefillKey(n), func(ctx context.Context) (float64, error) { return r.prefill(ctx, n) })
	}
}

// run takes every measurement once.
func (r *runner) run(ctx context.Context) error {
	for _, m := range r.measurements {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v, err := m.take(ctx)
		if err != nil {
			return err
		}
		r.values[m.key] = append(r.values[m.key], v)
	}
	return nil
}

// prefill returns the speed of n tokens into an empty sequence, the last of them with logits, in tokens a second.
func (r *runner) prefill(ctx context.Context, n int) (float64, error) {
	if _, err := r.state.Truncate(0, 0); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := r.feed(ctx, 0, n); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// feed extends a sequence to n tokens in passes of plan.Rows. Any tokens do: the work does not depend on them.
func (r *runner) feed(ctx context.Context, seq, n int) error {
	for pos := r.state.Len(seq); pos < n; {
		r.rows = r.rows[:0]
		for len(r.rows) < r.plan.Rows && pos < n {
			r.rows = append(r.rows, model.Row{Seq: seq, Pos: pos, Token: r.token(pos), Logits: pos == n-1})
			pos++
		}
		if err := r.pass(ctx); err != nil {
			return err
		}
	}
	return nil
}

// decode returns the speed of writing steps tokens to each of n sequences from seq on, all of them depth tokens long, in
// tokens a second of all together.
func (r *runner) decode(ctx context.Context, seq, n, depth, steps int) (float64, error) {
	for i := range n {
		if r.state.Cache.Len(seq+i) > depth {
			if _, err := r.state.Truncate(seq+i, depth); err != nil {
				return 0, err
			}
			if err := r.feed(ctx, seq+i, depth); err != nil { // nothing, but with recurrent layers
				return 0, err
			}
		}
	}
	begun := time.Now()
	for step := range steps {
		r.rows = r.rows[:0]
		for i := range n {
			r.rows = append(r.rows, model.Row{Seq: seq + i, Pos: depth + step, Token: r.token(depth + step + i), Logits: true})
		}
		if err := r.pass(ctx); err != nil {
			return 0, err
		}
	}
	return float64(n*steps) / time.Since(begun).Seconds(), nil
}

func (r *runner) pass(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.state.Forward(r.rows)
}

func (r *runner) token(pos int) int32 { return int32(pos % r.Model.Config.Vocab) }

// settle is how long busy processes run before the measurement beside them begins.
const settle = 100 * time.Millisecond

// contended is decode at depth 0 on a busy machine.
func (r *runner) contended(ctx context.Context) (speed float64, err error) {
	stop, err := r.plan.Busy(ctx)
	if err != nil {
		return 0, err
	}
	defer func() {
		if stopErr := stop(); err == nil {
			err = stopErr
		}
	}()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(settle):
	}
	return r.decode(ctx, 1+slices.Index(r.plan.Depths, 0), 1, 0, r.plan.Tokens)
}
