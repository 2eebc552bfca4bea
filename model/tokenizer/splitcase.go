package tokenizer

import "bytes"

// casedWords are the rules that cut where lower case turns into upper case: gpt-4o and tekken. With
// U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], L = [\p{Ll}\p{Lm}\p{Lo}\p{M}] and C = (?i:'s|'t|'re|'ve|'m|'ll|'d)? or nothing:
// [^\r\n\p{L}\p{N}]?U*L+C|[^\r\n\p{L}\p{N}]?U+L*C|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ .
// These are the expressions of the original tokenizers, o200k_base of tiktoken and tekken of mistral-common; llama.cpp
// approximates U and L.
type casedWords struct {
	digits       int  // most numbers in a piece
	contractions bool // C is there
}

func (w *casedWords) cut(c *classes, b []byte) int {
	cl, size := c.at(b)
	lead := 0
	if cl&(letter|number) == 0 && b[0] != '\r' && b[0] != '\n' {
		lead = size
	}
	n, from := mixed(c, b[lead:]), lead
	if n == 0 && lead > 0 { // a mark can be in front of a word or in it
		n, from = mixed(c, b), 0
	}
	if n == 0 {
		n, from = c.span(b[lead:], upperish), lead
	}
	if n > 0 {
		end := from + n
		if w.contractions && end < len(b) {
			end += contraction(b[end:], 0x20)
		}
		return end
	}
	if cl&number != 0 {
		return size + c.spanMost(b[size:], number, w.digits-1)
	}
	if n := symbols(c, b, space|letter|number, "\r\n/"); n > 0 {
		return n
	}
	return newlines(c, b)
}

// mixed is the expression U*L+ .
func mixed(c *classes, b []byte) int {
	run, last := 0, 0 // of U, and the end of the last character in it that is of L, too
	for run < len(b) {
		cl, n := c.at(b[run:])
		if cl&upperish == 0 {
			break
		}
		run += n
		if cl&lowerish != 0 {
			last = run
		}
	}
	if n := c.span(b[run:], lowerish); n > 0 {
		return run + n
	}
	return last
}

// stageDigitGroups is \d{1,3}(?=(?:\d{3})*\b): digits in groups of three, counted from the right, unless a word goes on
// behind them.
func stageDigitGroups(c *classes, b []byte) int {
	if n := digitGroup(c, b); n > 0 {
		return n
	}
	end, was := 0, class(0)
	for end < len(b) {
		cl, n := c.at(b[end:])
		if cl&decimal != 0 && was&decimal == 0 && end > 0 && digitGroup(c, b[end:]) > 0 {
			break
		}
		was = cl
		end += n
	}
	return end
}

// digitGroup is the length of the first group of digits at the start of b, 0 if there is none.
func digitGroup(c *classes, b []byte) int {
	run := c.span(b, decimal)
	if run == 0 {
		return 0
	}
	if run < len(b) {
		if cl, _ := c.at(b[run:]); cl&(letter|number|wordly) != 0 {
			return 0
		}
	}
	count := 0
	for i := 0; i < run; count++ {
		_, n := c.at(b[i:])
		i += n
	}
	return c.spanMost(b, decimal, (count-1)%3+1)
}

// stageDeepseek3 is the last expression of deepseek-v3, where A is the punctuation and S the symbols of ASCII:
// [AS][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ .
// Numbers and control characters match nowhere; a run of them is a piece.
func stageDeepseek3(c *classes, b []byte) int {
	if n := deepseek3(c, b); n > 0 {
		return n
	}
	for end := 0; end < len(b); {
		_, n := c.at(b[end:])
		end += n
		if end < len(b) && deepseek3(c, b[end:]) > 0 {
			return end
		}
	}
	return len(b)
}

func deepseek3(c *classes, b []byte) int {
	cl, size := c.at(b)
	switch {
	case size == 1 && cl&(punct|symbolic) != 0 && len(b) > 1 && asciiLetter(b[1]):
		end := 2
		for end < len(b) && asciiLetter(b[end]) {
			end++
		}
		return end
	case cl&(letter|combining) != 0:
		return c.span(b, letter|combining)
	case cl&(punct|symbolic) == 0 && b[0] != '\r' && b[0] != '\n':
		if n := c.span(b[size:], letter|combining); n > 0 {
			return size + n
		}
	}
	lead := 0
	if b[0] == ' ' {
		lead = 1
	}
	if n := c.span(b[lead:], punct|symbolic); n > 0 {
		end := lead + n
		return end + len(b[end:]) - len(bytes.TrimLeft(b[end:], "\r\n"))
	}
	if cl&space == 0 {
		return 0
	}
	return newlines(c, b)
}

func asciiLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// stageExaoneMoe is (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|
//
//	?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+ : words with one space between them are one piece.
func stageExaoneMoe(c *classes, b []byte) int {
	if n := contraction(b, 0x20); n > 0 {
		return n
	}
	cl, size := c.at(b)
	lead := size
	switch {
	case cl&letter != 0:
		lead = 0
	case cl&number != 0:
		return size
	case b[0] == '\r' || b[0] == '\n':
		return newlines(c, b)
	}
	if n := phrase(c, b[lead:]); n > 0 {
		return lead + n
	}
	if n := symbols(c, b, space|letter|number, ""); n > 0 {
		if n < len(b) && (b[n] == '\r' || b[n] == '\n' || b[n] == '/') {
			n++ // "/" is a symbol, so this is only about line ends
		}
		return n
	}
	return newlines(c, b)
}

// phrase is the expression (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ .
func phrase(c *classes, b []byte) int {
	end := 0
	for end < len(b) {
		next := end
		if end > 0 && b[end] == ' ' {
			next++
		}
		if next == len(b) {
			break
		}
		cl, n := c.at(b[next:])
		if cl&letter == 0 {
			break
		}
		end = next + n
		end += c.span(b[end:], combining)
	}
	return end
}

// stageJais2 is the llama3 rule, but white space in front of a word is cut into powers of two:
// \s{512}(?!\S)|\s{256}(?!\S)|…|\s{4}(?!\S)|\s{1,2}(?!\S)|\s .
func stageJais2(c *classes, b []byte) int {
	rule := words{body: letter, digits: 3, tail: "\r\n"}
	if n := rule.word(c, b); n > 0 {
		return n
	}
	run := c.span(b, space)
	if i := bytes.LastIndexAny(b[:run], "\r\n"); i >= 0 {
		return i + 1
	}
	for most := 512; most > 1; most /= 2 {
		if n := c.spanMost(b, space, most); n < run || run == len(b) && c.spanMost(b, space, most-1) < n {
			return n // most characters of white space, and no word behind them
		}
	}
	return c.spanMost(b, space, 1)
}

// stageBloom is the expression  ?[^(\s|.,!?…。，、।۔،)]+ : words, each with one space in front, and what lies between.
func stageBloom(c *classes, b []byte) int {
	if n := bloomWord(c, b); n > 0 {
		return n
	}
	for end := 0; end < len(b); {
		_, n := c.at(b[end:])
		end += n
		if end < len(b) && bloomWord(c, b[end:]) > 0 {
			return end
		}
	}
	return len(b)
}

func bloomWord(c *classes, b []byte) int {
	lead := 0
	if b[0] == ' ' {
		lead = 1
	}
	if n := c.spanNot(b[lead:], space|bloomEnd); n > 0 {
		return lead + n
	}
	return 0
}

// stageLine is [^\n]+|\n+ : lines, and what separates them.
func stageLine(_ *classes, b []byte) int {
	i := bytes.IndexByte(b, '\n')
	switch i {
	case -1:
		return len(b)
	case 0:
		return len(b) - len(bytes.TrimLeft(b, "\n"))
	}
	return i
}

// stageNumbers3 is the expression \p{N}{1,3} .
func stageNumbers3(c *classes, b []byte) int {
	if n := c.spanMost(b, number, 3); n > 0 {
		return n
	}
	return c.spanNot(b, number)
}

// stageDeepseekKana is [一-龥぀-ゟ゠-ヿ]+ of deepseek-v3.
func stageDeepseekKana(c *classes, b []byte) int { return runs(c, b, dsKana) }

// stageCoderLetters is \s?\p{L}+ of deepseek-coder, and stageCoderPunct its \s?\p{P}+ .
func stageCoderLetters(c *classes, b []byte) int { return spacedRuns(c, b, letter) }
func stageCoderPunct(c *classes, b []byte) int   { return spacedRuns(c, b, punct) }
