package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// byteOrderMark is what some editors put before UTF-8 text.
const byteOrderMark = "\xef\xbb\xbf"

// ParseRequest reads the payload of …/prompt. If its first byte that is not
// white space is "{" it is the JSON form, and a broken one is an error, not a
// prompt; otherwise it is plain text as in ParseText. The request has no ID if
// the sender gave none: see EnsureID.
//
// The error is an *Error. It carries the ID of the sender if that could be read
// in spite of the fault, so that the refusal reaches …/answer/<id>.
func ParseRequest(payload []byte, lim Limits) (Request, error) {
	payload = bytes.TrimPrefix(payload, []byte(byteOrderMark))
	if body := bytes.TrimLeft(payload, " \t\r\n"); len(body) == 0 || body[0] != '{' {
		return ParseText(payload, lim)
	}
	r, e := parseJSON(payload, lim)
	if e == nil {
		return r, nil
	}
	e.ID = recoverID(payload, lim.PayloadBytes)
	return Request{}, e
}

// ParseText reads the payload of …/prompt/text: all of it is the prompt, even if
// it looks like JSON. A byte order mark at the start and line ends at the end
// are dropped, since tools add them unasked. The error is an *Error.
func ParseText(payload []byte, lim Limits) (Request, error) {
	if e := checkBytes(payload, lim); e != nil {
		return Request{}, e
	}
	text := strings.TrimPrefix(string(payload), byteOrderMark)
	r := Request{Prompt: strings.TrimRight(text, "\r\n")}
	if err := r.Validate(lim); err != nil {
		return Request{}, err
	}
	return r, nil
}

// checkBytes checks what holds for every payload.
func checkBytes(payload []byte, lim Limits) *Error {
	if len(payload) > lim.PayloadBytes {
		return fault(CodeTooLarge, "", "The request is longer than %d bytes, which is the most allowed.", lim.PayloadBytes)
	}
	if utf8.Valid(payload) {
		return nil
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(payload[at:])
		if r == utf8.RuneError && n <= 1 {
			return fault(CodeBadRequest, "", "The request is not valid UTF-8 text at byte %d; send it as UTF-8.", at)
		}
		at += n
	}
}

// parseJSON reads the JSON form. The cheap checks that bound the work of the
// decoder come first.
func parseJSON(payload []byte, lim Limits) (Request, *Error) {
	if e := checkBytes(payload, lim); e != nil {
		return Request{}, e
	}
	if e := checkNesting(payload, lim.NestingLevels); e != nil {
		return Request{}, e
	}
	var whole json.RawMessage
	if err := json.Unmarshal(payload, &whole); err != nil {
		var syntax *json.SyntaxError
		at := int64(len(payload))
		if errors.As(err, &syntax) {
			at = syntax.Offset
		}
		return Request{}, fault(CodeBadRequest, "",
			"The request starts like JSON but is broken at byte %d (%s); correct it, or send plain text to the text topic.", at, err)
	}
	keys, e := object("", whole)
	if e != nil {
		return Request{}, e
	}
	r, e := decodeRequest(keys, lim)
	if e != nil {
		return Request{}, e
	}
	if e := r.check(lim); e != nil {
		return Request{}, e
	}
	return r, nil
}

// checkNesting counts open brackets and braces outside of strings. It accepts
// more than JSON does; the decoder that follows does not.
func checkNesting(payload []byte, most int) *Error {
	depth, inString := 0, false
	for i := 0; i < len(payload); i++ {
		switch c := payload[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return fault(CodeTooLarge, "", "The request nests more than %d objects and lists, at byte %d.", most, i)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// object splits an object, which is valid JSON, into its keys. It refuses a key
// that appears twice, since readers differ in which of them counts.
func object(field string, raw json.RawMessage) (map[string]json.RawMessage, *Error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, wrongType(field, "an object {…}", raw)
	}
	keys := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fault(CodeBadRequest, field, "The object is broken: %s.", err)
		}
		key := t.(string) // the decoder hands out nothing else as a key
		if _, ok := keys[key]; ok {
			return nil, fault(CodeBadRequest, join(field, clip(key)), "The key %q appears twice; give it once.", clip(key))
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fault(CodeBadRequest, field, "The object is broken: %s.", err)
		}
		keys[key] = value
	}
	return keys, nil
}

// recoverID finds the id at the top level of a payload that may be broken behind
// it, looking at no more than limit bytes. An id that is a whole number is taken
// as its digits, for a sender who forgot the quotes. It returns "" if there is
// none that passes CheckID.
func recoverID(payload []byte, limit int) string {
	dec := json.NewDecoder(bytes.NewReader(payload[:min(len(payload), limit)]))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return ""
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return ""
		}
		if key != "id" {
			continue
		}
		id := string(value)
		if len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &id) != nil {
			return ""
		}
		if CheckID(id) != nil || value[0] != '"' && !isDigits(id) {
			return ""
		}
		return id
	}
	return ""
}

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// join names a key inside a field.
func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

// clip shortens text of the sender that is repeated in an error.
func clip(s string) string {
	const most = 32
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
