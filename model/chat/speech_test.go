package chat

import (
	"fmt"
	"strings"
	"testing"
)

// Texts of models of all families, whole and in pieces of every size: what is shown, thought and called is the same.
func TestSpeech(t *testing.T) {
	const weather = `weather {"city":"Oslo"}`
	for _, c := range []struct {
		text, shown, thought, calls string
		plain, thinking             bool // without tools; the prompt has begun the thought
	}{
		{text: "Hello.", shown: "Hello."},
		{text: " a < b and <tool", shown: " a < b and <tool"},
		{text: "<think>\nhm\n</think>\n\nYes.", shown: "Yes.", thought: "hm"},
		{text: "  <think>never ends", thought: "never ends"},
		{text: "so be it</think>\nYes.", shown: "Yes.", thought: "so be it", thinking: true},
		{text: "I <think> so", shown: "I <think> so"},
		{text: "<thin ice", shown: "<thin ice"},
		{text: "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\":\"Oslo\"}}\n</tool_call>", calls: weather},
		{text: "Let me see.\n<tool_call>{\"name\": \"a\"}</tool_call>\n<tool_call>{\"name\": \"b\", \"arguments\": \"{\\\"x\\\":1}\"}</tool_call>", shown: "Let me see.", calls: `a {}; b {"x":1}`},
		{text: "<think>which?</think>\n\n<tool_call>{\"name\": \"a\"}</tool_call>Done.", shown: "Done.", thought: "which?", calls: "a {}"},
		{text: "<tool_call>not json</tool_call> and on", shown: "<tool_call>not json</tool_call> and on"},
		{text: "<tool_call>{\"name\": \"cut\", \"argu", shown: "<tool_call>{\"name\": \"cut\", \"argu"},
		{text: "<tool_call>{\"name\": \"a\"}</tool_call>", shown: "<tool_call>{\"name\": \"a\"}</tool_call>", plain: true},
		{text: `[TOOL_CALLS][{"name": "weather", "arguments": {"city":"Oslo"}}]`, calls: weather},
		{text: `[TOOL_CALLS]weather[ARGS]{"city":"Oslo"}`, calls: weather},
		{text: `<|tool_call|>[{"name": "weather", "arguments": {"city":"Oslo"}}]`, calls: weather},
		{text: `functools[{"name": "weather", "arguments": {"city":"Oslo"}}]`, calls: weather},
		{text: `{"name": "weather", "parameters": {"city":"Oslo"}}`, calls: weather},
		{text: `{"name": "a"}; {"type": "function", "function": {"name": "b", "arguments": {}}}`, calls: "a {}; b {}"},
		{text: `{"temperature": 3}`, shown: `{"temperature": 3}`},
		{text: `<|python_tag|>{"name": "weather", "parameters": {"city":"Oslo"}}`, calls: weather},
		{text: `<function=weather>{"city":"Oslo"}</function>`, calls: weather},
		{text: `<|tool_call_start|>[weather(city="Oslo")]<|tool_call_end|>Checking.`, shown: "Checking.", calls: weather},
		{
			text:  `<|tool_call_start|>[f(a='it\'s', b=-1.5, c=[1, "x"], d={"k": None}, e=True), g()]<|tool_call_end|>`,
			calls: `f {"a":"it's","b":-1.5,"c":[1,"x"],"d":{"k":null},"e":true}; g {}`,
		},
		{text: `<|tool_call_start|>[f(a=)]<|tool_call_end|>`, shown: `<|tool_call_start|>[f(a=)]<|tool_call_end|>`},
		{
			text:  "<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
			calls: `weather {"city":"Oslo","days":3}`,
		},
	} {
		for size := 1; size <= len(c.text); size++ {
			s := NewSpeech(!c.plain, c.thinking)
			var shown strings.Builder
			for rest := c.text; rest != ""; {
				n := min(size, len(rest))
				shown.WriteString(s.Add(rest[:n]))
				rest = rest[n:]
			}
			shown.WriteString(s.Flush())
			var calls []string
			for _, call := range s.Calls {
				calls = append(calls, fmt.Sprintf("%s %s", call.Name, call.Arguments))
			}
			if got := strings.Join(calls, "; "); shown.String() != c.shown || s.Reasoning != c.thought || got != c.calls {
				t.Errorf("%q in pieces of %d: shown %q, thought %q, calls %q; want %q, %q, %q", c.text, size, shown.String(), s.Reasoning, got, c.shown, c.thought, c.calls)
				break
			}
		}
	}
}

// Whatever a model writes ends, and nothing of it is lost without tools.
func FuzzSpeech(f *testing.F) {
	for _, seed := range []string{"<think>a</think>b", "<tool_call>{}</tool_call>", "<|tool_call_start|>[f(a={'b':[1]})]", "{", "functools[", "[TOOL_CALLS]x[ARGS]"} {
		f.Add(seed, true, false)
	}
	f.Fuzz(func(t *testing.T, text string, tools, thinking bool) {
		s := NewSpeech(tools, thinking)
		shown := ""
		for _, r := range text {
			shown += s.Add(string(r))
		}
		shown += s.Flush()
		if !tools && !thinking && !strings.Contains(text, thoughtOpen) && shown != string([]rune(text)) {
			t.Errorf("%q became %q", text, shown)
		}
	})
}
