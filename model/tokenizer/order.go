package tokenizer

import (
	"bytes"
	"math"

	"siskin/model/gguf"
)

// readOrder reads what decides which merge comes first, or which of several ways to cut a text: scores or the list of merges.
func (l *loader) readOrder() error {
	switch l.t.kind {
	case spm, ugm:
		return l.readScores()
	case wpm:
		return nil // the longest
	}
	return l.readMerges()
}

func (l *loader) readScores() error {
	t := l.t
	scores, ok := l.r.Floats(keyScores)
	if err := l.r.Err(); err != nil {
		return err
	}
	if !ok {
		return damaged("no scores (key %s)", keyScores)
	}
	if scores.Len() != len(t.flags) {
		return damaged("%d scores (key %s) for %d tokens", scores.Len(), keyScores, len(t.flags))
	}
	if t.kind == ugm {
		return l.readUnigram(scores)
	}
	t.score = make([]uint32, len(t.flags))
	for i, v := range scores.All() {
		if v != v {
			return damaged("the score of token %d is not a number", i)
		}
		t.score[i] = scoreRank(float32(v))
	}
	return nil
}

// readUnigram keeps the scores as they are, and reads the map of characters.
func (l *loader) readUnigram(scores gguf.FloatArray) (err error) {
	u := &l.t.ugm
	u.score = make([]float32, scores.Len())
	lowest := math.Inf(1)
	for i, v := range scores.All() {
		if v-v != 0 {
			return damaged("the score of token %d is not a finite number", i)
		}
		u.score[i] = float32(v)
		if l.t.flags[i]&(isSpecial|isUser|isByte) == 0 {
			lowest = min(lowest, float64(v))
		}
	}
	if math.IsInf(lowest, 1) {
		lowest = 0 // nothing but special tokens
	}
	u.unknown = lowest - unknownPenalty
	chars, _ := l.r.Ints(keyCharsmap)
	if err := l.r.Err(); err != nil {
		return err
	}
	b := make([]byte, chars.Len())
	for i, v := range chars.All() {
		b[i] = byte(v) // signed in some files
	}
	u.charsmap, err = parseCharsmap(b)
	return err
}

func (l *loader) readMerges() error {
	merges, ok := l.r.Strings(keyMerges)
	if err := l.r.Err(); err != nil {
		return err
	}
	if !ok {
		return damaged("no merges (key %s)", keyMerges)
	}
	if merges.Len() > maxMerges {
		return damaged("%d merges; the most that siskin takes is %d", merges.Len(), maxMerges)
	}
	t := l.t
	t.merges = newMergeTable(merges.Len())
	var joined []byte
	for i, m := range merges.All() {
		space := 1 + bytes.IndexByte(m[min(1, len(m)):], ' ') // a token is never empty, so not the first byte
		if space == 0 {
			return damaged("merge %d is %q, not two tokens with a space between", i, clip(string(m)))
		}
		joined = append(append(joined[:0], m[:space]...), m[space+1:]...)
		var ids [3]int32
		for j, text := range [][]byte{m[:space], m[space+1:], joined} {
			if ids[j] = l.byText.find(&l.texts, text); ids[j] < 0 {
				return damaged("merge %d is %q, but %q is not a token", i, clip(string(m)), clip(string(text)))
			}
		}
		if (t.flags[ids[0]]|t.flags[ids[1]]|t.flags[ids[2]])&(isSpecial|isByte) == 0 {
			t.merges.add(ids[0], ids[1], ids[2]) // the others would make special tokens from plain text
		}
	}
	return nil
}

// finish builds the tables that find tokens in text.
func (l *loader) finish() error {
	t := l.t
	var special []int32
	text := 0
	for id := range int32(len(t.flags)) {
		b := t.str.at(id)
		if t.flags[id]&isUser != 0 && len(bytes.Trim(b, " \t\r\n")) == 0 {
			t.flags[id] |= isBlank
		}
		if len(b) > 0 && t.flags[id]&(isSpecial|isUser) != 0 {
			if len(b) > maxSpecial {
				return damaged("special token %d has %d bytes; the most that siskin takes is %d", id, len(b), maxSpecial)
			}
			special = append(special, id)
		}
		if l.inText(id) {
			text++
		}
	}
	t.match = newMatcher(t, append(make([]int32, 0, len(special)), special...))
	if t.kind == ugm {
		return l.finishUnigram()
	}
	if !t.raw && !t.rule.ignoreMerges {
		return nil
	}
	t.index = newStrIndex(text)
	t.wordwise = true
	for id := range int32(len(t.flags)) {
		if !l.inText(id) {
			continue
		}
		if before, ok := t.index.add(&t.str, id); !ok {
			return damaged("tokens %d and %d both stand for %q", before, id, clip(string(t.str.at(id))))
		}
		t.wordwise = t.wordwise && bytes.IndexByte(bytes.TrimLeft(t.str.at(id), " "), ' ') < 0
		t.maxPiece = max(t.maxPiece, len(t.str.at(id)))
	}
	return nil
}

// finishUnigram collects the tokens that plain text can become.
func (l *loader) finishUnigram() error {
	var ids []int32
	for id := range int32(len(l.t.flags)) {
		if l.inText(id) && l.t.flags[id]&isUser == 0 {
			ids = append(ids, id)
		}
	}
	l.t.ugm.words = newMatcher(l.t, ids)
	for i := 1; i < len(ids); i++ { // sorted by now
		if a, b := l.t.str.at(ids[i-1]), l.t.str.at(ids[i]); bytes.Equal(a, b) {
			return damaged("tokens %d and %d both stand for %q", ids[i-1], ids[i], clip(string(a)))
		}
	}
	return nil
}

// inText tells whether plain text can become token id by a look-up of its bytes.
func (l *loader) inText(id int32) bool {
	text, b, f := l.texts.at(id), l.t.str.at(id), l.t.flags[id]
	switch {
	case len(b) == 0, f&(isSpecial|isByte) != 0:
		return false
	case l.t.raw:
		return len(b) <= maxPiece && bytes.IndexByte(text, ' ') < 0 // spaces are spelled U+2581
	case f&isUser != 0:
		return asciiText(text) // else it is spelled as it is, not in the alphabet of byte-level BPE
	}
	return len(text) != len(b) || asciiText(text) // as long only if nothing was spelled, or nothing had to be
}

// asciiText tells whether text is all of characters that the alphabet leaves as they are.
func asciiText(text []byte) bool {
	for _, c := range text {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}
