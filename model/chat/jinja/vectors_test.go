package jinja

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

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
	fn := func(name string, f func(m *value.Meter, s value.Str) (value.Value, error)) value.Value {
		return &value.Func{Name: name, Fn: func(m *value.Meter, a value.Args) (value.Value, error) {
			args, err := a.Bind(name, "x!")
			if err != nil {
				return nil, err
			}
			s, _, err := value.StrArg(args[0])
			if err != nil {
				return nil, err
			}
			return f(m, s)
		}}
	}
	return map[string]value.Value{
		"raise_exception": fn("raise_exception", func(*value.Meter, value.Str) (value.Value, error) { return nil, errRaised }),
		"strftime_now": fn("strftime_now", func(m *value.Meter, s value.Str) (value.Value, error) {
			return Strftime(m, testClock, s)
		}),
	}
}

// variables reads untrusted variables from JSON.
func variables(t testing.TB, data []byte) *value.Dict {
	t.Helper()
	v, err := value.ParseJSON(data, true)
	if err != nil {
		t.Fatal(err)
	}
	return v.(*value.Dict)
}

// run renders a template.
func run(source string, vars *value.Dict, d Dialect, l Limits) (value.Str, error) {
	t, err := Parse(source)
	if err != nil {
		return value.Str{}, err
	}
	return t.Render(Input{vars, testGlobals(), d, l})
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
	vars, limits := variables(t, v.Context), DefaultLimits(len(v.Context))
	for _, c := range v.Cases {
		got, err := run(c.T, vars, Dialect{}, limits)
		checkRuns(t, c.T, got)
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

// checkRuns checks that the runs of a string are maximal and are the string.
func checkRuns(t *testing.T, source string, s value.Str) {
	t.Helper()
	var b strings.Builder
	last := 0
	for text, untrusted := range s.Runs() {
		b.WriteString(text)
		now := 1
		if untrusted {
			now = 2
		}
		if text == "" || now == last {
			t.Fatalf("%q: runs are not maximal", source)
		}
		last = now
	}
	if b.String() != s.String() {
		t.Fatalf("%q: runs give %q, not %q", source, b.String(), s)
	}
}

// TestVectorsKeepMarks renders the vectors with a mark in every string of the variables: it must never be trusted.
func TestVectorsKeepMarks(t *testing.T) {
	v := readVectors(t)
	var context any
	if err := json.Unmarshal(v.Context, &context); err != nil {
		t.Fatal(err)
	}
	const mark = "\u27e6"
	var poison func(x any) any
	poison = func(x any) any {
		switch x := x.(type) {
		case string:
			return mark + x + mark
		case []any:
			for i := range x {
				x[i] = poison(x[i])
			}
		case map[string]any:
			for k := range x {
				x[k] = poison(x[k])
			}
		}
		return x
	}
	data, err := json.Marshal(poison(context))
	if err != nil {
		t.Fatal(err)
	}
	vars, limits := variables(t, data), DefaultLimits(len(data))
	shown := 0
	for _, c := range v.Cases {
		got, err := run(c.T, vars, Dialect{}, limits)
		if err != nil {
			continue
		}
		for text, untrusted := range got.Runs() {
			if strings.Contains(text, mark) || strings.Contains(text, "27e6") {
				shown++
				if !untrusted {
					t.Errorf("%q: trusted %q", c.T, text)
				}
			}
		}
	}
	if shown < 200 {
		t.Errorf("the mark came out only %d times: the test is blind", shown)
	}
}
