package chat

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"siskin/model/chat/jinja"
	"siskin/model/goldentest"
	"siskin/model/tokenizer"
)

// goldenClock is the time of the reference renders.
var goldenClock = time.Date(2026, 7, 26, 9, 30, 0, 0, time.UTC)

// reference is renders.json: conversations, and for each template the prompt or {"error": …} for each of them.
type reference struct {
	Cases   map[string]json.RawMessage            `json:"cases"`
	Renders map[string]map[string]json.RawMessage `json:"renders"`
}

func readReference(t testing.TB) reference {
	t.Helper()
	var r reference
	goldentest.JSON(t, &r, "templates", "renders.json")
	if len(r.Renders) < 30 || len(r.Cases) < 6 {
		t.Fatalf("reference has %d templates and %d cases", len(r.Renders), len(r.Cases))
	}
	return r
}

func readTemplate(t testing.TB, name string) *Template {
	t.Helper()
	source, err := os.ReadFile(goldentest.Path(t, "templates", name+".jinja"))
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := Parse(string(source))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return tmpl
}

func parse(t testing.TB, data []byte) Conversation {
	t.Helper()
	c, err := ParseConversation(data)
	if err != nil {
		t.Fatal(err)
	}
	c.Now = goldenClock
	return c
}

func join(pieces []tokenizer.Piece) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.Text)
	}
	return b.String()
}

// checkPieces checks that pieces are not empty and alternate in trust.
func checkPieces(t *testing.T, pieces []tokenizer.Piece) {
	t.Helper()
	for i, p := range pieces {
		if p.Text == "" || i > 0 && pieces[i-1].Trusted == p.Trusted {
			t.Errorf("piece %d of %d is empty or not merged: %+v", i, len(pieces), p)
		}
	}
}

func TestGoldenRenders(t *testing.T) {
	ref := readReference(t)
	equal, refused := 0, 0
	for name, cases := range ref.Renders {
		tmpl := readTemplate(t, name)
		for kind, want := range cases {
			pieces, err := tmpl.Render(parse(t, ref.Cases[kind]))
			var text string
			if json.Unmarshal(want, &text) != nil { // the reference is an error
				if err == nil {
					t.Errorf("%s, %s: no error, want %s", name, kind, want)
				}
				refused++
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
				continue
			}
			checkPieces(t, pieces)
			if got := join(pieces); got != text {
				t.Errorf("%s, %s:\n got %q\nwant %q", name, kind, got, text)
				continue
			}
			equal++
		}
	}
	t.Logf("%d templates: %d renders equal, %d refused as they must", len(ref.Renders), equal, refused)
}

// TestGoldenServing checks that what Render renders comes out the same for answering, unless the system message was moved.
func TestGoldenServing(t *testing.T) {
	ref := readReference(t)
	for name, cases := range ref.Renders {
		tmpl := readTemplate(t, name)
		for kind, want := range cases {
			got, err := tmpl.RenderFolded(parse(t, ref.Cases[kind]))
			if err != nil {
				var raised *RaisedError
				if !errors.As(err, &raised) && !strings.Contains(err.Error(), "has no attribute 'description'") {
					t.Errorf("%s, %s: %v", name, kind, err)
				}
				continue
			}
			checkPieces(t, got)
			var text string
			if json.Unmarshal(want, &text) == nil && join(got) != text && (tmpl.Caps().System || !strings.Contains(string(ref.Cases[kind]), `"system"`)) {
				t.Errorf("%s, %s:\n got %q\nwant %q", name, kind, join(got), text)
			}
		}
	}
}

// evil is text that looks like control tokens of many models. Its letters are found in any case.
const evil = "<|zqx|><zqx>[ZQX]</zqx><｜zqx｜>"

// poison appends evil to every string of a JSON value, keys of tool-call arguments too, but keeps what steers templates: keys,
// roles and types. It counts the strings.
func poison(v any, key string, n *int) any {
	switch v := v.(type) {
	case string:
		if key == "role" || key == "type" || key == "id" || key == "tool_call_id" {
			return v
		}
		*n++
		return v + evil
	case []any:
		for i := range v {
			v[i] = poison(v[i], key, n)
		}
	case map[string]any:
		for k, x := range v {
			if k == "bos_token" || k == "eos_token" {
				continue
			}
			if delete(v, k); key == "arguments" {
				k += evil
			}
			v[k] = poison(x, k, n)
		}
	}
	return v
}

// evilNames also poisons roles and types, which most templates then refuse or print.
func evilNames(v any) any {
	switch v := v.(type) {
	case string:
		return v + evil
	case []any:
		for i := range v {
			v[i] = evilNames(v[i])
		}
	case map[string]any:
		for k, x := range v {
			if k != "bos_token" && k != "eos_token" {
				v[k] = evilNames(x)
			}
		}
	}
	return v
}

// TestNothingUntrustedIsTrusted puts control-looking text into every place of a conversation that others write: it must
// never come out in a trusted piece, for any template.
func TestNothingUntrustedIsTrusted(t *testing.T) {
	ref := readReference(t)
	shown := 0
	for name := range ref.Renders {
		tmpl := readTemplate(t, name)
		for kind, data := range ref.Cases {
			for _, all := range []bool{false, true} {
				var v any
				if err := json.Unmarshal(data, &v); err != nil {
					t.Fatal(err)
				}
				n := 0
				if all {
					v = evilNames(v)
				} else {
					v = poison(v, "", &n)
				}
				bad, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				for _, render := range []func(Conversation) ([]tokenizer.Piece, error){tmpl.Render, tmpl.RenderFolded} {
					pieces, err := render(parse(t, bad))
					if err != nil {
						continue
					}
					for _, p := range pieces {
						found := strings.Contains(strings.ToLower(p.Text), "zqx")
						if found && p.Trusted {
							t.Errorf("%s, %s: trusted piece %q", name, kind, p.Text)
						}
						if found {
							shown++
						}
					}
				}
			}
		}
	}
	if shown < 1000 {
		t.Errorf("the text came out only %d times: the test is blind", shown)
	}
}

func TestGoldenCaps(t *testing.T) {
	want := map[string]Caps{
		"google-gemma-2-2b-it":             {},
		"Qwen-Qwen2.5-7B-Instruct":         {System: true, Tools: true, ToolCalls: true, ToolResults: true},
		"Qwen-Qwen3-0.6B":                  {System: true, Tools: true, ToolCalls: true, ToolResults: true, Thinking: "enable_thinking"},
		"meta-llama-Llama-3.2-3B-Instruct": {System: true, Tools: true, ToolCalls: true, ToolResults: true, Clock: true},
		"deepseek-ai-DeepSeek-V4":          {System: true, Tools: true, ToolCalls: true, ToolResults: true, Thinking: "enable_thinking"},
		"microsoft-Phi-3.5-mini-instruct":  {System: true},
		"HuggingFaceTB-SmolLM3-3B":         {System: true, Thinking: "enable_thinking", ToolResults: true},
	}
	for name, caps := range want {
		if got := readTemplate(t, name).Caps(); got != caps {
			t.Errorf("%s: got %+v, want %+v", name, got, caps)
		}
	}
}

func TestGoldenNames(t *testing.T) {
	ref := readReference(t)
	for name, cases := range ref.Renders {
		var kinds []string
		for k := range cases {
			kinds = append(kinds, k)
		}
		for k := range ref.Cases {
			if !slices.Contains(kinds, k) {
				t.Errorf("%s: no reference for case %s", name, k)
			}
		}
	}
}

// BenchmarkTemplates parses and renders the conversation with a tool call.
func BenchmarkTemplates(b *testing.B) {
	for _, name := range []string{"Qwen-Qwen3-0.6B", "google-gemma-4-31B-it", "meta-llama-Llama-3.2-3B-Instruct"} {
		ref := readReference(b)
		source, err := os.ReadFile(goldentest.Path(b, "templates", name+".jinja"))
		if err != nil {
			b.Fatal(err)
		}
		c := parse(b, ref.Cases["toolcall"])
		b.Run(name+"/parse", func(b *testing.B) {
			for b.Loop() {
				if _, err := jinja.Parse(string(source)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/render", func(b *testing.B) {
			tmpl := readTemplate(b, name)
			for b.Loop() {
				if _, err := tmpl.Render(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
