package jinja

import (
	"strings"

	"siskin/model/chat/jinja/pytext"
	"siskin/model/chat/jinja/value"
)

// addTextFilters adds the filters on strings.
func addTextFilters(f map[string]filterFunc) {
	f["upper"] = viaMethod("upper")
	f["lower"] = viaMethod("lower")
	f["capitalize"] = viaMethod("capitalize")
	f["title"] = filterTitle
	f["trim"] = filterTrim
	f["center"] = filterCenter
	f["string"] = filterString
	f["replace"] = filterReplace
	f["format"] = filterFormat
	f["indent"] = filterIndent
	f["truncate"] = filterTruncate
	f["wordcount"] = filterWordCount
	f["wordwrap"] = filterWordWrap
	f["tojson"] = filterToJSON
}

// viaMethod makes a filter of a method of str that takes no arguments.
func viaMethod(name string) filterFunc {
	return func(in *interp, v value.Value, a value.Args) (value.Value, error) {
		s, err := value.SoftStr(in.m, v)
		if err != nil {
			return nil, err
		}
		return (&value.Method{Recv: s, Name: name}).Call(in.m, a)
	}
}

func filterTitle(in *interp, v value.Value, a value.Args) (value.Value, error) {
	s, err := value.ToStr(in.m, v)
	if err != nil {
		return nil, err
	}
	if _, err := a.Bind("title"); err != nil {
		return nil, err
	}
	return value.MapWhole(in.m, s, pytext.TitleWords)
}

func filterTrim(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("trim", "chars")
	if err != nil {
		return nil, err
	}
	s, err := value.SoftStr(in.m, v)
	if err != nil {
		return nil, err
	}
	chars, has, err := value.StrArg(args[0])
	if err != nil {
		return nil, err
	}
	return value.Strip(in.m, s, chars, has, true, true)
}

func filterCenter(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("center", "width")
	if err != nil {
		return nil, err
	}
	s, err := value.SoftStr(in.m, v)
	if err != nil {
		return nil, err
	}
	width, err := value.IntArg(args[0], 80)
	if err != nil {
		return nil, err
	}
	return value.Center(in.m, s, width)
}

func filterString(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("string"); err != nil {
		return nil, err
	}
	return value.SoftStr(in.m, v)
}

func filterReplace(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("replace", "old!", "new!", "count")
	if err != nil {
		return nil, err
	}
	var s [3]value.Str
	for i, x := range []value.Value{v, args[0], args[1]} {
		if s[i], err = value.ToStr(in.m, x); err != nil {
			return nil, err
		}
	}
	count, err := value.IntArg(orNone(args[2]), -1)
	if err != nil {
		return nil, err
	}
	return value.Replace(in.m, s[0], s[1], s[2], count)
}

func filterFormat(in *interp, v value.Value, a value.Args) (value.Value, error) {
	s, err := value.SoftStr(in.m, v)
	if err != nil {
		return nil, err
	}
	if len(a.Kw) == 0 {
		return value.Percent(in.m, s, &value.Tuple{Items: a.Pos})
	}
	if len(a.Pos) > 0 {
		return nil, &value.Error{Kind: "FilterArgumentError", Text: "can't handle positional and keyword arguments at the same time"}
	}
	d, err := value.MakeDict(in.m, a)
	if err != nil {
		return nil, err
	}
	return value.Percent(in.m, s, d)
}

func filterIndent(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("indent", "width", "first", "blank")
	if err != nil {
		return nil, err
	}
	if _, ok := v.(value.Str); !ok {
		_, err := value.Binary(in.m, "+", v, value.Trusted("\n"))
		return nil, err
	}
	indention, ok := args[0].(value.Str)
	if !ok {
		width, err := value.IntArg(args[0], 4)
		if err != nil {
			return nil, err
		}
		if err := in.m.Alloc(max(width, 0)); err != nil {
			return nil, err
		}
		indention = value.Trusted(strings.Repeat(" ", max(width, 0)))
	}
	s := v.(value.Str)
	full, err := value.Concat(in.m, s, value.Trusted("\n"))
	if err != nil {
		return nil, err
	}
	lines, err := value.Lines(in.m, full, false)
	if err != nil {
		return nil, err
	}
	parts := make([]value.Str, 0, 3*len(lines))
	for i, l := range lines {
		line := l.(value.Str)
		if i > 0 {
			parts = append(parts, value.Trusted("\n"))
		}
		if i == 0 && truth(args[1]) || i > 0 && (truth(args[2]) || line.String() != "") {
			parts = append(parts, indention)
		}
		parts = append(parts, line)
	}
	out, err := value.Concat(in.m, parts...)
	if s.IsMarkup() {
		out = out.Markup()
	}
	return out, err
}

func filterTruncate(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("truncate", "length", "killwords", "end", "leeway")
	if err != nil {
		return nil, err
	}
	length, err := value.IntArg(args[0], 255)
	if err != nil {
		return nil, err
	}
	end, ok, err := value.StrArg(args[2])
	if err != nil {
		return nil, err
	}
	if !ok {
		end = value.Trusted("...")
	}
	leeway, err := value.IntArg(orNone(args[3]), 5)
	if err != nil {
		return nil, err
	}
	endLen, _ := value.Len(in.m, end)
	if length < endLen || leeway < 0 {
		return nil, &value.Error{Kind: "AssertionError", Text: "truncate: expected length >= the length of end, and leeway >= 0"}
	}
	n, err := value.Len(in.m, v)
	if err != nil || n <= length+leeway {
		return v, err
	}
	cut, err := value.Slice(in.m, v, nil, value.Int(length-endLen), nil)
	if err != nil {
		return nil, err
	}
	if !truth(args[1]) {
		method := &value.Method{Recv: cut, Name: "rsplit"}
		if _, ok := cut.(value.Str); !ok {
			return nil, value.TypeErrorf("truncate needs a string, not %s", cut.TypeName())
		}
		words, err := method.Call(in.m, value.Args{Pos: []value.Value{value.Trusted(" "), value.Int(1)}})
		if err != nil {
			return nil, err
		}
		cut = words.(*value.List).Items[0]
	}
	return value.Binary(in.m, "+", cut, end)
}

func filterWordCount(in *interp, v value.Value, a value.Args) (value.Value, error) {
	s, err := value.ToStr(in.m, v)
	if err != nil {
		return nil, err
	}
	if _, err := a.Bind("wordcount"); err != nil {
		return nil, err
	}
	n, inWord := 0, false
	for _, r := range s.String() {
		w := pytext.IsWord(r)
		if w && !inWord {
			n++
		}
		inWord = w
	}
	return value.Int(n), in.m.Scan(len(s.String()))
}

func filterToJSON(in *interp, v value.Value, a value.Args) (value.Value, error) {
	o, err := value.ParseJSONOptions(in.m, a)
	if err != nil {
		return nil, err
	}
	return value.ToJSON(in.m, v, o)
}

// filterWordWrap wraps each line at spaces and after hyphens, and breaks words that are too long.
func filterWordWrap(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("wordwrap", "width", "break_long_words", "wrapstring", "break_on_hyphens")
	if err != nil {
		return nil, err
	}
	s, ok := v.(value.Str)
	if !ok {
		return nil, value.TypeErrorf("wordwrap needs a string, not %s", v.TypeName())
	}
	width, err := value.IntArg(args[0], 79)
	if err != nil {
		return nil, err
	}
	if width <= 0 {
		return nil, value.ValueErrorf("invalid width %d (must be > 0)", width)
	}
	sep, ok, err := value.StrArg(args[2])
	if err != nil {
		return nil, err
	}
	if !ok {
		sep = value.Trusted("\n")
	}
	w := wrapper{width: width, long: args[1] == nil || truth(args[1]), hyphens: args[3] == nil || truth(args[3])}
	if err := in.m.Elements(len(s.String())); err != nil {
		return nil, err
	}
	lines, err := value.Lines(in.m, s, false)
	if err != nil {
		return nil, err
	}
	var out []value.Value
	for _, l := range lines {
		line := l.(value.Str)
		wrapped := w.wrap(line.String())
		if len(wrapped) == 0 {
			wrapped = []string{""}
		}
		for _, t := range wrapped { // pieces of the line, but white space was dropped between them: marked as a whole
			if line.Tainted() {
				out = append(out, value.Untrusted(t))
			} else {
				out = append(out, value.Trusted(t))
			}
		}
	}
	return value.Join(in.m, sep, out)
}
