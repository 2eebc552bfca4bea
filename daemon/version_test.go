package daemon_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"testing"

	"siskin/daemon"
	"siskin/mqtt"
	"siskin/mqtt/mqtttest"
)

// rr asks with mosquitto's own client for requests and responses of MQTT 5, and returns what it prints.
func rr(t *testing.T, addr string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	args = append([]string{"-h", host, "-p", port, "-V", "5", "-W", "30", "-F", "%D|%t|%p"}, args...)
	out, err := exec.CommandContext(t.Context(), mqtttest.Tool(t, "mosquitto_rr"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("mosquitto_rr: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// An asker that speaks MQTT 5 says where the answer goes and what comes back with it beside the payload: for text and JSON, for
// answers and refusals, with and without a journal, and with a daemon that is told to speak it as well.
func TestResponseTopic(t *testing.T) {
	for _, journal := range []string{"", t.TempDir()} {
		mqtttest.Each(t, func(t *testing.T, broker mqtttest.Broker) {
			c := tinyConfig(t, broker.Addr())
			c.MQTT.Protocol, c.MQTT.ReplyPrefixes = mqtt.Protocol5, []string{"apps/"}

			o := daemon.Options{Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), JournalFolder: journal}
			_, stop := startWith(t, c, o)
			defer stop()
			u := newUser(t, broker.Addr())
			defer u.Cut()
			for _, tt := range []struct{ topic, payload, reply, status string }{
				{"prompt/text", "th", "apps/1", "ok"},
				{"prompt", `{"prompt":"th","max_tokens":3}`, "apps/2", "ok"},
				{"prompt", `{"prompt":7}`, "apps/3", "error"},
			} {
				got := rr(t, broker.Addr(), "-t", "siskin/"+device+"/"+tt.topic, "-m", tt.payload, "-q", "1", "-e", tt.reply, "-D", "publish", "correlation-data", "no 7")
				parts := strings.SplitN(got, "|", 3)
				if len(parts) != 3 || parts[0] != "no 7" || parts[1] != tt.reply {
					t.Errorf("%s: got %q", tt.payload, got)
					continue
				}
				var a struct{ Status string }
				if err := json.Unmarshal([]byte(parts[2]), &a); err != nil || a.Status != tt.status {
					t.Errorf("%s: %v, %+v", tt.payload, err, a)
				}
			}
		})
	}
}
