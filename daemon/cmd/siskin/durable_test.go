package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"siskin/model/modeltest"
	"siskin/model/quant"
	"siskin/mqtt/mqtttest"
)

// durablePrompts is how many prompts the test of durability sends: SISKIN_TEST_PROMPTS, or few.
func durablePrompts(t testing.TB, few int) int {
	t.Helper()
	text := os.Getenv("SISKIN_TEST_PROMPTS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// durableConfig is a configuration whose model is random and fast, and never says the same twice.
func durableConfig(t *testing.T, broker string, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "tiny.gguf")
	if err := os.WriteFile(path, modeltest.Tiny{Seed: 11, Type: quant.Q4_1, Layers: 2, Context: 4096}.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := []string{
		`device = "kitchen"`, "[model]", "path = " + strconv.Quote(path), "context = 512", "threads = 1", "tune = false", `pack = "off"`,
		"[queue]", "max_requests = 1000", "[generate]", "max_tokens = 6",
		"[daemon]", "state = " + strconv.Quote(filepath.Join(dir, "cache")), `stop_timeout = "100ms"`,
		"[journal]", "dir = " + strconv.Quote(filepath.Join(dir, "journal")), "window = 5000",
		"[mqtt]", "broker = " + strconv.Quote("tcp://"+broker), // the last: more of it may follow
	}
	return file(t, "durable.toml", strings.Join(append(lines, more...), "\n")+"\n")
}

// client is a client that wants answers: it sends a prompt again, with its id, until the answer is there. It knows nothing of the
// daemon but its topics.
type client struct {
	client paho.Client
	base   string // of the topics

	mu       sync.Mutex
	texts    map[string]map[string]int // by id: every answer that came, and how often
	accepted map[string]time.Time
	changed  chan struct{}
}

func newClient(t testing.TB, broker, name string) *client {
	t.Helper()
	return newClientOf(t, broker, name, "siskin/kitchen")
}

// newClientOf is a client of a device, or of a group.
func newClientOf(t testing.TB, broker, name, base string) *client {
	t.Helper()
	a := &client{base: base, texts: map[string]map[string]int{}, accepted: map[string]time.Time{}, changed: make(chan struct{}, 1)}
	o := paho.NewClientOptions().AddBroker("tcp://" + broker).SetClientID(name).SetCleanSession(false).SetOrderMatters(false).
		SetAutoReconnect(true).SetMaxReconnectInterval(100 * time.Millisecond).SetConnectRetry(true).SetConnectRetryInterval(100 * time.Millisecond).
		SetWriteTimeout(time.Second).SetDefaultPublishHandler(a.take).
		SetOnConnectHandler(func(c paho.Client) {
			c.SubscribeMultiple(map[string]byte{base + "/accepted/+": 1, base + "/answer/+": 1}, nil)
		})
	a.client = paho.NewClient(o)
	a.client.Connect()
	t.Cleanup(func() { a.client.Disconnect(50) })
	return a
}

func (a *client) take(_ paho.Client, m paho.Message) {
	id := m.Topic()[strings.LastIndexByte(m.Topic(), '/')+1:]
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.Contains(m.Topic(), "/accepted/") {
		if _, ok := a.accepted[id]; !ok {
			a.accepted[id] = time.Now()
		}
	} else {
		if a.texts[id] == nil {
			a.texts[id] = map[string]int{}
		}
		a.texts[id][string(m.Payload())]++
	}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

func (a *client) has(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.texts[id]) > 0
}

// again is how long an client waits before it sends a prompt once more.
const again = 2 * time.Second

// ask keeps some prompts under way until all of them are answered.
func (a *client) ask(ctx context.Context, ids []string, atOnce int) {
	sent := map[string]time.Time{}
	for ctx.Err() == nil {
		under := 0
		for _, id := range ids {
			if a.has(id) {
				continue
			}
			if under++; under > atOnce {
				break
			}
			if time.Since(sent[id]) >= again {
				sent[id] = time.Now()
				a.client.Publish(a.base+"/prompt", 1, false, `{"id":"`+id+`","prompt":"hello `+id+`"}`)
			}
		}
		if under == 0 {
			return
		}
		select {
		case <-a.changed:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// kitchen is the daemon under test, a process of its own that is killed and started.
type kitchen struct {
	t           *testing.T
	bin, config string
	args        []string // more of the command line
	cmd         *exec.Cmd
	log         *os.File
}

func (k *kitchen) start() {
	k.t.Helper()
	k.cmd = exec.Command(k.bin, append([]string{"run", "--config", k.config}, k.args...)...)
	k.cmd.Stderr = k.log
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kitchen) kill(sig syscall.Signal) {
	_ = k.cmd.Process.Signal(sig)
	_ = k.cmd.Wait()
}

// TestNoPromptLost: clients ask over a proxy that cuts, stalls and tears packets apart, of a broker and a daemon that are killed
// again and again. Every prompt has one answer at the end: no matter how often it came, its text is the same, which with random
// sampling means that it was made once.
func TestNoPromptLost(t *testing.T) {
	const clients = 4
	n := durablePrompts(t, 200)
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Persistence: true})
	proxy := mqtttest.NewProxy(t, broker.Addr())
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	k := &kitchen{t: t, bin: program(t), config: durableConfig(t, proxy.Addr()), log: log}
	k.start()
	defer func() { k.kill(syscall.SIGKILL) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(60+n/4)*time.Second)
	defer cancel()
	var work sync.WaitGroup
	people := make([]*client, clients)
	for c := range people {
		people[c] = newClient(t, broker.Addr(), fmt.Sprint("client", c))
		var ids []string
		for i := c; i < n; i += clients {
			ids = append(ids, fmt.Sprintf("c%d-%05d", c, i))
		}
		work.Go(func() { people[c].ask(ctx, ids, 8) })
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	faults := map[string]int{}
	for alive := true; alive; {
		select {
		case <-done:
			alive = false
			continue
		case <-time.After(time.Duration(100+rng.IntN(500)) * time.Millisecond):
		}
		switch fault := rng.IntN(6); fault {
		case 0:
			faults["daemon killed"]++
			k.kill(syscall.SIGKILL)
			k.start()
		case 1:
			faults["daemon stopped"]++
			k.kill(syscall.SIGTERM)
			k.start()
		case 2:
			if rng.IntN(4) == 0 { // it saves its messages at the end only
				faults["broker restarted"]++
				broker.Stop()
				broker.Start()
			} else if rng.IntN(4) == 0 {
				faults["broker killed"]++
				broker.Kill()
				broker.Start()
			}
		case 3:
			faults["connection cut"]++
			proxy.Cut()
		case 4:
			faults["stalled"]++
			d := mqtttest.Direction(rng.IntN(2))
			proxy.Stall(d, true)
			time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
			proxy.Stall(d, false)
		case 5:
			faults["packet torn"]++
			kinds := []mqtttest.Type{mqtttest.Publish, mqtttest.Puback}
			proxy.CutIn(mqtttest.Direction(rng.IntN(2)), kinds[rng.IntN(2)])
		}
	}
	if ctx.Err() != nil {
		t.Errorf("not all prompts were answered in time; faults %v", faults)
	}
	check(t, people, n)
	t.Logf("%d prompts, faults %v", n, faults)
	if t.Failed() {
		text, _ := os.ReadFile(log.Name())
		t.Logf("…%s", text[max(0, len(text)-4000):])
	}
}

// check compares what all clients saw.
func check(t *testing.T, people []*client, n int) {
	t.Helper()
	texts, repeated := map[string]map[string]int{}, 0
	for _, a := range people {
		a.mu.Lock()
		for id, seen := range a.texts {
			if texts[id] == nil {
				texts[id] = map[string]int{}
			}
			for text, times := range seen {
				texts[id][text] += times
				repeated += times
			}
		}
		a.mu.Unlock()
	}
	if len(texts) != n {
		t.Errorf("%d prompts have an answer, want %d", len(texts), n)
	}
	states := map[string]int{}
	for id, seen := range texts {
		if len(seen) != 1 {
			t.Errorf("%s has %d different answers: %v", id, len(seen), seen)
		}
		for text := range seen {
			var a struct{ ID, Status, Code string }
			if err := json.Unmarshal([]byte(text), &a); err != nil || a.ID != id {
				t.Errorf("%s: %q", id, text)
			}
			states[a.Status+" "+a.Code]++
		}
	}
	t.Logf("states %v; answers arrived %d times at %d clients", states, repeated, len(people))
}

// TestAcceptLatency: prompts at a steady rate, each with an id, by the topics alone, in both versions of the protocol.
func TestAcceptLatency(t *testing.T) {
	for _, version := range []string{"3.1.1", "5"} {
		t.Run(version, func(t *testing.T) { testAcceptLatency(t, version) })
	}
}

func testAcceptLatency(t *testing.T, version string) {
	const rate = 200
	n := durablePrompts(t, 400)
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	metrics := freeAddress(t)
	k := &kitchen{t: t, bin: program(t), config: durableConfig(t, broker.Addr(), "protocol = "+strconv.Quote(version), "[metrics]", "listen = "+strconv.Quote(metrics)), log: log}
	k.start()
	defer func() { k.kill(syscall.SIGKILL) }()
	a := newClient(t, broker.Addr(), "client")
	first := []string{"warm"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(60+n/50)*time.Second)
	defer cancel()
	a.ask(ctx, first, 1)
	sent := make(map[string]time.Time, n)
	before := journalWritten(t, metrics)
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	var ids []string
	for i := range n {
		<-tick.C
		id := fmt.Sprintf("p%05d", i)
		ids = append(ids, id)
		sent[id] = time.Now()
		a.client.Publish("siskin/kitchen/prompt", 1, false, `{"id":"`+id+`","prompt":"hello `+id+`"}`)
	}
	for _, id := range ids {
		for !a.has(id) && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	written := journalWritten(t, metrics) - before
	var waits []time.Duration
	text := 0
	a.mu.Lock()
	for id, at := range sent {
		if got, ok := a.accepted[id]; ok {
			waits = append(waits, got.Sub(at))
		}
		for answer := range a.texts[id] {
			text += len(answer) + len(`{"v":1,"id":"`+id+`","prompt":"hello `+id+`"}`)
		}
	}
	a.mu.Unlock()
	slices.Sort(waits)
	if len(waits) < n*99/100 {
		t.Fatalf("%d of %d were accepted", len(waits), n)
	}
	p50, p99 := waits[len(waits)/2], waits[len(waits)*99/100]
	flash := (written - int64(text)) / int64(n)
	t.Logf("%d prompts at %d a second: publish to accepted p50 %v, p99 %v (aims 5 ms, 40 ms); %d bytes written a prompt besides its text and answer (at most 1,000)",
		n, rate, p50, p99, flash)
	if flash > 1000 {
		t.Errorf("%d bytes a prompt", flash)
	}
	if os.Getenv("SISKIN_TEST_PROMPTS") != "" && (p50 > 5*time.Millisecond || p99 > 40*time.Millisecond) {
		t.Error("slower than the aim")
	}
}

// journalWritten reads what the daemon says that it has written to its journal.
func journalWritten(t *testing.T, metrics string) int64 {
	t.Helper()
	r, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^siskin_journal_written_bytes_total (\S+)$`).FindSubmatch(body)
	if m == nil {
		t.Fatalf("no such metric in\n%s", body)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(n)
}

// freeAddress is one that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// exitCode is that of a process that has ended.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
