package value

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// List is Python's list.
type List struct {
	Items []Value
	fixed bool // input: no template may change it
}

// Tuple is Python's tuple; Names, if set, gives its fields names as in a namedtuple.
type Tuple struct {
	Items []Value
	Names []string
}

// Dict is Python's dict: keys keep the order of their first insertion.
type Dict struct {
	keys, values []Value // nil keys are deleted entries
	index        map[hashKey]int
	deleted      int
	fixed        bool // input: no template may change it
}

// Namespace is what namespace() makes: attributes that {% set ns.x = … %} changes.
type Namespace struct{ Attrs *Dict }

// Range is Python's range.
type Range struct{ Start, Stop, Step int64 }

// View is what dict.keys, values and items give.
type View struct {
	dict *Dict
	kind string // keys, values, items
}

// Iter is an iterator that can be used once, like a generator.
type Iter struct {
	Name  string // of the Python type
	next  func() (Value, bool, error)
	depth int // nested iterators below
}

// TypeName implements Value.
func (*List) TypeName() string { return "list" }

// TypeName implements Value.
func (*Tuple) TypeName() string { return "tuple" }

// TypeName implements Value.
func (*Dict) TypeName() string { return "dict" }

// TypeName implements Value.
func (*Namespace) TypeName() string { return "Namespace" }

// TypeName implements Value.
func (*Range) TypeName() string { return "range" }

// TypeName implements Value.
func (v *View) TypeName() string { return "dict_" + v.kind }

// TypeName implements Value.
func (i *Iter) TypeName() string { return i.Name }

// NewDict gives an empty dict.
func NewDict() *Dict { return &Dict{index: map[hashKey]int{}} }

// hashKey identifies a key: numbers that are equal have the same one, marks do not count.
type hashKey struct {
	kind byte // 'n' whole number, 'f' float, 's' string, 'o' the rest
	n    int64
	s    string
}

// keyOf gives the hashKey of a value; an error if it is not hashable.
func keyOf(m *Meter, v Value) (hashKey, error) {
	switch v := v.(type) {
	case Str:
		return hashKey{kind: 's', s: v.s}, nil
	case Int:
		return hashKey{kind: 'n', n: int64(v)}, nil
	case Bool:
		n, _ := toInt(v)
		return hashKey{kind: 'n', n: n}, nil
	case Float:
		if f := float64(v); f == math.Trunc(f) && math.Abs(f) < 1<<62 {
			return hashKey{kind: 'n', n: int64(f)}, nil
		}
		return hashKey{kind: 'f', n: int64(math.Float64bits(float64(v)))}, nil
	case None:
		return hashKey{kind: 'o', s: "None"}, nil
	case *Undefined:
		return hashKey{kind: 'o', s: "Undefined"}, nil
	case *Big:
		return hashKey{kind: 'o', s: v.n.Text(62)}, nil
	case *Tuple:
		return tupleKey(m, v)
	case *List, *Dict:
		return hashKey{}, TypeErrorf("unhashable type: '%s'", v.TypeName())
	}
	return hashKey{kind: 'o', s: fmt.Sprintf("%p", v)}, nil
}

func tupleKey(m *Meter, t *Tuple) (hashKey, error) {
	if err := m.enter(); err != nil {
		return hashKey{}, err
	}
	defer m.leave()
	b := []byte("(")
	for _, item := range t.Items {
		k, err := keyOf(m, item)
		if err != nil {
			return k, err
		}
		b = append(b, k.kind)
		b = strconv.AppendInt(b, k.n, 36)
		b = append(b, ' ')
		b = strconv.AppendQuote(b, k.s)
		if err := m.Alloc(len(b) / 4); err != nil {
			return k, err
		}
	}
	return hashKey{kind: 'o', s: string(b)}, nil
}

// Len is the number of entries.
func (d *Dict) Len() int { return len(d.keys) - d.deleted }

// Get looks up a key.
func (d *Dict) Get(m *Meter, key Value) (Value, bool, error) {
	k, err := keyOf(m, key)
	if err != nil {
		return nil, false, err
	}
	if err := m.Scan(len(k.s)); err != nil {
		return nil, false, err
	}
	if i, ok := d.index[k]; ok {
		return d.values[i], true, nil
	}
	return nil, false, nil
}

// GetStr looks up a string key.
func (d *Dict) GetStr(key string) (Value, bool) {
	if i, ok := d.index[hashKey{kind: 's', s: key}]; ok {
		return d.values[i], true
	}
	return nil, false
}

// Set inserts or replaces an entry.
func (d *Dict) Set(m *Meter, key, v Value) error {
	k, err := keyOf(m, key)
	if err != nil {
		return err
	}
	if err := m.Scan(len(k.s)); err != nil {
		return err
	}
	if i, ok := d.index[k]; ok {
		d.values[i] = v
		return nil
	}
	if err := m.Elements(2); err != nil {
		return err
	}
	d.insert(k, key, v)
	return nil
}

// SetStr inserts or replaces the entry of a trusted string key. It charges nothing: it is for building values in code.
func (d *Dict) SetStr(key string, v Value) {
	k := hashKey{kind: 's', s: key}
	if i, ok := d.index[k]; ok {
		d.values[i] = v
		return
	}
	d.insert(k, Trusted(key), v)
}

func (d *Dict) insert(k hashKey, key, v Value) {
	d.index[k] = len(d.keys)
	d.keys = append(d.keys, key)
	d.values = append(d.values, v)
}

// remove deletes an entry and gives its value.
func (d *Dict) remove(m *Meter, key Value) (Value, bool, error) {
	k, err := keyOf(m, key)
	if err != nil {
		return nil, false, err
	}
	i, ok := d.index[k]
	if !ok {
		return nil, false, nil
	}
	v := d.values[i]
	delete(d.index, k)
	d.keys[i], d.values[i] = nil, nil
	d.deleted++
	return v, true, nil
}

// All yields the entries in order.
func (d *Dict) All() func(yield func(k, v Value) bool) {
	return func(yield func(k, v Value) bool) {
		for i, k := range d.keys {
			if k != nil && !yield(k, d.values[i]) {
				return
			}
		}
	}
}

// Copy gives a shallow copy.
func (d *Dict) Copy() *Dict {
	return &Dict{keys: slices.Clone(d.keys), values: slices.Clone(d.values), index: maps.Clone(d.index), deleted: d.deleted}
}

// Update inserts the entries of another dict.
func (d *Dict) Update(m *Meter, other *Dict) error {
	if err := m.Step(other.Len()); err != nil {
		return err
	}
	for k, v := range other.All() {
		if err := d.Set(m, k, v); err != nil {
			return err
		}
	}
	return nil
}

// MakeDict is dict(...): a mapping or an iterable of pairs, then keyword arguments.
func MakeDict(m *Meter, a Args) (*Dict, error) {
	d := NewDict()
	if len(a.Pos) > 1 {
		return nil, TypeErrorf("dict expected at most 1 argument, got %d", len(a.Pos))
	}
	if len(a.Pos) == 1 {
		if err := d.fill(m, a.Pos[0]); err != nil {
			return nil, err
		}
	}
	for i, name := range a.Names {
		if err := d.Set(m, Trusted(name), a.Kw[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// fill inserts the entries of a mapping or of an iterable of pairs.
func (d *Dict) fill(m *Meter, v Value) error {
	if other, ok := v.(*Dict); ok {
		return d.Update(m, other)
	}
	it, err := Iterate(m, v)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		item, ok, err := it.Next(m)
		if err != nil || !ok {
			return err
		}
		pair, err := Collect(m, item)
		if err != nil {
			return TypeErrorf("cannot convert dictionary update sequence element #%d to a sequence", i)
		}
		if len(pair) != 2 {
			return ValueErrorf("dictionary update sequence element #%d has length %d; 2 is required", i, len(pair))
		}
		if err := d.Set(m, pair[0], pair[1]); err != nil {
			return err
		}
	}
}

// Len is the number of elements of the range.
func (r *Range) Len() int64 {
	if r.Step > 0 && r.Start < r.Stop {
		return clip((uint64(r.Stop)-uint64(r.Start)-1)/uint64(r.Step)) + 1
	}
	if r.Step < 0 && r.Start > r.Stop {
		return clip((uint64(r.Start)-uint64(r.Stop)-1)/(-uint64(r.Step))) + 1
	}
	return 0
}

// clip gives n, or a number beyond every limit that fits.
func clip(n uint64) int64 { return int64(min(n, 1<<62)) }

// At is element i, 0 <= i < Len.
func (r *Range) At(i int64) Value { return Int(r.Start + i*r.Step) }

// MaxRange is the longest range that the sandbox of Jinja allows.
const MaxRange = 100_000

// MakeRange is range(...) of the sandbox.
func MakeRange(a Args) (Value, error) {
	v, err := a.Bind("range", "/a!", "/b", "/c")
	if err != nil {
		return nil, err
	}
	var n [3]int64
	for i, x := range v {
		if _, huge := x.(*Big); huge {
			return nil, &LimitError{"elements of a range", MaxRange}
		}
		if k, ok := toInt(x); ok {
			n[i] = k
		} else if _, err := IntArg(x, 0); err != nil {
			return nil, err
		}
	}
	r := &Range{0, n[0], 1}
	if v[1] != nil {
		r.Start, r.Stop = n[0], n[1]
	}
	if v[2] != nil {
		if r.Step = n[2]; r.Step == 0 {
			return nil, ValueErrorf("range() arg 3 must not be zero")
		}
	}
	if r.Len() > MaxRange {
		return nil, &LimitError{"elements of a range", MaxRange}
	}
	return r, nil
}

// Attr implements Object.
func (n *Namespace) Attr(name string) (Value, bool, error) {
	v, ok := n.Attrs.GetStr(name)
	return v, ok, nil
}
