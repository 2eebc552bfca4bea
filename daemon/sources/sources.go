// Package sources remembers what sensors and switches last said on MQTT, in the forms of zigbee2mqtt, Tasmota and ESPHome, and of whoever
// publishes a number, a word or an object of them, and writes it down for a model.
//
//   - zigbee2mqtt: "<base>/<name>" with an object, and "<base>/<name>/availability" (zigbee2mqtt.io, «MQTT topics and messages»);
//   - Tasmota: "tele/<name>/SENSOR" and "STATE" with objects in objects, "stat/<name>/POWER" with a word, "tele/<name>/LWT"
//     (tasmota.github.io, «MQTT»);
//   - ESPHome: "<name>/<component>/<entity>/state" with a bare value, and "<name>/status" (esphome.io, «MQTT Client Component»).
package sources

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"siskin/mqtt/topic"
)

// Bounds on what is remembered.
const (
	maxSources = 256
	maxValues  = 32      // of a source
	maxName    = 64      // bytes of the name of a source, or of a value
	maxText    = 64      // bytes of a value
	maxPayload = 8 << 10 // bytes of a message; a longer one is no state
	maxDepth   = 4       // objects in objects
)

// ErrState is wrapped when a message is no state.
var ErrState = errors.New("no state")

// Options say what counts.
type Options struct {
	Filters []string      // of topics
	Age     time.Duration // a source that was silent for so long is forgotten
	Bytes   int           // of the text
	Now     func() time.Time
}

// Sources are the states. They may be used by several goroutines.
type Sources struct {
	o  Options
	mu sync.Mutex
	of map[string]*source
}

// source is a device, or an entity of one.
type source struct {
	values map[string]string
	at     time.Time
}

// New makes an empty memory.
func New(o Options) *Sources { return &Sources{o: o, of: make(map[string]*source)} }

// Filters are those that were given.
func (s *Sources) Filters() []string { return s.o.Filters }

// Wants reports whether a topic is one of a source.
func (s *Sources) Wants(name string) bool {
	return slices.ContainsFunc(s.o.Filters, func(f string) bool { return topic.Match(f, name) })
}

// Take remembers a message. The error is ErrState for one that says nothing of a state; it changes nothing.
func (s *Sources) Take(name string, payload []byte) error {
	if len(payload) > maxPayload || !utf8.Valid(payload) {
		return fmt.Errorf("%s: %d bytes: %w", name, len(payload), ErrState)
	}
	who, what := place(name)
	if who == "" {
		return fmt.Errorf("%s: %w", name, ErrState)
	}
	values := make(map[string]string)
	if body := strings.TrimSpace(string(payload)); strings.HasPrefix(body, "{") {
		var object map[string]any
		if err := json.Unmarshal(payload, &object); err != nil {
			return fmt.Errorf("%s: %w: %w", name, ErrState, err)
		}
		flatten(values, what, object, 0)
	} else if body != "" && len(body) <= maxText && body[0] != '[' {
		if what == "" {
			what = "state"
		}
		values[what] = plain(body)
	}
	if len(values) == 0 {
		return fmt.Errorf("%s: %w", name, ErrState)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(who, values)
	return nil
}

// keep adds values to a source. s.mu is held.
func (s *Sources) keep(who string, values map[string]string) {
	x := s.of[who]
	if x == nil {
		if len(s.of) >= maxSources {
			s.forgetOldest()
		}
		x = &source{values: make(map[string]string)}
		s.of[who] = x
	}
	x.at = s.o.Now()
	for k, v := range values {
		if _, known := x.values[k]; known || len(x.values) < maxValues {
			x.values[k] = v
		}
	}
}

func (s *Sources) forgetOldest() {
	oldest := ""
	for name, x := range s.of {
		if oldest == "" || x.at.Before(s.of[oldest].at) {
			oldest = name
		}
	}
	delete(s.of, oldest)
}

// place splits a topic into the name of a source and, where the topic says it, of a value.
func place(name string) (who, what string) {
	levels := strings.Split(name, "/")
	last := levels[len(levels)-1]
	switch n := len(levels); {
	case n >= 3 && (levels[0] == "tele" || levels[0] == "stat"): // Tasmota; its full topic may be set otherwise
		who = strings.Join(levels[1:n-1], "/")
		if what = strings.ToLower(last); what == "sensor" || what == "state" || what == "result" {
			what = ""
		}
		if what == "lwt" {
			what = "availability"
		}
	case n >= 4 && last == "state": // ESPHome
		who, what = strings.Join(append(levels[:n-3:n-3], levels[n-2]), "/"), ""
	case n >= 2 && (last == "availability" || last == "status"):
		who, what = levels[n-2], "availability"
	case n >= 2 && (last == "set" || last == "get" || last == "command" || levels[n-2] == "bridge" || levels[0] == "cmnd"):
		return "", "" // what is asked of a device is not what it says
	default:
		who = last // zigbee2mqtt, whose names may have levels of their own behind the base
		if n > 2 {
			who = strings.Join(levels[1:], "/")
		}
	}
	return clip(plain(who), maxName), what
}

// flatten takes the values out of an object. Names of objects within are put in front; what is about the message itself is left out.
func flatten(values map[string]string, prefix string, object map[string]any, depth int) {
	for key, v := range object {
		name := clip(plain(strings.ToLower(strings.Join(strings.Fields(prefix+" "+key), " "))), maxName)
		switch lower := strings.ToLower(key); {
		case slices.Contains([]string{"time", "linkquality", "last_seen", "update", "uptime", "uptimesec", "heap", "sleepmode", "sleep", "loadavg", "mqttcount", "wifi", "device"}, lower):
			continue
		case len(values) >= maxValues:
			return
		}
		switch v := v.(type) {
		case bool:
			values[name] = map[bool]string{true: "yes", false: "no"}[v]
		case float64:
			values[name] = strconv.FormatFloat(v, 'g', 6, 64)
		case string:
			if text := plain(v); text != "" && len(text) <= maxText {
				values[name] = text
			}
		case map[string]any:
			if depth < maxDepth {
				flatten(values, name, v, depth+1)
			}
		}
	}
}

// plain makes one line without control characters of a text.
func plain(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }), " ")
}

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// Text writes the states down, one source a line, sorted; empty if there are none. What does not fit is left out from the end.
func (s *Sources) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	var names []string
	for name, x := range s.of {
		if now.Sub(x.at) >= s.o.Age {
			delete(s.of, name)
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		x := s.of[name]
		var keys []string
		for k := range x.values {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		line := name + ":"
		for i, k := range keys {
			if i > 0 {
				line += ","
			}
			line += " " + k + " " + x.values[k]
		}
		if out.Len()+len(line)+1 > s.o.Bytes {
			break
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}
