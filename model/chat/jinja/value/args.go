package value

import "strings"

// Args are the arguments of a call.
type Args struct {
	Pos   []Value
	Names []string // of the keyword arguments, in order
	Kw    []Value
}

// Bind fits the arguments to parameters: one result per parameter, nil where it was not given. A parameter whose name ends
// in "!" is required; one that starts with "/" cannot be given by name. fn names the function in errors.
func (a Args) Bind(fn string, params ...string) ([]Value, error) {
	if len(a.Pos) > len(params) {
		return nil, TypeErrorf("%s() takes at most %d arguments (%d given)", fn, len(params), len(a.Pos))
	}
	out := make([]Value, len(params))
	copy(out, a.Pos)
	for i, name := range a.Names {
		at := -1
		for j, p := range params {
			if strings.TrimSuffix(p, "!") == name {
				at = j
			}
		}
		if at < 0 {
			return nil, TypeErrorf("%s() got an unexpected keyword argument '%s'", fn, name)
		}
		if out[at] != nil {
			return nil, TypeErrorf("%s() got multiple values for argument '%s'", fn, name)
		}
		out[at] = a.Kw[i]
	}
	for j, p := range params {
		if strings.HasSuffix(p, "!") && out[j] == nil {
			return nil, TypeErrorf("%s() missing required argument '%s'", fn, strings.Trim(p, "/!"))
		}
	}
	return out, nil
}

// Take removes a keyword argument; nil if it was not given.
func (a *Args) Take(name string) Value {
	for i, n := range a.Names {
		if n == name {
			v := a.Kw[i]
			a.Names = append(append([]string(nil), a.Names[:i]...), a.Names[i+1:]...)
			a.Kw = append(append([]Value(nil), a.Kw[:i]...), a.Kw[i+1:]...)
			return v
		}
	}
	return nil
}

// IntArg gives an argument as int: absent for nil or None (None only if none is set), an error for what is not a whole number.
func IntArg(v Value, absent int) (int, error) {
	switch v := v.(type) {
	case nil:
		return absent, nil
	case Int:
		if int64(v) > 1<<40 {
			return 1 << 40, nil
		}
		if int64(v) < -1<<40 {
			return -1 << 40, nil
		}
		return int(v), nil
	case Bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case *Big:
		if v.n.Sign() < 0 {
			return -1 << 40, nil
		}
		return 1 << 40, nil
	case *Undefined:
		return 0, v.Fail()
	}
	return 0, TypeErrorf("'%s' object cannot be interpreted as an integer", v.TypeName())
}

// StrArg gives an argument as Str; ok is false for nil and None.
func StrArg(v Value) (s Str, ok bool, err error) {
	switch v := v.(type) {
	case nil, None:
		return Str{}, false, nil
	case Str:
		return v, true, nil
	case *Undefined:
		return Str{}, false, v.Fail()
	}
	return Str{}, false, TypeErrorf("expected str, not '%s'", v.TypeName())
}
