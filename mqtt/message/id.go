package message

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// MaxIDBytes is the longest id and the longest session name.
const MaxIDBytes = 64

// CheckID returns an *Error unless id has 1 to MaxIDBytes bytes, each a letter
// or digit of ASCII or one of "-", "_", "." and ":". Every such id is one valid
// level of an MQTT topic.
func CheckID(id string) error {
	if e := checkName("id", "id", id); e != nil {
		return e
	}
	return nil
}

// checkName is the rule of CheckID for any field; what names it in the sentence.
func checkName(field, what, s string) *Error {
	if s == "" {
		return fault(CodeBadRequest, field, "The %s is empty; give 1 to %d characters or leave it out.", what, MaxIDBytes)
	}
	if len(s) > MaxIDBytes {
		return fault(CodeTooLarge, field, "The %s has %d bytes; at most %d are allowed.", what, len(s), MaxIDBytes)
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':':
		default:
			return fault(CodeBadRequest, field,
				"The %s may hold only letters a-z and A-Z, digits and - _ . : but has another character at position %d.", what, i+1)
		}
	}
	return nil
}

// EnsureID sets r.ID from newID if the sender gave none. NewID is a good source;
// a test may count. It returns an error if newID fails or gives no valid id.
func (r *Request) EnsureID(newID func() (string, error)) error {
	if r.ID != "" {
		return nil
	}
	id, err := newID()
	if err != nil {
		return fmt.Errorf("request id: %w", err)
	}
	if err := CheckID(id); err != nil {
		return fmt.Errorf("request id: %w", err)
	}
	r.ID = id
	return nil
}

// NewID makes an id of 24 characters, "g-" and 88 bits in hexadecimal, from the
// given source, which is crypto/rand.Reader outside of tests. It fails if the
// source does.
func NewID(random io.Reader) (string, error) {
	var b [11]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("random id: %w", err)
	}
	return "g-" + hex.EncodeToString(b[:]), nil
}

// Fingerprint is a digest of a message: 32 hexadecimal digits, equal for equal
// topic and payload. A request without id that is delivered again (DUP flag of
// MQTT set) is known by it.
func Fingerprint(topic string, payload []byte) string {
	h := sha256.New()
	// The length keeps ("ab","c") and ("a","bc") apart.
	fmt.Fprintf(h, "%d:%s", len(topic), topic)
	h.Write(payload)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
