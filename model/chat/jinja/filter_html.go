package jinja

import (
	"html"
	"net/url"
	"strings"

	"siskin/model/chat/jinja/pytext"
	"siskin/model/chat/jinja/value"
)

// addHTMLFilters adds the filters about escaping.
func addHTMLFilters(f map[string]filterFunc) {
	f["escape"] = filterEscape
	f["e"] = filterEscape
	f["forceescape"] = filterForceEscape
	f["safe"] = filterSafe
	f["striptags"] = filterStripTags
	f["urlencode"] = filterURLEncode
	f["xmlattr"] = filterXMLAttr
}

func filterEscape(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("escape"); err != nil {
		return nil, err
	}
	return value.Escape(in.m, v)
}

func filterForceEscape(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("forceescape"); err != nil {
		return nil, err
	}
	s, err := value.ToStr(in.m, v)
	if err != nil {
		return nil, err
	}
	return value.Escape(in.m, s)
}

func filterSafe(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("safe"); err != nil {
		return nil, err
	}
	s, err := value.ToStr(in.m, v)
	return s.Markup(), err
}

func filterStripTags(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("striptags"); err != nil {
		return nil, err
	}
	s, err := value.ToStr(in.m, v)
	if err != nil {
		return nil, err
	}
	return value.MapWhole(in.m, s, stripTags)
}

// stripTags removes comments and tags, collapses white space and decodes entities.
func stripTags(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		end := -1
		if strings.HasPrefix(s[i:], "<!--") {
			if end = strings.Index(s[i+4:], "-->"); end >= 0 {
				end += i + 7
			}
		} else if end = strings.IndexByte(s[i:], '>'); end >= 0 {
			end += i + 1
		}
		if end < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[end:]
	}
	b.WriteString(s)
	return html.UnescapeString(strings.Join(strings.FieldsFunc(b.String(), pytext.IsSpace), " "))
}

// urlQuote quotes a value for a path, or for a query.
func (in *interp) urlQuote(v value.Value, query bool) (value.Str, error) {
	s, err := value.ToStr(in.m, v)
	if err == nil {
		err = in.m.Alloc(8 * len(s.String())) // several passes, three bytes for one
	}
	if err != nil {
		return s, err
	}
	return value.MapWhole(in.m, s, func(t string) string {
		t = strings.ReplaceAll(url.QueryEscape(t), "%7E", "~")
		if query {
			return t
		}
		return strings.NewReplacer("+", "%20", "%2F", "/").Replace(t)
	})
}

// filterURLEncode quotes a string for a path, or the pairs of a mapping or sequence for a query.
func filterURLEncode(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("urlencode"); err != nil {
		return nil, err
	}
	_, str := v.(value.Str)
	it, err := value.Iterate(in.m, v)
	if str || err != nil {
		return in.urlQuote(v, false)
	}
	if d, ok := v.(*value.Dict); ok {
		if it, err = value.Iterate(in.m, itemsOf(d)); err != nil {
			return nil, err
		}
	}
	var parts []value.Value
	for {
		pair, ok, err := it.Next(in.m)
		if err != nil {
			return nil, err
		}
		if !ok {
			return value.Join(in.m, value.Trusted("&"), parts)
		}
		kv, err := value.Collect(in.m, pair)
		if err != nil {
			return nil, err
		}
		if len(kv) != 2 {
			return nil, value.ValueErrorf("urlencode needs pairs")
		}
		key, err := in.urlQuote(kv[0], true)
		if err != nil {
			return nil, err
		}
		val, err := in.urlQuote(kv[1], true)
		if err != nil {
			return nil, err
		}
		joined, err := value.Concat(in.m, key, value.Trusted("="), val)
		if err != nil {
			return nil, err
		}
		parts = append(parts, joined)
	}
}

// itemsOf gives d.items().
func itemsOf(d *value.Dict) value.Value {
	v, _ := (&value.Method{Recv: d, Name: "items"}).Call(nil, value.Args{}) // without arguments it cannot fail
	return v
}

func filterXMLAttr(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("xmlattr", "autospace")
	if err != nil {
		return nil, err
	}
	d, ok := v.(*value.Dict)
	if !ok {
		if u, is := v.(*value.Undefined); is {
			return nil, u.Fail()
		}
		return nil, value.TypeErrorf("xmlattr needs a mapping, not %s", v.TypeName())
	}
	var parts []value.Str
	for k, v := range d.All() {
		if orNone(v) == nil || value.IsUndefined(v) {
			continue
		}
		key, ok := k.(value.Str)
		if !ok {
			return nil, value.TypeErrorf("expected string as attribute name")
		}
		if strings.ContainsAny(key.String(), " \t\n\v\f\r/>=") {
			return nil, value.ValueErrorf("Invalid character in attribute name: %s", pytext.Quote(key.String()))
		}
		ek, err := value.Escape(in.m, key)
		if err != nil {
			return nil, err
		}
		ev, err := value.Escape(in.m, v)
		if err != nil {
			return nil, err
		}
		if len(parts) > 0 || args[0] == nil || truth(args[0]) {
			parts = append(parts, value.Trusted(" "))
		}
		parts = append(parts, ek, value.Trusted(`="`), ev, value.Trusted(`"`))
	}
	out, err := value.Concat(in.m, parts...)
	return out, err
}
