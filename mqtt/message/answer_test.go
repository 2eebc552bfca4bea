package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestForms(t *testing.T) {
	for _, tt := range []struct {
		got  []byte
		want string
	}{
		{
			Answer{ID: "a", Status: OK, Text: "<b>\n", Usage: Usage{1, 2, 3, 0, 0}, Timing: Timing{4, 5, 6}, Model: "m"}.Encode(),
			`{"v":1,"id":"a","status":"ok","text":"<b>\n","usage":{"prompt_tokens":1,"completion_tokens":2,"cached_tokens":3},` +
				`"timing":{"queue_ms":4,"prefill_ms":5,"decode_ms":6},"model":"m"}`,
		},
		{
			Answer{ID: "a", Status: OK, Usage: Usage{DraftedTokens: 7, AcceptedTokens: 4}}.Encode(),
			`{"v":1,"id":"a","status":"ok","text":"","usage":{"prompt_tokens":0,"completion_tokens":0,"cached_tokens":0,` +
				`"drafted_tokens":7,"accepted_tokens":4},"timing":{"queue_ms":0,"prefill_ms":0,"decode_ms":0}}`,
		},
		{
			Refusal("a", fault(CodeOverloaded, "", "Full.")).Encode(),
			`{"v":1,"id":"a","status":"overloaded","code":"overloaded","text":"Full.",` +
				`"usage":{"prompt_tokens":0,"completion_tokens":0,"cached_tokens":0},"timing":{"queue_ms":0,"prefill_ms":0,"decode_ms":0}}`,
		},
		{Accepted{ID: "a", QueueDepth: 3}.Encode(), `{"id":"a","queue_depth":3}`},
		{Delta{"a", 0, "\xff"}.Encode(), `{"id":"a","seq":0,"delta":"\ufffd"}`},
		{Cancel{ID: "a"}.Encode(), `{"id":"a"}`},
		{
			Status{State: Online, Memory: &Memory{Budget: 9, Planned: 8, Anonymous: 1, File: 2, GaveWay: []string{"x"}, Pressure: "shrunk"}}.Encode(),
			`{"v":1,"state":"online","memory":{"budget":9,"planned":8,"anonymous":1,"file":2,"refaults":0,"gave_way":["x"],"pressure":"shrunk"}}`,
		},
		{Status{State: Offline}.Encode(), `{"v":1,"state":"offline"}`},
		{
			Status{Online, "1.0", "m", "avx2", 2048, 64, nil}.Encode(),
			`{"v":1,"state":"online","version":"1.0","model":"m","kernels":"avx2","context_tokens":2048,"queue_limit":64}`,
		},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("got  %s\nwant %s", tt.got, tt.want)
		}
	}
}

func TestParseReplies(t *testing.T) {
	a := Answer{ID: "a", Status: Failed, Code: CodeInternal, Text: "x", Usage: Usage{1, 2, 3, 4, 5}, Timing: Timing{4, 5, 6}, Model: "m"}
	if got, err := ParseAnswer(a.Encode()); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ParseAccepted(Accepted{ID: "a", QueueDepth: 3}.Encode()); err != nil || got != (Accepted{ID: "a", QueueDepth: 3}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ParseDelta(Delta{"a", 2, "x"}.Encode()); err != nil || got != (Delta{"a", 2, "x"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	s := Status{Online, "1.0", "m", "avx2", 2048, 64, nil}
	if got, err := ParseStatus(s.Encode()); err != nil || got != s {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "[]", "{}", `{"id":"","state":""}`, `{"id":7,"state":7}`, `{"id":"/","status":"ok"}`, strings.Repeat(" ", 9<<20)} {
		for name, parse := range map[string]func([]byte) error{
			"answer":   func(b []byte) error { _, err := ParseAnswer(b); return err },
			"accepted": func(b []byte) error { _, err := ParseAccepted(b); return err },
			"delta":    func(b []byte) error { _, err := ParseDelta(b); return err },
			"status":   func(b []byte) error { _, err := ParseStatus(b); return err },
		} {
			var e *Error
			if err := parse([]byte(bad)); !errors.As(err, &e) {
				t.Errorf("%s from %.20q: error %v, want an *Error", name, bad, err)
			}
		}
	}
}

func TestParseCancel(t *testing.T) {
	for _, ok := range []string{`{"id":"a"}`, ` {"id":"a","x":1} `, "a", " a\n"} {
		if c, err := ParseCancel([]byte(ok)); err != nil || c.ID != "a" {
			t.Errorf("%q: got %+v, %v", ok, c, err)
		}
	}
	for _, bad := range []string{"", " ", "{", "{}", `{"id":7}`, `{"id":"a/b"}`, "a b", "#", `["a"]`, strings.Repeat("a", 1<<20)} {
		var e *Error
		if _, err := ParseCancel([]byte(bad)); !errors.As(err, &e) {
			t.Errorf("%.20q: error %v, want an *Error", bad, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	e := fault(CodeExpired, "", "Too late.")
	e.ID = "mine"
	if got, want := Refusal("", fmt.Errorf("queue: %w", e)), (Answer{ID: "mine", Status: Expired, Code: CodeExpired, Text: "Too late."}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got := Refusal("a", errors.New("open /secret: no such file"))
	if got.ID != "a" || got.Status != Failed || got.Code != CodeInternal || strings.Contains(got.Text, "secret") {
		t.Errorf("an unknown error became %+v", got)
	}
	checkSentence(t, got.Text)
}

func TestOutcomes(t *testing.T) {
	for code, want := range map[Code]Outcome{
		CodeOverloaded: Overloaded, CodeExpired: Expired, CodeCancelled: Cancelled, CodeDuplicate: Duplicate,
		CodeUnknown: Unknown, CodeInternal: Failed, CodeModelFault: Failed, CodeBadRequest: Failed, CodeShuttingDown: Failed,
	} {
		if got := code.Outcome(); got != want {
			t.Errorf("%s: got %s, want %s", code, got, want)
		}
	}
}

func TestID(t *testing.T) {
	random := bytes.NewReader(bytes.Repeat([]byte{0xab}, 22))
	id, err := NewID(random)
	if err != nil || id != "g-"+strings.Repeat("ab", 11) || CheckID(id) != nil {
		t.Errorf("got %q, %v", id, err)
	}
	r := Request{ID: "own"}
	if err := r.EnsureID(func() (string, error) { return NewID(random) }); err != nil || r.ID != "own" {
		t.Errorf("got %q, %v", r.ID, err)
	}
	r.ID = ""
	if err := r.EnsureID(func() (string, error) { return NewID(random) }); err != nil || r.ID != id {
		t.Errorf("got %q, %v", r.ID, err)
	}
	r.ID = ""
	if err := r.EnsureID(func() (string, error) { return NewID(random) }); !errors.Is(err, io.EOF) || r.ID != "" {
		t.Errorf("got %q, %v", r.ID, err)
	}
	if err := r.EnsureID(func() (string, error) { return "a/b", nil }); err == nil || r.ID != "" {
		t.Error("a bad id from the source was taken")
	}
}

func TestFingerprint(t *testing.T) {
	a := Fingerprint("t", []byte("p"))
	if a != Fingerprint("t", []byte("p")) || len(a) != 32 || CheckID(a) != nil {
		t.Errorf("bad fingerprint %q", a)
	}
	seen := map[string]bool{a: true}
	for _, v := range [][2]string{{"tp", ""}, {"", "tp"}, {"t", "q"}, {"u", "p"}} {
		f := Fingerprint(v[0], []byte(v[1]))
		if seen[f] {
			t.Errorf("%q has the fingerprint of another message", v)
		}
		seen[f] = true
	}
}

func FuzzParseCancel(f *testing.F) {
	f.Add([]byte(`{"id":"a"}`))
	f.Add([]byte("a"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := ParseCancel(payload)
		if err != nil {
			return
		}
		if again, err := ParseCancel(c.Encode()); err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v became %+v, %v", c, again, err)
		}
	})
}
