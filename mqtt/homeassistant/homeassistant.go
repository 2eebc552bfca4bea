// Package homeassistant makes the messages by which Home Assistant finds a device and shows it: discovery of a whole device, events,
// and the states of its entities. It knows topics and forms, not the broker.
//
// Rules are those of Home Assistant's MQTT documentation (home-assistant.io, integrations/mqtt, event.mqtt, notify.mqtt, text.mqtt,
// sensor.mqtt, select.mqtt, button.mqtt, update.mqtt, read 2026-11): at the root of the discovery "dev" and "o" are mandatory, every
// component has a platform and a unique id, a state has at most 255 characters, and the recorder drops attributes beyond 16 KiB.
package homeassistant

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"unicode/utf8"

	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

const (
	// DefaultPrefix is Home Assistant's own default of its setting "discovery_prefix".
	DefaultPrefix = "homeassistant"
	// maxState is the longest state of an entity, in characters.
	maxState = 255
	// maxText is how much of an answer goes into attributes, in bytes, and maxAttributes how long they are in JSON: the recorder
	// drops sets beyond 16,384.
	maxText       = 12_000
	maxAttributes = 16_000
	// Online is what Home Assistant says on its status topic when it has started.
	Online = "online"
	// None is the option of the selects for adapters and tasks that means none of them.
	None = "none"
)

// Device is what Home Assistant is to know.
type Device struct {
	Topics   topic.Device
	Prefix   string   // of discovery
	Version  string   // of the program
	Models   []string // that can answer, the one that does among them; those of more than 255 bytes cannot be shown
	Adapters []string
	Tasks    []string
}

// StatusTopic is where Home Assistant says that it has started, and wants discovery anew.
func (d Device) StatusTopic() string { return d.Prefix + "/status" }

// ConfigTopic is where the discovery goes, retained. An empty message there removes the device.
func (d Device) ConfigTopic() string { return d.Prefix + "/device/" + d.objectID() + "/config" }

// objectID is the name of the device in the alphabet of object ids. Names that differ keep differing.
func (d Device) objectID() string {
	name := d.Topics.Name()
	if clean := strings.ReplaceAll(name, ".", "_"); clean != name {
		name = fmt.Sprintf("%s_%08x", clean, crc32.ChecksumIEEE([]byte(name)))
	}
	return "siskin_" + name
}

// component is an entity in the discovery, by Home Assistant's full names of keys.
type component map[string]any

// Config is the discovery of the device.
func (d Device) Config() ([]byte, error) {
	t, id := d.Topics, d.objectID()
	components := map[string]component{
		"prompt": {"platform": "notify", "name": "Prompt", "command_topic": t.PromptText(), "qos": 1},
		"ask": {
			"platform": "text", "name": "Ask", "command_topic": t.PromptText(), "qos": 1, "min": 1, "max": maxState,
			"icon": "mdi:message-question", "retain": false,
		},
		"answer": {
			"platform": "event", "name": "Answer", "state_topic": t.Event(), "event_types": EventTypes(), "icon": "mdi:message-reply-text", "qos": 1,
		},
		"last_answer": {
			"platform": "sensor", "name": "Last answer", "state_topic": t.Last(), "value_template": "{{ value_json.short }}",
			"json_attributes_topic": t.Last(), "icon": "mdi:message-text", "qos": 1,
		},
		"status": {
			"platform": "sensor", "name": "Status", "state_topic": t.Status(), "value_template": "{{ value_json.state }}",
			"json_attributes_topic": t.Status(), "entity_category": "diagnostic", "qos": 1,
		},
		"speed": d.gauge("Speed", "tokens_per_second", "tok/s", "mdi:speedometer", 1),
		"queue": d.gauge("Queue", "queue", "", "mdi:tray-full", 0),
		"memory": {
			"platform": "sensor", "name": "Memory", "state_topic": t.Metrics(), "value_template": "{{ value_json.memory_bytes }}",
			"device_class": "data_size", "unit_of_measurement": "B", "suggested_display_precision": 0, "state_class": "measurement", "entity_category": "diagnostic",
		},
		"cancel": {
			"platform": "button", "name": "Cancel", "command_topic": t.Cancel(), "payload_press": message.CancelAll, "qos": 1, "icon": "mdi:stop-circle",
		},
		"model": {
			"platform": "update", "name": "Model", "state_topic": t.Model(), "entity_category": "diagnostic", "qos": 1, "icon": "mdi:brain",
		},
	}
	if len(d.Models) > 0 {
		components["choose_model"] = choice("Model", t.ModelSet(), t.Model(), "mdi:brain", d.Models)
		components["choose_model"]["value_template"] = "{{ value_json.installed_version }}"
	}
	// A platform alone takes away what an earlier discovery had (Home Assistant's mqtt/discovery.py).
	components["adapter"], components["task"] = component{"platform": "select"}, component{"platform": "select"}
	if len(d.Adapters) > 0 {
		components["adapter"] = choice("Adapter", t.AdapterSet(), t.Adapter(), "mdi:tune", append([]string{None}, d.Adapters...))
	}
	if len(d.Tasks) > 0 {
		components["task"] = choice("Task", t.TaskSet(), t.Task(), "mdi:clipboard-text", append([]string{None}, d.Tasks...))
	}
	for key, c := range components {
		if len(c) > 1 {
			c["unique_id"] = id + "_" + key
		}
	}
	return json.Marshal(map[string]any{
		"device": map[string]any{
			"identifiers": []string{id}, "name": "Siskin " + d.Topics.Name(), "manufacturer": "siskin", "model": "Language assistant", "sw_version": d.Version,
		},
		"origin": map[string]any{"name": "siskin", "sw_version": d.Version},
		"availability": []map[string]any{{
			"topic": t.Status(), "value_template": "{{ value_json.state }}", "payload_available": string(message.Online), "payload_not_available": string(message.Offline),
		}},
		"components": components,
	})
}

// choice is a select among options; those that are longer than a state are left out.
func choice(name, set, state, icon string, options []string) component {
	return component{
		"platform": "select", "name": name, "command_topic": set, "state_topic": state, "qos": 1, "icon": icon, "entity_category": "config",
		"options": slices.DeleteFunc(slices.Clone(options), func(o string) bool { return len(o) > maxState }),
	}
}

// gauge is a number of the metrics topic.
func (d Device) gauge(name, key, unit, icon string, precision int) component {
	c := component{
		"platform": "sensor", "name": name, "state_topic": d.Topics.Metrics(), "value_template": "{{ value_json." + key + " }}",
		"state_class": "measurement", "icon": icon, "suggested_display_precision": precision, "entity_category": "diagnostic",
	}
	if unit != "" {
		c["unit_of_measurement"] = unit
	}
	return c
}

// EventTypes are those of the events of an answer: what became of the request.
func EventTypes() []string {
	return []string{"answer", "error", "cancelled", "expired", "overloaded"}
}

// eventOf is the type of an answer's event.
func eventOf(a *message.Answer) string {
	switch a.Status {
	case message.OK:
		return "answer"
	case message.Cancelled, message.Expired, message.Overloaded:
		return string(a.Status)
	default:
		return "error"
	}
}

// Event is the payload of the event entity for an answer.
func Event(a *message.Answer) ([]byte, error) {
	return fit(a.Text, func(text string, cut bool) map[string]any {
		return map[string]any{
			"event_type": eventOf(a), "id": a.ID, "text": text, "truncated": cut, "status": a.Status, "code": a.Code,
			"completion_tokens": a.Usage.CompletionTokens,
		}
	})
}

// Last is the payload of the sensor for the last answer: a short state, and the text as an attribute.
func Last(a *message.Answer) ([]byte, error) {
	return fit(a.Text, func(text string, cut bool) map[string]any {
		return map[string]any{
			"short": short(a), "id": a.ID, "text": text, "truncated": cut, "status": a.Status, "code": a.Code, "model": a.Model,
			"prompt_tokens": a.Usage.PromptTokens, "completion_tokens": a.Usage.CompletionTokens,
		}
	})
}

// Refusal is the payload of the event entity for a choice that changes nothing; topic is where it was made.
func Refusal(topic string, code message.Code, text string) ([]byte, error) {
	return Event(&message.Answer{ID: topic, Status: message.Failed, Code: code, Text: text})
}

// fit encodes attributes with as much of a text as there is room for.
func fit(text string, attributes func(text string, cut bool) map[string]any) ([]byte, error) {
	for most := maxText; ; most = most * 3 / 4 {
		clipped, cut := clip(text, most)
		payload, err := json.Marshal(attributes(clipped, cut))
		if err != nil || len(payload) <= maxAttributes || most < 100 {
			return payload, err
		}
	}
}

// short is the beginning of an answer, or what became of it, in the length of a state.
func short(a *message.Answer) string {
	text := strings.Join(strings.Fields(a.Text), " ")
	if a.Status != message.OK || text == "" {
		return string(a.Status)
	}
	if utf8.RuneCountInString(text) <= maxState {
		return text
	}
	runes := []rune(text)
	return string(runes[:maxState-1]) + "…"
}

// clip cuts a text at a border between characters.
func clip(text string, most int) (string, bool) {
	if len(text) <= most {
		return text, false
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], true
}

// Metrics are the numbers of the sensors.
type Metrics struct {
	TokensPerSecond float64 `json:"tokens_per_second"` // of the last answer
	Queue           int     `json:"queue"`
	Memory          int64   `json:"memory_bytes"`
	Budget          int64   `json:"budget_bytes"`
}

// Encode gives the JSON form.
func (m Metrics) Encode() ([]byte, error) { return json.Marshal(m) }

// Update is the state of the update entity. Until models come over the air the installed one is the latest. Home Assistant discards
// the whole message for one key that it does not know.
func Update(model string) ([]byte, error) {
	name, _ := clip(model, maxState)
	return json.Marshal(map[string]any{"installed_version": name, "latest_version": name, "title": name})
}
