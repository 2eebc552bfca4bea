package syntax

import "sort"

// Jinja decides before rendering which variable a name means. Each scope (template, loop body, macro, block of text)
// lists the names that it assigns or uses: a name that is only read is looked up among the globals when the scope is
// entered; one that is assigned is a variable of the scope, which starts as a copy of the variable of that name further
// out, if there is one. So assignments in a loop body do not reach outside it, and a name that is assigned later in the
// same scope is undefined in loops before that. This file computes the same lists.

// variable is a slot of a function.
type variable struct {
	fn   *Func
	slot int
}

type load struct {
	kind  LoadKind
	param bool // set by whoever enters the scope: no load at all
	name  string
	from  *variable
}

// symbols are the names of one scope.
type symbols struct {
	parent *symbols
	fn     *Func
	vars   map[string]*variable // every variable ever made here; shared by the copies for branches
	refs   map[string]*variable
	loads  map[*variable]load
	stores map[string]bool
}

func newSymbols(parent *symbols, fn *Func) *symbols {
	return &symbols{parent, fn, map[string]*variable{}, map[string]*variable{}, map[*variable]load{}, map[string]bool{}}
}

func (s *symbols) copy() *symbols {
	c := newSymbols(s.parent, s.fn)
	c.vars = s.vars
	c.merge(s)
	return c
}

func (s *symbols) merge(b *symbols) {
	for k, v := range b.refs {
		s.refs[k] = v
	}
	for k, v := range b.loads {
		s.loads[k] = v
	}
	for k := range b.stores {
		s.stores[k] = true
	}
}

func (s *symbols) find(name string) *variable {
	for ; s != nil; s = s.parent {
		if v := s.refs[name]; v != nil {
			return v
		}
	}
	return nil
}

func (s *symbols) define(name string, l load) *variable {
	v := s.vars[name]
	if v == nil {
		v = &variable{s.fn, s.fn.Slots}
		s.fn.Slots++
		s.vars[name] = v
	}
	s.refs[name] = v
	s.loads[v] = l
	return v
}

// outer finds the variable of that name outside this scope.
func (s *symbols) outer(name string) *variable {
	if s.parent == nil {
		return nil
	}
	return s.parent.find(name)
}

func (s *symbols) read(name string) {
	if s.find(name) == nil {
		s.define(name, load{kind: LoadResolve, name: name})
	}
}

func (s *symbols) store(name string) {
	s.stores[name] = true
	if s.refs[name] != nil {
		return
	}
	if v := s.outer(name); v != nil {
		s.define(name, load{kind: LoadAlias, from: v})
	} else {
		s.define(name, load{kind: LoadUndefined})
	}
}

func (s *symbols) param(name string) *variable {
	s.stores[name] = true
	return s.define(name, load{param: true})
}

// branches merges the alternatives of a condition: what some of them assign starts with its value from before.
func (s *symbols) branches(all ...*symbols) {
	stores := map[string]bool{}
	for _, b := range all {
		for name := range b.stores {
			if !s.stores[name] {
				stores[name] = true
			}
		}
	}
	for _, b := range all {
		s.merge(b)
	}
	for name := range stores {
		v := s.find(name)
		if from := s.outer(name); from != nil {
			s.loads[v] = load{kind: LoadAlias, from: from}
		} else {
			s.loads[v] = load{kind: LoadResolve, name: name}
		}
	}
}

// scope gives the loads in order of their slots; refs are counted from function fn.
func (s *symbols) scope(fn *Func) Scope {
	var out Scope
	for v, l := range s.loads {
		if l.param {
			continue
		}
		x := Load{Kind: l.kind, Slot: v.slot, Name: l.name}
		if l.from != nil {
			x.From = l.from.ref(fn)
		}
		out.Loads = append(out.Loads, x)
	}
	sort.Slice(out.Loads, func(i, j int) bool { return out.Loads[i].Slot < out.Loads[j].Slot })
	return out
}

// ref addresses the variable from code of function fn.
func (v *variable) ref(fn *Func) Ref {
	up := 0
	for ; fn != v.fn; fn = fn.parent {
		up++
	}
	return Ref{up, v.slot}
}

// note collects the names that statements of a scope use and assign, without the scopes inside.
func (s *symbols) note(body []Stmt) {
	for _, st := range body {
		s.noteStmt(st)
	}
}

func (s *symbols) noteExpr(xs ...Expr) {
	for _, x := range xs {
		walk(x, func(x Expr) bool {
			if n, ok := x.(*Name); ok {
				s.read(n.Name)
			}
			return true
		})
	}
}

// noteTarget notes an assignment; as parameters if param is set.
func (s *symbols) noteTarget(x Expr, param bool) {
	switch x := x.(type) {
	case *Name:
		if param {
			s.param(x.Name)
		} else {
			s.store(x.Name)
		}
	case *NSRef:
		s.read(x.Name)
	case *Tuple:
		for _, item := range x.Items {
			s.noteTarget(item, param)
		}
	}
}

func (s *symbols) noteStmt(st Stmt) {
	switch st := st.(type) {
	case *Output:
		s.noteExpr(st.Parts...)
	case *If:
		s.noteIf(st)
	case *For:
		s.noteExpr(st.Iter)
	case *Set:
		s.noteExpr(st.X)
		s.noteTarget(st.Target, false)
	case *SetBlock:
		s.noteTarget(st.Target, false)
	case *Macro:
		s.store(st.Name.Name)
	case *CallBlock:
		s.noteExpr(st.Call)
	case *FilterBlock:
		s.noteExpr(st.Filter)
	case *With:
		s.noteExpr(st.Values...)
	}
}

func (s *symbols) noteIf(st *If) {
	s.noteExpr(st.Test)
	body, elifs, orelse := s.copy(), s.copy(), s.copy()
	body.note(st.Body)
	for _, e := range st.Elifs {
		elifs.noteIf(e)
	}
	orelse.note(st.Else)
	s.branches(body, elifs, orelse)
}
