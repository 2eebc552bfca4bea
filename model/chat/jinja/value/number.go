package value

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"siskin/model/chat/jinja/pytext"
)

// maxBits bounds whole numbers: Python refuses to print more than 4300 decimal digits.
const maxBits = 14_300

// FromBig gives n as Int or *Big.
func FromBig(n *big.Int) Value {
	if n.IsInt64() {
		return Int(n.Int64())
	}
	return &Big{n}
}

// ToBig gives a whole number or bool; false for other values.
func ToBig(v Value) (*big.Int, bool) {
	switch v := v.(type) {
	case Int:
		return big.NewInt(int64(v)), true
	case *Big:
		return v.n, true
	case Bool:
		if v {
			return big.NewInt(1), true
		}
		return new(big.Int), true
	}
	return nil, false
}

// toInt gives an Int or bool as int64.
func toInt(v Value) (int64, bool) {
	switch v := v.(type) {
	case Int:
		return int64(v), true
	case Bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// ToFloat gives a number as float64; false for other values and for whole numbers beyond its range.
func ToFloat(v Value) (float64, bool) {
	if f, ok := v.(Float); ok {
		return float64(f), true
	}
	if n, ok := toInt(v); ok {
		return float64(n), true
	}
	if b, ok := v.(*Big); ok {
		f, _ := new(big.Float).SetInt(b.n).Float64()
		return f, !math.IsInf(f, 0)
	}
	return 0, false
}

func isNumber(v Value) bool {
	switch v.(type) {
	case Int, Bool, Float, *Big:
		return true
	}
	return false
}

// arith computes a op b for numbers; op is one of + - * / // % **.
func arith(m *Meter, op string, a, b Value) (Value, error) {
	_, fa := a.(Float)
	_, fb := b.(Float)
	if fa || fb || op == "/" {
		x, okx := ToFloat(a)
		y, oky := ToFloat(b)
		if !okx || !oky {
			return nil, &Error{"OverflowError", "int too large to convert to float"}
		}
		return arithFloat(op, x, y)
	}
	x, okx := toInt(a)
	y, oky := toInt(b)
	if okx && oky {
		if v, ok := arithSmall(op, x, y); ok {
			return v, nil
		}
	}
	bx, _ := ToBig(a)
	by, _ := ToBig(b)
	words := (bx.BitLen() + by.BitLen()) / 64
	if op == "**" {
		words = maxBits / 64
	}
	if err := m.Step(words * words / 64); err != nil {
		return nil, err
	}
	return arithBig(op, bx, by)
}

// arithSmall computes in 64 bits; false if the result may not fit or the operation may fail.
func arithSmall(op string, x, y int64) (Value, bool) {
	switch op {
	case "+":
		z := x + y
		return Int(z), (z > x) == (y > 0)
	case "-":
		z := x - y
		return Int(z), (z < x) == (y > 0)
	case "*":
		if x == math.MinInt64 || y == math.MinInt64 {
			return nil, false
		}
		hi, lo := bits.Mul64(uint64(abs64(x)), uint64(abs64(y)))
		return Int(x * y), hi == 0 && lo <= math.MaxInt64
	case "//", "%":
		if y == 0 || y == -1 {
			return nil, false
		}
		q, r := x/y, x%y
		if r != 0 && (r < 0) != (y < 0) {
			q, r = q-1, r+y
		}
		if op == "%" {
			return Int(r), true
		}
		return Int(q), true
	}
	return nil, false
}

func abs64(x int64) int64 {
	if x < 0 {
		return -x
	}
	return x
}

func arithBig(op string, x, y *big.Int) (Value, error) {
	z := new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		if x.BitLen()+y.BitLen() > maxBits+64 {
			return nil, &LimitError{"bits of a whole number", maxBits}
		}
		z.Mul(x, y)
	case "//", "%":
		if y.Sign() == 0 {
			return nil, &Error{"ZeroDivisionError", "integer division or modulo by zero"}
		}
		r := new(big.Int)
		z.QuoRem(x, y, r)
		if r.Sign() != 0 && r.Sign() != y.Sign() {
			z.Sub(z, big.NewInt(1))
			r.Add(r, y)
		}
		if op == "%" {
			z = r
		}
	case "**":
		return powBig(x, y)
	}
	if z.BitLen() > maxBits {
		return nil, &LimitError{"bits of a whole number", maxBits}
	}
	return FromBig(z), nil
}

func powBig(x, y *big.Int) (Value, error) {
	if y.Sign() < 0 {
		fx, okx := ToFloat(FromBig(x))
		fy, oky := ToFloat(FromBig(y))
		if !okx || !oky {
			return nil, &Error{"OverflowError", "int too large to convert to float"}
		}
		return arithFloat("**", fx, fy)
	}
	if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxBits || int64(x.BitLen())*y.Int64() > 2*maxBits) {
		return nil, &LimitError{"bits of a whole number", maxBits}
	}
	if x.BitLen() <= 1 && y.Sign() > 0 { // -1, 0, 1: only the parity counts
		y = new(big.Int).Sub(big.NewInt(2), new(big.Int).And(y, big.NewInt(1)))
	}
	z := new(big.Int).Exp(x, y, nil)
	if z.BitLen() > maxBits {
		return nil, &LimitError{"bits of a whole number", maxBits}
	}
	return FromBig(z), nil
}

func arithFloat(op string, x, y float64) (Value, error) {
	switch op {
	case "+":
		return Float(x + y), nil
	case "-":
		return Float(x - y), nil
	case "*":
		return Float(x * y), nil
	case "**":
		return powFloat(x, y)
	}
	if y == 0 {
		text := "float division by zero"
		if op == "%" {
			text = "float modulo"
		}
		return nil, &Error{"ZeroDivisionError", text}
	}
	if op == "/" {
		return Float(x / y), nil
	}
	mod := math.Mod(x, y)
	div := (x - mod) / y
	if mod != 0 {
		if (y < 0) != (mod < 0) {
			mod += y
			div--
		}
	} else {
		mod = math.Copysign(0, y)
	}
	if op == "%" {
		return Float(mod), nil
	}
	if div == 0 {
		return Float(math.Copysign(0, x/y)), nil
	}
	floor := math.Floor(div)
	if div-floor > 0.5 {
		floor++
	}
	return Float(floor), nil
}

func powFloat(x, y float64) (Value, error) {
	if x == 0 && y < 0 {
		return nil, &Error{"ZeroDivisionError", "0.0 cannot be raised to a negative power"}
	}
	z := math.Pow(x, y)
	if math.IsNaN(z) && !math.IsNaN(x) && !math.IsNaN(y) {
		return nil, ValueErrorf("complex numbers are not supported")
	}
	if math.IsInf(z, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
		return nil, &Error{"OverflowError", "(34, 'Numerical result out of range')"}
	}
	return Float(z), nil
}

// Negate is -v.
func Negate(v Value) (Value, error) {
	switch n := v.(type) {
	case Float:
		return -n, nil
	case Int, Bool, *Big:
		b, _ := ToBig(v)
		return FromBig(new(big.Int).Neg(b)), nil
	case *Undefined:
		return nil, n.Fail()
	}
	return nil, TypeErrorf("bad operand type for unary -: '%s'", v.TypeName())
}

// Positive is +v.
func Positive(v Value) (Value, error) {
	switch n := v.(type) {
	case Bool:
		i, _ := toInt(n)
		return Int(i), nil
	case Float, Int, *Big:
		return v, nil
	case *Undefined:
		return nil, n.Fail()
	}
	return nil, TypeErrorf("bad operand type for unary +: '%s'", v.TypeName())
}

// Abs is abs(v).
func Abs(v Value) (Value, error) {
	switch n := v.(type) {
	case Float:
		return Float(math.Abs(float64(n))), nil
	case Int, Bool, *Big:
		b, _ := ToBig(v)
		return FromBig(new(big.Int).Abs(b)), nil
	case *Undefined:
		return nil, n.Fail()
	}
	return nil, TypeErrorf("bad operand type for abs(): '%s'", v.TypeName())
}

// ParseInt is int(s, base): white space around, a sign, underscores between digits, a prefix that fits the base.
func ParseInt(s string, base int) (Value, bool) {
	s = strings.TrimFunc(s, pytext.IsSpace)
	if len(s) > 4400 || base != 0 && (base < 2 || base > 36) {
		return nil, false
	}
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	if strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || strings.Contains(s, "__") || s == "" || strings.ContainsAny(s[:1], "+-") {
		return nil, false
	}
	if len(s) > 2 && s[0] == '0' {
		prefixBase := map[byte]int{'x': 16, 'o': 8, 'b': 2}[s[1]|0x20]
		if prefixBase != 0 && (base == prefixBase || base == 0) {
			base, s = prefixBase, strings.TrimPrefix(s[2:], "_")
		}
	}
	if base == 0 {
		if base = 10; len(s) > 1 && s[0] == '0' && strings.Trim(s, "0_") != "" {
			return nil, false
		}
	}
	n, ok := new(big.Int).SetString(sign+strings.ReplaceAll(asciiDigits(s), "_", ""), base)
	if !ok || n.BitLen() > maxBits {
		return nil, false
	}
	return FromBig(n), true
}

// asciiDigits replaces decimal digits of other scripts by ASCII ones.
func asciiDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 || !pytext.IsDecimal(r) {
			return r
		}
		zero := r // digits stand in runs of ten that start at zero
		for pytext.IsDecimal(zero-1) && r-zero < 9 {
			zero--
		}
		return '0' + r - zero
	}, s)
}

// ParseFloat is float(s).
func ParseFloat(s string) (float64, bool) {
	s = asciiDigits(strings.TrimFunc(s, pytext.IsSpace))
	bare := strings.TrimLeft(s, "+-")
	if strings.ContainsAny(s, "xXpP") {
		return 0, false
	}
	digit := func(i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }
	for i := range s {
		if s[i] == '_' && !(digit(i-1) && digit(i+1)) {
			return 0, false
		}
	}
	switch strings.ToLower(bare) {
	case "inf", "infinity", "nan":
	default:
		if bare == "" || bare[0] != '.' && (bare[0] < '0' || bare[0] > '9') {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// Truncate is int(f) for a float.
func Truncate(f float64) (Value, error) {
	if math.IsNaN(f) {
		return nil, ValueErrorf("cannot convert float NaN to integer")
	}
	if math.IsInf(f, 0) {
		return nil, &Error{"OverflowError", "cannot convert float infinity to integer"}
	}
	n, _ := big.NewFloat(f).Int(nil)
	return FromBig(n), nil
}

// Round is round(v, digits) as Python does it: half to even, on the decimal value that repr would print for floats. For a
// whole number the result is whole.
func Round(v Value, digits int) (Value, error) {
	if f, ok := v.(Float); ok {
		x := float64(f)
		switch {
		case math.IsNaN(x) || math.IsInf(x, 0) || digits > 330:
			return f, nil
		case digits < -330:
			return Float(math.Copysign(0, x)), nil
		case digits >= 0:
			r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', digits, 64), 64)
			return Float(r), nil
		}
		p := math.Pow(10, float64(-digits))
		return Float(math.RoundToEven(x/p) * p), nil
	}
	n, ok := ToBig(v)
	if !ok {
		if u, is := v.(*Undefined); is {
			return nil, u.Fail()
		}
		return nil, TypeErrorf("type %s doesn't define __round__ method", v.TypeName())
	}
	if digits >= 0 {
		return FromBig(n), nil
	}
	if -digits > 4300 {
		return Int(0), nil
	}
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-digits)), nil)
	q, r := new(big.Int).DivMod(n, p, new(big.Int))
	if c := r.Lsh(r, 1).Cmp(p); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return FromBig(q.Mul(q, p)), nil
}
