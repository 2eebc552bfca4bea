package session

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"siskin/model"
	"siskin/model/chat"
	"siskin/model/draft"
	"siskin/model/sample"
	"siskin/model/tokenizer"
	"siskin/mqtt/message"
)

// job is one request under way.
type job struct {
	request  message.Request
	adapters []model.Adapted   // of the request
	thinking bool              // the prompt ends inside a chain of thought
	system   string            // system message of conversations that bring none
	turns    []message.Message // of the conversation, without what the template adds
	prompt   []int32           // token ids
	params   sample.Params
	most     int // tokens that the answer may have
	mostCode message.Code

	slot    *slot // nil while it is pending
	decoder *tokenizer.Decoder
	stopper *sample.Stopper
	speech  *chat.Speech
	text    strings.Builder // without thoughts and calls
	last    int32           // the token to run next, once the prompt is through
	usage   message.Usage
	seq     int // number of the next delta

	logProbs []message.TokenLogProb // of the answer so far, if they were asked for

	started, decoding time.Time // prefill began; first token was sampled
}

// slot is one sequence of the cache. Its tokens stay when its job ends: the next request that begins with the same
// tokens starts behind them.
type slot struct {
	seq     int
	tokens  []int32 // whose keys and values are in the cache
	job     *job
	used    uint64 // pass count when it was last in use
	pages   int    // reserved for the job
	sampler *sample.Sampler

	adapters []model.Adapted // that the tokens were computed with
	draft    *draft.Answer   // nil if nothing is drafted
	drafted  int             // tokens at the end of tokens that the pass under way checks
}

// grows reports whether the prompt of a job that has a slot is through: its next row is the last token of the answer.
func (j *job) grows() bool { return len(j.slot.tokens) >= len(j.prompt) }

// shared returns how many tokens of prompt the slot has already; the last one is always run again, for its logits.
func (s *slot) shared(prompt []int32) int {
	n := min(len(s.tokens), len(prompt)-1)
	for i := range n {
		if s.tokens[i] != prompt[i] {
			return i
		}
	}
	return n
}

// begin takes a request up; the next fill gives it a slot, if there is one.
func (e *Engine) begin(request message.Request) {
	e.pending = append(e.pending, &job{request: request})
}

// refuse answers a pending job with an error. Detail that is not for the asker goes to the log.
func (e *Engine) refuse(j *job, err error) {
	answer := message.Refusal(j.request.ID, err)
	if answer.Code == message.CodeInternal {
		e.Log.Error("request failed", "id", j.request.ID, "err", err)
	}
	e.deliver(j, answer)
}

// deliver hands out the answer of a job and forgets the job.
func (e *Engine) deliver(j *job, answer message.Answer) {
	answer.ID, answer.Model, answer.Usage = j.request.ID, e.ModelName, j.usage
	now := e.Now()
	started, decoding := j.started, j.decoding
	if started.IsZero() {
		started = now
	}
	if decoding.IsZero() {
		decoding = now
	}
	answer.Timing = message.Timing{
		QueueMs:   started.Sub(j.request.Received).Milliseconds(),
		PrefillMs: decoding.Sub(started).Milliseconds(),
		DecodeMs:  now.Sub(decoding).Milliseconds(),
	}
	e.pending = slices.DeleteFunc(e.pending, func(o *job) bool { return o == j })
	e.order = slices.DeleteFunc(e.order, func(o *job) bool { return o == j })
	if j.slot != nil {
		j.slot.job, j.slot.pages = nil, 0
		j.slot = nil
	}
	e.Answer(j.request, answer)
	e.forget(j.request.ID) // not before: see Cancel
}

// finish ends a job. What it has written so far is in the answer whatever the code; a complete one becomes part of the
// conversation.
func (e *Engine) finish(j *job, code message.Code) {
	if j.decoder != nil {
		e.emit(j, j.flush())
		if j.speech != nil {
			e.show(j, j.speech.Flush())
		}
	}
	answer := message.Answer{Status: message.OK, Code: code, Text: j.text.String()}
	if j.speech != nil {
		answer.Reasoning, answer.ToolCalls = j.speech.Reasoning, j.toolCalls()
	}
	if j.request.Sampling.TopLogProbs != nil {
		answer.LogProbs = &j.logProbs
	}
	switch code {
	case message.CodeNone, message.CodeMaxTokens, message.CodeContextFull:
		e.remember(j, answer.Text)
	default:
		answer.Status = code.Outcome()
		if answer.Text == "" {
			answer.Text = reason(code)
		}
	}
	e.deliver(j, answer)
}

// flush returns the text that the decoder and the stop strings have withheld.
func (j *job) flush() string {
	out, _ := j.stopper.Add(j.decoder.Flush())
	return out + j.stopper.Flush()
}

// emit takes text that the model has written.
func (e *Engine) emit(j *job, text string) {
	if text != "" && j.speech != nil {
		text = j.speech.Add(text)
	}
	e.show(j, text)
}

// show adds text to the answer and streams it if asked to.
func (e *Engine) show(j *job, text string) {
	if text == "" {
		return
	}
	j.text.WriteString(text)
	if j.request.Stream {
		e.Delta(j.request, message.Delta{ID: j.request.ID, Seq: j.seq, Delta: text})
		j.seq++
	}
}

// toolCalls is what the answer of a job wants called; ids count within the answer.
func (j *job) toolCalls() (out []message.ToolCall) {
	if j.speech == nil {
		return nil
	}
	for i, c := range j.speech.Calls {
		out = append(out, message.ToolCall{
			ID: fmt.Sprintf("call%05d", i+1), Type: "function", Function: message.FunctionCall{Name: c.Name, Arguments: c.Arguments},
		})
	}
	return out
}

// callsJSON is the form of tool calls in a conversation.
func callsJSON(calls []message.ToolCall) json.RawMessage {
	if len(calls) == 0 {
		return nil
	}
	raw, err := json.Marshal(calls)
	if err != nil {
		return nil // cannot occur: the arguments were valid JSON
	}
	return raw
}
