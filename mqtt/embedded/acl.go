package embedded

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"siskin/mqtt/topic"
)

// ACL says who may use which topics, in the form of mosquitto's acl_file (mosquitto.conf(5)): lines
//
//	user NAME
//	topic [read|write|readwrite|deny] FILTER
//	pattern [read|write|readwrite|deny] FILTER
//
// where topics before the first user are for clients without a name, those behind one for that user, and patterns for all, with %u and
// %c for name and client id. What no line allows is forbidden, and deny wins.
type ACL struct {
	anonymous []rule
	users     map[string][]rule
	patterns  []rule
}

// rule allows or denies the use of topics.
type rule struct {
	filter            string
	read, write, deny bool
}

// ErrACL is wrapped when a file of rules makes no sense.
var ErrACL = errors.New("bad file of rules")

// ParseACL reads rules.
func ParseACL(data []byte) (*ACL, error) {
	a := &ACL{users: make(map[string][]rule)}
	user, named := "", false
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "user":
			if rest == "" {
				return nil, fmt.Errorf("line %d: a user without a name: %w", n, ErrACL)
			}
			user, named = rest, true
			continue
		case "topic", "pattern":
		default:
			return nil, fmt.Errorf("line %d: %q is none of user, topic, pattern: %w", n, word, ErrACL)
		}
		r, err := parseRule(rest)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case word == "pattern":
			a.patterns = append(a.patterns, r)
		case named:
			a.users[user] = append(a.users[user], r)
		default:
			a.anonymous = append(a.anonymous, r)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrACL, err)
	}
	return a, nil
}

func parseRule(text string) (rule, error) {
	access, filter, _ := strings.Cut(text, " ")
	r := rule{filter: strings.TrimSpace(filter), read: true, write: true}
	switch access {
	case "read":
		r.write = false
	case "write":
		r.read = false
	case "readwrite":
	case "deny":
		r.deny = true
	default: // without a word it is for both
		r.filter = text
	}
	plain := strings.NewReplacer("%u", "u", "%c", "c").Replace(r.filter)
	if err := topic.CheckFilter(plain); err != nil {
		return r, fmt.Errorf("filter %q: %w: %w", r.filter, err, ErrACL)
	}
	return r, nil
}

// Allows reports whether a client may write to a topic, or read what is published there. To subscribe to a filter, reading must be
// allowed for some of it; what it may not read is not sent.
func (a *ACL) Allows(username, clientID, name string, write bool) bool {
	rules := a.anonymous
	if username != "" {
		rules = a.users[username]
	}
	allowed := false
	apply := func(r rule, filter string) (denied bool) {
		if !topic.Match(filter, name) {
			return false
		}
		if r.deny {
			return true
		}
		allowed = allowed || write && r.write || !write && r.read
		return false
	}
	for _, r := range rules {
		if apply(r, r.filter) {
			return false
		}
	}
	// A name with wildcards would reach other topics than its own.
	if strings.ContainsAny(username+clientID, "+#/") {
		return allowed
	}
	fill := strings.NewReplacer("%u", username, "%c", clientID)
	for _, r := range a.patterns {
		if username == "" && strings.Contains(r.filter, "%u") {
			continue
		}
		if apply(r, fill.Replace(r.filter)) {
			return false
		}
	}
	return allowed
}
