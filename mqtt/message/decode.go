package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

const (
	// MaxAdapters is how many adapters a request may name.
	MaxAdapters = 8
	// maxTools is how many tools, and calls of a turn, a request may have.
	maxTools = 128
)

// reader takes typed values out of an object, key by key. The first fault stays
// in err and makes the later calls do nothing.
type reader struct {
	field string // of the object; "" at the top
	keys  map[string]json.RawMessage
	err   *Error
}

// value gives the raw value of key, or nil if it is absent, null, or if there
// was a fault before.
func (d *reader) value(key string) json.RawMessage {
	raw := d.keys[key]
	if d.err != nil || len(raw) == 0 || raw[0] == 'n' {
		return nil
	}
	return raw
}

func (d *reader) fail(e *Error) {
	if d.err == nil {
		d.err = e
	}
}

// text reads a string; absent gives "".
func (d *reader) text(key string) string {
	raw := d.value(key)
	if raw == nil {
		return ""
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		d.fail(wrongType(join(d.field, key), `a text in quotes`, raw))
		return ""
	}
	return s
}

// bytes reads a text in base64 (RFC 4648, section 4); absent gives nil.
func (d *reader) bytes(key string) []byte {
	raw := d.value(key)
	if raw == nil {
		return nil
	}
	var b []byte
	if raw[0] != '"' || json.Unmarshal(raw, &b) != nil {
		d.fail(wrongType(join(d.field, key), "base64 in quotes", raw))
		return nil
	}
	return b
}

// boolean reads true or false; absent gives false.
func (d *reader) boolean(key string) bool {
	switch raw := d.value(key); {
	case raw == nil || string(raw) == "false":
		return false
	case string(raw) == "true":
		return true
	default:
		d.fail(wrongType(join(d.field, key), "true or false", raw))
		return false
	}
}

// integer reads a whole number in [lo, hi]. A number like 5.0 or 5e2 is whole as
// well: some languages write all numbers that way.
func (d *reader) integer(key string, lo, hi int64) (int64, bool) {
	raw := d.value(key)
	if raw == nil {
		return 0, false
	}
	if !isNumber(raw) {
		d.fail(wrongType(join(d.field, key), "a whole number", raw))
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(raw), 64)
		// Beyond 2^53 a float64 no longer tells neighbours apart.
		if err != nil || math.Abs(f) > 1<<53 {
			d.fail(outOfRange(join(d.field, key), raw, lo, hi))
			return 0, false
		}
		if f != math.Trunc(f) {
			d.fail(wrongType(join(d.field, key), "a whole number", raw))
			return 0, false
		}
		n = int64(f)
	}
	if n < lo || n > hi {
		d.fail(outOfRange(join(d.field, key), raw, lo, hi))
		return 0, false
	}
	return n, true
}

// unsigned reads a whole number of 64 bits; absent gives nil.
func (d *reader) unsigned(key string) *uint64 {
	raw := d.value(key)
	if raw == nil {
		return nil
	}
	if !isNumber(raw) {
		d.fail(wrongType(join(d.field, key), "a whole number", raw))
		return nil
	}
	if bytes.ContainsAny(raw, ".eE") {
		d.fail(wrongType(join(d.field, key), "a whole number without point or exponent", raw))
		return nil
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		d.fail(outOfRange(join(d.field, key), raw, "0", uint64(math.MaxUint64)))
		return nil
	}
	return &n
}

// number reads a number in [lo, hi]; absent gives nil.
func (d *reader) number(key string, lo, hi float64) *float32 {
	raw := d.value(key)
	if raw == nil {
		return nil
	}
	if !isNumber(raw) {
		d.fail(wrongType(join(d.field, key), "a number", raw))
		return nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < lo || f > hi {
		d.fail(outOfRange(join(d.field, key), raw, lo, hi))
		return nil
	}
	// Parsed anew, since rounding twice can end at a neighbour.
	f, _ = strconv.ParseFloat(string(raw), 32)
	v := float32(f)
	return &v
}

// list splits an array into at most `most` elements; absent gives nil.
func (d *reader) list(key string, most int) []json.RawMessage {
	raw := d.value(key)
	if raw == nil {
		return nil
	}
	field := join(d.field, key)
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		d.fail(wrongType(field, "a list […]", raw))
		return nil
	}
	var out []json.RawMessage
	for dec.More() {
		if len(out) == most {
			d.fail(fault(CodeTooLarge, field, "The list %q has more than %d entries.", field, most))
			return nil
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			d.fail(fault(CodeBadRequest, field, "The list is broken: %s.", err))
			return nil
		}
		out = append(out, v)
	}
	return out
}

// texts reads a list of strings, or one string as a list of one.
func (d *reader) texts(key string, most int) []string {
	if raw := d.value(key); raw != nil && raw[0] == '"' {
		return []string{d.text(key)}
	}
	var out []string
	for i, raw := range d.list(key, most) {
		e := reader{field: d.field, keys: map[string]json.RawMessage{"": raw}}
		if raw[0] != '"' {
			d.fail(wrongType(fmt.Sprintf("%s[%d]", join(d.field, key), i), "a text in quotes", raw))
			return nil
		}
		out = append(out, e.text(""))
	}
	return out
}

// messages reads a conversation.
func (d *reader) messages(key string, most int) []Message {
	var out []Message
	for i, raw := range d.list(key, most) {
		field := fmt.Sprintf("%s[%d]", join(d.field, key), i)
		keys, err := object(field, raw)
		if err != nil {
			d.fail(err)
			return nil
		}
		m := reader{field: field, keys: keys}
		out = append(out, Message{
			Role: m.text("role"), Content: m.text("content"), ToolCalls: m.objects("tool_calls"), ToolCallID: m.text("tool_call_id"), Name: m.text("name"),
		})
		if m.err != nil {
			d.fail(m.err)
			return nil
		}
	}
	return out
}

// objects keeps a list of objects as it is; absent or empty gives nil.
func (d *reader) objects(key string) json.RawMessage {
	list := d.list(key, maxTools)
	for i, raw := range list {
		if raw[0] != '{' {
			d.fail(wrongType(fmt.Sprintf("%s[%d]", join(d.field, key), i), "an object {…}", raw))
		}
	}
	if d.err != nil || len(list) == 0 {
		return nil
	}
	return d.keys[key]
}

// adapters reads a list of names, or of objects with a name and a scale.
func (d *reader) adapters(key string) []Adapter {
	var out []Adapter
	for i, raw := range d.list(key, MaxAdapters) {
		field := fmt.Sprintf("%s[%d]", join(d.field, key), i)
		if raw[0] == '"' {
			name := reader{field: field, keys: map[string]json.RawMessage{"": raw}}
			out = append(out, Adapter{Name: name.text(""), Scale: 1})
			continue
		}
		keys, err := object(field, raw)
		if err != nil {
			d.fail(err)
			return nil
		}
		a := reader{field: field, keys: keys}
		one := Adapter{Name: a.text("name"), Scale: 1}
		if scale := a.number("scale", -MaxScale, MaxScale); scale != nil {
			one.Scale = *scale
		}
		if a.err != nil {
			d.fail(a.err)
			return nil
		}
		out = append(out, one)
	}
	return out
}

// given reads a text that may be empty; absent gives nil.
func (d *reader) given(key string) *string {
	if d.value(key) == nil {
		return nil
	}
	v := d.text(key)
	return &v
}

// flag reads true or false; absent gives nil.
func (d *reader) flag(key string) *bool {
	if d.value(key) == nil {
		return nil
	}
	v := d.boolean(key)
	return &v
}

// decodeRequest reads the known keys. What it leaves to check is in
// Request.check, which also serves requests that were not JSON.
func decodeRequest(keys map[string]json.RawMessage, lim Limits) (Request, *Error) {
	d := reader{keys: keys}
	if v, ok := d.integer("v", 1, math.MaxInt32); ok && v > Version {
		return Request{}, fault(CodeUnsupported, "v", "The request is of version %d; this device reads up to version %d.", v, Version)
	}
	r := Request{
		ID:          d.text("id"),
		Prompt:      d.text("prompt"),
		Suffix:      d.given("suffix"),
		Context:     d.text("context"),
		Messages:    d.messages("messages", lim.Messages),
		Session:     d.text("session"),
		Task:        d.text("task"),
		Stream:      d.boolean("stream"),
		ReplyTo:     d.text("reply_to"),
		Correlation: d.bytes("correlation"),
		Temperature: d.number("temperature", 0, MaxTemperature),
		TopP:        d.number("top_p", 0, 1),
		MinP:        d.number("min_p", 0, 1),
		Seed:        d.unsigned("seed"),
		Sampling:    d.sampling(),
		Adapters:    d.adapters("adapters"),
		Tools:       d.objects("tools"),
		Think:       d.flag("think"),
		Stop:        d.texts("stop", lim.Stops),
	}
	if n, ok := d.integer("max_tokens", 1, int64(lim.MaxTokens)); ok {
		r.MaxTokens = int(n)
	}
	if n, ok := d.integer("top_k", 0, MaxTopK); ok {
		k := int(n)
		r.TopK = &k
	}
	if n, ok := d.integer("deadline_ms", 1, lim.Deadline.Milliseconds()); ok {
		r.Deadline = time.Duration(n) * time.Millisecond
	}
	if n, ok := d.integer("priority", MinPriority, MaxPriority); ok {
		r.Priority = int(n)
	}
	if d.err != nil {
		return Request{}, d.err
	}
	// An empty key is a mistake that deserves a word; an absent one is not.
	for _, key := range []string{"id", "session", "task", "reply_to"} {
		if string(keys[key]) == `""` {
			return Request{}, fault(CodeBadRequest, key, "The key %q is empty; leave it out or give it a value.", key)
		}
	}
	return r, nil
}

// isNumber reports whether a valid JSON value is a number.
func isNumber(raw json.RawMessage) bool {
	return raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9'
}

// wrongType says what was expected and, clipped, what was there.
func wrongType(field, want string, raw json.RawMessage) *Error {
	return fault(CodeBadRequest, field, "The value of %q must be %s, not %s.", field, want, clip(string(raw)))
}

// outOfRange says what is allowed and, clipped, what was there.
func outOfRange(field string, raw json.RawMessage, lo, hi any) *Error {
	return fault(CodeBadRequest, field, "The value of %q must be from %v to %v, not %s.", field, lo, hi, clip(string(raw)))
}
