package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"siskin/model/quant"
	"siskin/model/quant/encode"
	"siskin/model/requant"
)

type quantizeCommand struct {
	Source  string `arg:"" type:"path" help:"Model file (GGUF): F32, F16, BF16, or any format that 'siskin model inspect' calls known."`
	Type    string `arg:"" help:"Format of the matrices: Q8_0, Q6_K, Q5_K, Q4_K, Q4_1, Q4_0, …; a wrong one lists all."`
	Dest    string `arg:"" type:"path" help:"Model file to make."`
	Replace bool   `help:"Replace a file of that name."`
	Threads int    `default:"0" help:"Threads; 0: one per core."`
}

func (c *quantizeCommand) Run(ctx context.Context, s *streams) error {
	format, err := formatNamed(c.Type)
	if err != nil {
		return err
	}
	if c.Threads < 0 || c.Threads > maxQuantizeThreads {
		return usagef("model quantize: --threads: %d, want 0 to %d", c.Threads, maxQuantizeThreads)
	}
	threads := c.Threads
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	bar, begun := progressBar{w: s.err}, time.Now()
	result, err := requant.Create(requant.Job{
		Source: c.Source, Dest: c.Dest, Type: format, Replace: c.Replace, Workers: threads,
		Step: func(done, total int64) error {
			if terminal(s.err) {
				bar.part(done, total, "million weights")
			}
			return ctx.Err()
		},
	})
	bar.end()
	if errors.Is(err, requant.ErrExists) {
		return fmt.Errorf("%w: --replace replaces it", err)
	}
	if err != nil {
		return err
	}
	return printQuantized(s.out, c.Dest, format, result, time.Since(begun))
}

// maxQuantizeThreads bounds the threads, each of which takes a megabyte: more is a mistake.
const maxQuantizeThreads = 256

// formatNamed finds a format that can be written.
func formatNamed(name string) (quant.Type, error) {
	var all []string
	for _, t := range encode.Types() {
		if strings.EqualFold(t.String(), name) {
			return t, nil
		}
		all = append(all, t.String())
	}
	return 0, usagef("model quantize: %q is no format that can be written: want one of %s", name, strings.Join(all, ", "))
}

// terminal reports whether w is one: a bar that is written over is no use in a file.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// printQuantized says what became of the tensors: one line for each format that was not as asked, with the reason.
func printQuantized(w io.Writer, path string, format quant.Type, r requant.Result, took time.Duration) error {
	type kind struct {
		to     quant.Type
		reason requant.Reason
	}
	count, first := make(map[kind]int), make(map[kind]*requant.Tensor)
	lossy := false
	var order []kind
	for i := range r.Tensors {
		t := &r.Tensors[i]
		k := kind{t.To, t.Reason}
		if count[k]++; first[k] == nil {
			first[k], order = t, append(order, k)
		}
		lossy = lossy || !t.Type.IsFloat() && t.To != t.Type
	}
	_, err := fmt.Fprintf(w, "%s: %.1f MB, in %.1f s\n", path, float64(r.Bytes)/1e6, took.Seconds())
	for _, k := range order {
		why := map[requant.Reason]string{
			requant.AsAsked: "as asked for",
			requant.Vector:  "norms and other small tensors, kept as they are",
			requant.Columns: fmt.Sprintf("because rows of %d columns are not whole blocks of %s", first[k].Cols(), format),
			requant.Output:  fmt.Sprintf("because the output matrix (%s) keeps at least 6 bits", first[k].Name),
		}[k.reason]
		if err == nil {
			_, err = fmt.Fprintf(w, "  %d × %s: %s\n", count[k], k.to, why)
		}
	}
	if lossy && err == nil {
		_, err = fmt.Fprintln(w, "  the source was quantised already: what it had lost is lost, and both errors add up")
	}
	return err
}
