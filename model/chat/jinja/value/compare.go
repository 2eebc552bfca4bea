package value

import (
	"math/big"
	"sort"
	"strings"
)

// Equal is a == b.
func Equal(m *Meter, a, b Value) (bool, error) {
	if isNumber(a) {
		return isNumber(b) && compareNumbers(a, b) == 0, nil
	}
	switch a := a.(type) {
	case Str:
		s, ok := b.(Str)
		if !ok || len(s.s) != len(a.s) {
			return false, nil
		}
		return a.s == s.s, m.Scan(len(a.s))
	case None:
		_, ok := b.(None)
		return ok, nil
	case *Undefined:
		return IsUndefined(b), nil
	case *List:
		l, ok := b.(*List)
		if !ok || len(l.Items) != len(a.Items) {
			return false, nil
		}
		return equalItems(m, a.Items, l.Items)
	case *Tuple:
		t, ok := b.(*Tuple)
		if !ok || len(t.Items) != len(a.Items) {
			return false, nil
		}
		return equalItems(m, a.Items, t.Items)
	case *Dict:
		d, ok := b.(*Dict)
		if !ok || d.Len() != a.Len() {
			return false, nil
		}
		return equalDicts(m, a, d)
	case *Range:
		r, ok := b.(*Range)
		if !ok || r.Len() != a.Len() {
			return false, nil
		}
		n := a.Len()
		return n == 0 || a.Start == r.Start && (n == 1 || a.Step == r.Step), nil
	case *Method:
		f, ok := b.(*Method)
		return ok && *f == *a, nil
	}
	return a == b, nil
}

func equalItems(m *Meter, a, b []Value) (bool, error) {
	if err := m.enter(); err != nil {
		return false, err
	}
	defer m.leave()
	for i := range a {
		if err := m.Step(1); err != nil {
			return false, err
		}
		if same, err := Equal(m, a[i], b[i]); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func equalDicts(m *Meter, a, b *Dict) (bool, error) {
	if err := m.enter(); err != nil {
		return false, err
	}
	defer m.leave()
	for k, v := range a.All() {
		if err := m.Step(1); err != nil {
			return false, err
		}
		w, ok, err := b.Get(m, k)
		if err != nil || !ok {
			return false, err
		}
		if same, err := Equal(m, v, w); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// Same is a is b, as far as it can be told: equal constants, or the same object.
func Same(a, b Value) bool {
	switch a := a.(type) {
	case Str:
		s, ok := b.(Str)
		return ok && s.s == a.s
	case Float:
		f, ok := b.(Float)
		return ok && f == a
	case Int, Bool, None:
		return a == b
	case *Big:
		n, ok := b.(*Big)
		return ok && n.n.Cmp(a.n) == 0
	}
	return a == b
}

// compareNumbers gives -1, 0, 1, or 2 if one is not a number.
func compareNumbers(a, b Value) int {
	x, okx := toInt(a)
	y, oky := toInt(b)
	if okx && oky {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	f, fa := a.(Float)
	g, fb := b.(Float)
	if fa && f != f || fb && g != g {
		return 2
	}
	return toExact(a).Cmp(toExact(b))
}

// toExact gives a number as a big.Float that loses nothing.
func toExact(v Value) *big.Float {
	if f, ok := v.(Float); ok {
		return big.NewFloat(float64(f))
	}
	n, _ := ToBig(v)
	return new(big.Float).SetInt(n)
}

// Less is a < b.
func Less(m *Meter, a, b Value) (bool, error) {
	c, err := order(m, "<", a, b)
	return c == -1, err
}

// Compare is a op b for == != < <= > >=.
func Compare(m *Meter, op string, a, b Value) (bool, error) {
	switch op {
	case "==":
		return Equal(m, a, b)
	case "!=":
		same, err := Equal(m, a, b)
		return !same, err
	}
	c, err := order(m, op, a, b)
	if err != nil || c == 2 {
		return false, err
	}
	switch op {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	}
	return c >= 0, nil
}

// order gives -1, 0, 1, or 2 for numbers that are not ordered; op is for the message.
func order(m *Meter, op string, a, b Value) (int, error) {
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b), nil
	}
	for _, v := range []Value{a, b} {
		if u, ok := v.(*Undefined); ok {
			return 0, u.Fail()
		}
	}
	switch x := a.(type) {
	case Str:
		if y, ok := b.(Str); ok {
			return strings.Compare(x.s, y.s), m.Scan(min(len(x.s), len(y.s)))
		}
	case *List:
		if y, ok := b.(*List); ok {
			return orderItems(m, op, x.Items, y.Items)
		}
	case *Tuple:
		if y, ok := b.(*Tuple); ok {
			return orderItems(m, op, x.Items, y.Items)
		}
	}
	return 0, TypeErrorf("'%s' not supported between instances of '%s' and '%s'", op, a.TypeName(), b.TypeName())
}

func orderItems(m *Meter, op string, a, b []Value) (int, error) {
	if err := m.enter(); err != nil {
		return 0, err
	}
	defer m.leave()
	for i := 0; i < len(a) && i < len(b); i++ {
		if err := m.Step(1); err != nil {
			return 0, err
		}
		same, err := Equal(m, a[i], b[i])
		if err != nil {
			return 0, err
		}
		if !same {
			return order(m, op, a[i], b[i])
		}
	}
	return compareNumbers(Int(len(a)), Int(len(b))), nil
}

// Sort is sorted(items, key=key, reverse=reverse), in place and stable; key nil compares the items themselves.
func Sort(m *Meter, items []Value, key func(Value) (Value, error), reverse bool) error {
	type pair struct{ item, key Value }
	if err := m.Elements(2 * len(items)); err != nil {
		return err
	}
	pairs := make([]pair, len(items))
	for i, item := range items {
		k := item
		if key != nil {
			var err error
			if k, err = key(item); err != nil {
				return err
			}
		}
		pairs[i] = pair{item, k}
	}
	var failed error
	sort.SliceStable(pairs, func(i, j int) bool {
		if failed != nil {
			return false
		}
		if reverse {
			i, j = j, i
		}
		less, err := false, m.Step(1)
		if err == nil {
			less, err = Less(m, pairs[i].key, pairs[j].key)
		}
		if err != nil {
			failed = err
		}
		return less
	})
	for i := range pairs {
		items[i] = pairs[i].item
	}
	return failed
}
