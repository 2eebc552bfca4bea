package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"siskin/daemon/bench"
	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/kvcache"
)

type benchCommand struct {
	Model   string `required:"" type:"path" help:"Model file (GGUF)."`
	Kernels string `default:"auto" env:"SISKIN_KERNELS" help:"Kernel sets: auto for the best one, all for every one in assembly, or names with commas; 'siskin check' lists them."`
	Threads int    `default:"0" help:"Worker threads; 0: one per core."`
	Plain   bool   `help:"Measure the model file only; default: the packed one too, if there is one."`
	Packed  string `type:"path" help:"Packed file to measure; default: where the daemon finds it."`
	cacheFlag

	Quick   bool   `help:"A short run: one prompt, depth 0, no batches."`
	Prompts []int  `help:"Tokens of the prefills; default: 32,128,512."`
	Depths  []int  `help:"Tokens before the decoded ones; default: 0,512,2048. 0 is always measured."`
	Batches []int  `help:"Sequences decoded together; default: 1 to 8."`
	Tokens  int    `help:"Tokens to decode in one run; default: 64."`
	KV      string `default:"f16" help:"How keys and values are kept: f16, q8 or q4."`
	Rows    int    `default:"64" help:"Rows of one prefill pass."`
	Runs    int    `default:"5" help:"Runs of everything; medians and extremes are reported."`
	Roof    bool   `help:"Measure the machine's read bandwidth and int8 peak in the same runs, and print the shares of them."`
	Contend int    `default:"0" help:"Measure decoding beside this many busy processes too."`
	JSON    bool   `help:"Print one flat JSON object a line, one for each kernel set, plain and packed; null is what was not measured."`
}

// maxContend bounds the busy processes: more is a mistake.
const maxContend = 256

func (c *benchCommand) Run(ctx context.Context, s *streams) (err error) {
	plan, err := c.plan(s)
	if err != nil {
		return err
	}
	sets, err := benchSets(c.Kernels, s)
	if err != nil {
		return err
	}
	flags := modelFlags{Model: c.Model, Kernels: sets[0].Name, Threads: c.Threads, Plain: true}
	e, err := flags.open(s.err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	// As the daemon does: while all workers spin, the garbage collector still finds a processor.
	before := runtime.GOMAXPROCS(max(e.pool.Workers(), runtime.NumCPU()) + 1)
	defer runtime.GOMAXPROCS(before)
	subjects, err := c.subjects(e, sets, s.err)
	defer func() { err = errors.Join(err, closePacked(subjects)) }()
	if err != nil {
		return err
	}
	if plan.KV, err = kvcache.Named(c.KV); err != nil {
		return usagef("bench: --kv: %w", err)
	}
	results, err := bench.Run(ctx, plan, subjects)
	if err != nil {
		return err
	}
	for i := range results {
		if c.JSON {
			err = json.NewEncoder(s.out).Encode(results[i])
		} else {
			err = results[i].Print(s.out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// plan makes the plan of the flags; what is not given is that of a full or of a quick run.
func (c *benchCommand) plan(s *streams) (bench.Plan, error) {
	plan := bench.Full()
	if c.Quick {
		plan = bench.Quick()
	}
	for _, f := range []struct{ given, to *[]int }{
		{&c.Prompts, &plan.Prompts}, {&c.Depths, &plan.Depths}, {&c.Batches, &plan.Batches},
	} {
		if *f.given != nil {
			*f.to = *f.given
		}
	}
	if c.Tokens != 0 {
		plan.Tokens = c.Tokens
	}
	plan.Rows, plan.Runs, plan.Roof = c.Rows, c.Runs, c.Roof
	if c.Contend < 0 || c.Contend > maxContend {
		return plan, usagef("bench: --contend: %d, want 0 to %d", c.Contend, maxContend)
	}
	if c.Contend > 0 {
		plan.Busy = func(ctx context.Context) (func() error, error) { return startBusy(ctx, c.Contend) }
	}
	plan.Progress = func(line string) { fmt.Fprintln(s.err, "siskin: bench:", line) }
	if err := plan.Validate(); err != nil {
		return plan, usagef("bench: %w", err)
	}
	return plan, nil
}

// benchSets finds the kernel sets of --kernels, each once. A set that fails its self-test is reported and measured.
func benchSets(names string, s *streams) ([]*kernel.Set, error) {
	list := strings.Split(names, ",")
	if names == "all" {
		list = nil
		for _, set := range kernel.All() {
			list = append(list, set.Name)
		}
		if len(list) > 1 {
			list = list[:len(list)-1] // the generic one, a hundred times slower, only by its name
		}
	}
	var sets []*kernel.Set
	for _, name := range list {
		set, err := kernel.ByName(name)
		if set == nil {
			return nil, usageError{err}
		}
		if err != nil {
			fmt.Fprintln(s.err, "siskin: warning:", err)
		}
		if slices.ContainsFunc(sets, func(have *kernel.Set) bool { return have.Name == set.Name }) {
			return nil, usagef("bench: --kernels: %s is there twice", set.Name)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// subjects lists what is measured: for each of the sets the open model, and the model with its packed file where there is
// one. Those have models of their own, to be closed with closePacked, after an error too.
func (c *benchCommand) subjects(e *engine, sets []*kernel.Set, warn io.Writer) ([]bench.Subject, error) {
	var all []bench.Subject
	for _, set := range sets {
		subject := bench.Subject{Name: filepath.Base(c.Model), Model: e.model, Set: set, Pool: e.pool}
		all = append(all, subject)
		if c.Plain {
			continue
		}
		m, err := c.openPacked(set, warn)
		if err != nil {
			return all, err
		}
		if m != nil {
			subject.Model, subject.Packed = m, true
			all = append(all, subject)
		}
	}
	return all, nil
}

// openPacked opens the model once more with the packed file for set; nil if there is none. One of --packed that is for other
// kernels is reported on warn.
func (c *benchCommand) openPacked(set *kernel.Set, warn io.Writer) (*model.Model, error) {
	m, err := model.Open(c.Model)
	if err != nil {
		return nil, err
	}
	if c.Packed == "" {
		usePacked(m, c.Model, set, c.Cache, warn)
	} else if err := useFile(m, c.Packed, set); err != nil {
		fmt.Fprintf(warn, "siskin: warning: kernels %s: %v\n", set.Name, err)
	}
	if m.Packed() == "" {
		return nil, m.Close()
	}
	return m, nil
}

// useFile takes the matrices of m from the packed file at path.
func useFile(m *model.Model, path string, set *kernel.Set) error {
	source, err := m.Source()
	if err != nil {
		return err
	}
	return m.UsePacked(path, &source, set)
}

// closePacked closes the models that subjects opened.
func closePacked(subjects []bench.Subject) error {
	var errs []error
	for i := range subjects {
		if subjects[i].Packed {
			errs = append(errs, subjects[i].Model.Close())
		}
	}
	return errors.Join(errs...)
}
