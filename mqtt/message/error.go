package message

import (
	"errors"
	"fmt"
)

// Code says by machine why a request got the status it got. Codes are only
// added, never renamed.
type Code string

// The codes. Those from CodeBadRequest on go with a status other than "ok".
const (
	// CodeNone goes with a complete answer.
	CodeNone Code = ""
	// CodeMaxTokens goes with status "ok": the answer was cut at max_tokens.
	CodeMaxTokens Code = "max_tokens"
	// CodeContextFull goes with "ok" if the answer was cut because the context is
	// full, with "error" if the prompt alone does not fit.
	CodeContextFull Code = "context_full"

	CodeBadRequest     Code = "bad_request"     // broken form or a value out of range
	CodeTooLarge       Code = "too_large"       // more bytes or items than allowed
	CodeUnsupported    Code = "unsupported"     // a version or feature this daemon lacks
	CodeUnknownTask    Code = "unknown_task"    // the request names a task that this device does not have
	CodeForbiddenReply Code = "forbidden_reply" // reply_to outside the allowed prefixes
	CodeForbidden      Code = "forbidden"       // the sender may not prompt
	CodeRateLimited    Code = "rate_limited"    // the sender has prompted too often; ask again later
	CodeOverloaded     Code = "overloaded"      // the queue is full
	CodeExpired        Code = "expired"         // the deadline passed first
	CodeCancelled      Code = "cancelled"       // on request
	CodeDuplicate      Code = "duplicate"       // the id is in the queue or answered already
	CodeUnknown        Code = "unknown"         // interrupted; whether it had an effect is not known
	CodeShuttingDown   Code = "shutting_down"   // the daemon stops; ask again later
	CodeModelFault     Code = "model_fault"     // the model's file cannot be read; it is tried again with each request
	CodeInternal       Code = "internal"        // a fault of the daemon; details are in its log
)

// Outcome is the status of an answer.
type Outcome string

// The outcomes: every request gets exactly one of them.
const (
	OK         Outcome = "ok"
	Failed     Outcome = "error"
	Cancelled  Outcome = "cancelled"
	Expired    Outcome = "expired"
	Overloaded Outcome = "overloaded"
	Duplicate  Outcome = "duplicate"
	Unknown    Outcome = "unknown"
)

// Outcome gives the status that goes with a refusal of code c.
func (c Code) Outcome() Outcome {
	switch c {
	case CodeOverloaded, CodeRateLimited:
		return Overloaded
	case CodeExpired:
		return Expired
	case CodeCancelled:
		return Cancelled
	case CodeDuplicate:
		return Duplicate
	case CodeUnknown:
		return Unknown
	}
	return Failed
}

// Error is a refusal: what is wrong, where, and in words for a person.
type Error struct {
	// Code is never empty.
	Code Code
	// Field names the key at fault, such as "messages[2].role"; "" is the whole.
	Field string
	// Text is one sentence that a person understands.
	Text string
	// ID is the id of the refused request if it could still be read, and then it
	// passes CheckID; else "".
	ID string
}

// Error gives code, field and text.
func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.Code, e.Text)
	}
	return fmt.Sprintf("%s: %s: %s", e.Code, e.Field, e.Text)
}

// Refusal turns the error of a request into its answer. An *Error anywhere in
// err's chain gives code and text, and its ID is used if id is empty; any other
// error becomes CodeInternal without its detail, which belongs into the log.
func Refusal(id string, err error) Answer {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: CodeInternal, Text: "The request failed because of a fault inside the daemon; its log has the details."}
	}
	if id == "" {
		id = e.ID
	}
	return Answer{ID: id, Status: e.Code.Outcome(), Code: e.Code, Text: e.Text}
}

// fault makes an *Error; the id is filled in by the parser.
func fault(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Text: fmt.Sprintf(format, args...)}
}
