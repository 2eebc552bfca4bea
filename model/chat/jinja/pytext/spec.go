package pytext

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxWidth bounds the width and the precision of a format: a template must not ask for gigabytes of padding.
const MaxWidth = 1 << 20

// ErrSpec is wrapped by every error about a format specification.
var ErrSpec = errors.New("invalid format specifier")

// Spec is a parsed specification of the format mini-language: [[fill]align][sign][z][#][0][width][grouping][.precision][type].
type Spec struct {
	Fill      string // one character, "" for the default
	Align     byte   // < > = ^ or 0
	Sign      byte   // + - space or 0
	Alternate bool   // #
	Width     int    // in characters
	Grouping  byte   // , _ or 0
	Precision int    // -1 if absent
	Type      byte   // 0 if absent
}

// ParseSpec parses a specification.
func ParseSpec(s string) (Spec, error) {
	sp := Spec{Precision: -1}
	rest := s
	isAlign := func(c byte) bool { return strings.IndexByte("<>=^", c) >= 0 }
	if _, n := utf8.DecodeRuneInString(rest); n > 0 && n < len(rest) && isAlign(rest[n]) {
		sp.Fill, sp.Align, rest = rest[:n], rest[n], rest[n+1:]
	} else if rest != "" && isAlign(rest[0]) {
		sp.Align, rest = rest[0], rest[1:]
	}
	next := func(set string) byte {
		if rest != "" && strings.IndexByte(set, rest[0]) >= 0 {
			c := rest[0]
			rest = rest[1:]
			return c
		}
		return 0
	}
	sp.Sign = next("+- ")
	next("z")
	sp.Alternate = next("#") != 0
	if next("0") != 0 {
		if sp.Fill == "" {
			sp.Fill = "0"
		}
		if sp.Align == 0 {
			sp.Align = '='
		}
	}
	var err error
	if sp.Width, rest, err = leadingInt(rest, 0); err != nil {
		return sp, err
	}
	sp.Grouping = next(",_")
	if next(".") != 0 {
		if sp.Precision, rest, err = leadingInt(rest, -1); err != nil {
			return sp, err
		}
		if sp.Precision < 0 {
			return sp, fmt.Errorf("%w: missing precision", ErrSpec)
		}
	}
	if rest != "" {
		sp.Type, rest = rest[0], rest[1:]
	}
	if rest != "" {
		return sp, fmt.Errorf("%w %s", ErrSpec, Quote(s))
	}
	return sp, nil
}

// leadingInt reads the digits at the start of s; absent is the value if there are none.
func leadingInt(s string, absent int) (n int, rest string, err error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 {
		return absent, s, nil
	}
	n, err = strconv.Atoi(s[:i])
	if err != nil || n > MaxWidth {
		return 0, s, fmt.Errorf("%w: width or precision over %d", ErrSpec, MaxWidth)
	}
	return n, s[i:], nil
}

// Padding gives the fill for the left and the right of a text of n characters; def is the alignment without one in the specification.
func (sp Spec) Padding(n int, def byte) (left, right string) {
	gap := sp.Width - n
	if gap <= 0 {
		return "", ""
	}
	fill, align := sp.Fill, sp.Align
	if fill == "" {
		fill = " "
	}
	if align == 0 {
		align = def
	}
	switch align {
	case '<':
		return "", strings.Repeat(fill, gap)
	case '^':
		return strings.Repeat(fill, gap/2), strings.Repeat(fill, gap-gap/2)
	}
	return strings.Repeat(fill, gap), ""
}

// CheckString reports whether the specification may be applied to a str.
func (sp Spec) CheckString() error {
	switch {
	case sp.Type != 0 && sp.Type != 's':
		return sp.unknown("str")
	case sp.Sign != 0:
		return fmt.Errorf("%w: sign not allowed in string format specifier", ErrSpec)
	case sp.Align == '=':
		return fmt.Errorf("%w: '=' alignment not allowed in string format specifier", ErrSpec)
	case sp.Alternate || sp.Grouping != 0:
		return fmt.Errorf("%w: '#', ',' and '_' not allowed in string format specifier", ErrSpec)
	}
	return nil
}

func (sp Spec) unknown(typ string) error {
	return fmt.Errorf("%w: unknown format code '%c' for object of type '%s'", ErrSpec, sp.Type, typ)
}

// Int formats a whole number.
func (sp Spec) Int(n *big.Int) (string, error) {
	base, prefix := 10, ""
	switch sp.Type {
	case 0, 'd', 'n':
	case 'b':
		base, prefix = 2, "0b"
	case 'o':
		base, prefix = 8, "0o"
	case 'x':
		base, prefix = 16, "0x"
	case 'X':
		base, prefix = 16, "0X"
	case 'c':
		if !n.IsInt64() || n.Int64() < 0 || n.Int64() > utf8.MaxRune {
			return "", fmt.Errorf("%w: %%c arg not in range(0x110000)", ErrSpec)
		}
		left, right := sp.Padding(1, '<')
		return left + string(rune(n.Int64())) + right, nil
	case 'e', 'E', 'f', 'F', 'g', 'G', '%':
		f, _ := new(big.Float).SetInt(n).Float64()
		return sp.Float(f)
	default:
		return "", sp.unknown("int")
	}
	if sp.Precision >= 0 {
		return "", fmt.Errorf("%w: precision not allowed in integer format specifier", ErrSpec)
	}
	digits := new(big.Int).Abs(n).Text(base)
	if sp.Type == 'X' {
		digits = strings.ToUpper(digits)
	}
	if !sp.Alternate {
		prefix = ""
	}
	every := 3
	if base != 10 {
		every = 4
	}
	return sp.number(n.Sign() < 0, prefix, digits, "", every), nil
}

// Float formats a float.
func (sp Spec) Float(f float64) (string, error) {
	typ, prec := sp.Type, sp.Precision
	if typ != 0 && strings.IndexByte("eEfF%gGn", typ) < 0 {
		return "", sp.unknown("float")
	}
	text, special := notFinite(math.Abs(f))
	switch {
	case special:
		sp.Grouping = 0
	case typ == 0 && prec < 0:
		text = FloatRepr(math.Abs(f))
		if e := strings.IndexByte(text, 'e'); sp.Alternate && e >= 0 && strings.IndexByte(text, '.') < 0 {
			text = text[:e] + "." + text[e:]
		}
	case typ == 0:
		text = general(math.Abs(f), prec, sp.Alternate, true)
	default:
		if prec < 0 {
			prec = 6
		}
		text = fixedOrScientific(math.Abs(f), typ, prec, sp.Alternate)
	}
	if typ == '%' && special {
		text += "%"
	}
	if typ == 'E' || typ == 'F' || typ == 'G' {
		text = strings.ToUpper(text)
	}
	whole, frac := text, ""
	if i := strings.IndexAny(text, ".eE%"); i >= 0 && !special {
		whole, frac = text[:i], text[i:]
	}
	return sp.number(math.Signbit(f), "", whole, frac, 3), nil
}

// fixedOrScientific formats a finite f >= 0 by one of the types e f g n % (either case).
func fixedOrScientific(f float64, typ byte, prec int, alternate bool) string {
	switch typ {
	case 'e', 'E':
		return withPoint(strconv.FormatFloat(f, 'e', prec, 64), prec, alternate)
	case 'f', 'F':
		return withPoint(strconv.FormatFloat(f, 'f', prec, 64), prec, alternate)
	case '%':
		return withPoint(strconv.FormatFloat(f*100, 'f', prec, 64), prec, alternate) + "%"
	}
	return general(f, prec, alternate, false)
}

// withPoint adds the decimal point that the alternate form keeps before no digits.
func withPoint(s string, prec int, alternate bool) string {
	if prec > 0 || !alternate {
		return s
	}
	if i := strings.IndexByte(s, 'e'); i >= 0 {
		return s[:i] + "." + s[i:]
	}
	return s + "."
}

// general is the type g: prec significant digits, an exponent only for small and large numbers. With digit set there is
// always a digit after the point, as in the form without a type.
func general(f float64, prec int, alternate, digit bool) string {
	prec = max(prec, 1)
	e := strconv.FormatFloat(f, 'e', prec-1, 64)
	at := strings.IndexByte(e, 'e')
	exp, _ := strconv.Atoi(e[at+1:])
	limit := prec
	if digit {
		limit-- // "without a type" switches to the exponent one digit earlier, to have room for ".0"
	}
	if exp < -4 || exp >= max(limit, 1) && exp >= limit {
		mantissa := e[:at]
		if !alternate {
			mantissa = trimZeros(mantissa)
		}
		return mantissa + e[at:]
	}
	s := strconv.FormatFloat(f, 'f', max(prec-1-exp, 0), 64)
	if !alternate {
		s = trimZeros(s)
	}
	if strings.IndexByte(s, '.') < 0 {
		if alternate {
			s += "."
		} else if digit {
			s += ".0"
		}
	}
	return s
}

func trimZeros(s string) string {
	if strings.IndexByte(s, '.') < 0 {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// number puts sign, prefix, grouped digits and padding together. every is the group size.
func (sp Spec) number(negative bool, prefix, digits, rest string, every int) string {
	sign := ""
	switch {
	case negative:
		sign = "-"
	case sp.Sign == '+' || sp.Sign == ' ':
		sign = string(sp.Sign)
	}
	head := sign + prefix
	if sp.Align != '=' {
		body := head + group(digits, sp.Grouping, every) + rest
		left, right := sp.Padding(utf8.RuneCountInString(body), '>')
		return left + body + right
	}
	want := sp.Width - len(head) - len(rest)
	if sp.Fill == "0" && sp.Grouping != 0 { // zeros are grouped too
		for len(group(digits, sp.Grouping, every)) < want {
			digits = "0" + digits
		}
		return head + group(digits, sp.Grouping, every) + rest
	}
	digits = group(digits, sp.Grouping, every)
	fill := sp.Fill
	if fill == "" {
		fill = " "
	}
	return head + strings.Repeat(fill, max(want-len(digits), 0)) + digits + rest
}

// group puts sep between groups of every digits, counted from the right.
func group(digits string, sep byte, every int) string {
	if sep == 0 || len(digits) <= every {
		return digits
	}
	var b strings.Builder
	for i := 0; i < len(digits); i++ {
		if i > 0 && (len(digits)-i)%every == 0 {
			b.WriteByte(sep)
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}
