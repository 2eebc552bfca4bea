package jinja

import (
	"siskin/model/chat/jinja/syntax"
	"siskin/model/chat/jinja/value"
)

// args evaluates the arguments of a call, filter or test.
func (in *interp) args(act *activation, x *syntax.Args) (a value.Args, err error) {
	if len(x.Pos) > 0 {
		if a.Pos, err = in.evalAll(act, x.Pos); err != nil {
			return a, err
		}
	}
	if x.Star != nil {
		v, err := in.eval(act, x.Star)
		if err != nil {
			return a, err
		}
		more, err := value.Collect(in.m, v)
		if err != nil {
			return a, err
		}
		a.Pos = append(a.Pos, more...)
	}
	if len(x.Kw) > 0 {
		if a.Kw, err = in.evalAll(act, x.Kw); err != nil {
			return a, err
		}
		a.Names = append([]string(nil), x.Names...)
	}
	if x.StarStar != nil {
		return in.starStar(act, x.StarStar, a)
	}
	return a, nil
}

// starStar adds the entries of a dict as keyword arguments.
func (in *interp) starStar(act *activation, x syntax.Expr, a value.Args) (value.Args, error) {
	v, err := in.eval(act, x)
	if err != nil {
		return a, err
	}
	d, ok := v.(*value.Dict)
	if !ok {
		return a, value.TypeErrorf("argument after ** must be a mapping, not %s", v.TypeName())
	}
	if err := in.m.Elements(d.Len()); err != nil {
		return a, err
	}
	for k, v := range d.All() {
		name, ok := k.(value.Str)
		if !ok {
			return a, value.TypeErrorf("keywords must be strings")
		}
		for _, n := range a.Names {
			if n == name.String() {
				return a, value.TypeErrorf("got multiple values for keyword argument '%s'", n)
			}
		}
		a.Names, a.Kw = append(a.Names, name.String()), append(a.Kw, v)
		if err := in.m.Step(len(a.Names)); err != nil {
			return a, err
		}
	}
	return a, nil
}

// call evaluates a call; caller, if not nil, is passed as the macro of a call block.
func (in *interp) call(act *activation, x *syntax.Call, caller *macro) (value.Value, error) {
	fn, err := in.eval(act, x.Fn)
	if err != nil {
		return nil, err
	}
	a, err := in.args(act, &x.Args)
	if err != nil {
		return nil, err
	}
	if caller != nil {
		a.Names, a.Kw = append(a.Names, "caller"), append(a.Kw, value.Value(caller))
	}
	v, err := in.invoke(fn, a)
	return v, wrap(x.Line, err)
}

func (in *interp) invoke(fn value.Value, a value.Args) (value.Value, error) {
	switch f := fn.(type) {
	case value.Callable:
		return f.Call(in.m, a)
	case *value.Undefined:
		return nil, f.Fail()
	}
	return nil, value.TypeErrorf("'%s' object is not callable", fn.TypeName())
}

// macro is a macro, or the body of a call block, with the variables around its definition.
type macro struct {
	in  *interp
	def *syntax.Macro
	act *activation
}

// TypeName implements value.Value.
func (*macro) TypeName() string { return "Macro" }

// String is its repr.
func (f *macro) String() string {
	if f.def.Name == nil {
		return "<Macro anonymous>"
	}
	return "<Macro '" + f.def.Name.Name + "'>"
}

func (f *macro) name() string {
	if f.def.Name == nil {
		return "caller"
	}
	return f.def.Name.Name
}

// Attr implements value.Object: what a template can ask about a macro.
func (f *macro) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "name":
		return value.Trusted(f.name()), true, nil
	case "arguments":
		l := &value.List{}
		for _, p := range f.def.Params {
			l.Items = append(l.Items, value.Trusted(p.Name))
		}
		return l, true, nil
	case "catch_kwargs":
		return value.Bool(f.def.Kwargs != nil), true, nil
	case "catch_varargs":
		return value.Bool(f.def.Varargs != nil), true, nil
	case "caller":
		return value.Bool(f.def.Caller != nil), true, nil
	}
	return nil, false, nil
}

// Call implements value.Callable: it renders the macro to a string.
func (f *macro) Call(m *value.Meter, a value.Args) (value.Value, error) {
	in := f.in
	in.calls++
	defer func() { in.calls-- }()
	if in.calls > in.limits.Calls {
		return nil, &value.LimitError{What: "nested calls", Limit: int64(in.limits.Calls)}
	}
	if err := m.Elements(f.def.Func.Slots); err != nil {
		return nil, err
	}
	act := &activation{slots: make([]value.Value, f.def.Func.Slots), parent: f.act}
	in.enter(act, f.def.Scope)
	if err := f.bind(act, a); err != nil {
		return nil, err
	}
	text, _, err := in.capture(act, f.def.Body)
	return text, err
}

// bind stores the arguments of a call in the parameters.
func (f *macro) bind(act *activation, a value.Args) error {
	set := func(n *syntax.Name, v value.Value) { *act.at(n.Ref) = v }
	params := f.def.Params
	n := min(len(a.Pos), len(params))
	for i, p := range params {
		v := value.Value(nil)
		if i < n {
			v = a.Pos[i]
		} else {
			v = a.Take(p.Name)
		}
		set(p, v)
	}
	if f.def.Caller != nil {
		v := a.Take("caller")
		if _, none := v.(value.None); v == nil || none {
			v = &value.Undefined{Hint: "No caller defined", Name: value.Trusted("caller")}
		}
		set(f.def.Caller, v)
	}
	if f.def.Kwargs != nil {
		kw := value.NewDict()
		for i, name := range a.Names {
			kw.SetStr(name, a.Kw[i])
		}
		set(f.def.Kwargs, kw)
	} else if len(a.Names) > 0 {
		return value.TypeErrorf("macro '%s' takes no keyword argument '%s'", f.name(), a.Names[0])
	}
	if f.def.Varargs != nil {
		set(f.def.Varargs, &value.Tuple{Items: a.Pos[n:]})
	} else if len(a.Pos) > len(params) {
		return value.TypeErrorf("macro '%s' takes not more than %d argument(s)", f.name(), len(params))
	}
	return f.defaults(act)
}

// defaults fills the parameters that got no argument.
func (f *macro) defaults(act *activation) error {
	first := len(f.def.Params) - len(f.def.Defaults)
	for i, p := range f.def.Params {
		slot := act.at(p.Ref)
		if *slot != nil {
			continue
		}
		if i < first {
			*slot = &value.Undefined{Hint: "parameter '" + p.Name + "' was not provided", Name: value.Trusted(p.Name)}
			continue
		}
		v, err := f.in.eval(act, f.def.Defaults[i-first])
		if err != nil {
			return wrap(p.Line, err)
		}
		*slot = v
	}
	return nil
}

// filter applies a filter node to a value.
func (in *interp) filter(act *activation, x *syntax.Filter, v value.Value) (value.Value, error) {
	a, err := in.args(act, &x.Args)
	if err != nil {
		return nil, err
	}
	out, err := in.applyFilter(x.Name, v, a)
	return out, wrap(x.Line, err)
}

// filtered applies the chain of filters of a block to its text.
func (in *interp) filtered(act *activation, x *syntax.Filter, text value.Str) (value.Value, error) {
	var v value.Value = text
	if inner, ok := x.X.(*syntax.Filter); ok {
		var err error
		if v, err = in.filtered(act, inner, text); err != nil {
			return nil, err
		}
	}
	return in.filter(act, x, v)
}

func (in *interp) applyFilter(name string, v value.Value, a value.Args) (value.Value, error) {
	f := in.lib.filters[name]
	if f == nil {
		return nil, &value.Error{Kind: "TemplateRuntimeError", Text: "No filter named '" + name + "' found."}
	}
	return f(in, v, a)
}

func (in *interp) test(act *activation, x *syntax.Test) (bool, error) {
	v, err := in.eval(act, x.X)
	if err != nil {
		return false, err
	}
	a, err := in.args(act, &x.Args)
	if err != nil {
		return false, err
	}
	ok, err := in.applyTest(x.Name, v, a)
	return ok, wrap(x.Line, err)
}

func (in *interp) applyTest(name string, v value.Value, a value.Args) (bool, error) {
	f := in.lib.tests[name]
	if f == nil {
		return false, &value.Error{Kind: "TemplateRuntimeError", Text: "No test named '" + name + "' found."}
	}
	return f(in, v, a)
}
