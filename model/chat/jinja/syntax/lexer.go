package syntax

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"siskin/model/chat/jinja/pytext"
	"siskin/model/chat/jinja/value"
)

// Error says where a template is wrong.
type Error struct {
	Line int // from 1
	Text string
}

// Error gives line and text.
func (e *Error) Error() string { return fmt.Sprintf("template line %d: %s", e.Line, e.Text) }

// token kinds that are not operators; an operator's kind is its text.
const (
	tokData          = "data"
	tokBlockBegin    = "begin of statement block"
	tokBlockEnd      = "end of statement block"
	tokVariableBegin = "begin of print statement"
	tokVariableEnd   = "end of print statement"
	tokName          = "name"
	tokString        = "string"
	tokInteger       = "integer"
	tokFloat         = "float"
	tokEOF           = "end of template"
)

type token struct {
	kind string
	text string // of names, strings and data
	num  value.Value
	line int
}

// describe is the token as errors name it.
func (t token) describe() string {
	if t.kind == tokName {
		return t.text
	}
	return t.kind
}

// lexer cuts a template into tokens with the white-space rules of Jinja under trim_blocks and lstrip_blocks: the newline
// after a block or comment is dropped, and so is the indentation before it; - and + at a tag's edge override that.
type lexer struct {
	src    string
	pos    int
	line   int
	tokens []token
	stack  []byte // closing brackets that are awaited
}

func lex(src string) ([]token, error) {
	src = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(src)
	l := &lexer{src: strings.TrimSuffix(src, "\n"), line: 1}
	l.tokens = make([]token, 0, len(src)/6+8)
	for l.pos < len(l.src) {
		if err := l.root(); err != nil {
			return nil, err
		}
	}
	l.emit(token{kind: tokEOF})
	return l.tokens, nil
}

func (l *lexer) emit(t token) {
	t.line = l.line
	l.tokens = append(l.tokens, t)
}

// advance moves to a later position and counts the lines in between.
func (l *lexer) advance(to int) {
	l.line += strings.Count(l.src[l.pos:to], "\n")
	l.pos = to
}

func (l *lexer) fail(format string, args ...any) error {
	return &Error{l.line, fmt.Sprintf(format, args...)}
}

// spaceEnd gives the position after the white space at i.
func (l *lexer) spaceEnd(i int) int {
	return len(l.src) - len(strings.TrimLeftFunc(l.src[i:], pytext.IsSpace))
}

// root reads the text up to the next tag, and the tag.
func (l *lexer) root() error {
	i := l.pos
	for {
		k := strings.IndexByte(l.src[i:], '{')
		if k < 0 || i+k+1 == len(l.src) {
			l.data(len(l.src), 0, true)
			l.advance(len(l.src))
			return nil
		}
		if i += k; strings.IndexByte("%{#", l.src[i+1]) >= 0 {
			break
		}
		i++
	}
	kind, sign, after := l.src[i+1], byte(0), i+2
	if after < len(l.src) && (l.src[after] == '-' || l.src[after] == '+') {
		sign = l.src[after]
		after++
	}
	l.data(i, sign, kind == '{')
	l.advance(i)
	switch kind {
	case '#':
		return l.comment(after)
	case '{':
		l.emit(token{kind: tokVariableBegin})
		l.advance(after)
		return l.expression(tokVariableEnd)
	}
	if end := l.rawBegin(after); end > 0 {
		l.advance(end)
		return l.raw()
	}
	l.emit(token{kind: tokBlockBegin})
	l.advance(after)
	return l.expression(tokBlockEnd)
}

// data emits the text from pos to end, which stands before a tag with the given sign; keep tells that the indentation
// before the tag stays (a print statement, or the end of the template).
func (l *lexer) data(end int, sign byte, keep bool) {
	text := l.src[l.pos:end]
	if sign == '-' {
		text = strings.TrimRightFunc(text, pytext.IsSpace)
	} else if sign == 0 && !keep {
		from := strings.LastIndexByte(text, '\n') + 1
		if from > 0 || l.pos == 0 || l.src[l.pos-1] == '\n' {
			if strings.TrimLeftFunc(text[from:], pytext.IsSpace) == "" {
				text = text[:from]
			}
		}
	}
	if text != "" {
		l.emit(token{kind: tokData, text: text})
	}
}

// tagEnd matches the end of a block or comment tag at i, with what it swallows; 0 if there is none.
func (l *lexer) tagEnd(i int, closing string) int {
	rest := l.src[i:]
	switch {
	case strings.HasPrefix(rest, "+"+closing):
		return i + 3
	case strings.HasPrefix(rest, "-"+closing):
		return l.spaceEnd(i + 3)
	case strings.HasPrefix(rest, closing+"\n"):
		return i + 3
	case strings.HasPrefix(rest, closing):
		return i + 2
	}
	return 0
}

func (l *lexer) comment(from int) error {
	k := strings.Index(l.src[from:], "#}")
	if k < 0 {
		return l.fail("missing end of comment tag")
	}
	end := from + k
	if k > 0 && (l.src[end-1] == '-' || l.src[end-1] == '+') {
		end--
	}
	l.advance(l.tagEnd(end, "#}"))
	return nil
}

// rawBegin matches the rest of {% raw %}; 0 if the tag is another one.
func (l *lexer) rawBegin(i int) int {
	i = l.spaceEnd(i)
	if !strings.HasPrefix(l.src[i:], "raw") {
		return 0
	}
	i = l.spaceEnd(i + 3)
	switch {
	case strings.HasPrefix(l.src[i:], "-%}"):
		return l.spaceEnd(i + 3)
	case strings.HasPrefix(l.src[i:], "%}"):
		return i + 2
	}
	return 0
}

// raw reads up to {% endraw %}.
func (l *lexer) raw() error {
	for i := l.pos; ; i++ {
		k := strings.Index(l.src[i:], "{%")
		if k < 0 {
			return l.fail("missing end of raw directive")
		}
		i += k
		after, sign := i+2, byte(0)
		if after < len(l.src) && (l.src[after] == '-' || l.src[after] == '+') {
			sign = l.src[after]
			after++
		}
		after = l.spaceEnd(after)
		if !strings.HasPrefix(l.src[after:], "endraw") {
			continue
		}
		if end := l.tagEnd(l.spaceEnd(after+6), "%}"); end > 0 {
			l.data(i, sign, false)
			l.advance(end)
			return nil
		}
	}
}

// expression reads the tokens of a tag up to its end.
func (l *lexer) expression(end string) error {
	l.stack = l.stack[:0]
	for {
		l.advance(l.spaceEnd(l.pos))
		if l.pos == len(l.src) {
			return nil // the parser reports the end of the template
		}
		if len(l.stack) == 0 {
			after := 0
			if end == tokBlockEnd {
				after = l.tagEnd(l.pos, "%}")
			} else if rest := l.src[l.pos:]; strings.HasPrefix(rest, "-}}") {
				after = l.spaceEnd(l.pos + 3)
			} else if strings.HasPrefix(rest, "}}") {
				after = l.pos + 2
			}
			if after > 0 {
				l.emit(token{kind: end})
				l.advance(after)
				return nil
			}
		}
		if err := l.token(); err != nil {
			return err
		}
	}
}

// token reads one token inside a tag.
func (l *lexer) token() error {
	rest := l.src[l.pos:]
	c := rest[0]
	switch {
	case c >= '0' && c <= '9':
		return l.number(rest)
	case c == '\'' || c == '"':
		return l.str(rest)
	}
	n := 0
	for n < len(rest) {
		r, size := utf8.DecodeRuneInString(rest[n:])
		if !pytext.IsWord(r) && !unicode.Is(unicode.M, r) {
			break
		}
		n += size
	}
	if n > 0 {
		if !pytext.IsIdentifier(rest[:n]) {
			return l.fail("invalid character in identifier %q", rest[:n])
		}
		l.emit(token{kind: tokName, text: rest[:n]})
		l.advance(l.pos + n)
		return nil
	}
	return l.operator(rest)
}

func (l *lexer) operator(rest string) error {
	op := ""
	for _, o := range []string{"//", "**", "==", "!=", ">=", "<="} {
		if strings.HasPrefix(rest, o) {
			op = o
		}
	}
	if op == "" {
		if strings.IndexByte("+-/*%~[](){}><=.:|,;", rest[0]) < 0 {
			r, _ := utf8.DecodeRuneInString(rest)
			return l.fail("unexpected char %s at %d", pytext.Quote(string(r)), l.pos)
		}
		op = rest[:1]
	}
	switch op {
	case "(":
		l.stack = append(l.stack, ')')
	case "[":
		l.stack = append(l.stack, ']')
	case "{":
		l.stack = append(l.stack, '}')
	case ")", "]", "}":
		if len(l.stack) == 0 {
			return l.fail("unexpected '%s'", op)
		}
		if want := l.stack[len(l.stack)-1]; want != op[0] {
			return l.fail("unexpected '%s', expected '%c'", op, want)
		}
		l.stack = l.stack[:len(l.stack)-1]
	}
	l.emit(token{kind: op})
	l.advance(l.pos + len(op))
	return nil
}

func (l *lexer) str(rest string) error {
	end := 1
	for end < len(rest) && rest[end] != rest[0] {
		if rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(rest) {
		return l.fail("unexpected char %s at %d (a string without end)", pytext.Quote(rest[:1]), l.pos)
	}
	text, ok := pytext.Unescape(rest[1:end])
	if !ok {
		return l.fail("bad escape in the string %s", rest[:end+1])
	}
	l.emit(token{kind: tokString, text: text})
	l.advance(l.pos + end + 1)
	return nil
}

// number reads an integer or a float.
func (l *lexer) number(rest string) error {
	if n := floatLen(rest); n > 0 && !(l.pos > 0 && l.src[l.pos-1] == '.') {
		f, _ := strconv.ParseFloat(strings.ReplaceAll(rest[:n], "_", ""), 64) // too large gives an infinity
		l.emit(token{kind: tokFloat, num: value.Float(f)})
		l.advance(l.pos + n)
		return nil
	}
	base, n := 10, 0
	if len(rest) > 1 && rest[0] == '0' {
		if base = map[byte]int{'b': 2, 'o': 8, 'x': 16}[rest[1]|0x20]; base != 0 {
			n = 2 + digitsLen(rest[2:], base, true)
		}
		if n <= 2 {
			base, n = 10, 0
		}
	}
	from := n
	switch {
	case n > 0:
		from = 2
	case rest[0] == '0':
		for n = 1; n < len(rest) && (rest[n] == '0' || rest[n] == '_' && n+1 < len(rest) && rest[n+1] == '0'); n++ {
		}
	default:
		n = digitsLen(rest, 10, false)
	}
	if n > 4300 {
		return l.fail("number of more than 4300 digits")
	}
	i, ok := new(big.Int).SetString(strings.ReplaceAll(rest[from:n], "_", ""), base)
	if !ok {
		return l.fail("bad number %q", rest[:n])
	}
	l.emit(token{kind: tokInteger, num: value.FromBig(i)})
	l.advance(l.pos + n)
	return nil
}

// digitsLen is the length of a run of digits with single underscores between them, or before the first one if lead is set.
func digitsLen(s string, base int, lead bool) int {
	n := 0
	for n < len(s) {
		k := n
		if s[k] == '_' && (n > 0 || lead) {
			k++
		}
		if k == len(s) || digitValue(s[k]) >= base {
			break
		}
		n = k + 1
	}
	return n
}

func digitValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return 99
}

// floatLen is the length of the float at the start of s; 0 if there is none.
func floatLen(s string) int {
	n := digitsLen(s, 10, false)
	float := false
	if n < len(s) && s[n] == '.' {
		if k := digitsLen(s[n+1:], 10, false); k > 0 {
			n, float = n+1+k, true
		}
	}
	if n < len(s) && s[n]|0x20 == 'e' {
		k := n + 1
		if k < len(s) && (s[k] == '+' || s[k] == '-') {
			k++
		}
		if d := digitsLen(s[k:], 10, false); d > 0 {
			n, float = k+d, true
		}
	}
	if !float {
		return 0
	}
	return n
}
