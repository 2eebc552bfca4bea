package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siskin/model/goldentest"
	"siskin/mqtt/message"
)

// unlimited is a limit that limits nothing: more than the program ever takes.
const unlimited = 2 << 30

// TestMemoryBudgets runs the daemon with the default model inside control groups as large as its budget, each against the
// same work without a bound.
func TestMemoryBudgets(t *testing.T) {
	memoryBench(t)
	for _, c := range []struct {
		mib      int64
		settings string
		share    float64 // of the unlimited speed
		anon     int64   // MiB at most; 0: the budget
	}{
		{160, "[memory]\nbudget = \"160MiB\"\n", 0.95, 64},
		{128, "[memory]\nbudget = \"128MiB\"\nmin_context = 2048\n", 0.70, 0},
		{64, "[memory]\nbudget = \"64MiB\"\n", 0, 0},
	} {
		t.Run(fmt.Sprint(c.mib), func(t *testing.T) {
			bin, model := place(t, true)
			free := startBoxed(t, bin, model, unlimited, "")
			best := free.work(20)
			freeAnon := free.anon.Load()
			free.stop()
			disk := readSpeed(t, model)

			b := startBoxed(t, bin, model, c.mib*mebibyte, c.settings)
			prompts := 50
			if c.share == 0 {
				prompts = 12 // as many as the time allows
			}
			got := b.work(prompts)
			peak, anon := b.group.maximum(t), b.anon.Load()
			refaults := b.group.field(t, b.group.stat, "workingset_refault_file")
			b.stop()
			t.Logf("%s, limit %d MiB: decode %.1f tok/s, prefill %.0f, longest conversation %d tokens; anonymous %.1f MiB, peak of the group %.1f MiB, %d refaults",
				b.group.description, c.mib, got.decode, got.prefill, got.longest, mib(anon), mib(peak), refaults)
			t.Logf("unlimited: decode %.1f tok/s, prefill %.0f, longest conversation %d tokens, anonymous %.1f MiB; disk %.0f MB/s", best.decode, best.prefill, best.longest, mib(freeAnon), disk/1e6)
			for line := range strings.Lines(b.said()) {
				if strings.Contains(line, "memory") || strings.Contains(line, "weights") {
					t.Log(strings.TrimSpace(line))
				}
			}
			if got.decode < c.share*best.decode {
				t.Errorf("decode is %.0f %% of the unlimited speed, want %.0f %%", 100*got.decode/best.decode, 100*c.share)
			}
			if limit := c.anon * mebibyte; limit > 0 && anon > limit {
				t.Errorf("%.1f MiB of anonymous memory, want at most %d", mib(anon), c.anon)
			}
			if c.share == 0 {
				// What is not resident must be read in every pass: everything of the budget that is not anonymous holds weights.
				weights, err := os.Stat(model)
				if err != nil {
					t.Fatal(err)
				}
				missing := float64(weights.Size() - (c.mib*mebibyte - anon))
				bound := disk / missing
				t.Logf("%.1f MiB of weights cannot be resident: the disk allows %.1f passes a second, %.0f %% of which are reached", missing/mebibyte, bound, 100*got.decode/bound)
				if got.decode < 0.6*min(bound, best.decode) {
					t.Errorf("decode is less than 60 %% of it")
				}
			}
		})
	}
}

func mib(n int64) float64 { return float64(n) / mebibyte }

// TestTooSmallBudget is refused at once, and the budget that it names works.
func TestTooSmallBudget(t *testing.T) {
	memoryBench(t)
	bin, model := place(t, false)
	cold(t, append(files(t, filepath.Dir(model)), bin)...)
	path := file(t, "siskin.toml", "device = \"box\"\n[memory]\nbudget = \"32MiB\"\n[model]\npath = \""+model+"\"\n")
	group := newCgroup(t, 32*mebibyte)
	c := group.command(bin, "run", "--config", path)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	begun := time.Now()
	err := c.Run()
	took := time.Since(begun)
	t.Logf("32 MiB: refused after %v, cold:\n%s", took.Round(time.Millisecond), stderr.String())
	if err == nil || !strings.Contains(stderr.String(), "the smallest budget that works is") || took > time.Second {
		t.Errorf("32 MiB: %v after %v", err, took)
	}
}

// TestMemorySoak sends a thousand requests with random prompts, sessions and cancellations. Anonymous memory stays.
func TestMemorySoak(t *testing.T) {
	memoryBench(t)
	bin, model := place(t, true)
	b := startBoxed(t, bin, model, 160*mebibyte, "[memory]\nbudget = \"160MiB\"\n[queue]\nmax_requests = 200\n")
	b.work(0) // keys and values of the whole context have been touched
	clear(b.answers)
	rng := rand.New(rand.NewPCG(3, 4))
	const requests, warm = 1000, 300
	var after int64
	for i := 0; i < requests; {
		for range 10 {
			r := message.Request{ID: fmt.Sprint("r-", i), MaxTokens: 1 + rng.IntN(8), Prompt: mixedPrompt(rng)}
			if rng.IntN(3) == 0 {
				r.Session = fmt.Sprint("s-", rng.IntN(30))
			}
			b.send(r)
			if rng.IntN(5) == 0 {
				b.client.Publish("siskin/box/cancel", 1, false, `{"id":"`+r.ID+`"}`)
			}
			i++
		}
		b.until("all answers", func() bool { return len(b.answers) == i })
		if i == warm {
			after = anonymous(b.process.Process.Pid)
		}
	}
	end := anonymous(b.process.Process.Pid)
	peak := b.group.maximum(t)
	b.stop()
	t.Logf("%d requests: anonymous %.1f MiB after %d, %.1f at the end (%.3fx); peak of the group %.1f MiB", requests, mib(after), warm, mib(end), float64(end)/float64(after), mib(peak))
	if float64(end) > 1.02*float64(after) {
		t.Error("anonymous memory has grown by more than 2 %")
	}
}

// TestPackingInBudget packs a model inside a group that is smaller than the model.
func TestPackingInBudget(t *testing.T) {
	memoryBench(t)
	bin, model := place(t, false)
	cold(t, append(files(t, filepath.Dir(model)), bin)...)
	group := newCgroup(t, 48*mebibyte)
	begun := time.Now()
	out, err := group.command(bin, "model", "pack", model).CombinedOutput()
	t.Logf("pack in 48 MiB: %v, peak %.1f MiB, %d kills\n%s", time.Since(begun).Round(time.Millisecond), mib(group.maximum(t)), group.kills(), lastLine(out))
	if err != nil || group.kills() > 0 {
		t.Errorf("pack: %v\n%s", err, out)
	}
}

// TestPullInBudget receives a model over HTTP inside a group that is smaller than the model, with its digest checked.
func TestPullInBudget(t *testing.T) {
	memoryBench(t)
	bin, model := place(t, false)
	data, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(data)
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(model))))
	defer server.Close()
	group := newCgroup(t, 48*mebibyte)
	begun := time.Now()
	out, err := group.command(bin, "model", "pull", server.URL+"/model.gguf", "--dir", t.TempDir(),
		"--sha256", hex.EncodeToString(digest[:])).CombinedOutput()
	t.Logf("pull in 48 MiB: %v, peak %.1f MiB, %d kills\n%s", time.Since(begun).Round(time.Millisecond), mib(group.maximum(t)), group.kills(), lastLine(out))
	if err != nil || group.kills() > 0 {
		t.Errorf("pull: %v\n%s", err, out)
	}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// TestPeerInBudgets shows how the peer of "make bench-peer" fares under the same limits; it is never a failure here.
func TestPeerInBudgets(t *testing.T) {
	memoryBench(t)
	root := goldentest.Root(t)
	python := os.Getenv("SISKIN_TEST_PEER")
	if python == "" {
		python = filepath.Join(root, "run/peer/bin/python")
	}
	if _, err := os.Stat(python); err != nil {
		t.Skip("SKIPPED: no peer; make bench-peer builds it")
	}
	_, model := place(t, false)
	for _, limit := range []int64{unlimited / mebibyte, 160, 128, 64} {
		cold(t, model)
		group := newCgroup(t, limit*mebibyte)
		begun := time.Now()
		c := group.command("timeout", "20", python, filepath.Join(root, "daemon/doc/bench/peer.py"), "measure", model, "2", "1900", "64")
		out, err := c.CombinedOutput()
		what := "survives"
		if err != nil {
			what = "fails: " + err.Error()
		}
		t.Logf("peer, limit %d MiB: %s after %v; peak of the group %.1f MiB, %d kills; %s", limit, what, time.Since(begun).Round(time.Millisecond), mib(group.maximum(t)), group.kills(), lastLine(out))
	}
}
