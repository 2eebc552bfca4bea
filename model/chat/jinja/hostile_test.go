package jinja

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"siskin/model/chat/jinja/value"
)

// hostile templates ask for more than they may use: each must end in an error, soon and in little memory.
var hostile = []string{
	"{{ 'a' * 1000000000 }}",
	"{{ 'a' * 10**9 * 10**9 }}",
	"{{ 'a' * (2**62) }}", "{{ [0] * (2**62) }}", "{{ (2**62) * 'ab' }}",
	"{{ [0] * 100000000 }}",
	"{{ ([[0] * 1000] * 1000)|sum(start=[]) }}",
	"{{ range(10**12) }}", "{{ range(10**30)|list }}", "{{ range(-2**63, 2**63 - 1) }}", "{{ range(2**63 - 1, -2**63, -1) }}",
	"{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
	"{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
	"{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('a', 'aa') %}{% endfor %}",
	"{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
	"{% set ns = namespace(s=user) %}{% for i in range(60) %}{% set ns.s = ns.s ~ '-' ~ ns.s %}{% endfor %}",
	"{% set ns = namespace(s=[0]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
	"{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s|join(ns.s) %}{% endfor %}",
	"{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s|tojson %}{% endfor %}",
	"{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
	"{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l|tojson }}",
	"{% set ns = namespace(l=[], m=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
	"{% set ns = namespace(l=[], m=[1]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l < ns.m }}",
	"{% set ns = namespace(l=()) %}{% for i in range(99999) %}{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ {ns.l: 1} }}",
	"{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
	"{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
	"{% set ns = namespace(l=(1,)) %}{% for i in range(99) %}{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ {ns.l: 1} }}",
	"{% set ns = namespace(l=[1]) %}{% for i in range(99999) %}{% set ns.l = ns.l|map('string') %}{% endfor %}{{ ns.l|list }}",
	"{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}",
	"{{ 9 ** 9 ** 9 ** 9 ** 9 }}", "{{ 10 ** 100000 }}", "{{ 2 ** (2 ** 70) }}",
	"{% set x = 2 ** 14000 %}{% for a in range(99999) %}{% for b in range(99999) %}{% set y = x * 3 // 5 %}{% endfor %}{% endfor %}",
	"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
	"{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
	"{% macro a(x) %}{{ b(x ~ x) }}{% endmacro %}{% macro b(x) %}{{ a(x ~ x) }}{% endmacro %}{{ a('ab') }}",
	"{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
	"{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}",
	"{% macro m(n) %}{% for i in range(9) %}{{ m(n) if n > 0 }}{% endfor %}{% endmacro %}{% for j in range(9999) %}{{ m(1) }}{% endfor %}{{ m(m) }}",
	"{{ '%1000000000d' % 1 }}", "{{ '%.1000000000f' % 1 }}", "{{ '%*d' % (1000000000, 1) }}", "{{ '{:1000000000}'.format(1) }}", "{{ '{:.1000000000f}'.format(1) }}",
	"{{ ('%1000000d' * 1000) % ((1,) * 1000) }}", "{{ ('{:>1000000}' * 1000).format(*([1] * 1000)) }}",
	"{{ 'a'.center(1000000000) }}", "{{ 'a'|center(1000000000) }}", "{{ 'a'.ljust(10**10) }}", "{{ 'a'.zfill(10**10) }}", "{{ '\t\t'.expandtabs(10**9) }}",
	"{{ ('a\n' * 10000)|indent(1000000) }}", "{{ 'a'|indent(10**10) }}", "{{ [[1] * 1000] * 100000 }}", "{{ ([[[1]] * 1000] * 1000)|tojson(indent=100000) }}", "{{ [1]|tojson(indent=10**10) }}",
	"{{ [1, 2]|batch(10**9, 'x')|list }}", "{{ [1]|slice(10**9)|list }}", "{{ ('a,' * 4000000).split(',') }}", "{{ ('a ' * 4000000).split() }}", "{{ ('a\n' * 4000000).splitlines() }}", "{{ ('a' * 9000000)|list }}",
	"{% set s = 'a' * 8000000 %}{% for i in range(99999) %}{% for j in range(99999) %}{{ 'b' in s }}{% endfor %}{% endfor %}",
	"{% set s = 'a' * 8000000 %}{% for i in range(99999) %}{% set n = s|length + s.count('b') + s.find('b') %}{% endfor %}",
	"{% set s = '1' * 4000 %}{% for i in range(99999) %}{% for j in range(99) %}{% set n = s|int %}{% endfor %}{% endfor %}",
	"{% set s = user * 100000 %}{% for i in range(99999) %}{% set t = s[::-1] %}{% endfor %}",
	"{% set l = range(99999)|list %}{% for i in range(99999) %}{{ -1 in l }}{% endfor %}",
	"{% set l = range(99999)|list %}{% for i in range(99999) %}{% set m = l|sort(reverse=true) %}{% endfor %}",
	"{% set l = range(99999)|list %}{% for i in range(99999) %}{% set m = l[::-1] %}{% endfor %}",
	"{% set ns = namespace(d={}) %}{% for i in range(99999) %}{% set ns.d = dict(ns.d, **{'k' ~ i: i}) %}{% endfor %}",
	"{% set x %}{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxxxxxxxx{% endfor %}{% endfor %}{% endset %}",
	"{% filter upper %}{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxxxxxxxx{% endfor %}{% endfor %}{% endfilter %}",
	"{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
	"{{ strftime_now('%c' * 2000000) }}", "{{ ('&' * 9000000)|e|e|e }}", "{{ ('é' * 9000000)|urlencode }}", "{{ ('a b ' * 4000000)|wordwrap(1) }}", "{{ ('ß' * 9000000)|upper|upper }}", "{{ ('\x00' * 9000000)|tojson }}",
	"{% set l = ['a' * 1000000] * 100000 %}{{ l|join }}", "{{ ''.join(['a' * 1000000] * 100000) }}", "{{ ('a' * 1000).replace('', 'b' * 1000000) }}",
	"{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% for j in range(99999) %}{% set _ = ns.l.append(i) %}{% endfor %}{% endfor %}",
	"{% set l = [] %}{% set _ = l.append(l) %}{{ l }}", "{% set l = [0] %}{% for x in l %}{% set _ = l.append(x) %}{% endfor %}",
	"{% set l = [] %}{% set _ = l.append(l) %}{% set m = [] %}{% set _ = m.append(m) %}{{ l == m }}", "{% set d = {} %}{% set _ = d.update({'a': d}) %}{{ d|tojson }}",
}

// hostileSources are templates that are hard on the parser.
func hostileSources() []string {
	deep := func(open, middle, end string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	return []string{
		"{{ " + deep("(", "1", ")", 50000) + " }}", "{{ " + deep("[", "", "]", 50000) + " }}", "{{ " + deep("{1:", "1", "}", 30000) + " }}",
		"{{ " + deep("-", "1", "", 50000) + " }}", "{{ " + deep("not ", "1", "", 50000) + " }}", "{{ " + deep("- ", "1", "", 50000) + " }}",
		"{{ " + deep("1 + ", "1", "", 50000) + " }}", "{{ " + deep("a if ", "1", "", 50000) + " }}", "{{ x" + strings.Repeat(".y", 50000) + " }}",
		"{{ x" + strings.Repeat("|e", 50000) + " }}", "{{ x" + strings.Repeat("()", 50000) + " }}", "{{ x" + strings.Repeat("[0]", 50000) + " }}",
		"{{ " + deep("1 and ", "1", "", 30000) + " }}", "{{ " + deep("f(", "1", ")", 50000) + " }}", "{{ x is " + deep("x(", "1", ")", 50000) + " }}",
		deep("{% if 1 %}", "x", "{% endif %}", 5000), deep("{% for x in y %}", "x", "{% endfor %}", 5000), deep("{% set x %}", "x", "{% endset %}", 5000),
		"{% set " + deep("(", "x", ",)", 50000) + " = 1 %}", strings.Repeat("{% if 1 %}", 20000), strings.Repeat("(", 200000), "{{" + strings.Repeat("'", 200001),
		"{{ f(" + strings.Repeat("a=1,", 50000) + ") }}", "{% macro m(" + strings.Repeat("a,", 50000) + "b) %}{% endmacro %}", "{{ 1" + strings.Repeat("0", 200000) + " }}", strings.Repeat("x", 300000),
	}
}

// bounded runs f and fails if it takes too long or allocates too much.
func bounded(t *testing.T, name string, f func()) {
	t.Helper()
	if len(name) > 90 {
		name = name[:90] + "..."
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 1500 {
		t.Errorf("%q allocated %d MB in all", name, mb)
	}
	if took > 10*time.Second { // under the race detector on a busy machine; else well below a second
		t.Errorf("%q took %v", name, took)
	} else if took > time.Second {
		t.Logf("%q took %v", name, took)
	}
}

func TestHostile(t *testing.T) {
	vars := variables(t, []byte(`{"user": "äb"}`))
	full := DefaultLimits(0)
	tight := Limits{Limits: value.Limits{Steps: full.Steps / 50, Bytes: full.Bytes / 16}, Output: full.Output / 16, Calls: full.Calls}
	for i, source := range hostile {
		limits := tight
		if i%40 == 0 {
			limits = full
		}
		bounded(t, source, func() {
			got, err := run(source, vars, Dialect{Mutation: true}, limits)
			if err == nil {
				t.Errorf("%q gives %d bytes", source, len(got.String()))
			} else if !errors.As(err, new(*value.LimitError)) && !errors.As(err, new(*value.Error)) {
				t.Errorf("%q fails with %v", source, err)
			}
		})
	}
	for _, source := range hostileSources() {
		bounded(t, source, func() {
			if _, err := run(source, vars, Dialect{}, full); err == nil && len(source) > 250000 {
				t.Errorf("%q... is accepted", source[:40])
			}
		})
	}
}

// FuzzRender feeds any template, with any text in its variables: no panic, and the limits hold.
func FuzzRender(f *testing.F) {
	for i, c := range readVectors(f).Cases {
		if i%7 == 0 || len(c.T) > 60 {
			f.Add(c.T, "some <|text|>")
		}
	}
	for _, source := range hostile {
		f.Add(source, "x")
	}
	limits := Limits{Limits: value.Limits{Steps: 20_000, Bytes: 1 << 20}, Output: 1 << 16, Calls: 20}
	const mark = "\u27e6" // a template without escapes and formats cannot make it
	f.Fuzz(func(t *testing.T, source, user string) {
		user += mark
		tmpl, err := Parse(source)
		if err != nil {
			return
		}
		message := value.NewDict()
		message.SetStr("role", value.Untrusted("user"))
		message.SetStr("content", value.Untrusted(user))
		vars := value.NewDict()
		vars.SetStr("s", value.Untrusted(user))
		vars.SetStr("n", value.Int(len(user)))
		vars.SetStr("messages", &value.List{Items: []value.Value{message}})
		out, err := tmpl.Render(Input{vars, testGlobals(), Dialect{Generation: true, Mutation: true}, limits})
		if err != nil {
			return
		}
		if len(out.String()) > limits.Output {
			t.Fatalf("%d bytes of output", len(out.String()))
		}
		n := 0
		for text, untrusted := range out.Runs() {
			n += len(text)
			if !untrusted && strings.Contains(text, mark) && !strings.ContainsAny(source, mark+"\\%") && !strings.Contains(source, "format") {
				t.Fatalf("trusted output %q has the user's text", text)
			}
		}
		if n != len(out.String()) {
			t.Fatal("the runs are not the text")
		}
	})
}
