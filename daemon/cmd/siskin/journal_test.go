package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"siskin/mqtt/mqtttest"
)

// TestJournalCommand: what a daemon that was killed leaves can be read, verified and compacted, and damage is found.
func TestJournalCommand(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	settings := durableConfig(t, broker.Addr())
	k := &kitchen{t: t, bin: program(t), config: settings, log: log}
	k.start()
	newClient(t, broker.Addr(), "client").ask(t.Context(), []string{"a", "b", "c"}, 1)
	data, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	parent, err := strconv.Unquote(regexp.MustCompile(`(?m)^dir = (.*)$`).FindStringSubmatch(string(data))[1])
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(parent, "kitchen")
	siskin := func(code int, args ...string) string {
		t.Helper()
		out, err := exec.Command(k.bin, append([]string{"journal"}, args...)...).CombinedOutput()
		if got := exitCode(err); got != code {
			t.Errorf("journal %v: exit code %d, want %d: %s", args, got, code, out)
		}
		return string(out)
	}
	if out := siskin(0, "inspect", folder); !strings.Contains(out, "request") || strings.Contains(out, "hello a") {
		t.Errorf("inspect: %s", out)
	}
	if out := siskin(1, "compact", folder); !strings.Contains(out, "stop the daemon") {
		t.Errorf("compact beside the daemon: %s", out)
	}
	k.kill(syscall.SIGKILL)
	if out := siskin(2, "verify", parent); !strings.Contains(out, folder) {
		t.Errorf("verify of the folder above: %s", out)
	}
	if out := siskin(0, "inspect", "--text", folder); !strings.Contains(out, "hello a") || !strings.Contains(out, "siskin/kitchen/answer/a") {
		t.Errorf("inspect --text: %s", out)
	}
	siskin(0, "verify", folder)
	siskin(0, "compact", folder)
	if out := siskin(0, "inspect", folder); strings.Count(out, "answer ") != 3 {
		t.Errorf("after compacting: %s", out)
	}
	segments, err := filepath.Glob(filepath.Join(folder, "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	segment, err := os.ReadFile(segments[len(segments)-1])
	if err != nil {
		t.Fatal(err)
	}
	segment[strings.Index(string(segment), `"id":"b"`)] ^= 1
	if err := os.WriteFile(segments[len(segments)-1], segment, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := siskin(1, "verify", folder); !strings.Contains(out, "damaged") {
		t.Errorf("verify: %s", out)
	}
}
