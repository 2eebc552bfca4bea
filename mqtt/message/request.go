package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is the newest version of the forms that this package reads, and the
// one it writes.
const Version = 1

// Ranges of the sampling parameters and of the priority. They keep nonsense out;
// what a value does is said by model/sample.
const (
	MaxTemperature = 5.0
	MaxTopK        = 1_000_000
	MaxScale       = 100
	MinPriority    = -9
	MaxPriority    = 9
)

// Message is one turn of a conversation.
type Message struct {
	// Role is "system", "user", "assistant" or "tool".
	Role string `json:"role"`
	// Content is the text of the turn; it may be empty.
	Content string `json:"content"`
	// ToolCalls is what an assistant has asked for, a JSON list as in Answer; nil is none.
	ToolCalls json.RawMessage `json:"tool_calls,omitempty"`
	// ToolCallID and Name say which call a tool's result answers.
	ToolCallID string `json:"tool_call_id,omitempty"`
	Name       string `json:"name,omitempty"`
}

// Adapter names an adapter that an answer is made with.
type Adapter struct {
	// Name is that of a file in the folder of adapters, without its ending; its alphabet is that of an id.
	Name string `json:"name"`
	// Scale multiplies what it adds, in [-MaxScale, MaxScale]; the sender's default is 1.
	Scale float32 `json:"scale"`
}

// Request is one question to the model. Exactly one of Prompt and Messages is
// set. A nil pointer and a zero number mean "not asked for": the receiver's own
// default applies.
type Request struct {
	// ID names the request in every topic and message about it; see CheckID. It
	// is empty when the sender gave none; the receiver then calls EnsureID.
	ID string
	// Prompt is a single user turn.
	Prompt string
	// Suffix is what stands behind a gap that the answer fills, where Prompt is what stands before it and may be empty. nil is no gap.
	Suffix *string
	// Context is what the model is told beside the last turn, and does not remember: what sensors say, or what was looked up.
	Context string
	// Messages is a whole conversation, oldest first.
	Messages []Message
	// Session names a conversation that the daemon keeps; "" is none. Its
	// alphabet and length are those of an id.
	Session string
	// Task names what the request is answered with where it says nothing itself; "" is what the receiver has for such. Its alphabet and
	// length are those of an id.
	Task string
	// Stream asks for deltas while the answer is made.
	Stream bool
	// ReplyTo is the topic for the answer; "" is the device's own. Only its
	// length is checked here: which topics are allowed is for the receiver.
	ReplyTo string
	// Correlation is what the asker wants back with every message about the request, MaxCorrelation bytes at most; only MQTT 5
	// has a place for it (correlation data). nil is none.
	Correlation []byte
	// MaxTokens is the most tokens to generate; 0 is not asked for.
	MaxTokens int
	// Temperature is in [0, MaxTemperature].
	Temperature *float32
	// TopP is in [0, 1].
	TopP *float32
	// MinP is in [0, 1].
	MinP *float32
	// TopK is in [0, MaxTopK]; 0 switches it off.
	TopK *int
	// Sampling has the rarer parameters.
	Sampling Sampling
	// Adapters are added to the model for this answer, MaxAdapters at most.
	Adapters []Adapter
	// Tools is a JSON list of what the model may call, as its template wants it; nil is none.
	Tools json.RawMessage
	// Think asks models that can for a chain of thought, or for none; nil leaves it to the template.
	Think *bool
	// Seed makes the answer repeatable.
	Seed *uint64
	// Stop holds texts that end the answer; they are not part of it.
	Stop []string
	// Deadline is the time the answer is worth waiting for, from Received on, in
	// whole milliseconds; 0 is no deadline.
	Deadline time.Duration
	// Priority is in [MinPriority, MaxPriority]; higher runs sooner.
	Priority int
	// Received is when the request came in. It is set by the receiver and is not
	// part of the form.
	Received time.Time
}

// wireRequest is the JSON form of a Request, version 1.
type wireRequest struct {
	V           int       `json:"v"`
	ID          string    `json:"id,omitempty"`
	Prompt      string    `json:"prompt,omitempty"`
	Suffix      *string   `json:"suffix,omitempty"`
	Context     string    `json:"context,omitempty"`
	Messages    []Message `json:"messages,omitempty"`
	Session     string    `json:"session,omitempty"`
	Task        string    `json:"task,omitempty"`
	Stream      bool      `json:"stream,omitempty"`
	ReplyTo     string    `json:"reply_to,omitempty"`
	Correlation []byte    `json:"correlation,omitempty"`
	MaxTokens   int       `json:"max_tokens,omitempty"`
	Temperature *float32  `json:"temperature,omitempty"`
	TopP        *float32  `json:"top_p,omitempty"`
	TopK        *int      `json:"top_k,omitempty"`
	MinP        *float32  `json:"min_p,omitempty"`
	Seed        *uint64   `json:"seed,omitempty"`
	Stop        []string  `json:"stop,omitempty"`
	DeadlineMs  int64     `json:"deadline_ms,omitempty"`
	Priority    int       `json:"priority,omitempty"`
	Adapters    []Adapter `json:"adapters,omitempty"`
	Think       *bool     `json:"think,omitempty"`

	Tools json.RawMessage `json:"tools,omitempty"`
	Sampling
}

// Encode gives the JSON form. ParseRequest of it equals r, but for Received and
// for fractions of a millisecond in Deadline. It fails only for a number that
// JSON cannot hold (NaN or infinite), which Validate refuses as well.
func (r Request) Encode() ([]byte, error) {
	b, err := encode(wireRequest{
		V: Version, ID: r.ID, Prompt: r.Prompt, Suffix: r.Suffix, Context: r.Context, Messages: r.Messages,
		Session: r.Session, Task: r.Task, Stream: r.Stream, ReplyTo: r.ReplyTo, Correlation: r.Correlation,
		MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP,
		TopK: r.TopK, MinP: r.MinP, Seed: r.Seed, Stop: r.Stop,
		DeadlineMs: r.Deadline.Milliseconds(), Priority: r.Priority, Sampling: r.Sampling,
		Adapters: r.Adapters, Think: r.Think, Tools: r.Tools,
	})
	if err != nil {
		return nil, fmt.Errorf("request %q: encode: %w", r.ID, err)
	}
	return b, nil
}

// Expired reports whether the deadline of r has passed at now. A request without
// a deadline never expires.
func (r Request) Expired(now time.Time) bool {
	return r.Deadline > 0 && now.Sub(r.Received) >= r.Deadline
}

// MaxCorrelation is the longest Correlation, in bytes. MQTT allows 64 KiB, but it is kept with each request; askers put a
// number or a UUID in it.
const MaxCorrelation = 1 << 10

// Aside is what the transport says of a request beside its payload, as MQTT 5 does.
type Aside struct {
	ReplyTo     string
	Correlation []byte
	Expiry      time.Duration // from its arrival on; 0 is none
}

// Adopt takes over what was said beside the payload. What the payload says counts more, but the earlier end of both is the
// deadline.
func (r *Request) Adopt(a Aside, lim Limits) error {
	if r.ReplyTo == "" && a.ReplyTo != "" {
		if e := checkText("reply_to", a.ReplyTo, lim.ReplyToBytes); e != nil {
			e.ID = r.ID
			return e
		}
		r.ReplyTo = a.ReplyTo
	}
	if r.Correlation == nil && len(a.Correlation) > 0 {
		r.Correlation = a.Correlation
		if e := r.checkCorrelation(); e != nil {
			r.Correlation = nil
			e.ID = r.ID
			return e
		}
	}
	if a.Expiry > 0 && (r.Deadline == 0 || a.Expiry < r.Deadline) {
		r.Deadline = min(max(a.Expiry, time.Millisecond), lim.Deadline)
	}
	return nil
}

func (r *Request) checkCorrelation() *Error {
	if len(r.Correlation) > MaxCorrelation {
		return fault(CodeTooLarge, "correlation", "The correlation data has %d bytes; at most %d are allowed.", len(r.Correlation), MaxCorrelation)
	}
	return nil
}

// Limits bounds what a request may hold. Bytes are counted after JSON escapes
// are resolved, but for PayloadBytes.
type Limits struct {
	PayloadBytes  int           // whole payload as received
	PromptBytes   int           // Prompt, and the sum of all Messages' contents
	Messages      int           // turns in Messages
	ReplyToBytes  int           // ReplyTo
	Stops         int           // texts in Stop
	StopBytes     int           // each text in Stop
	MaxTokens     int           // MaxTokens
	Deadline      time.Duration // Deadline
	NestingLevels int           // brackets and braces open at once, in unknown keys too
}

// DefaultLimits gives limits that suit a small board: the longest prompt is
// about 32,000 tokens of English, more than such a board's context holds.
func DefaultLimits() Limits {
	return Limits{
		PayloadBytes:  256 << 10,
		PromptBytes:   128 << 10,
		Messages:      256,
		ReplyToBytes:  256,
		Stops:         16,
		StopBytes:     256,
		MaxTokens:     1 << 16,
		Deadline:      7 * 24 * time.Hour,
		NestingLevels: 32,
	}
}

// Validate returns all problems of the limits themselves: each must be positive,
// otherwise no request could pass.
func (l Limits) Validate() error {
	var errs []error
	check := func(name string, v int64) {
		if v <= 0 {
			errs = append(errs, fmt.Errorf("limit %s: is %d, must be positive", name, v))
		}
	}
	check("PayloadBytes", int64(l.PayloadBytes))
	check("PromptBytes", int64(l.PromptBytes))
	check("Messages", int64(l.Messages))
	check("ReplyToBytes", int64(l.ReplyToBytes))
	check("Stops", int64(l.Stops))
	check("StopBytes", int64(l.StopBytes))
	check("MaxTokens", int64(l.MaxTokens))
	check("Deadline", int64(l.Deadline))
	check("NestingLevels", int64(l.NestingLevels))
	return errors.Join(errs...)
}

// encode is json.Marshal without the escapes that are meant for HTML and without
// a line end.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
