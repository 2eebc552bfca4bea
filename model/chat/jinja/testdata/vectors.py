"""Makes vectors.json: what Jinja2 3.1.6 on CPython 3.11 renders for many small templates.

    python3 -m venv v && v/bin/pip install jinja2==3.1.6 markupsafe==3.0.4
    v/bin/python vectors.py > vectors.json

The environment is that of Hugging Face chat templates: immutable sandbox, trim_blocks, lstrip_blocks, loop controls,
tojson without ASCII or HTML escaping, raise_exception, strftime_now with a fixed clock. Every template is rendered with
the variables of CONTEXT. A case has either "want" (the text) or "error" (the name of the Python exception).
"""
import datetime
import itertools
import json
import platform
import sys

import jinja2
import jinja2.ext
import markupsafe
from jinja2.sandbox import ImmutableSandboxedEnvironment

CONTEXT = {
    "s": "Hello, World", "empty": "", "n": 7, "neg": -3, "z": 0, "f": 2.5, "big": 12345678901234567890123,
    "yes": True, "no": False, "nil": None, "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "el": [],
    "d": {"b": 1, "a": 2, "C": 3}, "ed": {}, "nested": {"x": {"y": [10, {"z": "deep"}]}, "items": 5},
    "users": [{"name": "Ann", "age": 30, "tags": ["x", "y"]}, {"name": "bob", "age": 25, "tags": []},
              {"name": "Cy", "age": 30, "tags": ["z"], "admin": True}],
    "uni": "Grüße, Straße ǆ Σίσυφος ΟΔΟΣ 你好 \U0001f600", "ws": "  \t two  words\n ", "lines": "one\ntwo\r\nthree\n\nfive",
    "html": "<b>\"it's\" & more</b>", "mixed": [1, "a", None, True, 2.5, [1], {"k": "v"}],
    "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Hi"},
                 {"role": "assistant", "content": "", "tool_calls": [
                     {"id": "c1", "function": {"name": "set", "arguments": {"room": "k", "on": True, "x": 1.0, "y": None}}}]},
                 {"role": "tool", "name": "set", "content": "{\"ok\": true}"}],
}

T = []  # the templates


def exprs(text):
    """One expression a line."""
    for line in text.strip("\n").split("\n"):
        if line.strip():
            T.append("{{ " + line.strip() + " }}")


def templates(*many):
    T.extend(many)


# operators on all kinds of operands
ATOMS = ["7", "-3", "0", "2.5", "-0.5", "true", "none", "'ab'", "''", "[1, 2]", "(1, 'x')", "{'k': 1}", "big", "missing"]
for op in ["+", "-", "*", "/", "//", "%", "**"]:
    for a, b in itertools.product(ATOMS, ATOMS):
        # no powers of floats: C and Go differ in the last digit, and roots of negative numbers are complex; x ** big does not end
        if op != "**" or b != "big" and a != "big" and "." not in b:
            T.append("{{ %s %s %s }}" % (a, op, b))
for op in ["==", "<", "<=", "in"]:
    for a, b in itertools.product(ATOMS, ATOMS):
        T.append("{{ (%s) %s (%s) }}" % (a, op, b))
for a, b in itertools.product(ATOMS, ATOMS[:6]):
    T.append("{{ %s ~ %s }}|{{ %s and %s }}|{{ %s or %s }}|{{ not %s }}" % (a, b, a, b, a, b, a))
for a in ATOMS + ["range(3)", "d.items()", "d.keys()", "d.values()", "users[0]", "namespace(a=1)", "uni", "ws", "html", "f", "l"]:
    for t in ["defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping",
              "sequence", "iterable", "callable", "lower", "upper", "escaped", "odd", "even", "divisibleby 3", "sameas none",
              "sameas true", "in [7, 'ab', none]", "eq 7", "ne 7", "gt 1", "ge 1", "lt 1", "le 1", "equalto 'ab'"]:
        T.append("{{ %s is %s }}" % (a, t))
    for f in ["string", "length", "list", "first", "last", "int", "float", "abs", "upper", "tojson", "tojson(indent=2)", "join('-')",
              "reverse|list", "sort", "sum", "max", "min", "default('D')", "default('D', true)", "trim", "title", "capitalize",
              "round", "unique|list", "items|list", "dictsort", "wordcount", "escape", "safe", "string|length", "batch(2)|list",
              "slice(2)|list", "indent", "replace('a', 'Z')", "center(9)", "truncate(5)", "format", "urlencode", "filesizeformat",
              "striptags", "forceescape", "map('string')|list", "select|list", "reject('none')|list", "groupby(0)", "xmlattr"]:
        T.append("{{ %s|%s }}" % (a, f))

exprs(r"""
1 + 2 * 3 - 4 / 2
2 ** 3 ** 2
-2 ** 2
(-2) ** 2
2 ** -1
7 // -2
-7 // 2
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
1e16
1e15
123456789012345680.0
1.5e-5
0.0001
1e22
1e100
5.0
10 / 4
10 / 5
0.1 + 0.2
1_000
0x1F
0b101
0o17
1.5e3
1e3|int
9223372036854775807 + 1
-9223372036854775808 - 1
9223372036854775807 * 3
3000000000 * 4000000000
2 ** 100
2 ** 100 // 3 ** 20
(2 ** 100) % 1000007
big + 1
big / 10
big // 10
-big
big == big
1 == 1.0
1 == true
'1' == 1
1 < 2 < 3
3 > 2 > 1 == true
1 < 2 > 5
'a' < 'b'
[1, 2] < [1, 3]
(1, 2) == [1, 2]
[1, 2] == [1, 2]
{'a': 1} == {'a': 1.0}
'ell' in s
'x' not in s
2 in l
'a' in d
'zz' not in d
7 in range(10)
7 in range(0, 10, 2)
none in mixed
not true and false
not (true and false)
1 or missing.x
0 and missing.x
true if yes else missing.x
'a' if no
'a' if no else 'b' if no else 'c'
('x' if no) is defined
s if s
1 if true else 2 + 3
'a' 'b' "c"
'it''s'
"tab\there\nnl \x41 \u00e9 \U0001F600 \101 \\ \' \q"
'a' ~ 1 ~ none ~ true ~ 2.0 ~ [1]
'a' + 'b' ~ 'c' * 2
1 ~ 2 + 3
'%s-%d' % ('a', 5)
'%5.2f|%-5s|%05d|%x|%X|%o|%e|%g|%c|%%' % (3.14159, 'ab', 42, 255, 255, 8, 12345.678, 0.0001, 'z')
'%(a)s %(b)d' % {'a': 'x', 'b': 3}
'%s' % 'x'
'%s' % [1, 2]
'%s %s' % ('a',)
'%s' % ('a', 'b')
'%r' % 'it'
'%+d % d' % (5, 5)
'%d' % 3.99
'%d' % 'x'
'%i' % true
'%.3s' % 'abcdef'
'%*d' % (5, 42)
'%s' % missing
'%s' % none
'%.2f' % 7
'%5s' % 'é'
'%#x' % 255
'%-10s|' % 'ab'
'%08.3f' % 3.14159
'%.0f' % 2.5
'%g' % 100000
'%g' % 1000000
'%g' % 1e-5
'%s' % {'a': 1}
'%.5d' % 42
s[0]
s[-1]
s[100]
s[1:4]
s[:-3]
s[::-1]
s[::2]
s[-3:]
s[5:2]
s[10:100]
s[-100:3]
s[4:0:-1]
uni[7:13]
uni[::-1]
uni[-1]
l[0]
l[-1]
l[5]
l[:2]
l[::-1]
l[1:]
l[-2:]
l[::-2]
l['x']
l[none]
l[1:none]
l[0:2][1]
(1, 2, 3)[1:]
range(10)[2:5]|list
range(10)[-1]
range(5)[::2]
d['a']
d.a
d['zz']
d.zz
d.zz.y
d['zz']['y']
d.items
nested.items
nested['items']
nested.x.y[1].z
nested['x']['y'][1]['z']
nested.x.y.1.z
nested.x.y.0
missing
missing.x
missing['x']
missing[0]
missing[1:]
missing()
missing|length
missing|upper
missing|list
missing ~ 'x'
missing + 'x'
missing == missing
missing == none
missing is none
missing in l
'a' in missing
not missing
-missing
missing|default('d')
missing.x|default('d')
d.zz|default('d')
d.zz|d('e')
none|default('d')
none|default('d', true)
''|default('d', true)
''|default('d', boolean=true)
none.x
none['x']
nil.x.y
n.x
s.x
s['x']
yes.x
nil()
n()
s()
s.nope()
l.append(4)
l.pop()
l.sort()
d.update({'q': 1})
d.pop('a')
d.append is defined
l.append is defined
l.append
d.__class__
s.__len__()
s._private
''.__class__.__mro__
[1, 2,]
[]
(1,)
()
(1, 2)
{}
{'a': 1, 'b': [1, 2], 3: none, none: 4, 1.5: 'x', true: 'y'}
{'a': 1, 'a': 2}
{'x': 'it\'s', "y": 'q"q', 'z': "both'\""}
[true, false, none]
['\n\t\\', 'é', '\x00', '\u200b', '\U0001F600', '\xa0']
[1.0, 1e20, -0.0, 1e-7]
(((1)))
[[], {}, (), '']
{1: 2}[1]
{1: 2}[1.0]
{1: 2}[true]
{'a': 1}['a']
{(1, 2): 3}[(1, 2)]
{[1]: 2}
range(3)
range(1, 10, 3)
range(5, 0, -2)|list
range(0)|list
range(3)|length
range(1000000)
range(1, 2, 0)
range('a')
range()
dict(a=1, b=2)
dict([('a', 1), ['b', 2]])
dict({'a': 1}, b=2)
dict([1])
namespace(a=1).a
namespace({'a': 2}).a
namespace(a=1).b
namespace(a=1)
cycler('a', 'b').next()
cycler('a', 'b').current
cycler()
joiner(',')()
s|upper|lower|title
s is string and n is number
n is not none
n is not string
n is divisibleby 7
n is divisibleby(2)
n is odd
5 is in [1, 5]
5 is not in [1, 5]
'upper' is filter
'nope' is filter
'odd' is test
'nope' is test
loop is defined
self is defined
s.upper()
s.lower().title()
s.split(', ')
s.split()
s.split('')
s.split('l', 1)
s.rsplit('l', 1)
s.split('l', maxsplit=1)
s.split(sep='o')
ws.split()
ws.split(none, 1)
ws.rsplit(none, 1)
ws.split(' ')
ws.strip()
ws.lstrip()
ws.rstrip()
ws.strip(' \n')
'xxhixx'.strip('x')
'xyhiyx'.strip('xy')
'xxhixx'.lstrip('x')
'xxhixx'.rstrip('x')
'aXbXc'.partition('X')
'aXbXc'.rpartition('X')
'abc'.partition('X')
'abc'.rpartition('X')
'abc'.partition('')
s.startswith('Hell')
s.startswith('ell', 1)
s.startswith(('x', 'H'))
s.endswith('World')
s.endswith(('x', 'ld'))
s.endswith('Wor', 0, -2)
s.startswith('')
s.startswith('', 100)
s.startswith(1)
s.find('o')
s.find('o', 5)
s.find('zz')
s.rfind('o')
s.index('o')
s.index('zz')
s.rindex('l')
s.count('l')
s.count('l', 0, 4)
s.count('')
'aaaa'.count('aa')
uni.find('你')
uni.rfind('ß')
s.replace('l', 'L')
s.replace('l', 'L', 1)
s.replace('', '-')
'abc'.replace('', '-', 2)
uni.replace('ß', 'ss')
s.replace('l')
s.join(['a', 'b'])
', '.join(words)
','.join('abc')
','.join(d)
','.join([1])
','.join(missing)
','.join([])
'abc'.removeprefix('a')
'abc'.removesuffix('bc')
'abc'.removeprefix('x')
lines.splitlines()
lines.splitlines(true)
lines.splitlines(keepends=true)
''.splitlines()
'a\x0bb\x1cc\u2028d\x85e'.splitlines()
'ab'.center(7)
'ab'.center(6, '*')
'abc'.center(6, '*')
'ab'.ljust(5, '.')
'ab'.rjust(5)
'ab'.ljust(1)
'7'.zfill(3)
'-7'.zfill(4)
'a\tb'.expandtabs(4)
'a\tbc\td'.expandtabs()
'hello world'.capitalize()
'hello WORLD-foo bar_baz'.title()
"they're bill's".title()
'AbC'.swapcase()
uni.upper()
uni.lower()
uni.title()
uni.capitalize()
uni.swapcase()
'straße'.casefold()
'ﬁne'.upper()
'ΑΣ'.lower()
'ΑΣ Σ ΣΑ'.lower()
'abc'.isalpha()
'ab1'.isalpha()
'ab1'.isalnum()
'12'.isdigit()
'1²'.isdigit()
'1²'.isdecimal()
'½'.isnumeric()
'½'.isdigit()
''.isdigit()
' \t'.isspace()
''.isspace()
'Abc Def'.istitle()
'Abc def'.istitle()
'abc1'.islower()
'ABC1'.isupper()
'1'.isupper()
'a_1'.isidentifier()
'1a'.isidentifier()
'abc'.isascii()
uni.isascii()
'a\n'.isprintable()
'{} {}'.format(1, 'a')
'{1} {0}'.format(1, 'a')
'{a} {b}'.format(a=1, b=2)
'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')
'{:05d} {:+d} {:x} {:#x} {:b} {:,} {:_}'.format(42, 42, 255, 255, 5, 1234567, 1234567)
'{:.2f} {:8.3f} {:e} {:g} {:%} {:.0f}'.format(3.14159, 2.5, 12345.678, 0.00001, 0.25, 0.5)
'{:,.2f} {:+.1e} {:010.2f}'.format(1234567.891, 12345.6789, -3.14159)
'{!r} {!s}'.format('a', 'b')
'{0[0]} {1[a]} {2.x}'.format([5], {'a': 6}, namespace(x=7))
'{{}} {}'.format(1)
'{:{w}}|'.format('a', w=4)
'{:>{w}.{p}f}|'.format(3.14159, w=8, p=2)
'{'.format()
'}'.format()
'{}'.format()
'{} {0}'.format(1, 2)
'{a}'.format(b=1)
'{:d}'.format('a')
'{:s}'.format(1)
'{}'.format(none)
'{:5}|{:<5}|{:5}'.format(1, 2, true)
'{:.3}'.format('abcdef')
'{:.3}'.format(1234.5)
'{:.3}'.format(2.0)
'{:}'.format(1e20)
'{:c}'.format(65)
'{:n}'.format(5)
'{:08,}'.format(1234)
'{:=+6}'.format(5)
'{:-^20}'.format('x')
'{:#b} {:#o} {:X}'.format(5, 8, 255)
'{:e}'.format(5)
'{:%}'.format(1)
'{:g}'.format(123456789)
'{:G}'.format(1e-10)
'{a[b]}'.format(a={'b': 3})
'{}'.format([1, 'a'])
'{a}'.format_map({'a': 1})
'{x.y}'.format(x={'y': 5})
'{0.zz}'.format({'y': 5})
l.index(2)
l.index(9)
l.count(1)
l.copy()
(1, 2, 1).count(1)
(1, 2, 1).index(2)
d.get('a')
d.get('zz')
d.get('zz', 5)
d.get('a', default=5)
d.get()
d.keys()
d.values()
d.items()
d.items()|list
d.keys()|list
d.copy()
d|length
d|list
'a' in d.keys()
2 in d.values()
('a', 2) in d.items()
d.items()|first
d.items()[0]
ed.items()|list
'abc'|list
'abc'|first
''|first
[]|first
[]|last
'abc'|last
d|first
d|last
users|length
users|map(attribute='name')|list
users|map(attribute='zz')|list
users|map(attribute='zz', default='-')|list
users|map(attribute='tags.0', default='-')|list
users|map(attribute='admin', default=false)|join(',')
users|map('length')|list
words|map('upper')|join
words|map('replace', 'a', 'Z')|list
words|map('nope')|list
words|map
words|map('upper')
users|selectattr('admin')|list
users|selectattr('admin', 'defined')|map(attribute='name')|list
users|selectattr('age', 'equalto', 30)|map(attribute='name')|join('|')
users|selectattr('age', '>', 26)|map(attribute='name')|join('|')
users|rejectattr('admin', 'defined')|map(attribute='name')|join('|')
users|rejectattr('tags')|map(attribute='name')|first
users|selectattr('tags', 'none')|list
users|selectattr
messages|selectattr('role', 'equalto', 'user')|list|length
messages|selectattr('role', 'in', ['user', 'tool'])|map(attribute='role')|list
[1, 2, 3, 4]|select('odd')|list
[1, 2, 3, 4]|select('divisibleby', 2)|list
[1, 2, 3, 4]|reject('gt', 2)|list
[0, 1, '', 'a', none]|select|list
[0, 1, '', 'a', none]|reject|list
[1]|select('nope')|list
mixed|select('string')|list
mixed|select('number')|list
mixed|reject('none')|list|length
l|sort
l|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
words|sort(true)
users|sort(attribute='age')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|list
users|sort(attribute='age', reverse=true)|map(attribute='name')|list
mixed|sort
words|unique|list
words|unique(case_sensitive=true)|list
users|unique(attribute='age')|map(attribute='name')|list
l|min
l|max
words|min
words|max(case_sensitive=true)
users|max(attribute='age')
[]|max
[]|min
mixed|max
l|sum
users|sum(attribute='age')
l|sum(start=10)
[[1], [2]]|sum(start=[])
words|sum
[1.5, 2]|sum
d|dictsort
d|dictsort(true)
d|dictsort(false, 'value')
d|dictsort(by='value', reverse=true)
d|dictsort(by='nope')
users|groupby('age')
users|groupby('age')|map('first')|list
users|groupby('age')|map(attribute='grouper')|list
users|groupby('zz', default='q')|length
words|groupby(0)
l|join
l|join(', ')
users|join(', ', attribute='name')
[1, none, true, 'a']|join('-')
'abc'|join('-')
l|batch(2)|list
l|batch(2, 0)|list
l|slice(2)|list
l|slice(2, 'x')|list
range(10)|slice(3)|list
l|reverse|list
'abc'|reverse
d|reverse|list
l|reverse
range(3)|reverse|list
missing|reverse|list
5|reverse
d|items|list
missing|items|list
5|items|list
l|items|list
'3'|int
'3.7'|int
'x'|int
'x'|int(5)
'x'|int(default=9)
'0x1F'|int(0, 16)
'ff'|int(base=16)
'101'|int(base=2)
' 42 '|int
'1_000'|int
'1e3'|int
'-5'|int
'+5'|int
'٣'|int
3.9|int
-3.9|int
none|int
true|int
[]|int
'inf'|int
'12345678901234567890'|int
'3.5'|float
'x'|float
'x'|float(1.5)
'1e3'|float
'inf'|float
'nan'|float
' 1.5 '|float
'1_0.5'|float
none|float
3|float
true|float
-3|abs
-3.5|abs
'a'|abs
42.55|round
42.55|round(1)
42.55|round(1, 'floor')
42.55|round(1, 'ceil')
42.55|round(0, 'ceil')
42|round
42|round(1)
45|round(-1)
55|round(-1)
2.5|round
3.5|round
0.5|round
-2.5|round
2.675|round(2)
1234.5|round(-2)
42|round(1, 'floor')
42.55|round(method='nope')
'a'|round
12345678|filesizeformat
12345678|filesizeformat(true)
1|filesizeformat
999|filesizeformat
1000|filesizeformat
1e30|filesizeformat
'500'|filesizeformat
s|length
uni|length
uni|upper
uni|lower
s|replace('l', 'L')
s|replace('l', 'L', 1)
n|replace('7', 8)
s|trim('Hd')
ws|trim
ws|trim|length
s|truncate(5)
s|truncate(9)
'a long sentence with words'|truncate(12)
'a long sentence with words'|truncate(12, true)
'a long sentence with words'|truncate(12, true, '…')
'a long sentence with words'|truncate(12, leeway=0)
'a long sentence'|truncate(2)
s|center(20)
s|center
lines|indent
lines|indent(2)
lines|indent(2, true)
lines|indent(2, true, true)
lines|indent('> ')
lines|indent(width=3, first=true)
''|indent
'a\n'|indent(2)
5|indent
s|wordcount
'a-b c_d  e'|wordcount
'hello world foo'|wordwrap(5)
'hello world foo bar'|wordwrap(11)
'supercalifragilistic word'|wordwrap(8)
'supercalifragilistic word'|wordwrap(8, false)
'well-known long-term-effect'|wordwrap(8)
'well-known long-term-effect'|wordwrap(8, true, '|')
'a\n\nb c d'|wordwrap(3)
'hello world'|title
'hello-world (foo) [bar] x{y <z'|title
"it's o'neil"|title
'HELLO'|capitalize
'%s and %s'|format('a', 'b')
'%(x)s'|format(x=5)
'%s'|format
'%s'|format('a', x=5)
html|escape
html|e|e
html|safe
html|safe|escape
html|forceescape
html|escape|forceescape
html|striptags
'<!-- c --><p>a &amp; b  c</p>'|striptags
'<'|safe + '<'
'<' + ('<'|safe)
('<'|safe) ~ '<'
('%s'|safe) % '<'
('<b>'|safe).upper()
('a<b'|e).split('&lt;')
('{}<'|safe).format('<')
('<'|safe) * 2 + '<'
('a'|safe).join(['<', '>'])
('<x>'|safe).replace('x', '<')
'<'|safe|string is escaped
('<'|safe)[0] is escaped
('<'|safe) == '<'
['<'|safe]
'a b&c/d?é'|urlencode
{'a': 'b c', 'd': 1}|urlencode
[('a', 'b/c')]|urlencode
5|urlencode
{'class': 'x y', 'id': none, 'a': '<'}|xmlattr
{'a b': 1}|xmlattr
d|tojson
d|tojson(indent=4)
d|tojson(sort_keys=true)
d|tojson(separators=(',', ':'))
d|tojson(indent=2, separators=(',', '='))
d|tojson(4)
d|tojson(ensure_ascii=true)
uni|tojson
uni|tojson(ensure_ascii=true)
html|tojson
'\x00\x1f\x7f\u2028"\\/\b\f\n\r\t'|tojson
'\x7f'|tojson(ensure_ascii=true)
mixed|tojson
mixed|tojson(indent=2)
users|tojson
messages|tojson(indent='  ')
[]|tojson(indent=2)
{}|tojson(indent=2)
[[], {}, [[]]]|tojson(indent=1)
{1: 'a', true: 'b', none: 'c', 1.5: 'd'}|tojson
{'b': 1, 1: 2}|tojson(sort_keys=true)
(1, 2)|tojson
1.0|tojson
1e20|tojson
1e-7|tojson
-0.0|tojson
('inf'|float)|tojson
big|tojson
missing|tojson
range(3)|tojson
(l|map('string'))|tojson
[missing]|tojson
namespace(a=1)|tojson
none|tojson
true|tojson
('<'|safe)|tojson
d.items()|tojson
{'a': [1, {'b': 2}]}|tojson(indent=0)
l|attr('append')
d|attr('a')
d|attr('get')
s|attr('nope') is defined
n|string + 'x'
n|string|length
[1, 2]|string
none|string
l|list == l
s|nope
s is nope
'x' if yes else (s|nope)
raise_exception('boom')
strftime_now('%Y-%m-%d %H:%M:%S')
strftime_now('%d %b %Y, %A %a %B %j %p %I %y %e %-d %-m %F %T %D %R %U %W %V %G %u %w %% %Z %z %s'[:95])
strftime_now('%c|%x|%X|%h|%n|%t|%C|%g|%k|%l|%P|%r|%_d|%^a|%-H|%f|%-j|%-I')
strftime_now('%')
1 +
(1
[1, 2
{'a': 1
'abc
1 2
a b
a.
a[
a|
a is
a..b
@
!
1 = 2
x if
not
f(a=1, 2)
f(**d, 1)
{% if %}
d[1, 2]
l[1:2:3:4]
true.x
none ~ 1
foo.bar(1)(2)
(1).x
1.5.x
'a'.upper().lower()[0].upper()
[[1, 2], [3, 4]][1][0]
{'a': {'b': 1}}.a.b
(s|upper).lower()
s|upper == 'HELLO, WORLD'
s|length > 5 and n < 10
-n|abs
-f|abs
- - 3
+ 5
+ - 5
+ 'a'
not not 1
2 * -3
2 - -3
2 ** -1 ** 2
n is defined and n
n is number is true
[n is number, s is string]
yes and no or n
no or '' or none
(no or none) is none
l is sequence and l is not string and l is not mapping
users[0].name ~ ' is ' ~ users[0]['age']
users[-1].tags[0]
users[0].get('name', '?')
messages[2].tool_calls[0].function.arguments.items()|list
messages[2].tool_calls[0].function.arguments|items|list
messages[2]['tool_calls'][0]['function']['arguments']|tojson
messages[-1]['content']|tojson
messages|map(attribute='content')|select|join('/')
(messages|last).role
(messages|first)['content']
messages[1:]|length
messages[::-1]|map(attribute='role')|join(',')
messages|length - 1
'system' in messages|map(attribute='role')
""")

templates(
    # white space control
    "a\n{% if true %}\nb\n{% endif %}\nc\n",
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n\n",
    "a  {%- if true -%}  b  {%- endif -%}  c",
    "a\n{%- if true %}\nb\n{%- endif %}\nc",
    "a\n  {%+ if true %}\n  b\n  {%+ endif %}\nc",
    "a {% if true +%}\nb{% endif +%}\nc",
    "a {{- 1 -}} b",
    "a\n {{ 1 }}\n b",
    "  {{ 1 }}\n  {% if true %}x{% endif %}\n",
    "x  {% if true %}y{% endif %}  z",
    "  {# comment #}\nx",
    "a {# c #} b",
    "a {#- c -#} b",
    "a\n  {# multi\nline #}\nb",
    "{#\n#}\n\nx",
    "a{# {{ x }} {% if %} #}b",
    "{##}x{#-#}y",
    "{% raw %}{{ x }} {% if %}{% endraw %}",
    "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb",
    "a {%- raw -%}  {{ x }}  {%- endraw -%} b",
    "{%raw%}x{%endraw%}",
    "{% raw %}{# x #}{% endraw %}{# y #}",
    "\n\n{% set x = 1 %}\n\n{{ x }}",
    "{% set x = 1 -%}\n\n  {{ x }}",
    "a\r\nb\rc\n{% if true %}\r\nd{% endif %}",
    "trailing\n", "trailing\n\n", "\n", "", " ", "{{ 'x\r\ny' }}",
    "{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\nend",
    "{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}\nend",
    "\t{% if true %}\tx\t{% endif %}\t\n",
    "\u3000{% if true %}x{% endif %}",
    "x\u3000{%- if true %}y{% endif %}",
    "{{ '}}' }}{{ '{{' }}{{ '%}' }}",
    "{{ {'a': {'b': 1}}['a'] }}",
    "{{{'a': 1}.a}}",
    "{{-1}}", "{{ -1 }}", "{{+1}}", "{{ 1-}}", "{{ 1 -}} x",
    "{ {x} } {x} {", "{", "a { b", "100%} {%%}"[:6],
    "{% if true %}a{% else %}b{% endif %}\n\n  \n{% if false %}c{% endif %}d",
    "    {% set a = 1 %}    {% set b = 2 %}\nx",
    "line1\n{% if true %}\n\nline2\n\n{% endif %}\n\nline3",
    # if
    "{% if n > 5 %}big{% elif n > 2 %}mid{% else %}small{% endif %}",
    "{% if false %}a{% elif false %}b{% elif true %}c{% else %}d{% endif %}",
    "{% if missing %}a{% else %}b{% endif %}",
    "{% if missing.x %}a{% endif %}",
    "{% if el %}a{% endif %}{% if l %}b{% endif %}{% if ed %}c{% endif %}{% if '' %}d{% endif %}{% if 0.0 %}e{% endif %}{% if ' ' %}f{% endif %}",
    "{% if (n, s) %}t{% endif %}", "{% if not n %}x{% endif %}y",
    "{% if a if b else c %}x{% endif %}",
    # for and loop
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in l %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}",
    "{% for x in l %}{{ loop }}{% endfor %}",
    "{% for x in l %}{{ loop.zz is defined }}{{ loop['index'] }}{% endfor %}",
    "{% for x in el %}a{% else %}none{% endfor %}", "{% for x in l %}a{% else %}none{% endfor %}",
    "{% for x in l %}{% continue %}{% else %}none{% endfor %}", "{% for x in l %}{% break %}{% else %}none{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{{ loop.length }}{{ loop.last }}{% endfor %}",
    "{% for x in l if x > 10 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l if loop is defined %}{{ x }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}", "{% for k, v in d|dictsort %}{{ k }}={{ v }},{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}", "{% for c in 'añ你' %}{{ c }}.{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, [5, 6])] %}{{ a }}{{ b }}{{ c }};{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for a, b in ['xy'] %}{{ a }}{{ b }}{% endfor %}",
    "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}", "{% for x in missing %}a{% else %}e{% endfor %}",
    "{% for x in range(3) %}{% for y in range(2) %}{{ x }}{{ y }}{{ loop.index }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in range(10) %}{% if x is odd %}{% continue %}{% endif %}{% if x > 6 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% set y = x %}{% endfor %}{{ y }}", "{% set y = 0 %}{% for x in l %}{% set y = x %}{{ y }}{% endfor %}{{ y }}",
    "{% set y = 0 %}{% for x in l %}{{ y }}{% set y = y + x %}{{ y }};{% endfor %}{{ y }}",
    "{% for x in l %}{% if loop.first %}{% set q = 5 %}{% endif %}{{ q }}.{% endfor %}",
    "{% for x in l %}{% if loop.first %}{% set n = 5 %}{% endif %}{{ n }}.{% endfor %}{{ n }}",
    "{% for x in l %}{% set n = x %}{% endfor %}{{ n }}",
    "{% for m in l %}{{ s }}{% endfor %}{% set s = 'new' %}{{ s }}",
    "{% for m in l %}{% if s %}{{ s }}{% endif %}{% endfor %}{% if true %}{% set s = 'new' %}{% endif %}{{ s }}",
    "{{ s }}{% for m in l %}{{ s }}{% endfor %}{% set s = 'new' %}{{ s }}",
    "{% if no %}{% set q = 1 %}{% endif %}{{ q is defined }}", "{% if yes %}{% set q = 1 %}{% endif %}{{ q }}",
    "{% if yes %}{% set n = 1 %}{% else %}{% set m = 2 %}{% endif %}{{ n }}{{ m }}",
    "{% for x in l %}{% for y in l %}{% set x = 9 %}{{ x }}{% endfor %}{{ x }}{% endfor %}",
    "{% for loop in l %}{% endfor %}", "{% for x in l %}{% set loop = 1 %}{% endfor %}",
    "{% for x in l recursive %}{{ x }}{% endfor %}",
    "{% for x in [[1, [2]], [3]] recursive %}{% if x is iterable %}[{{ loop(x) }}]{% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for x in [{'n': 1, 'c': [{'n': 2, 'c': []}]}] recursive %}{{ x.n }}{{ loop.depth }}{{ loop(x.c) }}{% else %}e{% endfor %}",
    "{% for x in l %}{{ loop(l) }}{% endfor %}",
    "{% for x in l|map('string') %}{{ x }}{{ loop.last }}{{ loop.length }}{% endfor %}",
    "{% for x in (1, 2) %}{{ x }}{% endfor %}", "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% for x, in [[1], [2]] %}{{ x }}{% endfor %}",
    "{% break %}", "{% if true %}{% continue %}{% endif %}", "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for x in l %}{{ x }}{% for y in l %}{% break %}{% endfor %}{% endfor %}",
    "{% for x in l %}{% for y in el %}{% else %}{% break %}{% endfor %}{{ x }}{% endfor %}",
    "{% for u in users %}{% for t in u.tags %}{{ t }}{% else %}-{% endfor %}{{ ',' if not loop.last }}{% endfor %}",
    "{% for g, us in users|groupby('age') %}{{ g }}:{% for u in us %}{{ u.name }}{% endfor %};{% endfor %}",
    "{% for g in users|groupby('age') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}",
    "{% for row in l|batch(2, '-') %}{{ row|join }};{% endfor %}",
    "{% set gen = l|map('string') %}{{ gen|list }}{{ gen|list }}",
    "{% for i in range(2) %}{% with loop_i = loop.index %}{{ loop_i }}{% endwith %}{% endfor %}",
    "{% for c in 'ab'|safe %}{{ c is escaped }}{% endfor %}{{ ('ab'|safe)|list }}{{ ('ab'|safe)|last is escaped }}",
    "{% for x, b in [[1, 2], 'yz'] if x %}{{ loop.previtem }}{% endfor %}",
    "{% macro m() %}{{ caller }}{% endmacro %}{% call m() %}{% endcall %}",
    # set
    "{% set x = 1 %}{{ x }}", "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x = 1, 2 %}{{ x }}", "{% set (a, b) = [1, 2] %}{{ a }}{{ b }}",
    "{% set x %}a{{ n }}b{% endset %}{{ x }}|{{ x is string }}", "{% set x|upper %}abc{% endset %}{{ x }}",
    "{% set x | replace('a', 'b') | upper %}aXa{% endset %}{{ x }}", "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y }}",
    "{% set x = x %}{{ x is defined }}", "{% set n = n + 1 %}{{ n }}", "{% set x.y = 1 %}", "{% set d.y = 1 %}", "{% set 5 = 1 %}", "{% set none = 1 %}",
    "{% set x = 1 if no %}{{ x is defined }}[{{ x }}]", "{% set a, b = 1 %}", "{% set a, b = [1, 2, 3] %}", "{% set x = 'a' 'b' %}{{ x }}",
    "{% set _p = 1 %}{{ _p }}", "{% set x %}{% endset %}[{{ x }}]", "{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}",
    "{% set ns = namespace(c=0) %}{% for x in l %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}",
    "{% set ns = namespace(c='') %}{% for x in words %}{% set ns.c = ns.c ~ x %}{% endfor %}{{ ns.c }}",
    "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}", "{% set ns = namespace() %}{{ ns.zz }}|{{ ns.zz is defined }}",
    "{% set ns = namespace(d={}) %}{% set ns.d = dict(ns.d, a=1) %}{{ ns.d }}", "{% set ns = namespace(l=[]) %}{% set ns.l = ns.l + [1] %}{{ ns.l }}",
    "{% set ns = namespace(x=1) %}{% set ns.x %}blk{{ ns.x }}{% endset %}{{ ns.x }}", "{% set ns = namespace() %}{% set ns['x'] = 1 %}",
    "{% set missing2.x = 1 %}", "{% set ns = namespace(_x=1) %}{{ ns._x }}", "{% set ns = namespace(a=1) %}{{ ns['a'] }}{{ ns }}",
    "{% set l2 = [1] %}{% set _ = l2.append(2) %}", "{% set l2 = l + [4] %}{{ l2 }}{{ l }}",
    # with, filter, call, macro
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% with n = n + 1 %}{{ n }}{% endwith %}{{ n }}", "{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}", "{% with a = 1, b = a %}{{ b is defined }}{% endwith %}",
    "{% filter upper %}abc {{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aXa{% endfilter %}", "{% filter indent(2) %}a\nb{% endfilter %}",
    "{% filter upper %}{% set q = 1 %}{{ q }}x{% endfilter %}{{ q is defined }}", "{% filter nope %}x{% endfilter %}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(1, c=9) }}|{{ m(b=5, a=4) }}",
    "{% macro m(a) %}{{ a is defined }}[{{ a }}]{% endmacro %}{{ m() }}", "{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=1) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}", "{% macro m(x) %}{{ x }}{{ varargs|length }}{% endmacro %}{{ m(1, 2, 3) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m(a=b, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m() }}",
    "{% macro m(x) %}{{ x }}{% if x > 0 %}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m() %}{{ m }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{{ n }}{{ z9 }}{% endmacro %}{% set z9 = 4 %}{{ m() }}", "{% macro m() %}{% set n = 1 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}",
    "{{ m(1) }}{% macro m(a) %}{{ a }}{% endmacro %}", "{% macro m() %}a{% endmacro %}{{ m() + 'b' }}{{ m()|upper }}{{ m() is string }}",
    "{% macro m() %}\n  x\n{% endmacro %}[{{ m() }}]", "{% macro m() -%}\n  x\n{%- endmacro %}[{{ m() }}]",
    "{% macro m(a) %}<{{ caller() }}{{ a }}>{% endmacro %}{% call m(1) %}body{{ n }}{% endcall %}",
    "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% call n %}x{% endcall %}",
    "{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% macro m(*a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}",
    "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% if yes %}{% macro m() %}q{% endmacro %}{% endif %}{{ m() }}",
    "{% macro m(x, y) %}{{ x }}-{{ y }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'x': 3, 'y': 4}) }}{{ m(1, *[2]) }}", "{{ dict(**{'a': 1}) }}{{ dict(**[1]) }}",
    "{% macro m() %}{{ loop is defined }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}", "{{ m.name }}{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}",
    "{% macro m(d) %}{% for k, v in d.items() %}{% if v is mapping %}{{ k }}({{ m(v) }}){% else %}{{ k }}={{ v }};{% endif %}{% endfor %}{% endmacro %}{{ m({'a': 1, 'b': {'c': {'d': 2}}}) }}",
    "{% macro m(n) %}{{ n }}{% endmacro %}{{ [m(1), m(2)] }}{{ (m(1), ) }}{{ words|map('upper')|map('lower')|list }}",
    "{% macro outer() %}{% macro inner(x) %}{{ x }}{% endmacro %}{{ inner(5) }}{% endmacro %}{{ outer() }}", "{% set f = m %}{% macro m() %}x{% endmacro %}{{ f is defined }}{{ f() }}",
    "{% macro m() %}x{% endmacro %}{% set f = m %}{{ f() }}{% set q = {'k': m} %}{{ q.k() }}", "{% macro m(caller) %}{{ caller }}{% endmacro %}", "{% macro m(caller=none) %}{{ caller() }}{% endmacro %}{% call m() %}x{% endcall %}",
    "{% macro m(a, kwargs) %}{{ kwargs }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a, a) %}{% endmacro %}",
    "{% block b %}x{{ n }}{% endblock %}", "{% set q = 1 %}{% block b %}{{ q }}{% endblock b %}", "{% for x in l %}{% block b2 %}{{ x is defined }}{% endblock %}{% endfor %}",
    "{% autoescape false %}{{ html }}{% endautoescape %}", "{% print 1, 'a' %}", "{% print n %}",
    "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% do 1 %}", "{% generation %}x{% endgeneration %}", "{% nope %}", "{% endif %}",
    "{% if x %}", "{% for x in y %}", "{% if x %}{% endfor %}", "{% for x y %}{% endfor %}", "{{ x", "{% if x", "{# x", "{% raw %}x", "{{ }}", "{% %}", "{{ x }", "{% set x %}", "{% macro m %}{% endmacro %}",
    "{% else %}", "{% if x %}{% else %}{% elif y %}{% endif %}", "{% if x %}{% else %}{% else %}{% endif %}", "{% endfor %}", "{{ x }} {{ y", "{% if (x %}a{% endif %}", "{{ ) }}", "{{ (] }}", "{% set x = %}", "{% for in l %}{% endfor %}",
    "{% if no %}{{ s|nope }}{% endif %}ok", "{% if yes %}{{ s|nope }}{% endif %}", "{% if no %}{{ s is nope }}{% endif %}ok", "{% if no %}{% for x in l %}{{ x|nope }}{% endfor %}{% endif %}ok", "{{ 'a' if true else s|nope }}",
    "{% if no %}{% set x = s|nope %}{% endif %}ok", "{% if no|nope %}{% endif %}", "{% for x in l|nope %}{% endfor %}",
    # typical chat templates
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}",
    "{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content'] %}\n    {%- set loop_messages = messages[1:] %}\n{%- else %}\n    {%- set loop_messages = messages %}\n{%- endif %}\n{{- system_message }}{{ loop_messages|length }}",
    "{% for m in messages %}{% if m.tool_calls is defined and m.tool_calls %}{% for c in m.tool_calls %}{{ c.function.name }}({{ c.function.arguments|tojson }}){% if not loop.last %}, {% endif %}{% endfor %}{% endif %}{% endfor %}",
    "{% for m in messages %}{%- if m.content is string %}{{ m.content|trim }}{%- elif m.content is iterable %}{% endif %}|{% endfor %}",
    "{% set date_string = strftime_now('%d %b %Y') if strftime_now is defined else '26 Jul 2024' %}{{ date_string }}",
    "{% for k, v in messages[2].tool_calls[0].function.arguments.items() %}{{ k }}={{ v if v is string else v|tojson }};{{ v }}|{% endfor %}",
    "{% set content = '<think>r</think>a' %}{% if '</think>' in content %}{{ content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}|{{ content.split('</think>')[-1].lstrip('\\n') }}{% endif %}",
    "{{ messages|selectattr('role', 'ne', 'system')|list|length }}{{ messages|rejectattr('role', 'equalto', 'tool')|map(attribute='role')|join(',') }}",
)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime(2026, 7, 26, 9, 30, 5, 123456).strftime(f)
    return env


def unstable(text):
    """Addresses, and names that only CPython has."""
    return " object at 0x" in text or " of list object" in text or "<function" in text or "generator object" in text or "built-in method" in text


def main():
    env, cases, seen = environment(), [], set()
    for t in T:
        if t in seen:
            continue
        seen.add(t)
        try:
            text = env.from_string(t).render(**json.loads(json.dumps(CONTEXT)))
            if not unstable(text):
                cases.append({"t": t, "want": text})
        except Exception as e:
            cases.append({"t": t, "error": type(e).__name__})
    head = {"tool": f"Jinja2 {jinja2.__version__}, MarkupSafe {markupsafe.__version__}, CPython {platform.python_version()}",
            "date": str(datetime.date.today()), "command": "python vectors.py > vectors.json", "cases": len(cases)}
    out = sys.stdout
    out.write('{"header": ' + json.dumps(head) + ',\n "context": ' + json.dumps(CONTEXT, ensure_ascii=False) + ',\n "cases": [\n')
    out.write(",\n".join(json.dumps(c, ensure_ascii=True) for c in cases))
    out.write("\n]}\n")


main()
