package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"siskin/mqtt/mqtttest"
)

// exposed runs the program with everything switched on that listens or writes, under a umask that forbids nothing, asks it something,
// and returns its process and the folder of its files.
func exposed(t *testing.T) (pid int, dir string) {
	t.Helper()
	dir = t.TempDir()
	broker := freeAddress(t)
	settings := file(t, "siskin.toml", strings.Join([]string{
		`device = "kitchen"`, "[model]", "path = " + strconv.Quote(tinyModel(t)), "context = 256", "pack_dir = " + strconv.Quote(filepath.Join(dir, "cache")),
		"[daemon]", "state = " + strconv.Quote(filepath.Join(dir, "state")), "[journal]", "dir = " + strconv.Quote(filepath.Join(dir, "journal")),
		"[homeassistant]", "enabled = true", "[hermes]", "enabled = true", "[metrics]", "listen = " + strconv.Quote(freeAddress(t)),
		"[mqtt.embedded]", "enabled = true", "persistence = true", "listen = " + strconv.Quote(broker),
	}, "\n")+"\n")
	c := exec.Command("sh", "-c", `umask 0; exec "$0" "$@"`, program(t), "run", "--config", settings)
	var log bytes.Buffer
	c.Stderr = &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	newClient(t, broker, "client").ask(t.Context(), []string{"q"}, 1)
	u := mqtttest.Dial(t, broker, mqtttest.ClientOptions{ID: "u"})
	u.Publish("kept", 1, true, "x") // for the broker's file
	u.Cut()
	return c.Process.Pid, dir
}

// Nobody but the user of the daemon reads what it writes: prompts and answers are in it.
func TestFileModes(t *testing.T) {
	_, dir := exposed(t)
	time.Sleep(300 * time.Millisecond) // for the packed file and the tuning, in the background
	count := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		count++
		// A copy of a model is no secret: it may be read by others, and written by none.
		if forbidden := os.FileMode(0o077); info.Mode().Perm()&forbidden != 0 && !strings.HasPrefix(path, filepath.Join(dir, "cache")) || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || count < 4 {
		t.Errorf("%d files, %v", count, err)
	}
}

// listening matches a line of /proc/net/tcp: the local address, and the inode of a socket that listens (proc_net_tcp; 0A is LISTEN).
var listening = regexp.MustCompile(`(?m)^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A\s+(?:\S+\s+){5}(\d+)`)

// Without a word in the configuration nothing listens but on this machine.
func TestListensOnLoopback(t *testing.T) {
	pid, _ := exposed(t)
	sockets := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				sockets[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	found := 0
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // no IPv6 here
		}
		for _, m := range listening.FindAllStringSubmatch(string(text), -1) {
			if !sockets[m[3]] {
				continue
			}
			found++
			// In the order of this machine's bytes: 127.0.0.1, and ::1 or ::ffff:127.0.0.1.
			if a := m[1]; a != "0100007F" && a != "00000000000000000000000001000000" && a != "0000000000000000FFFF00000100007F" {
				t.Errorf("%s: it listens on %s:%s", table, m[1], m[2])
			}
		}
	}
	if found != 2 { // the broker and the metrics
		t.Errorf("%d sockets listen, want 2", found)
	}
}

// Names that come over MQTT lead nowhere but into their folders.
func TestNamesStayInFolders(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	dir := t.TempDir()
	model, err := os.ReadFile(tinyModel(t))
	if err != nil {
		t.Fatal(err)
	}
	models := filepath.Join(dir, "models")
	for _, path := range []string{filepath.Join(models, "tiny.gguf"), filepath.Join(dir, "outside.gguf"), filepath.Join(models, "adapters", "x")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, model, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings := file(t, "siskin.toml", strings.Join([]string{
		`device = "kitchen"`, "[model]", "path = " + strconv.Quote(filepath.Join(models, "tiny.gguf")), "context = 256", "tune = false", `pack = "off"`,
		"[daemon]", "state = " + strconv.Quote(filepath.Join(dir, "state")), "[journal]", "dir = " + strconv.Quote(filepath.Join(dir, "journal")),
		"[mqtt]", "broker = " + strconv.Quote("tcp://"+broker.Addr()),
	}, "\n")+"\n")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	k := &kitchen{t: t, bin: program(t), config: settings, log: log}
	k.start()
	defer func() { k.kill(syscall.SIGKILL) }()
	a := newClient(t, broker.Addr(), "client")
	a.ask(t.Context(), []string{"before"}, 1)
	u := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: "u"})
	defer u.Cut()
	u.Subscribe("siskin/kitchen/answer/+", 1)
	for i, name := range []string{"../outside", "../outside.gguf", filepath.Join(dir, "outside"), "adapters/x", "..", ".", "/etc/passwd", "a\x00b", strings.Repeat("a", 5000)} {
		u.Publish("siskin/kitchen/model/set", 1, false, name)
		u.Publish("siskin/kitchen/adapter/set", 1, false, name)
		id := fmt.Sprint("n", i)
		u.Publish("siskin/kitchen/prompt", 1, false, fmt.Sprintf(`{"id":%q,"prompt":"x","max_tokens":2,"adapters":[{"name":%q}]}`, id, name))
		answer := u.Next()
		if !strings.Contains(answer.Payload, `"status":"error"`) || strings.Contains(answer.Payload, dir) {
			t.Errorf("%.40q: %s", name, answer.Payload)
		}
	}
	a.ask(t.Context(), []string{"after"}, 1)
	for text := range a.texts["after"] {
		if !strings.Contains(text, `"model":"tiny"`) || !strings.Contains(text, `"status":"ok"`) {
			t.Errorf("the model was changed: %s", text)
		}
	}
}
