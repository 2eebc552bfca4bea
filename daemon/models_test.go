package daemon_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/daemon/store"
	"siskin/model/goldentest"
	"siskin/model/modeltest"
	"siskin/model/quant"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// modelFolder adds models to the folder of the configured one, which is called tiny.
func modelFolder(t *testing.T, c *config.Config) {
	t.Helper()
	strange := modeltest.Tiny{Seed: 1, Type: quant.Q4_1, Layers: 1, Context: 64}
	kvs := strange.KVs()
	kvs[0].Value = "strange"
	for name, data := range map[string][]byte{
		"other":   modeltest.Tiny{Seed: 12, Type: quant.Q8_0, Layers: 1, Context: 256}.File(),
		"large":   modeltest.Tiny{Seed: 13, Type: quant.Q4_1, Layers: 60, Context: 4096}.File(),
		"broken":  []byte("GGUF and nothing else"),
		"strange": modeltest.Bytes(kvs, strange.Tensors()),
	} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(c.Model.Path), name+".gguf"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// chooser is what Home Assistant sees of the choice of models.
type chooser struct {
	t *testing.T
	*user
	hass   *mqtttest.Client
	model  []string // states, each time one was published
	errors []string // texts of events about choices
	config struct {
		Components map[string]struct{ Options []string }
	}
}

func newChooser(t *testing.T, addr string) *chooser {
	t.Helper()
	c := &chooser{t: t, user: newUser(t, addr), hass: mqtttest.Dial(t, addr, mqtttest.ClientOptions{ID: fmt.Sprint("chooser", time.Now().UnixNano())})}
	t.Cleanup(func() { c.Cut(); c.hass.Cut() })
	c.hass.Subscribe("siskin/"+device+"/model", 1)
	c.hass.Subscribe("siskin/"+device+"/event", 1)
	c.hass.Subscribe("homeassistant/device/+/config", 1)
	c.wait("the model", func() bool { return len(c.model) > 0 && len(c.config.Components) > 0 })
	return c
}

// wait takes messages until ok holds.
func (c *chooser) wait(what string, ok func() bool) {
	c.t.Helper()
	c.until(what, func() bool {
		for _, m := range c.hass.Unread() {
			c.see(m)
		}
		return ok()
	})
}

func (c *chooser) see(m mqtttest.Message) {
	var state struct {
		Installed string `json:"installed_version"`
		EventType string `json:"event_type"`
		ID, Text  string
	}
	switch {
	case strings.HasSuffix(m.Topic, "/config"):
		c.decode(m, &c.config)
	case strings.HasSuffix(m.Topic, "/model"):
		c.decode(m, &state)
		c.model = append(c.model, state.Installed)
	default:
		c.decode(m, &state)
		if strings.HasSuffix(state.ID, "/set") && state.EventType == "error" {
			c.errors = append(c.errors, state.Text)
		}
	}
}

// choose chooses a model; then is the one that answers after that.
func (c *chooser) choose(name, then string) {
	c.t.Helper()
	c.hass.Publish("siskin/"+device+"/model/set", 1, false, name)
	c.wait(then+" after "+name, func() bool { return c.model[len(c.model)-1] == then })
}

func homeConfig(t *testing.T, addr string) config.Config {
	t.Helper()
	c := tinyConfig(t, addr)
	c.HomeAssistant.Enabled = true
	modelFolder(t, &c)
	return c
}

// While prompts stream in, the model changes back and forth: every prompt has one answer, which is that of the model it names, and the
// device stays online. A conversation goes on with the next model.
func TestModelChangesUnderLoad(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	c := homeConfig(t, broker.Addr())
	_, stop := startWith(t, c, daemon.Options{JournalFolder: t.TempDir()})
	u := newChooser(t, broker.Addr())
	if got := fmt.Sprint(u.config.Components["choose_model"].Options); got != "[large other tiny]" {
		t.Errorf("models to choose from: %s", got)
	}
	u.prompt(message.Request{ID: "talk1", Prompt: "my name is Ada", Session: "talk", Temperature: greedy()})
	first := u.answer("talk1")
	sent, online := 0, 0
	more := func(n int) {
		for range n {
			u.prompt(message.Request{ID: fmt.Sprint("q", sent), Prompt: fmt.Sprint("question ", sent%3), Temperature: greedy(), MaxTokens: 12, Stream: sent%2 == 0})
			sent++
		}
	}
	for round := range 6 {
		more(10)
		u.answer(fmt.Sprint("q", sent-10)) // by the model before
		name := []string{"other", "tiny"}[round%2]
		u.hass.Publish("siskin/"+device+"/model/set", 1, false, name)
		more(10)
		u.wait(name, func() bool { return u.model[len(u.model)-1] == name })
		if u.online {
			online++
		}
	}
	more(5)
	u.choose("other", "other")
	u.prompt(message.Request{ID: "talk2", Prompt: "what is my name?", Session: "talk", Temperature: greedy()})
	u.wait("all answers", func() bool { return len(u.answers) == sent+2 })
	u.wait("the status", func() bool { return u.status.Model == "other" && u.status.ContextTokens == 256 })
	texts := map[string]string{} // by model and question
	models := map[string]int{}
	for i := range sent {
		id := fmt.Sprint("q", i)
		if len(u.answers[id]) != 1 || u.accepted[id] != 1 {
			t.Errorf("%s: %d answers, %d times accepted", id, len(u.answers[id]), u.accepted[id])
			continue
		}
		a := u.answers[id][0]
		key := fmt.Sprint(a.Model, i%3)
		if before, ok := texts[key]; a.Status != message.OK || ok && before != a.Text {
			t.Errorf("%s: %+v, before %q", id, a, before)
		}
		texts[key] = a.Text
		models[a.Model]++
		for k, d := range u.deltas[id] { // at QoS 0 some may be missing, but none comes of two beginnings
			if k > 0 && d.Seq <= u.deltas[id][k-1].Seq {
				t.Errorf("%s: delta %d after %d", id, d.Seq, u.deltas[id][k-1].Seq)
			}
		}
	}
	if models["tiny"] == 0 || models["other"] == 0 || online != 6 {
		t.Errorf("answers by %v; online after %d changes", models, online)
	}
	if a := u.answer("talk2"); a.Model != "other" || a.Usage.PromptTokens <= first.Usage.PromptTokens+first.Usage.CompletionTokens {
		t.Errorf("the conversation: %+v after %+v", a, first)
	}
	stop()
}

// What cannot run changes nothing and is said; requests go on with the old model.
func TestModelThatDoesNotLoad(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	c := homeConfig(t, broker.Addr())
	plan, err := daemon.Check(c, daemon.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c.Memory.Budget, c.Memory.Strict = config.Budget(plan.Memory.Total()+64<<10), true
	o := daemon.Options{JournalFolder: t.TempDir()}
	_, stop := startWith(t, c, o)
	u := newChooser(t, broker.Addr())
	for i, bad := range []struct{ name, why string }{
		{"nobody", "nobody: is no model in"},
		{"../tiny", "is no model in"},
		{"broken", "broken.gguf: model file is damaged"},
		{"strange", "will not run: "},
		{"large", "large does not load, so tiny goes on: "},
	} {
		u.prompt(message.Request{ID: fmt.Sprint("before", i), Prompt: "hello", MaxTokens: 50})
		states := len(u.model)
		u.hass.Publish("siskin/"+device+"/model/set", 1, false, bad.name)
		u.wait("the event and the state", func() bool { return len(u.errors) > i && len(u.model) > states })
		if now := u.model[len(u.model)-1]; now != "tiny" {
			t.Errorf("%s: the model is %s", bad.name, now)
		}
		if !strings.Contains(u.errors[i], bad.why) {
			t.Errorf("%s: %s", bad.name, u.errors[i])
		}
		u.prompt(message.Request{ID: fmt.Sprint("after", i), Prompt: "hello"})
		for _, id := range []string{fmt.Sprint("before", i), fmt.Sprint("after", i)} {
			if a := u.answer(id); a.Status != message.OK || a.Model != "tiny" {
				t.Errorf("%s: %+v", bad.name, a)
			}
		}
	}
	// Retained, it would come again at every connection: it is not followed.
	u.hass.Publish("siskin/"+device+"/model/set", 1, true, "other")
	u.wait("the change, while the daemon is there", func() bool { return u.model[len(u.model)-1] == "other" })
	u.choose("", "tiny")
	stop()
	startWith(t, c, o)
	u = newChooser(t, broker.Addr())
	u.prompt(message.Request{ID: "restarted", Prompt: "hello"})
	if a := u.answer("restarted"); a.Model != "tiny" {
		t.Errorf("after a restart, with the choice retained at the broker: %+v", a)
	}
}

// A choice survives a restart, until the configuration names another model; so does the adapter's, which has no such condition.
func TestModelChoiceIsKept(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	c := homeConfig(t, broker.Addr())
	o := daemon.Options{JournalFolder: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	if _, err := (store.Adapters{Dir: store.AdaptersBeside(c.Model.Path)}).Add(goldentest.Path(t, "archs", "llama-lora.gguf"), "kitchen", nil, false); err != nil {
		t.Fatal(err)
	}
	_, stop := startWith(t, c, o)
	u := newChooser(t, broker.Addr())
	u.choose("other", "other")
	stop()
	if plan, err := daemon.Check(c, o); err != nil || plan.Model != "other" || plan.Configured != "tiny" || plan.Memory.Choice.Context != 256 {
		t.Errorf("check: %+v, %v", plan, err)
	}
	var d *daemon.Daemon
	d, stop = startWith(t, c, o)
	u = newChooser(t, broker.Addr())
	u.wait("the status", func() bool { return u.status.Model == "other" })
	moved := c
	moved.Model.Path = filepath.Join(filepath.Dir(c.Model.Path), "large.gguf")
	live, restart, err := d.Reload(moved)
	if err != nil || len(restart) > 0 || fmt.Sprint(live) != "[model.path]" {
		t.Errorf("reload: %v, %v, %v", live, restart, err)
	}
	u.wait("the status", func() bool { return u.status.Model == "large" })
	stop()
	// That was the end of the choice: it does not come back with the old path.
	for path, want := range map[string]string{moved.Model.Path: "large", c.Model.Path: "tiny"} {
		next := c
		next.Model.Path = path
		if plan, err := daemon.Check(next, o); err != nil || plan.Model != want || plan.Configured != "" {
			t.Errorf("check of %s: %+v, %v", path, plan, err)
		}
	}
	file := filepath.Join(o.JournalFolder, device+".choices.json")
	if err := os.WriteFile(file, []byte(`{"model":"other","instead_of":`+quoted(c.Model.Path)+`}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop = startWith(t, moved, o) // edited while the device was off
	stop()
	if plan, err := daemon.Check(c, o); err != nil || plan.Model != "tiny" {
		t.Errorf("back again: %+v, %v", plan, err)
	}
	// An adapter that is gone must not spoil the answers of all who name none.
	if err := os.WriteFile(file, []byte(`{"adapter":"gone"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop = startWith(t, c, o)
	u = newChooser(t, broker.Addr())
	u.prompt(message.Request{ID: "plain", Prompt: "hello"})
	if a := u.answer("plain"); a.Status != message.OK {
		t.Errorf("after the adapter has gone: %+v", a)
	}
	// So with one that does not go with the next model; this one goes with neither.
	u.Publish("siskin/"+device+"/adapter/set", 1, false, "kitchen")
	u.prompt(message.Request{ID: "misfit", Prompt: "hello"})
	if a := u.answer("misfit"); a.Code != message.CodeBadRequest {
		t.Errorf("with a misfit: %+v", a)
	}
	u.choose("other", "other")
	u.wait("the event", func() bool {
		return strings.Contains(strings.Join(u.errors, "\n"), `the adapter "kitchen" does not go with other and is given up`)
	})
	u.prompt(message.Request{ID: "fits", Prompt: "hello"})
	if a := u.answer("fits"); a.Status != message.OK || a.Model != "other" {
		t.Errorf("after the misfit was given up: %+v", a)
	}
	stop()
	// A chosen model that is gone, and a damaged file, are no reason not to start.
	for _, text := range []string{"nonsense", `{"model":"gone","instead_of":` + quoted(c.Model.Path) + `}`, `{"model":"../x","instead_of":` + quoted(c.Model.Path) + `}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if plan, err := daemon.Check(c, o); err != nil || plan.Model != "tiny" {
			t.Errorf("with %s: %+v, %v", text, plan, err)
		}
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
