package pytext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Upper is str.upper.
func Upper(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	var b strings.Builder
	for _, r := range s {
		writeUpper(&b, r)
	}
	return b.String()
}

// Lower is str.lower, with the rule for the final sigma.
func Lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for i, r := range s {
		writeLower(&b, s, i, r)
	}
	return b.String()
}

// Fold is close to str.casefold: it makes strings that differ only in case equal.
func Fold(s string) string { return Lower(Upper(s)) }

// Title is str.title: the first letter of each run of cased characters in title case, the others in lower case.
func Title(s string) string {
	var b strings.Builder
	inWord := false
	for i, r := range s {
		if inWord {
			writeLower(&b, s, i, r)
		} else {
			writeTitle(&b, r)
		}
		inWord = isCased(r)
	}
	return b.String()
}

// Capitalize is str.capitalize: the first character in title case, the others in lower case.
func Capitalize(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i == 0 {
			writeTitle(&b, r)
		} else {
			writeLower(&b, s, i, r)
		}
	}
	return b.String()
}

// SwapCase is str.swapcase.
func SwapCase(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case isUpper(r):
			writeLower(&b, s, i, r)
		case isLower(r):
			writeUpper(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// TitleWords is the title filter of Jinja: the first character after the start, white space or one of -({[< is put in
// upper case and the rest of each word in lower case.
func TitleWords(s string) string {
	var b strings.Builder
	start := 0
	flush := func(end int) {
		if start == end {
			return
		}
		_, n := utf8.DecodeRuneInString(s[start:end])
		b.WriteString(Upper(s[start : start+n]))
		b.WriteString(Lower(s[start+n : end]))
	}
	separator := false
	for i, r := range s {
		is := IsSpace(r) || strings.ContainsRune("-({[<", r)
		if is != separator {
			flush(i)
			start, separator = i, is
		}
	}
	flush(len(s))
	return b.String()
}

func writeUpper(b *strings.Builder, r rune) {
	if long, ok := specialUpper[r]; ok {
		b.WriteString(long)
		return
	}
	b.WriteRune(unicode.ToUpper(r))
}

func writeTitle(b *strings.Builder, r rune) {
	if long, ok := specialTitle[r]; ok {
		b.WriteString(long)
	} else if long, ok := specialUpper[r]; ok {
		b.WriteString(long)
	} else {
		b.WriteRune(unicode.ToTitle(r))
	}
}

// writeLower writes the lower case of r, which stands at s[i:].
func writeLower(b *strings.Builder, s string, i int, r rune) {
	switch r {
	case 'İ': // U+0130
		b.WriteString("i̇")
	case 'Σ': // U+03A3
		if finalSigma(s, i) {
			b.WriteRune('ς')
		} else {
			b.WriteRune('σ')
		}
	default:
		b.WriteRune(unicode.ToLower(r))
	}
}

// finalSigma tells whether the capital sigma at s[i:] ends a word: a cased character before it, none after it, and
// characters without case weight (accents, apostrophes) skipped on both sides.
func finalSigma(s string, i int) bool {
	before := false
	for j := i; j > 0; {
		r, n := utf8.DecodeLastRuneInString(s[:j])
		j -= n
		if caseIgnorable(r) {
			continue
		}
		before = isCased(r)
		break
	}
	if !before {
		return false
	}
	for _, r := range s[i+len("Σ"):] {
		if caseIgnorable(r) {
			continue
		}
		return !isCased(r)
	}
	return true
}

func isCased(r rune) bool {
	return isUpper(r) || isLower(r) || unicode.IsTitle(r)
}

func isUpper(r rune) bool { return unicode.IsUpper(r) || unicode.Is(unicode.Other_Uppercase, r) }

func isLower(r rune) bool { return unicode.IsLower(r) || unicode.Is(unicode.Other_Lowercase, r) }

func caseIgnorable(r rune) bool {
	if strings.ContainsRune("'.:^`¨¯´·¸\u2018\u2019\u2024\u2027", r) {
		return true
	}
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
