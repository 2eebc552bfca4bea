package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/model/budget"
	"siskin/model/modeltest"
	"siskin/model/quant"
	"siskin/mqtt/mqtttest"
)

// otherModel adds a model to the folder of a configuration of durableConfig.
func otherModel(t *testing.T, settings string) {
	t.Helper()
	c, err := config.Load(settings)
	if err != nil {
		t.Fatal(err)
	}
	other := modeltest.Tiny{Seed: 12, Type: quant.Q8_0, Layers: 3, Context: 256}
	if err := os.WriteFile(filepath.Join(filepath.Dir(c.Model.Path), "other.gguf"), other.File(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A running daemon is told from the command line which model to use; what it says is what the command says.
func TestModelUse(t *testing.T) {
	broker, bin := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{}), program(t)
	settings := durableConfig(t, broker.Addr())
	otherModel(t, settings)
	k := &kitchen{t: t, bin: bin, config: settings, log: os.Stderr}
	k.start()
	defer func() { k.kill(syscall.SIGKILL) }()
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"other", "other answers now", 0},
		{"other.gguf", "other answers now", 0},
		{"nobody", "nobody: is no model in", 1},
		{"", "tiny answers now", 0},
		{"other", "other answers now", 0},
	} {
		code, out, stderr := cli(t, "", append([]string{"model", "use", "--broker", "tcp://" + broker.Addr()}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out+stderr, c.want) {
			t.Errorf("%q: exit code %d, %q, %q", c.args, code, out, stderr)
		}
	}
	k.kill(syscall.SIGTERM)
	code, out, stderr := cli(t, "", "check", "--config", settings)
	if code != 0 || !strings.Contains(out, "over MQTT, instead of tiny") || !regexp.MustCompile(`model +other`).MatchString(out) {
		t.Errorf("check: exit code %d, %q, %q", code, out, stderr)
	}
}

// TestKilledInChange: while prompts come, the model changes all the time, and the process is killed in between. Every prompt has one
// answer at the end, and what the process has of its own stays within the plan of the larger model.
func TestKilledInChange(t *testing.T) {
	const clients = 2
	n := durablePrompts(t, 120)
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Persistence: true})
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	settings := durableConfig(t, broker.Addr())
	otherModel(t, settings)
	k := &kitchen{t: t, bin: program(t), config: settings, log: log}
	k.start()
	defer func() { k.kill(syscall.SIGKILL) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(60+n/4)*time.Second)
	defer cancel()
	var work sync.WaitGroup
	people := make([]*client, clients)
	for c := range people {
		people[c] = newClient(t, broker.Addr(), fmt.Sprint("client", c))
		var ids []string
		for i := c; i < n; i += clients {
			ids = append(ids, fmt.Sprintf("c%d-%05d", c, i))
		}
		work.Go(func() { people[c].ask(ctx, ids, 4) })
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	rng := rand.New(rand.NewPCG(3, uint64(n)))
	var most int64
	changes, kills := 0, 0
	for alive := true; alive; changes++ {
		people[0].client.Publish("siskin/kitchen/model/set", 1, false, []string{"other", "tiny"}[changes%2])
		select {
		case <-done:
			alive = false
			continue
		case <-time.After(time.Duration(rng.IntN(60)) * time.Millisecond): // in the middle, more often than not
		}
		most = max(most, rssAnon(t, k.cmd.Process.Pid))
		if rng.IntN(8) == 0 {
			kills++
			k.kill(syscall.SIGKILL)
			k.start()
		}
	}
	if ctx.Err() != nil {
		t.Errorf("not all prompts were answered in time")
	}
	check(t, people, n)
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Count(string(text), "the model was changed")
	if changed == 0 || strings.Contains(string(text), "panic") {
		t.Errorf("changed %d times: …%s", changed, text[max(0, len(text)-4000):])
	}
	if planned := planned(t, settings); most > planned {
		t.Errorf("%d bytes of its own, planned were %d", most, planned)
	}
	t.Logf("%d prompts, %d changes asked for, %d done, %d kills, at most %.1f MiB of its own", n, changes, changed, kills, float64(most)/(1<<20))
}

// planned is what the process may have of its own with the configured model, which is the larger one.
func planned(t *testing.T, settings string) int64 {
	t.Helper()
	c, err := config.Load(settings)
	if err != nil {
		t.Fatal(err)
	}
	c.Journal.Enabled = false // whose choice counts otherwise
	plan, err := daemon.Check(c, daemon.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return plan.Memory.Sum(budget.Anonymous)
}
