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
	load load
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
	refs   map[string]*variable
	stores map[string]bool
	stored []string // the names of stores in order
}

func newSymbols(parent *symbols, fn *Func) *symbols {
	return &symbols{parent: parent, fn: fn, refs: map[string]*variable{}, stores: map[string]bool{}}
}

func (s *symbols) find(name string) *variable {
	for ; s != nil; s = s.parent {
		if v := s.refs[name]; v != nil {
			return v
		}
	}
	return nil
}

func (s *symbols) define(name string, l load) {
	v := s.refs[name]
	if v == nil {
		v = &variable{fn: s.fn, slot: s.fn.Slots}
		s.fn.Slots++
		s.refs[name] = v
	}
	v.load = l
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
	s.assigned(name)
	if s.refs[name] != nil {
		return
	}
	if v := s.outer(name); v != nil {
		s.define(name, load{kind: LoadAlias, from: v})
	} else {
		s.define(name, load{kind: LoadUndefined})
	}
}

// assigned remembers that the scope assigns a name.
func (s *symbols) assigned(name string) {
	if !s.stores[name] {
		s.stores[name] = true
		s.stored = append(s.stored, name)
	}
}

func (s *symbols) param(name string) {
	s.assigned(name)
	s.define(name, load{param: true})
}

// scope gives the loads in order of their slots; refs are counted from function fn.
func (s *symbols) scope(fn *Func) Scope {
	var out Scope
	for _, v := range s.refs {
		l := v.load
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

// noteIf notes a condition. What is assigned for the first time in one of its branches starts with its value from before.
func (s *symbols) noteIf(st *If) {
	s.noteExpr(st.Test)
	before := len(s.stored)
	s.note(st.Body)
	for _, e := range st.Elifs {
		s.noteIf(e)
	}
	s.note(st.Else)
	for _, name := range s.stored[before:] {
		v := s.refs[name]
		if from := s.outer(name); from != nil {
			v.load = load{kind: LoadAlias, from: from}
		} else {
			v.load = load{kind: LoadResolve, name: name}
		}
	}
}
