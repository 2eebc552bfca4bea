package value

import (
	"errors"
	"math"
	"unicode/utf8"
)

// Iterator walks over the elements of a value.
type Iterator struct {
	next  func() (Value, bool, error)
	depth int
}

// Next gives the next element; false at the end.
func (it *Iterator) Next(m *Meter) (Value, bool, error) {
	if err := m.Step(1); err != nil {
		return nil, false, err
	}
	return it.next()
}

// NewIter makes a generator that draws on over (nil if it draws on nothing).
func NewIter(m *Meter, name string, over *Iterator, next func() (Value, bool, error)) (*Iter, error) {
	it := &Iter{Name: name}
	if over != nil {
		it.depth = over.depth + 1
	}
	if it.depth > MaxDepth {
		return nil, &LimitError{"nesting of iterators", MaxDepth}
	}
	done := false
	it.next = func() (Value, bool, error) {
		if done {
			return nil, false, nil
		}
		if err := m.Step(1); err != nil {
			return nil, false, err
		}
		v, ok, err := next()
		done = !ok || err != nil
		return v, ok, err
	}
	return it, nil
}

// Iterable is implemented by objects of the evaluator that can be iterated.
type Iterable interface {
	Value
	Iterate(m *Meter) (*Iterator, error)
}

// Iterate is iter(v).
func Iterate(m *Meter, v Value) (*Iterator, error) {
	switch v := v.(type) {
	case *List:
		return sliceIterator(func() []Value { return v.Items }), nil
	case *Tuple:
		return sliceIterator(func() []Value { return v.Items }), nil
	case *Dict:
		return v.iterator("keys"), nil
	case *View:
		return v.dict.iterator(v.kind), nil
	case *Range:
		i, n := int64(0), v.Len()
		return &Iterator{next: func() (Value, bool, error) {
			if i >= n {
				return nil, false, nil
			}
			i++
			return v.At(i - 1), true, nil
		}}, nil
	case Str:
		return v.iterator(m)
	case *Iter:
		return &Iterator{next: v.next, depth: v.depth}, nil
	case *Undefined:
		return sliceIterator(func() []Value { return nil }), nil
	case Iterable:
		return v.Iterate(m)
	}
	return nil, TypeErrorf("'%s' object is not iterable", v.TypeName())
}

func sliceIterator(items func() []Value) *Iterator {
	i := 0
	return &Iterator{next: func() (Value, bool, error) {
		if all := items(); i < len(all) {
			i++
			return all[i-1], true, nil
		}
		return nil, false, nil
	}}
}

func (d *Dict) iterator(kind string) *Iterator {
	i, size := 0, d.Len()
	return &Iterator{next: func() (Value, bool, error) {
		if d.Len() != size {
			return nil, false, &Error{"RuntimeError", "dictionary changed size during iteration"}
		}
		for i < len(d.keys) && d.keys[i] == nil {
			i++
		}
		if i >= len(d.keys) {
			return nil, false, nil
		}
		i++
		return d.entry(kind, i-1), true, nil
	}}
}

func (d *Dict) entry(kind string, i int) Value {
	switch kind {
	case "values":
		return d.values[i]
	case "items":
		return &Tuple{Items: []Value{d.keys[i], d.values[i]}}
	}
	return d.keys[i]
}

func (s Str) iterator(m *Meter) (*Iterator, error) {
	runs := s.plain() // the characters of a Markup are no Markup
	at := 0
	if s.m != nil && s.m != whole { // cut costs as much as there are spans: pay for it here
		if err := m.Step(len(s.m.spans) * (s.runeLen()/8 + 1)); err != nil {
			return nil, err
		}
	}
	return &Iterator{next: func() (Value, bool, error) {
		if at >= len(runs.s) {
			return nil, false, nil
		}
		_, n := utf8.DecodeRuneInString(runs.s[at:])
		at += n
		return runs.cut(at-n, at), true, nil
	}}, nil
}

// Collect is list(v) as a slice; the slice is new.
func Collect(m *Meter, v Value) ([]Value, error) {
	switch v := v.(type) {
	case *List:
		if err := m.Elements(len(v.Items)); err != nil {
			return nil, err
		}
		return append([]Value(nil), v.Items...), nil
	case *Tuple:
		if err := m.Elements(len(v.Items)); err != nil {
			return nil, err
		}
		return append([]Value(nil), v.Items...), nil
	}
	it, err := Iterate(m, v)
	if err != nil {
		return nil, err
	}
	var out []Value
	for {
		item, ok, err := it.Next(m)
		if err != nil || !ok {
			return out, err
		}
		if err := m.Elements(1); err != nil {
			return nil, err
		}
		out = append(out, item)
	}
}

// Len is len(v).
func Len(m *Meter, v Value) (int, error) {
	switch v := v.(type) {
	case Str:
		return v.runeLen(), m.Scan(len(v.s))
	case *List:
		return len(v.Items), nil
	case *Tuple:
		return len(v.Items), nil
	case *Dict:
		return v.Len(), nil
	case *View:
		return v.dict.Len(), nil
	case *Range:
		return int(v.Len()), nil
	case *Undefined:
		return 0, nil
	case interface {
		Length(m *Meter) (int, error)
	}:
		return v.Length(m)
	}
	return 0, TypeErrorf("object of type '%s' has no len()", v.TypeName())
}

// Contains is item in container.
func Contains(m *Meter, container, item Value) (bool, error) {
	switch c := container.(type) {
	case Str:
		s, ok := item.(Str)
		if !ok {
			return false, TypeErrorf("'in <string>' requires string as left operand, not %s", item.TypeName())
		}
		return indexOf(c.s, s.s, 0) >= 0, m.Scan(len(c.s) + len(s.s))
	case *Dict:
		_, ok, err := c.Get(m, item)
		return ok, err
	case *View:
		if c.kind == "keys" {
			_, ok, err := c.dict.Get(m, item)
			return ok, err
		}
	case *Range:
		f, ok := ToFloat(item)
		if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return false, nil
		}
		n := int64(f)
		inside := c.Step > 0 && n >= c.Start && n < c.Stop || c.Step < 0 && n <= c.Start && n > c.Stop
		return inside && (n-c.Start)%c.Step == 0, nil
	}
	it, err := Iterate(m, container)
	if err != nil {
		return false, TypeErrorf("argument of type '%s' is not iterable", container.TypeName())
	}
	for {
		v, ok, err := it.Next(m)
		if err != nil || !ok {
			return false, err
		}
		if same, err := Equal(m, v, item); err != nil || same {
			return same, err
		}
	}
}

// Index is v[key] for everything but slices. ok is false where Python raises TypeError or LookupError; other failures are errors.
func Index(m *Meter, v, key Value) (Value, bool, error) {
	switch v := v.(type) {
	case *Undefined:
		return nil, false, v.Fail()
	case *Dict:
		item, ok, err := v.Get(m, key)
		var limit *LimitError
		if err != nil && !errors.As(err, &limit) {
			return nil, false, nil
		}
		return item, ok, err
	case *List, *Tuple, Str, *Range:
		i, whole := toInt(key)
		if !whole {
			return nil, false, nil
		}
		return at(m, v, i)
	}
	return nil, false, nil
}

// at is v[i] for sequences.
func at(m *Meter, v Value, i int64) (Value, bool, error) {
	n, err := Len(m, v)
	if err != nil {
		return nil, false, err
	}
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i >= int64(n) {
		return nil, false, nil
	}
	switch v := v.(type) {
	case *List:
		return v.Items[i], true, nil
	case *Tuple:
		return v.Items[i], true, nil
	case *Range:
		return v.At(i), true, nil
	case Str:
		from := int(i)
		if n != len(v.s) {
			from = v.offset(int(i))
		}
		_, size := utf8.DecodeRuneInString(v.s[from:])
		return v.cut(from, from+size), true, nil
	}
	return nil, false, nil
}

// Slice is v[start:stop:step]; nil stands for an absent part.
func Slice(m *Meter, v, start, stop, step Value) (Value, error) {
	if u, ok := v.(*Undefined); ok {
		return nil, u.Fail()
	}
	switch v.(type) {
	case Str, *List, *Tuple, *Range:
	case *Dict:
		return nil, TypeErrorf("unhashable type: 'slice'")
	default:
		return nil, TypeErrorf("'%s' object is not subscriptable", v.TypeName())
	}
	n, err := Len(m, v)
	if err != nil {
		return nil, err
	}
	b, err := sliceBounds(n, start, stop, step)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case Str:
		return v.slice(m, n, b)
	case *List:
		items, err := pick(m, v.Items, b)
		return &List{Items: items}, err
	case *Tuple:
		items, err := pick(m, v.Items, b)
		return &Tuple{Items: items}, err
	}
	r := v.(*Range)
	return &Range{r.Start + int64(b.from)*r.Step, r.Start + int64(b.end)*r.Step, r.Step * int64(b.step)}, nil
}

// bounds is a slice of a sequence whose length is known: count elements from index from on, every step.
type bounds struct{ from, end, step, count int }

// sliceBounds fits [start:stop:step] to a sequence of n elements.
func sliceBounds(n int, start, stop, step Value) (b bounds, err error) {
	part := func(v Value, absent int) (int, error) {
		if _, none := v.(None); v == nil || none {
			return absent, nil
		}
		if u, ok := v.(*Undefined); ok {
			return 0, TypeErrorf("slice indices must be integers or None or have an __index__ method (%v)", u.Fail())
		}
		return IntArg(v, absent)
	}
	if b.step, err = part(step, 1); err != nil {
		return b, err
	}
	if b.step == 0 {
		return b, ValueErrorf("slice step cannot be zero")
	}
	low, high, first, last := 0, n, 0, n
	if b.step < 0 {
		low, high, first, last = -1, n-1, n-1, -1
	}
	clip := func(v Value, absent int) (int, error) {
		const none = 1<<40 + 1
		i, err := part(v, none)
		if i == none {
			return absent, err
		}
		if i < 0 {
			i += n
		}
		return min(max(i, low), high), err
	}
	if b.from, err = clip(start, first); err != nil {
		return b, err
	}
	if b.end, err = clip(stop, last); err != nil {
		return b, err
	}
	if b.step > 0 && b.end > b.from {
		b.count = (b.end-b.from-1)/b.step + 1
	} else if b.step < 0 && b.end < b.from {
		b.count = (b.from-b.end-1)/-b.step + 1
	}
	return b, nil
}

func pick(m *Meter, items []Value, b bounds) ([]Value, error) {
	if err := m.Elements(b.count); err != nil {
		return nil, err
	}
	out := make([]Value, b.count)
	for i := range out {
		out[i] = items[b.from+i*b.step]
	}
	return out, nil
}

// slice cuts characters; n is the length of s in characters.
func (s Str) slice(m *Meter, n int, sl bounds) (Value, error) {
	if sl.count == 0 {
		return Str{html: s.html}, nil
	}
	if err := m.Alloc(sl.count); err != nil {
		return nil, err
	}
	if sl.step == 1 {
		if n == len(s.s) {
			return s.cut(sl.from, sl.from+sl.count), nil
		}
		i := s.offset(sl.from)
		return s.cut(i, i+s.cut(i, len(s.s)).offset(sl.count)), nil
	}
	starts := make([]int, 0, n+1)
	for i := range s.s {
		starts = append(starts, i)
	}
	starts = append(starts, len(s.s))
	if err := m.Alloc(8 * len(starts)); err != nil {
		return nil, err
	}
	spans := 1
	if s.m != nil {
		spans += len(s.m.spans)
	}
	if err := m.Step(sl.count * (spans/8 + 1)); err != nil {
		return nil, err
	}
	var b Builder
	for i := 0; i < sl.count; i++ {
		k := sl.from + i*sl.step
		b.Add(s.cut(starts[k], starts[k+1]))
	}
	return b.Str().like(s), nil
}
