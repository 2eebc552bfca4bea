package tokenizer

import "unicode/utf8"

// split cuts text into pieces by the first of the stages, and those by the rest of them, and encodes what comes out.
func (t *Tokenizer) split(s *scratch, stages []stage, text []byte) {
	for len(text) > 0 {
		n := stages[0](t.classes, text)
		if len(stages) == 1 {
			t.encodeWord(s, text[:n])
		} else {
			t.split(s, stages[1:], text[:n])
		}
		text = text[n:]
	}
}

// encodeWord appends the tokens of a piece of text, not empty, by byte-level BPE.
func (t *Tokenizer) encodeWord(s *scratch, word []byte) {
	for len(word) > maxWord {
		t.encodeWord(s, word[:maxWord])
		word = word[maxWord:]
	}
	if t.rule.ignoreMerges {
		if id := t.index.find(&t.str, word); id >= 0 {
			s.out = append(s.out, id)
			return
		}
	}
	s.start(len(word))
	for i, b := range word {
		s.syms[i] = symbol{id: t.byteID[b], prev: int32(i) - 1, next: int32(i) + 1}
	}
	t.merge(s, word, len(word))
	for i := int32(0); int(i) < len(word); i = s.syms[i].next {
		if id := s.syms[i].id; id >= 0 {
			s.out = append(s.out, id) // some vocabularies lack a few bytes; the original tokenizers drop them, too
		}
	}
}

// encodeRaw appends the tokens of text by BPE of UTF-8: lines, or words where no token has a space after another character,
// are merged from their characters; a character that is no token is its bytes.
func (t *Tokenizer) encodeRaw(s *scratch, text []byte) {
	s.frag = appendUnescaped(s.frag[:0], text)
	for rest := s.frag; len(rest) > 0; {
		line := rest[:t.rule.stages[0](t.classes, rest)]
		rest = rest[len(line):]
		if line[0] == '\n' {
			if id := t.index.find(&t.str, line); id >= 0 {
				s.out = append(s.out, id)
				continue
			}
		}
		for len(line) > 0 {
			n := min(len(line), maxWord)
			if t.wordwise {
				n = min(n, wordEnd(line))
			}
			for n < len(line) && !utf8.RuneStart(line[n]) {
				n-- // cut between characters
			}
			t.encodeChars(s, line[:n])
			line = line[n:]
		}
	}
}

// encodeChars appends the tokens of text, not empty, by the list of merges.
func (t *Tokenizer) encodeChars(s *scratch, text []byte) {
	count := t.startChars(s, text)
	for i := int32(0); int(i) < len(text); i = s.syms[i].next {
		s.syms[i].id = t.index.find(&t.str, text[i:s.syms[i].next])
	}
	t.merge(s, text, count)
	for i := int32(0); int(i) < len(text); i = s.syms[i].next {
		if sym := &s.syms[i]; sym.id >= 0 {
			s.out = append(s.out, sym.id)
		} else {
			t.appendChar(s, text[i:sym.next])
		}
	}
}
