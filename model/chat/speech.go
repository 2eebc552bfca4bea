package chat

import (
	"encoding/json"
	"strings"
)

// Call is a function that a model wants called.
type Call struct {
	Name      string
	Arguments json.RawMessage // an object
}

// Speech takes apart what a model writes, piece by piece: a chain of thought at the beginning, calls of tools, and the text that
// people are to see. What looks like a call but cannot be read stays text. Make one with NewSpeech.
type Speech struct {
	Reasoning string
	Calls     []Call

	tools bool
	state speechState
	trim  bool   // line ends come next that only set off a thought or a call
	held  string // not decided
	form  *callForm
}

const lineEnds = "\r\n"

type speechState uint8

const (
	speechStart   speechState = iota // nothing but white space has come
	speechThought                    // inside a chain of thought
	speechText                       // plain text
	speechCall                       // inside a call
	speechObject                     // of a text that began with "{": it may be a bare call, as Llama 3 writes them
)

const thoughtOpen, thoughtClose = "<think>", "</think>"

// callForm is how a family of models writes calls; without an end they go to the end of the text.
type callForm struct{ open, end string }

// callForms are those of the models' own templates: Hermes, Qwen and SmolLM3; Mistral; Granite 3; LFM2; Llama 3 with its built-in
// tools, and with custom ones; Phi-4-mini.
func callForms() []callForm {
	return []callForm{
		{"<tool_call>", "</tool_call>"},
		{"[TOOL_CALLS]", ""},
		{"<|tool_call|>", ""},
		{"<|tool_call_start|>", "<|tool_call_end|>"},
		{"<|python_tag|>", ""},
		{"<function=", "</function>"},
		{"functools[", ""},
	}
}

// NewSpeech begins a text. Without tools nothing in it is a call. thinking is set if the prompt ends inside a chain of thought.
func NewSpeech(tools, thinking bool) *Speech {
	s := &Speech{tools: tools}
	if thinking {
		s.state = speechThought
	}
	return s
}

// Add takes the next piece and returns what can be shown by now.
func (s *Speech) Add(text string) (shown string) {
	s.held += text
	var out strings.Builder
	for s.step(&out) {
	}
	return out.String()
}

// Flush ends the text and returns what was held back.
func (s *Speech) Flush() (shown string) {
	held := s.held
	s.held = ""
	switch s.state {
	case speechThought:
		s.Reasoning = strings.TrimSpace(s.Reasoning + held)
		return ""
	case speechCall:
		if s.call(strings.TrimSpace(held)) {
			return ""
		}
		return s.form.open + held
	case speechObject:
		if calls, ok := jsonCalls(held); ok {
			s.Calls = append(s.Calls, calls...)
			return ""
		}
	}
	return held
}

// step decides about the beginning of what is held, and reports whether there may be more to decide.
func (s *Speech) step(out *strings.Builder) bool {
	switch s.state {
	case speechStart:
		return s.start()
	case speechThought:
		before, after, ok := strings.Cut(s.held, thoughtClose)
		if !ok {
			keep := partial(s.held, thoughtClose)
			s.Reasoning += s.held[:len(s.held)-keep]
			s.held = s.held[len(s.held)-keep:]
			return false
		}
		s.Reasoning = strings.TrimSpace(s.Reasoning + before)
		s.held, s.state, s.trim = after, speechText, true
		return true
	case speechText:
		return s.text(out)
	case speechCall:
		return s.inCall(out)
	default:
		return false
	}
}

// start waits for the first character that is not white space.
func (s *Speech) start() bool {
	first := strings.TrimLeft(s.held, " \t\r\n")
	switch {
	case first == "" || len(first) < len(thoughtOpen) && strings.HasPrefix(thoughtOpen, first):
		return false
	case strings.HasPrefix(first, thoughtOpen):
		s.held, s.state = first[len(thoughtOpen):], speechThought
	case s.tools && first[0] == '{':
		s.state = speechObject
	default:
		s.state = speechText
	}
	return true
}

// text shows what cannot be the beginning of a call.
func (s *Speech) text(out *strings.Builder) bool {
	if s.trim {
		if s.held = strings.TrimLeft(s.held, lineEnds); s.held == "" {
			return false
		}
		s.trim = false
	}
	if !s.tools {
		out.WriteString(s.held)
		s.held = ""
		return false
	}
	at, keep := -1, 0
	forms := callForms()
	for i := range forms {
		if n := strings.Index(s.held, forms[i].open); n >= 0 && (at < 0 || n < at) {
			at, s.form = n, &forms[i]
		}
		keep = max(keep, partial(s.held, forms[i].open))
	}
	if at < 0 {
		keep = len(s.held) - len(strings.TrimRight(s.held[:len(s.held)-keep], lineEnds)) // they may set off a call
		out.WriteString(s.held[:len(s.held)-keep])
		s.held = s.held[len(s.held)-keep:]
		return false
	}
	out.WriteString(strings.TrimRight(s.held[:at], lineEnds))
	s.held, s.state = s.held[at+len(s.form.open):], speechCall
	return true
}

// inCall waits for the end of a call.
func (s *Speech) inCall(out *strings.Builder) bool {
	if s.form.end == "" {
		return false
	}
	inside, after, ok := strings.Cut(s.held, s.form.end)
	if !ok {
		return false
	}
	if s.call(strings.TrimSpace(inside)) {
		s.trim = true
	} else {
		out.WriteString(s.form.open + inside + s.form.end)
	}
	s.held, s.state = after, speechText
	return true
}

// call reads what stands between the marks of a form.
func (s *Speech) call(inside string) bool {
	var calls []Call
	ok := false
	switch s.form.open {
	case "<function=":
		calls, ok = namedCall(inside, ">")
	case "functools[":
		calls, ok = jsonCalls("[" + inside)
	case "<|tool_call_start|>":
		if calls, ok = pythonCalls(inside); !ok {
			calls, ok = jsonCalls(inside)
		}
	case "[TOOL_CALLS]":
		if calls, ok = jsonCalls(inside); !ok {
			calls, ok = namedCall(inside, "[ARGS]")
		}
	default:
		if calls, ok = jsonCalls(inside); !ok {
			calls, ok = taggedCall(inside)
		}
	}
	s.Calls = append(s.Calls, calls...)
	return ok
}

// partial is the length of the longest end of text that word begins with, but is longer than.
func partial(text, word string) int {
	for n := min(len(text), len(word)-1); n > 0; n-- {
		if strings.HasSuffix(text, word[:n]) {
			return n
		}
	}
	return 0
}

// jsonCalls reads one call, or a list: objects with a name, and arguments or parameters, perhaps inside "function"; several
// may follow each other.
func jsonCalls(text string) ([]Call, bool) {
	var out []Call
	d := json.NewDecoder(strings.NewReader(strings.NewReplacer("}; {", "} {", "};{", "} {").Replace(text)))
	for d.More() {
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return nil, false
		}
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			list = []json.RawMessage{raw}
		}
		for _, one := range list {
			c, ok := jsonCall(one)
			if !ok {
				return nil, false
			}
			out = append(out, c)
		}
	}
	return out, len(out) > 0
}

func jsonCall(raw json.RawMessage) (Call, bool) {
	var c struct {
		Name       string          `json:"name"`
		Arguments  json.RawMessage `json:"arguments"`
		Parameters json.RawMessage `json:"parameters"`
		Function   json.RawMessage `json:"function"`
	}
	if json.Unmarshal(raw, &c) != nil {
		return Call{}, false
	}
	if c.Name == "" && len(c.Function) > 0 && c.Function[0] == '{' {
		return jsonCall(c.Function)
	}
	args := c.Arguments
	if args == nil {
		args = c.Parameters
	}
	return newCall(c.Name, args)
}

// newCall checks a call; arguments may be missing, or an object in a string.
func newCall(name string, args json.RawMessage) (Call, bool) {
	name = strings.TrimSpace(name)
	if text := ""; len(args) > 0 && args[0] == '"' && json.Unmarshal(args, &text) == nil {
		args = json.RawMessage(text)
	}
	if len(args) == 0 || string(args) == "null" {
		args = json.RawMessage("{}")
	}
	var object map[string]json.RawMessage
	if name == "" || json.Unmarshal(args, &object) != nil {
		return Call{}, false
	}
	return Call{Name: name, Arguments: args}, true
}

// namedCall reads a name, a mark, and arguments.
func namedCall(text, mark string) ([]Call, bool) {
	name, args, ok := strings.Cut(text, mark)
	if !ok {
		return nil, false
	}
	c, ok := newCall(name, json.RawMessage(strings.TrimSpace(args)))
	return []Call{c}, ok
}

// taggedCall reads <function=NAME><parameter=KEY>VALUE</parameter>…</function>, as Qwen3-Coder and Qwen3.5 write it; a value that is
// JSON keeps its type, any other is a text.
func taggedCall(text string) ([]Call, bool) {
	name, rest, ok := strings.Cut(strings.TrimPrefix(text, "<function="), ">")
	if !ok || !strings.HasPrefix(text, "<function=") {
		return nil, false
	}
	args := map[string]json.RawMessage{}
	for {
		_, after, ok := strings.Cut(rest, "<parameter=")
		if !ok {
			break
		}
		key, after, ok := strings.Cut(after, ">")
		if !ok {
			return nil, false
		}
		val, after, ok := strings.Cut(after, "</parameter>")
		if !ok {
			return nil, false
		}
		raw := json.RawMessage(strings.TrimSpace(val))
		if !json.Valid(raw) {
			raw, _ = json.Marshal(strings.Trim(val, "\r\n")) // a string can always be written
		}
		args[key], rest = raw, after
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, false
	}
	c, ok := newCall(name, raw)
	return []Call{c}, ok
}
