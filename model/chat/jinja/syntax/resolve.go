package syntax

import "fmt"

// resolver gives every name its slot.
type resolver struct {
	opts Options
	err  error
}

// frame is where the resolver is.
type frame struct {
	syms   *symbols
	fn     *Func
	top    bool // in the template itself, perhaps in a condition: assignments are globals too
	soft   bool // in a condition: unknown filters are found out only when they run
	inLoop bool // break and continue are allowed
}

// inner is the frame of a scope inside f.
func (f frame) inner() frame {
	return frame{syms: newSymbols(f.syms, f.fn), fn: f.fn, inLoop: f.inLoop}
}

// function is the frame of a function inside f.
func (f frame) function(fn *Func) frame {
	fn.parent = f.fn
	return frame{syms: newSymbols(f.syms, fn), fn: fn}
}

func resolve(t *Template, o Options) error {
	r := &resolver{opts: o}
	f := frame{syms: newSymbols(nil, t.Func), fn: t.Func, top: true}
	f.syms.note(t.Body)
	r.stmts(f, t.Body)
	t.Scope = f.syms.scope(f.fn)
	return r.err
}

func (r *resolver) fail(line int, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{line, fmt.Sprintf(format, args...)}
	}
}

func (r *resolver) exprs(f frame, xs ...Expr) {
	for _, x := range xs {
		walk(x, func(x Expr) bool {
			switch x := x.(type) {
			case *Name:
				f.syms.read(x.Name) // known already, but for the filters of a set block
				x.Ref = f.syms.find(x.Name).ref(f.fn)
			case *Cond:
				soft := f
				soft.soft = true
				r.exprs(soft, x.Test, x.Then, x.Else)
				return false
			case *Filter:
				if !f.soft && !r.opts.HasFilter(x.Name) {
					r.fail(x.Line, "no filter named '%s'", x.Name)
				}
			case *Test:
				if !f.soft && !r.opts.HasTest(x.Name) {
					r.fail(x.Line, "no test named '%s'", x.Name)
				}
			}
			return true
		})
	}
}

func (r *resolver) target(f frame, x Expr) {
	switch x := x.(type) {
	case *Name:
		x.Ref = f.syms.find(x.Name).ref(f.fn)
	case *NSRef:
		x.Ref = f.syms.find(x.Name).ref(f.fn)
	case *Tuple:
		for _, item := range x.Items {
			r.target(f, item)
		}
	}
}

func (r *resolver) stmts(f frame, body []Stmt) {
	for _, st := range body {
		r.stmt(f, st)
	}
}

func (r *resolver) stmt(f frame, st Stmt) {
	switch st := st.(type) {
	case *Output:
		r.exprs(f, st.Parts...)
	case *If:
		f.soft = true
		r.cond(f, st)
	case *For:
		r.loop(f, st)
	case *Set:
		st.Top = f.top
		r.exprs(f, st.X)
		r.target(f, st.Target)
	case *SetBlock:
		st.Top = f.top
		in := f.inner()
		in.syms.note(st.Body)
		r.stmts(in, st.Body)
		r.exprs(in, st.Filter)
		st.Scope = in.syms.scope(f.fn)
		r.target(f, st.Target)
	case *Macro:
		st.Top = f.top
		r.macro(f, st)
		r.target(f, st.Name)
	case *CallBlock:
		r.macro(f, st.Body)
		r.exprs(f, st.Call)
	case *FilterBlock:
		in := f.inner()
		in.syms.note(st.Body)
		in.syms.noteExpr(st.Filter)
		r.stmts(in, st.Body)
		r.exprs(in, st.Filter)
		st.Scope = in.syms.scope(f.fn)
	case *With:
		r.with(f, st)
	case *Scoped:
		in := f.inner()
		in.syms.note(st.Body)
		r.stmts(in, st.Body)
		st.Scope = in.syms.scope(f.fn)
	case *Block:
		in := f.function(st.Func)
		in.syms.parent = nil
		in.syms.note(st.Body)
		r.stmts(in, st.Body)
		st.Scope = in.syms.scope(st.Func)
	case *Jump:
		if !f.inLoop {
			r.fail(st.Line, "break or continue outside a loop")
		}
	}
}

func (r *resolver) cond(f frame, st *If) {
	r.exprs(f, st.Test)
	r.stmts(f, st.Body)
	for _, e := range st.Elifs {
		r.cond(f, e)
	}
	r.stmts(f, st.Else)
}

func (r *resolver) with(f frame, st *With) {
	in := f.inner()
	for _, t := range st.Targets {
		in.syms.noteTarget(t, true)
	}
	in.syms.note(st.Body)
	r.exprs(f, st.Values...)
	for _, t := range st.Targets {
		r.target(in, t)
	}
	r.stmts(in, st.Body)
	st.Scope = in.syms.scope(f.fn)
}

func (r *resolver) loop(f frame, st *For) {
	r.exprs(f, st.Iter)
	outer := f
	if st.Recursive != nil {
		outer = f.function(st.Recursive)
		outer.syms = &symbols{parent: f.syms, fn: st.Recursive}
	}
	body, test, orelse := outer.inner(), outer.inner(), outer.inner()
	body.inLoop = true
	orelse.inLoop = f.inLoop && st.Recursive == nil
	if st.Recursive != nil || undeclared(st.Body, "loop")["loop"] {
		body.syms.param("loop")
		st.Loop = &Name{At: st.At, Name: "loop"}
	}
	body.syms.noteTarget(st.Target, true)
	body.syms.note(st.Body)
	if st.Loop != nil {
		r.target(body, st.Loop)
	}
	if assignsLoop(st) {
		r.fail(st.Line, "can't assign to special loop variable in for-loop target")
		return
	}
	if st.Test != nil {
		test.syms.noteTarget(st.TestTarget, true)
		test.syms.noteExpr(st.Test)
		r.target(test, st.TestTarget)
		r.exprs(test, st.Test)
		st.TestScope = test.syms.scope(outer.fn)
	}
	r.target(body, st.Target)
	r.stmts(body, st.Body)
	st.BodyScope = body.syms.scope(outer.fn)
	orelse.syms.note(st.Else)
	r.stmts(orelse, st.Else)
	st.ElseScope = orelse.syms.scope(outer.fn)
}

// assignsLoop tells whether a loop or something in it assigns the name "loop".
func assignsLoop(st *For) bool {
	u := &finder{wanted: map[string]bool{"loop": true}, found: map[string]bool{}}
	u.stmts([]Stmt{st})
	return !u.wanted["loop"]
}

func (r *resolver) macro(f frame, m *Macro) {
	in := f.function(m.Func)
	note := func() {
		for _, p := range m.Params {
			in.syms.param(p.Name)
		}
		in.syms.noteExpr(m.Defaults...)
		in.syms.note(m.Body)
	}
	note()
	special := undeclared(m.Body, "caller", "kwargs", "varargs")
	add := func(name string) *Name {
		for i, p := range m.Params {
			if p.Name == name {
				if name == "caller" && i < len(m.Params)-len(m.Defaults) {
					r.fail(m.Line, "the special \"caller\" argument must be omitted or be given a default")
				}
				return nil
			}
		}
		if !special[name] {
			return nil
		}
		in.syms.param(name)
		return &Name{At: m.At, Name: name}
	}
	m.Caller, m.Kwargs, m.Varargs = add("caller"), add("kwargs"), add("varargs")
	note()
	for _, p := range append([]*Name{m.Caller, m.Kwargs, m.Varargs}, m.Params...) {
		if p != nil {
			r.target(in, p)
		}
	}
	r.exprs(in, m.Defaults...)
	r.stmts(in, m.Body)
	m.Scope = in.syms.scope(m.Func)
}
