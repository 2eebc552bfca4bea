package value

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func meter() *Meter { return NewMeter(Limits{Steps: 1_000_000, Bytes: 10 << 20}) }

func TestParseJSON(t *testing.T) {
	for source, want := range map[string]string{
		`{"b": 1, "a": [1.0, 1e2, -0, null, true], "b": "x"}`: `{'b': 'x', 'a': [1.0, 100.0, 0, None, True]}`,
		`123456789012345678901234567890`:                      `123456789012345678901234567890`,
		`"\u00e9\ud83d\ude00\n\"\\/"`:                         "'é😀\\n\"\\\\/'",
		` [ ] `:                                               `[]`,
		`{}`:                                                  `{}`,
		`-1.5E-3`:                                             `-0.0015`,
		`1e999`:                                               `inf`,
		`"\ud800"`:                                            "'\ufffd'",
	} {
		v, err := ParseJSON([]byte(source), true)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := Repr(meter(), v); err != nil || got.String() != want {
			t.Errorf("%s: got %s (%v), want %s", source, got, err, want)
		}
	}
	for source, offset := range map[string]int{
		"": 0, "[1,": 3, "[1 2]": 3, `{"a" 1}`: 5, `{1: 2}`: 1, `"a`: 0, "01": 0, "+1": 0, "nul": 0, "[1] x": 4, "\"a\nb\"": 2, `"\x"`: 0, "[1,]": 3, "1.": 0, "--1": 0,
		strings.Repeat("[", 100000): MaxDepth + 1,
	} {
		_, err := ParseJSON([]byte(source), true)
		var at *JSONError
		if !errors.As(err, &at) || at.Offset != offset {
			if len(source) > 20 {
				source = source[:20]
			}
			t.Errorf("%q: got %v, want an error at byte %d", source, err, offset)
		}
	}
}

// FuzzJSON checks that what is read and written again stays the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a": [1, 2.5, "x\n", null, {"b": true}]}`, `"\u0000\ud83d\ude00"`, "1e22", "[[[]]]", "-0.0"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := ParseJSON(data, false)
		if err != nil {
			return
		}
		m := NewMeter(Limits{Steps: 1 << 40, Bytes: 1 << 40})
		o := JSONOptions{ItemSep: ", ", KeySep: ": "}
		text, err := ToJSON(m, v, o)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), "Infinity") {
			return // Python writes what JSON does not have
		}
		again, err := ParseJSON([]byte(text.String()), false)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if same, err := Equal(m, v, again); err != nil || !same {
			t.Fatalf("%s is not what was read (%v)", text, err)
		}
	})
}

func TestDict(t *testing.T) {
	m, d := meter(), NewDict()
	for _, k := range []Value{Int(1), Float(1), Bool(true), Trusted("1"), Untrusted("1"), &Tuple{Items: []Value{Int(1)}}, &Tuple{Items: []Value{Float(1)}}, None{}} {
		if err := d.Set(m, k, k); err != nil {
			t.Fatal(err)
		}
	}
	if d.Len() != 4 {
		t.Errorf("%d entries, want 4: 1, '1', (1,), None", d.Len())
	}
	if err := d.Set(m, &List{}, None{}); err == nil {
		t.Error("a list is accepted as key")
	}
	c := d.Copy()
	if _, ok, err := c.remove(m, Int(1)); !ok || err != nil || c.Len() != 3 || d.Len() != 4 {
		t.Error("a copy is not independent")
	}
	c.SetStr("new", Int(5))
	last := Value(nil)
	for k := range c.All() {
		last = k
	}
	if s, ok := last.(Str); !ok || s.String() != "new" || c.Copy().Len() != 4 {
		t.Errorf("the last key is %v", last)
	}
}

func TestArithmetic(t *testing.T) {
	m := meter()
	big := func(v Value, err error) Value {
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, x := range []Int{0, 1, -1, 7, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 1 << 31, -(1 << 31) - 1, 3037000500} {
		for _, y := range []Int{1, -1, 2, -7, math.MaxInt64, math.MinInt64, 1 << 32} {
			sum := big(Binary(m, "+", x, y))
			if back := big(Binary(m, "-", sum, y)); Same(back, x) == false {
				t.Errorf("%d + %d - %d = %v", x, y, y, back)
			}
			product := big(Binary(m, "*", x, y))
			if back := big(Binary(m, "//", product, y)); Same(back, x) == false {
				t.Errorf("%d * %d // %d = %v", x, y, y, back)
			}
			q, r := big(Binary(m, "//", x, y)), big(Binary(m, "%", x, y))
			if back := big(Binary(m, "+", big(Binary(m, "*", q, y)), r)); Same(back, x) == false {
				t.Errorf("%d // and %% %d give back %v", x, y, back)
			}
		}
	}
}

func TestMeter(t *testing.T) {
	for what, f := range map[string]func(m *Meter) error{
		"steps": func(m *Meter) error { return m.Step(101) },
		"scan":  func(m *Meter) error { return m.Scan(64 * 101) },
		"bytes": func(m *Meter) error { return m.Alloc(1001) },
		"sum": func(m *Meter) error {
			if err := m.Alloc(600); err != nil {
				t.Error(err)
			}
			return m.Alloc(600)
		},
		"overflow": func(m *Meter) error { return m.charge(1<<40, 1<<40, 16) },
		"negative": func(m *Meter) error { return m.Elements(-1) },
	} {
		var limit *LimitError
		if err := f(NewMeter(Limits{Steps: 100, Bytes: 1000})); !errors.As(err, &limit) {
			t.Errorf("%s: got %v, want a LimitError", what, err)
		}
	}
}

func TestParseNumbers(t *testing.T) {
	for s, want := range map[string]string{"12": "12", " -7\n": "-7", "1_0": "10", "+5": "5", "٣٤": "34", "": "", "1__0": "", "_1": "", "0x1": "", "1.5": "", "- 5": ""} {
		got := ""
		if v, ok := ParseInt(s, 10); ok {
			got = scalarRepr(v)
		}
		if got != want {
			t.Errorf("int(%q): got %q, want %q", s, got, want)
		}
	}
	for s, want := range map[string]bool{"1.5": true, ".5": true, "5.": true, "1e5": true, "inf": true, "-Infinity": true, "nan": true, "0x1p4": false, "": false, "1_.5": false, "e5": false, "1e": false, "infx": false} {
		if _, ok := ParseFloat(s); ok != want {
			t.Errorf("float(%q): got %v", s, ok)
		}
	}
}
