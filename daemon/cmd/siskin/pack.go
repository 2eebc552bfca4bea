package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"siskin/daemon/store"
	"siskin/model"
	"siskin/model/kernel"
)

type packCommand struct {
	File    string `arg:"" type:"path" help:"Model file (GGUF)."`
	Kernels string `default:"auto" env:"SISKIN_KERNELS" help:"Kernel set to pack for: auto, or a name that 'siskin check' lists."`
	Output  string `type:"path" help:"File to make; default: beside the model, where the daemon finds it."`
	Again   bool   `help:"Make it again even if it is there and fits."`
	cacheFlag
}

// cacheFlag names the second place of packed files.
type cacheFlag struct {
	Cache string `name:"pack-dir" type:"path" help:"Folder for packed files of models in folders that cannot be written to; model.pack_dir of the configuration."`
}

func (c *packCommand) Run(ctx context.Context, s *streams) error {
	set, err := chooseKernels(c.Kernels, s.err)
	if err != nil {
		return err
	}
	return packModel(ctx, s, s.out, c.File, set, store.PackOptions{Output: c.Output, Cache: c.Cache, Again: c.Again})
}

// packModel packs with a progress bar and says on out what it did.
func packModel(ctx context.Context, s *streams, out io.Writer, path string, set *kernel.Set, opt store.PackOptions) error {
	bar := progressBar{w: s.err}
	begun := time.Now()
	opt.Step = bar.often
	p, err := store.Pack(ctx, path, set, opt)
	bar.end()
	switch {
	case errors.Is(err, store.ErrNoPacking):
		fmt.Fprintf(out, "%s is not packed: the kernels %s are as fast without\n", path, set.Name)
		return nil
	case err != nil:
		return err
	case !p.Made:
		fmt.Fprintf(out, "%s is there already: %.1f MB for the kernels %s\n", p.Path, float64(p.Bytes)/1e6, set.Name)
		return nil
	}
	fmt.Fprintf(out, "%s: %d matrices, %.1f MB for the kernels %s, in %.1f s\n",
		p.Path, p.Parts, float64(p.Bytes)/1e6, set.Name, time.Since(begun).Seconds())
	return nil
}

type verifyCommand struct {
	File string `arg:"" type:"path" help:"Model file (GGUF)."`
}

func (c *verifyCommand) Run(ctx context.Context, s *streams) error {
	bar := progressBar{w: s.err}
	v, err := store.Verify(ctx, c.File, bar.often)
	bar.end()
	if err != nil {
		return err
	}
	recorded := "nothing was recorded to compare with"
	if v.Recorded {
		recorded = "as recorded when it was pulled"
	}
	fmt.Fprintf(s.out, "%s: SHA-256 %s, %s\n", c.File, v.SHA256, recorded)
	var errs []error
	for _, p := range v.Packed {
		if p.Problem != "" {
			errs = append(errs, fmt.Errorf("%s: %s: remove it, or make it again with 'siskin model pack --again'", p.Path, p.Problem))
			continue
		}
		fmt.Fprintf(s.out, "%s: whole, and of this model\n", p.Path)
	}
	return errors.Join(errs...)
}

// chooseKernels finds a kernel set by name. A faster one that failed its self-test is reported on warn.
func chooseKernels(name string, warn io.Writer) (*kernel.Set, error) {
	set, err := kernel.ByName(name)
	if set == nil {
		return nil, usageError{err}
	}
	if err != nil {
		fmt.Fprintln(warn, "siskin: warning:", err)
	}
	return set, nil
}

// usePacked takes the matrices of m from its packed file where there is one; what is wrong with one is reported on warn.
func usePacked(m *model.Model, path string, set *kernel.Set, cache string, warn io.Writer) {
	err := store.UsePacked(m, path, set, cache)
	if err != nil && !errors.Is(err, store.ErrNoPacking) && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(warn, "siskin: warning: the plain model is used:", err)
	}
}

// packedLine describes a packed file for people.
func packedLine(p *store.PackedInfo) string {
	line := fmt.Sprintf("%s, %.1f MB, units of %d bytes", filepath.Base(p.Path), float64(p.Size)/1e6, p.Unit)
	if p.Problem != "" {
		return fmt.Sprintf("%s, not used: %s", filepath.Base(p.Path), p.Problem)
	}
	return line
}
