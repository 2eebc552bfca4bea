package homeassistant

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

func device(t *testing.T, name string, adapters ...string) Device {
	t.Helper()
	d, err := topic.NewDevice(name)
	if err != nil {
		t.Fatal(err)
	}
	return Device{Topics: d, Prefix: DefaultPrefix, Version: "1.2.3", Adapters: adapters}
}

// keys are what each platform may have in a discovery, from Home Assistant's documentation of its MQTT integration: a key that is not
// there is ignored in silence.
var keys = map[string][]string{
	"notify": {"command_topic", "command_template", "qos", "retain"},
	"text":   {"command_topic", "command_template", "min", "max", "mode", "pattern", "state_topic", "value_template", "qos", "retain"},
	"event":  {"state_topic", "event_types", "value_template", "device_class", "qos"},
	"sensor": {
		"state_topic", "value_template", "json_attributes_topic", "json_attributes_template", "device_class", "unit_of_measurement",
		"state_class", "suggested_display_precision", "expire_after", "force_update", "options", "last_reset_value_template", "qos",
	},
	"select": {"command_topic", "command_template", "state_topic", "value_template", "options", "optimistic", "qos", "retain"},
	"button": {"command_topic", "command_template", "payload_press", "device_class", "qos", "retain"},
	"update": {
		"state_topic", "value_template", "command_topic", "payload_install", "latest_version_topic", "latest_version_template", "device_class",
		"display_precision", "title", "release_summary", "release_url", "entity_picture", "qos", "retain",
	},
}

// common are the keys that every platform may have, and needed those that it must have.
var (
	common = []string{"platform", "unique_id", "name", "icon", "entity_category", "enabled_by_default", "default_entity_id"}
	needed = map[string][]string{
		"notify": {"command_topic"}, "text": {"command_topic"}, "event": {"state_topic", "event_types"}, "sensor": {"state_topic"},
		"select": {"command_topic", "options"}, "button": {"command_topic"}, "update": {"state_topic"},
	}
)

// checkDiscovery holds a discovery against the rules.
func checkDiscovery(t *testing.T, d Device) map[string]any {
	t.Helper()
	payload, err := d.Config()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^homeassistant/device/[a-zA-Z0-9_-]+/config$`).MatchString(d.ConfigTopic()) {
		t.Errorf("topic %s", d.ConfigTopic())
	}
	var root struct {
		Device struct {
			Identifiers []string
			Name        string
		}
		Origin       struct{ Name string }
		Availability []map[string]string
		Components   map[string]map[string]any
	}
	if err := json.Unmarshal(payload, &root); err != nil {
		t.Fatal(err)
	}
	if len(root.Device.Identifiers) == 0 || root.Device.Name == "" || root.Origin.Name == "" || len(root.Availability) != 1 || root.Availability[0]["topic"] != d.Topics.Status() {
		t.Errorf("root of %s", payload)
	}
	unique := map[string]bool{}
	for key, c := range root.Components {
		platform, _ := c["platform"].(string)
		allowed, known := keys[platform]
		if !known {
			t.Errorf("%s: platform %q", key, platform)
		}
		if len(c) == 1 {
			continue // it is taken away
		}
		for k, v := range c {
			if !slices.Contains(allowed, k) && !slices.Contains(common, k) {
				t.Errorf("%s: %s does not have the key %q", key, platform, k)
			}
			if name, ok := v.(string); ok && strings.HasSuffix(k, "_topic") {
				if err := topic.CheckName(name); err != nil {
					t.Errorf("%s: %s: %v", key, k, err)
				}
			}
		}
		for _, k := range needed[platform] {
			if c[k] == nil {
				t.Errorf("%s: %s needs %q", key, platform, k)
			}
		}
		id, _ := c["unique_id"].(string)
		if id == "" || unique[id] {
			t.Errorf("%s: unique_id %q", key, id)
		}
		unique[id] = true
		if unit, class := c["unit_of_measurement"], c["state_class"]; unit != nil && class == nil {
			t.Errorf("%s: a number without a state class", key)
		}
		if most, ok := c["max"].(float64); ok && most > 255 {
			t.Errorf("%s: max %v", key, most)
		}
	}
	var whole map[string]any
	if err := json.Unmarshal(payload, &whole); err != nil {
		t.Fatal(err)
	}
	return whole
}

func TestDiscovery(t *testing.T) {
	bare := checkDiscovery(t, device(t, "kitchen"))["components"].(map[string]any)
	for _, key := range []string{"adapter", "task"} { // there is nothing to choose: an entity that was there goes
		if c := bare[key].(map[string]any); len(c) != 1 || c["platform"] != "select" {
			t.Errorf("%s: %v", key, c)
		}
	}
	d := device(t, "living.room", "kitchen", "house")
	d.Models = []string{"small", strings.Repeat("m", 256), "large"} // a state has 255 characters at most
	d.Tasks = []string{"weather"}
	all := checkDiscovery(t, d)["components"].(map[string]any)
	if options := all["adapter"].(map[string]any)["options"].([]any); len(options) != 3 || options[0] != None {
		t.Errorf("options %v", options)
	}
	if options := all["task"].(map[string]any)["options"].([]any); len(options) != 2 || options[0] != None || options[1] != "weather" {
		t.Errorf("tasks %v", options)
	}
	if options := all["choose_model"].(map[string]any)["options"].([]any); len(options) != 2 || options[0] != "small" || options[1] != "large" {
		t.Errorf("models %v", options)
	}
	if a, b := device(t, "a.b").ConfigTopic(), device(t, "a_b").ConfigTopic(); a == b {
		t.Errorf("two devices are one: %s", a)
	}
	// For those who have Home Assistant's own schemas at hand: see testdata/validate.py.
	if folder := os.Getenv("SISKIN_TEST_DISCOVERY"); folder != "" {
		payload, err := d.Config()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "discovery.json"), payload, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// What is said about an answer keeps to the lengths of states and attributes, whatever the answer is.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("\"ä\n", 20_000)
	for _, a := range []message.Answer{
		{ID: "a", Status: message.OK, Text: "21 °C"},
		{ID: "b", Status: message.OK, Text: long},
		{ID: "c", Status: message.OK},
		{ID: "d", Status: message.Failed, Code: message.CodeInternal, Text: "No."},
		{ID: "e", Status: message.Cancelled},
		{ID: "f", Status: message.Expired},
		{ID: "g", Status: message.Overloaded},
	} {
		event, err := Event(&a)
		if err != nil {
			t.Fatal(err)
		}
		last, err := Last(&a)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			EventType string `json:"event_type"`
			Text      string
			Truncated bool
		}
		var l struct{ Short, Text string }
		if json.Unmarshal(event, &e) != nil || json.Unmarshal(last, &l) != nil {
			t.Fatalf("%s\n%s", event, last)
		}
		if !slices.Contains(EventTypes(), e.EventType) || len(event) > 16_384 || len(last) > 16_384 || !utf8.ValidString(e.Text) || e.Truncated != (len(a.Text) > maxText) || !strings.HasPrefix(a.Text, e.Text) {
			t.Errorf("%s: event %.200s of %d bytes", a.ID, event, len(event))
		}
		if n := utf8.RuneCountInString(l.Short); n < 1 || n > 255 || len(l.Text) > maxText {
			t.Errorf("%s: state of %d characters", a.ID, n)
		}
	}
}

// A choice that changes nothing is an event of its own kind, which is none of an answer.
func TestRefusal(t *testing.T) {
	payload, err := Refusal("model/set", message.CodeBadRequest, "There is none.")
	if err != nil {
		t.Fatal(err)
	}
	var e map[string]any
	if err := json.Unmarshal(payload, &e); err != nil {
		t.Fatal(err)
	}
	if e["event_type"] != "error" || e["id"] != "model/set" || e["code"] != "bad_request" || e["text"] != "There is none." || message.CheckID("model/set") == nil {
		t.Errorf("event %s", payload)
	}
}

// One key that Home Assistant does not know discards the whole state of an update entity (its mqtt/update.py).
func TestUpdate(t *testing.T) {
	payload, err := Update(strings.Repeat("m", 300))
	if err != nil {
		t.Fatal(err)
	}
	var state map[string]any
	if err := json.Unmarshal(payload, &state); err != nil {
		t.Fatal(err)
	}
	known := []string{"installed_version", "latest_version", "title", "release_summary", "release_url", "entity_picture", "in_progress", "update_percentage"}
	for k, v := range state {
		if text, ok := v.(string); !slices.Contains(known, k) || !ok || len(text) > 255 {
			t.Errorf("%s: %v", k, v)
		}
	}
}
