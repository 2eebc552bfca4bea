package chat

import (
	"encoding/json"
	"strings"
)

// pythonReader reads calls as LFM2 writes them: [name(key="text", other=3), second()].
type pythonReader struct {
	text string
	at   int
}

// pythonCalls reads a list of calls, or one without brackets.
func pythonCalls(text string) ([]Call, bool) {
	r := &pythonReader{text: text}
	brackets := r.take("[")
	var out []Call
	for {
		c, ok := r.call()
		if !ok {
			return nil, false
		}
		out = append(out, c)
		if !r.take(",") {
			break
		}
	}
	if brackets && !r.take("]") {
		return nil, false
	}
	r.space()
	return out, r.at == len(r.text)
}

func (r *pythonReader) space() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
}

// take goes past word, if it comes next.
func (r *pythonReader) take(word string) bool {
	r.space()
	if !strings.HasPrefix(r.text[r.at:], word) {
		return false
	}
	r.at += len(word)
	return true
}

// name reads letters, digits and what joins them.
func (r *pythonReader) name() string {
	r.space()
	from := r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		if c != '_' && c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		r.at++
	}
	return r.text[from:r.at]
}

func (r *pythonReader) call() (Call, bool) {
	name := r.name()
	if name == "" || !r.take("(") {
		return Call{}, false
	}
	args := map[string]json.RawMessage{}
	for !r.take(")") {
		key := r.name()
		if key == "" || !r.take("=") {
			return Call{}, false
		}
		v, ok := r.value(0)
		if !ok {
			return Call{}, false
		}
		args[key] = v
		if !r.take(",") && (r.at >= len(r.text) || r.text[r.at] != ')') {
			return Call{}, false
		}
	}
	raw, err := json.Marshal(args)
	return Call{Name: name, Arguments: raw}, err == nil
}

// maxNesting of lists and dictionaries: deeper ones are no arguments that a function has.
const maxNesting = 16

// value reads a literal and returns it as JSON.
func (r *pythonReader) value(depth int) (json.RawMessage, bool) {
	r.space()
	if r.at >= len(r.text) || depth > maxNesting {
		return nil, false
	}
	switch c := r.text[r.at]; c {
	case '"', '\'':
		s, ok := r.str(c)
		raw, err := json.Marshal(s)
		return raw, ok && err == nil
	case '[':
		r.at++
		return r.items("[", "]", depth)
	case '{':
		r.at++
		return r.items("{", "}", depth)
	}
	word := r.name()
	if word == "" && r.take("+") {
		word = r.name()
	}
	switch word {
	case "True", "true":
		return json.RawMessage("true"), true
	case "False", "false":
		return json.RawMessage("false"), true
	case "None", "null":
		return json.RawMessage("null"), true
	}
	raw := json.RawMessage(word)
	return raw, word != "" && json.Valid(raw) // a number
}

// items reads the rest of a list or dictionary.
func (r *pythonReader) items(open, end string, depth int) (json.RawMessage, bool) {
	var b strings.Builder
	b.WriteString(open)
	for n := 0; !r.take(end); n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		v, ok := r.value(depth + 1)
		if !ok {
			return nil, false
		}
		b.Write(v)
		if open == "{" {
			if v[0] != '"' || !r.take(":") {
				return nil, false
			}
			if v, ok = r.value(depth + 1); !ok {
				return nil, false
			}
			b.WriteByte(':')
			b.Write(v)
		}
		if !r.take(",") && !strings.HasPrefix(r.text[r.at:], end) {
			return nil, false
		}
	}
	b.WriteString(end)
	return json.RawMessage(b.String()), true
}

// str reads a text in quotes, with the usual escapes.
func (r *pythonReader) str(quote byte) (string, bool) {
	var b strings.Builder
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case quote:
			r.at++
			return b.String(), true
		case '\\':
			r.at++
			if r.at >= len(r.text) {
				return "", false
			}
			switch e := r.text[r.at]; e {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(e)
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
