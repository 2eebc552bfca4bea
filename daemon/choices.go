package daemon

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"siskin/daemon/config"
	"siskin/daemon/outbox"
	"siskin/daemon/store"
	"siskin/daemon/task"
	"siskin/mqtt/homeassistant"
	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

// choices are what people have chosen over MQTT. They lie in a file beside the journal; without a journal they end with the process.
type choices struct {
	path string // "": nowhere
	log  *slog.Logger

	mu  sync.Mutex
	now choice
}

// choice is the form of the file.
type choice struct {
	Model     string `json:"model,omitempty"`      // by name, in the folder of the configured one
	InsteadOf string `json:"instead_of,omitempty"` // model.path when it was chosen: another one there wins over the choice
	Adapter   string `json:"adapter,omitempty"`    // of requests that name none
	Task      string `json:"task,omitempty"`       // likewise
}

// readChoices reads what was chosen before for a device. A file that cannot be read is no choice.
func readChoices(c *config.Config, o *Options, device string) *choices {
	s := &choices{log: o.Log}
	folder := journalFolder(c, o)
	if !c.Journal.Enabled || folder == "" {
		return s
	}
	s.path = filepath.Join(folder, device+".choices.json")
	data, err := os.ReadFile(s.path)
	if err == nil {
		err = json.Unmarshal(data, &s.now)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("what was chosen before is not known", "err", err)
		s.now = choice{}
	}
	return s
}

// change changes the choices and keeps them.
func (s *choices) change(change func(*choice)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.now
	change(&s.now)
	if s.now == before || s.path == "" {
		return
	}
	if err := s.write(); err != nil {
		s.log.Warn("the choice does not survive a restart", "err", err)
	}
}

// write replaces the file at once: after a crash there is the old one or the new one.
func (s *choices) write() error {
	data, err := json.Marshal(s.now)
	if err != nil {
		return err
	}
	folder := filepath.Dir(s.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, filepath.Base(s.path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// model is the name of the model that was chosen instead of the configured one; "" is that one.
func (s *choices) model(c *config.Config) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.InsteadOf != c.Model.Path {
		return ""
	}
	return s.now.Model
}

// settle forgets a model that was chosen instead of another one than the configured one: it is not to come back with that one.
func (s *choices) settle(c *config.Config) {
	s.change(func(now *choice) {
		if now.InsteadOf != c.Model.Path {
			now.Model, now.InsteadOf = "", ""
		}
	})
}

// keep remembers the model that runs now, if it is another than the configured one.
func (s *choices) keep(e *engine, configured string) {
	s.change(func(now *choice) {
		now.Model, now.InsteadOf = "", ""
		if e.config.Model.Path != configured {
			now.Model, now.InsteadOf = e.name, configured
		}
	})
}

func (s *choices) adapter() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.Adapter
}

// load loads the chosen model, or the configured one if there is no choice or the chosen one does not load.
func (s *choices) load(c *config.Config, o *Options, measure bool) (*engine, error) {
	if name := s.model(c); name != "" {
		with, err := withModel(*c, name)
		if err == nil {
			var e *engine
			if e, err = loadEngine(&with, o, measure); err == nil {
				return e, nil
			}
			err = errors.Join(err, e.close())
		}
		s.log.Error("the model that was chosen does not load: the configured one answers", "chosen", name, "configured", c.Model.Path, "err", err)
	}
	return loadEngine(c, o, measure)
}

// chooseAdapter sets the adapter of requests that name none, and says so. A name that is not there changes nothing.
func (p *pipeline) chooseAdapter(name string) {
	name = strings.TrimSpace(name)
	if name == homeassistant.None {
		name = ""
	}
	names, err := p.adapters().List()
	if name != "" && (err != nil || !slices.Contains(names, name)) {
		p.unchanged(topic.KindAdapterSet, message.CodeBadRequest, fmt.Errorf("%q is no adapter in %s%s", name, p.adapters().Dir, because(err)))
	} else {
		p.choices.change(func(c *choice) { c.Adapter = name })
	}
	p.sayAdapter()
}

// chooseTask sets the task of requests that name none, and says so. A name that is not there changes nothing.
func (p *pipeline) chooseTask(name string) {
	name = strings.TrimSpace(name)
	if name == task.None {
		name = ""
	}
	if _, err := p.rules.Load().tasks.Find(name); err != nil {
		p.unchanged(topic.KindTaskSet, message.CodeUnknownTask, err)
	} else {
		p.choices.change(func(c *choice) { c.Task = name })
	}
	p.sayTask()
}

// task is the task of requests that name none; "" if none is chosen, or one that the configuration does not have any more.
func (p *pipeline) task() string {
	p.choices.mu.Lock()
	name := p.choices.now.Task
	p.choices.mu.Unlock()
	if _, err := p.rules.Load().tasks.Find(name); err != nil {
		return ""
	}
	return name
}

// sayTask publishes the task in use.
func (p *pipeline) sayTask() {
	p.say(p.device.Task(), []byte(cmp.Or(p.task(), task.None)), true, nil)
}

// tasksOf translates the tasks of the configuration.
func tasksOf(c *config.Config) task.Set {
	set := make(task.Set, len(c.Tasks))
	for name, t := range c.Tasks {
		set[name] = task.Task{
			System: t.System, Adapter: t.Adapter, MaxTokens: t.MaxTokens, Temperature: single(t.Temperature), TopP: single(t.TopP), MinP: single(t.MinP),
			RepeatPenalty: single(t.RepeatPenalty), TopK: t.TopK, Stop: t.Stop,
		}
	}
	return set
}

// single is a number in the precision of sampling, if there is one.
func single(v *float64) *float32 {
	if v == nil {
		return nil
	}
	f := float32(*v)
	return &f
}

// dropMisfit gives up a chosen adapter that is gone, or does not go with the model that runs now. No session may be running.
func (p *pipeline) dropMisfit(e *engine) {
	name := p.choices.adapter()
	if name == "" {
		return
	}
	a, err := p.adapters().Open(name)
	if err == nil {
		err = errors.Join(e.model.CheckAdapter(a), a.Close())
	}
	if err == nil {
		return
	}
	p.choices.change(func(c *choice) { c.Adapter = "" })
	p.unchanged(topic.KindAdapterSet, message.CodeBadRequest, fmt.Errorf("the adapter %q does not go with %s and is given up: %w", name, e.name, err))
	p.sayAdapter()
}

// because adds a cause to a sentence, if there is one.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// adapters is the folder of adapters of the model that runs.
func (p *pipeline) adapters() store.Adapters {
	return store.Adapters{Dir: adaptersDir(&p.running().config.Model)}
}

// unchanged says that a choice changes nothing: in the log, and as an event.
func (p *pipeline) unchanged(kind topic.Kind, code message.Code, why error) {
	p.log.Warn("a choice changes nothing", "topic", kind.String(), "err", why)
	text, _, _ := strings.Cut(why.Error(), "\n") // behind it is the table of a budget
	var e *message.Error
	if errors.As(why, &e) {
		text = e.Text
	}
	payload, err := homeassistant.Refusal(kind.String(), code, text)
	p.say(p.device.Event(), payload, false, err)
}

// sayAdapter publishes the adapter in use.
func (p *pipeline) sayAdapter() {
	p.say(p.device.Adapter(), []byte(cmp.Or(p.choices.adapter(), homeassistant.None)), true, nil)
}

// sayModel publishes the model in use.
func (p *pipeline) sayModel() {
	payload, err := homeassistant.Update(p.running().name)
	p.say(p.device.Model(), payload, true, err)
}

// say publishes a state or an event; err is that of making it.
func (p *pipeline) say(to string, payload []byte, retain bool, err error) {
	if err == nil {
		err = p.outbox.Put(outbox.Message{Topic: to, Payload: payload, Retain: retain})
	}
	if err != nil {
		p.log.Error("message dropped", "topic", to, "err", err)
	}
}
