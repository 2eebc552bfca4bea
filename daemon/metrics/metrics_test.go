package metrics_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"siskin/daemon/metrics"
	"siskin/mqtt/message"
)

// parse reads the text exposition format by its own description: comments, then lines «name{labels} value». It checks that every
// metric has its type before its values, once, and that no line stands twice.
func parse(t *testing.T, text string) map[string]float64 {
	t.Helper()
	line := regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+\})? (\S+)$`)
	types, values := map[string]string{}, map[string]float64{}
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no end")
	}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if types[name] != "" {
				t.Errorf("the type of %s stands twice", name)
			}
			types[name] = kind
			continue
		}
		if strings.HasPrefix(lines.Text(), "# HELP ") {
			continue
		}
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			t.Errorf("%q is not a line of the format", lines.Text())
			continue
		}
		base := m[1]
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			if name, ok := strings.CutSuffix(m[1], end); ok && types[name] == "histogram" {
				base = name
			}
		}
		if types[base] == "" {
			t.Errorf("%s has no type", m[1])
		}
		if (types[base] == "counter") != strings.HasSuffix(base, "_total") {
			t.Errorf("%s is a %s", base, types[base])
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if _, twice := values[m[1]+m[2]]; err != nil || twice {
			t.Errorf("%q: %v, twice %v", lines.Text(), err, twice)
		}
		values[m[1]+m[2]] = v
	}
	return values
}

func TestCounters(t *testing.T) {
	m := metrics.New()
	m.Observe(&message.Answer{
		Status: message.OK, Code: message.CodeMaxTokens, Model: "m", Text: "secret words",
		Usage:  message.Usage{PromptTokens: 30, CachedTokens: 10, CompletionTokens: 100, DraftedTokens: 7, AcceptedTokens: 5},
		Timing: message.Timing{QueueMs: 1, PrefillMs: 40, DecodeMs: 1000},
	})
	m.Observe(&message.Answer{Status: message.OK, Model: "m", Timing: message.Timing{QueueMs: 700_000}})
	m.Observe(&message.Answer{Status: message.Overloaded, Code: message.CodeOverloaded})
	var text strings.Builder
	odd := []metrics.Label{{Name: "model", Value: "a\"b\\c\nd"}}
	if err := m.Write(&text, []metrics.Sample{{Name: "siskin_info", Kind: metrics.Gauge, Help: "One\nline.", Labels: odd, Value: 1}}); err != nil {
		t.Fatal(err)
	}
	got := parse(t, text.String())
	for name, want := range map[string]float64{
		`siskin_requests_total{status="ok",code="max_tokens"}`:         1,
		`siskin_requests_total{status="ok",code=""}`:                   1,
		`siskin_requests_total{status="overloaded",code="overloaded"}`: 1,
		`siskin_tokens_total{kind="prompt"}`:                           30,
		`siskin_tokens_total{kind="cached"}`:                           10,
		`siskin_tokens_total{kind="completion"}`:                       100,
		`siskin_tokens_total{kind="drafted"}`:                          7,
		`siskin_tokens_total{kind="accepted"}`:                         5,
		`siskin_queue_seconds_bucket{le="0.001"}`:                      1,
		`siskin_queue_seconds_bucket{le="300"}`:                        1,
		`siskin_queue_seconds_bucket{le="+Inf"}`:                       2,
		`siskin_queue_seconds_sum`:                                     700.001,
		`siskin_queue_seconds_count`:                                   2,
		`siskin_prefill_seconds_bucket{le="0.03"}`:                     1,
		`siskin_prefill_seconds_bucket{le="0.1"}`:                      2,
		`siskin_decode_token_seconds_bucket{le="0.008"}`:               0,
		`siskin_decode_token_seconds_bucket{le="0.016"}`:               1,
		`siskin_decode_token_seconds_count`:                            1,
		`siskin_info{model="a\"b\\c\nd"}`:                              1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	if strings.Contains(text.String(), "secret") {
		t.Error("text of an answer is in the metrics")
	}
}

// A server answers what it should, nothing else, and does not hang on those who keep it waiting.
func TestServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := metrics.Serve(l, metrics.New(), func() []metrics.Sample { return nil })
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	url := "http://" + s.Addr()
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/metrics/x": 404, "/debug/pprof/": 404} {
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != want {
			t.Errorf("%s: %d, %v", path, r.StatusCode, err)
		}
		if path == "/metrics" {
			parse(t, string(body))
			if ct := r.Header.Get("Content-Type"); ct != "text/plain; version=0.0.4; charset=utf-8" {
				t.Errorf("content type %q", ct)
			}
		}
		if err := r.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if r, err := http.Post(url+"/metrics", "text/plain", strings.NewReader("x")); err != nil || r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", r, err)
	}
	http.DefaultClient.CloseIdleConnections()
	// More silent connections than there may be: they are dropped after their time, and the next one is served.
	for range 6 {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	begun := time.Now()
	r, err := http.Get(url + "/metrics")
	if err != nil || r.StatusCode != 200 {
		t.Errorf("behind silent connections: %v, %v", r, err)
	}
	t.Logf("served behind six silent connections after %v", time.Since(begun).Round(time.Millisecond))
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
