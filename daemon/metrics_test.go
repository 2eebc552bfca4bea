package daemon_test

import (
	"encoding/json"
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
	types := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)`).FindAllStringSubmatch(text, -1) {
		types[m[1]] = m[2]
		if !strings.Contains(string(list), "`"+m[1]) {
			t.Errorf("%s is not in doc/metrics.md", m[1])
		}
	}
	checkDashboard(t, types)
}

// checkDashboard holds the dashboard against the metrics that there are.
func checkDashboard(t *testing.T, types map[string]string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(goldentest.Root(t), "daemon", "doc", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		SchemaVersion int
		Templating    struct{ List []struct{ Name string } }
		Panels        []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil || board.SchemaVersion == 0 || len(board.Panels) == 0 || len(board.Templating.List) != 2 {
		t.Fatalf("%+v, %v", board, err)
	}
	used, ids := map[string]bool{}, map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %q: id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`siskin_\w+`).FindAllString(target.Expr, -1) {
				base := name
				for _, end := range []string{"_bucket", "_sum", "_count"} {
					if cut, ok := strings.CutSuffix(name, end); ok && types[cut] == "histogram" {
						base = cut
					}
				}
				if types[base] == "" {
					t.Errorf("panel %q: there is no metric %s", p.Title, name)
				}
				used[base] = true
				if counts := types[base] != "gauge"; counts != regexp.MustCompile(`(rate|increase)\(`+name).MatchString(target.Expr) {
					t.Errorf("panel %q: %s is a %s: %s", p.Title, name, types[base], target.Expr)
				}
			}
		}
	}
	for name := range types {
		if !used[name] && name != "siskin_goroutines" && name != "siskin_queue_bytes" && name != "siskin_memory_group_limit_bytes" && name != "siskin_memory_streamed_bytes" {
			t.Errorf("%s is on no panel", name)
		}
	}
}
