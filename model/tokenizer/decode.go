package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Decoder turns tokens into text as they come. What Add and Flush return, joined, is valid UTF-8 and does not depend on how
// the tokens were spread over calls. Not safe for concurrent use.
type Decoder struct {
	t       *Tokenizer
	started bool   // some text has come
	held    []byte // start of a character, at most 3 bytes, and room for the next token
}

// NewDecoder starts a text.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Decode is the text of ids: the joined results of a new Decoder.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	d := t.NewDecoder()
	for _, id := range ids {
		b.WriteString(d.Add(id))
	}
	b.WriteString(d.Flush())
	return b.String()
}

// Add returns the text that token id completes: whole characters only, the start of one is held back until its rest has come.
// Control and unknown tokens and ids out of range have no text. Where the vocabulary puts a space in front of a text, the
// first one is dropped. Bytes that cannot be part of a character become U+FFFD, one for each longest prefix of a character, as
// the WHATWG Encoding Standard does.
func (d *Decoder) Add(id int32) string {
	if !d.t.has(id) || d.t.flags[id]&isSpecial != 0 {
		return ""
	}
	b := d.t.str.at(id)
	if len(b) == 0 {
		return ""
	}
	if !d.started {
		d.started = true
		if (d.t.spacePrefix || d.t.kind == wpm) && b[0] == ' ' {
			b = b[1:]
		}
	}
	if len(d.held) == 0 && utf8.Valid(b) {
		return string(b)
	}
	d.held = append(d.held, b...)
	out := make([]byte, 0, len(d.held)+2)
	rest := d.held
	for len(rest) > 0 && utf8.FullRune(rest) {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			n = badPrefix(rest)
		}
		out = utf8.AppendRune(out, r)
		rest = rest[n:]
	}
	d.held = d.held[:copy(d.held, rest)]
	return string(out)
}

// badPrefix is the length of the longest prefix of b that could have started a character but does not, at least 1.
func badPrefix(b []byte) int {
	n := 1
	for n < len(b) && !utf8.FullRune(b[:n]) && !utf8.FullRune(b[:n+1]) {
		n++
	}
	return n
}

// Flush ends the text: it returns U+FFFD if the start of a character is held back, else nothing. After that the Decoder
// starts a new text.
func (d *Decoder) Flush() string {
	d.started = false
	if len(d.held) == 0 {
		return ""
	}
	d.held = d.held[:0]
	return string(utf8.RuneError)
}
