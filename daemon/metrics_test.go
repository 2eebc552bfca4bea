package daemon_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"siskin/daemon"
	"siskin/model/goldentest"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// TestMetrics: a request over MQTT is counted, memory is there, and every metric stands in the list of the documentation.
func TestMetrics(t *testing.T) {
	broker := mqtttest.StartEmbedded(t)
	c := tinyConfig(t, broker.Addr())
	c.Metrics.Listen = "127.0.0.1:0"
	d, _ := startWith(t, c, daemon.Options{Root: os.DirFS("/"), JournalFolder: t.TempDir()})
	u := newUser(t, broker.Addr())
	defer u.Cut()
	u.prompt(message.Request{ID: "one", Prompt: "hello", Temperature: greedy(), MaxTokens: 5})
	a := u.answer("one")
	r, err := http.Get("http://" + d.Metrics() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(body)
	for _, want := range []string{
		`siskin_requests_total{status="` + string(a.Status) + `",code="` + string(a.Code) + `"} 1` + "\n",
		"siskin_tokens_total{kind=\"completion\"} 5\n", "siskin_mqtt_connected 1\n", "siskin_journal_bytes ", "siskin_queue_requests 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if regexp.MustCompile(`siskin_memory_(budget|planned|anonymous|file)_bytes 0\n`).MatchString(text) {
		t.Errorf("memory is not known:\n%s", text)
	}
	list, err := os.ReadFile(filepath.Join(goldentest.Root(t), "daemon", "doc", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(string(list), "`"+m[1]) {
			t.Errorf("%s is not in doc/metrics.md", m[1])
		}
	}
}
