package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"siskin/model/goldentest"
	"siskin/mqtt/mqtttest"
)

// The soak's pace: a small board's worth of prompts, and a fault every few seconds.
const (
	soakSample = 5 * time.Second
	soakFault  = 8 * time.Second
	soakPrompt = 2 * time.Second
	// Memory may differ by this much between the first and the last third: the collector's pace.
	soakSlack = 2 << 20
)

// TestSoak runs the daemon with the default model for as long as SISKIN_SOAK says (make soak: 30 minutes), among faults: a broker that is
// killed, a connection that is cut, stalls and is torn, a daemon that does not get the processor, a changed and a broken configuration,
// floods, nonsense, cancellations. At the end each prompt has one answer, memory and file descriptors are flat, and the log has no
// warning that no fault explains.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("SISKIN_SOAK"))
	if err != nil {
		t.Skip("SISKIN_SOAK is not set: make soak runs it")
	}
	s := startSoak(t)
	defer func() { s.kitchen.kill(syscall.SIGKILL) }()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() { s.prompts(ctx) })
	work.Go(func() { s.faults(ctx) })
	samples := s.watch(ctx)
	work.Wait()
	for limit := time.Now().Add(2 * time.Minute); s.unanswered() > 0 && time.Now().Before(limit); time.Sleep(100 * time.Millisecond) {
	}
	s.forgetOthers()
	check(t, []*client{s.client}, len(s.ids))
	checkFlat(t, samples)
	s.kitchen.kill(syscall.SIGTERM)
	s.checkLog()
	t.Logf("%v, %d prompts, faults %v", length, len(s.ids), s.count)
}

// soak is a daemon among faults.
type soak struct {
	t       *testing.T
	broker  *mqtttest.Mosquitto
	proxy   *mqtttest.Proxy
	kitchen *kitchen
	client  *client
	metrics string
	rng     *rand.Rand
	count   map[string]int

	mu  sync.Mutex
	ids []string
}

func startSoak(t *testing.T) *soak {
	s := &soak{t: t, broker: mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Persistence: true}), metrics: freeAddress(t), rng: rand.New(rand.NewPCG(1, 9)), count: map[string]int{}}
	s.proxy = mqtttest.NewProxy(t, s.broker.Addr())
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	dir := t.TempDir()
	settings := file(t, "soak.toml", strings.Join([]string{
		`device = "kitchen"`, "[model]", "path = " + strconv.Quote(goldentest.Model(t)), "context = 1024", "tune = false", `pack = "off"`,
		"[queue]", "max_requests = 200", "[generate]", "max_tokens = 24", "[daemon]", "state = " + strconv.Quote(filepath.Join(dir, "state")),
		"[journal]", "dir = " + strconv.Quote(filepath.Join(dir, "journal")), `max_size = "4MiB"`, "[homeassistant]", "enabled = true",
		"[hermes]", "enabled = true", `intent = "Assistant"`, "[metrics]", "listen = " + strconv.Quote(s.metrics),
		"[mqtt]", "broker = " + strconv.Quote("tcp://"+s.proxy.Addr()), `keep_alive = "5s"`,
		"[mqtt.access]", `clients = ["flood"]`, "per_minute = 120", "burst = 30",
	}, "\n")+"\n")
	s.kitchen = &kitchen{t: t, bin: program(t), config: settings, log: log}
	s.kitchen.start()
	s.client = newClient(t, s.broker.Addr(), "client")
	s.client.ask(t.Context(), []string{"warm"}, 1)
	s.ids = []string{"warm"}
	s.fill()
	return s
}

// fill makes the daemon use all of the context that it has planned for: memory comes when it is first written, once.
func (s *soak) fill() {
	c := mqtttest.Dial(s.t, s.broker.Addr(), mqtttest.ClientOptions{ID: "filler"})
	defer c.Cut()
	c.Subscribe("siskin/kitchen/answer/+", 1)
	for i := range 8 {
		c.Publish("siskin/kitchen/prompt", 1, false, fmt.Sprintf(`{"id":"fill%d","prompt":%q,"max_tokens":200}`, i, strings.Repeat(fmt.Sprint("word ", i, " "), 220+i)))
		c.Next()
	}
}

// forgetOthers leaves the answers to the prompts of the soak itself: the client sees those of the hostile ones, too.
func (s *soak) forgetOthers() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	for id := range s.client.texts {
		if !slices.Contains(s.ids, id) {
			delete(s.client.texts, id)
		}
	}
}

// prompts asks at a steady pace, each until it is answered.
func (s *soak) prompts(ctx context.Context) {
	tick := time.NewTicker(soakPrompt)
	defer tick.Stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), 24*time.Hour)
	defer cancel()
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("p%06d", i)
		s.mu.Lock()
		s.ids = append(s.ids, id)
		s.mu.Unlock()
		asking.Go(func() {
			limited, cancel := context.WithTimeout(patient, 2*time.Minute)
			defer cancel()
			s.client.ask(limited, []string{id}, 1)
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (s *soak) unanswered() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.ids {
		if !s.client.has(id) {
			n++
		}
	}
	return n
}

// faults injects one after the other until ctx ends.
func (s *soak) faults(ctx context.Context) {
	hostile := mqtttest.ClientOptions{ID: "hostile"}
	settings, err := os.ReadFile(s.kitchen.config)
	if err != nil {
		s.t.Error(err)
		return
	}
	all := []struct {
		name   string
		inject func()
	}{
		{"broker killed", func() { s.broker.Stop(); s.broker.Start() }}, // in good order: it saves its messages at the end only
		{"connection cut", s.proxy.Cut},
		{"stalled", func() {
			d := mqtttest.Direction(s.rng.IntN(2))
			s.proxy.Stall(d, true)
			time.Sleep(2 * time.Second)
			s.proxy.Stall(d, false)
		}},
		{"packet torn", func() { s.proxy.CutIn(mqtttest.Up, mqtttest.Publish) }},
		{"no processor", func() {
			_ = s.kitchen.cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(time.Second)
			_ = s.kitchen.cmd.Process.Signal(syscall.SIGCONT)
		}},
		{"configuration changed", func() {
			text := strings.Replace(string(settings), "max_tokens = 24", fmt.Sprintf("max_tokens = %d", 8+s.rng.IntN(24)), 1)
			s.reload(text)
		}},
		{"configuration broken", func() { s.reload("device = 7\n"); s.reload(string(settings)) }},
		{"flood", func() {
			c := mqtttest.Dial(s.t, s.broker.Addr(), hostile)
			defer c.Cut()
			for i := range 200 {
				c.Send("siskin/kitchen/prompt/from/flood", 1, false, fmt.Sprintf(`{"id":"f%d-%d","prompt":"x"}`, time.Now().UnixNano(), i))
			}
		}},
		{"nonsense", func() {
			c := mqtttest.Dial(s.t, s.broker.Addr(), hostile)
			defer c.Cut()
			for _, payload := range []string{"", "{", `{"prompt":7}`, strings.Repeat("[", 5000), strings.Repeat("x", 600<<10), "\xff\xfe", `{"prompt":"x","reply_to":"#"}`} {
				c.Send("siskin/kitchen/prompt", 1, false, payload)
				c.Send("siskin/kitchen/cancel", 1, false, payload)
			}
		}},
		{"voice", func() {
			c := mqtttest.Dial(s.t, s.broker.Addr(), hostile)
			defer c.Cut()
			c.Send("hermes/nlu/query", 1, false, `{"input":"why is the sky blue?","siteId":"s","sessionId":"v"}`)
			c.Send("hermes/nlu/query", 1, false, `nonsense`)
		}},
		{"cancelled", func() {
			c := mqtttest.Dial(s.t, s.broker.Addr(), hostile)
			defer c.Cut()
			id := fmt.Sprint("c", time.Now().UnixNano())
			c.Send("siskin/kitchen/prompt", 1, false, `{"id":"`+id+`","prompt":"Write a long story.","max_tokens":200}`)
			time.Sleep(50 * time.Millisecond)
			c.Send("siskin/kitchen/cancel", 1, false, `{"id":"`+id+`"}`)
		}},
	}
	for i := 0; ; i++ {
		select {
		case <-time.After(soakFault/2 + time.Duration(s.rng.Int64N(int64(soakFault)))):
		case <-ctx.Done():
			return
		}
		fault := all[i%len(all)]
		s.count[fault.name]++
		fault.inject()
	}
}

// reload replaces the configuration and tells the daemon.
func (s *soak) reload(text string) {
	if err := os.WriteFile(s.kitchen.config, []byte(text), 0o600); err != nil {
		s.t.Error(err)
	}
	_ = s.kitchen.cmd.Process.Signal(syscall.SIGHUP)
	time.Sleep(200 * time.Millisecond)
}

// reading is what the daemon holds.
type reading struct{ anonymous, heap, descriptors, threads, goroutines float64 }

// watch takes samples until ctx ends.
func (s *soak) watch(ctx context.Context) (out []reading) {
	tick := time.NewTicker(soakSample)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return out
		case <-tick.C:
		}
		if one, err := s.sample(); err != nil {
			s.t.Error("the daemon does not say how it is:", err)
			return out
		} else if one.heap > 0 {
			out = append(out, one)
		}
	}
}

func (s *soak) sample() (out reading, err error) {
	proc := fmt.Sprintf("/proc/%d/", s.kitchen.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return out, err
	}
	open, err := os.ReadDir(proc + "fd")
	if err != nil {
		return out, err
	}
	limit := http.Client{Timeout: 4 * time.Second}
	r, err := limit.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		return reading{}, nil //nolint:nilerr // it has no processor for a second
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return reading{}, nil //nolint:nilerr // the same
	}
	number := func(text []byte, pattern string) float64 {
		m := regexp.MustCompile(pattern).FindSubmatch(text)
		if m == nil {
			s.t.Errorf("no %s", pattern)
			return 0
		}
		v, _ := strconv.ParseFloat(string(m[1]), 64)
		return v
	}
	return reading{
		anonymous: 1024 * number(status, `(?m)^RssAnon:\s+(\d+)`), threads: number(status, `(?m)^Threads:\s+(\d+)`), descriptors: float64(len(open)),
		heap: number(body, `(?m)^siskin_heap_bytes (\S+)`), goroutines: number(body, `(?m)^siskin_goroutines (\S+)`),
	}, nil
}

// checkFlat compares the medians of the second and the last third: the first is for warming up.
func checkFlat(t *testing.T, samples []reading) {
	t.Helper()
	if len(samples) < 9 {
		t.Fatalf("%d samples are too few", len(samples))
	}
	third := len(samples) / 3
	for _, q := range []struct {
		name  string
		of    func(reading) float64
		slack float64
	}{
		{"anonymous memory", func(s reading) float64 { return s.anonymous }, soakSlack},
		{"heap", func(s reading) float64 { return s.heap }, soakSlack},
		{"file descriptors", func(s reading) float64 { return s.descriptors }, 1},
		{"threads", func(s reading) float64 { return s.threads }, 2},
		{"goroutines", func(s reading) float64 { return s.goroutines }, 4},
	} {
		median := func(of []reading) float64 {
			var v []float64
			for _, s := range of {
				v = append(v, q.of(s))
			}
			slices.Sort(v)
			return v[len(v)/2]
		}
		middle, end := median(samples[third:2*third]), median(samples[2*third:])
		t.Logf("%s: %.0f in the second third, %.0f in the last", q.name, middle, end)
		if end > middle+q.slack {
			t.Errorf("%s grow: %.0f, then %.0f", q.name, middle, end)
		}
	}
}

// explained are the warnings and errors that the faults cause.
var explained = []string{
	`msg="mqtt: no connection to the broker"`,
	`msg="mqtt: connection lost while saying goodbye"`,
	`msg="mqtt: no time for a goodbye"`,
	`msg="configuration not reloaded: the old one stays"`,
	`msg="prompts refused" sender=flood`,
	`msg="prompts refused" sender="" code=rate_limited`, // nonsense counts as well, and comes seven at a time
	`msg="cancel refused"`,
	`msg="hermes: message refused"`,
}

// checkLog looks for warnings that no fault explains.
func (s *soak) checkLog() {
	text, err := os.ReadFile(s.kitchen.log.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	levels := map[string]int{}
	for line := range strings.Lines(string(text)) {
		level := "other"
		if m := regexp.MustCompile(`level=(\w+)`).FindStringSubmatch(line); m != nil {
			level = m[1]
		}
		levels[level]++
		if level == "INFO" || slices.ContainsFunc(explained, func(e string) bool { return strings.Contains(line, e) }) {
			continue
		}
		s.t.Errorf("unexplained: %s", line)
	}
	s.t.Logf("lines of the log by level: %v", levels)
}
