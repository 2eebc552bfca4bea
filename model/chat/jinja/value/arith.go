package value

// Binary computes a op b; op is one of + - * / // % **.
func Binary(m *Meter, op string, a, b Value) (Value, error) {
	if isNumber(a) && isNumber(b) {
		return arith(m, op, a, b)
	}
	if s, ok := a.(Str); ok && op == "%" {
		return Percent(m, s, b)
	}
	for _, v := range []Value{a, b} {
		if u, ok := v.(*Undefined); ok {
			return nil, u.Fail()
		}
	}
	switch op {
	case "+":
		if v, err := add(m, a, b); v != nil || err != nil {
			return v, err
		}
	case "*":
		if isNumber(a) {
			a, b = b, a
		}
		if v, err := multiply(m, a, b); v != nil || err != nil {
			return v, err
		}
	}
	if _, str := a.(Str); str && op == "+" {
		return nil, TypeErrorf("can only concatenate str (not \"%s\") to str", b.TypeName())
	}
	return nil, TypeErrorf("unsupported operand type(s) for %s: '%s' and '%s'", op, a.TypeName(), b.TypeName())
}

// add joins sequences; nil if these cannot be joined.
func add(m *Meter, a, b Value) (Value, error) {
	switch x := a.(type) {
	case Str:
		y, ok := b.(Str)
		if !ok {
			return nil, nil
		}
		if x.html || y.html {
			return joinEscaped(m, x, y)
		}
		return Concat(m, x, y)
	case *List:
		y, ok := b.(*List)
		if !ok {
			return nil, nil
		}
		items, err := joinItems(m, x.Items, y.Items)
		return &List{Items: items}, err
	case *Tuple:
		y, ok := b.(*Tuple)
		if !ok {
			return nil, nil
		}
		items, err := joinItems(m, x.Items, y.Items)
		return &Tuple{Items: items}, err
	}
	return nil, nil
}

func joinEscaped(m *Meter, x, y Str) (Value, error) {
	ex, err := x.escape(m)
	if err != nil {
		return nil, err
	}
	ey, err := y.escape(m)
	if err != nil {
		return nil, err
	}
	s, err := Concat(m, ex, ey)
	return s.Markup(), err
}

func joinItems(m *Meter, a, b []Value) ([]Value, error) {
	if err := m.Elements(len(a) + len(b)); err != nil {
		return nil, err
	}
	return append(append(make([]Value, 0, len(a)+len(b)), a...), b...), nil
}

// multiply is sequence * times; nil if these are others.
func multiply(m *Meter, v, times Value) (Value, error) {
	switch times.(type) {
	case Int, Bool, *Big:
	default:
		return nil, nil
	}
	switch v.(type) {
	case Str, *List, *Tuple:
	default:
		return nil, nil
	}
	if _, huge := times.(*Big); huge {
		return nil, &Error{"OverflowError", "cannot fit 'int' into an index-sized integer"}
	}
	n, err := IntArg(times, 0)
	if err != nil {
		return nil, err
	}
	return repeat(m, v, max(n, 0))
}

// repeat is v * n for sequences; nil if v is none.
func repeat(m *Meter, v Value, n int) (Value, error) {
	switch v := v.(type) {
	case Str:
		if err := m.charge(v.cost(), n, 1); err != nil {
			return nil, err
		}
		if n == 0 || v.s == "" {
			return Str{html: v.html}, nil
		}
		b := Builder{b: make([]byte, 0, len(v.s)*n)}
		for i := 0; i < n; i++ {
			b.Add(v)
		}
		return b.Str().like(v), nil
	case *List:
		items, err := repeatItems(m, v.Items, n)
		return &List{Items: items}, err
	case *Tuple:
		items, err := repeatItems(m, v.Items, n)
		return &Tuple{Items: items}, err
	}
	return nil, nil
}

func repeatItems(m *Meter, items []Value, n int) ([]Value, error) {
	if err := m.charge(len(items), n, elementBytes); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, nil
	}
	out := make([]Value, 0, len(items)*n)
	for i := 0; i < n; i++ {
		out = append(out, items...)
	}
	return out, nil
}

// charge charges count copies of size units of unit bytes, without overflow.
func (m *Meter) charge(size, count, unit int) error {
	if size == 0 || count == 0 {
		return nil
	}
	if count > 1<<50/size/unit {
		return m.Alloc(1 << 50)
	}
	return m.Alloc(size * count * unit)
}
