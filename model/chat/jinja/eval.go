package jinja

import (
	"fmt"
	"strings"

	"siskin/model/chat/jinja/syntax"
	"siskin/model/chat/jinja/value"
)

// eval computes an expression.
func (in *interp) eval(act *activation, x syntax.Expr) (value.Value, error) {
	if err := in.m.Step(1); err != nil {
		return nil, err
	}
	switch x := x.(type) {
	case *syntax.Const:
		return x.V, nil
	case *syntax.Name:
		if v := *act.at(x.Ref); v != nil {
			return v, nil
		}
		return &value.Undefined{Name: value.Trusted(x.Name)}, nil
	case *syntax.Attr:
		v, err := in.eval(act, x.X)
		if err != nil {
			return nil, err
		}
		return in.getAttr(v, x.Name)
	case *syntax.Index:
		v, err := in.eval(act, x.X)
		if err != nil {
			return nil, err
		}
		key, err := in.eval(act, x.Key)
		if err != nil {
			return nil, err
		}
		return in.getItem(v, key)
	case *syntax.Slice:
		return in.slice(act, x)
	case *syntax.Call:
		return in.call(act, x, nil)
	case *syntax.Filter:
		v, err := in.eval(act, x.X)
		if err != nil {
			return nil, err
		}
		return in.filter(act, x, v)
	case *syntax.Test:
		ok, err := in.test(act, x)
		return value.Bool(ok), err
	case *syntax.Compare:
		ok, err := in.compare(act, x)
		return value.Bool(ok), err
	case *syntax.Logic:
		v, err := in.eval(act, x.X)
		if err != nil || value.Truth(v) == x.Or {
			return v, err
		}
		return in.eval(act, x.Y)
	case *syntax.Cond:
		return in.inlineIf(act, x)
	}
	return in.evalOperator(act, x)
}

// evalOperator computes the operators and the literals of collections.
func (in *interp) evalOperator(act *activation, x syntax.Expr) (value.Value, error) {
	switch x := x.(type) {
	case *syntax.Binary:
		l, err := in.eval(act, x.X)
		if err != nil {
			return nil, err
		}
		r, err := in.eval(act, x.Y)
		if err != nil {
			return nil, err
		}
		return value.Binary(in.m, x.Op, l, r)
	case *syntax.Unary:
		v, err := in.eval(act, x.X)
		if err != nil {
			return nil, err
		}
		switch x.Op {
		case "not":
			return value.Bool(!value.Truth(v)), nil
		case "-":
			return value.Negate(v)
		}
		return value.Positive(v)
	case *syntax.Concat:
		return in.concat(act, x)
	case *syntax.List:
		items, err := in.evalAll(act, x.Items)
		return &value.List{Items: items}, err
	case *syntax.Tuple:
		items, err := in.evalAll(act, x.Items)
		return &value.Tuple{Items: items}, err
	case *syntax.Dict:
		return in.dict(act, x)
	}
	return nil, fmt.Errorf("cannot evaluate %T", x)
}

func (in *interp) evalAll(act *activation, xs []syntax.Expr) ([]value.Value, error) {
	if err := in.m.Elements(len(xs)); err != nil {
		return nil, err
	}
	out := make([]value.Value, len(xs))
	for i, x := range xs {
		v, err := in.eval(act, x)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (in *interp) dict(act *activation, x *syntax.Dict) (value.Value, error) {
	d := value.NewDict()
	for i, kx := range x.Keys {
		k, err := in.eval(act, kx)
		if err != nil {
			return nil, err
		}
		v, err := in.eval(act, x.Values[i])
		if err != nil {
			return nil, err
		}
		if err := d.Set(in.m, k, v); err != nil {
			return nil, err
		}
	}
	return d, in.m.Elements(1)
}

func (in *interp) concat(act *activation, x *syntax.Concat) (value.Value, error) {
	parts := make([]value.Str, len(x.Parts))
	for i, p := range x.Parts {
		v, err := in.eval(act, p)
		if err != nil {
			return nil, err
		}
		if parts[i], err = value.ToStr(in.m, v); err != nil {
			return nil, err
		}
	}
	return value.Concat(in.m, parts...)
}

func (in *interp) inlineIf(act *activation, x *syntax.Cond) (value.Value, error) {
	t, err := in.eval(act, x.Test)
	if err != nil {
		return nil, err
	}
	if value.Truth(t) {
		return in.eval(act, x.Then)
	}
	if x.Else == nil {
		return &value.Undefined{Hint: fmt.Sprintf("the inline if-expression on line %d evaluated to false and no else section was defined.", x.Line)}, nil
	}
	return in.eval(act, x.Else)
}

func (in *interp) slice(act *activation, x *syntax.Slice) (value.Value, error) {
	v, err := in.eval(act, x.X)
	if err != nil {
		return nil, err
	}
	var parts [3]value.Value
	for i, p := range []syntax.Expr{x.Start, x.Stop, x.Step} {
		if p == nil {
			continue
		}
		if parts[i], err = in.eval(act, p); err != nil {
			return nil, err
		}
	}
	return value.Slice(in.m, v, parts[0], parts[1], parts[2])
}

func (in *interp) compare(act *activation, x *syntax.Compare) (bool, error) {
	l, err := in.eval(act, x.X)
	if err != nil {
		return false, err
	}
	for i, op := range x.Ops {
		r, err := in.eval(act, x.Xs[i])
		if err != nil {
			return false, err
		}
		var ok bool
		switch op {
		case "in", "not in":
			ok, err = value.Contains(in.m, r, l)
			ok = ok == (op == "in")
		default:
			ok, err = value.Compare(in.m, op, l, r)
		}
		if err != nil || !ok {
			return false, err
		}
		l = r
	}
	return true, nil
}

// getAttr is v.name: the attribute if there is one, else the item.
func (in *interp) getAttr(v value.Value, name value.Str) (value.Value, error) {
	a, ok, err := in.safeAttr(v, name)
	if err != nil || ok {
		return a, err
	}
	item, ok, err := value.Index(in.m, v, name)
	if err != nil || ok {
		return item, err
	}
	return &value.Undefined{Obj: v, Name: name}, nil
}

// getItem is v[key]: the item if there is one, else the attribute.
func (in *interp) getItem(v, key value.Value) (value.Value, error) {
	item, ok, err := value.Index(in.m, v, key)
	if err != nil || ok {
		return item, err
	}
	if name, ok := key.(value.Str); ok {
		if a, ok, err := in.safeAttr(v, name); err != nil || ok {
			return a, err
		}
	}
	return &value.Undefined{Obj: v, Name: key}, nil
}

// safeAttr gives an attribute as the sandbox allows it: private and changing ones are an Undefined that says so.
func (in *interp) safeAttr(v value.Value, name value.Str) (value.Value, bool, error) {
	n := name.String()
	a, ok, err := value.Attr(v, n)
	if err != nil {
		return nil, false, err
	}
	private := strings.HasPrefix(n, "_")
	if !ok && !(private && strings.HasPrefix(n, "__") && strings.HasSuffix(n, "__")) {
		return nil, false, nil
	}
	if private || value.Mutates(v, n) && (!in.dialect.Mutation || value.IsFixed(v)) {
		return &value.Undefined{
			Hint:     fmt.Sprintf("access to attribute '%s' of '%s' object is unsafe.", n, v.TypeName()),
			Obj:      v,
			Name:     name,
			Security: true,
		}, true, nil
	}
	return a, true, nil
}
