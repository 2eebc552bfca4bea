package tokenizer

import (
	"bytes"
	"strings"
)

// Stages that cut out what matches and leave what lies between.

// stageNumber is \p{N}: every number character by itself.
func stageNumber(c *classes, b []byte) int {
	if class, n := c.at(b); class&number != 0 {
		return n
	}
	return c.spanNot(b, number)
}

// stageNumbers is the expression \p{N}+ .
func stageNumbers(c *classes, b []byte) int { return runs(c, b, number) }

// stageDeepseekHan is [一-龥ࠀ-一가-퟿]+ of deepseek-llm.
func stageDeepseekHan(c *classes, b []byte) int { return runs(c, b, dsHan) }

// runs cuts out the longest runs of characters of the classes of mask.
func runs(c *classes, b []byte, mask class) int {
	if n := c.span(b, mask); n > 0 {
		return n
	}
	return c.spanNot(b, mask)
}

// stageNewline is [\r\n]: every one by itself.
func stageNewline(_ *classes, b []byte) int {
	switch i := bytes.IndexAny(b, "\r\n"); i {
	case -1:
		return len(b)
	case 0:
		return 1
	default:
		return i
	}
}

// stageDigits3 is the expression [0-9][0-9][0-9] .
func stageDigits3(_ *classes, b []byte) int {
	digits := 0
	for i, x := range b {
		if x < '0' || x > '9' {
			digits = 0
			continue
		}
		if digits++; digits == 3 {
			if i == 2 {
				return 3
			}
			return i - 2
		}
	}
	return len(b)
}

// stageFalconPunct is the expression [\p{P}\$\+<=>\^~\|`]+ .
func stageFalconPunct(c *classes, b []byte) int { return punctRuns(c, b, "$+<=>^~|`") }

// stageDefaultPunct is the expression [\p{P}\$\+<=>\^~\|]+ .
func stageDefaultPunct(c *classes, b []byte) int { return punctRuns(c, b, "$+<=>^~|") }

// punctRuns cuts out the longest runs of punctuation and the ASCII characters of more.
func punctRuns(c *classes, b []byte, more string) int {
	end, inside := 0, false
	for end < len(b) {
		class, n := c.at(b[end:])
		match := class&punct != 0 || n == 1 && strings.IndexByte(more, b[end]) >= 0
		if end == 0 {
			inside = match
		} else if match != inside {
			break
		}
		end += n
	}
	return end
}

// stageDeepseekLetters is \s?[A-Za-zµÀ-…]+ with the long list of letters of deepseek-llm.
func stageDeepseekLetters(c *classes, b []byte) int { return spacedRuns(c, b, dsLetter) }

// stageDeepseekPunct is \s?[!-/:-~！-／：-～‘-‟　-。]+ of deepseek-llm.
func stageDeepseekPunct(c *classes, b []byte) int { return spacedRuns(c, b, dsPunct) }

// spacedRuns is the expression \s?[mask]+ .
func spacedRuns(c *classes, b []byte, mask class) int {
	before := -1 // where the white space directly before end starts, -1 if there is none
	for end := 0; end < len(b); {
		class, n := c.at(b[end:])
		if class&mask == 0 {
			before = -1
			if class&space != 0 {
				before = end
			}
			end += n
			continue
		}
		start := end
		if before >= 0 {
			start = before
		}
		if start > 0 {
			return start
		}
		// U+3000 is white space and in dsPunct: whether \s? takes it or the run starts with it, the match is the same.
		return end + c.span(b[end:], mask)
	}
	return len(b)
}

// stageTrailingSpace is the expression \s+$ .
func stageTrailingSpace(c *classes, b []byte) int {
	start := 0 // of the white space that reaches the end
	for i := 0; i < len(b); {
		class, n := c.at(b[i:])
		i += n
		if class&space == 0 {
			start = i
		}
	}
	if start > 0 {
		return start
	}
	return len(b)
}
