package chat

import (
	"errors"

	"siskin/model/chat/jinja"
	"siskin/model/chat/jinja/value"
	"siskin/model/tokenizer"
)

// serving is the dialect for answering: what templates of published models use beyond plain Jinja.
func serving() jinja.Dialect { return jinja.Dialect{Generation: true, Mutation: true} }

// RenderFolded renders for answering. Where Render gives a prompt and the template shows the system message, the result is
// the same. Beyond that it accepts {% generation %} and changes of lists that the template made; it puts the system message
// in front of the first user message for templates that refuse or ignore one; and it gives the content as a list of text
// parts to templates that know only that form. Errors are those of Render.
func (t *Template) RenderFolded(c Conversation) ([]tokenizer.Piece, error) {
	caps := t.Caps()
	if caps.Parts {
		c.asParts()
	}
	folded, system := c.folded()
	if system && !caps.System {
		if pieces, err := t.serve(folded); err == nil {
			return pieces, nil
		}
	}
	pieces, err := t.serve(c)
	var raised *RaisedError
	if system && errors.As(err, &raised) { // perhaps it allows one only in some places
		if again, foldErr := t.serve(folded); foldErr == nil {
			return again, nil
		}
	}
	return pieces, err
}

func (t *Template) serve(c Conversation) ([]tokenizer.Piece, error) {
	return t.render(c, serving(), jinja.DefaultLimits(c.size), nil)
}

// field gives a string field of a message.
func field(message value.Value, name string) (value.Str, bool) {
	d, ok := message.(*value.Dict)
	if !ok {
		return value.Str{}, false
	}
	v, _ := d.GetStr(name)
	s, ok := v.(value.Str)
	return s, ok
}

// with gives a copy of a message with another content.
func with(message, content value.Value) value.Value {
	d := message.(*value.Dict).Copy()
	d.SetStr("content", content)
	return value.Fix(d)
}

// textPart is a part of a content that is a list.
func textPart(text value.Str) value.Value {
	d := value.NewDict()
	d.SetStr("type", value.Trusted("text"))
	d.SetStr("text", text)
	return value.Fix(d)
}

func listOf(items ...value.Value) value.Value { return value.Fix(&value.List{Items: items}) }

// folded moves the texts of all system messages to the front of the first user message, or makes one of them. false: there is
// nothing to move.
func (c Conversation) folded() (Conversation, bool) {
	var rest []value.Value
	text := ""
	for _, m := range c.messages() {
		content, ok := systemText(m)
		if !ok {
			rest = append(rest, m)
			continue
		}
		if text != "" && content != "" {
			text += "\n\n"
		}
		text += content
	}
	if len(rest) == len(c.messages()) {
		return c, false
	}
	c.set("messages", listOf(prepend(rest, text)...))
	c.size += len(text)
	return c, true
}

// systemText gives the text of a system message, whose content is a string or a list of text parts.
func systemText(m value.Value) (string, bool) {
	if role, ok := field(m, "role"); !ok || role.String() != "system" {
		return "", false
	}
	if s, ok := field(m, "content"); ok {
		return s.String(), true
	}
	content, _ := m.(*value.Dict).GetStr("content")
	parts, _ := content.(*value.List)
	text := ""
	for i := 0; parts != nil && i < len(parts.Items); i++ {
		s, _ := field(parts.Items[i], "text")
		text += s.String()
	}
	return text, true
}

// prepend puts text in front of the first user message.
func prepend(messages []value.Value, text string) []value.Value {
	if text == "" {
		return messages
	}
	for i, m := range messages {
		if role, ok := field(m, "role"); !ok || role.String() != "user" {
			continue
		}
		content, _ := m.(*value.Dict).GetStr("content")
		switch content := content.(type) {
		case value.Str:
			messages[i] = with(m, value.Untrusted(text+"\n\n"+content.String()))
		case *value.List:
			parts := append([]value.Value{textPart(value.Untrusted(text + "\n\n"))}, content.Items...)
			messages[i] = with(m, listOf(parts...))
		default:
			messages[i] = with(m, value.Untrusted(text))
		}
		return messages
	}
	d := value.NewDict()
	d.SetStr("role", value.Untrusted("user"))
	d.SetStr("content", value.Untrusted(text))
	return append([]value.Value{value.Fix(d)}, messages...)
}

// asParts turns contents that are strings into lists with one text part.
func (c *Conversation) asParts() {
	var all []value.Value
	for _, m := range c.messages() {
		if s, ok := field(m, "content"); ok {
			m = with(m, listOf(textPart(s)))
		}
		all = append(all, m)
	}
	c.set("messages", listOf(all...))
}
