package main

import (
	"bytes"
	"strings"
	"testing"

	"siskin/mqtt/message"
)

// What a person writes becomes what the request says, or an error that names it.
func TestRequestFlags(t *testing.T) {
	n := 3
	f := requestFlags{Set: []string{"mirostat=2", "repeat_penalty=1.25", "typical_p=5e-1"}, LogitBias: []string{"17=-100", "4=2.5"}, LogProbs: &n, Task: "weather"}
	r, err := f.request()
	if err != nil {
		t.Fatal(err)
	}
	s := r.Sampling
	if s.Mirostat == nil || *s.Mirostat != 2 || s.RepeatPenalty == nil || *s.RepeatPenalty != 1.25 || s.TypicalP == nil || *s.TypicalP != 0.5 ||
		s.LogitBias["17"] != -100 || s.LogitBias["4"] != 2.5 || s.TopLogProbs == nil || *s.TopLogProbs != 3 || r.Task != "weather" {
		t.Errorf("%+v", r)
	}
	for _, bad := range []requestFlags{
		{Set: []string{"mirostat"}},
		{Set: []string{"mirostat=x"}},
		{Set: []string{"mirostat=0x10"}},
		{Set: []string{"mirostat=inf"}},
		{Set: []string{"prompt=1"}},
		{Set: []string{"logit_bias=1"}},
		{LogitBias: []string{"17"}},
		{LogitBias: []string{"x=1"}},
		{LogitBias: []string{"-1=1"}},
		{LogitBias: []string{"1=y"}},
	} {
		if _, err := bad.request(); err == nil || !strings.Contains(err.Error(), strings.Join(append(bad.Set, bad.LogitBias...), "")) {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
}

func TestPrintLogProbs(t *testing.T) {
	var b bytes.Buffer
	err := printLogProbs(&b, []message.TokenLogProb{
		{ID: 4, Token: " a", LogProb: -0.5, Top: []message.TokenLogProb{{ID: 4, Token: " a", LogProb: -0.5}, {ID: 9, Token: "\n", LogProb: -2}}},
		{ID: 1000, Token: "b", LogProb: -0.25},
	})
	want := "4     \" a\"  -0.5000  \" a\" -0.5000  \"\\n\" -2.0000\n1000  \"b\"   -0.2500\n"
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}
