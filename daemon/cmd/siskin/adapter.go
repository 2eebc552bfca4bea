package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"siskin/daemon/store"
	"siskin/model"
	"siskin/model/lora"
)

type adapterCommand struct {
	List   adapterListCommand   `cmd:"" help:"List the adapters in the folder."`
	Add    adapterAddCommand    `cmd:"" help:"Copy an adapter (LoRA, GGUF) into the folder; requests may name it from then on."`
	Remove adapterRemoveCommand `cmd:"" help:"Take an adapter out of the folder."`
}

// adapterFolder is the folder of adapters.
type adapterFolder struct {
	Dir string `default:"models/adapters" type:"path" help:"Folder of adapters: model.adapters of the configuration, by default adapters beside the model."`
}

type adapterListCommand struct{ adapterFolder }

func (c *adapterListCommand) Run(s *streams) error {
	folder := store.Adapters{Dir: c.Dir}
	names, err := folder.List()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	var errs []error
	for _, name := range names {
		a, err := folder.Open(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\trank %d\talpha %g\t%d matrices\t%.1f MB\t%s\n", name, a.Architecture, a.Rank(), a.Alpha, len(a.Pairs), float64(a.Size())/1e6, invocation(a))
		errs = append(errs, a.Close())
	}
	return errors.Join(append(errs, w.Flush())...)
}

// invocation says when an adapter is active.
func invocation(a *lora.Adapter) string {
	if len(a.Invocation) == 0 {
		return "always"
	}
	return fmt.Sprintf("from the tokens %d on", a.Invocation)
}

type adapterAddCommand struct {
	adapterFolder
	File    string `arg:"" type:"existingfile" help:"Adapter file (GGUF)."`
	Name    string `help:"Name for requests; default: that of the file."`
	Model   string `type:"existingfile" help:"Model file that it must fit."`
	Replace bool   `help:"Replace an adapter of the same name."`
}

func (c *adapterAddCommand) Run(s *streams) error {
	var base *model.Model
	if c.Model != "" {
		m, err := model.Open(c.Model)
		if err != nil {
			return err
		}
		defer m.Close() // it was only looked at
		base = m
	}
	path, err := (store.Adapters{Dir: c.Dir}).Add(c.File, c.Name, base, c.Replace)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, path)
	return err
}

type adapterRemoveCommand struct {
	adapterFolder
	Name string `arg:"" help:"Name of the adapter."`
}

func (c *adapterRemoveCommand) Run() error { return (store.Adapters{Dir: c.Dir}).Remove(c.Name) }
