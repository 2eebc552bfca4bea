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
	// Mutation lets templates change lists and dicts that they made themselves by their methods (append, pop, update, ...).
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
	tree *syntax.Template
	lib  *library
}

// Input is what a template is rendered with.
type Input struct {
	Vars    *value.Dict            // the variables of the template
	Globals map[string]value.Value // functions and values that variables of the same name hide
	Dialect Dialect
	Limits  Limits
}

// Parse reads a template. The error is an *Error.
func Parse(source string) (*Template, error) {
	lib := newLibrary()
	tree, err := syntax.Parse(source, syntax.Options{
		HasFilter: func(name string) bool { return lib.filters[name] != nil },
		HasTest:   func(name string) bool { return lib.tests[name] != nil },
	})
	if err != nil {
		var at *syntax.Error
		if errors.As(err, &at) {
			return nil, &Error{at.Line, errors.New(at.Text)}
		}
		return nil, err
	}
	return &Template{tree, lib}, nil
}

// Render runs the template. The error is an *Error; beyond the limits it wraps a *value.LimitError, for wrong operations a
// *value.Error, otherwise what a global returned.
func (t *Template) Render(input Input) (value.Str, error) {
	if line := t.tree.Generation; line > 0 && !input.Dialect.Generation {
		return value.Str{}, &Error{line, errors.New("encountered unknown tag 'generation', which plain Jinja does not have")}
	}
	in := &interp{
		m: value.NewMeter(input.Limits.Limits), limits: input.Limits, dialect: input.Dialect, lib: t.lib,
		vars: input.Vars, globals: input.Globals, exported: map[string]value.Value{},
	}
	var out value.Builder
	act := &activation{slots: make([]value.Value, t.tree.Func.Slots)}
	in.enter(act, t.tree.Scope)
	if _, err := in.stmts(act, &out, t.tree.Body); err != nil {
		return value.Str{}, wrap(1, err)
	}
	return out.Str(), nil
}
