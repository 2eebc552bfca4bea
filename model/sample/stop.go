package sample

// Stopper finds stop strings in text that arrives in pieces, and withholds text that may turn out to be the beginning of
// one. The result does not depend on how the text is cut into pieces: the stop string that is completed first ends the
// text, of several completed by the same byte the longest; it is not part of the text itself.
//
// Pieces and stop strings are valid UTF-8, so all returned text is, too.
type Stopper struct {
	stops []stop
	held  []byte // text that was not returned yet: the longest begun match
	done  bool
}

// stop is one stop string as an automaton of Knuth, Morris and Pratt.
type stop struct {
	text string
	fail []int // fail[i]: length of the longest proper prefix of text[:i] that is also its suffix
	at   int   // bytes matched so far
}

// NewStopper returns a Stopper for the given strings. Empty ones are ignored; without any, all text passes.
func NewStopper(stops []string) *Stopper {
	s := &Stopper{}
	for _, text := range stops {
		if text == "" {
			continue
		}
		fail := make([]int, len(text)+1)
		for i, k := 1, 0; i < len(text); i++ {
			for k > 0 && text[i] != text[k] {
				k = fail[k]
			}
			if text[i] == text[k] {
				k++
			}
			fail[i+1] = k
		}
		s.stops = append(s.stops, stop{text: text, fail: fail})
	}
	return s
}

// Add takes the next piece of text and returns what can be shown now. stopped is true once a stop string was found: the
// text ends there, and further calls return nothing.
func (s *Stopper) Add(text string) (out string, stopped bool) {
	if s.done {
		return "", true
	}
	if len(s.stops) == 0 {
		return text, false
	}
	for i := range len(text) {
		s.held = append(s.held, text[i])
		if n := s.step(text[i]); n > 0 {
			s.done = true
			out = string(s.held[:len(s.held)-n])
			s.held = nil
			return out, true
		}
	}
	longest := 0
	for i := range s.stops {
		longest = max(longest, s.stops[i].at)
	}
	n := len(s.held) - longest
	out = string(s.held[:n])
	s.held = append(s.held[:0], s.held[n:]...)
	return out, false
}

// Flush returns the withheld text at the end of the answer; it is empty after a stop string was found.
func (s *Stopper) Flush() string {
	out := string(s.held)
	s.held, s.done = nil, true
	return out
}

// step feeds one byte to every automaton and returns the length of the longest stop string it completed, or 0.
func (s *Stopper) step(b byte) int {
	found := 0
	for i := range s.stops {
		p := &s.stops[i]
		for p.at > 0 && p.text[p.at] != b {
			p.at = p.fail[p.at]
		}
		if p.text[p.at] == b {
			p.at++
		}
		if p.at == len(p.text) {
			found = max(found, p.at)
			p.at = p.fail[p.at]
		}
	}
	return found
}
