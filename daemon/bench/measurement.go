package bench

import (
	"context"
	"errors"
	"slices"
	"time"
)

// measurement is one number that is taken in every run: what was done in all its slices over the time that they took.
type measurement struct {
	key   string                            // of the result, with the unit
	begin func(context.Context) error       // before the first slice; nil: nothing is to be done
	slice func(context.Context, int) amount // slice i, 0 to sliceCount-1
	end   func() error                      // after the last slice, and after an error if begin had none; nil: nothing
}

// amount is what a slice did.
type amount struct {
	done float64 // tokens, or 10^9 bytes or multiply-accumulates
	took time.Duration
	err  error
}

// sliceCount is how many slices a measurement has. Those of a group take turns: the memory of a shared machine may give twice
// as much a second later, and one after the other, in 0.15 and 0.25 s, decoding went at 77 to 93 % of the read bandwidth from
// run to run (daemon/doc/bench/2026-11-28-zen4.md).
const sliceCount = 8

// sliceOf returns the part [from, to) of n steps that slice i takes.
func sliceOf(n, i int) (from, to int) { return n * i / sliceCount, n * (i + 1) / sliceCount }

// schedule lists the measurements in the order of a run: each of the machine in one group with what is compared with it.
func (r *runner) schedule() {
	threads, depths := r.Pool.Workers(), r.plan.Depths
	var single, batches, peak []measurement
	if r.plan.Roof {
		spans := weightSpans(r.Model)
		single = append(single, machine(keyRead, func() (float64, time.Duration) { return readBytes(&r.probe, threads, spans) }))
		peak = append(peak, machine(keyPeak, func() (float64, time.Duration) { return peakMACs(&r.probe, threads) }))
	}
	for i, depth := range depths {
		single = append(single, r.decoding(decodeKey(depth), 1+i, 1, depth, r.plan.Tokens))
	}
	for _, n := range r.plan.Batches {
		batches = append(batches, r.decoding(batchKey(n), 1+len(depths), n, 0, r.plan.steps()))
	}
	r.groups = append(r.groups, single)
	if r.plan.Busy != nil {
		r.groups = append(r.groups, []measurement{r.contended()})
	}
	r.groups = append(r.groups, batches)
	if n := r.sharePrompt(); n > 0 {
		peak = append(peak, r.prefilling(n))
	}
	r.groups = append(r.groups, peak)
	for _, n := range r.plan.Prompts { // they share a sequence
		if n != r.sharePrompt() {
			r.groups = append(r.groups, []measurement{r.prefilling(n)})
		}
	}
}

// machine is a measurement of the machine.
func machine(key string, slice func() (float64, time.Duration)) measurement {
	return measurement{key: key, slice: func(context.Context, int) amount {
		done, took := slice()
		return amount{done: done / 1e9, took: took}
	}}
}

// decoding is the speed of writing steps tokens to each of n sequences from seq on, all of them depth tokens long, in tokens a
// second of all together.
func (r *runner) decoding(key string, seq, n, depth, steps int) measurement {
	return measurement{
		key: key,
		slice: func(ctx context.Context, i int) amount {
			from, to := sliceOf(steps, i)
			// The run before has written these tokens, or another batch, which shares sequences.
			if err := r.rewind(ctx, seq, n, depth+from); err != nil {
				return amount{err: err}
			}
			begun := time.Now()
			err := r.write(ctx, seq, n, depth+from, depth+to)
			return amount{float64(n * (to - from)), time.Since(begun), err}
		},
	}
}

// prefilling is the speed of n tokens into an empty sequence, the last of them with logits, in tokens a second. A slice is
// whole passes.
func (r *runner) prefilling(n int) measurement {
	passes := (n + r.plan.Rows - 1) / r.plan.Rows
	return measurement{
		key:   prefillKey(n),
		begin: func(ctx context.Context) error { return r.rewind(ctx, 0, 1, 0) },
		slice: func(ctx context.Context, i int) amount {
			_, pass := sliceOf(passes, i)
			from, begun := r.state.Len(0), time.Now()
			err := r.feed(ctx, 0, min(n, pass*r.plan.Rows), n)
			return amount{float64(r.state.Len(0) - from), time.Since(begun), err}
		},
	}
}

// settle is how long busy processes run before the measurement beside them begins.
const settle = 100 * time.Millisecond

// contended is decoding at depth 0 on a busy machine.
func (r *runner) contended() measurement {
	m := r.decoding(keyContended, 1+slices.Index(r.plan.Depths, 0), 1, 0, r.plan.Tokens)
	var stop func() error
	m.begin = func(ctx context.Context) (err error) {
		if stop, err = r.plan.Busy(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), stop())
		case <-time.After(settle):
			return nil
		}
	}
	m.end = func() error { return stop() }
	return m
}

// run takes every measurement once, those of a group in turns.
func (r *runner) run(ctx context.Context) error {
	for _, group := range r.groups {
		totals := make([]amount, len(group))
		if err := takeTurns(ctx, group, totals); err != nil {
			return err
		}
		for i, t := range totals {
			r.values[group[i].key] = append(r.values[group[i].key], t.done/t.took.Seconds())
		}
	}
	return nil
}

// takeTurns adds up all slices of a group.
func takeTurns(ctx context.Context, group []measurement, totals []amount) (err error) {
	for _, m := range group {
		if m.begin != nil {
			if err := m.begin(ctx); err != nil {
				return err
			}
		}
		if m.end != nil {
			defer func() { err = errors.Join(err, m.end()) }()
		}
	}
	for i := range sliceCount {
		for k, m := range group {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			part := m.slice(ctx, i)
			if part.err != nil {
				return part.err
			}
			totals[k].done += part.done
			totals[k].took += part.took
		}
	}
	return nil
}
