package jinja

import (
	"siskin/model/chat/jinja/pytext"
	"siskin/model/chat/jinja/value"
)

type testFunc func(in *interp, v value.Value, a value.Args) (bool, error)

// newTests gives the tests of Jinja.
func newTests() map[string]testFunc {
	t := map[string]testFunc{
		"odd":         remainder(1),
		"even":        remainder(0),
		"divisibleby": testDivisible,
		"defined":     is(func(v value.Value) bool { return !value.IsUndefined(v) }),
		"undefined":   is(value.IsUndefined),
		"none":        is(func(v value.Value) bool { _, ok := v.(value.None); return ok }),
		"boolean":     is(func(v value.Value) bool { _, ok := v.(value.Bool); return ok }),
		"true":        is(func(v value.Value) bool { return v == value.Value(value.Bool(true)) }),
		"false":       is(func(v value.Value) bool { return v == value.Value(value.Bool(false)) }),
		"integer":     is(isInteger),
		"float":       is(func(v value.Value) bool { _, ok := v.(value.Float); return ok }),
		"number":      is(isNumber),
		"string":      is(func(v value.Value) bool { _, ok := v.(value.Str); return ok }),
		"mapping":     is(func(v value.Value) bool { _, ok := v.(*value.Dict); return ok }),
		"sequence":    is(isSequence),
		"callable":    is(isCallable),
		"escaped":     is(func(v value.Value) bool { s, ok := v.(value.Str); return ok && s.IsMarkup() }),
		"iterable": func(in *interp, v value.Value, a value.Args) (bool, error) {
			if _, err := a.Bind("iterable"); err != nil {
				return false, err
			}
			_, err := value.Iterate(in.m, v)
			return err == nil, nil
		},
		"lower":  caseTest(pytext.IsLower),
		"upper":  caseTest(pytext.IsUpper),
		"sameas": testSame,
		"in":     testIn,
		"filter": func(in *interp, v value.Value, _ value.Args) (bool, error) {
			s, ok := v.(value.Str)
			return ok && in.lib.filters[s.String()] != nil, nil
		},
		"test": func(in *interp, v value.Value, _ value.Args) (bool, error) {
			s, ok := v.(value.Str)
			return ok && in.lib.tests[s.String()] != nil, nil
		},
	}
	for op, names := range map[string][]string{
		"==": {"eq", "equalto"}, "!=": {"ne"}, ">": {"gt", "greaterthan"}, ">=": {"ge"}, "<": {"lt", "lessthan"}, "<=": {"le"},
	} {
		for _, name := range append(names, op) {
			t[name] = comparison(op)
		}
	}
	return t
}

func is(f func(value.Value) bool) testFunc {
	return func(_ *interp, v value.Value, a value.Args) (bool, error) {
		_, err := a.Bind("test")
		return f(v), err
	}
}

func isInteger(v value.Value) bool {
	switch v.(type) {
	case value.Int, *value.Big:
		return true
	}
	return false
}

func isNumber(v value.Value) bool {
	switch v.(type) {
	case value.Int, *value.Big, value.Float, value.Bool:
		return true
	}
	return false
}

func isSequence(v value.Value) bool {
	switch v.(type) {
	case value.Str, *value.List, *value.Tuple, *value.Dict, *value.Range, *value.Undefined:
		return true
	}
	return false
}

func isCallable(v value.Value) bool {
	_, ok := v.(value.Callable)
	return ok || value.IsUndefined(v)
}

func remainder(want value.Int) testFunc {
	return func(in *interp, v value.Value, a value.Args) (bool, error) {
		if _, err := a.Bind("test"); err != nil {
			return false, err
		}
		r, err := value.Binary(in.m, "%", v, value.Int(2))
		if err != nil {
			return false, err
		}
		return value.Equal(in.m, r, want)
	}
}

func testDivisible(in *interp, v value.Value, a value.Args) (bool, error) {
	args, err := a.Bind("divisibleby", "num!")
	if err != nil {
		return false, err
	}
	r, err := value.Binary(in.m, "%", v, args[0])
	if err != nil {
		return false, err
	}
	return value.Equal(in.m, r, value.Int(0))
}

func caseTest(f func(string) bool) testFunc {
	return func(in *interp, v value.Value, a value.Args) (bool, error) {
		s, err := value.ToStr(in.m, v)
		if err != nil {
			return false, err
		}
		_, err = a.Bind("test")
		return f(s.String()), err
	}
}

func testSame(_ *interp, v value.Value, a value.Args) (bool, error) {
	args, err := a.Bind("sameas", "other!")
	if err != nil {
		return false, err
	}
	return value.Same(v, args[0]), nil
}

func testIn(in *interp, v value.Value, a value.Args) (bool, error) {
	args, err := a.Bind("in", "seq!")
	if err != nil {
		return false, err
	}
	return value.Contains(in.m, args[0], v)
}

func comparison(op string) testFunc {
	return func(in *interp, v value.Value, a value.Args) (bool, error) {
		args, err := a.Bind("compare", "/other!")
		if err != nil {
			return false, err
		}
		return value.Compare(in.m, op, v, args[0])
	}
}
