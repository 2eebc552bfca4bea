package syntax

import (
	"slices"

	"siskin/model/chat/jinja/value"
)

func (p *parser) postfix(x Expr) (Expr, error) {
	var err error
	for err == nil {
		switch p.cur().kind {
		case ".":
			x, err = p.attribute(x)
		case "[":
			x, err = p.subscript(x)
		case "(":
			x, err = p.call(x)
		default:
			return x, nil
		}
	}
	return nil, err
}

func (p *parser) filtersAndTests(x Expr) (Expr, error) {
	var err error
	for err == nil {
		switch {
		case p.is("|"):
			p.next()
			x, err = p.filter(x)
		case p.is("name:is"):
			x, err = p.test(x)
		case p.is("("):
			x, err = p.call(x)
		default:
			return x, nil
		}
	}
	return nil, err
}

func (p *parser) attribute(x Expr) (Expr, error) {
	line := p.next().line
	at, err := p.put(line, x)
	if err != nil {
		return nil, err
	}
	switch t := p.next(); t.kind {
	case tokName:
		return &Attr{at, x, value.Trusted(t.text)}, nil
	case tokInteger:
		return &Index{at, x, &Const{At{t.line, 1}, t.num}}, nil
	default:
		return nil, p.fail(t.line, "expected name or number")
	}
}

func (p *parser) subscript(x Expr) (Expr, error) {
	line := p.next().line
	var slice *Slice
	keys, err := p.items("]", func() (Expr, error) {
		k, s, err := p.subscribed()
		slice = s
		return k, err
	})
	if err != nil {
		return nil, err
	}
	if slice != nil && len(keys) > 1 {
		return nil, p.fail(line, "a slice cannot be part of a tuple")
	}
	if slice != nil {
		slice.X = x
		slice.At, err = p.put(line, x, slice.Start, slice.Stop, slice.Step)
		return slice, err
	}
	key := Expr(nil)
	if len(keys) == 1 {
		key = keys[0]
	} else {
		at, err := p.put(line, keys...)
		if err != nil {
			return nil, err
		}
		key = &Tuple{at, keys}
	}
	at, err := p.put(line, x, key)
	return &Index{at, x, key}, err
}

// subscribed parses one part of a subscript: an expression, or a slice (which is then returned too).
func (p *parser) subscribed() (Expr, *Slice, error) {
	var parts [3]Expr
	colons := 0
	for i := range parts {
		if !p.is(":") && !p.is("]") && !p.is(",") {
			x, err := p.expression()
			if err != nil {
				return nil, nil, err
			}
			parts[i] = x
		}
		if i == 2 || !p.skip(":") {
			break
		}
		colons++
	}
	if colons == 0 {
		if parts[0] == nil {
			return nil, nil, p.fail(p.cur().line, "expected subscript expression")
		}
		return parts[0], nil, nil
	}
	s := &Slice{Start: parts[0], Stop: parts[1], Step: parts[2]}
	if p.is(",") {
		return nil, nil, p.fail(p.cur().line, "a slice cannot be part of a tuple")
	}
	return s, s, nil
}

// args parses the arguments of a call, from its opening parenthesis on.
func (p *parser) args() (a Args, err error) {
	line := p.next().line
	wrong := func() error { return p.fail(line, "invalid syntax for function call expression") }
	_, err = p.items(")", func() (x Expr, err error) {
		switch {
		case p.skip("*"):
			if a.Star != nil || a.StarStar != nil {
				return nil, wrong()
			}
			a.Star, err = p.expression()
			return a.Star, err
		case p.skip("**"):
			if a.StarStar != nil {
				return nil, wrong()
			}
			a.StarStar, err = p.expression()
			return a.StarStar, err
		case p.is(tokName) && p.peek().kind == "=":
			if a.StarStar != nil {
				return nil, wrong()
			}
			name := p.next().text
			p.next()
			if len(a.Names) == maxParams {
				return nil, p.fail(line, "more than %d keyword arguments", maxParams)
			}
			if slices.Contains(a.Names, name) {
				return nil, p.fail(line, "keyword argument repeated: %s", name)
			}
			x, err = p.expression()
			a.Names, a.Kw = append(a.Names, name), append(a.Kw, x)
			return x, err
		}
		if a.Star != nil || a.StarStar != nil || len(a.Kw) > 0 {
			return nil, wrong()
		}
		x, err = p.expression()
		a.Pos = append(a.Pos, x)
		return x, err
	})
	return a, err
}

// all lists the expressions of the arguments and one more, for their height.
func (a Args) all(x Expr) []Expr {
	out := append([]Expr{x}, a.Pos...)
	out = append(out, a.Kw...)
	if a.Star != nil {
		out = append(out, a.Star)
	}
	if a.StarStar != nil {
		out = append(out, a.StarStar)
	}
	return out
}

func (p *parser) call(fn Expr) (Expr, error) {
	line := p.cur().line
	a, err := p.args()
	if err != nil {
		return nil, err
	}
	at, err := p.put(line, a.all(fn)...)
	return &Call{at, fn, a}, err
}

// dotted parses a name that may have dots.
func (p *parser) dotted() (string, error) {
	t, err := p.expect(tokName)
	name := t.text
	for err == nil && p.skip(".") {
		t, err = p.expect(tokName)
		name += "." + t.text
	}
	return name, err
}

// filter parses one filter after its bar; x is nil in a filter block.
func (p *parser) filter(x Expr) (Expr, error) {
	f := &Filter{X: x}
	line := p.cur().line
	var err error
	if f.Name, err = p.dotted(); err != nil {
		return nil, err
	}
	if p.is("(") {
		if f.Args, err = p.args(); err != nil {
			return nil, err
		}
	}
	f.At, err = p.put(line, f.all(x)...)
	return f, err
}

// filters parses a chain of filters without operand; inline tells that the first one has no bar.
func (p *parser) filters(inline bool) (*Filter, error) {
	var x Expr
	var err error
	for err == nil && (inline || p.skip("|")) {
		inline = false
		x, err = p.filter(x)
	}
	if err != nil || x == nil {
		return nil, err
	}
	return x.(*Filter), nil
}

func (p *parser) test(x Expr) (Expr, error) {
	t := &Test{X: x}
	line := p.next().line
	negated := p.skip("name:not")
	var err error
	if t.Name, err = p.dotted(); err != nil {
		return nil, err
	}
	switch {
	case p.is("("):
		if t.Args, err = p.args(); err != nil {
			return nil, err
		}
	case p.is("name:else") || p.is("name:or") || p.is("name:and"):
	case p.is("name:is"):
		return nil, p.fail(line, "you cannot chain multiple tests with is")
	case p.is(tokName) || p.is(tokString) || p.is(tokInteger) || p.is(tokFloat) || p.is("[") || p.is("{"):
		arg, err := p.primary(false)
		if err == nil {
			arg, err = p.postfix(arg)
		}
		if err != nil {
			return nil, err
		}
		t.Pos = []Expr{arg}
	}
	if t.At, err = p.put(line, t.all(x)...); err != nil {
		return nil, err
	}
	if negated {
		return p.unaryNode(line, "not", t)
	}
	return t, nil
}
