// Package syntax reads chat templates: the lexer and parser of the Jinja 3.1 language with trim_blocks, lstrip_blocks and
// loop controls, and the resolution of names to variable slots by Jinja's scoping rules.
//
// It evaluates nothing. Source of the rules: the Jinja 3.1 documentation ("Template Designer Documentation") and the
// behaviour of Jinja 3.1.6, which the vectors of package jinja record.
package syntax

import "siskin/model/chat/jinja/value"

// At is where a node stands, and how deep the tree below it is.
type At struct {
	Line   int
	height int
}

func (a At) at() At { return a }

// Expr is an expression: one of the pointer types below.
type Expr interface{ at() At }

// Line gives the line of an expression.
func Line(e Expr) int { return e.at().Line }

// Ref is a variable: slot Slot of the activation Up functions out.
type Ref struct{ Up, Slot int }

type (
	// Const is a literal.
	Const struct {
		At
		V value.Value
	}
	// Name is a variable that is read, assigned, or a parameter.
	Name struct {
		At
		Name string
		Ref  Ref
	}
	// NSRef is ns.attr as a target of an assignment.
	NSRef struct {
		At
		Name, Attr string
		Ref        Ref
	}
	// Tuple is a tuple of expressions or of targets.
	Tuple struct {
		At
		Items []Expr
	}
	// List is a list literal.
	List struct {
		At
		Items []Expr
	}
	// Dict is a dict literal.
	Dict struct {
		At
		Keys, Values []Expr
	}
	// Unary is not X, -X or +X.
	Unary struct {
		At
		Op string
		X  Expr
	}
	// Binary is X Op Y for + - * / // % **.
	Binary struct {
		At
		Op   string
		X, Y Expr
	}
	// Logic is X and Y, X or Y.
	Logic struct {
		At
		Or   bool
		X, Y Expr
	}
	// Concat is a ~ b ~ c.
	Concat struct {
		At
		Parts []Expr
	}
	// Compare is a chain X Ops[0] Xs[0] Ops[1] Xs[1]...; the operators are == != < <= > >= in, and "not in".
	Compare struct {
		At
		X   Expr
		Ops []string
		Xs  []Expr
	}
	// Attr is X.Name.
	Attr struct {
		At
		X    Expr
		Name value.Str
	}
	// Index is X[Key].
	Index struct {
		At
		X, Key Expr
	}
	// Slice is X[Start:Stop:Step]; absent parts are nil.
	Slice struct {
		At
		X, Start, Stop, Step Expr
	}
	// Args are the arguments of a call, filter or test.
	Args struct {
		Pos      []Expr
		Names    []string
		Kw       []Expr
		Star     Expr // *args
		StarStar Expr // **kwargs
	}
	// Call is Fn(Args).
	Call struct {
		At
		Fn Expr
		Args
	}
	// Filter is X | Name(Args); X is nil for the text of a filter block.
	Filter struct {
		At
		X    Expr
		Name string
		Args
	}
	// Test is X is Name(Args).
	Test struct {
		At
		X    Expr
		Name string
		Args
	}
	// Cond is Then if Test else Else; Else may be nil.
	Cond struct {
		At
		Test, Then, Else Expr
	}
)

// Stmt is a statement: one of the pointer types below.
type Stmt interface{ at() At }

type (
	// Output prints expressions; template text is a Const.
	Output struct {
		At
		Parts []Expr
	}
	// For is a loop.
	For struct {
		At
		Target     Expr
		TestTarget Expr // the target as the filter Test sees it: variables of its own
		Iter       Expr
		Test       Expr // nil: none
		Body, Else []Stmt
		Loop       *Name // the variable "loop", nil if the body does not use it
		Recursive  *Func // of a recursive loop: its body is a function
		BodyScope  Scope
		TestScope  Scope
		ElseScope  Scope
	}
	// If is a condition with its elif branches.
	If struct {
		At
		Test  Expr
		Body  []Stmt
		Elifs []*If
		Else  []Stmt
	}
	// Set assigns; Top tells that the target is visible as a global of the template.
	Set struct {
		At
		Target Expr
		X      Expr
		Top    bool
	}
	// SetBlock assigns the text of its body.
	SetBlock struct {
		At
		Target Expr
		Filter *Filter // nil: none
		Body   []Stmt
		Scope  Scope
		Top    bool
	}
	// Macro defines a macro, or the body of a call block (Name is then nil).
	Macro struct {
		At
		Name     *Name
		Params   []*Name
		Defaults []Expr // of the last parameters
		Body     []Stmt
		Func     *Func
		Scope    Scope
		Top      bool
		// Caller, Kwargs and Varargs are the special parameters; nil if the body does not use them.
		Caller, Kwargs, Varargs *Name
	}
	// CallBlock calls a macro with its body as caller().
	CallBlock struct {
		At
		Call *Call
		Body *Macro
	}
	// FilterBlock filters the text of its body.
	FilterBlock struct {
		At
		Filter *Filter
		Body   []Stmt
		Scope  Scope
	}
	// With is a scope with variables.
	With struct {
		At
		Targets, Values []Expr
		Body            []Stmt
		Scope           Scope
	}
	// Scoped is a body with a scope of its own.
	Scoped struct {
		At
		Body  []Stmt
		Scope Scope
	}
	// Block is a named block; without inheritance it is a function that is called in place.
	Block struct {
		At
		Name  string
		Body  []Stmt
		Func  *Func
		Scope Scope
	}
	// Jump is break or continue.
	Jump struct {
		At
		Break bool
	}
	// Refused is a tag that needs other templates; running it is an error.
	Refused struct {
		At
		Tag string
	}
)

// Func is a function of the compiled template: the root, a macro, a block or a recursive loop. Its variables live in an
// activation of Slots slots.
type Func struct {
	Slots  int
	parent *Func
}

// LoadKind tells how a variable gets its value when its scope is entered.
type LoadKind int

// The kinds of Load.
const (
	LoadResolve   LoadKind = iota // from the globals of the template and the render
	LoadAlias                     // from a variable further out
	LoadUndefined                 // none yet
)

// Load is the initialisation of one variable.
type Load struct {
	Kind LoadKind
	Slot int
	Name string // for LoadResolve
	From Ref    // for LoadAlias
}

// Scope lists what happens when a scope is entered.
type Scope struct{ Loads []Load }

// Template is a parsed template.
type Template struct {
	Body       []Stmt
	Func       *Func
	Scope      Scope
	Generation int // line of the first {% generation %}, which Hugging Face added to the language; 0: none
}

// Options tell the parser what the evaluator knows.
type Options struct {
	// HasFilter and HasTest tell whether a filter or test exists: one that does not is an error, unless it stands in a
	// condition and is thus perhaps never used.
	HasFilter, HasTest func(name string) bool
}

// MaxSource bounds the length of a template in bytes.
const MaxSource = 256 << 10

// Parse reads a template. The error is an *Error.
func Parse(source string, o Options) (*Template, error) {
	if len(source) > MaxSource {
		return nil, &Error{1, "template is longer than 256 KiB"}
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	body, err := p.statements(nil)
	if err != nil {
		return nil, err
	}
	t := &Template{Body: body, Func: &Func{}, Generation: p.generation}
	if err := resolve(t, o); err != nil {
		return nil, err
	}
	return t, nil
}
