package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"siskin/daemon/config"
	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// packingEngine is an engine as far as packing is concerned, with a tiny model and kernels that want it packed. Its log goes
// to the buffer.
func packingEngine(t *testing.T, c config.Config) (*engine, *bytes.Buffer) {
	t.Helper()
	m, err := model.Open(c.Model.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	var log bytes.Buffer
	e := &engine{model: m, set: modeltest.Packing(kernel.Generic(), 4), name: "tiny", config: c, log: slog.New(slog.NewTextHandler(&log, nil))}
	e.usePacked(&c)
	return e, &log
}

func packingConfig(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.Model.Path = filepath.Join(t.TempDir(), "tiny.gguf")
	tiny := modeltest.Tiny{Seed: 2, Type: quant.Q5_1, Layers: 2, Context: 64}
	if err := os.WriteFile(c.Model.Path, tiny.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// The first start packs, the second uses the file, and a damaged file is said, not used, and replaced.
func TestPackingInBackground(t *testing.T) {
	c := packingConfig(t)
	path := c.Model.Path + ".packed-4-1"
	e, log := packingEngine(t, c)
	if p := e.packing; p.used != "" || !p.want || p.why == "" || log.Len() > 0 {
		t.Errorf("before: %+v, %s", p, log)
	}
	e.pack(t.Context())
	if !strings.Contains(log.String(), "the next start uses it") || !strings.Contains(log.String(), path) {
		t.Errorf("log %s", log)
	}
	e, log = packingEngine(t, c)
	if p := e.packing; p.used != path || p.want || p.why != "" {
		t.Errorf("after: %+v", p)
	}
	if e.pack(t.Context()); log.Len() > 0 {
		t.Errorf("log of a start with nothing to do: %s", log)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, log = packingEngine(t, c)
	if p := e.packing; p.used != "" || !p.want || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "damaged") {
		t.Errorf("with a damaged file: %+v, log %s", p, log)
	}
	e.pack(t.Context())
	if e, _ = packingEngine(t, c); e.packing.used != path {
		t.Errorf("after a damaged file was replaced: %+v", e.packing)
	}
	c.Model.Pack = "off"
	if e, _ = packingEngine(t, c); e.packing.used != "" || e.packing.want {
		t.Errorf("off: %+v", e.packing)
	}
}

// A failure is one line in the log, and leaves nothing behind; so does the end of the daemon.
func TestPackingFails(t *testing.T) {
	c := packingConfig(t)
	e, log := packingEngine(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e.pack(ctx)
	if !strings.Contains(log.String(), "begins anew when the model is loaded again") {
		t.Errorf("interrupted: %s", log)
	}
	if err := os.Remove(c.Model.Path); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	e.pack(t.Context())
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "plain one stays in use") {
		t.Errorf("without a model: %s", log)
	}
	if items, err := os.ReadDir(filepath.Dir(c.Model.Path)); err != nil || len(items) != 0 {
		t.Errorf("left behind: %v %v", items, err)
	}
}

// Packing rests four times as long as it works.
func TestPackingRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rest{last: time.Now()}
		begun := time.Now()
		for range 10 {
			time.Sleep(3 * time.Millisecond) // a piece of work
			r.take(t.Context())
		}
		if took := time.Since(begun); took != 150*time.Millisecond {
			t.Errorf("ten pieces of 3 ms took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Hour)
		begun = time.Now()
		if r.take(ctx); time.Since(begun) != 0 {
			t.Error("it rests although all is over")
		}
	})
}
