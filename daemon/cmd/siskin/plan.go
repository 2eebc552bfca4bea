package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/model/budget"
)

type planCommand struct {
	Model   string        `required:"" type:"path" help:"Model file (GGUF)."`
	Budget  config.Budget `default:"auto" help:"Memory, such as 128MiB; auto: the limit of the control group, else what is available."`
	Context int           `default:"2048" help:"Longest conversation in tokens."`
	// The rest has the defaults of a configuration file.
	MinContext int    `default:"512" help:"Shortest context that giving way leaves."`
	KV         string `name:"kv" default:"f16" help:"Format of keys and values."`
	Parallel   int    `default:"4" help:"Answers that grow at the same time."`
	Systemd    bool   `name:"systemd" help:"Print a drop-in for the unit that gives the control group the same budget."`
	JSON       bool   `name:"json" help:"Print the plan as JSON, also one that does not fit."`
	overrideFlags
	cacheFlag
}

// planReport is the form of --json. The units are bytes.
type planReport struct {
	Fits           bool   `json:"fits"`
	Model          string `json:"model"`
	AnonymousBytes int64  `json:"anonymous_bytes"`
	FileBytes      int64  `json:"file_bytes"`
	HeapBytes      int64  `json:"heap_bytes"`
	TotalBytes     int64  `json:"total_bytes"`
	budget.Plan
}

func (c *planCommand) Run(s *streams) error {
	settings := config.Default()
	m := &settings.Model
	m.Path, m.Context, m.KV, m.Parallel, m.PackDir = c.Model, c.Context, c.KV, c.Parallel, c.Cache
	settings.Memory.Budget, settings.Memory.MinContext = c.Budget, c.MinContext
	settings.Journal.Enabled = false // a model that was chosen over MQTT is not asked about
	c.override(&settings)
	if err := settings.Validate(); err != nil {
		return usageError{err}
	}
	found, err := daemon.Check(settings, options(&settings, slog.New(slog.NewTextHandler(io.Discard, nil))))
	var over *budget.OverBudget
	switch {
	case c.JSON && errors.As(err, &over):
		return errors.Join(c.writeJSON(s.out, &over.Plan, false), fmt.Errorf("a budget of %s is too small", budget.MiB(over.Have)))
	case err != nil:
		return err
	case c.JSON:
		return c.writeJSON(s.out, &found.Memory, true)
	case c.Systemd:
		return writeDropIn(s.out, &found.Memory, c.Budget == 0)
	}
	return writeMemory(s.out, &found.Memory)
}

func (c *planCommand) writeJSON(w io.Writer, p *budget.Plan, fits bool) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(planReport{
		Fits: fits, Model: c.Model, Plan: *p, AnonymousBytes: p.Sum(budget.Anonymous), FileBytes: p.Sum(budget.File),
		HeapBytes: p.Heap(), TotalBytes: p.Total(),
	})
}

// highBelow is how far MemoryHigh lies below MemoryMax: the system takes pages of files back there, before it has to. Far below,
// weights would come and go for nothing.
const highBelow = 1 << 20

// writeDropIn prints what makes the control group of the unit as large as the budget, or, without one, as what the model takes
// (systemd.resource-control(5)).
func writeDropIn(out io.Writer, p *budget.Plan, auto bool) error {
	most, from := p.Budget, p.Source
	if auto {
		const whole = 1 << 20
		most, from = (p.Total()+whole-1)/whole*whole, "all that the model takes"
	}
	_, err := fmt.Fprintf(out, "# %s: %s. The daemon takes its budget from here unless memory.budget says less.\n"+
		"# Put it into /etc/systemd/system/siskin.service.d/memory.conf\n[Service]\nMemoryMax=%d\nMemoryHigh=%d\nMemorySwapMax=0\n",
		budget.MiB(most), from, most, most-highBelow)
	return err
}

// writeMemory prints a plan for people.
func writeMemory(out io.Writer, p *budget.Plan) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "memory\t%s of %s (%s)\n", budget.MiB(p.Total()), budget.MiB(p.Budget), p.Source)
	for _, i := range p.Items {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", i.Name, budget.MiB(i.Bytes), i.Kind, i.From)
	}
	fmt.Fprintf(w, "anonymous\t%s, of which the Go heap %s\n", budget.MiB(p.Sum(budget.Anonymous)), budget.MiB(p.Heap()))
	fmt.Fprintf(w, "of files\t%s, which the system can take back\n", budget.MiB(p.Sum(budget.File)))
	for _, step := range p.Steps {
		fmt.Fprintf(w, "gives way\t%s\n", step)
	}
	fmt.Fprintf(w, "smallest\t%s is the smallest budget that works\n", budget.MiB(p.Smallest))
	return w.Flush()
}
