package daemon_test

import (
	"strings"
	"testing"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// tasked is a configuration with two tasks.
func tasked(t *testing.T, addr string) config.Config {
	t.Helper()
	c := tinyConfig(t, addr)
	c.HomeAssistant.Enabled = true
	c.Generate.System = "You are a bird."
	zero := 0.0
	c.Tasks = map[string]config.Task{
		"weather": {System: "Speak of the weather.", MaxTokens: 5, Temperature: &zero},
		"brief":   {MaxTokens: 3},
		"adapted": {Adapter: "nobody"},
	}
	return c
}

// conversation is a request that brings its system message itself, which is what one with a task comes to.
func conversation(id, system, prompt string, most int) message.Request {
	return message.Request{
		ID: id, Messages: []message.Message{{Role: "system", Content: system}, {Role: "user", Content: prompt}}, MaxTokens: most, Temperature: greedy(),
	}
}

// A request that names a task is answered as if it had said what the task says; what it says itself wins.
func TestTasks(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	startWith(t, tasked(t, broker.Addr()), daemon.Options{JournalFolder: t.TempDir()})
	u := newUser(t, broker.Addr())
	defer u.Cut()
	for i, c := range []struct{ got, want message.Request }{
		{message.Request{Prompt: "hello", Task: "weather"}, conversation("", "Speak of the weather.", "hello", 5)},
		{message.Request{Prompt: "hello", Task: "weather", MaxTokens: 7}, conversation("", "Speak of the weather.", "hello", 7)},
		{message.Request{Prompt: "hello", Task: "brief", Temperature: greedy()}, conversation("", "You are a bird.", "hello", 3)},
		{message.Request{Prompt: "hello", Task: "none", Temperature: greedy()}, conversation("", "You are a bird.", "hello", 8)},
		{func() message.Request { r := conversation("", "Sing.", "hello", 0); r.Task = "weather"; return r }(), conversation("", "Sing.", "hello", 5)},
	} {
		c.got.ID, c.want.ID = string(rune('a'+i)), string(rune('A'+i))
		u.prompt(c.got)
		u.prompt(c.want)
		got, want := u.answer(c.got.ID), u.answer(c.want.ID)
		if got.Status != message.OK || got.Text != want.Text || got.Usage.PromptTokens != want.Usage.PromptTokens || got.Usage.CompletionTokens != want.Usage.CompletionTokens {
			t.Errorf("%+v: %+v, want %+v", c.got, got, want)
		}
	}
	u.prompt(message.Request{ID: "unknown", Prompt: "hello", Task: "nobody"})
	if a := u.answer("unknown"); a.Status != message.Failed || a.Code != message.CodeUnknownTask || !strings.Contains(a.Text, "adapted, brief, weather") {
		t.Errorf("unknown task: %+v", a)
	}
	u.prompt(message.Request{ID: "adapted", Prompt: "hello", Task: "adapted"})
	if a := u.answer("adapted"); a.Code != message.CodeBadRequest || !strings.Contains(a.Text, `The adapter "nobody" cannot be used`) {
		t.Errorf("a task whose adapter is not there: %+v", a)
	}
	// The system message of a task is no part of the conversation that is remembered: each turn has that of its own task.
	u.prompt(message.Request{ID: "one", Prompt: "hello", Session: "s", Task: "weather"})
	first := u.answer("one")
	u.prompt(message.Request{ID: "two", Prompt: "again", Session: "s", Temperature: greedy()})
	u.prompt(message.Request{ID: "whole", Temperature: greedy(), Messages: []message.Message{
		{Role: "system", Content: "You are a bird."}, {Role: "user", Content: "hello"}, {Role: "assistant", Content: first.Text}, {Role: "user", Content: "again"},
	}})
	if got, want := u.answer("two"), u.answer("whole"); got.Text != want.Text || got.Usage.PromptTokens != want.Usage.PromptTokens {
		t.Errorf("the second turn: %+v, want %+v", got, want)
	}
}

// One task is that of requests that name none, chosen over MQTT; the choice survives a restart, but not the task's end.
func TestTaskChoice(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	c, o := tasked(t, broker.Addr()), daemon.Options{JournalFolder: t.TempDir()}
	_, stop := startWith(t, c, o)
	u := newChooser(t, broker.Addr())
	watch := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "watch"})
	defer watch.Cut()
	watch.Subscribe("siskin/"+device+"/task", 1)
	state := ""
	until := func(want string) {
		t.Helper()
		u.wait("the task "+want, func() bool {
			for _, m := range watch.Unread() {
				state = m.Payload
			}
			return state == want
		})
	}
	ask := func(id string, tokens int) {
		t.Helper()
		u.prompt(message.Request{ID: id, Prompt: "hello"})
		if a := u.answer(id); a.Status != message.OK || a.Usage.CompletionTokens > tokens || a.Code == message.CodeMaxTokens && a.Usage.CompletionTokens != tokens {
			t.Errorf("%s: %+v, want at most %d tokens", id, a, tokens)
		}
	}
	choose := func(name string) { u.hass.Publish("siskin/"+device+"/task/set", 1, false, name) }
	until("none")
	ask("before", 8)
	choose("brief")
	until("brief")
	ask("brief", 3)
	choose("nobody")
	u.wait("the event", func() bool { return len(u.errors) == 1 })
	if !strings.Contains(u.errors[0], `no task "nobody"; it has adapted, brief, weather`) {
		t.Errorf("event %s", u.errors[0])
	}
	ask("still", 3)
	if options := strings.Join(u.config.Components["task"].Options, " "); options != "none adapted brief weather" {
		t.Errorf("options %s", options)
	}
	stop()
	d, _ := startWith(t, c, o)
	u = newChooser(t, broker.Addr())
	ask("restarted", 3)
	next := c
	next.Tasks = map[string]config.Task{"weather": c.Tasks["weather"]}
	if live, restart, err := d.Reload(next); err != nil || strings.Join(live, " ") != "tasks" || restart != nil {
		t.Errorf("reload: %v, %v, %v", live, restart, err)
	}
	until("none")
	ask("gone", 8)
	choose("weather")
	until("weather")
	ask("other", 5)
	choose("none")
	until("none")
	ask("none", 8)
}
