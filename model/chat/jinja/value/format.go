package value

import (
	"errors"
	"math/big"
	"strings"

	"siskin/model/chat/jinja/pytext"
)

// formatter is str.format: it looks fields up in its arguments and keeps the marks of template text and values.
type formatter struct {
	m       *Meter
	args    []Value
	kw      *Dict
	next    int // of automatic numbering; -1 once a field was numbered by hand
	escape  bool
	nesting int
}

func strFormat(m *Meter, v Value, a Args) (Value, error) {
	kw := NewDict()
	for i, name := range a.Names {
		kw.SetStr(name, a.Kw[i])
	}
	s := v.(Str)
	f := formatter{m: m, args: a.Pos, kw: kw, escape: s.html}
	out, err := f.format(s)
	return out.like(s), err
}

func strFormatMap(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("format_map", "/mapping!")
	if err != nil {
		return nil, err
	}
	kw, ok := args[0].(*Dict)
	if !ok {
		return nil, TypeErrorf("format_map() needs a dict, not %s", args[0].TypeName())
	}
	s := v.(Str)
	f := formatter{m: m, kw: kw, escape: s.html}
	out, err := f.format(s)
	return out.like(s), err
}

// lookup gives .name (attr) or [name] of a value; methods are left out, they are of no use in a format.
func lookup(m *Meter, v Value, name string, attr bool) (Value, error) {
	if attr {
		if item, ok, err := field(v, name); err != nil || ok && !strings.HasPrefix(name, "_") {
			return item, err
		}
	}
	var key Value = Trusted(name)
	if n, ok := ParseInt(name, 10); ok && !attr {
		key = n
	}
	item, ok, err := Index(m, v, key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return &Undefined{Obj: v, Name: key}, nil
	}
	return item, nil
}

func (f *formatter) format(s Str) (Str, error) {
	if f.nesting++; f.nesting > 2 {
		return Str{}, ValueErrorf("Max string recursion exceeded")
	}
	defer func() { f.nesting-- }()
	if err := f.m.Alloc(s.cost()); err != nil {
		return Str{}, err
	}
	var b Builder
	for i := 0; i < len(s.s); {
		c := s.s[i]
		switch {
		case c != '{' && c != '}':
			j := i
			for j < len(s.s) && s.s[j] != '{' && s.s[j] != '}' {
				j++
			}
			b.Add(s.cut(i, j))
			i = j
		case i+1 < len(s.s) && s.s[i+1] == c:
			b.Add(s.cut(i, i+1))
			i += 2
		case c == '}':
			return Str{}, ValueErrorf("Single '}' encountered in format string")
		default:
			end, err := fieldEnd(s.s, i+1)
			if err != nil {
				return Str{}, err
			}
			text, err := f.field(s.cut(i+1, end))
			if err != nil {
				return Str{}, err
			}
			b.Add(text)
			i = end + 1
		}
	}
	return b.Str(), nil
}

// fieldEnd finds the } that closes the field which starts at s[i:].
func fieldEnd(s string, i int) (int, error) {
	depth := 1
	for ; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i, nil
			}
		}
	}
	return 0, ValueErrorf("expected '}' before end of string")
}

// field formats name[!conversion][:spec].
func (f *formatter) field(s Str) (Str, error) {
	nameEnd := 0
	for nameEnd < len(s.s) && s.s[nameEnd] != '!' && s.s[nameEnd] != ':' {
		if s.s[nameEnd] == '[' {
			if k := strings.IndexByte(s.s[nameEnd:], ']'); k > 0 {
				nameEnd += k
			}
		}
		nameEnd++
	}
	nameEnd = min(nameEnd, len(s.s))
	v, err := f.value(s.s[:nameEnd])
	if err != nil {
		return Str{}, err
	}
	rest := nameEnd
	if rest < len(s.s) && s.s[rest] == '!' {
		if rest+1 >= len(s.s) || rest+2 < len(s.s) && s.s[rest+2] != ':' {
			return Str{}, ValueErrorf("expected ':' after conversion specifier")
		}
		switch s.s[rest+1] {
		case 'r', 'a':
			v, err = Repr(f.m, v)
		case 's':
			v, err = ToStr(f.m, v)
		default:
			err = ValueErrorf("Unknown conversion specifier %q", s.s[rest+1])
		}
		if err != nil {
			return Str{}, err
		}
		rest += 2
	}
	spec := Str{}
	if rest < len(s.s) {
		if spec, err = f.format(s.cut(rest+1, len(s.s))); err != nil {
			return Str{}, err
		}
	}
	if f.escape {
		return f.escaped(v, spec)
	}
	return FormatValue(f.m, v, spec)
}

func (f *formatter) escaped(v Value, spec Str) (Str, error) {
	if s, ok := v.(Str); ok && s.html {
		if spec.s != "" {
			return Str{}, ValueErrorf("Unsupported format specification for Markup.")
		}
		return s, nil
	}
	out, err := FormatValue(f.m, v, spec)
	if err != nil {
		return out, err
	}
	return out.escape(f.m)
}

// value looks up a field name: a position, a name or nothing, then .attribute and [element] parts.
func (f *formatter) value(name string) (Value, error) {
	i := strings.IndexAny(name, ".[")
	if i < 0 {
		i = len(name)
	}
	first, rest := name[:i], name[i:]
	v, err := f.argument(first)
	for rest != "" && err == nil {
		if rest[0] == '[' {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, ValueErrorf("Missing ']' in format string")
			}
			v, err = lookup(f.m, v, rest[1:end], false)
			rest = rest[end+1:]
			continue
		}
		if rest[0] != '.' {
			return nil, ValueErrorf("Only '.' or '[' may follow ']' in format field specifier")
		}
		end := strings.IndexAny(rest[1:], ".[")
		if end < 0 {
			end = len(rest) - 1
		}
		v, err = lookup(f.m, v, rest[1:1+end], true)
		rest = rest[1+end:]
	}
	return v, err
}

func (f *formatter) argument(first string) (Value, error) {
	manual := first != ""
	n := f.next
	if manual {
		k, ok := ParseInt(first, 10)
		i, small := k.(Int)
		if !ok || !small || i < 0 {
			if v, ok := f.kw.GetStr(first); ok {
				return v, nil
			}
			return nil, &Error{"KeyError", pytext.Quote(first)}
		}
		if f.next > 0 {
			return nil, ValueErrorf("cannot switch from automatic field numbering to manual field specification")
		}
		f.next, n = -1, int(i)
	} else {
		if f.next < 0 {
			return nil, ValueErrorf("cannot switch from manual field specification to automatic field numbering")
		}
		f.next++
	}
	if n >= len(f.args) {
		return nil, &Error{"IndexError", "Replacement index out of range for positional args tuple"}
	}
	return f.args[n], nil
}

// FormatValue is format(v, spec).
func FormatValue(m *Meter, v Value, spec Str) (Str, error) {
	if spec.s == "" {
		return ToStr(m, v)
	}
	sp, err := pytext.ParseSpec(spec.s)
	if err != nil {
		return Str{}, specError(err)
	}
	if err := m.Alloc(sp.Width + max(sp.Precision, 0)); err != nil {
		return Str{}, err
	}
	switch x := v.(type) {
	case Str:
		return formatStr(m, x, sp)
	case Int, *Big, Bool:
		n, _ := ToBig(x)
		if !n.IsInt64() && strings.IndexByte("eEfFgG%", sp.Type) >= 0 && sp.Type != 0 {
			if _, ok := ToFloat(x); !ok {
				return Str{}, &Error{"OverflowError", "int too large to convert to float"}
			}
		}
		return formatNumber(sp.Int(new(big.Int).Set(n)))
	case Float:
		return formatNumber(sp.Float(float64(x)))
	}
	return Str{}, TypeErrorf("unsupported format string passed to %s.__format__", v.TypeName())
}

func formatNumber(s string, err error) (Str, error) {
	if err != nil {
		return Str{}, specError(err)
	}
	return Trusted(s), nil
}

func specError(err error) error {
	if errors.Is(err, pytext.ErrSpec) {
		return ValueErrorf("%v", err)
	}
	return err
}

func formatStr(m *Meter, s Str, sp pytext.Spec) (Str, error) {
	if sp.Fill == "0" && sp.Align == '=' {
		sp.Align = '<'
	}
	if err := sp.CheckString(); err != nil {
		return Str{}, specError(err)
	}
	s = s.plain()
	n := s.runeLen()
	if sp.Precision >= 0 && sp.Precision < n {
		n = sp.Precision
		s = s.cut(0, s.offset(n))
	}
	left, right := sp.Padding(n, '<')
	return Concat(m, Trusted(left), s, Trusted(right))
}
