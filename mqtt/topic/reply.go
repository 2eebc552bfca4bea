package topic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a topic that a stranger asks the daemon to publish to.
const (
	MaxReplyBytes  = 256
	MaxReplyLevels = 32
)

// ErrReply is in every error about a reply topic.
var ErrReply = errors.New("reply topic not allowed")

// Replies is the list of prefixes under which a request may choose the topic of
// its answer. Without such a list any publisher could make the daemon publish
// anywhere. The zero value allows nothing.
type Replies struct {
	prefixes []string // without a slash at the end
}

// NewReplies checks all prefixes and returns all problems, each with ErrName or
// ErrReply. A prefix "home/answers" (or "home/answers/") allows that topic and
// all below it, not "home/answers2".
func NewReplies(prefixes []string) (Replies, error) {
	var errs []error
	out := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		q := strings.TrimSuffix(p, "/")
		if err := checkReply(q); err != nil {
			errs = append(errs, fmt.Errorf("reply prefix %q: %w", p, err))
			continue
		}
		out = append(out, q)
	}
	if err := errors.Join(errs...); err != nil {
		return Replies{}, err
	}
	return Replies{prefixes: out}, nil
}

// Check returns an error, with ErrName or ErrReply, unless name is a topic that
// may be published to and lies under one of the prefixes. Whatever the prefixes
// are, names that start with "$" belong to the broker, and those of siskin are
// commands and states, but for siskin/<device>/reply.
func (r Replies) Check(name string) error {
	if err := checkReply(name); err != nil {
		return err
	}
	if under(name, Root) && !isReply(name) {
		return fmt.Errorf("%w: below %s only %s/<device>/reply is free", ErrReply, Root, Root)
	}
	if !slices.ContainsFunc(r.prefixes, func(p string) bool { return under(name, p) }) {
		return fmt.Errorf("%w: it is under none of the %d allowed prefixes", ErrReply, len(r.prefixes))
	}
	return nil
}

// checkReply checks what holds for a reply topic and for a prefix of one.
func checkReply(name string) error {
	if len(name) > MaxReplyBytes {
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrReply, len(name), MaxReplyBytes)
	}
	if err := CheckName(name); err != nil {
		return err
	}
	if n := strings.Count(name, "/") + 1; n > MaxReplyLevels {
		return fmt.Errorf("%w: it has %d levels, at most %d are allowed", ErrReply, n, MaxReplyLevels)
	}
	if name[0] == '$' {
		return fmt.Errorf("%w: names that start with $ belong to the broker", ErrReply)
	}
	return nil
}

// under reports whether name is prefix or below it.
func under(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// isReply reports whether name is siskin/<device>/reply or below it.
func isReply(name string) bool {
	rest, ok := strings.CutPrefix(name, Root+"/")
	if !ok {
		return false
	}
	device, rest, ok := strings.Cut(rest, "/")
	return ok && CheckDevice(device) == nil && under(rest, "reply")
}
