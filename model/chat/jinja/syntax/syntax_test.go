package syntax

import (
	"errors"
	"strings"
	"testing"
)

func all(string) bool { return true }

var options = Options{HasFilter: all, HasTest: all}

// kinds writes the tokens of a template without what the parser does not need.
func kinds(tokens []token) string {
	var out []string
	for _, t := range tokens {
		switch t.kind {
		case tokData, tokString:
			out = append(out, "\""+t.text+"\"")
		case tokName:
			out = append(out, t.text)
		case tokBlockBegin, tokVariableBegin:
			out = append(out, "<")
		case tokBlockEnd, tokVariableEnd:
			out = append(out, ">")
		case tokEOF:
		case tokInteger, tokFloat:
			out = append(out, "#")
		default:
			out = append(out, t.kind)
		}
	}
	return strings.Join(out, " ")
}

func TestLex(t *testing.T) {
	for source, want := range map[string]string{
		"":                                   "",
		"a\n":                                `"a"`,
		"a{{ b }}c":                          `"a" < b > "c"`,
		"a {{- b -}} c":                      `"a" < b > "c"`,
		"a\n  {% b %}\n c":                   "\"a\n\" < b > \" c\"",
		"a\n  {%+ b +%}\n c":                 "\"a\n  \" < b > \"\n c\"",
		"a {% b %} c":                        `"a " < b > " c"`,
		"{# x #}\n{#- y -#} z":               `"z"`,
		"{% raw %}{{ x }}{% endraw %}\ny":    `"{{ x }}" "y"`,
		"{{ '}}' ~ \"%}\" }}":                `< "}}" ~ "%}" >`,
		"{{ {'a': {}} }}":                    `< { "a" : { } } >`,
		"{{ 1.5 // 2 ** 3e5 != 0x1f <= 4 }}": "< # // # ** # != # <= # >",
		"{{ a.0.1 }}":                        "< a . # . # >",
		"{{ éa_1 }}":                         "< éa_1 >",
		"{ x } {y}}":                         `"{ x } {y}}"`,
	} {
		tokens, err := lex(source)
		if got := kinds(tokens); err != nil || got != want {
			t.Errorf("%q: got %s (%v), want %s", source, got, err, want)
		}
	}
}

func TestLines(t *testing.T) {
	tmpl, err := Parse("a\n{# x\n #}\n{{ b }}\n{%- if c %}\n\n  {{ d\n }}{% endif %}", options)
	if err != nil {
		t.Fatal(err)
	}
	out := tmpl.Body[0].(*Output)
	cond := tmpl.Body[1].(*If)
	got := []int{Line(out.Parts[1]), Line(cond.Test), Line(cond.Body[0].(*Output).Parts[1])}
	for i, want := range []int{4, 5, 7} {
		if got[i] != want {
			t.Errorf("lines %v, want 4 5 7", got)
			break
		}
	}
}

// TestScopes checks what a name means where it is assigned in some scopes.
func TestScopes(t *testing.T) {
	tmpl, err := Parse("{% set a = 1 %}{% for x in y %}{% set a = a + x %}{% set b = 2 %}{% endfor %}{% macro m(p) %}{{ a }}{{ c }}{% endmacro %}", options)
	if err != nil {
		t.Fatal(err)
	}
	loop := tmpl.Body[1].(*For)
	var loads []LoadKind
	for _, l := range loop.BodyScope.Loads {
		loads = append(loads, l.Kind)
	}
	if len(loads) != 2 || loads[0] != LoadAlias || loads[1] != LoadUndefined {
		t.Errorf("loads of the loop: %v, want an alias (a) and an undefined (b)", loop.BodyScope.Loads)
	}
	m := tmpl.Body[2].(*Macro)
	a := m.Body[0].(*Output).Parts[0].(*Name)
	if a.Ref.Up != 1 {
		t.Errorf("the macro's a is %+v, want one function out", a.Ref)
	}
	if l := m.Scope.Loads; len(l) != 1 || l[0].Kind != LoadResolve || l[0].Name != "c" {
		t.Errorf("loads of the macro: %+v, want a global c", l)
	}
}

func TestParseErrors(t *testing.T) {
	for source, want := range map[string]string{
		"{% if x %}\n\n":                      "line 2: unexpected end of template",
		"\n{% nope %}":                        "line 2: encountered unknown tag 'nope'",
		"\n\n{{ 1 2 }}":                       "line 3: expected token",
		"{{ 'a\nb":                            "line 1: unexpected char",
		"{# ":                                 "line 1: missing end of comment",
		"{% raw %}\n":                         "line 1: missing end of raw",
		"{{ a b":                              "line 1: expected token",
		"{{ (1] }}":                           "line 1: unexpected ']', expected ')'",
		"{{ a ! b }}":                         "line 1: unexpected char '!'",
		"{% break %}":                         "line 1: break or continue outside a loop",
		"{% for loop in x %}{% endfor %}":     "line 1: can't assign to special loop variable",
		"{% set 1 = 2 %}":                     "line 1: can't assign",
		"{% macro m(a=1, b) %}{% endmacro %}": "line 1: non-default argument",
		"{{ x is a is b }}":                   "line 1: you cannot chain",
		"{{ a[1:2, 3] }}":                     "line 1: a slice cannot",
		"{% autoescape true %}{% endautoescape %}": "line 1: autoescape is not supported",
		"{{ " + strings.Repeat("[", 200):           "line 1: template is nested too deep",
		"{{ x" + strings.Repeat(".a", 600) + "}}":  "line 1: expression is nested too deep",
		strings.Repeat("x", MaxSource+1):           "line 1: template is longer",
	} {
		_, err := Parse(source, options)
		var at *Error
		if !errors.As(err, &at) || !strings.Contains(err.Error(), want) {
			if len(source) > 60 {
				source = source[:60]
			}
			t.Errorf("%q: got %v, want %s", source, err, want)
		}
	}
}

func TestUnknownNames(t *testing.T) {
	none := Options{HasFilter: func(string) bool { return false }, HasTest: func(string) bool { return false }}
	for source, ok := range map[string]bool{
		"{{ x|f }}":                      false,
		"{{ x is t }}":                   false,
		"{% if x %}{{ x|f }}{% endif %}": true, // perhaps it never runs
		"{{ x|f if x is t else 1 }}":     true,
		"{% if x %}{% for y in z %}{{ y|f }}{% endfor %}{% endif %}": false,
	} {
		if _, err := Parse(source, none); (err == nil) != ok {
			t.Errorf("%s: got %v", source, err)
		}
	}
}

// FuzzParse checks that every text is a template or a clear error.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "{{ a.b[1:2]|c(d=1, *e) is f }}", "{% for a, b in c if d recursive %}{% else %}{% endfor %}", "{%- macro m(a, b=1) -%}{% endmacro %}", "{% raw %}{% endraw %}{# #}",
		"{% call(x) m() %}{% endcall %}{% filter f %}{% endfilter %}{% with a=1 %}{% endwith %}{% set x %}{% endset %}{% generation %}{% endgeneration %}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := Parse(source, options)
		var at *Error
		if err != nil && (!errors.As(err, &at) || at.Line < 1) {
			t.Fatalf("error without a line: %v", err)
		}
		if err == nil && tmpl == nil {
			t.Fatal("neither template nor error")
		}
	})
}
