package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"siskin/mqtt/mqtttest"
)

// TestIntentsOnce: queries of a voice assistant come while the daemon is killed again and again. No intent is published twice, whenever
// the process dies, and where it does not die every one is.
func TestIntentsOnce(t *testing.T) {
	const queries, kills = 60, 6
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Persistence: true})
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	k := &kitchen{t: t, bin: program(t), config: durableConfig(t, broker.Addr(), "[hermes]", "enabled = true", `intent = "Assistant"`), log: log}
	k.start()
	defer func() { k.kill(syscall.SIGKILL) }()
	house := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "house"})
	defer house.Cut()
	house.Subscribe("siskin/kitchen/status", 1)
	house.Subscribe("hermes/intent/#", 1)
	online := func() {
		for house.Next().Payload == "" { // anything: the daemon has subscribed
		}
	}
	online()
	seen := map[string]int{}
	count := func() {
		for _, m := range house.Unread() {
			var intent struct{ ID string }
			if json.Unmarshal([]byte(m.Payload), &intent) == nil && intent.ID != "" {
				seen[intent.ID]++
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range queries {
		house.Publish("hermes/nlu/query", 1, false, fmt.Sprintf(`{"input":"hello %d","siteId":"s","id":"q%d"}`, i, i))
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		if i%(queries/kills) == queries/kills/2 {
			k.kill(syscall.SIGKILL)
			k.start()
		}
	}
	calm := queries
	for range 10 { // nobody dies any more
		house.Publish("hermes/nlu/query", 1, false, fmt.Sprintf(`{"input":"hello %d","siteId":"s","id":"q%d"}`, calm, calm))
		calm++
	}
	for limit := time.Now().Add(20 * time.Second); seen[fmt.Sprint("q", calm-1)] == 0 && time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		count()
	}
	time.Sleep(300 * time.Millisecond) // for what must not come
	count()
	once := 0
	for i := range calm {
		n := seen[fmt.Sprint("q", i)]
		if n > 1 {
			t.Errorf("the intent of query %d was published %d times", i, n)
		}
		if n == 1 {
			once++
		} else if i >= queries {
			t.Errorf("the intent of query %d was never published", i)
		}
	}
	t.Logf("%d kills: of %d queries %d were published once, %d never", kills, calm, once, calm-once)
}
