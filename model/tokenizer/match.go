package tokenizer

import (
	"bytes"
	"slices"
	"sort"
)

// matcher finds the tokens that stand in text as they are: control, unknown and user-defined ones.
type matcher struct {
	ids    []int32     // sorted by the bytes of the token
	first  [257]uint32 // tokens that start with byte b are ids[first[b]:first[b+1]]
	starts [256]flags  // union of the flags of these
}

// newMatcher takes over ids, tokens of t with at least one byte each.
func newMatcher(t *Tokenizer, ids []int32) matcher {
	slices.SortFunc(ids, func(a, b int32) int { return bytes.Compare(t.str.at(a), t.str.at(b)) })
	m := matcher{ids: ids}
	for _, id := range ids {
		b := t.str.at(id)[0]
		m.first[int(b)+1]++
		m.starts[b] |= t.flags[id]
	}
	for i := range 256 {
		m.first[i+1] += m.first[i]
	}
	return m
}

// longest returns the longest token with a flag of mask at the start of text, which must not be empty, and its length.
func (t *Tokenizer) longest(text []byte, mask flags) (id int32, n int) {
	m := &t.match
	id = -1
	lo, hi := int(m.first[text[0]]), int(m.first[int(text[0])+1])
	for k := 1; lo < hi; { // ids[lo:hi] all start with text[:k]
		token := t.str.at(m.ids[lo])
		switch {
		case len(token) == k:
			if t.flags[m.ids[lo]]&mask != 0 {
				id, n = m.ids[lo], k
			}
			lo++ // longer ones follow
		case k == len(text):
			return id, n
		case hi-lo == 1:
			if t.flags[m.ids[lo]]&mask != 0 && bytes.HasPrefix(text[k:], token[k:]) {
				return m.ids[lo], len(token)
			}
			return id, n
		default:
			rest := m.ids[lo:hi]
			from := sort.Search(len(rest), func(i int) bool { return t.str.at(rest[i])[k] >= text[k] })
			to := from + sort.Search(len(rest)-from, func(i int) bool { return t.str.at(rest[from+i])[k] > text[k] })
			lo, hi = lo+from, lo+to
			k++
		}
	}
	return id, n
}

// span is a part of the text that is searched for tokens with one of the flags of mask.
type span struct {
	end  int // its first byte is where the span before ends
	mask flags
}

// encodeText appends the tokens of s.text to s.out: special tokens where the spans allow them, what lies between as plain
// text. Tokens of white space are taken anywhere: they say nothing, and text is not what it was without them.
func (t *Tokenizer) encodeText(s *scratch) {
	text, start, k := s.text, 0, 0
	for pos := 0; pos < len(text); {
		if t.match.starts[text[pos]] == 0 {
			pos++
			continue
		}
		for pos >= s.spans[k].end {
			k++
		}
		mask := s.spans[k].mask
		id, n := int32(-1), 0
		if t.match.starts[text[pos]]&mask != 0 {
			id, n = t.longest(text[pos:s.spans[k].end], mask)
		}
		if t.match.starts[text[pos]]&isBlank != 0 {
			if blank, size := t.longest(text[pos:], isBlank); size > n {
				id, n = blank, size
			}
		}
		if n == 0 {
			pos++
			continue
		}
		before := text[start:pos]
		if t.flags[id]&stripsLeft != 0 {
			before = bytes.TrimRight(before, asciiSpace)
		}
		t.encodePlain(s, before)
		s.out = append(s.out, id)
		pos += n
		if t.flags[id]&stripsRight != 0 {
			pos = len(text) - len(bytes.TrimLeft(text[pos:], asciiSpace))
		}
		start = pos
	}
	t.encodePlain(s, text[start:])
}

// asciiSpace is what isspace of C takes for white space.
const asciiSpace = " \t\n\v\f\r"

// encodePlain appends the tokens of text, in which there are no special tokens.
func (t *Tokenizer) encodePlain(s *scratch, text []byte) {
	switch {
	case len(text) == 0:
	case t.kind == spm:
		t.encodeSPM(s, text)
	case t.kind == wpm:
		t.encodeWPM(s, text)
	case t.kind == ugm:
		t.encodeUGM(s, text)
	case t.rule.raw:
		t.encodeRaw(s, text)
	default:
		t.split(s, t.rule.stages, text)
	}
}
