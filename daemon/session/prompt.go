package session

import (
	"errors"
	"fmt"

	"siskin/model/chat"
	"siskin/mqtt/message"
)

// answerShare is the part of the context that stays free for the answer when old turns are dropped: a quarter.
const answerShare = 4

// prepare builds the conversation, its token ids and the sampling parameters of a job. The error is a *message.Error
// where the request is at fault.
func (e *Engine) prepare(j *job) error {
	d := e.defaults.Load()
	j.turns = e.conversation(&j.request, d)
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
func (e *Engine) conversation(r *message.Request, d *Defaults) []message.Message {
	turns := r.Messages
	if r.Prompt != "" {
		turns = append(e.recall(r.Session), message.Message{Role: "user", Content: r.Prompt})
	}
	if d.System != "" && (len(turns) == 0 || turns[0].Role != "system") {
		turns = append([]message.Message{{Role: "system", Content: d.System}}, turns...)
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
	messages := make([]chat.Message, len(j.turns))
	for i, turn := range j.turns {
		messages[i] = chat.Message{Role: turn.Role, Content: turn.Content}
	}
	conversation := chat.NewConversation(messages)
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
	// Templates that write the beginning-of-sequence token themselves meet files whose flag adds it: one is enough.
	if bos, ok := e.Tokenizer.BOS(); ok && len(j.prompt) > 1 && j.prompt[0] == bos && j.prompt[1] == bos {
		j.prompt = j.prompt[1:]
	}
	if len(j.prompt) == 0 {
		return &message.Error{Code: message.CodeBadRequest, Text: "The conversation renders to no tokens at all."}
	}
	return nil
}

// controlText is the text of a control token, as templates write it; empty where the vocabulary has none.
func (e *Engine) controlText(id int32, ok bool) string {
	if !ok {
		return ""
	}
	return string(e.Tokenizer.TokenBytes(id))
}
