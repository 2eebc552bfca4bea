package hermes

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sentences cuts a text that grows into pieces to speak, so that the first is said while the rest is written. Its zero value is ready.
type Sentences struct {
	rest string
}

const (
	// minSentence is the shortest piece in characters: "1.", "Dr." and "z. B." end no sentence, and a pause behind each word is
	// worse than one sentence less.
	minSentence = 12
	// maxSentence is the longest: some fifteen seconds of speech.
	maxSentence = 240
)

// Add takes more of the text and returns the pieces that are complete.
func (s *Sentences) Add(text string) (pieces []string) {
	s.rest += text
	for {
		n := end(s.rest)
		if n == 0 {
			return pieces
		}
		if piece := strings.TrimSpace(s.rest[:n]); piece != "" {
			pieces = append(pieces, piece)
		}
		s.rest = s.rest[n:]
	}
}

// Rest returns what is left at the end of the text.
func (s *Sentences) Rest() string {
	rest := strings.TrimSpace(s.rest)
	s.rest = ""
	return rest
}

// end returns where the first piece of a text ends, 0 if it may go on.
func end(text string) int {
	count, space, clause := 0, 0, 0 // characters; places where a long piece may be cut
	for i, r := range text {
		next := i + utf8.RuneLen(r)
		if r == utf8.RuneError {
			next = i + 1
		}
		count++
		switch {
		case r == '\n' && strings.TrimSpace(text[:i]) != "":
			return next
		case strings.ContainsRune("。！？", r) && count >= minSentence/2: // the scripts of these need no space, and fewer characters
			return next
		case strings.ContainsRune(".!?…", r) && count >= minSentence && next < len(text):
			if following, _ := utf8.DecodeRuneInString(text[next:]); unicode.IsSpace(following) {
				return next
			}
		case strings.ContainsRune(",;:，；、", r):
			clause = next
		case unicode.IsSpace(r):
			space = next
		}
		if count >= maxSentence {
			switch {
			case clause > 0:
				return clause
			case space > 0:
				return space
			}
			return next
		}
	}
	return 0
}
