package tokenizer

import (
	"bytes"
	"strings"
)

// A stage is one splitting step of a pre-tokenizer. It gets text that starts where a piece starts, never empty and valid
// UTF-8, and returns the length in bytes of that piece, at least 1. What does not match the stage's expression is a piece, too.
// Stages are applied one inside the other: a piece of the first is all that the second sees, so look-ahead and end-of-text
// of the second mean the end of that piece.
//
// Each stage states its regular expression. They are matched leftmost, alternatives in order, repetitions greedy.
type stage func(c *classes, b []byte) int

// stageGPT2 is the expression 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ .
func stageGPT2(c *classes, b []byte) int {
	if n := contraction(b, 0); n > 0 {
		return n
	}
	lead := 0
	if b[0] == ' ' && len(b) > 1 {
		lead = 1
	}
	switch class, _ := c.at(b[lead:]); {
	case class&letter != 0:
		return lead + c.span(b[lead:], letter)
	case class&number != 0:
		return lead + c.span(b[lead:], number)
	case class&space == 0:
		return lead + c.spanNot(b[lead:], space|letter|number)
	}
	return spaces(c, b)
}

// words are the rules of the llama3 family:
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?B+|\p{N}{1,digits}| ?[^\s\p{N}B]+[tail]*|\s*[\r\n]+|\s+(?!\S)|\s+
// where B is body, which contains \p{L}.
type words struct {
	body   class  // letter, or letter | combining
	digits int    // most numbers in a piece
	tail   string // what may follow symbols in their piece
	bare   bool   // no contractions
}

func (w *words) cut(c *classes, b []byte) int {
	if n := w.word(c, b); n > 0 {
		return n
	}
	return newlines(c, b)
}

// word is cut without white space: 0 if there is nothing else at the start of b.
func (w *words) word(c *classes, b []byte) int {
	if !w.bare {
		if n := contraction(b, 0x20); n > 0 {
			return n
		}
	}
	cl, size := c.at(b)
	switch {
	case cl&w.body != 0:
		return size + c.span(b[size:], w.body)
	case cl&number != 0:
		return size + c.spanMost(b[size:], number, w.digits-1)
	case b[0] != '\r' && b[0] != '\n':
		if n := c.span(b[size:], w.body); n > 0 {
			return size + n
		}
	}
	return symbols(c, b, w.body|space|number, w.tail)
}

// symbols is the expression  ?[^not]+[tail]* .
func symbols(c *classes, b []byte, not class, tail string) int {
	lead := 0
	if b[0] == ' ' {
		lead = 1
	}
	n := c.spanNot(b[lead:], not)
	if n == 0 {
		return 0
	}
	end := lead + n
	for end < len(b) && strings.IndexByte(tail, b[end]) >= 0 {
		end++
	}
	return end
}

// newlines is the expression \s*[\r\n]+|\s+(?!\S)|\s+ for b that starts with white space. (With \s*[\r\n] it is the same.)
func newlines(c *classes, b []byte) int {
	run := b[:c.span(b, space)]
	if i := bytes.LastIndexAny(run, "\r\n"); i >= 0 {
		return i + 1
	}
	return spaces(c, b)
}

// spaces is \s+(?!\S)|\s+ for b that starts with white space: all of it at the end of the text; else all but the last
// character, which the next piece may take in front; else that one character.
func spaces(c *classes, b []byte) int {
	end, last := 0, 0 // of the run, and where its last character starts
	for end < len(b) {
		class, n := c.at(b[end:])
		if class&space == 0 {
			break
		}
		last = end
		end += n
	}
	if end == len(b) || last == 0 {
		return end
	}
	return last
}

// contraction is the length of 's, 't, 're, 've, 'm, 'll or 'd at the start of b, else 0. With fold 0x20, the bit between
// upper and lower case of ASCII, capitals match, too. (The originals' (?i:…) would also take U+017F, long s, for s;
// llama.cpp, which is followed here, does not.)
func contraction(b []byte, fold byte) int {
	if b[0] != '\'' || len(b) < 2 {
		return 0
	}
	x := b[1] | fold
	switch x {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(b) < 3 {
		return 0
	}
	y := b[2] | fold
	if x == 'r' && y == 'e' || x == 'v' && y == 'e' || x == 'l' && y == 'l' {
		return 3
	}
	return 0
}
