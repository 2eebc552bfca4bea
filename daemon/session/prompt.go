package session

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"siskin/model/chat"
	"siskin/mqtt/message"
)

// answerShare is the part of the context that stays free for the answer when old turns are dropped: a quarter.
const answerShare = 4

// prepare builds the conversation, its token ids and the sampling parameters of a job. The error is a *message.Error
// where the request is at fault.
func (e *Engine) prepare(j *job) error {
	d := e.defaults.Load()
	t, err := d.Tasks.Find(j.request.Task)
	if err != nil {
		return err
	}
	j.request = t.Fill(j.request)
	j.system = cmp.Or(t.System, d.System)
	j.turns = e.conversation(j)
	j.params = e.sampling(&j.request, d)
	if err := j.params.Validate(); err != nil {
		return &message.Error{Code: message.CodeBadRequest, Text: "The sampling parameters are out of range: " + err.Error() + "."}
	}
	j.most, j.mostCode = d.MaxTokens, message.CodeMaxTokens
	if j.request.MaxTokens > 0 {
		j.most = min(j.request.MaxTokens, d.CapTokens)
	}
	context := e.State.Limits().Context
	reserve := min(j.most, context/answerShare)
	for {
		if err := e.tokenize(j); err != nil {
			return err
		}
		if len(j.prompt)+reserve <= context || !dropOldest(&j.turns) {
			break
		}
	}
	if j.adapters, err = e.adaptersOf(j); err != nil {
		return err
	}
	room := context - len(j.prompt)
	if room < 1 {
		return &message.Error{Code: message.CodeContextFull, Text: fmt.Sprintf(
			"The prompt has %d tokens, but the context holds %d: shorten it.", len(j.prompt), context)}
	}
	if j.most > room {
		j.most, j.mostCode = room, message.CodeContextFull
	}
	j.usage.PromptTokens = len(j.prompt)
	return nil
}

// conversation returns the turns of a request: those it brings, behind those that its session remembers, behind the
// default system message if there is no other.
func (e *Engine) conversation(j *job) []message.Message {
	r := &j.request
	turns := r.Messages
	if r.Prompt != "" {
		turns = append(e.recall(r.Session), message.Message{Role: "user", Content: r.Prompt})
	}
	if j.system != "" && (len(turns) == 0 || turns[0].Role != "system") {
		turns = append([]message.Message{{Role: "system", Content: j.system}}, turns...)
	}
	return turns
}

// dropOldest removes the oldest turn and what answered it, never a system message and never the last turn. It reports
// whether there was one.
func dropOldest(turns *[]message.Message) bool {
	t := *turns
	first := 0
	for first < len(t) && t[first].Role == "system" {
		first++
	}
	end := first + 1
	for end < len(t) && t[end].Role != "user" {
		end++
	}
	if end >= len(t) {
		return false
	}
	*turns = append(append([]message.Message{}, t[:first]...), t[end:]...)
	return true
}

// tokenize renders the turns with the model's template. Text of the asker never becomes a control token: the template
// marks it and the tokenizer keeps it plain.
func (e *Engine) tokenize(j *job) error {
	if suffix := j.request.Suffix; suffix != nil {
		var ok bool
		if j.prompt, ok = e.Tokenizer.EncodeInfill(j.prompt[:0], j.request.Prompt, *suffix); !ok {
			return &message.Error{
				Code: message.CodeBadRequest, Field: "suffix",
				Text: "This model was not trained to fill gaps; ask without a suffix, or use a model that was.",
			}
		}
		return nil
	}
	conversation, err := e.turnsOf(j)
	if err != nil {
		return err
	}
	conversation.AddGenerationPrompt, conversation.Now = true, e.Now()
	conversation.BOS, conversation.EOS = e.controlText(e.Tokenizer.BOS()), e.controlText(e.Tokenizer.EOS())
	pieces, err := e.Template.RenderFolded(conversation)
	if err != nil {
		var raised *chat.RaisedError
		if errors.As(err, &raised) {
			return &message.Error{
				Code: message.CodeBadRequest, Field: "messages",
				Text: "The model's chat template refuses this conversation: " + raised.Message,
			}
		}
		return fmt.Errorf("render conversation: %w", err)
	}
	j.prompt = e.Tokenizer.EncodePieces(j.prompt[:0], pieces, true)
	j.thinking = len(pieces) > 0 && strings.HasSuffix(strings.TrimRight(pieces[len(pieces)-1].Text, "\r\n"), "<think>")
	// Templates that write the beginning-of-sequence token themselves meet files whose flag adds it: one is enough.
	if bos, ok := e.Tokenizer.BOS(); ok && len(j.prompt) > 1 && j.prompt[0] == bos && j.prompt[1] == bos {
		j.prompt = j.prompt[1:]
	}
	if len(j.prompt) == 0 {
		return &message.Error{Code: message.CodeBadRequest, Text: "The conversation renders to no tokens at all."}
	}
	return nil
}

// turnsOf makes the conversation of a template: plain turns, or with what belongs to tools, and the variables of the request.
func (e *Engine) turnsOf(j *job) (chat.Conversation, error) {
	turns := told(j.turns, j.request.Context)
	messages := make([]chat.Message, len(turns))
	plain := true
	for i, turn := range turns {
		messages[i] = chat.Message{Role: turn.Role, Content: turn.Content}
		plain = plain && turn.ToolCalls == nil && turn.ToolCallID == "" && turn.Name == ""
	}
	conversation := chat.NewConversation(messages)
	if !plain {
		raw, err := toolTurns(turns)
		if err != nil {
			return conversation, err
		}
		if err := conversation.SetJSON("messages", raw); err != nil {
			return conversation, fmt.Errorf("messages of the conversation: %w", err)
		}
	}
	if len(j.request.Tools) > 0 {
		if !e.Template.Caps().Tools {
			return conversation, &message.Error{Code: message.CodeUnsupported, Field: "tools", Text: "The model's chat template knows no tools."}
		}
		if err := conversation.SetJSON("tools", j.request.Tools); err != nil {
			return conversation, &message.Error{Code: message.CodeBadRequest, Field: "tools", Text: "The tools cannot be read: " + err.Error() + "."}
		}
	}
	if name := e.Template.Caps().Thinking; j.request.Think != nil && name != "" {
		if err := conversation.SetJSON(name, strconv.AppendBool(nil, *j.request.Think)); err != nil {
			return conversation, fmt.Errorf("variable %s of the template: %w", name, err)
		}
	}
	return conversation, nil
}

// told puts a context in front of the last turn of the user, where it disturbs least of what is in the cache. What is remembered of the
// conversation is without it.
func told(turns []message.Message, context string) []message.Message {
	if context == "" {
		return turns
	}
	for i := len(turns) - 1; i >= 0; i-- {
		if turns[i].Role == "user" {
			out := slices.Clone(turns)
			out[i].Content = context + "\n\n" + out[i].Content
			return out
		}
	}
	return turns
}

// toolTurns writes turns as templates of models with tools want them: arguments of calls are objects, not objects in strings.
func toolTurns(turns []message.Message) ([]byte, error) {
	type turn struct {
		message.Message
		ToolCalls []any `json:"tool_calls,omitempty"`
	}
	out := make([]turn, len(turns))
	for i, t := range turns {
		out[i] = turn{Message: t}
		out[i].Message.ToolCalls = nil
		if t.ToolCalls == nil {
			continue
		}
		var calls []map[string]json.RawMessage
		if err := json.Unmarshal(t.ToolCalls, &calls); err != nil {
			return nil, &message.Error{Code: message.CodeBadRequest, Field: "messages", Text: fmt.Sprintf("The tool calls of message %d cannot be read: %v.", i+1, err)}
		}
		for _, c := range calls {
			var f map[string]json.RawMessage
			if json.Unmarshal(c["function"], &f) == nil {
				text := ""
				if args := f["arguments"]; json.Unmarshal(args, &text) == nil && json.Valid([]byte(text)) {
					f["arguments"] = json.RawMessage(text)
				}
				raw, err := json.Marshal(f)
				if err != nil {
					return nil, fmt.Errorf("tool call: %w", err)
				}
				c["function"] = raw
			}
			out[i].ToolCalls = append(out[i].ToolCalls, c)
		}
	}
	return json.Marshal(out)
}

// controlText is the text of a control token, as templates write it; empty where the vocabulary has none.
func (e *Engine) controlText(id int32, ok bool) string {
	if !ok {
		return ""
	}
	return string(e.Tokenizer.TokenBytes(id))
}
