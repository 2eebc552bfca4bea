// Package topic knows the names that siskin uses on an MQTT broker: it builds
// and parses them, checks names and filters, and matches one against the other.
// It never talks to a broker.
//
// All names of a device start with "siskin/<device>/":
//
//	prompt         in    a request, JSON or plain text
//	prompt/text    in    a request, always plain text
//	prompt/from/<client>
//	               in    a request of a client that the broker knows
//	cancel         in    ends a request
//	accepted/<id>  out   the request is in the queue
//	delta/<id>     out   a piece of the answer
//	answer/<id>    out   the answer
//	adapter/set    in    the adapter of requests that name none
//	model/set      in    the model that answers
//	task/set       in    the task of requests that name none
//	status         out   retained state of the device; also its last will
//	dead           out   a request that is given up
//	event, last, metrics, adapter, model, task
//	               out   for Home Assistant
//	reply/…        out   free for reply_to of a request
//
// Rules of names, filters and matching are those of MQTT 3.1.1 (OASIS standard,
// 2014-10-29), section 4.7 and 1.5.3.
package topic

import (
	"errors"
	"fmt"
	"strings"
)

// Root is the first level of every name of siskin.
const Root = "siskin"

// MaxDeviceBytes is the longest name of a device.
const MaxDeviceBytes = 64

// Kind is what a topic of a device is for.
type Kind int

// The kinds; KindNone is a topic that is none of a device's.
const (
	KindNone Kind = iota
	KindPrompt
	KindPromptText
	KindCancel
	KindAccepted
	KindDelta
	KindAnswer
	KindStatus
	KindAdapterSet
	KindPromptFrom
	KindModelSet
	KindTaskSet
)

// String gives the part of the name behind the device, without the id.
func (k Kind) String() string {
	switch k {
	case KindPrompt:
		return "prompt"
	case KindPromptText:
		return "prompt/text"
	case KindCancel:
		return "cancel"
	case KindAccepted:
		return "accepted"
	case KindDelta:
		return "delta"
	case KindAnswer:
		return "answer"
	case KindStatus:
		return "status"
	case KindAdapterSet:
		return "adapter/set"
	case KindPromptFrom:
		return "prompt/from"
	case KindModelSet:
		return "model/set"
	case KindTaskSet:
		return "task/set"
	}
	return "none"
}

// ErrDevice is in every error about the name of a device.
var ErrDevice = errors.New("bad device name")

// CheckDevice returns an error with ErrDevice unless name has 1 to
// MaxDeviceBytes bytes, each a letter or digit of ASCII or one of "-", "_" and
// ".", and does not start with "pool-" or "ring-", which are for names that
// several devices share.
func CheckDevice(name string) error {
	if name == "" {
		return fmt.Errorf("%w: it is empty", ErrDevice)
	}
	if len(name) > MaxDeviceBytes {
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrDevice, len(name), MaxDeviceBytes)
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.':
		default:
			return fmt.Errorf("%w: %q: only letters a-z and A-Z, digits and - _ . are allowed", ErrDevice, name)
		}
	}
	for _, reserved := range []string{"pool-", "ring-"} {
		if len(name) >= len(reserved) && strings.EqualFold(name[:len(reserved)], reserved) {
			return fmt.Errorf("%w: %q: a name that starts with %s is reserved", ErrDevice, name, reserved)
		}
	}
	return nil
}

// Device builds the names of one device. The zero value is not useful; make one
// with NewDevice.
type Device struct {
	name string
	base string // "siskin/<name>/"
}

// NewDevice checks the name; the error is that of CheckDevice.
func NewDevice(name string) (Device, error) {
	if err := CheckDevice(name); err != nil {
		return Device{}, err
	}
	return Device{name: name, base: Root + "/" + name + "/"}, nil
}

// Name gives the name of the device.
func (d Device) Name() string { return d.name }

// Prompt is where requests come in, JSON or plain text.
func (d Device) Prompt() string { return d.base + "prompt" }

// PromptText is where requests come in that are always plain text.
func (d Device) PromptText() string { return d.base + "prompt/text" }

// PromptFrom is where the requests of a client come in that has a name: the broker lets nobody else write there. The name "+" makes
// the filter for all of them.
func (d Device) PromptFrom(client string) string { return d.base + "prompt/from/" + client }

// Cancel is where cancellations come in.
func (d Device) Cancel() string { return d.base + "cancel" }

// Status is where the retained state of the device is.
func (d Device) Status() string { return d.base + "status" }

// Accepted is where the acceptance of a request goes. Here as in Delta and
// Answer the id must be one valid level, as message.CheckID sees to.
func (d Device) Accepted(id string) string { return d.base + "accepted/" + id }

// Delta is where the pieces of an answer go.
func (d Device) Delta(id string) string { return d.base + "delta/" + id }

// Dead is where requests go that cannot be worked on.
func (d Device) Dead() string { return d.base + "dead" }

// Event is one message for each answer.
func (d Device) Event() string { return d.base + "event" }

// Last is the last answer, retained.
func (d Device) Last() string { return d.base + "last" }

// Metrics are the numbers of the device.
func (d Device) Metrics() string { return d.base + "metrics" }

// Adapter is the name of the adapter in use, retained, and AdapterSet where it is chosen.
func (d Device) Adapter() string { return d.base + "adapter" }

// AdapterSet is described at Adapter.
func (d Device) AdapterSet() string { return d.base + "adapter/set" }

// Model is the model that answers, retained, in the form of Home Assistant's update entity, and ModelSet where it is chosen.
func (d Device) Model() string { return d.base + "model" }

// ModelSet is described at Model.
func (d Device) ModelSet() string { return d.base + "model/set" }

// Task is the name of the task in use, retained, and TaskSet where it is chosen.
func (d Device) Task() string { return d.base + "task" }

// TaskSet is described at Task.
func (d Device) TaskSet() string { return d.base + "task/set" }

// Answer is where an answer goes.
func (d Device) Answer(id string) string { return d.base + "answer/" + id }

// Reply is the part of the device's names that is free for reply_to; what is
// below it has no meaning to the device.
func (d Device) Reply() string { return d.base + "reply" }

// Inputs lists the filters that the device subscribes to; that of named clients is the only one with a wildcard.
func (d Device) Inputs() []string {
	return []string{d.PromptFrom("+"), d.Prompt(), d.PromptText(), d.Cancel(), d.AdapterSet(), d.ModelSet(), d.TaskSet()}
}

// Parse splits a topic into device, kind and id; the id is "" where the kind has
// none. A topic that no Device builds gives KindNone.
func Parse(name string) (device string, kind Kind, id string) {
	rest, ok := strings.CutPrefix(name, Root+"/")
	if !ok {
		return "", KindNone, ""
	}
	device, rest, ok = strings.Cut(rest, "/")
	if !ok || CheckDevice(device) != nil {
		return "", KindNone, ""
	}
	for _, k := range []Kind{KindPrompt, KindPromptText, KindCancel, KindStatus, KindAdapterSet, KindModelSet, KindTaskSet} {
		if rest == k.String() {
			return device, k, ""
		}
	}
	if client, ok := strings.CutPrefix(rest, "prompt/from/"); ok && CheckName(name) == nil && client != "" && !strings.Contains(client, "/") {
		return device, KindPromptFrom, client
	}
	head, id, ok := strings.Cut(rest, "/")
	if ok && CheckName(name) == nil && id != "" && !strings.Contains(id, "/") {
		for _, k := range []Kind{KindAccepted, KindDelta, KindAnswer} {
			if head == k.String() {
				return device, k, id
			}
		}
	}
	return "", KindNone, ""
}
