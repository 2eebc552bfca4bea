package value

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"siskin/model/chat/jinja/pytext"
)

var strMethods = map[string]methodFunc{
	"upper":      perRun(pytext.Upper),
	"lower":      perRun(pytext.Lower),
	"casefold":   perRun(pytext.Fold),
	"swapcase":   perRun(pytext.SwapCase),
	"title":      asWhole(pytext.Title),
	"capitalize": asWhole(pytext.Capitalize),

	"isalnum":      predicate(func(s string) bool { return pytext.All(s, pytext.IsAlnum) }),
	"isalpha":      predicate(func(s string) bool { return pytext.All(s, pytext.IsAlpha) }),
	"isdecimal":    predicate(func(s string) bool { return pytext.All(s, pytext.IsDecimal) }),
	"isdigit":      predicate(func(s string) bool { return pytext.All(s, pytext.IsDigit) }),
	"isnumeric":    predicate(func(s string) bool { return pytext.All(s, pytext.IsNumeric) }),
	"isspace":      predicate(func(s string) bool { return pytext.All(s, pytext.IsSpace) }),
	"isascii":      predicate(func(s string) bool { return s == "" || pytext.All(s, func(r rune) bool { return r < 0x80 }) }),
	"isprintable":  predicate(func(s string) bool { return s == "" || pytext.All(s, unicode.IsPrint) }),
	"isidentifier": predicate(pytext.IsIdentifier),
	"islower":      predicate(pytext.IsLower),
	"isupper":      predicate(pytext.IsUpper),
	"istitle":      predicate(pytext.IsTitle),

	"strip":        stripper("strip", true, true),
	"lstrip":       stripper("lstrip", true, false),
	"rstrip":       stripper("rstrip", false, true),
	"removeprefix": remover("removeprefix", strings.HasPrefix, true),
	"removesuffix": remover("removesuffix", strings.HasSuffix, false),

	"startswith": affix("startswith", strings.HasPrefix),
	"endswith":   affix("endswith", strings.HasSuffix),
	"find":       finder("find", false, false),
	"rfind":      finder("rfind", true, false),
	"index":      finder("index", false, true),
	"rindex":     finder("rindex", true, true),
	"count":      strCount,

	"split":      splitter("split", false),
	"rsplit":     splitter("rsplit", true),
	"splitlines": strSplitLines,
	"partition":  partitioner("partition", false),
	"rpartition": partitioner("rpartition", true),
	"join":       strJoin,
	"replace":    strReplace,

	"center":     justifier("center"),
	"ljust":      justifier("ljust"),
	"rjust":      justifier("rjust"),
	"zfill":      strZfill,
	"expandtabs": strExpandTabs,

	"format":     strFormat,
	"format_map": strFormatMap,
}

// perRun makes a method of a mapping that works character by character.
func perRun(f func(string) string) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		if _, err := a.Bind("method"); err != nil {
			return nil, err
		}
		return v.(Str).mapRuns(m, f)
	}
}

// asWhole makes a method of a mapping that looks at neighbours: the result is untrusted as a whole if s is in part.
func asWhole(f func(string) string) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		if _, err := a.Bind("method"); err != nil {
			return nil, err
		}
		return MapWhole(m, v.(Str), f)
	}
}

// MapWhole applies f to the text of s; the result is untrusted as a whole if a part of s is.
func MapWhole(m *Meter, s Str, f func(string) string) (Str, error) {
	if err := m.Alloc(2 * len(s.s)); err != nil {
		return Str{}, err
	}
	return fromWhole(f(s.s), s.Tainted()).like(s), nil
}

func predicate(f func(string) bool) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		if _, err := a.Bind("method"); err != nil {
			return nil, err
		}
		s := v.(Str).s
		return Bool(f(s)), m.Scan(len(s))
	}
}

// Strip is s.strip(chars), or only one side of it; has is false for white space.
func Strip(m *Meter, s, chars Str, has, left, right bool) (Str, error) {
	in := pytext.IsSpace
	if has {
		in = func(r rune) bool { return strings.ContainsRune(chars.s, r) }
	}
	if err := m.Step((len(s.s)/64 + 1) * (len(chars.s)/16 + 1)); err != nil {
		return Str{}, err
	}
	i, j := 0, len(s.s)
	if left {
		i = len(s.s) - len(strings.TrimLeftFunc(s.s, in))
	}
	if right {
		j = i + len(strings.TrimRightFunc(s.s[i:], in))
	}
	return s.cut(i, j), nil
}

func stripper(name string, left, right bool) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		args, err := a.Bind(name, "/chars")
		if err != nil {
			return nil, err
		}
		chars, has, err := StrArg(args[0])
		if err != nil {
			return nil, err
		}
		return Strip(m, v.(Str), chars, has, left, right)
	}
}

func remover(name string, has func(s, affix string) bool, prefix bool) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		args, err := a.Bind(name, "/affix!")
		if err != nil {
			return nil, err
		}
		s := v.(Str)
		x, ok, err := StrArg(args[0])
		if err != nil || !ok {
			return nil, TypeErrorf("%s() argument must be str, not %s", name, args[0].TypeName())
		}
		if !has(s.s, x.s) {
			return s, nil
		}
		if prefix {
			return s.cut(len(x.s), len(s.s)), nil
		}
		return s.cut(0, len(s.s)-len(x.s)), nil
	}
}

// window gives the bytes [i, j) that the optional character positions start and end select; ok is false if they are out of order.
func window(m *Meter, s Str, start, end Value) (i, j int, ok bool, err error) {
	_, none := end.(None)
	if _, n := start.(None); (start == nil || n) && (end == nil || none) {
		return 0, len(s.s), true, nil
	}
	n := s.runeLen()
	if err := m.Scan(3 * len(s.s)); err != nil {
		return 0, 0, false, err
	}
	b, err := sliceBounds(n, start, end, nil)
	if err != nil {
		return 0, 0, false, err
	}
	if k, whole := toInt(start); b.count == 0 && whole && k > int64(n) {
		return 0, 0, false, nil
	}
	i = s.offset(b.from)
	return i, i + s.cut(i, len(s.s)).offset(b.count), true, nil
}

func affix(name string, has func(s, affix string) bool) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		args, err := a.Bind(name, "/prefix!", "/start", "/end")
		if err != nil {
			return nil, err
		}
		s := v.(Str)
		i, j, ok, err := window(m, s, args[1], args[2])
		if err != nil {
			return nil, err
		}
		options := []Value{args[0]}
		if t, tuple := args[0].(*Tuple); tuple {
			options = t.Items
		}
		for _, o := range options {
			x, str := o.(Str)
			if !str {
				return nil, TypeErrorf("%s first arg must be str or a tuple of str, not %s", name, o.TypeName())
			}
			if ok && has(s.s[i:j], x.s) {
				return Bool(true), nil
			}
		}
		return Bool(false), m.Step(len(options))
	}
}

// indexOf gives the byte position of the first x in s[from:], or -1.
func indexOf(s, x string, from int) int {
	i := strings.Index(s[from:], x)
	if i < 0 {
		return -1
	}
	return from + i
}

func finder(name string, last, must bool) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		args, err := a.Bind(name, "/sub!", "/start", "/end")
		if err != nil {
			return nil, err
		}
		s := v.(Str)
		x, ok, err := StrArg(args[0])
		if err != nil || !ok {
			return nil, TypeErrorf("%s() argument must be str, not %s", name, args[0].TypeName())
		}
		i, j, ok, err := window(m, s, args[1], args[2])
		if err != nil {
			return nil, err
		}
		if err := m.Scan(2 * len(s.s)); err != nil {
			return nil, err
		}
		at := -1
		switch {
		case !ok:
		case last:
			at = strings.LastIndex(s.s[i:j], x.s)
		default:
			at = strings.Index(s.s[i:j], x.s)
		}
		if at >= 0 {
			return Int(utf8.RuneCountInString(s.s[:i+at])), nil
		}
		if must {
			return nil, ValueErrorf("substring not found")
		}
		return Int(-1), nil
	}
}

func strCount(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("count", "/sub!", "/start", "/end")
	if err != nil {
		return nil, err
	}
	s := v.(Str)
	x, ok, err := StrArg(args[0])
	if err != nil || !ok {
		return nil, TypeErrorf("count() argument must be str, not %s", args[0].TypeName())
	}
	i, j, ok, err := window(m, s, args[1], args[2])
	if err != nil || !ok {
		return Int(0), err
	}
	return Int(strings.Count(s.s[i:j], x.s)), m.Scan(len(s.s))
}

func partitioner(name string, last bool) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		args, err := a.Bind(name, "/sep!")
		if err != nil {
			return nil, err
		}
		s := v.(Str)
		sep, ok, err := StrArg(args[0])
		if err != nil || !ok {
			return nil, TypeErrorf("must be str, not %s", args[0].TypeName())
		}
		if sep.s == "" {
			return nil, ValueErrorf("empty separator")
		}
		if err := m.Scan(len(s.s)); err != nil {
			return nil, err
		}
		at := strings.Index(s.s, sep.s)
		if last {
			at = strings.LastIndex(s.s, sep.s)
		}
		none := Str{html: s.html}
		switch {
		case at >= 0:
			return &Tuple{Items: []Value{s.cut(0, at), s.cut(at, at+len(sep.s)), s.cut(at+len(sep.s), len(s.s))}}, nil
		case last:
			return &Tuple{Items: []Value{none, none, s}}, nil
		}
		return &Tuple{Items: []Value{s, none, none}}, nil
	}
}

func strZfill(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("zfill", "/width!")
	if err != nil {
		return nil, err
	}
	s := v.(Str)
	width, err := IntArg(args[0], 0)
	if err != nil {
		return nil, err
	}
	gap := max(width-s.runeLen(), 0)
	if err := m.Alloc(gap); err != nil {
		return nil, err
	}
	sign := 0
	if s.s != "" && (s.s[0] == '-' || s.s[0] == '+') {
		sign = 1
	}
	out, err := Concat(m, s.cut(0, sign), Trusted(strings.Repeat("0", gap)), s.cut(sign, len(s.s)))
	return out.like(s), err
}

func justifier(name string) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		args, err := a.Bind(name, "/width!", "/fillchar")
		if err != nil {
			return nil, err
		}
		width, err := IntArg(args[0], 0)
		if err != nil {
			return nil, err
		}
		fill, ok, err := StrArg(args[1])
		if err != nil {
			return nil, err
		}
		if !ok {
			fill = Trusted(" ")
		}
		if fill.runeLen() != 1 {
			return nil, TypeErrorf("The fill character must be exactly one character long")
		}
		return justify(m, v.(Str), name, width, fill)
	}
}

// Center is s.center(width).
func Center(m *Meter, s Str, width int) (Str, error) {
	return justify(m, s, "center", width, Trusted(" "))
}

func justify(m *Meter, s Str, how string, width int, fill Str) (Str, error) {
	gap := width - s.runeLen()
	if gap <= 0 {
		return s, m.Scan(len(s.s))
	}
	left, right := 0, gap
	switch how {
	case "rjust":
		left, right = gap, 0
	case "center":
		left = gap/2 + gap&width&1
		right = gap - left
	}
	before, err := repeat(m, fill, left)
	if err != nil {
		return Str{}, err
	}
	after, err := repeat(m, fill, right)
	if err != nil {
		return Str{}, err
	}
	out, err := Concat(m, before.(Str), s, after.(Str))
	return out.like(s), err
}

func strExpandTabs(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("expandtabs", "tabsize")
	if err != nil {
		return nil, err
	}
	size, err := IntArg(args[0], 8)
	if err != nil {
		return nil, err
	}
	s := v.(Str)
	if err := m.charge(strings.Count(s.s, "\t"), max(size, 0), 1); err != nil {
		return nil, err
	}
	return MapWhole(m, s, func(s string) string {
		var b strings.Builder
		column := 0
		for _, r := range s {
			switch {
			case r == '\t' && size > 0:
				n := size - column%size
				b.WriteString(strings.Repeat(" ", n))
				column += n
			case r == '\t':
			default:
				b.WriteRune(r)
				column++
				if r == '\n' || r == '\r' {
					column = 0
				}
			}
		}
		return b.String()
	})
}
