package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"siskin/mqtt/mqtttest"
)

// divided is a daemon in two processes.
type divided struct {
	inference, messaging *kitchen
}

func startDivided(t *testing.T, more ...string) *divided {
	t.Helper()
	dir := t.TempDir()
	settings := file(t, "siskin.toml", strings.Join(append([]string{
		`device = "kitchen"`, "[model]", "path = " + strconv.Quote(tinyModel(t)), "context = 256", "tune = false", `pack = "off"`, "[generate]", "max_tokens = 6",
		"[daemon]", "state = " + strconv.Quote(filepath.Join(dir, "state")), "socket = " + strconv.Quote(filepath.Join(dir, "s")),
		"[journal]", "dir = " + strconv.Quote(filepath.Join(dir, "journal")),
	}, more...), "\n")+"\n")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	d := &divided{}
	for role, k := range map[string]**kitchen{"inference": &d.inference, "messaging": &d.messaging} {
		*k = &kitchen{t: t, bin: program(t), config: settings, log: log, args: []string{"--role", role}}
		(*k).start()
	}
	t.Cleanup(func() {
		d.inference.kill(syscall.SIGTERM)
		d.messaging.kill(syscall.SIGTERM)
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s", text[max(0, len(text)-4000):])
		}
		_ = log.Close()
	})
	return d
}

// noNetwork fails the test if the process has a socket of IP.
func noNetwork(t *testing.T, pid int) {
	t.Helper()
	sockets := map[string]bool{}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
			sockets[strings.Trim(to, "socket:[]")] = true
		}
	}
	if len(sockets) == 0 {
		t.Error("no socket at all")
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && sockets[f[9]] {
				t.Errorf("the worker has a socket of %s: %s", table, line)
			}
		}
	}
}

// A daemon in two processes answers as one, over a broker elsewhere and over its own; the one with the model has no network. Either may be
// killed again and again: every prompt has one answer.
func TestRoles(t *testing.T) {
	mosquitto := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Persistence: true})
	own := freeAddress(t)
	for name, c := range map[string]struct {
		addr  string
		lines []string
	}{
		"mosquitto": {mosquitto.Addr(), []string{"[mqtt]", "broker = " + strconv.Quote("tcp://"+mosquitto.Addr())}},
		"embedded":  {own, []string{"[mqtt.embedded]", "enabled = true", "listen = " + strconv.Quote(own)}},
	} {
		t.Run(name, func(t *testing.T) {
			d := startDivided(t, c.lines...)
			a := newClient(t, c.addr, "client"+name)
			a.ask(t.Context(), []string{"first"}, 1)
			noNetwork(t, d.inference.cmd.Process.Pid)
			var ids []string
			for i := range 40 {
				ids = append(ids, fmt.Sprintf("%s-%d", name, i))
			}
			done := make(chan struct{})
			go func() { a.ask(t.Context(), ids, 8); close(done) }()
			for i := 0; ; i++ {
				select {
				case <-done:
				case <-time.After(150 * time.Millisecond):
					if i < 8 {
						k := []*kitchen{d.inference, d.messaging}[i%2]
						k.kill(syscall.SIGKILL)
						k.start()
					}
					continue
				}
				break
			}
			check(t, []*client{a}, len(ids)+1)
		})
	}
}

// What a role cannot do is said in one sentence.
func TestRolesRefuse(t *testing.T) {
	settings := file(t, "siskin.toml", "[model]\npath = "+strconv.Quote(tinyModel(t))+"\n[mqtt]\nbroker = \"tcp://127.0.0.1:1\"\n[daemon]\nsocket = \"/nowhere/s\"\n")
	for role, want := range map[string]struct {
		code int
		text string
	}{
		"hardware":  {exitConfig, "reads no sensors"},
		"messaging": {exitFailed, "daemon.socket"},
		"cook":      {exitUsage, "cook"},
	} {
		out, err := exec.Command(program(t), "run", "--config", settings, "--role", role).CombinedOutput()
		if exitCode(err) != want.code || !strings.Contains(string(out), want.text) {
			t.Errorf("%s: %v, %s", role, err, out)
		}
	}
}
