package jinja

import (
	"strings"

	"siskin/model/chat/jinja/pytext"
	"siskin/model/chat/jinja/value"
)

// getter gives a part of an element, or a key to compare it by.
type getter func(value.Value) (value.Value, error)

func identity(v value.Value) (value.Value, error) { return v, nil }

// attrGetter makes a getter of an attribute path like "function.name" or 0. def, if not nil, stands for what is undefined;
// with fold strings are compared without case.
func (in *interp) attrGetter(attr, def value.Value, fold bool) getter {
	parts := []value.Value{}
	switch a := attr.(type) {
	case nil, value.None:
	case value.Str:
		for _, p := range strings.Split(a.String(), ".") {
			if n, ok := value.ParseInt(p, 10); ok && pytext.All(p, pytext.IsDigit) {
				parts = append(parts, n)
			} else {
				parts = append(parts, value.Trusted(p))
			}
		}
	default:
		parts = append(parts, attr)
	}
	return func(v value.Value) (value.Value, error) {
		if err := in.m.Step(1 + len(parts)); err != nil {
			return nil, err
		}
		for _, p := range parts {
			var err error
			if v, err = in.getItem(v, p); err != nil {
				return nil, err
			}
			if def != nil && value.IsUndefined(v) {
				v = def
			}
		}
		if s, ok := v.(value.Str); ok && fold {
			return value.MapWhole(in.m, s, pytext.Lower)
		}
		return v, nil
	}
}

// filterMap applies a filter to each element, or takes an attribute of it.
func filterMap(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if !value.Truth(v) {
		return in.iterate("generator", nil)
	}
	if len(a.Pos) == 0 {
		attr := a.Take("attribute")
		if attr == nil {
			return nil, &value.Error{Kind: "FilterArgumentError", Text: "map requires a filter argument"}
		}
		def := orNone(a.Take("default"))
		if len(a.Names) > 0 {
			return nil, &value.Error{Kind: "FilterArgumentError", Text: "Unexpected keyword argument '" + a.Names[0] + "'"}
		}
		get := in.attrGetter(attr, def, false)
		return in.mapped(v, get)
	}
	name, ok := a.Pos[0].(value.Str)
	if !ok {
		return nil, &value.Error{Kind: "TemplateRuntimeError", Text: "map: the name of a filter must be a string"}
	}
	rest := a
	rest.Pos = a.Pos[1:]
	return in.mapped(v, func(item value.Value) (value.Value, error) { return in.applyFilter(name.String(), item, rest) })
}

func (in *interp) mapped(v value.Value, get getter) (value.Value, error) {
	return in.generate(v, func(it *value.Iterator) (value.Value, bool, error) {
		item, ok, err := it.Next(in.m)
		if err != nil || !ok {
			return nil, false, err
		}
		item, err = get(item)
		return item, err == nil, err
	})
}

// selector makes select, reject and their attr forms: the elements for which a test holds (or does not).
func selector(attr, keep bool) filterFunc {
	return func(in *interp, v value.Value, a value.Args) (value.Value, error) {
		if !value.Truth(v) {
			return in.iterate("generator", nil)
		}
		get := identity
		if attr {
			if len(a.Pos) == 0 {
				return nil, &value.Error{Kind: "FilterArgumentError", Text: "Missing parameter for attribute name"}
			}
			get = in.attrGetter(a.Pos[0], nil, false)
			a.Pos = a.Pos[1:]
		}
		test := func(v value.Value) (bool, error) { return value.Truth(v), nil } //nolint:unparam // others can fail
		if len(a.Pos) > 0 {
			name, ok := a.Pos[0].(value.Str)
			if !ok {
				return nil, &value.Error{Kind: "TemplateRuntimeError", Text: "select: the name of a test must be a string"}
			}
			rest := a
			rest.Pos = a.Pos[1:]
			test = func(v value.Value) (bool, error) { return in.applyTest(name.String(), v, rest) }
		}
		return in.generate(v, func(it *value.Iterator) (value.Value, bool, error) {
			for {
				item, ok, err := it.Next(in.m)
				if err != nil || !ok {
					return nil, false, err
				}
				part, err := get(item)
				if err != nil {
					return nil, false, err
				}
				if ok, err = test(part); err != nil || ok == keep {
					return item, err == nil, err
				}
			}
		})
	}
}

func filterSort(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("sort", "reverse", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	attrs := []value.Value{args[2]}
	if s, ok := args[2].(value.Str); ok {
		attrs = nil
		for _, p := range strings.Split(s.String(), ",") {
			attrs = append(attrs, value.Trusted(p))
		}
	}
	var gets []getter
	for _, attr := range attrs {
		get := in.attrGetter(attr, nil, !truth(args[1]))
		gets = append(gets, get)
	}
	items, err := value.Collect(in.m, v)
	if err != nil {
		return nil, err
	}
	err = value.Sort(in.m, items, func(v value.Value) (value.Value, error) {
		key := &value.List{}
		for _, get := range gets {
			k, err := get(v)
			if err != nil {
				return nil, err
			}
			key.Items = append(key.Items, k)
		}
		return key, nil
	}, truth(args[0]))
	return &value.List{Items: items}, err
}

func filterDictSort(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("dictsort", "case_sensitive", "by", "reverse")
	if err != nil {
		return nil, err
	}
	pos := value.Int(0)
	if by, ok := args[1].(value.Str); args[1] != nil {
		switch {
		case ok && by.String() == "key":
		case ok && by.String() == "value":
			pos = 1
		default:
			return nil, &value.Error{Kind: "FilterArgumentError", Text: `You can only sort by either "key" or "value"`}
		}
	}
	d, ok := v.(*value.Dict)
	if !ok {
		if u, is := v.(*value.Undefined); is {
			return nil, u.Fail()
		}
		return nil, &value.Error{Kind: "AttributeError", Text: "'" + v.TypeName() + "' object has no attribute 'items'"}
	}
	items, err := value.Collect(in.m, itemsOf(d))
	if err != nil {
		return nil, err
	}
	get := in.attrGetter(pos, nil, !truth(args[0]))
	return &value.List{Items: items}, value.Sort(in.m, items, get, truth(args[2]))
}

// extreme makes min and max.
func extreme(name string) filterFunc {
	return func(in *interp, v value.Value, a value.Args) (value.Value, error) {
		args, err := a.Bind(name, "case_sensitive", "attribute")
		if err != nil {
			return nil, err
		}
		get := in.attrGetter(args[1], nil, !truth(args[0]))
		it, err := value.Iterate(in.m, v)
		if err != nil {
			return nil, err
		}
		var best, bestKey value.Value
		for {
			item, ok, err := it.Next(in.m)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			key, err := get(item)
			if err != nil {
				return nil, err
			}
			if best != nil {
				less, err := false, error(nil)
				if name == "min" {
					less, err = value.Less(in.m, key, bestKey)
				} else {
					less, err = value.Less(in.m, bestKey, key)
				}
				if err != nil {
					return nil, err
				}
				if !less {
					continue
				}
			}
			best, bestKey = item, key
		}
		if best == nil {
			return &value.Undefined{Hint: "No aggregated item, sequence was empty."}, nil
		}
		return best, nil
	}
}

func filterUnique(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("unique", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	get := in.attrGetter(args[1], nil, !truth(args[0]))
	seen := value.NewDict()
	return in.generate(v, func(it *value.Iterator) (value.Value, bool, error) {
		for {
			item, ok, err := it.Next(in.m)
			if err != nil || !ok {
				return nil, false, err
			}
			key, err := get(item)
			if err != nil {
				return nil, false, err
			}
			n := seen.Len()
			if err := seen.Set(in.m, key, value.None{}); err != nil {
				return nil, false, err
			}
			if seen.Len() > n {
				return item, true, nil
			}
		}
	})
}

func filterGroupBy(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("groupby", "attribute!", "default", "case_sensitive")
	if err != nil {
		return nil, err
	}
	fold := !truth(args[2])
	get := in.attrGetter(args[0], orNone(args[1]), fold)
	plain := in.attrGetter(args[0], orNone(args[1]), false)
	items, err := value.Collect(in.m, v)
	if err == nil {
		err = value.Sort(in.m, items, get, false)
	}
	if err != nil {
		return nil, err
	}
	groups := &value.List{}
	var last value.Value
	for _, item := range items {
		key, err := get(item)
		if err != nil {
			return nil, err
		}
		same := false
		if last != nil {
			if same, err = value.Equal(in.m, key, last); err != nil {
				return nil, err
			}
		}
		if !same {
			last = key
			shown, err := plain(item)
			if err != nil {
				return nil, err
			}
			groups.Items = append(groups.Items, &value.Tuple{Items: []value.Value{shown, &value.List{}}, Names: []string{"grouper", "list"}})
		}
		members := groups.Items[len(groups.Items)-1].(*value.Tuple).Items[1].(*value.List)
		members.Items = append(members.Items, item)
		if err := in.m.Elements(2); err != nil {
			return nil, err
		}
	}
	return groups, nil
}
