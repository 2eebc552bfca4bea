package syntax

import (
	"fmt"
	"strings"

	"siskin/model/chat/jinja/value"
)

// maxHeight bounds the depth of an expression tree, maxNesting that of statements: the evaluator recurses on both.
const (
	maxHeight  = 500
	maxNesting = 100
	maxParams  = 500 // parameters of a macro, keyword arguments of a call
)

type parser struct {
	tokens     []token
	pos        int
	nesting    int
	generation int      // line of the first generation tag
	open       []string // tags that wait for their end
}

func (p *parser) cur() token { return p.tokens[p.pos] }

func (p *parser) peek() token { return p.tokens[min(p.pos+1, len(p.tokens)-1)] }

// next consumes a token; the end of the template stays.
func (p *parser) next() token {
	t := p.tokens[p.pos]
	if p.pos < len(p.tokens)-1 {
		p.pos++
	}
	return t
}

func (p *parser) fail(line int, format string, args ...any) error {
	return &Error{line, fmt.Sprintf(format, args...)}
}

// is tells whether the current token is of the kind, which may be "name:word".
func (p *parser) is(kind string) bool {
	t := p.cur()
	if word, ok := strings.CutPrefix(kind, "name:"); ok {
		return t.kind == tokName && t.text == word
	}
	return t.kind == kind
}

func (p *parser) skip(kind string) bool {
	if p.is(kind) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(kind string) (token, error) {
	if !p.is(kind) {
		return token{}, p.fail(p.cur().line, "expected token '%s', got '%s'", strings.TrimPrefix(kind, "name:"), p.cur().describe())
	}
	return p.next(), nil
}

// put places a node above its children and bounds the height of the tree.
func (p *parser) put(line int, children ...Expr) (At, error) {
	h := 0
	for _, c := range children {
		if c != nil {
			h = max(h, c.at().height)
		}
	}
	if h >= maxHeight {
		return At{}, p.fail(line, "expression is nested too deep")
	}
	return At{line, h + 1}, nil
}

// descend guards the recursion of the parser itself.
func (p *parser) descend() error {
	if p.nesting++; p.nesting > maxNesting {
		return p.fail(p.cur().line, "template is nested too deep")
	}
	return nil
}

// expression parses an expression with inline if.
func (p *parser) expression() (Expr, error) {
	if err := p.descend(); err != nil {
		return nil, err
	}
	defer func() { p.nesting-- }()
	line := p.cur().line
	x, err := p.or()
	for err == nil && p.skip("name:if") {
		c := &Cond{Then: x}
		if c.Test, err = p.or(); err != nil {
			return nil, err
		}
		if p.skip("name:else") {
			if c.Else, err = p.expression(); err != nil {
				return nil, err
			}
		}
		if c.At, err = p.put(line, c.Test, c.Then, c.Else); err != nil {
			return nil, err
		}
		x, line = c, p.cur().line
	}
	return x, err
}

func (p *parser) or() (Expr, error) {
	return p.logic("name:or", func() (Expr, error) { return p.logic("name:and", p.not) })
}

func (p *parser) logic(word string, operand func() (Expr, error)) (Expr, error) {
	line := p.cur().line
	x, err := operand()
	for err == nil && p.skip(word) {
		var y Expr
		if y, err = operand(); err != nil {
			return nil, err
		}
		n := &Logic{Or: word == "name:or", X: x, Y: y}
		n.At, err = p.put(line, x, y)
		x, line = n, p.cur().line
	}
	return x, err
}

func (p *parser) not() (Expr, error) {
	if !p.is("name:not") {
		return p.compare()
	}
	line := p.next().line
	if err := p.descend(); err != nil {
		return nil, err
	}
	defer func() { p.nesting-- }()
	x, err := p.not()
	if err != nil {
		return nil, err
	}
	return p.unaryNode(line, "not", x)
}

func (p *parser) unaryNode(line int, op string, x Expr) (Expr, error) {
	at, err := p.put(line, x)
	return &Unary{at, op, x}, err
}

func (p *parser) compare() (Expr, error) {
	line := p.cur().line
	x, err := p.sum()
	if err != nil {
		return nil, err
	}
	c := &Compare{X: x}
	for {
		op := p.cur().kind
		switch {
		case op == "==" || op == "!=" || op == "<" || op == "<=" || op == ">" || op == ">=":
			p.next()
		case p.skip("name:in"):
			op = "in"
		case p.is("name:not") && p.peek().kind == tokName && p.peek().text == "in":
			p.next()
			p.next()
			op = "not in"
		default:
			if c.Ops == nil {
				return x, nil
			}
			c.At, err = p.put(line, append([]Expr{x}, c.Xs...)...)
			return c, err
		}
		y, err := p.sum()
		if err != nil {
			return nil, err
		}
		c.Ops, c.Xs = append(c.Ops, op), append(c.Xs, y)
	}
}

func (p *parser) sum() (Expr, error) { return p.binary(p.concat, "+", "-") }

func (p *parser) product() (Expr, error) { return p.binary(p.power, "*", "/", "//", "%") }

func (p *parser) power() (Expr, error) {
	return p.binary(func() (Expr, error) { return p.unary(true) }, "**")
}

// binary parses a left-associative chain of the operators.
func (p *parser) binary(operand func() (Expr, error), ops ...string) (Expr, error) {
	line := p.cur().line
	x, err := operand()
	for err == nil {
		op := ""
		for _, o := range ops {
			if p.cur().kind == o {
				op = o
			}
		}
		if op == "" {
			break
		}
		p.next()
		var y Expr
		if y, err = operand(); err != nil {
			return nil, err
		}
		n := &Binary{Op: op, X: x, Y: y}
		n.At, err = p.put(line, x, y)
		x, line = n, p.cur().line
	}
	return x, err
}

func (p *parser) concat() (Expr, error) {
	line := p.cur().line
	x, err := p.product()
	if err != nil || !p.is("~") {
		return x, err
	}
	c := &Concat{Parts: []Expr{x}}
	for p.skip("~") {
		if x, err = p.product(); err != nil {
			return nil, err
		}
		c.Parts = append(c.Parts, x)
	}
	c.At, err = p.put(line, c.Parts...)
	return c, err
}

func (p *parser) unary(filters bool) (Expr, error) {
	var x Expr
	var err error
	line := p.cur().line
	if p.is("-") || p.is("+") {
		op := p.next().kind
		if err := p.descend(); err != nil {
			return nil, err
		}
		x, err = p.unary(false)
		p.nesting--
		if err == nil {
			x, err = p.unaryNode(line, op, x)
		}
	} else {
		x, err = p.primary(false)
	}
	if err == nil {
		x, err = p.postfix(x)
	}
	if err == nil && filters {
		x, err = p.filtersAndTests(x)
	}
	return x, err
}

// primary parses a name, a literal or a parenthesis. With targets set, ns.attr becomes an NSRef.
func (p *parser) primary(targets bool) (Expr, error) {
	t := p.cur()
	at := At{t.line, 1}
	switch t.kind {
	case tokName:
		p.next()
		switch t.text {
		case "true", "True":
			return &Const{at, value.Bool(true)}, nil
		case "false", "False":
			return &Const{at, value.Bool(false)}, nil
		case "none", "None":
			return &Const{at, value.None{}}, nil
		}
		if targets && p.skip(".") {
			attr, err := p.expect(tokName)
			return &NSRef{At: at, Name: t.text, Attr: attr.text}, err
		}
		return &Name{At: at, Name: t.text}, nil
	case tokString:
		var text strings.Builder
		for p.is(tokString) {
			text.WriteString(p.next().text)
		}
		return &Const{at, value.Trusted(text.String())}, nil
	case tokInteger, tokFloat:
		p.next()
		return &Const{at, t.num}, nil
	case "(":
		p.next()
		x, err := p.tuple(tupleMode{parens: true, cond: true})
		if err != nil {
			return nil, err
		}
		_, err = p.expect(")")
		return x, err
	case "[":
		return p.list()
	case "{":
		return p.dict()
	}
	return nil, p.fail(t.line, "unexpected '%s'", t.describe())
}

// tupleMode tells how expressions that commas may join to a tuple are parsed.
type tupleMode struct {
	parens  bool // inside parentheses: may be empty
	cond    bool // inline if is allowed
	simple  bool // only names and literals: targets
	targets bool // ns.attr is allowed
}

func (p *parser) tuple(mode tupleMode) (Expr, error) {
	line := p.cur().line
	var items []Expr
	comma := false
	for {
		if len(items) > 0 {
			p.next() // the comma
		}
		if p.is(tokVariableEnd) || p.is(tokBlockEnd) || p.is(")") {
			break
		}
		x, err := p.tupleItem(mode)
		if err != nil {
			return nil, err
		}
		items = append(items, x)
		if !p.is(",") {
			break
		}
		comma = true
	}
	if !comma {
		if len(items) == 1 {
			return items[0], nil
		}
		if !mode.parens {
			return nil, p.fail(line, "expected an expression, got '%s'", p.cur().describe())
		}
	}
	at, err := p.put(line, items...)
	return &Tuple{at, items}, err
}

func (p *parser) tupleItem(mode tupleMode) (Expr, error) {
	switch {
	case mode.simple:
		if err := p.descend(); err != nil {
			return nil, err
		}
		defer func() { p.nesting-- }()
		return p.primary(mode.targets)
	case mode.cond:
		return p.expression()
	}
	return p.or()
}

func (p *parser) list() (Expr, error) {
	line := p.next().line
	items, err := p.items("]", p.expression)
	if err != nil {
		return nil, err
	}
	at, err := p.put(line, items...)
	return &List{at, items}, err
}

// items parses a comma-separated list up to its closing bracket.
func (p *parser) items(closing string, item func() (Expr, error)) ([]Expr, error) {
	var items []Expr
	for !p.is(closing) {
		if len(items) > 0 {
			if _, err := p.expect(","); err != nil {
				return nil, err
			}
			if p.is(closing) {
				break
			}
		}
		x, err := item()
		if err != nil {
			return nil, err
		}
		items = append(items, x)
	}
	_, err := p.expect(closing)
	return items, err
}

func (p *parser) dict() (Expr, error) {
	d := &Dict{}
	line := p.next().line
	keys, err := p.items("}", func() (Expr, error) {
		k, err := p.expression()
		if err != nil {
			return nil, err
		}
		if _, err = p.expect(":"); err != nil {
			return nil, err
		}
		v, err := p.expression()
		d.Values = append(d.Values, v)
		return k, err
	})
	if err != nil {
		return nil, err
	}
	d.Keys = keys
	d.At, err = p.put(line, append(append([]Expr{}, d.Keys...), d.Values...)...)
	return d, err
}
