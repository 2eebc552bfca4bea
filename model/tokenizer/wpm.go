package tokenizer

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// WordPiece, the tokenizer of BERT: text is cleaned and cut into words and single punctuation marks, and each word into the
// longest tokens from its start on. In the file a token that starts a word has U+2581 in front, where the original marks the
// others with "##". Sources: tokenization.py of google-research/bert; normalizers/bert.rs, pre_tokenizers/bert.rs and
// models/wordpiece of huggingface/tokenizers 0.23.

// maxWordRunes is the length in characters from which on a word is unknown as a whole (max_input_chars_per_word).
const maxWordRunes = 100

// wpmOptions are the switches of the normaliser.
type wpmOptions struct {
	lowercase    bool
	stripAccents bool // canonical decomposition, without non-spacing marks
}

// encodeWPM appends the tokens of text.
func (t *Tokenizer) encodeWPM(s *scratch, text []byte) {
	if t.wpm.stripAccents {
		s.frag = norm.NFD.Append(s.frag[:0], text...)
		text = s.frag
	}
	word := append(s.word[:0], ' ')
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case r == 0, r == utf8.RuneError, dropped(r), t.wpm.stripAccents && unicode.Is(unicode.Mn, r):
			continue
		case unicode.IsSpace(r):
			word = t.endWord(s, word)
			continue
		}
		alone := isolated(r)
		if alone {
			word = t.endWord(s, word)
		}
		switch {
		case !t.wpm.lowercase:
			word = utf8.AppendRune(word, r)
		case r == 'İ': // the one character whose lower case is two
			word = append(word, "i\u0307"...)
		default:
			word = utf8.AppendRune(word, unicode.ToLower(r))
		}
		if alone {
			word = t.endWord(s, word)
		}
	}
	s.word = t.endWord(s, word)
}

// dropped tells whether a character is taken out of the text: controls but tab and line ends, and what is not a character.
func dropped(r rune) bool {
	if r == '\t' || r == '\n' || r == '\r' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)
}

// isolated tells whether a character is a word by itself.
func isolated(r rune) bool {
	if r < utf8.RuneSelf {
		return r > ' ' && r < 0x7F && !(r >= '0' && r <= '9') && !asciiLetter(byte(r))
	}
	return unicode.IsPunct(r) || isHan(r)
}

// isHan has the blocks of Chinese characters that BERT cuts apart; the gap at U+2B820 is one of huggingface/tokenizers.
func isHan(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r >= 0xF900 && r <= 0xFAFF ||
		r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F ||
		r >= 0x2B920 && r <= 0x2CEAF || r >= 0x2F800 && r <= 0x2FA1F
}

// endWord appends the tokens of word, which has a space in front, and returns it empty but for that space.
func (t *Tokenizer) endWord(s *scratch, word []byte) []byte {
	if len(word) == 1 {
		return word
	}
	before := len(s.out)
	known := utf8.RuneCount(word) <= maxWordRunes+1
	for rest := word; known && len(rest) > 0; {
		end := min(len(rest), t.maxPiece)
		id := int32(-1)
		for ; end > 0; end-- {
			if end < len(rest) && !utf8.RuneStart(rest[end]) {
				continue
			}
			if id = t.index.find(&t.str, rest[:end]); id >= 0 {
				break
			}
		}
		if known = id >= 0; known {
			s.out = append(s.out, id)
			rest = rest[end:]
		}
	}
	if !known {
		s.out = s.out[:before]
		if t.unk >= 0 {
			s.out = append(s.out, t.unk)
		}
	}
	return word[:1]
}
