package jinja

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"siskin/model/chat/jinja/pytext"
	"siskin/model/chat/jinja/value"
)

// vectors is testdata/vectors.json; see vectors.py there.
type vectors struct {
	Header  map[string]any  `json:"header"`
	Context json.RawMessage `json:"context"`
	Cases   []struct {
		T     string  `json:"t"`
		Want  *string `json:"want"`
		Error string  `json:"error"`
	} `json:"cases"`
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// testClock is the time of the vectors.
var testClock = time.Date(2026, 7, 26, 9, 30, 5, 123456000, time.UTC)

var errRaised = errors.New("raised")

func testGlobals() map[string]value.Value {
	fn := func(name string, f func(s string) (value.Value, error)) value.Value {
		return &value.Func{Name: name, Fn: func(_ *value.Meter, a value.Args) (value.Value, error) {
			args, err := a.Bind(name, "x!")
			if err != nil {
				return nil, err
			}
			s, _, err := value.StrArg(args[0])
			if err != nil {
				return nil, err
			}
			return f(s.String())
		}}
	}
	return map[string]value.Value{
		"raise_exception": fn("raise_exception", func(string) (value.Value, error) { return nil, errRaised }),
		"strftime_now": fn("strftime_now", func(s string) (value.Value, error) {
			return value.Trusted(pytext.Strftime(testClock, s)), nil
		}),
	}
}

// run renders a template with untrusted variables from JSON.
func run(source string, context []byte, d Dialect) (value.Str, error) {
	t, err := Parse(source)
	if err != nil {
		return value.Str{}, err
	}
	vars, err := value.ParseJSON(context, true)
	if err != nil {
		return value.Str{}, err
	}
	return t.Render(Input{vars.(*value.Dict), testGlobals(), d, DefaultLimits(len(context))})
}

// kinds maps Python exceptions to those that this package uses for the same mistake.
func sameKind(python string, err error) bool {
	var ours *value.Error
	if !errors.As(err, &ours) || ours.Kind == python {
		return true
	}
	return python == "AttributeError" || ours.Kind == "TypeError" || python == "TypeError"
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	if len(v.Cases) < 5000 {
		t.Fatalf("only %d vectors", len(v.Cases))
	}
	failed := 0
	for _, c := range v.Cases {
		got, err := run(c.T, v.Context, Dialect{})
		switch {
		case c.Want == nil && err == nil:
			t.Errorf("%q\n gives %q, want %s", c.T, got, c.Error)
		case c.Want == nil:
			if !sameKind(c.Error, err) {
				t.Errorf("%q\n fails with %v, want %s", c.T, err, c.Error)
			}
			continue
		case err != nil:
			t.Errorf("%q\n fails with %v, want %q", c.T, err, *c.Want)
		case got.String() != *c.Want:
			t.Errorf("%q\n gives %q\n want  %q", c.T, got, *c.Want)
		default:
			continue
		}
		if failed++; failed > 200 {
			t.Fatal("too many failures")
		}
	}
	t.Logf("%d templates, made by %v", len(v.Cases), v.Header["tool"])
}

func TestRunsJoin(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Cases {
		got, err := run(c.T, v.Context, Dialect{})
		if err != nil {
			continue
		}
		var b strings.Builder
		last := 0
		for text, untrusted := range got.Runs() {
			b.WriteString(text)
			now := 1
			if untrusted {
				now = 2
			}
			if text == "" || now == last {
				t.Fatalf("%q: runs are not maximal", c.T)
			}
			last = now
		}
		if b.String() != got.String() {
			t.Fatalf("%q: runs give %q, not %q", c.T, b.String(), got)
		}
	}
}
