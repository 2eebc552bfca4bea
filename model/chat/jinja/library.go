package jinja

import (
	"siskin/model/chat/jinja/value"
)

type filterFunc func(in *interp, v value.Value, a value.Args) (value.Value, error)

// library is what templates can name.
type library struct {
	filters map[string]filterFunc
	tests   map[string]testFunc
	globals map[string]value.Value
}

func newLibrary() *library {
	l := &library{filters: map[string]filterFunc{}, tests: newTests(), globals: newGlobals()}
	addTextFilters(l.filters)
	addHTMLFilters(l.filters)
	addNumberFilters(l.filters)
	addSequenceFilters(l.filters)
	for _, name := range []string{"pprint", "random", "urlize"} {
		l.filters[name] = func(*interp, value.Value, value.Args) (value.Value, error) {
			return nil, &value.Error{Kind: "TemplateRuntimeError", Text: "the filter '" + name + "' is not available in chat templates"}
		}
	}
	return l
}

func newGlobals() map[string]value.Value {
	fn := func(name string, f func(m *value.Meter, a value.Args) (value.Value, error)) value.Value {
		return &value.Func{Name: name, Fn: f}
	}
	return map[string]value.Value{
		"self":  self{},
		"range": fn("range", func(_ *value.Meter, a value.Args) (value.Value, error) { return value.MakeRange(a) }),
		"dict": fn("dict", func(m *value.Meter, a value.Args) (value.Value, error) {
			d, err := value.MakeDict(m, a)
			return d, err
		}),
		"namespace": fn("namespace", func(m *value.Meter, a value.Args) (value.Value, error) {
			d, err := value.MakeDict(m, a)
			return &value.Namespace{Attrs: d}, err
		}),
		"cycler": fn("cycler", func(_ *value.Meter, a value.Args) (value.Value, error) {
			if len(a.Pos) == 0 || len(a.Kw) > 0 {
				return nil, &value.Error{Kind: "RuntimeError", Text: "at least one item has to be provided"}
			}
			return &cycler{items: a.Pos}, nil
		}),
		"joiner": fn("joiner", func(_ *value.Meter, a value.Args) (value.Value, error) {
			args, err := a.Bind("joiner", "sep")
			if err != nil {
				return nil, err
			}
			var sep value.Value = value.Trusted(", ")
			if args[0] != nil {
				sep = args[0]
			}
			return &joiner{sep: sep}, nil
		}),
	}
}

// self stands for the template itself, which has no blocks to offer.
type self struct{}

// TypeName implements value.Value.
func (self) TypeName() string { return "TemplateReference" }

// cycler gives its items in turn.
type cycler struct {
	items []value.Value
	pos   int
}

// TypeName implements value.Value.
func (*cycler) TypeName() string { return "Cycler" }

// Attr implements value.Object.
func (c *cycler) Attr(name string) (value.Value, bool, error) {
	method := func(f func() value.Value) (value.Value, bool, error) {
		return &value.Func{Name: name, Fn: func(_ *value.Meter, a value.Args) (value.Value, error) {
			_, err := a.Bind(name)
			return f(), err
		}}, true, nil
	}
	switch name {
	case "current":
		return c.items[c.pos], true, nil
	case "items":
		return &value.Tuple{Items: c.items}, true, nil
	case "pos":
		return value.Int(c.pos), true, nil
	case "next":
		return method(func() value.Value {
			v := c.items[c.pos]
			c.pos = (c.pos + 1) % len(c.items)
			return v
		})
	case "reset":
		return method(func() value.Value {
			c.pos = 0
			return value.None{}
		})
	}
	return nil, false, nil
}

// joiner gives nothing the first time it is called and its separator then.
type joiner struct {
	sep  value.Value
	used bool
}

// TypeName implements value.Value.
func (*joiner) TypeName() string { return "Joiner" }

// Attr implements value.Object.
func (j *joiner) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "sep":
		return j.sep, true, nil
	case "used":
		return value.Bool(j.used), true, nil
	}
	return nil, false, nil
}

// Call implements value.Callable.
func (j *joiner) Call(_ *value.Meter, a value.Args) (value.Value, error) {
	if _, err := a.Bind("joiner"); err != nil {
		return nil, err
	}
	if !j.used {
		j.used = true
		return value.Trusted(""), nil
	}
	return j.sep, nil
}

// truth is the value of an optional argument as a condition.
func truth(v value.Value) bool { return v != nil && value.Truth(v) }

// orNone gives an optional argument, nil for None too.
func orNone(v value.Value) value.Value {
	if _, none := v.(value.None); none {
		return nil
	}
	return v
}
