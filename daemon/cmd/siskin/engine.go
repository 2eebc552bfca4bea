package main

import (
	"fmt"
	"io"

	"siskin/model"
	"siskin/model/kernel"
)

// modelFlags choose a model and how it is run, for the commands that run one in this process.
type modelFlags struct {
	Model   string `required:"" type:"path" help:"Model file (GGUF)."`
	Kernels string `default:"auto" env:"SISKIN_KERNELS" help:"Kernel set: auto, or a name that 'siskin check' lists."`
	Threads int    `default:"0" help:"Worker threads; 0: one for each fast core."`
}

// engine is an open model with what runs it.
type engine struct {
	model *model.Model
	set   *kernel.Set
	pool  *kernel.Pool
}

// open maps the model, chooses the kernels and starts the workers. A faster kernel set that failed its self-test is
// reported on warn.
func (f *modelFlags) open(warn io.Writer) (*engine, error) {
	if f.Threads < 0 || f.Threads > 256 {
		return nil, usagef("--threads %d: want 0 to 256", f.Threads)
	}
	set, err := kernel.ByName(f.Kernels)
	if set == nil {
		return nil, usageError{err}
	}
	if err != nil {
		fmt.Fprintln(warn, "siskin: warning:", err)
	}
	m, err := model.Open(f.Model)
	if err != nil {
		return nil, err
	}
	threads := f.Threads
	if threads == 0 {
		here := machine()
		threads = here.Threads()
	}
	return &engine{model: m, set: set, pool: kernel.NewPool(threads)}, nil
}

func (e *engine) close() error {
	e.pool.Close()
	return e.model.Close()
}
