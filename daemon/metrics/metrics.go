// Package metrics counts answers and shows them, with what the daemon knows of itself, to a Prometheus server.
//
// The form is the text exposition format, version 0.0.4 (Prometheus documentation, «Exposition formats»); names follow its
// «Metric and label naming»: base units, counters end in _total. The list of all metrics is daemon/doc/metrics.md.
package metrics

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"siskin/mqtt/message"
)

// Kind is the type of a metric.
type Kind string

// The kinds. A gauge goes up and down, a counter only up until the daemon starts anew.
const (
	Gauge   Kind = "gauge"
	Counter Kind = "counter"
)

// Label is a name and a value, any text.
type Label struct{ Name, Value string }

// Sample is one value of a metric. Samples of the same name stand together, the first one's Kind and Help count.
type Sample struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []Label
	Value  float64
}

// histogram counts values by upper bounds; the last count is of what is above all.
type histogram struct {
	bounds []float64
	counts []uint64
	sum    float64
}

func newHistogram(bounds ...float64) histogram {
	return histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
}

func (h *histogram) observe(v float64) {
	i, _ := slices.BinarySearch(h.bounds, v)
	h.counts[i]++
	h.sum += v
}

// outcome is what requests are counted by.
type outcome struct {
	status message.Outcome
	code   message.Code
}

// Answers counts requests by how they end. It may be used by several goroutines. The zero value is not ready; see New.
type Answers struct {
	mu                                         sync.Mutex
	ended                                      map[outcome]uint64
	prompt, cached, written, drafted, accepted uint64 // tokens
	queue, prefill, first, decode, token       histogram
}

// New returns counters at zero.
func New() *Answers {
	return &Answers{
		ended: make(map[outcome]uint64),
		// From a request that meets an idle daemon to a board that is busy for minutes.
		queue:   newHistogram(0.001, 0.01, 0.1, 0.5, 1, 5, 15, 60, 300),
		prefill: newHistogram(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
		// A person notices 0.1 s, and leaves after 10 (Nielsen 1993, chapter 5).
		first:  newHistogram(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
		decode: newHistogram(0.1, 0.3, 1, 3, 10, 30, 100, 300),
		// A token takes 3 ms on a fast desktop and a second on the smallest boards.
		token: newHistogram(0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1),
	}
}

// Observe counts a request that has ended. What never reached the model has no times.
func (m *Answers) Observe(a *message.Answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[outcome{a.Status, a.Code}]++
	if a.Model == "" {
		return
	}
	u, t := &a.Usage, &a.Timing
	m.prompt += uint64(u.PromptTokens)
	m.cached += uint64(u.CachedTokens)
	m.written += uint64(u.CompletionTokens)
	m.drafted += uint64(u.DraftedTokens)
	m.accepted += uint64(u.AcceptedTokens)
	m.queue.observe(float64(t.QueueMs) / 1000)
	m.prefill.observe(float64(t.PrefillMs) / 1000)
	m.first.observe(float64(t.QueueMs+t.PrefillMs) / 1000)
	m.decode.observe(float64(t.DecodeMs) / 1000)
	if u.CompletionTokens > 0 {
		m.token.observe(float64(t.DecodeMs) / 1000 / float64(u.CompletionTokens))
	}
}

// Write writes the counters, and then others, to w.
func (m *Answers) Write(w io.Writer, others []Sample) error {
	out := bufio.NewWriter(w)
	m.write(out)
	name := ""
	for _, s := range others {
		if s.Name != name {
			name = s.Name
			head(out, s.Name, string(s.Kind), s.Help)
		}
		line(out, s.Name, s.Labels, s.Value)
	}
	return out.Flush()
}

func (m *Answers) write(out *bufio.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	head(out, "siskin_requests_total", string(Counter), "Requests that have ended, by status and code of their answer.")
	ended := slices.SortedFunc(maps.Keys(m.ended), func(a, b outcome) int {
		return strings.Compare(string(a.status)+" "+string(a.code), string(b.status)+" "+string(b.code))
	})
	for _, o := range ended {
		line(out, "siskin_requests_total", []Label{{"status", string(o.status)}, {"code", string(o.code)}}, float64(m.ended[o]))
	}
	head(out, "siskin_tokens_total", string(Counter),
		"Tokens: of prompts, of them those that were not computed again, written, guessed ahead, guessed rightly.")
	for _, t := range []struct {
		kind  string
		count uint64
	}{{"prompt", m.prompt}, {"cached", m.cached}, {"completion", m.written}, {"drafted", m.drafted}, {"accepted", m.accepted}} {
		line(out, "siskin_tokens_total", []Label{{"kind", t.kind}}, float64(t.count))
	}
	m.queue.write(out, "siskin_queue_seconds", "How long requests that reached the model had waited.")
	m.prefill.write(out, "siskin_prefill_seconds", "How long prompts were read.")
	m.first.write(out, "siskin_first_token_seconds", "How long an asker waited for the first token: in the queue, and while the prompt was read.")
	m.decode.write(out, "siskin_decode_seconds", "How long answers were written.")
	m.token.write(out, "siskin_decode_token_seconds", "How long a token took, on average over an answer.")
}

func (h *histogram) write(out *bufio.Writer, name, help string) {
	head(out, name, "histogram", help)
	total := uint64(0)
	for i, n := range h.counts {
		total += n
		bound := "+Inf"
		if i < len(h.bounds) {
			bound = number(h.bounds[i])
		}
		line(out, name+"_bucket", []Label{{"le", bound}}, float64(total))
	}
	line(out, name+"_sum", nil, h.sum)
	line(out, name+"_count", nil, float64(total))
}

// head writes what stands before the values of a metric. Errors of out are those of its Flush.
func head(out *bufio.Writer, name, kind, help string) {
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help), name, kind)
}

func line(out *bufio.Writer, name string, labels []Label, value float64) {
	fmt.Fprint(out, name)
	for i, l := range labels {
		before := ","
		if i == 0 {
			before = "{"
		}
		fmt.Fprintf(out, `%s%s="%s"`, before, l.Name, strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(l.Value))
	}
	if len(labels) > 0 {
		fmt.Fprint(out, "}")
	}
	fmt.Fprintf(out, " %s\n", number(value))
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
