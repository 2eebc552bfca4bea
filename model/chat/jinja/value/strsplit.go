package value

import (
	"strings"
	"unicode/utf8"

	"siskin/model/chat/jinja/pytext"
)

// pieces makes a list of cuts of s.
func (s Str) pieces(m *Meter, at [][2]int) (Value, error) {
	if err := m.Elements(len(at)); err != nil {
		return nil, err
	}
	spans := 1
	if s.m != nil {
		spans += len(s.m.spans)
	}
	if err := m.Step(len(at) * (spans/16 + 1)); err != nil {
		return nil, err
	}
	items := make([]Value, len(at))
	for i, r := range at {
		items[i] = s.cut(r[0], r[1])
	}
	return &List{Items: items}, nil
}

func splitter(name string, right bool) methodFunc {
	return func(m *Meter, v Value, a Args) (Value, error) {
		args, err := a.Bind(name, "sep", "maxsplit")
		if err != nil {
			return nil, err
		}
		s := v.(Str)
		sep, has, err := StrArg(args[0])
		if err != nil {
			return nil, err
		}
		most, err := IntArg(args[1], -1)
		if err != nil {
			return nil, err
		}
		if has && sep.s == "" {
			return nil, ValueErrorf("empty separator")
		}
		if err := m.Scan(4 * len(s.s)); err != nil {
			return nil, err
		}
		switch {
		case !has && right:
			return s.pieces(m, pytext.WordsRight(s.s, most))
		case !has:
			return s.pieces(m, pytext.Words(s.s, most))
		case right && most >= 0:
			return s.pieces(m, splitRight(s.s, sep.s, most))
		}
		return s.pieces(m, splitLeft(s.s, sep.s, most))
	}
}

func splitLeft(s, sep string, most int) [][2]int {
	var out [][2]int
	from := 0
	for most < 0 || len(out) < most {
		i := indexOf(s, sep, from)
		if i < 0 {
			break
		}
		out = append(out, [2]int{from, i})
		from = i + len(sep)
	}
	return append(out, [2]int{from, len(s)})
}

func splitRight(s, sep string, most int) [][2]int {
	var back [][2]int
	end := len(s)
	for len(back) < most {
		i := strings.LastIndex(s[:end], sep)
		if i < 0 {
			break
		}
		back = append(back, [2]int{i + len(sep), end})
		end = i
	}
	back = append(back, [2]int{0, end})
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

// Lines is s.splitlines(keepends).
func Lines(m *Meter, s Str, keep bool) ([]Value, error) {
	var at [][2]int
	from := 0
	for i := 0; i < len(s.s); {
		n := pytext.LineEnd(s.s[i:])
		if n == 0 {
			_, size := utf8.DecodeRuneInString(s.s[i:])
			i += size
			continue
		}
		end := i
		if keep {
			end += n
		}
		at = append(at, [2]int{from, end})
		i += n
		from = i
	}
	if from < len(s.s) {
		at = append(at, [2]int{from, len(s.s)})
	}
	if err := m.Scan(4 * len(s.s)); err != nil {
		return nil, err
	}
	list, err := s.pieces(m, at)
	if err != nil {
		return nil, err
	}
	return list.(*List).Items, nil
}

func strSplitLines(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("splitlines", "keepends")
	if err != nil {
		return nil, err
	}
	items, err := Lines(m, v.(Str), args[0] != nil && Truth(args[0]))
	return &List{Items: items}, err
}

// Join is sep.join(items) for items that are strings already.
func Join(m *Meter, sep Str, items []Value) (Str, error) {
	n := 0
	for i, item := range items {
		s, ok := item.(Str)
		if !ok {
			return Str{}, TypeErrorf("sequence item %d: expected str instance, %s found", i, item.TypeName())
		}
		n += s.cost()
	}
	if err := m.Alloc(n); err != nil {
		return Str{}, err
	}
	if err := m.charge(sep.cost(), max(len(items)-1, 0), 1); err != nil {
		return Str{}, err
	}
	if err := m.Step(len(items)); err != nil {
		return Str{}, err
	}
	var b Builder
	for i, item := range items {
		if i > 0 {
			b.Add(sep)
		}
		b.Add(item.(Str))
	}
	return b.Str(), nil
}

func strJoin(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("join", "/iterable!")
	if err != nil {
		return nil, err
	}
	items, err := Collect(m, args[0])
	if err != nil {
		return nil, TypeErrorf("can only join an iterable")
	}
	sep := v.(Str)
	if sep.html {
		for i, item := range items {
			if items[i], err = Escape(m, item); err != nil {
				return nil, err
			}
		}
	}
	out, err := Join(m, sep, items)
	return out.like(sep), err
}

// Replace is s.replace(old, repl, count); count < 0 replaces all.
func Replace(m *Meter, s, old, repl Str, count int) (Str, error) {
	n := strings.Count(s.s, old.s)
	if count >= 0 {
		n = min(n, count)
	}
	if err := m.Alloc(s.cost()); err != nil {
		return Str{}, err
	}
	if err := m.charge(repl.cost(), n, 1); err != nil {
		return Str{}, err
	}
	if n == 0 {
		return s, nil
	}
	spans := 1
	if s.m != nil {
		spans += len(s.m.spans)
	}
	if err := m.Step(n * (spans/16 + 1)); err != nil {
		return Str{}, err
	}
	var b Builder
	from := 0
	for i := 0; i < n; i++ {
		at := from
		if old.s == "" {
			if i > 0 { // an empty text matches before each character and at the end
				_, size := utf8.DecodeRuneInString(s.s[from:])
				at += size
			}
		} else {
			at = indexOf(s.s, old.s, from)
		}
		b.Add(s.cut(from, at))
		b.Add(repl)
		from = at + len(old.s)
	}
	b.Add(s.cut(from, len(s.s)))
	return b.Str().like(s), nil
}

func strReplace(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("replace", "/old!", "/new!", "/count")
	if err != nil {
		return nil, err
	}
	s := v.(Str)
	old, ok1 := args[0].(Str)
	repl, ok2 := args[1].(Str)
	if !ok1 || !ok2 {
		return nil, TypeErrorf("replace() arguments must be str")
	}
	count, err := IntArg(args[2], -1)
	if err != nil {
		return nil, err
	}
	if s.html {
		if repl, err = repl.escape(m); err != nil {
			return nil, err
		}
	}
	return Replace(m, s, old, repl, count)
}
