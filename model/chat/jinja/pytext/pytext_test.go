package pytext

import (
	"encoding/json"
	"math/big"
	"os"
	"strconv"
	"testing"
	"time"
)

// vectors is testdata/vectors.json; see vectors.py there.
type vectors struct {
	Header   map[string]string `json:"header"`
	Case     [][6]string       `json:"case"`
	Class    [][]any           `json:"class"`
	Repr     [][2]string       `json:"repr"`
	Floats   [][2]string       `json:"floats"`
	Format   [][4]any          `json:"format"`
	Strftime [][3]string       `json:"strftime"`
	Unescape [][2]*string      `json:"unescape"`
}

func read(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Case) == 0 || len(v.Class) == 0 || len(v.Repr) == 0 || len(v.Floats) == 0 || len(v.Format) == 0 || len(v.Strftime) == 0 || len(v.Unescape) == 0 {
		t.Fatal("a part of the vectors is missing")
	}
	return v
}

func TestCase(t *testing.T) {
	for _, c := range read(t).Case {
		for i, f := range []func(string) string{Upper, Lower, Title, Capitalize, SwapCase} {
			if got := f(c[0]); got != c[i+1] {
				t.Errorf("mapping %d of %q: got %q, want %q", i, c[0], got, c[i+1])
			}
		}
	}
}

func TestClass(t *testing.T) {
	for _, c := range read(t).Class {
		s := c[0].(string)
		for i, got := range []bool{
			All(s, IsAlpha), All(s, IsAlnum), All(s, IsDecimal), All(s, IsDigit), All(s, IsNumeric), All(s, IsSpace),
			IsUpper(s), IsLower(s), IsTitle(s), IsIdentifier(s),
		} {
			if want := c[i+1].(bool); got != want {
				t.Errorf("property %d of %q: got %v, want %v", i, s, got, want)
			}
		}
	}
}

func TestRepr(t *testing.T) {
	v := read(t)
	for _, c := range v.Repr {
		if got := Quote(c[0]); got != c[1] {
			t.Errorf("%q: got %s, want %s", c[0], got, c[1])
		}
	}
	for _, c := range v.Floats {
		f, err := strconv.ParseFloat(c[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := FloatRepr(f); got != c[1] {
			t.Errorf("%s: got %s, want %s", c[0], got, c[1])
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range read(t).Format {
		kind, spec := c[1].(string), c[2].(string)
		got, err := format(t, c[0], kind, spec)
		want, ok := c[3].(string)
		if ok != (err == nil) || got != want {
			t.Errorf("%s %v with %q: got %q (%v), want %v", kind, c[0], spec, got, err, c[3])
		}
	}
}

// format is Python's format(), without the marks that package value adds.
func format(t *testing.T, v any, kind, spec string) (string, error) {
	sp, err := ParseSpec(spec)
	if err != nil {
		return "", err
	}
	switch kind {
	case "float":
		f, err := strconv.ParseFloat(v.(string), 64)
		if err != nil {
			t.Fatal(err)
		}
		return sp.Float(f)
	case "int":
		return sp.Int(big.NewInt(int64(v.(float64))))
	case "bool":
		if spec == "" {
			return "True", nil
		}
		return sp.Int(big.NewInt(1))
	}
	if sp.Fill == "0" && sp.Align == '=' {
		sp.Align = '<'
	}
	if err := sp.CheckString(); err != nil {
		return "", err
	}
	s := []rune(v.(string))
	if sp.Precision >= 0 && sp.Precision < len(s) {
		s = s[:sp.Precision]
	}
	left, right := sp.Padding(len(s), '<')
	return left + string(s) + right, nil
}

func TestStrftime(t *testing.T) {
	for _, c := range read(t).Strftime {
		at, err := time.Parse("2006-01-02T15:04:05.000000", c[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := Strftime(at, c[1]); got != c[2] {
			t.Errorf("%s %q: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestUnescape(t *testing.T) {
	for _, c := range read(t).Unescape {
		got, ok := Unescape(*c[0])
		switch {
		case c[1] == nil && ok:
			t.Errorf("%q: got %q, want a refusal", *c[0], got)
		case c[1] != nil && (!ok || got != *c[1]):
			t.Errorf("%q: got %q, %v, want %q", *c[0], got, ok, *c[1])
		}
	}
}

func TestWidthIsBounded(t *testing.T) {
	for _, s := range []string{"99999999999999999999", ".99999999999", "1048577"} {
		if _, err := ParseSpec(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}
