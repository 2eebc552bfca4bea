package hermes

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func text(s string) *string { return &s }

// fields are those of rhasspy-hermes for each message: all must be there, also as null, and no other.
var fields = map[string][]string{
	"parsed":   {"input", "intent", "siteId", "id", "slots", "sessionId"},
	"intent":   {"input", "intent", "siteId", "id", "slots", "sessionId", "customData", "asrTokens", "asrConfidence", "rawInput", "wakewordId", "lang"},
	"unknown":  {"input", "siteId", "id", "customData", "sessionId"},
	"say":      {"text", "siteId", "lang", "id", "sessionId", "volume"},
	"end":      {"sessionId", "text", "customData"},
	"continue": {"sessionId", "text", "intentFilter", "customData", "sendIntentNotRecognized", "slot", "lang"},
	"error":    {"error", "siteId", "context", "sessionId"},
}

func TestForms(t *testing.T) {
	for _, u := range []Utterance{
		{Input: "is it warm", SiteID: "kitchen", ID: text("q1"), SessionID: text("s1"), CustomData: text("c"), Lang: text("en")},
		{Input: "is it warm", SiteID: DefaultSite},
	} {
		for name, make := range map[string]func() ([]byte, error){
			"parsed":   func() ([]byte, error) { return u.Parsed("Answer") },
			"intent":   func() ([]byte, error) { return u.Intent("Answer") },
			"unknown":  u.Unknown,
			"say":      func() ([]byte, error) { return u.Say("Yes.", "q1-0") },
			"end":      func() ([]byte, error) { return u.EndSession("") },
			"continue": func() ([]byte, error) { return u.ContinueSession("And now?") },
			"error":    func() ([]byte, error) { return u.Error("No.") },
		} {
			payload, err := make()
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(payload, &got); err != nil {
				t.Fatal(err)
			}
			for _, f := range fields[name] {
				if _, ok := got[f]; !ok {
					t.Errorf("%s has no %q: %s", name, f, payload)
				}
			}
			if len(got) != len(fields[name]) {
				t.Errorf("%s: %s", name, payload)
			}
			if name == "intent" && (!reflect.DeepEqual(got["asrTokens"], []any{[]any{}}) || got["asrConfidence"] != 1.0) {
				t.Errorf("what Snips' clients need: %s", payload)
			}
		}
	}
}

func TestParse(t *testing.T) {
	u, err := ParseUtterance([]byte(`{"input":" turn it on ","siteId":"kitchen","sessionId":"s","id":null,"intentFilter":["A","B"],"more":1}`))
	if err != nil || u.Input != "turn it on" || u.SiteID != "kitchen" || *u.SessionID != "s" || u.ID != nil || !u.Allows("A") || u.Allows("C") {
		t.Errorf("%+v %v", u, err)
	}
	if u, err := ParseUtterance([]byte(`{"sessionId":"s"}`)); err != nil || u.Input != "" || u.SiteID != DefaultSite || !u.Allows("C") {
		t.Errorf("%+v %v", u, err)
	}
	for _, bad := range []string{"", "x", "[]", `{"input":1}`, `{"input":"` + strings.Repeat("x", maxMessage) + `"}`} {
		if _, err := ParseUtterance([]byte(bad)); !errors.Is(err, ErrMessage) {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
	if e, err := ParseEnded([]byte(`{"sessionId":"s","termination":{"reason":"nominal"}}`)); err != nil || e.SessionID != "s" {
		t.Errorf("%+v %v", e, err)
	}
	if _, err := ParseEnded([]byte(`{}`)); !errors.Is(err, ErrMessage) {
		t.Error(err)
	}
}

func TestSentences(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"Yes.", []string{"Yes."}},
		{"It is 21.5 degrees. The window is open! Shall I close it? Say yes", []string{"It is 21.5 degrees.", "The window is open!", "Shall I close it?", "Say yes"}},
		{"1. Boil water. 2. Add tea.", []string{"1. Boil water.", "2. Add tea."}},
		{"Dr. Who is a doctor. Is he?", []string{"Dr. Who is a doctor.", "Is he?"}},
		{"First line\n\nsecond line\n", []string{"First line", "second line"}},
		{"今天天气很好。我们去散步吧！好吗", []string{"今天天气很好。", "我们去散步吧！", "好吗"}},
		{strings.Repeat("word ", 60), []string{strings.TrimSpace(strings.Repeat("word ", 48)), strings.TrimSpace(strings.Repeat("word ", 12))}},
		{"", nil},
	} {
		for _, step := range []int{1, 3, 1000} { // however it comes
			var s Sentences
			var got []string
			for rest := c.text; rest != ""; {
				n := 0
				for range min(step, utf8.RuneCountInString(rest)) {
					_, w := utf8.DecodeRuneInString(rest[n:])
					n += w
				}
				got = append(got, s.Add(rest[:n])...)
				rest = rest[n:]
			}
			if rest := s.Rest(); rest != "" {
				got = append(got, rest)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%.40q in steps of %d:\n got %q\nwant %q", c.text, step, got, c.want)
			}
		}
	}
}

// FuzzSentences: nothing is lost but white space, and no piece is too long.
func FuzzSentences(f *testing.F) {
	f.Add("It is warm. Is it? 今天。", uint8(3))
	f.Add(strings.Repeat("x", 600), uint8(250))
	f.Fuzz(func(t *testing.T, whole string, step uint8) {
		if !utf8.ValidString(whole) {
			return
		}
		var s Sentences
		var got []string
		for rest := whole; rest != ""; {
			n := min(int(step)+1, len(rest))
			for n < len(rest) && !utf8.RuneStart(rest[n]) {
				n++
			}
			got = append(got, s.Add(rest[:n])...)
			rest = rest[n:]
		}
		got = append(got, s.Rest())
		for _, piece := range got {
			if utf8.RuneCountInString(piece) > maxSentence {
				t.Errorf("a piece of %d characters", utf8.RuneCountInString(piece))
			}
		}
		if a, b := strings.Join(strings.Fields(strings.Join(got, "")), ""), strings.Join(strings.Fields(whole), ""); a != b {
			t.Errorf("%q became %q", b, a)
		}
	})
}
