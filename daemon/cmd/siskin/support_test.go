package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"siskin/mqtt/mqtttest"
)

// unpack reads a bundle.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(h.Name, "siskin-support/")] = string(data)
	}
}

// A bundle of a daemon that has had a conversation has everything that helps in it, and no secret and no text, wherever they were.
func TestSupport(t *testing.T) {
	const password = "correct horse battery"
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	dir, metrics := t.TempDir(), freeAddress(t)
	secret, key := file(t, "secret", password+"\n"), file(t, "users", "ada:pbkdf2-sha256$1$c2FsdHNhbHQ=$aGFzaGhhc2g=\n")
	settings := file(t, "siskin.toml", strings.Join([]string{
		`# token = "hf_planted"`, `device = "kitchen"`, "[model]", "path = " + strconv.Quote(tinyModel(t)), "context = 256", "tune = false", `pack = "off"`,
		"[daemon]", "state = " + strconv.Quote(filepath.Join(dir, "state")), "[journal]", "dir = " + strconv.Quote(filepath.Join(dir, "journal")),
		"[metrics]", "listen = " + strconv.Quote(metrics), "[mqtt]", "broker = " + strconv.Quote("tcp://"+broker.Addr()),
		`username = "ada"`, "password_file = " + strconv.Quote(secret), "[mqtt.embedded]", "users_file = " + strconv.Quote(key),
	}, "\n")+"\n")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	k := &kitchen{t: t, bin: program(t), config: settings, log: log}
	k.start()
	defer func() { k.kill(syscall.SIGKILL) }()
	newClient(t, broker.Addr(), "client").ask(t.Context(), []string{"question"}, 1)

	planted := "connecting to tcp://ada:inurl@broker, " + password + ", API_TOKEN=x\npassword = hunter22\n-----BEGIN PRIVATE KEY-----\nMIIplanted\n-----END PRIVATE KEY-----\nlast line\n"
	output := filepath.Join(t.TempDir(), "b.tar.gz")
	code, out, stderr := cli(t, planted, "support", "--config", settings, "--log", "-", "-o", output)
	if code != 0 {
		t.Fatalf("%d: %s", code, stderr)
	}
	bundle := unpack(t, output)
	for name, want := range map[string]string{
		"version.txt": "siskin", "machine.txt": "cores", "doctor.txt": "broker", "config.toml": `username = "ada"`, "metrics.txt": "siskin_requests_total",
		"journal.txt": "request:1", "log.txt": "last line",
	} {
		if !strings.Contains(bundle[name], want) || !strings.Contains(out, name) {
			t.Errorf("%s without %q: %s", name, want, bundle[name])
		}
	}
	for name, text := range bundle {
		for _, bad := range []string{password, "inurl", "hunter22", "MIIplanted", "aGFzaGhhc2g", "hf_planted", "hello question"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q in it", name, bad)
			}
		}
	}
	if info, err := os.Stat(output); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if code, _, stderr := cli(t, "", "support", "--config", settings, "-o", output); code != 1 || !strings.Contains(stderr, "exists") {
		t.Errorf("over a file: %d, %s", code, stderr)
	}
	// Nothing runs any more: what can be said is said.
	k.kill(syscall.SIGTERM)
	code, _, stderr = cli(t, "", "support", "--config", settings, "-o", output+"2", "--log", "/nowhere")
	if bundle := unpack(t, output+"2"); code != 0 || !strings.Contains(bundle["metrics.txt"], "refused") || !strings.Contains(bundle["log.txt"], "/nowhere") {
		t.Errorf("%d, %s: %v", code, stderr, bundle)
	}
}
