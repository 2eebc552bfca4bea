package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/session"
	"siskin/daemon/store"
	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

// models is the way of a wish for another model. Requests are accepted all the while: the session finishes the answers under way and
// ends, what it has not begun waits in the queue again, the model goes, and the next one comes. At no time are there two.
// doc/decisions/0023-choice-of-model.md has what was rejected.
type models struct {
	wishes   chan string   // capacity 1: the newest one
	next     config.Config // set before the session is asked to end
	changed  chan struct{} // capacity 1: the session that was asked to end has a successor
	changing atomic.Bool   // there is no model at the moment
}

// configured is the wish for the configured model.
const configured = ""

func newModels() models {
	return models{wishes: make(chan string, 1), changed: make(chan struct{}, 1)}
}

// want asks for a model by its name; it does not wait. Of several wishes the last one counts.
func (m *models) want(name string) {
	for {
		select {
		case m.wishes <- name:
			return
		default:
		}
		select {
		case <-m.wishes:
		default:
		}
	}
}

// modelFolder is where models are chosen from.
func (d *Daemon) modelFolder() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return filepath.Dir(d.config.Model.Path)
}

// withModel is a configuration with a model of its folder instead of its own. What was written for its own alone is left out: the rule of
// its tokenizer, and a context that is longer than the other one's. The error says why the model cannot answer, as far as its file tells.
func withModel(c config.Config, name string) (config.Config, error) {
	own := name == configured || name == store.Name(c.Model.Path)
	if !own {
		path, err := store.Find(filepath.Dir(c.Model.Path), name)
		if err != nil {
			return c, err
		}
		c.Model.Path, c.Model.TokenizerPre = path, ""
	}
	info, err := store.InspectAnswering(c.Model.Path)
	if err != nil {
		return c, err
	}
	if !own && info.ContextLength >= 16 { // less is refused when it is loaded
		c.Model.Context = min(c.Model.Context, int(info.ContextLength))
	}
	return c, nil
}

// grantWishes has models changed, one after another, until ctx ends. What is known to be impossible is refused while the old one answers.
func (d *Daemon) grantWishes(ctx context.Context) {
	for {
		name := configured
		select {
		case <-ctx.Done():
			return
		case name = <-d.models.wishes:
		}
		d.mu.Lock()
		c := d.config
		d.mu.Unlock()
		c, err := withModel(c, name)
		runs := d.engine.Load().config.Model.Path
		switch {
		case err != nil:
			d.pipeline.unchanged(topic.KindModelSet, message.CodeBadRequest, err)
		case c.Model.Path != runs:
			d.models.next = c
			d.Log.Info("another model was chosen: answers under way are finished first", "from", store.Name(runs), "to", store.Name(c.Model.Path))
			d.pipeline.engine.Load().Retire()
			select {
			case <-ctx.Done():
				return
			case <-d.models.changed:
				d.publishStatus(ctx)
			}
		}
		d.announceModel()
	}
}

// announceModel says which model answers, and to Home Assistant which ones could.
func (d *Daemon) announceModel() {
	if h := d.pipeline.home; h != nil {
		h.announce() // says both
		return
	}
	d.pipeline.sayModel()
}

// handBack lets requests wait again that the session has taken and not begun when it ended for another model.
func (p *pipeline) handBack() {
	p.order.Lock() // no cancellation may come between
	waiting, cancelled := p.engine.Load().Left()
	err := p.queue.Return(waiting)
	p.order.Unlock()
	for _, r := range cancelled {
		p.answer(r, message.Refusal(r.ID, session.Ended(message.CodeCancelled)))
	}
	if err == nil {
		return
	}
	for _, r := range waiting { // the daemon stops
		p.answer(r, message.Refusal(r.ID, session.Ended(message.CodeShuttingDown)))
	}
}

// change lets a model take the place of the one whose session has ended, or that one again if the new one does not load. The error is
// that neither does.
func (d *Daemon) change(to config.Config) error {
	d.models.changing.Store(true)
	defer func() {
		d.models.changing.Store(false)
		d.models.changed <- struct{}{}
	}()
	begun := time.Now()
	p, old := d.pipeline, d.engine.Load()
	if err := old.close(); err != nil {
		d.Log.Warn("the old model is not closed", "err", err)
	}
	debug.FreeOSMemory() // before the new one needs it
	e, s, err := d.load(&to)
	if err != nil {
		p.unchanged(topic.KindModelSet, message.CodeModelFault, fmt.Errorf("%s does not load, so %s goes on: %w", store.Name(to.Model.Path), old.name, err))
		var again error
		if e, s, again = d.load(&old.asked); again != nil {
			return fmt.Errorf("no model is left: %w", errors.Join(err, again))
		}
	}
	s.Inherit(p.engine.Load())
	d.mu.Lock()
	d.engine.Store(e)
	p.engine.Store(s)
	// The configuration may have been reloaded meanwhile.
	again := errors.Join(s.SetDefaults(defaultsOf(&d.config)), p.queue.SetLimits(e.within(queueLimits(&d.config))))
	path := d.config.Model.Path
	d.mu.Unlock()
	if again != nil {
		return again
	}
	e.trimProgram()
	if d.Planned != nil {
		d.Planned()
	}
	if err == nil {
		d.choices.keep(e, path)
		p.dropMisfit(e)
		d.Log.Info("the model was changed", "from", old.name, "to", e.name, "context", e.config.Model.Context, "gap_ms", time.Since(begun).Milliseconds())
	}
	return nil
}

// load loads a model and makes its session.
func (d *Daemon) load(c *config.Config) (*engine, *session.Engine, error) {
	e, err := loadEngine(c, &d.Options, true)
	if err == nil {
		var s *session.Engine
		if s, err = session.New(e.options(d.pipeline)); err == nil {
			return e, s, nil
		}
	}
	return nil, nil, errors.Join(err, e.close())
}
