package chat

import (
	"errors"
	"sync"

	"siskin/model/chat/jinja"
	"siskin/model/chat/jinja/value"
	"siskin/model/tokenizer"
)

// DefaultSource is the template for models that bring none: ChatML, the form that most fine-tunes of open models learned.
const DefaultSource = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// RaisedError says that the template refuses the conversation: it called raise_exception.
type RaisedError struct{ Message string }

// Error gives the template's message.
func (e *RaisedError) Error() string { return e.Message }

// errNoClock says that Conversation.Now is missing.
var errNoClock = errors.New("strftime_now: the conversation has no time")

// Template is a parsed chat template. It may be used by several goroutines at once.
type Template struct {
	t    *jinja.Template
	caps func() Caps
}

// Parse reads a chat template. The error is a *jinja.Error with the line.
func Parse(source string) (*Template, error) {
	t, err := jinja.Parse(source)
	if err != nil {
		return nil, err
	}
	out := &Template{t: t}
	out.caps = sync.OnceValue(out.probe)
	return out, nil
}

// Render gives the prompt exactly as Jinja 3.1 does in its immutable sandbox, with the errors that it gives. Neighbouring
// pieces differ in trust, none is empty. The error is a *jinja.Error with the line; it wraps a *RaisedError where the
// template refuses the conversation, and a *value.LimitError where it asks for too much.
func (t *Template) Render(c Conversation) ([]tokenizer.Piece, error) {
	return t.render(c, jinja.Dialect{}, jinja.DefaultLimits(c.size), nil)
}

// render renders in a dialect; clock, if not nil, is set if the template asks for the time.
func (t *Template) render(c Conversation, d jinja.Dialect, l jinja.Limits, clock *bool) ([]tokenizer.Piece, error) {
	s, err := t.t.Render(jinja.Input{Vars: c.variables(), Globals: globals(&c, clock), Dialect: d, Limits: l})
	if err != nil {
		return nil, err
	}
	var pieces []tokenizer.Piece
	for text, untrusted := range s.Runs() {
		pieces = append(pieces, tokenizer.Piece{Text: text, Trusted: !untrusted})
	}
	return pieces, nil
}

// globals are the functions that Hugging Face adds to Jinja.
func globals(c *Conversation, clock *bool) map[string]value.Value {
	fn := func(name, param string, f func(m *value.Meter, v value.Value) (value.Value, error)) value.Value {
		return &value.Func{Name: name, Fn: func(m *value.Meter, a value.Args) (value.Value, error) {
			args, err := a.Bind(name, param)
			if err != nil {
				return nil, err
			}
			return f(m, args[0])
		}}
	}
	return map[string]value.Value{
		"raise_exception": fn("raise_exception", "message!", func(m *value.Meter, v value.Value) (value.Value, error) {
			s, err := value.ToStr(m, v)
			if err != nil {
				return nil, err
			}
			return nil, &RaisedError{s.String()}
		}),
		"strftime_now": fn("strftime_now", "format!", func(m *value.Meter, v value.Value) (value.Value, error) {
			s, ok := v.(value.Str)
			if !ok {
				return nil, value.TypeErrorf("strftime_now: the format must be a string, not %s", v.TypeName())
			}
			if clock != nil {
				*clock = true
			}
			if c.Now.IsZero() {
				return nil, errNoClock
			}
			return jinja.Strftime(m, c.Now, s)
		}),
	}
}
