package tokenizer

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// escapedSpace, U+2581, stands for a space in the texts of SentencePiece tokens. Inside this package both are a space: a
// U+2581 in the text gives the same tokens, as it does in the original.
const escapedSpace = "\u2581"

// maxPiece is the length in bytes up to which a SentencePiece token is looked for in text; real ones have less than 100.
const maxPiece = 1024

// encodeSPM appends the tokens of text, which is not empty and at the start of the prompt or after a special token: there,
// and nowhere else, the model expects a space in front.
func (t *Tokenizer) encodeSPM(s *scratch, text []byte) {
	s.frag = s.frag[:0]
	if t.spacePrefix {
		s.frag = append(s.frag, ' ')
	}
	frag := appendUnescaped(s.frag, text)
	s.frag = frag
	for len(frag) > 0 {
		n := min(len(frag), maxWord)
		if t.wordwise {
			n = min(n, wordEnd(frag))
		}
		for n < len(frag) && !utf8.RuneStart(frag[n]) {
			n-- // cut between characters
		}
		t.encodePieces(s, frag[:n])
		frag = frag[n:]
	}
}

// appendUnescaped appends text with spaces in place of U+2581.
func appendUnescaped(dst, text []byte) []byte {
	for {
		i := bytes.Index(text, []byte(escapedSpace))
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i]...), ' ')
		text = text[i+len(escapedSpace):]
	}
}

// wordEnd is the length of the first word with the spaces before it.
func wordEnd(b []byte) int {
	i := 0
	for i < len(b) && b[i] == ' ' {
		i++
	}
	if n := bytes.IndexByte(b[i:], ' '); n >= 0 {
		return i + n
	}
	return len(b)
}

// encodePieces appends the tokens of text, not empty, by merges in the order of scores.
func (t *Tokenizer) encodePieces(s *scratch, text []byte) {
	count := t.startChars(s, text)
	t.merge(s, text, count)
	for i := int32(0); int(i) < len(text); i = s.syms[i].next {
		sym := &s.syms[i]
		if sym.id >= 0 {
			s.out = append(s.out, sym.id)
			continue
		}
		t.appendChar(s, text[i:sym.next]) // nothing merged into it, so it is one character
	}
}

// startChars makes a symbol of each character of text and returns their number.
func (t *Tokenizer) startChars(s *scratch, text []byte) int {
	s.start(len(text))
	count, prev := 0, int32(-1)
	for i := 0; i < len(text); {
		_, n := utf8.DecodeRune(text[i:])
		s.syms[i] = symbol{id: -1, prev: prev, next: int32(i + n)}
		prev = int32(i)
		i += n
		count++
	}
	return count
}

// appendChar appends the token of one character, else those of its bytes, else the unknown token, unless that is a control
// token in this vocabulary.
func (t *Tokenizer) appendChar(s *scratch, char []byte) {
	if id := t.index.find(&t.str, char); id >= 0 {
		s.out = append(s.out, id)
		return
	}
	if char[0] == ' ' {
		char = []byte(escapedSpace)
	}
	for _, b := range char {
		if t.byteID[b] < 0 {
			if t.unk >= 0 && t.flags[t.unk]&isControl == 0 {
				s.out = append(s.out, t.unk)
			}
			return
		}
	}
	for _, b := range char {
		s.out = append(s.out, t.byteID[b])
	}
}

// ratePiece returns the rank of a piece of text as a token and that token, noRank if there is none.
func (t *Tokenizer) ratePiece(b []byte) (rank uint32, id int32) {
	if len(b) > t.maxPiece {
		return noRank, -1
	}
	if id = t.index.find(&t.str, b); id < 0 {
		return noRank, -1
	}
	return t.score[id], id
}

// scoreRank maps scores to ranks: the higher the score, the lower the rank. The score must not be NaN; the rank is never
// noRank.
func scoreRank(score float32) uint32 {
	if score == 0 {
		score = 0 // for -0
	}
	bits := math.Float32bits(score)
	if bits>>31 != 0 {
		return bits // more negative has more bits: rank grows, from 1<<31 up
	}
	return 1<<31 - 1 - bits
}
