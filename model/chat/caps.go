package chat

import (
	"strings"
	"time"

	"siskin/model/chat/jinja"
	"siskin/model/chat/jinja/value"
)

// Caps are the abilities of a template, found by rendering short conversations.
type Caps struct {
	System      bool   // shows a system message
	Tools       bool   // shows tool definitions
	ToolCalls   bool   // shows the tool calls of an assistant message
	ToolResults bool   // shows messages of role tool
	Parts       bool   // shows contents only if they are lists of parts
	Thinking    string // variable that turns thinking on or off: enable_thinking, thinking; "" if there is none
	Clock       bool   // prints the time, so that the prompt begins differently every day
}

// Caps gives the abilities of the template. The first call takes a few renders, later ones nothing.
func (t *Template) Caps() Caps { return t.caps() }

// Words that the probes look for. They have no letters that a template would change.
const (
	probeSystem   = "siskinsystem"
	probeUser     = "siskinuser"
	probeTool     = "siskintool"
	probeArgument = "siskinargument"
	probeResult   = "siskinresult"
)

const (
	probeTools = `[{"type": "function", "function": {"name": "siskintool", "description": "d", "parameters": {"type": "object",` +
		` "properties": {"a": {"type": "string", "description": "d"}}, "required": ["a"]}}}]`
	probeCall = `{"role": "assistant", "content": "", "tool_calls": [{"id": "call00001", "type": "function",` +
		` "function": {"name": "siskintool", "arguments": {"a": "siskinargument"}}}]}`
	probeAnswer = `{"role": "tool", "tool_call_id": "call00001", "name": "siskintool", "content": "siskinresult"}`
	probeAsk    = `{"role": "user", "content": "siskinuser"}`
)

// probe renders the probes.
func (t *Template) probe() Caps {
	var c Caps
	parts := `{"role": "user", "content": [{"type": "text", "text": "siskinuser"}]}`
	plain := t.shows(&c, probeAsk, "", probeUser)
	c.Parts = !plain && t.shows(&c, parts, "", probeUser)
	c.System = t.shows(&c, `{"role": "system", "content": "siskinsystem"}, `+probeAsk, "", probeSystem) ||
		c.Parts && t.shows(&c, `{"role": "system", "content": [{"type": "text", "text": "siskinsystem"}]}, `+parts, "", probeSystem)
	c.Tools = t.shows(&c, probeAsk, `, "tools": `+probeTools, probeTool)
	tools := ""
	if c.Tools {
		tools = `, "tools": ` + probeTools
	}
	c.ToolCalls = t.shows(&c, probeAsk+", "+probeCall+", "+probeAnswer, tools, probeArgument)
	c.ToolResults = t.shows(&c, probeAsk+", "+probeCall+", "+probeAnswer, tools, probeResult)
	ask := probeAsk
	if c.Parts {
		ask = parts
	}
	for _, name := range []string{"enable_thinking", "thinking"} {
		on, okOn := t.attempt(&c, ask, `, "`+name+`": true`)
		off, okOff := t.attempt(&c, ask, `, "`+name+`": false`)
		if okOn && okOff && on != off {
			c.Thinking = name
			break
		}
	}
	return c
}

// shows tells whether the prompt of a probe contains a word.
func (t *Template) shows(c *Caps, messages, vars, word string) bool {
	text, ok := t.attempt(c, messages, vars)
	return ok && strings.Contains(text, word)
}

// attempt renders a probe; false if the template refuses it.
func (t *Template) attempt(c *Caps, messages, vars string) (string, bool) {
	conv, err := ParseConversation([]byte(`{"messages": [` + messages + `], "add_generation_prompt": true` + vars + `}`))
	if err != nil {
		return "", false
	}
	conv.set("bos_token", value.Trusted(""))
	conv.set("eos_token", value.Trusted(""))
	conv.Now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	// The conversations are tiny, and a hostile template is probed ten times.
	limits := jinja.Limits{Limits: value.Limits{Steps: 200_000, Bytes: 8 << 20}, Output: 1 << 20, Calls: 100}
	pieces, err := t.render(conv, serving(), limits, &c.Clock)
	if err != nil {
		return "", false
	}
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.Text)
	}
	return b.String(), true
}
