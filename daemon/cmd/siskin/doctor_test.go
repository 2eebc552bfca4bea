package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"siskin/model/modeltest"
	"siskin/model/quant"
	"siskin/mqtt/mqtttest"
)

// consultation runs the doctor and returns what it says of each thing.
func consultation(t *testing.T, settings string) (code int, found map[string]map[string]string) {
	t.Helper()
	code, out, stderr := cli(t, "", "doctor", "--json", "--config", settings)
	found = map[string]map[string]string{}
	for line := range strings.Lines(out) {
		var f map[string]string
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		found[f["what"]] = f
	}
	if len(found) != len(looks()) {
		t.Fatalf("%d findings, want %d: %s", len(found), len(looks()), stderr)
	}
	return code, found
}

// A healthy machine is healthy; each thing that is wrong is found, with what to do, and nothing else suffers by it.
func TestDoctor(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	dir := t.TempDir()
	settings := func(lines ...string) string {
		common := []string{
			`device = "kitchen"`, "[model]", "path = " + strconv.Quote(tinyModel(t)), "context = 256",
			"[daemon]", "state = " + strconv.Quote(filepath.Join(dir, "state")), "[journal]", "dir = " + strconv.Quote(filepath.Join(dir, "journal")),
			"[mqtt]", "broker = " + strconv.Quote("tcp://"+broker.Addr()),
		}
		return file(t, "siskin.toml", strings.Join(append(common, lines...), "\n")+"\n")
	}
	code, found := consultation(t, settings())
	for what, f := range found {
		if f["verdict"] == "warning" && (what == "storage" || what == "cpu" || what == "memory" || strings.Contains(f["found"], "to be safe")) {
			continue // the machine of the test may be slow
		}
		if f["verdict"] != "ok" || f["advice"] != "" {
			t.Errorf("healthy: %v", f)
		}
	}
	if code != 0 {
		t.Errorf("healthy: exit code %d", code)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".doctor-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	secret := file(t, "password", "p")
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	broken := file(t, "broken.gguf", "GGUF")
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ what, verdict, text, settings string }{
		{"broker", "bad", "refused", swap(t, settings(), "broker = ", `broker = "tcp://127.0.0.1:1"`)},
		{"secrets", "warning", "may be read by others", settings(`username = "u"`, "password_file = "+strconv.Quote(secret))},
		{"model", "bad", "broken.gguf", swap(t, settings(), "path = ", "path = "+strconv.Quote(broken))},
		{"journal", "bad", "not a directory", swap(t, settings(), "dir = ", "dir = "+strconv.Quote(filepath.Join(blocked, "journal")))},
		{"journal", "warning", "switched off", swap(t, settings(), "[journal]", "[journal]\nenabled = false")},
		{"memory", "warning", "available", settings("[memory]", `budget = "512GiB"`)},
	} {
		code, found := consultation(t, tt.settings)
		f := found[tt.what]
		if f["verdict"] != tt.verdict || !strings.Contains(f["found"], tt.text) || f["advice"] == "" {
			t.Errorf("%s: %v, want %s, %q", tt.what, f, tt.verdict, tt.text)
		}
		if want := map[string]int{"bad": 1, "warning": 0}[tt.verdict]; code != want {
			t.Errorf("%s: exit code %d, want %d", tt.what, code, want)
		}
	}
	code, out, stderr := cli(t, "", "doctor", "--config", settings())
	if code != 0 || !strings.Contains(out, "kernels") {
		t.Errorf("for people: %d, %s, %s", code, out, stderr)
	}
}

// swap replaces the line of a file that begins with prefix, in a copy.
func swap(t *testing.T, path, prefix, line string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], prefix) {
			lines[i] = line
			return file(t, "swapped.toml", strings.Join(lines, "\n"))
		}
	}
	t.Fatalf("no line %q in %s", prefix, text)
	return ""
}

// It runs beside a daemon without taking its place at the broker, and is done within seconds when nobody answers.
func TestDoctorBeside(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	path := file(t, "tiny.gguf", string(modeltest.Tiny{Seed: 3, Type: quant.Q8_0, Layers: 1, Context: 256}.File()))
	settings := file(t, "siskin.toml", strings.Join([]string{
		`device = "kitchen"`, "[model]", "path = " + strconv.Quote(path), "context = 256", "tune = false", `pack = "off"`,
		"[daemon]", "state = " + strconv.Quote(t.TempDir()), "[journal]", "dir = " + strconv.Quote(t.TempDir()),
		"[mqtt]", "broker = " + strconv.Quote("tcp://"+broker.Addr()),
	}, "\n"))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	k := &kitchen{t: t, bin: program(t), config: settings, log: log}
	k.start()
	defer func() { k.kill(9) }()
	watch := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "watch"})
	defer watch.Cut()
	watch.Subscribe("siskin/kitchen/status", 1)
	watch.Next()
	if code, found := consultation(t, settings); code != 0 {
		t.Errorf("beside a daemon: %v", found)
	}
	if text, err := os.ReadFile(log.Name()); err != nil || bytes.Contains(text, []byte("no connection")) {
		t.Errorf("the daemon was disturbed: %s, %v", text, err)
	}
	silent := mqtttest.NewProxy(t, broker.Addr())
	silent.Stall(mqtttest.Up, true)
	begun := time.Now()
	code, found := consultation(t, swap(t, settings, "broker = ", "broker = "+strconv.Quote("tcp://"+silent.Addr())))
	if took := time.Since(begun); code != 1 || took > brokerTime+5*time.Second {
		t.Errorf("a silent broker: exit code %d after %v: %v", code, took, found["broker"])
	}
}
