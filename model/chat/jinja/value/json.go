package value

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"siskin/model/chat/jinja/pytext"
)

// JSONOptions are the keyword arguments of json.dumps that the tojson filter takes.
type JSONOptions struct {
	ASCII              bool   // escape everything beyond ASCII
	Indent             string // of one level; used if Lines is set
	Lines              bool   // indented, one element a line
	ItemSep, KeySep    string
	SortKeys           bool
	separatorsTainted  bool
	indentationTainted bool
}

// ParseJSONOptions reads the arguments of the tojson filter of Hugging Face templates.
func ParseJSONOptions(m *Meter, a Args) (JSONOptions, error) {
	o := JSONOptions{ItemSep: ", ", KeySep: ": "}
	v, err := a.Bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys")
	if err != nil {
		return o, err
	}
	o.ASCII = v[0] != nil && Truth(v[0])
	o.SortKeys = v[3] != nil && Truth(v[3])
	switch ind := v[1].(type) {
	case nil, None:
	case Str:
		o.Indent, o.Lines, o.indentationTainted = ind.s, true, ind.Tainted()
	default:
		n, err := IntArg(ind, 0)
		if err != nil {
			return o, err
		}
		if err := m.Alloc(max(n, 0)); err != nil {
			return o, err
		}
		o.Indent, o.Lines = strings.Repeat(" ", max(n, 0)), true
	}
	if o.Lines {
		o.ItemSep = ","
	}
	if _, none := v[2].(None); v[2] == nil || none {
		return o, nil
	}
	seps, err := Collect(m, v[2])
	if err != nil {
		return o, err
	}
	if len(seps) != 2 {
		return o, ValueErrorf("separators needs 2 values, got %d", len(seps))
	}
	item, ok1 := seps[0].(Str)
	key, ok2 := seps[1].(Str)
	if !ok1 || !ok2 {
		return o, TypeErrorf("separators must be strings")
	}
	o.ItemSep, o.KeySep, o.separatorsTainted = item.s, key.s, item.Tainted() || key.Tainted()
	return o, nil
}

// ToJSON is json.dumps(v). The text is untrusted as a whole if any string in it is.
func ToJSON(m *Meter, v Value, o JSONOptions) (Str, error) {
	e := encoder{printer: printer{m: m, tainted: o.separatorsTainted || o.indentationTainted}, o: o}
	if err := e.value(v, 0); err != nil {
		return Str{}, err
	}
	return fromWhole(e.b.String(), e.tainted), nil
}

type encoder struct {
	printer
	o JSONOptions
}

func (e *encoder) value(v Value, level int) error {
	switch v := v.(type) {
	case None:
		return e.write("null")
	case Bool:
		return e.write(strings.ToLower(scalarRepr(v)))
	case Int, *Big:
		return e.write(scalarRepr(v))
	case Float:
		return e.write(jsonFloat(float64(v)))
	case Str:
		return e.str(v)
	case *List:
		return e.array(v.Items, level)
	case *Tuple:
		return e.array(v.Items, level)
	case *Dict:
		return e.object(v, level)
	}
	return TypeErrorf("Object of type %s is not JSON serializable", v.TypeName())
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return pytext.FloatRepr(f)
}

func (e *encoder) str(s Str) error {
	e.tainted = e.tainted || s.Tainted()
	return e.write(quoteJSON(s.s, e.o.ASCII))
}

// quoteJSON writes a JSON string: escapes for quotes, backslash and control characters, and beyond ASCII if asked.
func quoteJSON(s string, ascii bool) string {
	b := make([]byte, 0, len(s)+2)
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r == '\b':
			b = append(b, `\b`...)
		case r < 0x20 || ascii && r >= 0x7f && r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		case ascii && r >= 0x10000:
			hi, lo := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(append(b, '"'))
}

func (e *encoder) newline(level int) error {
	if !e.o.Lines {
		return nil
	}
	if err := e.m.charge(len(e.o.Indent), level, 1); err != nil {
		return err
	}
	return e.write("\n" + strings.Repeat(e.o.Indent, level))
}

func (e *encoder) array(items []Value, level int) error {
	if len(items) == 0 {
		return e.write("[]")
	}
	if err := e.m.enter(); err != nil {
		return err
	}
	defer e.m.leave()
	sep := "["
	for _, item := range items {
		if err := e.write(sep); err != nil {
			return err
		}
		sep = e.o.ItemSep
		if err := e.newline(level + 1); err != nil {
			return err
		}
		if err := e.value(item, level+1); err != nil {
			return err
		}
	}
	if err := e.newline(level); err != nil {
		return err
	}
	return e.write("]")
}

func (e *encoder) object(d *Dict, level int) error {
	if d.Len() == 0 {
		return e.write("{}")
	}
	if err := e.m.enter(); err != nil {
		return err
	}
	defer e.m.leave()
	keys, err := Collect(e.m, d)
	if err == nil && e.o.SortKeys {
		err = Sort(e.m, keys, nil, false)
	}
	if err != nil {
		return err
	}
	sep := "{"
	for _, k := range keys {
		if err := e.write(sep); err != nil {
			return err
		}
		sep = e.o.ItemSep
		if err := e.newline(level + 1); err != nil {
			return err
		}
		if err := e.key(k); err != nil {
			return err
		}
		v, _, err := d.Get(e.m, k)
		if err == nil {
			err = e.value(v, level+1)
		}
		if err != nil {
			return err
		}
	}
	if err := e.newline(level); err != nil {
		return err
	}
	return e.write("}")
}

func (e *encoder) key(k Value) error {
	switch k := k.(type) {
	case Str:
		if err := e.str(k); err != nil {
			return err
		}
	case Bool, None, Int, *Big, Float:
		e.b.WriteByte('"')
		if err := e.value(k, 0); err != nil {
			return err
		}
		e.b.WriteByte('"')
	default:
		return TypeErrorf("keys must be str, int, float, bool or None, not %s", k.TypeName())
	}
	return e.write(e.o.KeySep)
}

// JSONError says where a JSON text is wrong.
type JSONError struct {
	Offset int // in bytes
	What   string
}

// Error gives offset and reason.
func (e *JSONError) Error() string { return fmt.Sprintf("json: at byte %d: %s", e.Offset, e.What) }

// ParseJSON reads a JSON text. Objects keep the order of their keys, whole numbers are Int or *Big, others Float, and every
// string, keys too, is untrusted if untrusted is set. Lists and dicts are fixed: see Fix. Nesting is bounded by MaxDepth. The error is a *JSONError.
func ParseJSON(data []byte, untrusted bool) (Value, error) {
	d := decoder{s: strings.ToValidUTF8(string(data), "\ufffd")}
	if untrusted {
		d.m = whole
	}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if d.space(); d.at < len(d.s) {
		return nil, d.fail("text after the value")
	}
	return v, nil
}

type decoder struct {
	s  string
	at int
	m  *marks
}

func (d *decoder) fail(format string, args ...any) error {
	return &JSONError{d.at, fmt.Sprintf(format, args...)}
}

func (d *decoder) space() {
	for d.at < len(d.s) && strings.IndexByte(" \t\r\n", d.s[d.at]) >= 0 {
		d.at++
	}
}

// take skips white space and consumes c if it is next.
func (d *decoder) take(c byte) bool {
	d.space()
	if d.at < len(d.s) && d.s[d.at] == c {
		d.at++
		return true
	}
	return false
}

func (d *decoder) value(depth int) (Value, error) {
	if depth > MaxDepth {
		return nil, d.fail("nested more than %d levels", MaxDepth)
	}
	d.space()
	if d.at == len(d.s) {
		return nil, d.fail("unexpected end")
	}
	switch c := d.s[d.at]; {
	case c == '{':
		d.at++
		return d.object(depth)
	case c == '[':
		d.at++
		return d.array(depth)
	case c == '"':
		s, err := d.str()
		return s, err
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	}
	for word, v := range map[string]Value{"true": Bool(true), "false": Bool(false), "null": None{}} {
		if strings.HasPrefix(d.s[d.at:], word) {
			d.at += len(word)
			return v, nil
		}
	}
	return nil, d.fail("unexpected character %q", d.s[d.at])
}

func (d *decoder) array(depth int) (Value, error) {
	l := &List{fixed: true}
	if d.take(']') {
		return l, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
		if d.take(']') {
			return l, nil
		}
		if !d.take(',') {
			return nil, d.fail("expected , or ] in an array")
		}
	}
}

func (d *decoder) object(depth int) (Value, error) {
	o := NewDict()
	o.fixed = true
	if d.take('}') {
		return o, nil
	}
	for {
		d.space()
		if d.at == len(d.s) || d.s[d.at] != '"' {
			return nil, d.fail("expected a string as key")
		}
		key, err := d.str()
		if err != nil {
			return nil, err
		}
		if !d.take(':') {
			return nil, d.fail("expected : after the key")
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		k := hashKey{kind: 's', s: key.s}
		if i, ok := o.index[k]; ok {
			o.values[i] = v
		} else {
			o.insert(k, key, v)
		}
		if d.take('}') {
			return o, nil
		}
		if !d.take(',') {
			return nil, d.fail("expected , or } in an object")
		}
	}
}

func (d *decoder) str() (Str, error) {
	i := d.at + 1
	for i < len(d.s) && d.s[i] != '"' {
		if d.s[i] == '\\' {
			i++
		} else if d.s[i] < 0x20 {
			d.at = i
			return Str{}, d.fail("control character in a string")
		}
		i++
	}
	if i >= len(d.s) {
		return Str{}, d.fail("string without end")
	}
	text := d.s[d.at+1 : i]
	if strings.IndexByte(text, '\\') >= 0 {
		if err := json.Unmarshal([]byte(d.s[d.at:i+1]), &text); err != nil {
			return Str{}, d.fail("bad escape in a string")
		}
	}
	d.at = i + 1
	return Str{s: text, m: d.m}, nil
}

func (d *decoder) number() (Value, error) {
	i := d.at
	for i < len(d.s) && strings.IndexByte("+-0123456789.eE", d.s[i]) >= 0 {
		i++
	}
	text := d.s[d.at:i]
	if !json.Valid([]byte(text)) {
		return nil, d.fail("bad number")
	}
	defer func() { d.at = i }()
	if strings.ContainsAny(text, ".eE") {
		f, _ := strconv.ParseFloat(text, 64) // out of range gives an infinity, as in Python
		return Float(f), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return Int(n), nil
	}
	if len(text) > 4300 {
		return nil, d.fail("number of more than 4300 digits")
	}
	n, _ := new(big.Int).SetString(text, 10)
	return &Big{n}, nil
}
