package message

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func ptr[T any](v T) *T { return &v }

// full is a request with every field set, and fullJSON its form.
func full() Request {
	return Request{
		ID: "k7", Prompt: "Hello\n\"you\" é", Session: "kitchen:1", Task: "weather", Stream: true,
		ReplyTo: "home/answers/k7", MaxTokens: 200, Temperature: ptr(float32(0.7)),
		TopP: ptr(float32(0.9)), MinP: ptr(float32(0.05)), TopK: ptr(40),
		Seed: ptr(uint64(math.MaxUint64)), Stop: []string{"\n\n", "</s>"},
		Deadline: 30 * time.Second, Priority: -3,
	}
}

const fullJSON = `{"v":1,"id":"k7","prompt":"Hello\n\"you\" é","session":"kitchen:1","task":"weather","stream":true,` +
	`"reply_to":"home/answers/k7","max_tokens":200,"temperature":0.7,"top_p":0.9,"top_k":40,"min_p":0.05,` +
	`"seed":18446744073709551615,"stop":["\n\n","</s>"],"deadline_ms":30000,"priority":-3}`

func TestParseRequest(t *testing.T) {
	lim := DefaultLimits()
	for _, tt := range []struct {
		name, payload string
		want          Request
	}{
		{"every field", fullJSON, full()},
		{"plain text", "Is the door open?", Request{Prompt: "Is the door open?"}},
		{"plain text with line end", "Hi\r\n", Request{Prompt: "Hi"}},
		{"plain text keeps inner space", "  a\n b ", Request{Prompt: "  a\n b "}},
		{"plain text in quotes", `"Hi"`, Request{Prompt: `"Hi"`}},
		{"a list is plain text", `[1,2]`, Request{Prompt: `[1,2]`}},
		{"byte order mark before text", "\xef\xbb\xbfHi", Request{Prompt: "Hi"}},
		{"byte order mark before JSON", "\xef\xbb\xbf" + `{"prompt":"Hi"}`, Request{Prompt: "Hi"}},
		{"space around JSON", " \r\n\t{\"prompt\":\"Hi\"}\n ", Request{Prompt: "Hi"}},
		{"unknown keys", `{"prompt":"Hi","gadgets":[{"a":{"b":[1]}}],"x":null}`, Request{Prompt: "Hi"}},
		{"keys are case-sensitive", `{"prompt":"Hi","ID":"no","Stream":true}`, Request{Prompt: "Hi"}},
		{"null is absent", `{"prompt":"Hi","id":null,"stop":null,"seed":null,"stream":null,"messages":null}`, Request{Prompt: "Hi"}},
		{
			"messages", `{"messages":[{"role":"system","content":""},{"role":"user","content":"a"}]}`,
			Request{Messages: []Message{{Role: "system", Content: ""}, {Role: "user", Content: "a"}}},
		},
		{"empty list of messages is none", `{"messages":[],"prompt":"a"}`, Request{Prompt: "a"}},
		{"one stop text", `{"prompt":"a","stop":"."}`, Request{Prompt: "a", Stop: []string{"."}}},
		{
			"whole numbers as floats", `{"prompt":"a","max_tokens":5.0,"deadline_ms":1e3}`,
			Request{Prompt: "a", MaxTokens: 5, Deadline: time.Second},
		},
		{"half a surrogate pair", `{"prompt":"a\ud800b"}`, Request{Prompt: "a\ufffdb"}},
		{
			"zeros that say something", `{"prompt":"a","temperature":0,"top_k":0,"seed":0}`,
			Request{Prompt: "a", Temperature: ptr(float32(0)), TopK: ptr(0), Seed: ptr(uint64(0))},
		},
		{"a gap", `{"prompt":"a","suffix":"","infill":1}`, Request{Prompt: "a", Suffix: ptr(""), Sampling: Sampling{Infill: ptr(float32(1))}}},
		{"a gap at the start", `{"suffix":"b"}`, Request{Suffix: ptr("b")}},
		{"context", `{"prompt":"a","context":"b"}`, Request{Prompt: "a", Context: "b"}},
		{"longest id", `{"prompt":"a","id":"` + strings.Repeat("x", 64) + `"}`, Request{Prompt: "a", ID: strings.Repeat("x", 64)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRequest([]byte(tt.payload), lim)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestParseRequestRefuses(t *testing.T) {
	lim := DefaultLimits()
	big := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name, payload string
		code          Code
		field, id     string
	}{
		{"nothing", "", CodeBadRequest, "prompt", ""},
		{"only space", " \n", CodeBadRequest, "prompt", ""},
		{"no prompt", `{"id":"a"}`, CodeBadRequest, "prompt", "a"},
		{"blank prompt", `{"id":"a","prompt":" \n"}`, CodeBadRequest, "prompt", "a"},
		{"both", `{"id":"a","prompt":"x","messages":[{"role":"user","content":"x"}]}`, CodeBadRequest, "prompt", "a"},
		{"a gap around nothing", `{"id":"a","suffix":""}`, CodeBadRequest, "suffix", "a"},
		{"a gap in a conversation", `{"id":"a","suffix":"x","session":"s"}`, CodeBadRequest, "session", "a"},
		{"a gap with a task", `{"id":"a","suffix":"x","task":"t"}`, CodeBadRequest, "task", "a"},
		{"a task without a name", `{"id":"a","prompt":"a","task":""}`, CodeBadRequest, "task", "a"},
		{"a gap beside turns", `{"id":"a","suffix":"x","messages":[{"role":"user","content":"x"}]}`, CodeBadRequest, "messages", "a"},
		{"suffix is a number", `{"id":"a","prompt":"a","suffix":1}`, CodeBadRequest, "suffix", "a"},
		{"too much around a gap", `{"id":"a","prompt":"` + strings.Repeat("x", lim.PromptBytes-9) + `","suffix":"0123456789"}`, CodeTooLarge, "suffix", "a"},
		{"broken", `{"id":"a","prompt":`, CodeBadRequest, "", "a"},
		{"broken before the id", `{"prompt":tru,"id":"a"}`, CodeBadRequest, "", ""},
		{"text behind", `{"id":"a","prompt":"x"} y`, CodeBadRequest, "", "a"},
		{"two objects", `{"id":"a","prompt":"x"}{}`, CodeBadRequest, "", "a"},
		{"not a number", `{"id":"a","prompt":"x","temperature":NaN}`, CodeBadRequest, "", "a"},
		{"twice a key", `{"id":"a","prompt":"x","prompt":"y"}`, CodeBadRequest, "prompt", "a"},
		{"twice an unknown key", `{"z":1,"id":"a","prompt":"x","z":"y"}`, CodeBadRequest, "z", "a"},
		{"twice a key by escape", `{"prompt":"x","id":"a","\u0070rompt":"y"}`, CodeBadRequest, "prompt", "a"},
		{"wrong type before the id", `{"prompt":7,"id":"a"}`, CodeBadRequest, "prompt", "a"},
		{"prompt is a list", `{"id":"a","prompt":["x"]}`, CodeBadRequest, "prompt", "a"},
		{"id is a number", `{"id":17,"prompt":"x"}`, CodeBadRequest, "id", "17"},
		{"id is a fraction", `{"id":1.5,"prompt":"x"}`, CodeBadRequest, "id", ""},
		{"id with a slash", `{"id":"a/b","prompt":"x"}`, CodeBadRequest, "id", ""},
		{"id with a wildcard", `{"id":"#","prompt":"x"}`, CodeBadRequest, "id", ""},
		{"id with NUL", `{"id":"a\u0000","prompt":"x"}`, CodeBadRequest, "id", ""},
		{"id not ASCII", `{"id":"é","prompt":"x"}`, CodeBadRequest, "id", ""},
		{"id too long", `{"id":"` + strings.Repeat("x", 65) + `","prompt":"x"}`, CodeTooLarge, "id", ""},
		{"id empty", `{"id":"","prompt":"x"}`, CodeBadRequest, "id", ""},
		{"session empty", `{"id":"a","prompt":"x","session":""}`, CodeBadRequest, "session", "a"},
		{"session with space", `{"id":"a","prompt":"x","session":"a b"}`, CodeBadRequest, "session", "a"},
		{"stream is a text", `{"id":"a","prompt":"x","stream":"yes"}`, CodeBadRequest, "stream", "a"},
		{"stream is a number", `{"id":"a","prompt":"x","stream":1}`, CodeBadRequest, "stream", "a"},
		{"reply too long", `{"id":"a","prompt":"x","reply_to":"` + strings.Repeat("x", 257) + `"}`, CodeTooLarge, "reply_to", "a"},
		{"reply with NUL", `{"id":"a","prompt":"x","reply_to":"a\u0000"}`, CodeBadRequest, "reply_to", "a"},
		{"max_tokens zero", `{"id":"a","prompt":"x","max_tokens":0}`, CodeBadRequest, "max_tokens", "a"},
		{"max_tokens negative", `{"id":"a","prompt":"x","max_tokens":-1}`, CodeBadRequest, "max_tokens", "a"},
		{"max_tokens beyond", `{"id":"a","prompt":"x","max_tokens":65537}`, CodeBadRequest, "max_tokens", "a"},
		{"max_tokens huge", `{"id":"a","prompt":"x","max_tokens":99999999999999999999}`, CodeBadRequest, "max_tokens", "a"},
		{"max_tokens infinite", `{"id":"a","prompt":"x","max_tokens":1e999999}`, CodeBadRequest, "max_tokens", "a"},
		{"max_tokens not whole", `{"id":"a","prompt":"x","max_tokens":1.5}`, CodeBadRequest, "max_tokens", "a"},
		{"max_tokens a text", `{"id":"a","prompt":"x","max_tokens":"5"}`, CodeBadRequest, "max_tokens", "a"},
		{"temperature below", `{"id":"a","prompt":"x","temperature":-0.1}`, CodeBadRequest, "temperature", "a"},
		{"temperature above", `{"id":"a","prompt":"x","temperature":5.1}`, CodeBadRequest, "temperature", "a"},
		{"temperature a text", `{"id":"a","prompt":"x","temperature":"hot"}`, CodeBadRequest, "temperature", "a"},
		{"top_p above", `{"id":"a","prompt":"x","top_p":1.01}`, CodeBadRequest, "top_p", "a"},
		{"min_p below", `{"id":"a","prompt":"x","min_p":-1}`, CodeBadRequest, "min_p", "a"},
		{"min_p infinite", `{"id":"a","prompt":"x","min_p":1e400}`, CodeBadRequest, "min_p", "a"},
		{"top_k below", `{"id":"a","prompt":"x","top_k":-1}`, CodeBadRequest, "top_k", "a"},
		{"top_k above", `{"id":"a","prompt":"x","top_k":1000001}`, CodeBadRequest, "top_k", "a"},
		{"seed negative", `{"id":"a","prompt":"x","seed":-1}`, CodeBadRequest, "seed", "a"},
		{"seed beyond", `{"id":"a","prompt":"x","seed":18446744073709551616}`, CodeBadRequest, "seed", "a"},
		{"seed not whole", `{"id":"a","prompt":"x","seed":0.5}`, CodeBadRequest, "seed", "a"},
		{"stop empty", `{"id":"a","prompt":"x","stop":[""]}`, CodeBadRequest, "stop[0]", "a"},
		{"stop wrong type", `{"id":"a","prompt":"x","stop":["a",5]}`, CodeBadRequest, "stop[1]", "a"},
		{"stop an object", `{"id":"a","prompt":"x","stop":{}}`, CodeBadRequest, "stop", "a"},
		{"stop too many", `{"id":"a","prompt":"x","stop":["a"` + strings.Repeat(`,"a"`, 16) + `]}`, CodeTooLarge, "stop", "a"},
		{"stop too long", `{"id":"a","prompt":"x","stop":["` + strings.Repeat("x", 257) + `"]}`, CodeTooLarge, "stop[0]", "a"},
		{"deadline zero", `{"id":"a","prompt":"x","deadline_ms":0}`, CodeBadRequest, "deadline_ms", "a"},
		{"deadline beyond", `{"id":"a","prompt":"x","deadline_ms":604800001}`, CodeBadRequest, "deadline_ms", "a"},
		{"deadline overflows", `{"id":"a","prompt":"x","deadline_ms":9223372036854775807}`, CodeBadRequest, "deadline_ms", "a"},
		{"priority beyond", `{"id":"a","prompt":"x","priority":10}`, CodeBadRequest, "priority", "a"},
		{"version later", `{"id":"a","prompt":"x","v":2}`, CodeUnsupported, "v", "a"},
		{"version zero", `{"id":"a","prompt":"x","v":0}`, CodeBadRequest, "v", "a"},
		{"message not an object", `{"id":"a","messages":["x"]}`, CodeBadRequest, "messages[0]", "a"},
		{"message null", `{"id":"a","messages":[null]}`, CodeBadRequest, "messages[0]", "a"},
		{"message without role", `{"id":"a","messages":[{"content":"x"}]}`, CodeBadRequest, "messages[0].role", "a"},
		{"message of a pirate", `{"id":"a","messages":[{"role":"user","content":"x"},{"role":"pirate","content":"x"}]}`, CodeBadRequest, "messages[1].role", "a"},
		{"message content a number", `{"id":"a","messages":[{"role":"user","content":7}]}`, CodeBadRequest, "messages[0].content", "a"},
		{"message key twice", `{"id":"a","messages":[{"role":"user","role":"system","content":"x"}]}`, CodeBadRequest, "messages[0].role", "a"},
		{"message with NUL", `{"id":"a","messages":[{"role":"user","content":"\u0000"}]}`, CodeBadRequest, "messages[0].content", "a"},
		{"messages an object", `{"id":"a","messages":{}}`, CodeBadRequest, "messages", "a"},
		{"messages too many", `{"id":"a","messages":[` + strings.Repeat(`{},`, 256) + `{}]}`, CodeTooLarge, "messages", "a"},
		{"prompt with NUL", `{"id":"a","prompt":"x\u0000y"}`, CodeBadRequest, "prompt", "a"},
		{"prompt too long", `{"id":"a","prompt":"` + big[:128<<10+1] + `"}`, CodeTooLarge, "prompt", "a"},
		{
			"messages too long together", `{"id":"a","messages":[{"role":"user","content":"` + big[:100<<10] + `"},{"role":"user","content":"` + big[:100<<10] + `"}]}`,
			CodeTooLarge, "messages", "a",
		},
		{"1 MB of text", big, CodeTooLarge, "", ""},
		{"1 MB of prompt", `{"id":"a","prompt":"` + big + `"}`, CodeTooLarge, "", "a"},
		{"1 MB, id behind it", `{"prompt":"` + big + `","id":"a"}`, CodeTooLarge, "", ""},
		{"too deep", `{"id":"a","prompt":"x","z":` + strings.Repeat("[", 32), CodeTooLarge, "", "a"},
		{"1 MB deep", strings.Repeat(`{"a":`, 50000), CodeTooLarge, "", ""},
		{"brackets in a text do not count", `{"id":"a","prompt":5,"z":"\"` + strings.Repeat("[", 64) + `"}`, CodeBadRequest, "prompt", "a"},
		{"not UTF-8", `{"id":"a","prompt":"` + "\xff" + `"}`, CodeBadRequest, "", "a"},
		{"text not UTF-8", "caf\xe9", CodeBadRequest, "", ""},
		{"text with NUL", "a\x00b", CodeBadRequest, "prompt", ""},
		{"raw NUL in JSON", "{\"id\":\"a\",\"prompt\":\"\x00\"}", CodeBadRequest, "", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRequest([]byte(tt.payload), lim)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %+v and error %v, want an *Error", got, err)
			}
			if e.Code != tt.code || e.Field != tt.field || e.ID != tt.id {
				t.Errorf("got code %q field %q id %q, want %q %q %q (%s)", e.Code, e.Field, e.ID, tt.code, tt.field, tt.id, e.Text)
			}
			checkSentence(t, e.Text)
			if !reflect.DeepEqual(got, Request{}) {
				t.Errorf("a refused request is not empty: %+v", got)
			}
		})
	}
}

// checkSentence holds every text for a person to the same form and a length that
// fits into a message.
func checkSentence(t *testing.T, s string) {
	t.Helper()
	if s == "" || s[0] < 'A' || s[0] > 'Z' || !strings.HasSuffix(s, ".") || len(s) > 300 {
		t.Errorf("not a short sentence: %q", s)
	}
}

func TestParseText(t *testing.T) {
	got, err := ParseText([]byte("{\"id\":\"a\"}\n"), DefaultLimits())
	if want := (Request{Prompt: `{"id":"a"}`}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "\r\n", "a\xff", strings.Repeat("x", 1<<20)} {
		var e *Error
		if _, err := ParseText([]byte(bad), DefaultLimits()); !errors.As(err, &e) {
			t.Errorf("%.20q: error %v, want an *Error", bad, err)
		} else {
			checkSentence(t, e.Text)
		}
	}
}

func TestRequestEncode(t *testing.T) {
	got, err := full().Encode()
	if err != nil || string(got) != fullJSON {
		t.Errorf("got %s, %v\nwant %s", got, err, fullJSON)
	}
	if _, err := (Request{ID: "a", TopP: ptr(float32(math.NaN()))}).Encode(); err == nil {
		t.Error("NaN was encoded")
	}
}

func TestValidate(t *testing.T) {
	lim := DefaultLimits()
	if err := full().Validate(lim); err != nil {
		t.Error(err)
	}
	nan := float32(math.NaN())
	for name, change := range map[string]func(*Request){
		"temperature": func(r *Request) { r.Temperature = &nan },
		"top_p":       func(r *Request) { r.TopP = ptr(float32(2)) },
		"min_p":       func(r *Request) { r.MinP = ptr(float32(math.Inf(1))) },
		"top_k":       func(r *Request) { r.TopK = ptr(-1) },
		"max_tokens":  func(r *Request) { r.MaxTokens = -1 },
		"deadline_ms": func(r *Request) { r.Deadline = time.Microsecond },
		"priority":    func(r *Request) { r.Priority = 10 },
		"prompt":      func(r *Request) { r.Prompt = "a\xff" },
		"session":     func(r *Request) { r.Session = "/" },
		"task":        func(r *Request) { r.Task = "a b" },
		"stop":        func(r *Request) { r.Stop = make([]string, 17) },
		"messages":    func(r *Request) { r.Prompt, r.Messages = "", make([]Message, 257) },
	} {
		r := full()
		change(&r)
		var e *Error
		if err := r.Validate(lim); !errors.As(err, &e) || e.Field != name || e.ID != "k7" {
			t.Errorf("%s: got %v", name, err)
		} else {
			checkSentence(t, e.Text)
		}
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	err := Limits{}.Validate()
	n := reflect.TypeFor[Limits]().NumField()
	if got := strings.Count(fmt.Sprint(err), "must be positive"); got != n {
		t.Errorf("%d problems named, want all %d: %v", got, n, err)
	}
}

func TestExpired(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := Request{Received: now}
	if r.Expired(now.Add(1e6 * time.Hour)) {
		t.Error("a request without deadline expired")
	}
	r.Deadline = time.Second
	if r.Expired(now.Add(999*time.Millisecond)) || !r.Expired(now.Add(time.Second)) {
		t.Error("the deadline is not one second after Received")
	}
}

// FuzzParseRequest: whatever is accepted is within the limits and survives
// Encode and ParseRequest unchanged; whatever is refused is refused by an *Error
// with a usable id or none.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(fullJSON))
	for _, s := range []string{
		"", "Hi", `{`, `{"id":"a"}`, `{"messages":[{"role":"user","content":"\ud83d\ude00"}]}`,
		`{"prompt":"\u2028<&>","stop":"."}`, `{"id":7,"prompt":1e-50}`, `{"prompt":"a","temperature":1e-46,"top_p":-0}`,
	} {
		f.Add([]byte(s))
	}
	lim := DefaultLimits()
	wide := lim
	wide.PayloadBytes *= 8 // escapes make the encoded form longer
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := ParseRequest(payload, lim)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code == "" {
				t.Fatalf("error %v is not an *Error with a code", err)
			}
			checkSentence(t, e.Text)
			if e.ID != "" && CheckID(e.ID) != nil {
				t.Fatalf("unusable id %q in the error", e.ID)
			}
			return
		}
		if err := r.Validate(lim); err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		form, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRequest(form, wide)
		if err != nil {
			t.Fatalf("own form %s: %v", form, err)
		}
		if !reflect.DeepEqual(again, r) {
			t.Fatalf("changed by encoding:\n%+v\n%+v", r, again)
		}
	})
}
