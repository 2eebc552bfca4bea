package value

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// Str is a string with marks: which of its bytes are untrusted. The zero Str is empty.
type Str struct {
	s    string
	m    *marks // nil: all trusted
	html bool   // escaped for HTML (Markup): what is joined to it is escaped
}

// marks lists the untrusted bytes of a Str as disjoint, ascending, non-adjacent, non-empty spans.
type marks struct{ spans []span }

type span struct{ from, to int }

// whole marks every byte, whatever the length; its spans are not used.
var whole = &marks{} //nolint:gochecknoglobals // compared by address, never changed

// Trusted makes a Str of text from the template or the operator.
func Trusted(s string) Str { return Str{s: s} }

// Untrusted makes a Str of text from the conversation.
func Untrusted(s string) Str { return Str{s: s, m: whole} }

// TypeName implements Value.
func (s Str) TypeName() string {
	if s.html {
		return "Markup"
	}
	return "str"
}

// String gives the text without marks.
func (s Str) String() string { return s.s }

// IsMarkup tells whether s is escaped for HTML.
func (s Str) IsMarkup() bool { return s.html }

// Tainted tells whether a byte of s is untrusted.
func (s Str) Tainted() bool { return s.m != nil && s.s != "" }

// Runs gives the maximal pieces of equal trust in order.
func (s Str) Runs() iter.Seq2[string, bool] {
	return func(yield func(text string, untrusted bool) bool) {
		if s.s == "" {
			return
		}
		if s.m == nil || s.m == whole {
			yield(s.s, s.m != nil)
			return
		}
		at := 0
		for _, sp := range s.m.spans {
			if sp.from > at && !yield(s.s[at:sp.from], false) {
				return
			}
			if !yield(s.s[sp.from:sp.to], true) {
				return
			}
			at = sp.to
		}
		if at < len(s.s) {
			yield(s.s[at:], false)
		}
	}
}

// cut gives the bytes [i, j) with their marks.
func (s Str) cut(i, j int) Str {
	out := Str{s: s.s[i:j], html: s.html}
	if s.m == nil || s.m == whole || i == j {
		if i < j {
			out.m = s.m
		}
		return out
	}
	var spans []span
	for _, sp := range s.m.spans {
		from, to := max(sp.from, i), min(sp.to, j)
		if from < to {
			spans = append(spans, span{from - i, to - i})
		}
	}
	switch {
	case len(spans) == 1 && spans[0] == span{0, j - i}:
		out.m = whole
	case len(spans) > 0:
		out.m = &marks{spans}
	}
	return out
}

// cost is the memory of a copy of s in bytes: its text and its spans.
func (s Str) cost() int {
	if s.m == nil {
		return len(s.s)
	}
	return len(s.s) + 16*len(s.m.spans)
}

// plain gives s as a str that is not Markup.
func (s Str) plain() Str {
	s.html = false
	return s
}

// Markup gives s marked as escaped.
func (s Str) Markup() Str {
	s.html = true
	return s
}

// like gives s with the Markup property of t.
func (s Str) like(t Str) Str {
	s.html = t.html
	return s
}

// mapRuns applies f to each piece of equal trust and joins the results with their marks.
func (s Str) mapRuns(m *Meter, f func(string) string) (Str, error) {
	var b Builder
	for text, untrusted := range s.Runs() {
		out := f(text)
		if err := m.Alloc(len(out)); err != nil {
			return Str{}, err
		}
		b.add(out, untrusted)
	}
	return b.Str().like(s), nil
}

// escape is markupsafe.escape: Markup with & < > ' " replaced, unless s is Markup already.
func (s Str) escape(m *Meter) (Str, error) {
	if s.html {
		return s, nil
	}
	out, err := s.mapRuns(m, htmlEscaper.Replace)
	return out.Markup(), err
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

// runeLen is len(s) in characters.
func (s Str) runeLen() int { return utf8.RuneCountInString(s.s) }

// offset gives the byte position of character n, 0 <= n <= runeLen.
func (s Str) offset(n int) int {
	for i := range s.s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s.s)
}

// Builder joins pieces of text and keeps their marks. The zero Builder is empty.
type Builder struct {
	b     []byte
	spans []span
}

// Len is the number of bytes so far.
func (b *Builder) Len() int { return len(b.b) }

// Text appends trusted text.
func (b *Builder) Text(s string) { b.b = append(b.b, s...) }

// Add appends a Str.
func (b *Builder) Add(s Str) {
	switch s.m {
	case nil:
		b.b = append(b.b, s.s...)
	case whole:
		b.add(s.s, true)
	default:
		for text, untrusted := range s.Runs() {
			b.add(text, untrusted)
		}
	}
}

func (b *Builder) add(s string, untrusted bool) {
	from := len(b.b)
	b.b = append(b.b, s...)
	if !untrusted || s == "" {
		return
	}
	if n := len(b.spans); n > 0 && b.spans[n-1].to == from {
		b.spans[n-1].to = len(b.b)
		return
	}
	b.spans = append(b.spans, span{from, len(b.b)})
}

// Str gives what was built. The Builder must not be used afterwards.
func (b *Builder) Str() Str {
	out := Str{s: string(b.b)}
	switch {
	case len(b.spans) == 1 && b.spans[0] == span{0, len(b.b)}:
		out.m = whole
	case len(b.spans) > 0:
		out.m = &marks{b.spans}
	}
	return out
}

// Concat joins strings.
func Concat(m *Meter, parts ...Str) (Str, error) {
	n, cost := 0, 0
	for _, p := range parts {
		n += len(p.s)
		cost += p.cost()
	}
	if err := m.Alloc(cost); err != nil {
		return Str{}, err
	}
	b := Builder{b: make([]byte, 0, n)}
	for _, p := range parts {
		b.Add(p)
	}
	return b.Str(), nil
}

// fromWhole gives text that was computed from tainted or untainted values as a whole.
func fromWhole(text string, tainted bool) Str {
	if tainted && text != "" {
		return Untrusted(text)
	}
	return Trusted(text)
}
