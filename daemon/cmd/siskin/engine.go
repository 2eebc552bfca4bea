package main

import (
	"io"

	"siskin/model"
	"siskin/model/kernel"
)

// modelFlags choose a model and how it is run, for the commands that run one in this process.
type modelFlags struct {
	Model   string `required:"" type:"path" help:"Model file (GGUF)."`
	Kernels string `default:"auto" env:"SISKIN_KERNELS" help:"Kernel set: auto, or a name that 'siskin check' lists."`
	Threads int    `default:"0" help:"Worker threads; 0: one for each fast core."`
	Plain   bool   `help:"Use the model file even if there is a packed one."`
	cacheFlag
}

// engine is an open model with what runs it.
type engine struct {
	model *model.Model
	set   *kernel.Set
	pool  *kernel.Pool
}

// open maps the model, packed if it is, chooses the kernels and starts the workers. A faster kernel set that failed its
// self-test, and a packed file that is not used, are reported on warn.
func (f *modelFlags) open(warn io.Writer) (*engine, error) {
	if f.Threads < 0 || f.Threads > 256 {
		return nil, usagef("--threads %d: want 0 to 256", f.Threads)
	}
	set, err := chooseKernels(f.Kernels, warn)
	if err != nil {
		return nil, err
	}
	m, err := model.Open(f.Model)
	if err != nil {
		return nil, err
	}
	if !f.Plain {
		usePacked(m, f.Model, set, f.Cache, warn)
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
