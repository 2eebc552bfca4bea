package value

import (
	"math"
	"strings"

	"siskin/model/chat/jinja/pytext"
)

// percent is printf-style formatting: the state of one s % args.
type percent struct {
	m    *Meter
	s    Str
	args []Value
	dict *Dict // if the argument is a dict
	used int
}

// conversion is one parsed %[(key)][flags][width][.precision]type.
type conversion struct {
	key              Str
	keyed            bool
	left, zero, alt  bool
	sign             byte
	width, precision int
	typ              byte
}

// Percent is s % arg.
func Percent(m *Meter, s Str, arg Value) (Value, error) {
	p := percent{m: m, s: s, args: []Value{arg}}
	switch a := arg.(type) {
	case *Tuple:
		p.args = a.Items
	case *Dict:
		p.dict = a
	}
	if err := m.Alloc(s.cost()); err != nil {
		return nil, err
	}
	var b Builder
	for i := 0; i < len(s.s); {
		j := strings.IndexByte(s.s[i:], '%')
		if j < 0 {
			b.Add(s.cut(i, len(s.s)))
			break
		}
		b.Add(s.cut(i, i+j))
		c, n, err := p.parse(i + j + 1)
		if err != nil {
			return nil, err
		}
		text := s.cut(i+j, i+j+1)
		if c.typ != '%' {
			if text, err = p.convert(c); err != nil {
				return nil, err
			}
		}
		b.Add(text)
		i = n
	}
	if p.used < len(p.args) && !subscriptable(arg) {
		return nil, TypeErrorf("not all arguments converted during string formatting")
	}
	return b.Str().like(s), nil
}

// subscriptable tells whether v may be a mapping to Python's formatting, which then does not mind when it is not used.
func subscriptable(v Value) bool {
	switch v.(type) {
	case *Dict, *List, *Range, *Undefined:
		return true
	}
	return false
}

// parse reads the conversion after the % at s[i-1] and gives the position after it.
func (p *percent) parse(i int) (c conversion, end int, err error) {
	s := p.s.s
	c.precision = -1
	if i < len(s) && s[i] == '(' {
		k := strings.IndexByte(s[i:], ')')
		if k < 0 {
			return c, 0, ValueErrorf("incomplete format key")
		}
		c.key, c.keyed = p.s.cut(i+1, i+k), true
		i += k + 1
	}
	for ; i < len(s) && strings.IndexByte("-+ #0", s[i]) >= 0; i++ {
		switch s[i] {
		case '-':
			c.left = true
		case '0':
			c.zero = true
		case '#':
			c.alt = true
		case '+':
			c.sign = '+'
		case ' ':
			if c.sign == 0 {
				c.sign = ' '
			}
		}
	}
	if c.width, i, err = p.number(i, 0); err != nil {
		return c, 0, err
	}
	if c.width < 0 {
		c.left, c.width = true, -c.width
	}
	if i < len(s) && s[i] == '.' {
		if c.precision, i, err = p.number(i+1, 0); err != nil {
			return c, 0, err
		}
		c.precision = max(c.precision, 0)
	}
	for i < len(s) && strings.IndexByte("hlL", s[i]) >= 0 {
		i++
	}
	if i >= len(s) {
		return c, 0, ValueErrorf("incomplete format")
	}
	c.typ = s[i]
	return c, i + 1, nil
}

// number reads a width or precision: digits, or * for the next argument.
func (p *percent) number(i, absent int) (int, int, error) {
	s := p.s.s
	if i < len(s) && s[i] == '*' {
		v, err := p.take()
		if err != nil {
			return 0, 0, err
		}
		n, ok := toInt(v)
		if !ok {
			return 0, 0, TypeErrorf("* wants int")
		}
		if n > pytext.MaxWidth || n < -pytext.MaxWidth {
			return 0, 0, ValueErrorf("width too big")
		}
		return int(n), i + 1, nil
	}
	n, digits := absent, 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if digits == 0 {
			n = 0
		}
		digits++
		if n = n*10 + int(s[i]-'0'); n > pytext.MaxWidth {
			return 0, 0, ValueErrorf("width too big")
		}
	}
	return n, i, nil
}

func (p *percent) take() (Value, error) {
	if p.used >= len(p.args) {
		return nil, TypeErrorf("not enough arguments for format string")
	}
	p.used++
	return p.args[p.used-1], nil
}

func (p *percent) argument(c conversion) (Value, error) {
	if !c.keyed {
		return p.take()
	}
	if p.dict == nil {
		return nil, TypeErrorf("format requires a mapping")
	}
	v, ok, err := p.dict.Get(p.m, c.key)
	if err == nil && !ok {
		err = &Error{"KeyError", pytext.Quote(c.key.s)}
	}
	return v, err
}

func (p *percent) convert(c conversion) (Str, error) {
	v, err := p.argument(c)
	if err != nil {
		return Str{}, err
	}
	if err := p.m.Alloc(c.width + max(c.precision, 0)); err != nil {
		return Str{}, err
	}
	sp := pytext.Spec{Sign: c.sign, Alternate: c.alt, Width: c.width, Precision: c.precision, Type: c.typ, Align: '>'}
	if c.left {
		sp.Align = '<'
	}
	switch c.typ {
	case 's', 'r', 'a':
		return p.text(c, sp, v)
	case 'c':
		if s, ok := v.(Str); ok {
			if s.runeLen() != 1 {
				return Str{}, TypeErrorf("%%c requires int or char")
			}
			return p.text(c, sp, v)
		}
		n, ok := ToBig(v)
		if !ok {
			return Str{}, TypeErrorf("%%c requires int or char")
		}
		sp.Precision = -1
		return formatNumber(sp.Int(n))
	}
	if c.zero && !c.left {
		sp.Fill, sp.Align = "0", '='
	}
	return p.numeric(sp, v)
}

func (p *percent) text(c conversion, sp pytext.Spec, v Value) (Str, error) {
	var text Str
	var err error
	switch c.typ {
	case 's', 'c':
		text, err = SoftStr(p.m, v)
	default:
		text, err = Repr(p.m, v)
	}
	if err == nil && p.s.html {
		text, err = text.escape(p.m)
	}
	if err != nil {
		return Str{}, err
	}
	sp.Type, sp.Sign, sp.Alternate = 's', 0, false
	return formatStr(p.m, text, sp)
}

func (p *percent) numeric(sp pytext.Spec, v Value) (Str, error) {
	if u, ok := v.(*Undefined); ok {
		return Str{}, u.Fail()
	}
	if !isNumber(v) {
		return Str{}, TypeErrorf("%%%c format: a real number is required, not %s", sp.Type, v.TypeName())
	}
	switch sp.Type {
	case 'd', 'i', 'u':
		sp.Type = 'd'
		if f, ok := v.(Float); ok {
			t, err := Truncate(math.Trunc(float64(f)))
			if err != nil {
				return Str{}, err
			}
			v = t
		}
	case 'o', 'x', 'X':
		if _, ok := v.(Float); ok {
			return Str{}, TypeErrorf("%%%c format: an integer is required, not float", sp.Type)
		}
	case 'e', 'E', 'f', 'F', 'g', 'G':
		f, ok := ToFloat(v)
		if !ok {
			return Str{}, &Error{"OverflowError", "int too large to convert to float"}
		}
		return formatNumber(sp.Float(f))
	default:
		return Str{}, ValueErrorf("unsupported format character '%c' (%#x)", sp.Type, sp.Type)
	}
	n, _ := ToBig(v)
	if sp.Precision > 0 { // minimum digits
		inner := pytext.Spec{Fill: "0", Align: '=', Width: sp.Precision, Precision: -1, Type: sp.Type, Sign: sp.Sign, Alternate: sp.Alternate}
		if n.Sign() < 0 || sp.Sign != 0 {
			inner.Width++
		}
		if sp.Alternate && sp.Type != 'd' {
			inner.Width += 2
		}
		s, err := inner.Int(n)
		if err != nil {
			return Str{}, specError(err)
		}
		return formatStr(p.m, Trusted(s), pytext.Spec{Width: sp.Width, Precision: -1, Align: map[bool]byte{true: '<', false: '>'}[sp.Align == '<']})
	}
	sp.Precision = -1
	return formatNumber(sp.Int(n))
}
