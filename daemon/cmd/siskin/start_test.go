package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"siskin/model/goldentest"
	"siskin/mqtt/message"
)

// firstPrompt is 16 tokens of the default model in its template, the control tokens included.
var firstPrompt = []message.Message{{Role: "system", Content: "."}, {Role: "user", Content: "Hello"}}

// BenchmarkStart starts the real program with its own broker and reports medians: from the start of the process to READY
// at the service manager's socket, and from publishing a prompt of 16 tokens, the first one of the process, to the first
// piece of the answer. "make bench-start" runs it.
func BenchmarkStart(b *testing.B) {
	modelPath := goldentest.Model(b)
	dir := b.TempDir()
	bin := filepath.Join(dir, "siskin")
	b.Setenv("XDG_STATE_HOME", b.TempDir())
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	var ready, first, prefill []float64
	for b.Loop() {
		r, f, p := startOnce(b, bin, modelPath, dir)
		ready, first, prefill = append(ready, r), append(first, f), append(prefill, p)
	}
	for name, values := range map[string][]float64{"ready-ms": ready, "first-token-ms": first, "prefill-ms": prefill} {
		slices.Sort(values)
		b.ReportMetric(values[(len(values)-1)/2], name)
		b.ReportMetric(values[0], name+"-min")
	}
	b.ReportMetric(0, "ns/op") // of a whole life of the process: of no interest
}

// A daemon whose broker's socket is in the service manager's store stops when it is told to. It has once waited for one more
// connection, until the manager killed it.
func TestStopsUnderManager(t *testing.T) {
	begun := time.Now()
	startOnce(t, program(t), goldentest.Model(t), t.TempDir())
	t.Logf("built, started, asked and stopped in %v", time.Since(begun)) // startOnce allows a minute
}

// startOnce runs one daemon from start to stop and returns the three times in milliseconds.
func startOnce(b testing.TB, bin, modelPath, dir string) (ready, first, prefill float64) {
	b.Helper()
	// An address that was free a moment ago: the daemon does not tell which one it takes.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	broker := free.Addr().String()
	if err := free.Close(); err != nil {
		b.Fatal(err)
	}
	settings := filepath.Join(dir, "siskin.toml")
	text := "device = \"kitchen\"\n[model]\npath = " + strconv.Quote(modelPath) + "\ncontext = 2048\n[mqtt.embedded]\nenabled = true\nlisten = \"" + broker + "\"\n[log]\nlevel = \"warn\"\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(filepath.Join(dir, "notify"))
	defer manager.Close()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	daemon := exec.CommandContext(ctx, bin, "run", "--config", settings)
	daemon.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	daemon.Stderr = os.Stderr
	begun := time.Now()
	if err := daemon.Start(); err != nil {
		b.Fatal(err)
	}
	ready = awaitReady(b, manager, begun)
	first, prefill = firstToken(ctx, b, broker)
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	stopped := time.Now()
	if err := daemon.Wait(); err != nil {
		b.Fatal(err)
	}
	if took := time.Since(stopped); took > 10*time.Second {
		b.Errorf("it took %v to stop", took)
	}
	return ready, first, prefill
}

// awaitReady waits for READY=1 (sd_notify(3)) and returns the milliseconds since begun.
func awaitReady(b testing.TB, manager *net.UnixConn, begun time.Time) float64 {
	b.Helper()
	if err := manager.SetReadDeadline(begun.Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := manager.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			return milliseconds(time.Since(begun))
		}
	}
}

// firstToken asks the daemon and returns the milliseconds until the first piece of the answer, and those that the daemon
// says the prompt took.
func firstToken(ctx context.Context, b testing.TB, broker string) (first, prefill float64) {
	b.Helper()
	f := brokerFlags{Broker: "tcp://" + broker, Device: "kitchen", Timeout: time.Minute}
	a, err := f.dial(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer a.close() //nolint:errcheck // the daemon ends next
	greedy := float32(0)
	begun := time.Now()
	answer, err := a.ask(ctx, message.Request{Messages: firstPrompt, Stream: true, MaxTokens: 8, Temperature: &greedy}, func(string) {
		if first == 0 {
			first = milliseconds(time.Since(begun))
		}
	})
	if err != nil || answer.Status != message.OK || first == 0 {
		b.Fatalf("%v, %+v", err, answer)
	}
	if answer.Usage.PromptTokens != 16 || answer.Usage.CachedTokens != 0 {
		b.Fatalf("the prompt has %d tokens, %d of them cached; want 16 and none", answer.Usage.PromptTokens, answer.Usage.CachedTokens)
	}
	return first, float64(answer.Timing.PrefillMs)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
