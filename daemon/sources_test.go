package daemon_test

import (
	"strings"
	"testing"

	"siskin/daemon"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// What sensors have said, also before the daemon was there, reaches the model with a prompt and is not remembered as a part of the
// conversation; retained prompts are still nobody's.
func TestSources(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	sensor := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "sensor"})
	defer sensor.Cut()
	sensor.Publish("zigbee2mqtt/kitchen window", 0, true, `{"contact":false,"linkquality":80,"temperature":21.5}`)
	sensor.Publish("siskin/"+device+"/prompt", 1, true, `{"id":"retained","prompt":"x"}`)
	c := realConfig(t, broker.Addr())
	c.Sources.Topics = []string{"zigbee2mqtt/#", "tele/+/SENSOR"}
	c.Generate.Temperature, c.Generate.MaxTokens = 0, 40
	startWith(t, c, daemon.Options{JournalFolder: t.TempDir()})
	u := newUser(t, broker.Addr())
	defer u.Cut()
	ask := func(id, prompt, session string) message.Answer {
		u.prompt(message.Request{ID: id, Prompt: prompt, Session: session})
		return u.answer(id)
	}
	before := ask("plain", "Hello.", "s")
	if a := ask("warm", "What is the temperature at the kitchen window? Answer with the number.", ""); !strings.Contains(a.Text, "21.5") {
		t.Errorf("the model does not know the temperature: %q", a.Text)
	}
	for range 20 {
		sensor.Publish("zigbee2mqtt/lamp", 1, false, `{"state":"ON","brightness":215,"colour":"warm white","effect":"none at all"}`)
	}
	after := ask("more", "Hello.", "t")
	if after.Usage.PromptTokens <= before.Usage.PromptTokens {
		t.Errorf("%d prompt tokens with a lamp more, %d before", after.Usage.PromptTokens, before.Usage.PromptTokens)
	}
	again := ask("again", "Hello.", "s") // its first turn is remembered without what the sensors said then
	if grown := again.Usage.PromptTokens - after.Usage.PromptTokens; grown > before.Usage.CompletionTokens+30 {
		t.Errorf("the second turn is %d tokens longer: states are remembered", grown)
	}
	if own := u.answers["retained"]; own != nil {
		t.Errorf("a retained prompt was answered: %+v", own)
	}
	u.prompt(message.Request{ID: "own", Prompt: "Where is the key? Answer in one word.", Context: "The key is in the drawer."})
	if a := u.answer("own"); !strings.Contains(strings.ToLower(a.Text), "drawer") {
		t.Errorf("a context of the request: %q", a.Text)
	}
}
