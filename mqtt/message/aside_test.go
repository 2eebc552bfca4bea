package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// What is said beside the payload fills what it leaves open; the shorter deadline counts.
func TestAdopt(t *testing.T) {
	lim := DefaultLimits()
	for _, tt := range []struct {
		name  string
		r     Request
		a     Aside
		reply string
		cor   string
		end   time.Duration
		code  Code
	}{
		{"nothing", Request{ID: "a"}, Aside{}, "", "", 0, ""},
		{"all", Request{}, Aside{"back", []byte("c"), time.Second}, "back", "c", time.Second, ""},
		{"payload counts", Request{ReplyTo: "own", Correlation: []byte("o"), Deadline: time.Minute}, Aside{"back", []byte("c"), time.Hour}, "own", "o", time.Minute, ""},
		{"earlier end", Request{Deadline: time.Hour}, Aside{Expiry: time.Minute}, "", "", time.Minute, ""},
		{"over at once", Request{}, Aside{Expiry: 1}, "", "", time.Millisecond, ""},
		{"136 years", Request{}, Aside{Expiry: (1<<32 - 1) * time.Second}, "", "", lim.Deadline, ""},
		{"long topic", Request{ID: "a"}, Aside{ReplyTo: strings.Repeat("t", 257)}, "", "", 0, CodeTooLarge},
		{"bad topic", Request{}, Aside{ReplyTo: "a\xff"}, "", "", 0, CodeBadRequest},
		{"long correlation", Request{}, Aside{Correlation: make([]byte, MaxCorrelation+1)}, "", "", 0, CodeTooLarge},
	} {
		r := tt.r
		err := r.Adopt(tt.a, lim)
		if tt.code == "" && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		var fault *Error
		if tt.code != "" && (!errors.As(err, &fault) || fault.Code != tt.code || fault.ID != tt.r.ID) {
			t.Errorf("%s: error %v", tt.name, err)
		}
		if r.ReplyTo != tt.reply || string(r.Correlation) != tt.cor || r.Deadline != tt.end {
			t.Errorf("%s: %q, %q, %v", tt.name, r.ReplyTo, r.Correlation, r.Deadline)
		}
	}
}

// The form keeps correlation data, which are any bytes.
func TestCorrelationForm(t *testing.T) {
	r := Request{ID: "a", Prompt: "p", Correlation: []byte{0, 255, '"'}}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseRequest(b, DefaultLimits())
	if err != nil || !bytes.Equal(got.Correlation, r.Correlation) {
		t.Errorf("%q, %v", got.Correlation, err)
	}
	for _, bad := range []string{`7`, `"?"`, `"` + strings.Repeat("AAAA", 400) + `"`} {
		if _, err := ParseRequest([]byte(`{"prompt":"p","correlation":`+bad+`}`), DefaultLimits()); err == nil || !strings.Contains(err.Error(), "correlation") {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
}
