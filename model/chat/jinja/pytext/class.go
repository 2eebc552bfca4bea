package pytext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsSpace tells whether str.isspace, str.strip and \s count r as white space.
func IsSpace(r rune) bool {
	switch r {
	case ' ', '\t', '\n', '\v', '\f', '\r', 0x1c, 0x1d, 0x1e, 0x1f, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return r >= 0x2000 && r <= 0x200a
}

// LineEnd gives the length in bytes of the line end that s starts with, as str.splitlines sees it, and 0 if there is none.
func LineEnd(s string) int {
	if strings.HasPrefix(s, "\r\n") {
		return 2
	}
	r, n := utf8.DecodeRuneInString(s)
	switch r {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return n
	}
	return 0
}

// IsDecimal is str.isdecimal for one character.
func IsDecimal(r rune) bool { return unicode.Is(unicode.Nd, r) }

// digitRanges are the characters with a digit value that are not decimal digits (superscripts, circled digits).
// Source: Unicode 14.0, Numeric_Type=Digit.
var digitRanges = [][2]rune{
	{0xb2, 0xb3},
	{0xb9, 0xb9},
	{0x1369, 0x1371},
	{0x19da, 0x19da},
	{0x2070, 0x2070},
	{0x2074, 0x2079},
	{0x2080, 0x2089},
	{0x2460, 0x2468},
	{0x2474, 0x247c},
	{0x2488, 0x2490},
	{0x24ea, 0x24ea},
	{0x24f5, 0x24fd},
	{0x24ff, 0x24ff},
	{0x2776, 0x277e},
	{0x2780, 0x2788},
	{0x278a, 0x2792},
	{0x10a40, 0x10a43},
	{0x10e60, 0x10e68},
	{0x11052, 0x1105a},
	{0x1f100, 0x1f10a},
}

// IsDigit is str.isdigit for one character.
func IsDigit(r rune) bool {
	if IsDecimal(r) {
		return true
	}
	for _, d := range digitRanges {
		if r >= d[0] && r <= d[1] {
			return true
		}
	}
	return false
}

// IsNumeric is str.isnumeric for one character, but for the ideographs that stand for numbers.
func IsNumeric(r rune) bool { return unicode.IsNumber(r) || IsDigit(r) }

// IsAlpha is str.isalpha for one character.
func IsAlpha(r rune) bool { return unicode.IsLetter(r) }

// IsAlnum is str.isalnum for one character.
func IsAlnum(r rune) bool { return IsAlpha(r) || IsNumeric(r) }

// IsWord tells whether \w matches r.
func IsWord(r rune) bool { return r == '_' || IsAlnum(r) }

// All is the shape of the str.is… methods: s is not empty and ok holds for each of its characters.
func All(s string, ok func(rune) bool) bool {
	for _, r := range s {
		if !ok(r) {
			return false
		}
	}
	return s != ""
}

// IsUpper is str.isupper: at least one cased character and none of them lower or title case.
func IsUpper(s string) bool {
	return oneCase(s, isUpper)
}

// IsLower is str.islower.
func IsLower(s string) bool {
	return oneCase(s, isLower)
}

func oneCase(s string, ok func(rune) bool) bool {
	cased := false
	for _, r := range s {
		if !isCased(r) {
			continue
		}
		if !ok(r) {
			return false
		}
		cased = true
	}
	return cased
}

// IsTitle is str.istitle: upper case only after uncased characters, lower case only after cased ones.
func IsTitle(s string) bool {
	cased, found := false, false
	for _, r := range s {
		switch {
		case isUpper(r) || unicode.IsTitle(r):
			if cased {
				return false
			}
			cased, found = true, true
		case isLower(r):
			if !cased {
				return false
			}
		default:
			cased = false
		}
	}
	return found
}

// IsIdentifier is str.isidentifier.
func IsIdentifier(s string) bool {
	for i, r := range s {
		start := r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r)
		if start || i > 0 && (unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc) || r == 0xb7 || r == 0x387) {
			continue
		}
		return false
	}
	return s != ""
}

// Words splits s at runs of white space, as str.split without argument, into at most most+1 parts (most < 0: no limit),
// and gives the [start, end) byte positions of each part. From the left only: see WordsRight.
func Words(s string, most int) [][2]int {
	var out [][2]int
	start := -1
	for i, r := range s {
		if IsSpace(r) {
			if start >= 0 {
				out = append(out, [2]int{start, i})
				start = -1
			}
			continue
		}
		if start < 0 {
			start = i
			if most >= 0 && len(out) == most {
				return append(out, [2]int{i, len(s)}) // the rest keeps its white space at the end
			}
		}
	}
	if start >= 0 {
		out = append(out, [2]int{start, len(s)})
	}
	return out
}

// WordsRight is str.rsplit without separator; the parts are in the order of the text.
func WordsRight(s string, most int) [][2]int {
	all := Words(s, -1)
	if most < 0 || len(all) <= most {
		return all
	}
	cut := len(all) - most
	out := [][2]int{{0, all[cut-1][1]}} // with its white space at the start
	return append(out, all[cut:]...)
}
