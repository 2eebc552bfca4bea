package syntax

import (
	"slices"
	"strings"

	"siskin/model/chat/jinja/value"
)

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

// statements parses up to one of the end tags, whose name stays the current token; nil: to the end of the template.
func (p *parser) statements(ends []string) ([]Stmt, error) {
	if err := p.descend(); err != nil {
		return nil, err
	}
	defer func() { p.nesting-- }()
	var body []Stmt
	var out *Output
	for {
		t := p.cur()
		switch t.kind {
		case tokEOF:
			if ends != nil {
				return nil, p.fail(t.line, "unexpected end of template: looking for %s; the innermost block that needs to be closed is '%s'",
					strings.Join(ends, " or "), p.open[len(p.open)-1])
			}
			return body, nil
		case tokData, tokVariableBegin:
			x, err := p.printed()
			if err != nil {
				return nil, err
			}
			if out == nil {
				out = &Output{At: At{Line: t.line}}
				body = append(body, out)
			}
			out.Parts = append(out.Parts, x)
		default:
			p.next()
			out = nil
			if slices.ContainsFunc(ends, func(e string) bool { return p.is("name:" + e) }) {
				return body, nil
			}
			s, err := p.statement(ends)
			if err != nil {
				return nil, err
			}
			body = append(body, s)
			if _, err := p.expect(tokBlockEnd); err != nil {
				return nil, err
			}
		}
	}
}

// printed parses template text or a print statement.
func (p *parser) printed() (Expr, error) {
	t := p.next()
	if t.kind == tokData {
		return &Const{At{t.line, 1}, value.Trusted(t.text)}, nil
	}
	x, err := p.tuple(tupleMode{cond: true})
	if err != nil {
		return nil, err
	}
	_, err = p.expect(tokVariableEnd)
	return x, err
}

// body parses the statements of a tag, whose end is next, up to an end tag; with drop set the name of the end tag is consumed.
func (p *parser) body(tag string, drop bool, ends ...string) ([]Stmt, error) {
	p.skip(":")
	if _, err := p.expect(tokBlockEnd); err != nil {
		return nil, err
	}
	p.open = append(p.open, tag)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	body, err := p.statements(ends)
	if err == nil && drop {
		p.next()
	}
	return body, err
}

// statement parses a tag from its name on, up to before the end of its last part.
func (p *parser) statement(ends []string) (Stmt, error) {
	t := p.cur()
	if t.kind != tokName {
		return nil, p.fail(t.line, "tag name expected")
	}
	p.next()
	at := At{Line: t.line}
	switch t.text {
	case "for":
		return p.forLoop(at)
	case "if":
		return p.ifElse(at)
	case "set":
		return p.set(at)
	case "macro":
		return p.macro(at)
	case "call":
		return p.callBlock(at)
	case "filter":
		f, err := p.filters(true)
		if err != nil {
			return nil, err
		}
		body, err := p.body("filter", true, "endfilter")
		return &FilterBlock{At: at, Filter: f, Body: body}, err
	case "with":
		return p.with(at)
	case "block":
		return p.block(at)
	case "print":
		xs, err := p.printTag()
		return &Output{at, xs}, err
	case "break", "continue":
		return &Jump{at, t.text == "break"}, nil
	case "autoescape":
		return p.autoescape(at)
	case "include", "import", "from", "extends":
		for !p.is(tokBlockEnd) && !p.is(tokEOF) {
			p.next()
		}
		return &Refused{at, t.text}, nil
	case "generation":
		if p.generation == 0 {
			p.generation = t.line
		}
		body, err := p.body("generation", true, "endgeneration")
		return &Scoped{At: at, Body: body}, err
	}
	looking := ""
	if ends != nil {
		looking = "; looking for " + strings.Join(ends, " or ")
	}
	return nil, p.fail(t.line, "encountered unknown tag '%s'%s", t.text, looking)
}

func (p *parser) printTag() (xs []Expr, err error) {
	for !p.is(tokBlockEnd) {
		if xs != nil {
			if _, err := p.expect(","); err != nil {
				return nil, err
			}
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		xs = append(xs, x)
	}
	return xs, nil
}

// target parses what can be assigned to.
func (p *parser) target(mode tupleMode) (Expr, error) {
	mode.simple = true
	x, err := p.tuple(mode)
	if err != nil {
		return nil, err
	}
	return x, p.assignable(x)
}

func (p *parser) assignable(x Expr) error {
	switch x := x.(type) {
	case *Name, *NSRef:
		return nil
	case *Tuple:
		for _, item := range x.Items {
			if err := p.assignable(item); err != nil {
				return err
			}
		}
		return nil
	}
	return p.fail(Line(x), "can't assign to this expression")
}

func (p *parser) forLoop(at At) (Stmt, error) {
	f := &For{At: at}
	var err error
	if f.Target, err = p.target(tupleMode{}); err != nil {
		return nil, err
	}
	f.TestTarget = copyTarget(f.Target)
	if _, err = p.expect("name:in"); err != nil {
		return nil, err
	}
	if f.Iter, err = p.tuple(tupleMode{}); err != nil {
		return nil, err
	}
	if p.skip("name:if") {
		if f.Test, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.skip("name:recursive") {
		f.Recursive = &Func{}
	}
	if f.Body, err = p.body("for", false, "endfor", "else"); err != nil {
		return nil, err
	}
	if p.next().text == "else" {
		f.Else, err = p.body("for", true, "endfor")
	}
	return f, err
}

// copyTarget copies a target, so that its variables can be resolved twice.
func copyTarget(x Expr) Expr {
	switch x := x.(type) {
	case *Name:
		c := *x
		return &c
	case *NSRef:
		c := *x
		return &c
	case *Tuple:
		c := &Tuple{At: x.At}
		for _, item := range x.Items {
			c.Items = append(c.Items, copyTarget(item))
		}
		return c
	}
	return x
}

func (p *parser) ifElse(at At) (Stmt, error) {
	first := &If{At: at}
	for node := first; ; {
		var err error
		if node.Test, err = p.tuple(tupleMode{}); err != nil {
			return nil, err
		}
		if node.Body, err = p.body("if", false, "elif", "else", "endif"); err != nil {
			return nil, err
		}
		switch t := p.next(); t.text {
		case "elif":
			node = &If{At: At{Line: t.line}}
			first.Elifs = append(first.Elifs, node)
			continue
		case "else":
			first.Else, err = p.body("if", true, "endif")
		}
		return first, err
	}
}

func (p *parser) set(at At) (Stmt, error) {
	target, err := p.target(tupleMode{targets: true})
	if err != nil {
		return nil, err
	}
	if p.skip("=") {
		x, err := p.tuple(tupleMode{cond: true})
		return &Set{At: at, Target: target, X: x}, err
	}
	s := &SetBlock{At: at, Target: target}
	if s.Filter, err = p.filters(false); err != nil {
		return nil, err
	}
	s.Body, err = p.body("set", true, "endset")
	return s, err
}

// signature parses the parameters of a macro or call block.
func (p *parser) signature(m *Macro) error {
	if _, err := p.expect("("); err != nil {
		return err
	}
	for !p.is(")") {
		if len(m.Params) > 0 {
			if _, err := p.expect(","); err != nil {
				return err
			}
		}
		t, err := p.expect(tokName)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(m.Params, func(n *Name) bool { return n.Name == t.text }) {
			return p.fail(t.line, "duplicate argument '%s' in a macro", t.text)
		}
		m.Params = append(m.Params, &Name{At: At{t.line, 1}, Name: t.text})
		if p.skip("=") {
			x, err := p.expression()
			if err != nil {
				return err
			}
			m.Defaults = append(m.Defaults, x)
		} else if m.Defaults != nil {
			return p.fail(t.line, "non-default argument follows default argument")
		}
	}
	_, err := p.expect(")")
	return err
}

func (p *parser) macro(at At) (Stmt, error) {
	t, err := p.expect(tokName)
	if err != nil {
		return nil, err
	}
	m := &Macro{At: at, Name: &Name{At: At{t.line, 1}, Name: t.text}, Func: &Func{}}
	if err := p.signature(m); err != nil {
		return nil, err
	}
	m.Body, err = p.body("macro", true, "endmacro")
	return m, err
}

func (p *parser) callBlock(at At) (Stmt, error) {
	m := &Macro{At: at, Func: &Func{}}
	if p.is("(") {
		if err := p.signature(m); err != nil {
			return nil, err
		}
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	call, ok := x.(*Call)
	if !ok {
		return nil, p.fail(at.Line, "expected call")
	}
	m.Body, err = p.body("call", true, "endcall")
	return &CallBlock{at, call, m}, err
}

func (p *parser) with(at At) (Stmt, error) {
	w := &With{At: at}
	for !p.is(tokBlockEnd) {
		if len(w.Targets) > 0 {
			if _, err := p.expect(","); err != nil {
				return nil, err
			}
		}
		target, err := p.withTarget()
		if err != nil {
			return nil, err
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		w.Targets, w.Values = append(w.Targets, target), append(w.Values, x)
	}
	var err error
	w.Body, err = p.body("with", true, "endwith")
	return w, err
}

func (p *parser) withTarget() (Expr, error) {
	target, err := p.target(tupleMode{})
	if err != nil {
		return nil, err
	}
	_, err = p.expect("=")
	return target, err
}

func (p *parser) block(at At) (Stmt, error) {
	t, err := p.expect(tokName)
	if err != nil {
		return nil, err
	}
	b := &Block{At: at, Name: t.text, Func: &Func{}}
	p.skip("name:scoped")
	p.skip("name:required")
	b.Body, err = p.body("block", true, "endblock")
	p.skip("name:" + t.text)
	return b, err
}

// autoescape accepts only the setting that chat templates run with anyway.
func (p *parser) autoescape(at At) (Stmt, error) {
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	if c, ok := x.(*Const); !ok || value.Truth(c.V) {
		return nil, p.fail(at.Line, "autoescape is not supported: a prompt is plain text")
	}
	body, err := p.body("autoescape", true, "endautoescape")
	return &Scoped{At: at, Body: body}, err
}
