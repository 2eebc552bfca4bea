package tokenizer

import (
	"encoding/binary"
	"math"
	"sort"
	"unicode/utf8"
)

// Unigram, the tokenizer of T5 and XLM-RoBERTa: of all ways to cut the text into tokens the one with the highest sum of
// scores is taken. Source: SentencePiece, src/normalizer.cc and src/unigram_model.cc.

// unknownPenalty is what a character without a token costs beyond the lowest score (kUnkPenalty of unigram_model.cc).
const unknownPenalty = 10

// unigram is what Unigram has beside the vocabulary.
type unigram struct {
	words      matcher // tokens that plain text can become
	score      []float32
	unknown    float64 // score of a character that is no token
	mergeSpace bool    // runs of white space are one, at the ends there is none
	charsmap   charsmap
}

// step is the best way to the byte behind it.
type step struct {
	score float64
	id    int32
	from  int32 // where the token begins
}

// encodeUGM appends the tokens of text.
func (t *Tokenizer) encodeUGM(s *scratch, text []byte) {
	s.frag = t.normalize(s.frag[:0], text)
	for rest := s.frag; len(rest) > 0; {
		n := min(len(rest), maxWord)
		for n < len(rest) && !utf8.RuneStart(rest[n]) {
			n--
		}
		t.bestPath(s, rest[:n])
		rest = rest[n:]
	}
}

// normalize appends text with its characters replaced by the map and its white space in order. U+2581 is a space.
func (t *Tokenizer) normalize(dst, text []byte) []byte {
	start := len(dst)
	if t.spacePrefix {
		dst = append(dst, ' ')
	}
	for len(text) > 0 {
		out, n := t.ugm.charsmap.replace(text)
		for _, b := range out {
			if b == ' ' && t.ugm.mergeSpace && (len(dst) == start || dst[len(dst)-1] == ' ') {
				continue
			}
			dst = append(dst, b)
		}
		text = text[n:]
	}
	dst = unescapeInPlace(dst)
	for t.ugm.mergeSpace && len(dst) > start && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// unescapeInPlace puts a space for each U+2581.
func unescapeInPlace(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		if b[i] == escapedSpace[0] && i+2 < len(b) && b[i+1] == escapedSpace[1] && b[i+2] == escapedSpace[2] {
			out = append(out, ' ')
			i += 2
			continue
		}
		out = append(out, b[i])
	}
	return out
}

// bestPath appends the tokens of text, which is normalised and not empty (Viterbi). Neighbouring unknown characters are one
// unknown token.
func (t *Tokenizer) bestPath(s *scratch, text []byte) {
	if cap(s.steps) <= len(text) {
		s.steps = make([]step, len(text)+1)
	}
	steps := s.steps[:len(text)+1]
	for i := range steps {
		steps[i] = step{score: math.Inf(-1)}
	}
	steps[0].score = 0
	for at := 0; at < len(text); {
		_, size := utf8.DecodeRune(text[at:])
		here, single := steps[at].score, false
		t.eachPrefix(text[at:], func(id int32, n int) {
			single = single || n == size
			if score := here + float64(t.ugm.score[id]); score > steps[at+n].score {
				steps[at+n] = step{score: score, id: id, from: int32(at)}
			}
		})
		if score := here + t.ugm.unknown; !single && score > steps[at+size].score {
			steps[at+size] = step{score: score, id: -1, from: int32(at)}
		}
		at += size
	}
	first := len(s.out)
	for at, was := int32(len(text)), int32(0); at > 0; at = steps[at].from {
		id := steps[at].id
		if id >= 0 {
			s.out = append(s.out, id)
		} else if was >= 0 && t.unk >= 0 {
			s.out = append(s.out, t.unk)
		}
		was = id
		if was < 0 {
			was = -1
		}
	}
	for i, j := first, len(s.out)-1; i < j; i, j = i+1, j-1 {
		s.out[i], s.out[j] = s.out[j], s.out[i]
	}
}

// eachPrefix calls found with every token of t.ugm.words that text, not empty, begins with, shortest first.
func (t *Tokenizer) eachPrefix(text []byte, found func(id int32, n int)) {
	m := &t.ugm.words
	lo, hi := int(m.first[text[0]]), int(m.first[int(text[0])+1])
	for k := 1; lo < hi; k++ { // ids[lo:hi] all start with text[:k]
		if len(t.str.at(m.ids[lo])) == k {
			found(m.ids[lo], k)
			lo++ // longer ones follow
		}
		if k == len(text) {
			return
		}
		rest := m.ids[lo:hi]
		from := sort.Search(len(rest), func(i int) bool { return t.str.at(rest[i])[k] >= text[k] })
		to := from + sort.Search(len(rest)-from, func(i int) bool { return t.str.at(rest[from+i])[k] > text[k] })
		lo, hi = lo+from, lo+to
	}
}

// charsmap replaces characters and sequences of them: a trie as a double array (Darts-clone, as SentencePiece writes it),
// whose values are offsets of zero-terminated texts.
type charsmap struct {
	units []byte // 4 bytes each, little-endian
	texts []byte // ends with a zero byte
}

// parseCharsmap checks tokenizer.ggml.precompiled_charsmap: a length in bytes, the units, the texts.
func parseCharsmap(b []byte) (charsmap, error) {
	if len(b) == 0 {
		return charsmap{}, nil
	}
	if len(b) < 4 {
		return charsmap{}, damaged("%s has %d bytes, too few for its header", keyCharsmap, len(b))
	}
	size := int64(binary.LittleEndian.Uint32(b))
	b = b[4:]
	switch {
	case size > int64(len(b)) || size%4 != 0:
		return charsmap{}, damaged("%s says that its table has %d bytes, but %d follow", keyCharsmap, size, len(b))
	case size > 0 && (int64(len(b)) == size || b[len(b)-1] != 0):
		return charsmap{}, damaged("the texts of %s do not end with a zero byte", keyCharsmap)
	}
	return charsmap{units: b[:size:size], texts: b[size:]}, nil
}

// unit is a unit of the double array. One outside of it, which only a damaged map asks for, has no children and no value.
func (m *charsmap) unit(i uint32) uint32 {
	if uint64(i)*4+4 > uint64(len(m.units)) {
		return 1 << 31 // a label that no byte has
	}
	return binary.LittleEndian.Uint32(m.units[i*4:])
}

// Fields of a unit, from darts.h of Darts-clone 0.32.
func unitOffset(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }
func unitLabel(u uint32) uint32  { return u & (1<<31 | 0xFF) }
func unitHasLeaf(u uint32) bool  { return u>>8&1 == 1 }
func unitValue(u uint32) uint32  { return u & (1<<31 - 1) }

// replace returns what stands for the longest mapped sequence at the start of text, which is not empty, and its length; else
// the first character itself. out must not be modified.
func (m *charsmap) replace(text []byte) (out []byte, n int) {
	_, size := utf8.DecodeRune(text)
	if len(m.units) == 0 {
		return text[:size], size
	}
	value := uint32(0)
	node := unitOffset(m.unit(0))
	for i, b := range text {
		if b == 0 {
			break
		}
		node ^= uint32(b)
		u := m.unit(node)
		if unitLabel(u) != uint32(b) {
			break
		}
		node ^= unitOffset(u)
		if unitHasLeaf(u) {
			value, n = unitValue(m.unit(node)), i+1
		}
	}
	if n == 0 || int64(value) >= int64(len(m.texts)) {
		return text[:size], size
	}
	rest := m.texts[value:]
	for i, b := range rest {
		if b == 0 {
			return rest[:i:i], n
		}
	}
	return text[:size], size // unreachable: the texts end with a zero byte
}
