package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"siskin/model/goldentest"
	"siskin/mqtt/mqtttest"
)

// maxAnonymousBytes is the promise for the running daemon with the default model and a context of 2,048 tokens.
const maxAnonymousBytes = 150 << 20

// program builds the real binary once per test.
func program(t *testing.T) string {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir()) // of the daemons that the test starts
	path := filepath.Join(t.TempDir(), "siskin")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// rssAnon reads the anonymous resident memory of a process (proc(5), RssAnon).
func rssAnon(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatal("no RssAnon in /proc/PID/status")
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// The real program with the real model and a real mosquitto: it starts, answers, keeps a conversation until the context is
// full within its memory, reloads, and stops with exit code 0.
func TestRunningDaemon(t *testing.T) {
	model, broker, bin := goldentest.Model(t), mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{}), program(t)
	settings := "device = \"kitchen\"\n[model]\npath = " + strconv.Quote(model) + "\ncontext = 2048\npack = \"off\"\n[mqtt]\nbroker = \"tcp://" + broker.Addr() +
		"\"\n[log]\nlevel = \"info\"\n[daemon]\nstate = " + strconv.Quote(filepath.Join(t.TempDir(), "state")) + "\n"
	path := file(t, "siskin.toml", settings)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	daemon := exec.CommandContext(ctx, bin, "run", "--config", path)
	stderr, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	log := make(chan string, 1000)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log <- lines.Text()
		}
		close(log)
	}()
	ask := func(args ...string) string {
		t.Helper()
		c := exec.CommandContext(ctx, bin, append([]string{"ask", "--broker", "tcp://" + broker.Addr(), "--temperature", "0"}, args...)...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("ask %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if got := ask("What is the boiling point of water in Celsius?"); !strings.Contains(got, "100") {
		t.Errorf("answer: %q, want 100 in it", got)
	}
	for i := range 5 {
		ask("--session", "long", "--max-tokens", "400", fmt.Sprint("Tell me a long story, part ", i))
	}
	anon := rssAnon(t, daemon.Process.Pid)
	t.Logf("RssAnon %.1f MB after a conversation that filled the context of 2,048 tokens (at most %d MB)", float64(anon)/(1<<20), maxAnonymousBytes>>20)
	if anon > maxAnonymousBytes {
		t.Errorf("RssAnon is %d bytes, want at most %d", anon, maxAnonymousBytes)
	}
	if err := os.WriteFile(path, []byte(settings+"[generate]\nmax_tokens = 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	signalAndAwait(t, daemon, syscall.SIGHUP, log, "configuration reloaded")
	if got := strings.Fields(ask("Write a story.")); len(got) > 4 {
		t.Errorf("after the reload to two tokens: %q", got)
	}
	signalAndAwait(t, daemon, syscall.SIGTERM, log, "stopping")
	if err := daemon.Wait(); err != nil {
		t.Errorf("daemon: %v", err)
	}
}

// signalAndAwait sends a signal and waits for a line of the log.
func signalAndAwait(t *testing.T, c *exec.Cmd, sig os.Signal, log <-chan string, want string) {
	t.Helper()
	if err := c.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	timeout := time.After(10 * time.Second)
	for {
		select {
		case line, ok := <-log:
			if !ok {
				t.Fatalf("the daemon ended without %q in its log", want)
			}
			if strings.Contains(line, want) {
				return
			}
		case <-timeout:
			t.Fatalf("%q is not in the log", want)
		}
	}
}

// The demo is the first thing that people see: one command, one answer, and how to go on.
func TestDemo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	code, out, stderr := cli(t, "", "demo", "--model", goldentest.Model(t), "--listen", "127.0.0.1:0", "--once")
	if code != 0 || !strings.Contains(out, "is ready after") || !strings.Contains(out, "100") {
		t.Errorf("exit code %d, %q, %s", code, out, stderr)
	}
}

// A chat keeps the conversation over its turns; an empty line ends it.
func TestChat(t *testing.T) {
	broker := mqtttest.StartEmbedded(t)
	settings := file(t, "siskin.toml", "device = \"kitchen\"\n[model]\npath = "+strconv.Quote(tinyModel(t))+"\ncontext = 256\n[mqtt]\nbroker = \"tcp://"+broker.Addr()+"\"\n[daemon]\nstate = "+strconv.Quote(filepath.Join(t.TempDir(), "state"))+"\n")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"run", "--config", settings}, &streams{strings.NewReader(""), os.Stderr, os.Stderr})
	}()
	code, out, stderr := cli(t, "hello\nand again\n\n", "chat", "--broker", "tcp://"+broker.Addr(), "--max-tokens", "5", "--seed", "1")
	if code != 0 || strings.Count(stderr, "> ") != 3 {
		t.Errorf("exit code %d, %q, %q", code, out, stderr)
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("daemon: exit code %d", code)
	}
}
