package tokenizer

import "bytes"

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

// stageLlama3 is the rule of the llama3 family with up to three digits in a piece:
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ .
func stageLlama3(c *classes, b []byte) int { return llama3(c, b, 3) }

// stageQwen2 is stageLlama3 with \p{N} in place of \p{N}{1,3}.
func stageQwen2(c *classes, b []byte) int { return llama3(c, b, 1) }

func llama3(c *classes, b []byte, digits int) int {
	if n := contraction(b, 0x20); n > 0 {
		return n
	}
	class, size := c.at(b)
	switch {
	case class&letter != 0:
		return size + c.span(b[size:], letter)
	case class&number != 0:
		for ; digits > 1 && size < len(b); digits-- {
			next, n := c.at(b[size:])
			if next&number == 0 {
				break
			}
			size += n
		}
		return size
	case b[0] != '\r' && b[0] != '\n':
		if n := c.span(b[size:], letter); n > 0 {
			return size + n
		}
	}
	lead := 0
	if b[0] == ' ' {
		lead = 1
	}
	if n := c.spanNot(b[lead:], space|letter|number); n > 0 {
		end := lead + n
		for end < len(b) && (b[end] == '\r' || b[end] == '\n') {
			end++
		}
		return end
	}
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
