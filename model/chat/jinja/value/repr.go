package value

import (
	"strconv"
	"strings"

	"siskin/model/chat/jinja/pytext"
)

// ToStr is str(v). A container that holds an untrusted string gives a string that is untrusted as a whole.
func ToStr(m *Meter, v Value) (Str, error) {
	switch v := v.(type) {
	case Str:
		return v.plain(), nil
	case *Undefined:
		return Str{}, nil
	}
	return Repr(m, v)
}

// SoftStr is soft_str of MarkupSafe: str(v), but Markup stays Markup.
func SoftStr(m *Meter, v Value) (Str, error) {
	if s, ok := v.(Str); ok {
		return s, nil
	}
	return ToStr(m, v)
}

// Escape is markupsafe.escape(v).
func Escape(m *Meter, v Value) (Str, error) {
	s, err := SoftStr(m, v)
	if err != nil {
		return s, err
	}
	return s.escape(m)
}

// Repr is repr(v), with the rule of ToStr about untrusted parts.
func Repr(m *Meter, v Value) (Str, error) {
	p := printer{m: m}
	if err := p.repr(v); err != nil {
		return Str{}, err
	}
	return fromWhole(p.b.String(), p.tainted), nil
}

// printer collects the repr of a value.
type printer struct {
	m       *Meter
	b       strings.Builder
	tainted bool
}

func (p *printer) write(s string) error {
	if err := p.m.Alloc(len(s)); err != nil {
		return err
	}
	p.b.WriteString(s)
	return nil
}

func (p *printer) repr(v Value) error {
	switch v := v.(type) {
	case Str:
		p.tainted = p.tainted || v.Tainted()
		s := pytext.Quote(v.s)
		if v.html {
			s = "Markup(" + s + ")"
		}
		return p.write(s)
	case *List:
		return p.sequence("[", v.Items, "]")
	case *Tuple:
		if len(v.Items) == 1 {
			return p.sequence("(", v.Items, ",)")
		}
		return p.sequence("(", v.Items, ")")
	case *Dict:
		return p.dict("{", v, "}")
	case *Namespace:
		return p.dict("<Namespace {", v.Attrs, "}>")
	case *View:
		items, err := Collect(p.m, v)
		if err != nil {
			return err
		}
		return p.sequence("dict_"+v.kind+"([", items, "])")
	}
	return p.write(scalarRepr(v))
}

// scalarRepr is the repr of values that hold no other ones.
func scalarRepr(v Value) string {
	switch v := v.(type) {
	case None:
		return "None"
	case Bool:
		if v {
			return "True"
		}
		return "False"
	case Int:
		return strconv.FormatInt(int64(v), 10)
	case *Big:
		return v.n.String()
	case Float:
		return pytext.FloatRepr(float64(v))
	case *Undefined:
		return "Undefined"
	case *Range:
		s := "range(" + strconv.FormatInt(v.Start, 10) + ", " + strconv.FormatInt(v.Stop, 10)
		if v.Step != 1 {
			s += ", " + strconv.FormatInt(v.Step, 10)
		}
		return s + ")"
	case interface{ String() string }:
		return v.String()
	}
	return "<" + v.TypeName() + " object>"
}

func (p *printer) sequence(open string, items []Value, end string) error {
	if err := p.m.enter(); err != nil {
		return err
	}
	defer p.m.leave()
	if err := p.write(open); err != nil {
		return err
	}
	for i, item := range items {
		if i > 0 {
			p.b.WriteString(", ")
		}
		if err := p.repr(item); err != nil {
			return err
		}
	}
	return p.write(end)
}

func (p *printer) dict(open string, d *Dict, end string) error {
	if err := p.m.enter(); err != nil {
		return err
	}
	defer p.m.leave()
	sep := open
	for k, v := range d.All() {
		if err := p.write(sep); err != nil {
			return err
		}
		sep = ", "
		if err := p.repr(k); err != nil {
			return err
		}
		p.b.WriteString(": ")
		if err := p.repr(v); err != nil {
			return err
		}
	}
	if d.Len() == 0 {
		end = open + end
	}
	return p.write(end)
}
