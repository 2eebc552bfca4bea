package message

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Validate checks a request however it was made; ParseRequest and ParseText give
// only requests that pass. An ID may be absent. The error is an *Error about the
// first fault; it carries r.ID if that is valid.
func (r Request) Validate(lim Limits) error {
	e := r.check(lim)
	if e == nil {
		return nil
	}
	if CheckID(r.ID) == nil {
		e.ID = r.ID
	}
	return e
}

func (r Request) check(lim Limits) *Error {
	if r.ID != "" {
		if e := checkName("id", "id", r.ID); e != nil {
			return e
		}
	}
	if r.Session != "" {
		if e := checkName("session", "session name", r.Session); e != nil {
			return e
		}
	}
	if r.Task != "" {
		if e := checkName("task", "name of a task", r.Task); e != nil {
			return e
		}
	}
	if e := r.checkContent(lim); e != nil {
		return e
	}
	if e := checkText("reply_to", r.ReplyTo, lim.ReplyToBytes); e != nil {
		return e
	}
	if e := r.checkCorrelation(); e != nil {
		return e
	}
	if e := r.checkStop(lim); e != nil {
		return e
	}
	if e := r.checkAdapters(); e != nil {
		return e
	}
	return r.checkNumbers(lim)
}

func (r Request) checkAdapters() *Error {
	if len(r.Adapters) > MaxAdapters {
		return fault(CodeTooLarge, "adapters", "The request names %d adapters; at most %d are allowed.", len(r.Adapters), MaxAdapters)
	}
	for i, a := range r.Adapters {
		if e := checkName(fmt.Sprintf("adapters[%d].name", i), "name of an adapter", a.Name); e != nil {
			return e
		}
		if !(a.Scale >= -MaxScale && a.Scale <= MaxScale) {
			return fault(CodeBadRequest, fmt.Sprintf("adapters[%d].scale", i), "The scale of adapter %q must be from %d to %d, not %v.", a.Name, -MaxScale, MaxScale, a.Scale)
		}
		for _, b := range r.Adapters[:i] {
			if a.Name == b.Name {
				return fault(CodeBadRequest, "adapters", "The adapter %q is named twice; name it once.", a.Name)
			}
		}
	}
	return nil
}

// checkContent checks that there is something to answer and that it fits.
func (r Request) checkContent(lim Limits) *Error {
	if e := checkText("context", r.Context, lim.PromptBytes); e != nil {
		return e
	}
	if r.Suffix != nil {
		return r.checkGap(lim)
	}
	if len(r.Messages) == 0 {
		if strings.TrimSpace(r.Prompt) == "" {
			return fault(CodeBadRequest, "prompt", "The prompt is empty; write a question in it.")
		}
		return checkText("prompt", r.Prompt, max(0, lim.PromptBytes-len(r.Tools)-len(r.Context)))
	}
	if r.Prompt != "" {
		return fault(CodeBadRequest, "prompt", `The request has both "prompt" and "messages"; give one of them.`)
	}
	if len(r.Messages) > lim.Messages {
		return fault(CodeTooLarge, "messages", "The conversation has %d messages; at most %d are allowed.", len(r.Messages), lim.Messages)
	}
	left := lim.PromptBytes - len(r.Tools) - len(r.Context)
	if left < 0 {
		return fault(CodeTooLarge, "tools", "The tools have more than %d bytes.", lim.PromptBytes)
	}
	for i, m := range r.Messages {
		switch m.Role {
		case "system", "user", "assistant", "tool":
		default:
			return fault(CodeBadRequest, fmt.Sprintf("messages[%d].role", i),
				"The role of message %d must be system, user, assistant or tool, not %q.", i+1, clip(m.Role))
		}
		if len(m.Content)+len(m.ToolCalls)+len(m.ToolCallID)+len(m.Name) > left {
			return fault(CodeTooLarge, "messages", "The messages have more than %d bytes of text together, from message %d on.", lim.PromptBytes, i+1)
		}
		left -= len(m.Content) + len(m.ToolCalls) + len(m.ToolCallID) + len(m.Name)
		if e := checkText(fmt.Sprintf("messages[%d].content", i), m.Content, lim.PromptBytes); e != nil {
			return e
		}
	}
	return nil
}

// checkGap checks a request whose answer fills a gap: the text around it is all that the model sees.
func (r Request) checkGap(lim Limits) *Error {
	for _, other := range []struct {
		key   string
		given bool
	}{{"messages", len(r.Messages) > 0}, {"context", r.Context != ""}, {"session", r.Session != ""}, {"task", r.Task != ""}, {"tools", r.Tools != nil}, {"think", r.Think != nil}} {
		if other.given {
			return fault(CodeBadRequest, other.key, `The request has a "suffix", which goes with "prompt" alone; leave out %q.`, other.key)
		}
	}
	if r.Prompt == "" && *r.Suffix == "" {
		return fault(CodeBadRequest, "suffix", "Both the prompt and the suffix are empty; there is nothing to go by.")
	}
	if e := checkText("prompt", r.Prompt, lim.PromptBytes); e != nil {
		return e
	}
	if len(r.Prompt)+len(*r.Suffix) > lim.PromptBytes {
		return fault(CodeTooLarge, "suffix", "The prompt and the suffix have more than %d bytes together.", lim.PromptBytes)
	}
	return checkText("suffix", *r.Suffix, lim.PromptBytes)
}

func (r Request) checkStop(lim Limits) *Error {
	if len(r.Stop) > lim.Stops {
		return fault(CodeTooLarge, "stop", "There are %d stop texts; at most %d are allowed.", len(r.Stop), lim.Stops)
	}
	for i, s := range r.Stop {
		field := fmt.Sprintf("stop[%d]", i)
		if s == "" {
			return fault(CodeBadRequest, field, "Stop text %d is empty, which would end every answer at once.", i+1)
		}
		if e := checkText(field, s, lim.StopBytes); e != nil {
			return e
		}
	}
	return nil
}

func (r Request) checkNumbers(lim Limits) *Error {
	for _, p := range []struct {
		field string
		value *float32
		max   float32
	}{
		{"temperature", r.Temperature, MaxTemperature},
		{"top_p", r.TopP, 1},
		{"min_p", r.MinP, 1},
	} {
		// Written so that NaN fails.
		if p.value != nil && !(*p.value >= 0 && *p.value <= p.max) {
			return fault(CodeBadRequest, p.field, "The value of %q must be from 0 to %v, not %v.", p.field, p.max, *p.value)
		}
	}
	if r.TopK != nil && (*r.TopK < 0 || *r.TopK > MaxTopK) {
		return fault(CodeBadRequest, "top_k", "The value of %q must be from 0 to %d, not %d.", "top_k", MaxTopK, *r.TopK)
	}
	if e := r.Sampling.check(); e != nil {
		return e
	}
	if r.MaxTokens < 0 || r.MaxTokens > lim.MaxTokens {
		return fault(CodeBadRequest, "max_tokens", "The value of %q must be from 1 to %d, not %d.", "max_tokens", lim.MaxTokens, r.MaxTokens)
	}
	if r.Deadline < 0 || r.Deadline > lim.Deadline || r.Deadline > 0 && r.Deadline < time.Millisecond {
		return fault(CodeBadRequest, "deadline_ms", "The deadline must be from 1 ms to %v, not %v.", lim.Deadline, r.Deadline)
	}
	if r.Priority < MinPriority || r.Priority > MaxPriority {
		return fault(CodeBadRequest, "priority", "The value of %q must be from %d to %d, not %d.", "priority", MinPriority, MaxPriority, r.Priority)
	}
	return nil
}

// checkText checks size, encoding and the NUL character, which is no text and
// ends strings in other programs.
func checkText(field, s string, most int) *Error {
	if len(s) > most {
		return fault(CodeTooLarge, field, "The value of %q has %d bytes; at most %d are allowed.", field, len(s), most)
	}
	if !utf8.ValidString(s) {
		return fault(CodeBadRequest, field, "The value of %q is not valid UTF-8 text.", field)
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return fault(CodeBadRequest, field, "The value of %q holds a NUL character at byte %d; take it out.", field, i)
	}
	return nil
}
