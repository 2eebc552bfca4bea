package main

import (
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"

	"siskin/daemon"
	"siskin/daemon/config"
)

type checkCommand struct {
	Config string `required:"" type:"path" help:"Configuration file (TOML)."`
	overrideFlags
}

func (c *checkCommand) Run(s *streams) error {
	settings, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	c.override(&settings)
	plan, err := daemon.Check(settings, options(&settings, slog.New(slog.NewTextHandler(s.err, nil))))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("device", "%s", settings.Device)
	line("model", "%s (%s)", plan.Model, plan.Architecture)
	if plan.Configured != "" {
		line("chosen", "over MQTT, instead of %s of the configuration; 'siskin model use' chooses", plan.Configured)
	}
	line("kernels", "%s (this CPU runs %s)", plan.Kernels, strings.Join(plan.Available, ", "))
	if plan.Packed != "" {
		line("packed", "%s", plan.Packed)
	} else {
		line("packed", "no: %s", plan.Unpacked)
	}
	line("threads", "%d for answers, %d for prompts (%s)", plan.DecodeThreads, plan.PrefillThreads, threadsFrom(&plan, &settings))
	line("context", "%d tokens, shared by %d answers at a time", plan.Memory.Choice.Context, plan.Parallel)
	if len(plan.Tasks) > 0 {
		line("tasks", "%s", strings.Join(plan.Tasks, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := writeMemory(s.out, &plan.Memory); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, "the configuration is valid")
	return err
}

// threadsFrom says why the threads are so many.
func threadsFrom(p *daemon.Plan, c *config.Config) string {
	if p.ThreadsFrom == "default" && c.Model.Tune && p.Workers > 1 {
		return "the first start measures how many are best"
	}
	return p.ThreadsFrom
}
