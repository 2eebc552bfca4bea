package pytext

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote is repr of a str: single quotes unless the text has some and no double ones.
func Quote(s string) string {
	quote := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		quote = '"'
	}
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			b.WriteString(`\x` + hex(r, 2))
		case r < 0x10000:
			b.WriteString(`\u` + hex(r, 4))
		default:
			b.WriteString(`\U` + hex(r, 8))
		}
	}
	b.WriteByte(quote)
	return b.String()
}

func hex(r rune, width int) string {
	s := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", width-len(s)) + s
}

// FloatRepr is repr of a float: the shortest digits that read back as f, with an exponent below 1e-4 and from 1e16 on.
func FloatRepr(f float64) string {
	if s, ok := notFinite(f); ok {
		return s
	}
	e := strconv.FormatFloat(f, 'e', -1, 64)
	exp, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exp < -4 || exp >= 16 {
		return e
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if strings.IndexByte(s, '.') < 0 {
		s += ".0"
	}
	return s
}

func notFinite(f float64) (string, bool) {
	switch {
	case math.IsNaN(f):
		return "nan", true
	case math.IsInf(f, 1):
		return "inf", true
	case math.IsInf(f, -1):
		return "-inf", true
	}
	return "", false
}

// Unescape decodes the escapes of a Python string literal (without its quotes). It reports false for an escape that
// Python refuses, and for \N{…}, for which there is no table here.
func Unescape(s string) (string, bool) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			if s[i] == '\\' {
				return "", false
			}
			b.WriteByte(s[i])
			i++
			continue
		}
		r, n, ok := unescapeOne(s[i+1:])
		if !ok {
			return "", false
		}
		if r >= 0 {
			b.WriteRune(r)
		} else if n == 0 { // not an escape: the backslash stays
			b.WriteByte('\\')
		}
		i += 1 + n
	}
	return b.String(), true
}

// simpleEscapes maps the character after the backslash to what it stands for.
const simpleEscapes = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v"

// unescapeOne reads the escape after a backslash: its value (-1 for none, as after a continued line) and its length.
func unescapeOne(s string) (r rune, n int, ok bool) {
	c := s[0]
	for i := 0; i < len(simpleEscapes); i += 2 {
		if simpleEscapes[i] == c {
			return rune(simpleEscapes[i+1]), 1, true
		}
	}
	switch {
	case c == '\n':
		return -1, 1, true
	case c >= '0' && c <= '7':
		n = 1
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(s[:n], 8, 32)
		return rune(v), n, true
	case c == 'x' || c == 'u' || c == 'U':
		n = 1 + map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		if len(s) < n {
			return 0, 0, false
		}
		v, err := strconv.ParseUint(s[1:n], 16, 32)
		if err != nil || v > utf8.MaxRune {
			return 0, 0, false
		}
		return rune(v), n, true
	case c == 'N':
		return 0, 0, false
	}
	return -1, 0, true
}
