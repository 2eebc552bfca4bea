// Package task keeps named tasks: what a request is to be answered with where it says nothing itself, such as a system message and
// sampling. It knows neither configuration nor model.
package task

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"siskin/mqtt/message"
)

// None is the name by which a request asks for no task, where one is chosen for requests that name none. No task is called that.
const None = "none"

// Task is what a request gets that names it. What is zero is left to the daemon's defaults.
type Task struct {
	// System is the system message of conversations that bring none.
	System string
	// Adapter is the name of an adapter, used with scale 1 unless the request names some.
	Adapter string
	// Ranges of the following are those of message.Request.
	MaxTokens                              int
	Temperature, TopP, MinP, RepeatPenalty *float32
	TopK                                   *int
	Stop                                   []string
}

// Fill returns a request with what the task says and the request does not. System is left out: it is no part of a request.
func (t *Task) Fill(r message.Request) message.Request {
	if r.MaxTokens == 0 {
		r.MaxTokens = t.MaxTokens
	}
	fill(&r.Temperature, t.Temperature)
	fill(&r.TopP, t.TopP)
	fill(&r.MinP, t.MinP)
	fill(&r.TopK, t.TopK)
	fill(&r.Sampling.RepeatPenalty, t.RepeatPenalty)
	if r.Stop == nil {
		r.Stop = t.Stop
	}
	if len(r.Adapters) == 0 && t.Adapter != "" {
		r.Adapters = []message.Adapter{{Name: t.Adapter, Scale: 1}}
	}
	return r
}

func fill[T any](to **T, from *T) {
	if *to == nil {
		*to = from
	}
}

// Set are tasks by name. It is not changed once it is in use.
type Set map[string]Task

// Find returns the task of a name; "" and None are the zero task. The error is a *message.Error with CodeUnknownTask.
func (s Set) Find(name string) (Task, error) {
	if name == "" || name == None {
		return Task{}, nil
	}
	t, ok := s[name]
	if !ok {
		known := "it has none"
		if len(s) > 0 {
			known = "it has " + strings.Join(s.Names(), ", ")
		}
		return Task{}, &message.Error{Code: message.CodeUnknownTask, Field: "task", Text: fmt.Sprintf("This device has no task %q; %s.", name, known)}
	}
	return t, nil
}

// Names returns the names of the tasks, sorted.
func (s Set) Names() []string { return slices.Sorted(maps.Keys(s)) }
