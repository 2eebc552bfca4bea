package jinja

import (
	"errors"

	"siskin/model/chat/jinja/syntax"
	"siskin/model/chat/jinja/value"
)

// interp is one render.
type interp struct {
	m        *value.Meter
	limits   Limits
	dialect  Dialect
	lib      *library
	vars     *value.Dict
	globals  map[string]value.Value
	exported map[string]value.Value // what the template assigned at its top level
	calls    int                    // nested macro calls
}

// activation holds the variables of one run of a function; nil slots are undefined.
type activation struct {
	slots  []value.Value
	parent *activation
}

func (a *activation) at(r syntax.Ref) *value.Value {
	for i := r.Up; i > 0; i-- {
		a = a.parent
	}
	return &a.slots[r.Slot]
}

// jump is how a list of statements ended.
type jump int

const (
	jumpNone jump = iota
	jumpBreak
	jumpContinue
)

// enter initialises the variables of a scope.
func (in *interp) enter(act *activation, s syntax.Scope) {
	for _, l := range s.Loads {
		switch l.Kind {
		case syntax.LoadResolve:
			act.slots[l.Slot] = in.resolve(l.Name)
		case syntax.LoadAlias:
			act.slots[l.Slot] = *act.at(l.From)
		case syntax.LoadUndefined:
			act.slots[l.Slot] = nil
		}
	}
}

// resolve looks a name up among the globals; nil if there is none.
func (in *interp) resolve(name string) value.Value {
	if v := in.exported[name]; v != nil {
		return v
	}
	if v, ok := in.vars.GetStr(name); ok {
		return v
	}
	if v := in.globals[name]; v != nil {
		return v
	}
	return in.lib.globals[name]
}

// write prints text.
func (in *interp) write(out *value.Builder, s value.Str) error {
	if err := in.m.Alloc(len(s.String())); err != nil {
		return err
	}
	out.Add(s)
	if out.Len() > in.limits.Output {
		return &value.LimitError{What: "bytes of output", Limit: int64(in.limits.Output)}
	}
	return nil
}

// wrap adds the line to an error that has none yet.
func wrap(line int, err error) error {
	var at *Error
	if err == nil || errors.As(err, &at) {
		return err
	}
	return &Error{line, err}
}

func (in *interp) stmts(act *activation, out *value.Builder, body []syntax.Stmt) (jump, error) {
	for _, st := range body {
		if err := in.m.Step(1); err != nil {
			return jumpNone, err
		}
		j, err := in.stmt(act, out, st)
		if j != jumpNone || err != nil {
			return j, err
		}
	}
	return jumpNone, nil
}

func (in *interp) stmt(act *activation, out *value.Builder, st syntax.Stmt) (jump, error) {
	switch st := st.(type) {
	case *syntax.Output:
		return jumpNone, in.output(act, out, st)
	case *syntax.If:
		return in.cond(act, out, st)
	case *syntax.For:
		return in.forStmt(act, out, st)
	case *syntax.Set:
		v, err := in.eval(act, st.X)
		if err == nil {
			err = in.assign(act, st.Target, v, st.Top)
		}
		return jumpNone, wrap(st.Line, err)
	case *syntax.SetBlock:
		return in.setBlock(act, st)
	case *syntax.Macro:
		m := &macro{in: in, def: st, act: act}
		return jumpNone, in.assign(act, st.Name, m, st.Top)
	case *syntax.CallBlock:
		caller := &macro{in: in, def: st.Body, act: act}
		v, err := in.call(act, st.Call, caller)
		if err == nil {
			err = in.print(out, v)
		}
		return jumpNone, wrap(st.Line, err)
	case *syntax.FilterBlock:
		in.enter(act, st.Scope)
		text, j, err := in.capture(act, st.Body)
		if err != nil || j != jumpNone {
			return j, err
		}
		v, err := in.filtered(act, st.Filter, text)
		if err == nil {
			err = in.print(out, v)
		}
		return jumpNone, wrap(st.Line, err)
	case *syntax.With:
		return in.with(act, out, st)
	case *syntax.Scoped:
		in.enter(act, st.Scope)
		return in.stmts(act, out, st.Body)
	case *syntax.Block:
		inner := &activation{slots: make([]value.Value, st.Func.Slots)}
		in.enter(inner, st.Scope)
		return in.stmts(inner, out, st.Body)
	case *syntax.Jump:
		if st.Break {
			return jumpBreak, nil
		}
		return jumpContinue, nil
	case *syntax.Refused:
		return jumpNone, &Error{st.Line, errors.New("the tag '" + st.Tag + "' needs other templates: a chat template stands alone")}
	}
	return jumpNone, nil
}

func (in *interp) output(act *activation, out *value.Builder, st *syntax.Output) error {
	for _, x := range st.Parts {
		v, err := in.eval(act, x)
		if err == nil {
			err = in.print(out, v)
		}
		if err != nil {
			return wrap(syntax.Line(x), err)
		}
	}
	return nil
}

func (in *interp) print(out *value.Builder, v value.Value) error {
	s, err := value.ToStr(in.m, v)
	if err != nil {
		return err
	}
	return in.write(out, s)
}

func (in *interp) cond(act *activation, out *value.Builder, st *syntax.If) (jump, error) {
	v, err := in.eval(act, st.Test)
	if err != nil {
		return jumpNone, wrap(syntax.Line(st.Test), err)
	}
	if value.Truth(v) {
		return in.stmts(act, out, st.Body)
	}
	for _, e := range st.Elifs {
		v, err := in.eval(act, e.Test)
		if err != nil {
			return jumpNone, wrap(syntax.Line(e.Test), err)
		}
		if value.Truth(v) {
			return in.stmts(act, out, e.Body)
		}
	}
	return in.stmts(act, out, st.Else)
}

// capture runs statements and gives what they print.
func (in *interp) capture(act *activation, body []syntax.Stmt) (value.Str, jump, error) {
	var b value.Builder
	j, err := in.stmts(act, &b, body)
	if err != nil {
		return value.Str{}, j, err
	}
	return b.Str(), j, nil
}

func (in *interp) setBlock(act *activation, st *syntax.SetBlock) (jump, error) {
	in.enter(act, st.Scope)
	text, j, err := in.capture(act, st.Body)
	if err != nil || j != jumpNone {
		return j, err
	}
	var v value.Value = text
	if st.Filter != nil {
		if v, err = in.filtered(act, st.Filter, text); err != nil {
			return jumpNone, wrap(st.Line, err)
		}
	}
	return jumpNone, wrap(st.Line, in.assign(act, st.Target, v, st.Top))
}

func (in *interp) with(act *activation, out *value.Builder, st *syntax.With) (jump, error) {
	in.enter(act, st.Scope)
	for i, t := range st.Targets {
		v, err := in.eval(act, st.Values[i])
		if err == nil {
			err = in.assign(act, t, v, false)
		}
		if err != nil {
			return jumpNone, wrap(st.Line, err)
		}
	}
	return in.stmts(act, out, st.Body)
}

// assign stores a value; top tells that names become globals of the template too.
func (in *interp) assign(act *activation, target syntax.Expr, v value.Value, top bool) error {
	switch t := target.(type) {
	case *syntax.Name:
		*act.at(t.Ref) = v
		if top {
			in.exported[t.Name] = v
		}
	case *syntax.NSRef:
		ns, ok := (*act.at(t.Ref)).(*value.Namespace)
		if !ok {
			return &value.Error{Kind: "TemplateRuntimeError", Text: "cannot assign attribute on non-namespace object"}
		}
		return ns.Attrs.Set(in.m, value.Trusted(t.Attr), v)
	case *syntax.Tuple:
		items, err := value.Collect(in.m, v)
		if err != nil {
			return value.TypeErrorf("cannot unpack non-iterable %s object", v.TypeName())
		}
		if len(items) != len(t.Items) {
			return value.ValueErrorf("cannot unpack %d values into %d names", len(items), len(t.Items))
		}
		for i, item := range t.Items {
			if err := in.assign(act, item, items[i], top); err != nil {
				return err
			}
		}
	}
	return nil
}
