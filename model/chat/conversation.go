package chat

import (
	"fmt"
	"time"

	"siskin/model/chat/jinja/value"
)

// Message is one turn of plain text.
type Message struct {
	Role    string // system, user, assistant, tool, or what else the template knows
	Content string
}

// Conversation is what a template is rendered with. Make one with NewConversation or ParseConversation; it may be copied,
// and used by several renders at once.
type Conversation struct {
	AddGenerationPrompt bool      // end the prompt where the model's answer begins
	BOS, EOS            string    // bos_token and eos_token: the texts of the control tokens; trusted
	Now                 time.Time // what strftime_now prints; without it such a template fails

	vars     *value.Dict // every variable but those above, in order; never changed
	optional bool        // variables for empty fields above are left undefined, as in the JSON that this was read from
	size     int         // bytes of input, for the limits
}

// NewConversation makes a conversation of plain messages.
func NewConversation(messages []Message) Conversation {
	list := &value.List{}
	size := 0
	for _, m := range messages {
		d := value.NewDict()
		d.SetStr("role", value.Untrusted(m.Role))
		d.SetStr("content", value.Untrusted(m.Content))
		list.Items = append(list.Items, value.Fix(d))
		size += len(m.Role) + len(m.Content)
	}
	vars := value.NewDict()
	vars.SetStr("messages", value.Fix(list))
	return Conversation{vars: vars, size: size}
}

// trustedVars are variables that hold texts of the model's own tokens.
var trustedVars = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// ParseConversation reads a JSON object: messages, and optionally tools, add_generation_prompt, bos_token, eos_token; each
// other key is a variable of the template. The order of keys is kept. A key that is absent is an undefined variable. The
// error is about the JSON and names the position in it.
func ParseConversation(data []byte) (Conversation, error) {
	v, err := value.ParseJSON(data, true)
	if err != nil {
		return Conversation{}, fmt.Errorf("conversation: %w", err)
	}
	vars, ok := v.(*value.Dict)
	if !ok {
		return Conversation{}, fmt.Errorf("conversation: want an object with messages, not a %s", v.TypeName())
	}
	vars = vars.Copy()
	if m, ok := vars.GetStr("messages"); ok {
		if _, list := m.(*value.List); !list {
			return Conversation{}, fmt.Errorf("conversation: messages must be an array, not a %s", m.TypeName())
		}
	}
	for _, name := range trustedVars {
		if s, ok := vars.GetStr(name); ok {
			if text, ok := s.(value.Str); ok {
				vars.SetStr(name, value.Trusted(text.String()))
			}
		}
	}
	c := Conversation{vars: vars, optional: true, size: len(data)}
	if v, ok := vars.GetStr("add_generation_prompt"); ok {
		c.AddGenerationPrompt = value.Truth(v)
	}
	if v, ok := vars.GetStr("bos_token"); ok {
		s, _ := v.(value.Str)
		c.BOS = s.String()
	}
	if v, ok := vars.GetStr("eos_token"); ok {
		s, _ := v.(value.Str)
		c.EOS = s.String()
	}
	return c, nil
}

// SetJSON sets a variable of the template, such as tools or enable_thinking, to a JSON text. Its strings are untrusted.
func (c *Conversation) SetJSON(name string, data []byte) error {
	v, err := value.ParseJSON(data, true)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c.set(name, v)
	c.size += len(data)
	return nil
}

// set changes a variable; other copies of the conversation keep theirs.
func (c *Conversation) set(name string, v value.Value) {
	if c.vars == nil {
		c.vars = value.NewDict()
	}
	c.vars = c.vars.Copy()
	c.vars.SetStr(name, v)
}

// variables gives the variables of a render.
func (c *Conversation) variables() *value.Dict {
	vars := value.NewDict()
	if c.vars != nil {
		vars = c.vars.Copy()
	}
	field := func(name string, v value.Value) {
		old, has := vars.GetStr(name)
		if has {
			has = old.TypeName() == v.TypeName() // null stays null
		}
		if has || value.Truth(v) || !c.optional {
			vars.SetStr(name, v)
		}
	}
	field("add_generation_prompt", value.Bool(c.AddGenerationPrompt))
	field("bos_token", value.Trusted(c.BOS))
	field("eos_token", value.Trusted(c.EOS))
	return vars
}

// messages gives the list of messages; nil if there is none.
func (c *Conversation) messages() []value.Value {
	if c.vars == nil {
		return nil
	}
	m, _ := c.vars.GetStr("messages")
	if l, ok := m.(*value.List); ok {
		return l.Items
	}
	return nil
}
