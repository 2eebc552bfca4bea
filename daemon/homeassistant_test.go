package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// Home Assistant finds the device when it starts, hears of every answer, and cancels all that is under way with one button.
func TestHomeAssistant(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	c := tinyConfig(t, broker.Addr())
	c.HomeAssistant.Enabled = true
	startWith(t, c, daemon.Options{JournalFolder: t.TempDir()})
	u := newUser(t, broker.Addr())
	defer u.Cut()
	hass := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "hass"})
	defer hass.Cut()
	seen := map[string][]string{}
	until := func(what string, ok func() bool) {
		t.Helper()
		for limit := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			for _, m := range hass.Unread() {
				seen[m.Topic] = append(seen[m.Topic], m.Payload)
			}
			if time.Now().After(limit) {
				t.Fatalf("%s: %v", what, seen)
			}
		}
	}
	const config, base = "homeassistant/device/siskin_" + device + "/config", "siskin/" + device + "/"
	hass.Subscribe("homeassistant/#", 1)
	for _, topic := range []string{"event", "last", "metrics", "adapter", "model"} {
		hass.Subscribe(base+topic, 1)
	}
	until("the discovery is retained", func() bool {
		return len(seen[config]) == 1 && len(seen[base+"model"]) == 1 && len(seen[base+"adapter"]) == 1
	})
	hass.Publish("homeassistant/status", 0, false, "online")
	until("the discovery comes again", func() bool { return len(seen[config]) == 2 })
	if seen[config][0] != seen[config][1] || !json.Valid([]byte(seen[config][0])) {
		t.Errorf("discovery %v", seen[config])
	}
	hass.Publish(base+"prompt/text", 1, false, "light on")
	until("the answer is an event and the last answer", func() bool { return len(seen[base+"event"]) == 1 && len(seen[base+"last"]) == 1 })
	if e := seen[base+"event"][0]; !strings.Contains(e, `"event_type":"answer"`) {
		t.Errorf("event %s", e)
	}
	hass.Publish(base+"adapter/set", 1, false, "nobody")
	until("the adapter stays", func() bool { return len(seen[base+"adapter"]) == 3 })
	if got := seen[base+"adapter"]; got[2] != "none" {
		t.Errorf("adapters %v", got)
	}
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		u.prompt(message.Request{ID: id, Prompt: "hello", MaxTokens: 900})
	}
	u.prompt(message.Request{ID: "long", Prompt: "hello", MaxTokens: 900})
	hass.Publish(base+"cancel", 1, false, message.CancelAll)
	u.answer("long")
	until("all have events", func() bool { return len(seen[base+"event"]) == 9 }) // that of the adapter among them
	hass.Barrier()
}
