package jinja

import (
	"fmt"

	"siskin/model/chat/jinja/syntax"
	"siskin/model/chat/jinja/value"
)

// forStmt runs a loop statement.
func (in *interp) forStmt(act *activation, out *value.Builder, st *syntax.For) (jump, error) {
	over, err := in.eval(act, st.Iter)
	if err != nil {
		return jumpNone, wrap(syntax.Line(st.Iter), err)
	}
	if st.Recursive == nil {
		return in.loop(act, out, st, over, nil, 0)
	}
	s, err := in.recurse(act, st, over, 0)
	if err != nil {
		return jumpNone, err
	}
	return jumpNone, wrap(st.Line, in.write(out, s))
}

// recurse renders a recursive loop over a value, depth levels deep.
func (in *interp) recurse(act *activation, st *syntax.For, over value.Value, depth int) (value.Str, error) {
	in.calls++
	defer func() { in.calls-- }()
	if in.calls > in.limits.Calls {
		return value.Str{}, &value.LimitError{What: "nested calls", Limit: int64(in.limits.Calls)}
	}
	inner := &activation{slots: make([]value.Value, st.Recursive.Slots), parent: act}
	var b value.Builder
	_, err := in.loop(inner, &b, st, over, func(over value.Value) (value.Str, error) {
		return in.recurse(act, st, over, depth+1)
	}, depth)
	if err != nil {
		return value.Str{}, err
	}
	return b.Str(), nil
}

// loop runs the body for each element; recurse is what loop(...) calls, if the loop is recursive. A jump in the else branch
// is one of the loop outside.
func (in *interp) loop(act *activation, out *value.Builder, st *syntax.For, over value.Value,
	recurse func(value.Value) (value.Str, error), depth int,
) (jump, error) {
	it, err := value.Iterate(in.m, over)
	if err != nil {
		return jumpNone, wrap(syntax.Line(st.Iter), err)
	}
	next := func() (value.Value, bool, error) { return it.Next(in.m) }
	lp := &loopObject{in: in, over: over, index: -1, depth: depth, recurse: recurse}
	if st.Test != nil {
		next, lp.over = in.filterLoop(act, st, next), nil
	}
	lp.next = next
	for {
		v, ok, err := lp.advance()
		if err != nil {
			return jumpNone, wrap(st.Line, err)
		}
		if !ok {
			break
		}
		in.enter(act, st.BodyScope)
		if st.Loop != nil {
			*act.at(st.Loop.Ref) = lp
		}
		if err := in.assign(act, st.Target, v, false); err != nil {
			return jumpNone, wrap(st.Line, err)
		}
		j, err := in.stmts(act, out, st.Body)
		if err != nil {
			return jumpNone, err
		}
		if j == jumpBreak {
			break
		}
		if j == jumpNone {
			lp.finished++ // Jinja counts only these: a loop that always continues runs its else branch
		}
	}
	if lp.finished == 0 && len(st.Else) > 0 {
		in.enter(act, st.ElseScope)
		return in.stmts(act, out, st.Else)
	}
	return jumpNone, nil
}

// filterLoop draws the elements for which the test of a loop holds.
func (in *interp) filterLoop(act *activation, st *syntax.For, next func() (value.Value, bool, error)) func() (value.Value, bool, error) {
	in.enter(act, st.TestScope)
	return func() (value.Value, bool, error) {
		for {
			v, ok, err := next()
			if err != nil || !ok {
				return nil, false, err
			}
			if err := in.assign(act, st.TestTarget, v, false); err != nil {
				return nil, false, err
			}
			t, err := in.eval(act, st.Test)
			if err != nil {
				return nil, false, err
			}
			if value.Truth(t) {
				return in.read(act, st.TestTarget, v), true, nil
			}
		}
	}
}

// read gives what was assigned to a target: v, but what was unpacked is a tuple then.
func (in *interp) read(act *activation, target syntax.Expr, v value.Value) value.Value {
	switch t := target.(type) {
	case *syntax.Name:
		return *act.at(t.Ref)
	case *syntax.Tuple:
		out := &value.Tuple{}
		for _, item := range t.Items {
			out.Items = append(out.Items, in.read(act, item, nil))
		}
		return out
	}
	return v
}

// loopObject is the variable "loop".
type loopObject struct {
	in            *interp
	over          value.Value // nil if its length cannot be asked
	next          func() (value.Value, bool, error)
	recurse       func(value.Value) (value.Str, error)
	index, depth  int // from 0
	finished      int // iterations whose body ran to its end
	current, prev value.Value
	after         []value.Value // drawn ahead
	ended         bool          // next gave its last element
	changed       *value.Tuple
	length        int
	hasLength     bool
}

// TypeName implements value.Value.
func (*loopObject) TypeName() string { return "LoopContext" }

// String is its repr.
func (l *loopObject) String() string {
	n, err := l.Length(l.in.m)
	if err != nil {
		n = -1
	}
	return fmt.Sprintf("<LoopContext %d/%d>", l.index+1, n)
}

func (l *loopObject) draw() (value.Value, bool, error) {
	if l.ended {
		return nil, false, nil
	}
	v, ok, err := l.next()
	l.ended = !ok
	return v, ok, err
}

func (l *loopObject) advance() (value.Value, bool, error) {
	var v value.Value
	if len(l.after) > 0 {
		v, l.after = l.after[0], l.after[1:]
	} else {
		var ok bool
		var err error
		if v, ok, err = l.draw(); err != nil || !ok {
			return nil, false, err
		}
	}
	l.index++
	l.prev, l.current = l.current, v
	return v, true, nil
}

// peek gives the next element without consuming it.
func (l *loopObject) peek() (value.Value, bool, error) {
	if len(l.after) == 0 {
		v, ok, err := l.draw()
		if err != nil || !ok {
			return nil, false, err
		}
		l.after = append(l.after, v)
	}
	return l.after[0], true, nil
}

// Length is len(loop): of what is iterated, or by drawing all of it.
func (l *loopObject) Length(m *value.Meter) (int, error) {
	if l.hasLength {
		return l.length, nil
	}
	n, err := -1, error(nil)
	if l.over != nil {
		n, err = value.Len(m, l.over)
	}
	if l.over == nil || err != nil {
		for {
			v, ok, err := l.draw()
			if err != nil {
				return 0, err
			}
			if !ok {
				break
			}
			if err := m.Elements(1); err != nil {
				return 0, err
			}
			l.after = append(l.after, v)
		}
		n = len(l.after) + l.index + 1
	}
	l.length, l.hasLength = n, true
	return n, nil
}

// Attr implements value.Object.
func (l *loopObject) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "index":
		return value.Int(l.index + 1), true, nil
	case "index0":
		return value.Int(l.index), true, nil
	case "first":
		return value.Bool(l.index == 0), true, nil
	case "depth":
		return value.Int(l.depth + 1), true, nil
	case "depth0":
		return value.Int(l.depth), true, nil
	case "length", "revindex", "revindex0":
		n, err := l.Length(l.in.m)
		switch name {
		case "revindex":
			n -= l.index
		case "revindex0":
			n -= l.index + 1
		}
		return value.Int(n), true, err
	case "last":
		_, ok, err := l.peek()
		return value.Bool(!ok), true, err
	case "previtem":
		if l.index == 0 {
			return &value.Undefined{Hint: "there is no previous item"}, true, nil
		}
		return l.prev, true, nil
	case "nextitem":
		v, ok, err := l.peek()
		if err == nil && !ok {
			v = &value.Undefined{Hint: "there is no next item"}
		}
		return v, true, err
	case "cycle":
		return &value.Func{Name: name, Fn: l.cycle}, true, nil
	case "changed":
		return &value.Func{Name: name, Fn: l.isChanged}, true, nil
	}
	return nil, false, nil
}

func (l *loopObject) cycle(_ *value.Meter, a value.Args) (value.Value, error) {
	if len(a.Pos) == 0 || len(a.Kw) > 0 {
		return nil, value.TypeErrorf("no items for cycling given")
	}
	return a.Pos[l.index%len(a.Pos)], nil
}

func (l *loopObject) isChanged(m *value.Meter, a value.Args) (value.Value, error) {
	now := &value.Tuple{Items: a.Pos}
	if l.changed != nil {
		same, err := value.Equal(m, l.changed, now)
		if err != nil || same {
			return value.Bool(false), err
		}
	}
	l.changed = now
	return value.Bool(true), nil
}

// Call implements value.Callable: loop(iterable) of a recursive loop.
func (l *loopObject) Call(_ *value.Meter, a value.Args) (value.Value, error) {
	if l.recurse == nil {
		return nil, value.TypeErrorf("The loop must have the 'recursive' marker to be called recursively.")
	}
	args, err := a.Bind("loop", "iterable!")
	if err != nil {
		return nil, err
	}
	return l.recurse(args[0])
}
