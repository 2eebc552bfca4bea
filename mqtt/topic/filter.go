package topic

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNameBytes is the longest name or filter in the protocol.
const MaxNameBytes = 65535

// MaxLevels is the most levels of a name or filter here. Brokers have their own
// limit (mosquitto 2.0 closes the connection of a client beyond 200).
const MaxLevels = 128

// Errors of names and filters.
var (
	ErrName   = errors.New("bad topic name")
	ErrFilter = errors.New("bad topic filter")
)

// CheckName returns an error with ErrName unless one may publish to name: 1 to
// MaxNameBytes bytes of UTF-8, at most MaxLevels levels, no wildcard, no NUL, and
// none of the characters for which a broker may close the connection (control
// characters and non-characters).
func CheckName(name string) error {
	if err := checkText(name); err != nil {
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	if i := strings.IndexAny(name, "+#"); i >= 0 {
		return fmt.Errorf("%w: it has the wildcard %q at byte %d", ErrName, name[i], i)
	}
	return nil
}

// CheckFilter returns an error with ErrFilter unless one may subscribe to
// filter: as in CheckName, but "+" may be a whole level and "#" the last one.
func CheckFilter(filter string) error {
	if err := checkText(filter); err != nil {
		return fmt.Errorf("%w: %w", ErrFilter, err)
	}
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "+" || level == "#" && !more:
		case level == "#":
			return fmt.Errorf("%w: # is not the last level", ErrFilter)
		case strings.ContainsAny(level, "+#"):
			return fmt.Errorf("%w: a wildcard must be a whole level", ErrFilter)
		}
	}
	return nil
}

// checkText checks what holds for names and filters.
func checkText(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	if len(s) > MaxNameBytes {
		return fmt.Errorf("it has %d bytes, at most %d are allowed", len(s), MaxNameBytes)
	}
	if n := strings.Count(s, "/") + 1; n > MaxLevels {
		return fmt.Errorf("it has %d levels, at most %d are allowed", n, MaxLevels)
	}
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n <= 1 {
				return fmt.Errorf("it is not UTF-8 at byte %d", i)
			}
		}
		if unicode.IsControl(r) || isNonCharacter(r) {
			return fmt.Errorf("it has the character U+%04X at byte %d, which is not allowed", r, i)
		}
	}
	return nil
}

// isNonCharacter reports the code points that Unicode keeps for internal use
// (Unicode 15, section 23.7).
func isNonCharacter(r rune) bool {
	return r&0xFFFE == 0xFFFE || 0xFDD0 <= r && r <= 0xFDEF
}

// Match reports whether a valid filter matches a valid name. A wildcard at the
// start does not match a name that starts with "$", and "a/#" matches "a" too. It
// does not allocate.
func Match(filter, name string) bool {
	if name != "" && name[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		f, filterRest, filterMore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		n, nameRest, nameMore := strings.Cut(name, "/")
		if f != "+" && f != n {
			return false
		}
		switch {
		case !filterMore && !nameMore:
			return true
		case !nameMore:
			return filterRest == "#"
		case !filterMore:
			return false
		}
		filter, name = filterRest, nameRest
	}
}
