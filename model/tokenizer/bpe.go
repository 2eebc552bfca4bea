package tokenizer

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
