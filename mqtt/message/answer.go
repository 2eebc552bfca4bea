package message

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Usage counts tokens of one request.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	// CachedTokens of PromptTokens were not computed again.
	CachedTokens int `json:"cached_tokens"`
	// DraftedTokens were guessed ahead of the model; AcceptedTokens of them were right, and are part of CompletionTokens.
	DraftedTokens  int `json:"drafted_tokens,omitempty"`
	AcceptedTokens int `json:"accepted_tokens,omitempty"`
}

// Timing is where the time of one request went, in milliseconds.
type Timing struct {
	QueueMs   int64 `json:"queue_ms"`
	PrefillMs int64 `json:"prefill_ms"`
	DecodeMs  int64 `json:"decode_ms"`
}

// Answer ends a request; every request gets exactly one.
type Answer struct {
	ID     string  `json:"id"`
	Status Outcome `json:"status"`
	Code   Code    `json:"code,omitempty"`
	// Text is what the model wrote, possibly cut; in a refusal it is the reason.
	Text string `json:"text"`
	// Reasoning is the chain of thought before Text, where the model wrote one.
	Reasoning string `json:"reasoning,omitempty"`
	// ToolCalls is what the model wants called, if the request had tools; Text is what it wrote beside them.
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	Usage     Usage      `json:"usage"`
	Timing    Timing     `json:"timing"`
	// LogProbs has the tokens of Text, if the request asked for them; else it is nil.
	LogProbs *[]TokenLogProb `json:"logprobs,omitempty"`
	// Model names the model that answered; "" if none ran.
	Model string `json:"model,omitempty"`
}

// ToolCall is a function that the model wants called, in the form that a conversation takes back.
type ToolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"` // "function"
	Function FunctionCall `json:"function"`
}

// FunctionCall is the name and the arguments, a JSON object.
type FunctionCall struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// Accepted says that a request is in the queue and will get an answer.
type Accepted struct {
	ID string `json:"id"`
	// QueueDepth is the number of requests ahead.
	QueueDepth int `json:"queue_depth"`
	// Device is the one that has it, of a group that shares requests; else empty.
	Device string `json:"device,omitempty"`
}

// Delta is a piece of an answer in the making.
type Delta struct {
	ID string `json:"id"`
	// Seq counts the deltas of one answer from 0; a gap means a lost delta.
	Seq   int    `json:"seq"`
	Delta string `json:"delta"`
}

// Cancel asks to end a request, or all of them.
type Cancel struct {
	ID  string `json:"id,omitempty"`
	All bool   `json:"all,omitempty"` // then ID is empty
}

// CancelAll is the form of a Cancel of all requests.
const CancelAll = `{"all":true}`

// State is whether a device serves.
type State string

// The states. Offline is also the last will.
const (
	Online  State = "online"
	Offline State = "offline"
)

// Status is the retained state of a device.
type Status struct {
	State   State  `json:"state"`
	Version string `json:"version,omitempty"` // of the daemon
	Model   string `json:"model,omitempty"`
	// Kernels names the instruction set in use.
	Kernels string `json:"kernels,omitempty"`
	// ContextTokens is how many tokens one conversation may have.
	ContextTokens int `json:"context_tokens,omitempty"`
	// QueueLimit is how many requests may wait.
	QueueLimit int `json:"queue_limit,omitempty"`
	// Memory says how memory stands; nil if that is not known.
	Memory *Memory `json:"memory,omitempty"`
}

// Memory is the part of a Status about memory. All but Refaults is in bytes; zero is unknown or unbounded.
type Memory struct {
	Budget    int64 `json:"budget"`    // what the process may have
	Planned   int64 `json:"planned"`   // of it, by the plan
	Anonymous int64 `json:"anonymous"` // what it has of its own
	File      int64 `json:"file"`      // resident pages of files
	Group     int64 `json:"group,omitempty"`
	GroupMax  int64 `json:"group_max,omitempty"`
	// Refaults counts pages of files that had to be read again soon after the system had taken them.
	Refaults int64 `json:"refaults"`
	// GaveWay are sentences about what is less than was asked for, to keep the budget.
	GaveWay []string `json:"gave_way,omitempty"`
	// Pressure is what is done about a system that is short of memory: empty, "caches", "shrunk" or "refusing".
	Pressure string `json:"pressure,omitempty"`
}

// Encode gives the JSON form. Text that is not valid UTF-8 gets U+FFFD.
func (a Answer) Encode() []byte {
	type plain Answer
	return mustEncode(struct {
		V int `json:"v"`
		plain
	}{Version, plain(a)})
}

// Encode gives the JSON form.
func (a Accepted) Encode() []byte { return mustEncode(a) }

// Encode gives the JSON form. Text that is not valid UTF-8 gets U+FFFD.
func (d Delta) Encode() []byte { return mustEncode(d) }

// Encode gives the JSON form.
func (c Cancel) Encode() []byte { return mustEncode(c) }

// Encode gives the JSON form.
func (s Status) Encode() []byte {
	type plain Status
	return mustEncode(struct {
		V int `json:"v"`
		plain
	}{Version, plain(s)})
}

// mustEncode is encode for forms of strings and integers, which cannot fail.
func mustEncode(v any) []byte {
	b, err := encode(v)
	if err != nil {
		panic(fmt.Sprintf("message: encode %T: %v", v, err))
	}
	return b
}

// maxReplyBytes bounds what a client reads of a daemon's message.
const maxReplyBytes = 8 << 20

// ParseAnswer reads an answer that a daemon sent; unknown keys are ignored. It
// returns an *Error for a broken or oversized form, a missing id or status.
func ParseAnswer(payload []byte) (Answer, error) {
	var a Answer
	if err := parseReply(payload, &a); err != nil {
		return Answer{}, err
	}
	if err := CheckID(a.ID); err != nil {
		return Answer{}, err
	}
	if a.Status == "" {
		return Answer{}, fault(CodeBadRequest, "status", "The answer has no status.")
	}
	return a, nil
}

// ParseAccepted reads an acceptance; errors are as in ParseAnswer.
func ParseAccepted(payload []byte) (Accepted, error) {
	var a Accepted
	if err := parseReply(payload, &a); err != nil {
		return Accepted{}, err
	}
	return a, CheckID(a.ID)
}

// ParseDelta reads a delta; errors are as in ParseAnswer.
func ParseDelta(payload []byte) (Delta, error) {
	var d Delta
	if err := parseReply(payload, &d); err != nil {
		return Delta{}, err
	}
	return d, CheckID(d.ID)
}

// ParseStatus reads a status; errors are as in ParseAnswer.
func ParseStatus(payload []byte) (Status, error) {
	var s Status
	if err := parseReply(payload, &s); err != nil {
		return Status{}, err
	}
	if s.State == "" {
		return Status{}, fault(CodeBadRequest, "state", "The status has no state.")
	}
	return s, nil
}

// ParseCancel reads a cancellation: an object with "id", or with "all", or the bare
// id with or without white space around it. It returns an *Error for anything else.
func ParseCancel(payload []byte) (Cancel, error) {
	// Twice an id leaves room for the object around it and for unknown keys.
	const maxBytes = 4 << 10
	if len(payload) > maxBytes {
		return Cancel{}, fault(CodeTooLarge, "", "The cancellation has %d bytes; at most %d are allowed.", len(payload), maxBytes)
	}
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 || payload[0] != '{' {
		c := Cancel{ID: string(payload)}
		return c, CheckID(c.ID)
	}
	var c Cancel
	if err := parseReply(payload, &c); err != nil {
		return Cancel{}, err
	}
	if c.All {
		if c.ID != "" {
			return Cancel{}, fault(CodeBadRequest, "all", `The cancellation has both "all" and "id"; give one of them.`)
		}
		return c, nil
	}
	return c, CheckID(c.ID)
}

// parseReply decodes a message whose sender is a daemon, so only its size and
// its types matter.
func parseReply(payload []byte, v any) error {
	if len(payload) > maxReplyBytes {
		return fault(CodeTooLarge, "", "The message has %d bytes; at most %d are allowed.", len(payload), maxReplyBytes)
	}
	if err := json.Unmarshal(payload, v); err != nil {
		return fault(CodeBadRequest, "", "The message is not in the expected JSON form: %s.", err)
	}
	return nil
}
