package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/store"
)

// packing is how the model stands with its packed file.
type packing struct {
	used string // its path, or ""
	want bool   // one would be used if it were there
	why  string // none is used, for people; empty if one is
}

// usePacked takes the matrices from the model's packed file, if the configuration wants that and there is one.
func (e *engine) usePacked(c *config.Config) {
	if c.Model.Pack == "off" {
		e.packing.why = "model.pack is off"
		return
	}
	err := store.UsePacked(e.model, c.Model.Path, e.set, c.Model.PackDir)
	switch {
	case err == nil:
		e.packing.used = e.model.Packed()
	case errors.Is(err, store.ErrNoPacking):
		e.packing.why = fmt.Sprintf("the kernels %s are as fast without", e.set.Name)
	case errors.Is(err, fs.ErrNotExist):
		e.packing = packing{want: true, why: "there is no packed file yet"}
	default:
		e.packing = packing{want: true, why: err.Error()}
		e.log.Warn("the packed file is not used: the plain model is", "err", err)
	}
}

// Packing in the background shares the machine with answers and with all else that writes to its disk.
const (
	// packRest is how long packing rests after each piece of work, as a multiple of what the piece took: it never takes more
	// than a fifth of one core and of the disk. Its thread has no low priority instead: one that waits for a core while it
	// holds a part of the runtime would stop the garbage collector, and with it every answer.
	packRest = 4
	// packReserve must stay free on the disk, in bytes, since nobody is asked.
	packReserve = 512 << 20
)

// pack makes the packed file if there is none that fits. That it fails is no failure of the daemon.
func (e *engine) pack(ctx context.Context) {
	c := &e.config.Model
	if !e.packing.want {
		return
	}
	e.log.Info("packing the model in the background", "model", e.name, "kernels", e.set.Name)
	begun := time.Now()
	r := rest{last: begun}
	p, err := store.Pack(ctx, c.Path, e.set, store.PackOptions{
		Cache: c.PackDir, Margin: packReserve, Step: func(int64, int64) { r.take(ctx) },
	})
	switch {
	case errors.Is(err, context.Canceled):
		e.log.Info("packing was interrupted: it begins anew when the model is loaded again")
	case err != nil:
		e.log.Warn("the model was not packed: the plain one stays in use", "err", err)
	default:
		e.log.Info("the model is packed: the next start uses it", "file", p.Path, "bytes", p.Bytes,
			"seconds", int(time.Since(begun).Seconds()))
	}
}

// rest is what work in the background takes between its pieces.
type rest struct{ last time.Time } // end of the last rest

// take waits packRest times as long as it was not waiting since the last call, or until ctx ends.
func (r *rest) take(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(packRest * time.Since(r.last)):
	}
	r.last = time.Now()
}
