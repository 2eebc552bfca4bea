package session

import (
	"errors"
	"fmt"
	"io/fs"

	"siskin/model"
	"siskin/model/lora"
	"siskin/mqtt/message"
)

// Adapters is where the adapters that requests name come from.
type Adapters interface {
	// Stamp changes when the adapter of that name is replaced. The error is fs.ErrNotExist if there is none.
	Stamp(name string) (string, error)
	// Open opens it; the engine closes it.
	Open(name string) (*lora.Adapter, error)
}

// openAdapters is how many adapters stay open beside those in use: to change between them then takes no time.
const openAdapters = 16

// adapter is an open one.
type adapter struct {
	*lora.Adapter
	stamp string
	used  uint64 // pass count when it was last asked for
}

// adaptersOf opens and checks the adapters of a job's request, and finds from where on they are active in its prompt. The error is a
// *message.Error where the request is at fault.
func (e *Engine) adaptersOf(j *job) ([]model.Adapted, error) {
	var set []model.Adapted
	for i, asked := range j.request.Adapters {
		refuse := func(err error) error {
			return &message.Error{
				Code: message.CodeBadRequest, Field: fmt.Sprintf("adapters[%d]", i), Text: fmt.Sprintf("The adapter %q cannot be used: %v.", asked.Name, err),
			}
		}
		if e.Adapters == nil {
			return nil, refuse(errors.New("this device has no adapters"))
		}
		a, err := e.adapter(asked.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, refuse(errors.New("this device has none of that name"))
		case err != nil:
			return nil, refuse(err)
		}
		if from, ok := model.Invoked(a, j.prompt); ok {
			set = append(set, model.Adapted{Adapter: a, Scale: asked.Scale, From: from})
		}
	}
	return set, nil
}

// adapter returns an open adapter: the one that is open, unless its file has been replaced.
func (e *Engine) adapter(name string) (*lora.Adapter, error) {
	stamp, err := e.Adapters.Stamp(name)
	if err != nil {
		return nil, err
	}
	if a := e.adapters[name]; a != nil && a.stamp == stamp {
		a.used = e.passes
		return a.Adapter, nil
	}
	opened, err := e.Adapters.Open(name)
	if err != nil {
		return nil, err
	}
	if err := e.Model.CheckAdapter(opened); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	if old := e.adapters[name]; old != nil {
		e.retired = append(e.retired, old.Adapter)
	}
	e.adapters[name] = &adapter{Adapter: opened, stamp: stamp, used: e.passes}
	e.closeAdapters()
	return opened, nil
}

// closeAdapters closes what was replaced and, beyond openAdapters, what was not asked for the longest, as far as no sequence uses
// it: an idle one may still be compared with, but is then given up.
func (e *Engine) closeAdapters() {
	for len(e.adapters) > openAdapters {
		oldest := ""
		for name, a := range e.adapters {
			if !e.adapting(a.Adapter) && (oldest == "" || a.used < e.adapters[oldest].used) {
				oldest = name
			}
		}
		if oldest == "" {
			break
		}
		e.retired = append(e.retired, e.adapters[oldest].Adapter)
		delete(e.adapters, oldest)
	}
	kept := e.retired[:0]
	for _, a := range e.retired {
		if e.adapting(a) {
			kept = append(kept, a)
			continue
		}
		for i := range e.slots {
			s := &e.slots[i]
			for _, in := range s.adapters {
				if in.Adapter == a {
					e.truncate(s, 0)
					s.adapters = nil
					if err := e.State.Adapt(s.seq, nil); err != nil {
						panic("session: " + err.Error())
					}
					break
				}
			}
		}
		if err := a.Close(); err != nil {
			e.Log.Warn("an adapter was not closed", "err", err)
		}
	}
	e.retired = kept
}

// adapting reports whether a job uses an adapter.
func (e *Engine) adapting(a *lora.Adapter) bool {
	for _, jobs := range [][]*job{e.order, e.pending} {
		for _, j := range jobs {
			for _, in := range j.adapters {
				if in.Adapter == a {
					return true
				}
			}
		}
	}
	return false
}
