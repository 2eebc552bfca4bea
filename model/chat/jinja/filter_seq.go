package jinja

import (
	"siskin/model/chat/jinja/value"
)

// addSequenceFilters adds the filters on sequences and mappings.
func addSequenceFilters(f map[string]filterFunc) {
	f["attr"] = filterAttr
	f["batch"] = filterBatch
	f["slice"] = filterSlice
	f["count"] = filterLength
	f["length"] = filterLength
	f["default"] = filterDefault
	f["d"] = filterDefault
	f["dictsort"] = filterDictSort
	f["first"] = filterFirst
	f["last"] = filterLast
	f["groupby"] = filterGroupBy
	f["items"] = filterItems
	f["join"] = filterJoin
	f["list"] = filterList
	f["map"] = filterMap
	f["max"] = extreme("max")
	f["min"] = extreme("min")
	f["select"] = selector(false, true)
	f["reject"] = selector(false, false)
	f["selectattr"] = selector(true, true)
	f["rejectattr"] = selector(true, false)
	f["reverse"] = filterReverse
	f["sort"] = filterSort
	f["sum"] = filterSum
	f["unique"] = filterUnique
}

func filterLength(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("length"); err != nil {
		return nil, err
	}
	n, err := value.Len(in.m, v)
	return value.Int(n), err
}

func filterDefault(_ *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("default", "default_value", "boolean")
	if err != nil {
		return nil, err
	}
	if value.IsUndefined(v) || truth(args[1]) && !value.Truth(v) {
		if args[0] == nil {
			return value.Trusted(""), nil
		}
		return args[0], nil
	}
	return v, nil
}

func filterList(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("list"); err != nil {
		return nil, err
	}
	items, err := value.Collect(in.m, v)
	return &value.List{Items: items}, err
}

func filterFirst(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("first"); err != nil {
		return nil, err
	}
	it, err := value.Iterate(in.m, v)
	if err != nil {
		return nil, err
	}
	item, ok, err := it.Next(in.m)
	if err == nil && !ok {
		item = &value.Undefined{Hint: "No first item, sequence was empty."}
	}
	return item, err
}

func filterLast(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("last"); err != nil {
		return nil, err
	}
	items, err := reversible(in, v)
	if err != nil {
		return nil, err
	}
	if s, ok := v.(value.Str); ok && len(items) > 0 {
		return in.getItem(s, value.Int(-1))
	}
	if len(items) == 0 {
		return &value.Undefined{Hint: "No last item, sequence was empty."}, nil
	}
	return items[len(items)-1], nil
}

// reversible gives the elements of what reversed() takes.
func reversible(in *interp, v value.Value) ([]value.Value, error) {
	switch v.(type) {
	case *value.Iter, *loopObject:
		return nil, value.TypeErrorf("'%s' object is not reversible", v.TypeName())
	}
	return value.Collect(in.m, v)
}

func filterReverse(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("reverse"); err != nil {
		return nil, err
	}
	if s, ok := v.(value.Str); ok {
		return value.Slice(in.m, s, nil, nil, value.Int(-1))
	}
	items, err := value.Collect(in.m, v)
	if err != nil {
		return nil, &value.Error{Kind: "FilterArgumentError", Text: "argument must be iterable"}
	}
	for i, j := 0, len(items)-1; i < j; i, j = i+1, j-1 {
		items[i], items[j] = items[j], items[i]
	}
	if _, once := v.(*value.Iter); once {
		return &value.List{Items: items}, nil
	}
	return in.iterate(v.TypeName()+"_reverseiterator", items)
}

// iterate makes an iterator over elements that are known.
func (in *interp) iterate(name string, items []value.Value) (value.Value, error) {
	return value.NewIter(in.m, name, nil, func() (value.Value, bool, error) {
		if len(items) == 0 {
			return nil, false, nil
		}
		v := items[0]
		items = items[1:]
		return v, true, nil
	})
}

// generate makes a generator that draws on v, which must be iterable when it is first used; a false v gives nothing.
func (in *interp) generate(v value.Value, next func(it *value.Iterator) (value.Value, bool, error)) (value.Value, error) {
	var over *value.Iterator
	if it, ok := v.(*value.Iter); ok {
		over, _ = value.Iterate(in.m, it) // an Iter is iterable
	}
	it := over
	return value.NewIter(in.m, "generator", over, func() (value.Value, bool, error) {
		if it == nil {
			var err error
			if it, err = value.Iterate(in.m, v); err != nil {
				return nil, false, err
			}
		}
		return next(it)
	})
}

func filterItems(in *interp, v value.Value, a value.Args) (value.Value, error) {
	if _, err := a.Bind("items"); err != nil {
		return nil, err
	}
	switch d := v.(type) {
	case *value.Dict:
		v = itemsOf(d)
	case *value.Undefined:
	default:
		return nil, value.TypeErrorf("Can only get item pairs from a mapping.")
	}
	return in.generate(v, func(it *value.Iterator) (value.Value, bool, error) { return it.Next(in.m) })
}

func filterJoin(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("join", "d", "attribute")
	if err != nil {
		return nil, err
	}
	sep := value.Str{}
	if args[0] != nil {
		if sep, err = value.ToStr(in.m, args[0]); err != nil {
			return nil, err
		}
	}
	get := identity
	if attr := orNone(args[1]); attr != nil {
		get = in.attrGetter(attr, nil, false)
	}
	items, err := value.Collect(in.m, v)
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		if item, err = get(item); err != nil {
			return nil, err
		}
		if items[i], err = value.ToStr(in.m, item); err != nil {
			return nil, err
		}
	}
	return value.Join(in.m, sep, items)
}

func filterAttr(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("attr", "name!")
	if err != nil {
		return nil, err
	}
	name, _, err := value.StrArg(args[0])
	if err != nil {
		return nil, err
	}
	out, ok, err := in.safeAttr(v, name)
	if err != nil || ok {
		return out, err
	}
	return &value.Undefined{Obj: v, Name: name}, nil
}

// batches cuts elements into lists; size gives the length of list i, fill the number of fillers at its end.
func (in *interp) batches(items []value.Value, n int, size, fill func(i int) int, filler value.Value) (value.Value, error) {
	i := 0
	return value.NewIter(in.m, "generator", nil, func() (value.Value, bool, error) {
		if i >= n {
			return nil, false, nil
		}
		k, f := size(i), fill(i)
		i++
		if err := in.m.Elements(k + f); err != nil {
			return nil, false, err
		}
		l := &value.List{Items: append([]value.Value(nil), items[:k]...)}
		items = items[k:]
		for ; filler != nil && f > 0; f-- {
			l.Items = append(l.Items, filler)
		}
		return l, true, nil
	})
}

func filterBatch(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("batch", "linecount!", "fill_with")
	if err != nil {
		return nil, err
	}
	size, err := value.IntArg(args[0], 0)
	if err != nil {
		return nil, err
	}
	items, err := value.Collect(in.m, v)
	if err != nil {
		return nil, err
	}
	if size <= 0 { // no length is ever equal to it: one list, after an empty one for 0
		if size == 0 && len(items) > 0 {
			return in.batches(items, 2, func(i int) int { return i * len(items) }, func(int) int { return 0 }, nil)
		}
		size = max(len(items), 1)
	}
	n := (len(items) + size - 1) / size
	return in.batches(items, n,
		func(i int) int { return min(size, len(items)-i*size) },
		func(i int) int { return size - min(size, len(items)-i*size) }, orNone(args[1]))
}

func filterSlice(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("slice", "slices!", "fill_with")
	if err != nil {
		return nil, err
	}
	n, err := value.IntArg(args[0], 0)
	if err != nil {
		return nil, err
	}
	items, err := value.Collect(in.m, v)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, &value.Error{Kind: "ZeroDivisionError", Text: "integer division or modulo by zero"}
	}
	each, extra := len(items)/max(n, 1), len(items)%max(n, 1)
	more := func(i int) int {
		if i < extra {
			return 1
		}
		return 0
	}
	return in.batches(items, n, func(i int) int { return each + more(i) }, func(i int) int { return 1 - more(i) }, orNone(args[1]))
}

func filterSum(in *interp, v value.Value, a value.Args) (value.Value, error) {
	args, err := a.Bind("sum", "attribute", "start")
	if err != nil {
		return nil, err
	}
	get := identity
	if attr := orNone(args[0]); attr != nil {
		get = in.attrGetter(attr, nil, false)
	}
	var sum value.Value = value.Int(0)
	if args[1] != nil {
		sum = args[1]
	}
	if _, ok := sum.(value.Str); ok {
		return nil, value.TypeErrorf("sum() can't sum strings [use ''.join(seq) instead]")
	}
	it, err := value.Iterate(in.m, v)
	if err != nil {
		return nil, err
	}
	for {
		item, ok, err := it.Next(in.m)
		if err != nil || !ok {
			return sum, err
		}
		if item, err = get(item); err != nil {
			return nil, err
		}
		if sum, err = value.Binary(in.m, "+", sum, item); err != nil {
			return nil, err
		}
	}
}
