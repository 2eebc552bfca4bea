package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/daemon/store"
	"siskin/model"
	"siskin/model/budget"
)

type modelCommand struct {
	Pull     pullCommand     `cmd:"" help:"Get a model: hf:OWNER/REPO/FILE.gguf, https://…, or a path. An interrupted one goes on where it stopped."`
	List     listCommand     `cmd:"" help:"List the models in the folder."`
	Use      useCommand      `cmd:"" help:"Have a running daemon answer with another model of its folder."`
	Inspect  inspectCommand  `cmd:"" help:"Show what is in a model file and whether it will run."`
	Pack     packCommand     `cmd:"" help:"Make the packed file of a model: its matrices in the order that this machine's kernels read fastest."`
	Quantize quantizeCommand `cmd:"" help:"Write a model in another format of its weights: SOURCE TYPE DEST."`
	Verify   verifyCommand   `cmd:"" help:"Read all of a model and its packed files and compare their checksums."`
}

// folderFlag is the folder of models.
type folderFlag struct {
	Dir string `default:"models" type:"path" help:"Folder of models."`
}

type pullCommand struct {
	folderFlag
	Source  string `arg:"" help:"hf:OWNER/REPO/FILE.gguf, https://… or a path; #sha256=… behind it is checked."`
	Name    string `help:"File name in the folder; default: that of the source."`
	SHA256  string `name:"sha256" help:"Expected SHA-256, 64 hexadecimal digits."`
	Replace bool   `help:"Replace a file of the same name."`
	Copy    bool   `help:"Copy a local file instead of linking it."`
	Token   string `env:"HF_TOKEN" help:"Access token for the hub; sent nowhere else."`
	Pack    bool   `default:"true" negatable:"" help:"Pack the model for this machine's kernels if there is room."`
}

func (c *pullCommand) Run(ctx context.Context, s *streams) error {
	bar := progressBar{w: s.err}
	options := store.Options{
		Dir: c.Dir, Name: c.Name, SHA256: c.SHA256, Replace: c.Replace, Copy: c.Copy, Token: c.Token, Progress: bar.show,
		Notice: func(text string) { bar.end(); fmt.Fprintln(s.err, text) },
	}
	sources, err := store.Parts(c.Source, options)
	if err != nil {
		return err
	}
	first := ""
	for i, source := range sources {
		if len(sources) > 1 {
			fmt.Fprintf(s.err, "part %d of %d\n", i+1, len(sources))
		}
		path, err := store.Pull(ctx, source, options)
		bar.end()
		if err != nil {
			return err
		}
		first = cmp.Or(first, path)
	}
	if _, err := fmt.Fprintln(s.out, first); err != nil || !c.Pack || len(sources) > 1 {
		return err
	}
	c.pack(ctx, s, first)
	return nil
}

// reserve stays free on the disk when a model is packed without being asked for: more than 64 MB, since nobody looks.
const reserve = 512 << 20

// pack packs what was pulled. That it fails, or is ended with Ctrl-C, is no failure of the pull: the daemon tries again.
func (c *pullCommand) pack(ctx context.Context, s *streams, path string) {
	set, err := chooseKernels("auto", s.err)
	if err == nil && set.Packing.Packed() {
		err = packModel(ctx, s, s.err, path, set, store.PackOptions{Margin: reserve})
	}
	if err != nil {
		fmt.Fprintln(s.err, "siskin: not packed, so the plain model is used:", err)
	}
}

// progressBar shows one line that is written over: a bar where the length is known, a count where not.
type progressBar struct {
	w     io.Writer
	shown bool
	last  time.Time // when often has shown it
}

const barWidth = 30

func (b *progressBar) show(done, total int64) {
	b.shown = true
	if total <= 0 {
		fmt.Fprintf(b.w, "\r%8.1f MB", float64(done)/1e6)
		return
	}
	full := int(barWidth * done / total)
	fmt.Fprintf(b.w, "\r[%s%s] %3d %%  %.1f of %.1f MB", strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		100*done/total, float64(done)/1e6, float64(total)/1e6)
}

// often is show for those who call it more often than a person can see; the end of the bar is always shown.
func (b *progressBar) often(done, total int64) {
	if now := time.Now(); now.Sub(b.last) >= 100*time.Millisecond || done == total {
		b.last = now
		b.show(done, total)
	}
}

// part is often for counts of other things than bytes; unit is what a million of them are called.
func (b *progressBar) part(done, total int64, unit string) {
	if now := time.Now(); now.Sub(b.last) >= 100*time.Millisecond || done == total {
		b.last, b.shown = now, true
		full := int(barWidth * done / total)
		fmt.Fprintf(b.w, "\r[%s%s] %3d %%  %.1f of %.1f %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
			100*done/total, float64(done)/1e6, float64(total)/1e6, unit)
	}
}

func (b *progressBar) end() {
	if b.shown {
		fmt.Fprintln(b.w)
		b.shown = false
	}
}

type listCommand struct {
	folderFlag
	JSON bool `help:"Print a JSON array."`
}

func (c *listCommand) Run(s *streams) error {
	entries, err := store.List(c.Dir)
	if err != nil {
		return err
	}
	if c.JSON {
		if entries == nil {
			entries = []store.Entry{}
		}
		return json.NewEncoder(s.out).Encode(entries)
	}
	if len(entries) == 0 {
		_, err := fmt.Fprintf(s.out, "no models in %s; 'siskin model pull' gets one\n", c.Dir)
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSIZE\tARCHITECTURE\tCONTEXT\tPACKED\tRUNS")
	for _, e := range entries {
		fmt.Fprintln(w, listLine(&e))
	}
	return w.Flush()
}

func listLine(e *store.Entry) string {
	size := fmt.Sprintf("%.1f MB", float64(e.Size)/1e6)
	switch {
	case e.Error != "":
		return fmt.Sprintf("%s\t%s\t-\t-\t-\tno: %s", e.Name, size, e.Error)
	case e.Info == nil:
		return fmt.Sprintf("%s\t%s\t-\t-\t-\tunfinished, 'siskin model pull' goes on", e.Name, size)
	}
	runs := "yes"
	if !e.Info.Supported {
		runs = "no: " + e.Info.Reason
	}
	packed := "no"
	for _, p := range e.Info.Packed {
		if p.Problem == "" {
			packed = fmt.Sprintf("%.1f MB", float64(p.Size)/1e6)
		}
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s", e.Name, size, e.Info.Architecture, e.Info.ContextLength, packed, runs)
}

type inspectCommand struct {
	File string `arg:"" type:"path" help:"Model file (GGUF)."`
	JSON bool   `help:"Print one JSON object."`
}

func (c *inspectCommand) Run(s *streams) error {
	info, err := store.Inspect(c.File)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(info)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("file", "%s", info.Path)
	parts := ""
	if info.Parts > 1 {
		parts = fmt.Sprintf(" in %d parts", info.Parts)
	}
	line("size", "%.1f MB%s, GGUF version %d", float64(info.Size)/1e6, parts, info.GGUFVersion)
	if info.SHA256 != "" {
		line("sha256", "%s", info.SHA256)
	}
	line("name", "%s", orDash(info.Name))
	line("licence", "%s", orDash(info.License))
	line("architecture", "%s", info.Architecture)
	line("parameters", "%.1f million in %d tensors", float64(info.Parameters)/1e6, info.Tensors)
	for _, f := range info.Formats {
		line("format", "%s: %d tensors, %.1f MB (%.0f %%)", f.Type, f.Tensors, float64(f.Bytes)/1e6, 100*f.Share)
	}
	line("shape", "%d layers, %d columns, %d heads (%d for keys and values), feed-forward %d",
		info.Layers, info.Embedding, info.Heads, info.KVHeads, info.FeedForward)
	line("context", "%d tokens", info.ContextLength)
	line("tokenizer", "%s, pre-tokenizer %s, %d tokens", orDash(info.Tokenizer), orDash(info.TokenizerPre), info.VocabSize)
	line("chat template", "%s", map[bool]string{true: "yes", false: "no: ChatML is used"}[info.ChatTemplate])
	for _, p := range info.Packed {
		line("packed", "%s", packedLine(&p))
	}
	switch {
	case !info.Supported:
		line("will run", "no: %s", info.Reason)
	case info.Encoder:
		line("will run", "yes, as an encoder: siskin embed")
	default:
		memory, runs := c.plan()
		if memory != "" {
			line("memory", "%s", memory)
		}
		line("will run", "%s", runs)
	}
	return w.Flush()
}

// plan says what memory the model takes on this machine with the settings that a configuration has by default, and whether the
// daemon would run it.
func (c *inspectCommand) plan() (memory, runs string) {
	settings := config.Default()
	settings.Model.Path, settings.Journal.Enabled = c.File, false // a model that was chosen over MQTT is not asked about
	if m, err := model.Open(c.File); err == nil {
		settings.Model.Context = min(settings.Model.Context, m.Config.Context)
		settings.Memory.MinContext = min(settings.Memory.MinContext, settings.Model.Context)
		if m.Close() != nil {
			return "", "no: the file cannot be unmapped"
		}
	}
	found, err := daemon.Check(settings, options(&settings, slog.New(slog.DiscardHandler)))
	var over *budget.OverBudget
	switch {
	case errors.As(err, &over):
		return "", fmt.Sprintf("no: this machine has %s of memory for it, and %s is the smallest that works", budget.MiB(over.Have), budget.MiB(over.Need))
	case err != nil:
		return "", "no: " + err.Error()
	}
	p := &found.Memory
	memory = fmt.Sprintf("%s with a context of %d tokens, %s of it weights; %s is the smallest budget that works (siskin plan)",
		budget.MiB(p.Total()), p.Choice.Context, budget.MiB(p.Bytes(budget.Weights)), budget.MiB(p.Smallest))
	return memory, "yes"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
