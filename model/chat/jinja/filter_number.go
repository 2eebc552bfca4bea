package jinja

import (
	"fmt"
	"math"
	"math/big"

	"siskin/model/chat/jinja/pytext"
	"siskin/model/chat/jinja/value"
)

// addNumberFilters adds the filters on numbers.
func addNumberFilters(f map[string]filterFunc) {
	f["abs"] = func(_ *interp, v value.Value, a value.Args) (value.Value, error) {
		if _, err := a.Bind("abs"); err != nil {
			return nil, err
		}
		return value.Abs(v)
	}
	f["int"] = filterInt
	f["float"] = filterFloat
	f["round"] = filterRound
	f["filesizeformat"] = filterFileSize
}

// toFloat is float(v); ok is false where Python raises TypeError or ValueError.
func toFloat(v value.Value) (f float64, ok bool, err error) {
	switch x := v.(type) {
	case value.Str:
		f, ok = value.ParseFloat(x.String())
		return f, ok, nil
	case *value.Undefined:
		return 0, false, x.Fail()
	case *value.Big:
		f, ok = value.ToFloat(v)
		if !ok {
			err = &value.Error{Kind: "OverflowError", Text: "int too large to convert to float"}
		}
		return f, ok, err
	}
	f, ok = value.ToFloat(v)
	return f, ok, nil
}

// scan charges the reading of a number from a string; the digits of a long one cost more than a look at them.
func scan(in *interp, v value.Value) error {
	if s, ok := v.(value.Str); ok {
		return in.m.Step(2 + len(s.String())/4)
	}
	return nil
}

func filterInt(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("int", "default", "base")
	if err != nil {
		return nil, err
	}
	if err := scan(in, v); err != nil {
		return nil, err
	}
	base, err := value.IntArg(args[1], 10)
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case value.Str:
		if n, ok := value.ParseInt(x.String(), base); ok {
			return n, nil
		}
	case value.Float:
		n, err := value.Truncate(float64(x))
		if err == nil || math.IsInf(float64(x), 0) {
			return n, err
		}
	case *value.Undefined:
		return nil, x.Fail()
	default:
		if n, ok := value.ToBig(v); ok {
			return value.FromBig(n), nil
		}
	}
	if f, ok, err := toFloat(v); ok && err == nil {
		if n, err := value.Truncate(f); err == nil {
			return n, nil
		}
	}
	if args[0] != nil {
		return args[0], nil
	}
	return value.Int(0), nil
}

func filterFloat(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("float", "default")
	if err != nil {
		return nil, err
	}
	if err := scan(in, v); err != nil {
		return nil, err
	}
	f, ok, err := toFloat(v)
	if err != nil || ok {
		return value.Float(f), err
	}
	if args[0] != nil {
		return args[0], nil
	}
	return value.Float(0), nil
}

func filterRound(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("round", "precision", "method")
	if err != nil {
		return nil, err
	}
	precision, err := value.IntArg(args[0], 0)
	if err != nil {
		return nil, err
	}
	method := "common"
	if args[1] != nil {
		s, _ := args[1].(value.Str)
		method = s.String()
	}
	switch method {
	case "common":
		return value.Round(v, precision)
	case "ceil", "floor":
	default:
		return nil, &value.Error{Kind: "FilterArgumentError", Text: "method must be common, ceil or floor"}
	}
	scale, err := value.Binary(in.m, "**", value.Int(10), value.Int(precision))
	if err != nil {
		return nil, err
	}
	scaled, err := value.Binary(in.m, "*", v, scale)
	if err != nil {
		return nil, err
	}
	if f, ok := scaled.(value.Float); ok {
		if method == "ceil" {
			f = value.Float(math.Ceil(float64(f)))
		} else {
			f = value.Float(math.Floor(float64(f)))
		}
		if scaled, err = value.Truncate(float64(f)); err != nil {
			return nil, err
		}
	}
	return value.Binary(in.m, "/", scaled, scale)
}

func filterFileSize(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("filesizeformat", "binary")
	if err != nil {
		return nil, err
	}
	if err := scan(in, v); err != nil {
		return nil, err
	}
	size, ok, err := toFloat(v)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, value.ValueErrorf("could not convert %s to float", v.TypeName())
	}
	base, suffix := 1000.0, "B"
	prefixes := []string{"k", "M", "G", "T", "P", "E", "Z", "Y"}
	if truth(args[0]) {
		base, suffix, prefixes[0] = 1024, "iB", "K"
	}
	switch {
	case size == 1:
		return value.Trusted("1 Byte"), nil
	case math.IsNaN(size):
		return nil, value.ValueErrorf("cannot convert float NaN to integer")
	case size < base:
		n, _ := big.NewFloat(size).Int(nil)
		return value.Trusted(n.String() + " Bytes"), nil
	}
	unit := base
	for i, prefix := range prefixes {
		unit *= base
		if size < unit || i == len(prefixes)-1 {
			n, err := pytext.Spec{Precision: 1, Type: 'f'}.Float(base * size / unit)
			return value.Trusted(fmt.Sprintf("%s %s%s", n, prefix, suffix)), err
		}
	}
	return nil, nil
}
