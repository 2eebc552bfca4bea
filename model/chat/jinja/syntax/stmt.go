package syntax

import (
	"slices"
	"strings"

	"siskin/model/chat/jinja/value"
)

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
			if p.is(tokName) && slices.Contains(ends, p.cur().text) {
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
		if len(m.Params) == maxParams {
			return p.fail(t.line, "more than %d parameters", maxParams)
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
