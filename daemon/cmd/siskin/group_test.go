package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"siskin/mqtt/mqtttest"
)

// TestGroup: three daemons on one broker share prompts, each of them does its part, and one that is killed at random costs no answer:
// whoever asked asks again, and another one answers.
func TestGroup(t *testing.T) {
	n := durablePrompts(t, 150)
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	bin := program(t)
	var devices []*kitchen
	for i := range 3 {
		settings := durableConfig(t, broker.Addr())
		data, err := os.ReadFile(settings)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(data), `device = "kitchen"`, fmt.Sprintf(`device = "k%d"`, i), 1)
		text = strings.Replace(text, "[mqtt]", "[mqtt]\ngroup = \"house\"\nlease = \"5s\"", 1)
		k := &kitchen{t: t, bin: bin, config: file(t, "group.toml", text), log: log}
		k.start()
		defer func() { k.kill(syscall.SIGKILL) }()
		devices = append(devices, k)
	}
	work := newClientOf(t, broker.Addr(), "client", "siskin/pool-house")
	byDevice := map[string]int{}
	var mu sync.Mutex
	watcher := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + broker.Addr()).SetClientID("watcher"))
	if token := watcher.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer watcher.Disconnect(50)
	watcher.Subscribe("siskin/pool-house/accepted/+", 1, func(_ paho.Client, m paho.Message) {
		var a struct{ Device string }
		if json.Unmarshal(m.Payload(), &a) == nil {
			mu.Lock()
			byDevice[a.Device]++
			mu.Unlock()
		}
	}).WaitTimeout(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(120+n/4)*time.Second)
	defer cancel()
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("g%05d", i))
	}
	done := make(chan struct{})
	go func() { work.ask(ctx, ids, 6); close(done) }()
	rng := rand.New(rand.NewPCG(3, uint64(n)))
	kills := 0
	for alive := true; alive; {
		select {
		case <-done:
			alive = false
		case <-time.After(time.Duration(200+rng.IntN(400)) * time.Millisecond):
			k := devices[rng.IntN(3)]
			k.kill(syscall.SIGKILL)
			kills++
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			k.start()
		}
	}
	work.mu.Lock()
	answered, twice := len(work.texts), 0
	for _, seen := range work.texts {
		if len(seen) > 1 {
			twice++
		}
	}
	work.mu.Unlock()
	if ctx.Err() != nil || answered != n {
		t.Errorf("%d of %d are answered", answered, n)
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d prompts, %d kills: accepted by %v; %d were answered by two devices", n, kills, byDevice, twice)
	for i := range 3 {
		if byDevice[fmt.Sprint("k", i)] < n/10 {
			t.Errorf("device %d has accepted %d of %d", i, byDevice[fmt.Sprint("k", i)], n)
		}
	}
}
