package jinja

import (
	"errors"
	"strings"
	"testing"

	"siskin/model/chat/jinja/value"
)

// marked writes a string with its untrusted parts in ⟦⟧.
func marked(s value.Str) string {
	var b strings.Builder
	for text, untrusted := range s.Runs() {
		if untrusted {
			text = "⟦" + text + "⟧"
		}
		b.WriteString(text)
	}
	return b.String()
}

func TestMarks(t *testing.T) {
	vars := variables(t, []byte(`{"u": "User <X>", "w": " two words ", "d": {"k": "v"}, "l": ["a", "b"], "n": 5, "e": ""}`))
	for _, c := range []struct{ source, want string }{
		{"a{{ u }}b", "a⟦User <X>⟧b"},
		{"{{ u }}{{ u }}", "⟦User <X>User <X>⟧"},
		{"{{ 'a' + u + 'b' }}", "a⟦User <X>⟧b"},
		{"{{ u ~ n ~ u }}", "⟦User <X>⟧5⟦User <X>⟧"},
		{"{{ e }}{{ n }}{{ d.k }}", "5⟦v⟧"},
		{"{{ ('x' + u)|upper }}{{ ('X' + u).lower() }}", "X⟦USER <X>⟧x⟦user <x>⟧"},
		{"{{ w|trim }}|{{ w.strip() }}|{{ (' a' + w).rstrip() }}", "⟦two words⟧|⟦two words⟧| a⟦ two words⟧"},
		{"{{ u.replace('User', 'Z') }}", "Z⟦ <X>⟧"},
		{"{{ 'a-b-c'.replace('-', d.k) }}", "a⟦v⟧b⟦v⟧c"},
		{"{{ 'a-b'|replace('-', d.k) }}", "a⟦v⟧b"},
		{"{{ l|join(', ') }}{{ '-'.join(l) }}{{ ['x', 'y']|join(d.k) }}", "⟦a⟧, ⟦ba⟧-⟦b⟧x⟦v⟧y"},
		{"{{ ('ab' + u)[1:4] }}", "b⟦Us⟧"},
		{"{{ ('ab' + u)[::-1] }}", "⟦>X< resU⟧ba"},
		{"{{ ('ab' + u)[2] }}{{ ('ab' + u)[1] }}", "⟦U⟧b"},
		{"{{ ('ab ' + u + ' cd').split()|join('|') }}", "ab|⟦User⟧|⟦<X>⟧|cd"},
		{"{{ ('a,' + d.k + ',b').split(',')[1] }}", "⟦v⟧"},
		{"{{ u.partition(' ')|join('|') }}", "⟦User⟧|⟦ ⟧|⟦<X>⟧"},
		{"{{ '%s=%d' % (u, n) }}", "⟦User <X>⟧=5"},
		{"{{ '%-12s|' % u }}", "⟦User <X>⟧    |"},
		{"{{ u % () }}", "⟦User <X>⟧"},
		{"{{ '{}:{:>4}'.format(d.k, d.k) }}", "⟦v⟧:   ⟦v⟧"},
		{"{{ u.format() }}", "⟦User <X>⟧"},
		{"{{ d|tojson }}{{ [1, 'x']|tojson }}", `⟦{"k": "v"}⟧[1, "x"]`},
		{"{{ d }}{{ [1] }}{{ l }}", "⟦{'k': 'v'}⟧[1]⟦['a', 'b']⟧"},
		{"{{ d.keys() }}{{ d|items|list }}", "⟦dict_keys(['k'])[('k', 'v')]⟧"},
		{"{% for k, v in d.items() %}<{{ k }}={{ v }}>{% endfor %}", "<⟦k⟧=⟦v⟧>"},
		{"{% for c in d.k + 'x' %}{{ c }}{% endfor %}", "⟦v⟧x"},
		{"{% set x %}[{{ u }}]{% endset %}{{ x }}{{ x|length }}", "[⟦User <X>⟧]10"},
		{"{% macro m(a) %}({{ a }}){% endmacro %}{{ m(u) }}{{ m('t') }}", "(⟦User <X>⟧)(t)"},
		{"{% filter upper %}a{{ u }}{% endfilter %}", "A⟦USER <X>⟧"},
		{"{% set ns = namespace(t='') %}{% for x in l %}{% set ns.t = ns.t ~ x ~ ';' %}{% endfor %}{{ ns.t }}", "⟦a⟧;⟦b⟧;"},
		{"{{ u|e }}", "⟦User &lt;X&gt;⟧"},
		{"{{ (u|e) + '<' }}", "⟦User &lt;X&gt;⟧&lt;"},
		{"{{ u * 2 }}{{ ('x' + d.k) * 2 }}", "⟦User <X>User <X>⟧x⟦v⟧x⟦v⟧"},
		{"{{ u|indent }}{{ ('a\n' + u)|indent(2) }}", "⟦User <X>⟧a\n  ⟦User <X>⟧"},
		{"{{ u|truncate(7) }}{{ u|title }}{{ u|capitalize }}", "⟦User <X>User <X>User <x>⟧"},
		{"{{ ('abc ' ~ u)|truncate(8, true, '!', 0) }}", "abc ⟦Use⟧!"},
		{"{{ d.k|center(5) }}", "  ⟦v⟧  "},
		{"{{ u|list|join }}{{ u|reverse }}{{ u|first }}", "⟦User <X>>X< resUU⟧"},
		{"{{ l|sort|last }}{{ l|map('upper')|join }}", "⟦bAB⟧"},
		{"{{ 'yes' if u == 'User <X>' else 'no' }}{{ u in ['User <X>'] }}{{ {'v': 'lit'}[d.k] }}", "yesTruelit"},
		{"{{ {d.k: 1} }}{{ {d.k: 1}.keys()|first }}", "⟦{'v': 1}v⟧"},
		{"{{ u|string|int }}{{ u|length }}", "08"},
		{"{{ u|urlencode }}{{ u|striptags }}{{ u|wordwrap(4) }}", "⟦User%20%3CX%3EUserUser⟧\n⟦<X>⟧"},
		{"{{ strftime_now(u) }}", "⟦User <X>⟧"},
		{"{{ 'a'.join([u]) }}{{ 'a'.zfill(3) }}{{ d.k.zfill(3) }}", "⟦User <X>⟧00a00⟦v⟧"},
		{"{{ missing[u] is defined }}", "error"},
	} {
		got, err := run(c.source, vars, Dialect{}, DefaultLimits(0))
		text := marked(got)
		if err != nil {
			text = "error"
		}
		if text != c.want {
			t.Errorf("%s\n got %s (%v)\nwant %s", c.source, text, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	vars := variables(t, []byte(`{"m": {"role": "x"}}`))
	for _, c := range []struct {
		source, want string
		line         int
	}{
		{"a\nb\n{{ x", "expected token 'end of print statement', got 'end of template'", 3},
		{"a\n{% if x %}\n\n", "looking for elif or else or endif", 3},
		{"{#\n\n#}\n{% nope %}", "encountered unknown tag 'nope'", 4},
		{"{{ 1\n  + }}", "unexpected 'end of print statement'", 2},
		{"\n{{ x.y }}", "'x' is undefined", 2},
		{"\n\n{{ m.content + 'a' }}", "'dict object' has no attribute 'content'", 3},
		{"{% set a = 1 %}\n{{ a\n + 'x' }}", "unsupported operand type(s) for +: 'int' and 'str'", 2},
		{"\n{% for x in 5 %}{% endfor %}", "'int' object is not iterable", 2},
		{"\n{% macro f() %}\n{{ y() }}\n{% endmacro %}\n{{ f() }}", "'y' is undefined", 3},
		{"{% if true %}\n{{ raise_exception('no') }}{% endif %}", "raised", 2},
		{"{{ m.update({}) }}", "access to attribute 'update' of 'dict' object is unsafe", 1},
		{"\n{{ 'x'|nope }}", "no filter named 'nope'", 2},
		{"\n{% if m %}{{ 'x'|nope }}{% endif %}", "No filter named 'nope' found", 2},
		{"{% set x = 1 %}\n{% generation %}{% endgeneration %}", "unknown tag 'generation'", 2},
		{"{{ 'a' }}\n{{ [1]|random }}", "'random' is not available", 2},
	} {
		_, err := run(c.source, vars, Dialect{}, DefaultLimits(0))
		var at *Error
		if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) || at.Line != c.line {
			t.Errorf("%q\n gives %v\nwant line %d: ...%s", c.source, err, c.line, c.want)
		}
	}
}

func TestDialect(t *testing.T) {
	vars := variables(t, []byte(`{"m": [1, 2], "d": {"a": 1}}`))
	d := Dialect{Generation: true, Mutation: true}
	for source, want := range map[string]string{
		"{% set l = [] %}{% set _ = l.append(1) %}{% set _ = l.append(2) %}{{ l }}{{ l.pop(0) }}{{ l }}":                    "[1, 2]1[2]",
		"{% set l = [3, 1] %}{% set _ = l.sort() %}{% set _ = l.insert(1, 9) %}{% set _ = l.extend('ab') %}{{ l }}":         "[1, 9, 3, 'a', 'b']",
		"{% set l = [3, 1, 3] %}{% set _ = l.remove(3) %}{% set _ = l.reverse() %}{{ l }}{% set _ = l.clear() %}{{ l }}":    "[3, 1][]",
		"{% set x = {} %}{% set _ = x.update({'b': 1}) %}{% set _ = x.update(a=2) %}{{ x }}{{ x.pop('b') }}{{ x }}":         "{'b': 1, 'a': 2}1{'a': 2}",
		"{% set x = {'a': 1, 'b': 2} %}{{ x.popitem() }}{{ x.setdefault('c', 3) }}{{ x.setdefault('a', 3) }}{{ x }}":        "('b', 2)31{'a': 1, 'c': 3}",
		"{% set x = {'a': 1, 'b': 2} %}{{ x.pop('a') }}{% set y = dict(x) %}{% set _ = y.update({'a': 5}) %}{{ y }}{{ x }}": "1{'b': 2, 'a': 5}{'b': 2}",
		"{% set c = m.copy() %}{% set _ = c.append(3) %}{{ c }}{{ m }}":                                                     "[1, 2, 3][1, 2]",
		"{% generation %}a{% set q = 1 %}{{ q }}{% endgeneration %}{{ q is defined }}":                                      "a1False",
		"{% set _ = m.append(3) %}":          "error",
		"{% set _ = d.update({'b': 1}) %}":   "error",
		"{% set l = [] %}{{ l.pop() }}":      "error",
		"{% set x = {} %}{{ x.pop('zz') }}":  "error",
		"{% set l = [1] %}{{ l.remove(2) }}": "error",
	} {
		got, err := run(source, vars, d, DefaultLimits(0))
		text := got.String()
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("%s\n got %s (%v)\nwant %s", source, text, err, want)
		}
	}
}
