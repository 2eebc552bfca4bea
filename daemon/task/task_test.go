package task

import (
	"errors"
	"reflect"
	"testing"

	"siskin/mqtt/message"
)

func of[T any](v T) *T { return &v }

// What a request says wins over its task, and what the task does not say stays open.
func TestFill(t *testing.T) {
	full := Task{
		System: "Be brief.", Adapter: "kitchen", MaxTokens: 20, Temperature: of(float32(0.5)), TopP: of(float32(0.9)), MinP: of(float32(0)),
		RepeatPenalty: of(float32(1.1)), TopK: of(3), Stop: []string{"\n"},
	}
	asked := message.Request{
		ID: "a", Prompt: "hello", MaxTokens: 5, Temperature: of(float32(0)), TopP: of(float32(1)), MinP: of(float32(0.1)), TopK: of(0),
		Stop: []string{"x"}, Adapters: []message.Adapter{{Name: "house", Scale: 0.5}},
	}
	asked.Sampling.RepeatPenalty = of(float32(1))
	if got := full.Fill(asked); !reflect.DeepEqual(got, asked) {
		t.Errorf("a request that says all: %+v", got)
	}
	open := message.Request{ID: "b", Prompt: "hello"}
	got := full.Fill(open)
	want := message.Request{
		ID: "b", Prompt: "hello", MaxTokens: 20, Temperature: full.Temperature, TopP: full.TopP, MinP: full.MinP, TopK: full.TopK,
		Stop: full.Stop, Adapters: []message.Adapter{{Name: "kitchen", Scale: 1}},
	}
	want.Sampling.RepeatPenalty = full.RepeatPenalty
	if !reflect.DeepEqual(got, want) {
		t.Errorf("a request that says nothing: %+v", got)
	}
	if got := new(Task).Fill(open); !reflect.DeepEqual(got, open) {
		t.Errorf("the zero task: %+v", got)
	}
}

func TestFind(t *testing.T) {
	s := Set{"b": {System: "B"}, "a": {System: "A"}}
	for name, want := range map[string]string{"a": "A", "b": "B", "": "", None: ""} {
		if got, err := s.Find(name); err != nil || got.System != want {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	_, err := s.Find("c")
	var e *message.Error
	if !errors.As(err, &e) || e.Code != message.CodeUnknownTask || e.Text != `This device has no task "c"; it has a, b.` || e.Code.Outcome() != message.Failed {
		t.Errorf("unknown: %v", err)
	}
	if _, err := Set(nil).Find("c"); !errors.As(err, &e) || e.Text != `This device has no task "c"; it has none.` {
		t.Errorf("none at all: %v", err)
	}
}
