package jinja

import (
	"errors"
	"fmt"

	"siskin/model/chat/jinja/syntax"
	"siskin/model/chat/jinja/value"
)

// Dialect says what is allowed beyond the immutable sandbox of plain Jinja. The zero Dialect is exactly that sandbox.
type Dialect struct {
	// Generation accepts {% generation %}…{% endgeneration %}, the extension of Hugging Face: its body is rendered as is.
	Generation bool
	// Mutation lets templates change lists and dicts by their methods (append, pop, update, ...).
	Mutation bool
}

// Limits bounds one render. See DefaultLimits.
type Limits struct {
	value.Limits
	Output int // bytes of the rendered text
	Calls  int // nested macro calls
}

// DefaultLimits are ample for chat templates and bound a hostile one to about a second and a few hundred MB that were
// allocated and freed. inputBytes is the size of the variables, to which memory is proportional.
func DefaultLimits(inputBytes int) Limits {
	return Limits{
		Limits: value.Limits{Steps: 5_000_000 + 16*int64(inputBytes), Bytes: 64<<20 + 64*int64(inputBytes)},
		Output: 8<<20 + 4*inputBytes,
		Calls:  150,
	}
}

// Error is an error at a line of the template: while parsing (Err is a *syntax.Error), or while rendering.
type Error struct {
	Line int // from 1
	Err  error
}

// Error gives line and reason.
func (e *Error) Error() string { return fmt.Sprintf("template line %d: %v", e.Line, e.Err) }

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// Template is a parsed template. It is immutable: any number of renders may run at once.
type Template struct {
	tree    *syntax.Template
	dialect Dialect
	lib     *library
}

// Parse reads a template. The error is an *Error.
func Parse(source string, d Dialect) (*Template, error) {
	lib := newLibrary()
	tree, err := syntax.Parse(source, syntax.Options{
		Generation: d.Generation,
		HasFilter:  func(name string) bool { return lib.filters[name] != nil },
		HasTest:    func(name string) bool { return lib.tests[name] != nil },
	})
	if err != nil {
		var at *syntax.Error
		if errors.As(err, &at) {
			return nil, &Error{at.Line, errors.New(at.Text)}
		}
		return nil, err
	}
	return &Template{tree, d, lib}, nil
}

// Render runs the template. vars are its variables; globals are functions and values that variables of the same name hide.
// Neither is changed, unless Dialect.Mutation lets the template change lists and dicts in vars. The error is an *Error;
// beyond the limits it wraps a *value.LimitError, for wrong operations a *value.Error, otherwise what a global returned.
func (t *Template) Render(vars *value.Dict, globals map[string]value.Value, l Limits) (value.Str, error) {
	in := &interp{
		m: value.NewMeter(l.Limits), limits: l, dialect: t.dialect, lib: t.lib,
		vars: vars, globals: globals, exported: map[string]value.Value{},
	}
	var out value.Builder
	act := &activation{slots: make([]value.Value, t.tree.Func.Slots)}
	in.enter(act, t.tree.Scope)
	if _, err := in.stmts(act, &out, t.tree.Body); err != nil {
		return value.Str{}, err
	}
	return out.Str(), nil
}
