package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"siskin/model/goldentest"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

const mebibyte = 1 << 20

// memoryBench says whether the measurements of memory are asked for: they take minutes. "make bench-memory" asks.
func memoryBench(t *testing.T) {
	t.Helper()
	if os.Getenv("SISKIN_TEST_MEMORY") == "" {
		t.Skip("SKIPPED: a measurement; make bench-memory runs it")
	}
}

// boxed is a daemon with the default model in a control group, and a client of its broker.
type boxed struct {
	t       *testing.T
	group   *cgroup
	process *exec.Cmd
	client  *mqtttest.Client
	answers map[string]message.Answer
	status  message.Status
	log     *tail
	anon    atomic.Int64 // the most seen
	ended   chan struct{}
}

// tail keeps what a process says.
type tail struct{ text atomic.Pointer[string] }

func (l *tail) follow(r io.Reader) {
	all := ""
	l.text.Store(&all)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		next := *l.text.Load() + lines.Text() + "\n"
		l.text.Store(&next)
	}
}

// place copies program and model into a folder of their own, whose pages nobody else has in memory.
func place(t *testing.T, packed bool) (bin, model string) {
	t.Helper()
	bin = program(t)
	model = filepath.Join(t.TempDir(), "model.gguf")
	data, err := os.ReadFile(goldentest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(model, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if packed {
		if out, err := exec.Command(bin, "model", "pack", model).CombinedOutput(); err != nil {
			t.Fatalf("pack: %v\n%s", err, out)
		}
	}
	return bin, model
}

// files of a folder.
func files(t *testing.T, folder string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, filepath.Join(folder, e.Name()))
	}
	return out
}

// startBoxed starts a daemon inside a group of limit bytes, its budget, and waits until it is online. It does not guess ahead: how
// many guesses are right depends on the text, which another format of keys and values changes, and so would the speed.
func startBoxed(t *testing.T, bin, model string, limit int64, settings string) *boxed {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broker := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(filepath.Dir(bin), "state")
	path := file(t, "siskin.toml", "device = \"box\"\n[mqtt.embedded]\nenabled = true\nlisten = "+strconv.Quote(broker)+"\n[daemon]\nstate = "+
		strconv.Quote(state)+"\n"+settings+"\n[model]\npath = "+strconv.Quote(model)+"\nspeculate = \"off\"\n")
	cold(t, append(files(t, filepath.Dir(model)), bin)...)
	b := &boxed{t: t, group: newCgroup(t, limit), answers: map[string]message.Answer{}, log: &tail{}, ended: make(chan struct{})}
	b.process = b.group.command(bin, "run", "--config", path)
	stderr, err := b.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.process.Start(); err != nil {
		t.Fatal(err)
	}
	go b.log.follow(stderr)
	go b.watch()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", broker); err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("no daemon:\n%s", b.said())
		}
	}
	b.client = mqtttest.Dial(t, broker, mqtttest.ClientOptions{ID: "bench"})
	b.client.Subscribe("siskin/box/+", 1)
	b.client.Subscribe("siskin/box/answer/+", 1)
	b.until("online", func() bool { return b.status.State == message.Online })
	return b
}

func (b *boxed) said() string {
	if text := b.log.text.Load(); text != nil {
		return *text
	}
	return ""
}

// watch samples the anonymous memory until the process has ended.
func (b *boxed) watch() {
	for {
		select {
		case <-b.ended:
			return
		case <-time.After(20 * time.Millisecond):
			b.anon.Store(max(b.anon.Load(), anonymous(b.process.Process.Pid)))
		}
	}
}

// anonymous is the RssAnon of a process, 0 if it is gone.
func anonymous(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

func (b *boxed) until(what string, ok func() bool) {
	b.t.Helper()
	for limit := time.Now().Add(80 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		for _, m := range b.client.Unread() {
			switch kind, id, _ := strings.Cut(strings.TrimPrefix(m.Topic, "siskin/box/"), "/"); kind {
			case "status":
				b.status = message.Status{}
				if err := json.Unmarshal([]byte(m.Payload), &b.status); err != nil {
					b.t.Fatal(err)
				}
			case "answer":
				a, err := message.ParseAnswer([]byte(m.Payload))
				if err != nil {
					b.t.Fatal(err)
				}
				b.answers[id] = a
			}
		}
		if time.Now().After(limit) || b.group.kills() > 0 {
			b.t.Fatalf("still waiting: %s; %d answers, %d kills\n%s", what, len(b.answers), b.group.kills(), b.said())
		}
	}
}

func (b *boxed) send(r message.Request) {
	b.t.Helper()
	payload, err := r.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Publish("siskin/box/prompt", 1, false, string(payload))
}

func (b *boxed) ask(r message.Request) message.Answer {
	b.t.Helper()
	b.send(r)
	b.until("answer "+r.ID, func() bool { _, ok := b.answers[r.ID]; return ok })
	return b.answers[r.ID]
}

// stop ends the daemon, which must then have lived until now.
func (b *boxed) stop() {
	b.t.Helper()
	b.client.Cut()
	if err := b.process.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Errorf("the daemon is gone: %v\n%s", err, b.said())
	}
	if err := b.process.Wait(); err != nil {
		b.t.Errorf("daemon: %v\n%s", err, b.said())
	}
	close(b.ended)
	if n := b.group.kills(); n > 0 {
		b.t.Errorf("%d kills", n)
	}
}

// speeds of a workload.
type speeds struct {
	decode, prefill float64 // tok/s
	longest         int     // tokens of the longest conversation
}

// work is a chat that fills the context, then mixed prompts one after the other.
func (b *boxed) work(prompts int) speeds {
	b.t.Helper()
	var answered, read, decodeMs, prefillMs float64
	var s speeds
	count := func(a message.Answer) {
		if a.Status != message.OK {
			b.t.Fatalf("answer %+v\n%s", a, b.said())
		}
		answered += float64(a.Usage.CompletionTokens)
		read += float64(a.Usage.PromptTokens - a.Usage.CachedTokens)
		decodeMs, prefillMs = decodeMs+float64(a.Timing.DecodeMs), prefillMs+float64(a.Timing.PrefillMs)
		s.longest = max(s.longest, a.Usage.PromptTokens+a.Usage.CompletionTokens)
	}
	greedy := new(float32)
	for i, before := 0, -1; s.longest > before && i < 40; i++ {
		before = s.longest
		count(b.ask(message.Request{
			ID: fmt.Sprint("chat-", i), Session: "long", MaxTokens: 160, Temperature: greedy,
			Prompt: fmt.Sprint("Tell me part ", i, " of a long story about a lighthouse, in great detail."),
		}))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range prompts {
		count(b.ask(message.Request{
			ID: fmt.Sprint("mixed-", i), MaxTokens: 8 + rng.IntN(40), Temperature: greedy, Prompt: mixedPrompt(rng),
		}))
	}
	s.decode, s.prefill = answered/decodeMs*1000, read/max(prefillMs, 1)*1000
	return s
}

// mixedPrompt is some words, few or many.
func mixedPrompt(rng *rand.Rand) string {
	words := strings.Fields("the lamp in kitchen is warm why does water boil at one hundred degrees and what of river stone bread")
	var b strings.Builder
	for range 3 + rng.IntN(1+rng.IntN(120)) {
		b.WriteString(words[rng.IntN(len(words))] + " ")
	}
	return b.String()
}
