package value

import (
	"fmt"
	"math/big"
)

// Value is a value of the template language: None, Bool, Int, *Big, Float, Str, *Undefined, *List, *Tuple, *Dict,
// *Namespace, *Range, *View, *Iter, *Func, *Method, or an object of the evaluator.
type Value interface {
	// TypeName is the name of the Python type, as in type(x).__name__.
	TypeName() string
}

// Object is a value with attributes of its own.
type Object interface {
	Value
	// Attr gives the attribute of that name; false if there is none.
	Attr(name string) (Value, bool, error)
}

// Callable is a value that can be called.
type Callable interface {
	Value
	// Call fails with what the function fails with, *Error for wrong arguments among it.
	Call(m *Meter, a Args) (Value, error)
}

// None is Python's None.
type None struct{}

// Bool is Python's bool.
type Bool bool

// Int is a Python int that fits 64 bits; others are *Big.
type Int int64

// Big is a Python int beyond 64 bits.
type Big struct{ n *big.Int }

// Float is Python's float.
type Float float64

// Undefined is the value of a name, attribute or element that does not exist. It prints as nothing, is false and empty;
// other uses fail with an error that says what was missing.
type Undefined struct {
	Hint     string // the whole message, if not ""
	Obj      Value  // what has no such attribute; nil for a variable
	Name     Value  // the name or key; nil if there is only a hint
	Security bool   // refused by the sandbox
}

// Func is a function that the engine or its caller provides.
type Func struct {
	Name string
	Fn   func(m *Meter, a Args) (Value, error)
}

// TypeName implements Value.
func (None) TypeName() string { return "NoneType" }

// TypeName implements Value.
func (Bool) TypeName() string { return "bool" }

// TypeName implements Value.
func (Int) TypeName() string { return "int" }

// TypeName implements Value.
func (*Big) TypeName() string { return "int" }

// TypeName implements Value.
func (Float) TypeName() string { return "float" }

// TypeName implements Value.
func (*Undefined) TypeName() string { return "Undefined" }

// TypeName implements Value.
func (*Func) TypeName() string { return "function" }

// Call implements Callable.
func (f *Func) Call(m *Meter, a Args) (Value, error) { return f.Fn(m, a) }

// Error is an error of an operation, as Python would raise it.
type Error struct {
	Kind string // TypeError, ValueError, UndefinedError, ...
	Text string
}

// Error gives kind and text.
func (e *Error) Error() string { return e.Kind + ": " + e.Text }

// TypeErrorf makes a TypeError.
func TypeErrorf(format string, args ...any) error {
	return &Error{"TypeError", fmt.Sprintf(format, args...)}
}

// ValueErrorf makes a ValueError.
func ValueErrorf(format string, args ...any) error { //nolint:revive // ValueError is the name in Python
	return &Error{"ValueError", fmt.Sprintf(format, args...)}
}

// Fail is the error that any use of u gives.
func (u *Undefined) Fail() error {
	kind := "UndefinedError"
	if u.Security {
		kind = "SecurityError"
	}
	switch {
	case u.Hint != "":
		return &Error{kind, u.Hint}
	case u.Obj == nil:
		return &Error{kind, shortRepr(u.Name) + " is undefined"}
	}
	owner := u.Obj.TypeName() + " object"
	if _, none := u.Obj.(None); none {
		owner = "None"
	}
	if _, str := u.Name.(Str); str {
		return &Error{kind, fmt.Sprintf("'%s' has no attribute %s", owner, shortRepr(u.Name))}
	}
	return &Error{kind, fmt.Sprintf("%s has no element %s", owner, shortRepr(u.Name))}
}

// shortRepr is a repr for messages: short, and never failing.
func shortRepr(v Value) string {
	if v == nil {
		return "?"
	}
	m := NewMeter(Limits{Steps: 1000, Bytes: 10_000})
	s, err := Repr(m, v)
	if err != nil {
		return "<" + v.TypeName() + ">"
	}
	if text := []rune(s.String()); len(text) > 80 {
		return string(text[:77]) + "..."
	}
	return s.String()
}

// IsUndefined tells whether v is an Undefined.
func IsUndefined(v Value) bool {
	_, ok := v.(*Undefined)
	return ok
}

// Truth is bool(v).
func Truth(v Value) bool {
	switch v := v.(type) {
	case None, *Undefined:
		return false
	case Bool:
		return bool(v)
	case Int:
		return v != 0
	case Float:
		return v != 0
	case Str:
		return v.s != ""
	case *List:
		return len(v.Items) > 0
	case *Tuple:
		return len(v.Items) > 0
	case *Dict:
		return v.Len() > 0
	case *View:
		return v.dict.Len() > 0
	case *Range:
		return v.Len() > 0
	}
	return true
}
