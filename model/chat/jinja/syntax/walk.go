package syntax

// walk calls f for an expression and those inside it, in the order of evaluation analysis; f returns false to skip the inside.
func walk(x Expr, f func(Expr) bool) {
	if isNil(x) || !f(x) {
		return
	}
	for _, c := range children(x) {
		walk(c, f)
	}
}

// isNil also catches nil pointers of the optional parts.
func isNil(x Expr) bool {
	switch x := x.(type) {
	case nil:
		return true
	case *Filter:
		return x == nil
	}
	return false
}

func children(x Expr) []Expr {
	switch x := x.(type) {
	case *Tuple:
		return x.Items
	case *List:
		return x.Items
	case *Dict:
		out := make([]Expr, 0, 2*len(x.Keys))
		for i, k := range x.Keys {
			out = append(out, k, x.Values[i])
		}
		return out
	case *Unary:
		return []Expr{x.X}
	case *Binary:
		return []Expr{x.X, x.Y}
	case *Logic:
		return []Expr{x.X, x.Y}
	case *Concat:
		return x.Parts
	case *Compare:
		return append([]Expr{x.X}, x.Xs...)
	case *Attr:
		return []Expr{x.X}
	case *Index:
		return []Expr{x.X, x.Key}
	case *Slice:
		return []Expr{x.X, x.Start, x.Stop, x.Step}
	case *Call:
		return x.all(x.Fn)
	case *Filter:
		return x.all(x.X)
	case *Test:
		return x.all(x.X)
	case *Cond:
		return []Expr{x.Test, x.Then, x.Else}
	}
	return nil
}

// undeclared tells which of the names a body reads before it assigns them, scopes inside it included.
func undeclared(body []Stmt, names ...string) map[string]bool {
	u := &finder{wanted: map[string]bool{}, found: map[string]bool{}}
	for _, n := range names {
		u.wanted[n] = true
	}
	u.stmts(body)
	return u.found
}

type finder struct{ wanted, found map[string]bool }

func (u *finder) exprs(xs ...Expr) {
	for _, x := range xs {
		walk(x, func(x Expr) bool {
			if n, ok := x.(*Name); ok && u.wanted[n.Name] {
				u.found[n.Name] = true
			}
			return true
		})
	}
}

func (u *finder) target(x Expr) {
	switch x := x.(type) {
	case *Name:
		delete(u.wanted, x.Name)
	case *Tuple:
		for _, item := range x.Items {
			u.target(item)
		}
	}
}

func (u *finder) stmts(body []Stmt) {
	for _, st := range body {
		switch st := st.(type) {
		case *Output:
			u.exprs(st.Parts...)
		case *If:
			u.cond(st)
		case *For:
			u.target(st.Target)
			u.exprs(st.Iter)
			u.stmts(st.Body)
			u.stmts(st.Else)
			u.exprs(st.Test)
		case *Set:
			u.target(st.Target)
			u.exprs(st.X)
		case *SetBlock:
			u.target(st.Target)
			u.exprs(st.Filter)
			u.stmts(st.Body)
		case *Macro:
			u.macro(st)
		case *CallBlock:
			u.exprs(st.Call)
			u.macro(st.Body)
		case *FilterBlock:
			u.stmts(st.Body)
			u.exprs(st.Filter)
		case *With:
			for _, t := range st.Targets {
				u.target(t)
			}
			u.exprs(st.Values...)
			u.stmts(st.Body)
		case *Scoped:
			u.stmts(st.Body)
		}
	}
}

func (u *finder) cond(st *If) {
	u.exprs(st.Test)
	u.stmts(st.Body)
	for _, e := range st.Elifs {
		u.cond(e)
	}
	u.stmts(st.Else)
}

func (u *finder) macro(m *Macro) {
	for _, p := range m.Params {
		delete(u.wanted, p.Name)
	}
	u.exprs(m.Defaults...)
	u.stmts(m.Body)
}
