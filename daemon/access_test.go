package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// logBuffer collects a log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A refusal goes where answers may go, whatever it is about: a sender that may not prompt cannot make the device write elsewhere.
func TestRefusalsKeepToTheirTopics(t *testing.T) {
	b := mqtttest.StartEmbedded(t)
	c := tinyConfig(t, b.Addr())
	c.MQTT.Access.Anonymous = false
	start(t, c)
	u := newUser(t, b.Addr())
	defer u.Cut()
	const elsewhere = "home/alarm/disarm"
	u.prompt(message.Request{ID: "anonymous", Prompt: "hello", ReplyTo: elsewhere})
	if a := u.answer("anonymous"); a.Code != message.CodeForbidden {
		t.Errorf("anonymous: %+v", a)
	}
	u.Publish("siskin/"+device+"/prompt/from/porch", 1, false, `{"id":"task","prompt":"hello","task":"none such","reply_to":"`+elsewhere+`"}`)
	u.Publish("siskin/"+device+"/prompt/from/porch", 1, false, `{"id":"unknown","prompt":"hello","task":"nobody","reply_to":"`+elsewhere+`"}`)
	if a := u.answer("task"); a.Code != message.CodeBadRequest {
		t.Errorf("a broken name of a task: %+v", a)
	}
	if a := u.answer("unknown"); a.Status != message.Failed || len(u.replies) != 0 {
		t.Errorf("%+v, replies %v", a, u.replies)
	}
	u.prompt(message.Request{ID: "allowed", Prompt: "hello", ReplyTo: "home/answers/kitchen"})
	u.until("the refusal where it may go", func() bool { return len(u.replies["home/answers/kitchen"]) == 1 })
}

// A client that floods is refused with a code and logged once, one that may not prompt as well, and others are answered meanwhile.
// The broker keeps clients from each other's topics.
func TestFlood(t *testing.T) {
	acl := filepath.Join(t.TempDir(), "acl")
	rules := "topic read #\ntopic write siskin/+/answer/+\ntopic write siskin/+/accepted/+\ntopic write siskin/+/status\npattern write siskin/+/prompt/from/%c\n"
	if err := os.WriteFile(acl, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Lines: []string{"acl_file " + acl}})
	c := tinyConfig(t, broker.Addr())
	c.MQTT.Access.Anonymous, c.MQTT.Access.Clients, c.MQTT.Access.PerMinute, c.MQTT.Access.Burst = false, []string{"porch", "hall"}, 600, 10
	// Room for all refusals at once: those of a flood are dropped when half of the outbox is taken, which a slow machine comes to.
	c.Queue.MaxRequests = 256
	var log logBuffer
	o := daemon.Options{Version: "test", JournalFolder: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))}
	d, err := daemon.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	u := newUser(t, broker.Addr())
	defer u.Cut()
	dial := func(id string) *mqtttest.Client {
		client := mqtttest.Dial(t, broker.Addr(), mqtttest.ClientOptions{ID: id})
		t.Cleanup(client.Cut)
		return client
	}
	porch, hall, thief := dial("porch"), dial("hall"), dial("thief")
	prompt := func(by *mqtttest.Client, as, id string) {
		by.Publish("siskin/"+device+"/prompt/from/"+as, 1, false, fmt.Sprintf(`{"id":%q,"prompt":"hello"}`, id))
	}
	const flood = 300
	begun := time.Now()
	for i := range flood {
		prompt(porch, "porch", fmt.Sprint("f", i))
		if i%100 == 50 {
			prompt(hall, "hall", fmt.Sprint("h", i))
		}
	}
	prompt(thief, "thief", "t")
	prompt(thief, "hall", "stolen")
	for _, id := range []string{"h50", "h150", "h250"} {
		if a := u.answer(id); a.Status != message.OK {
			t.Errorf("%s: %+v", id, a)
		}
	}
	if a := u.answer("t"); a.Code != message.CodeForbidden || a.Status != message.Failed {
		t.Errorf("a client that is not in the list: %+v", a)
	}
	u.until("the flood is answered", func() bool { return len(u.answers) >= flood*9/10 })
	codes := map[message.Code]int{}
	for _, answers := range u.answers {
		codes[answers[0].Code]++
	}
	passed, most := flood+3-codes[message.CodeRateLimited], 10+int(time.Since(begun).Seconds()*10)+4
	if codes[message.CodeRateLimited] < flood/2 || passed > most {
		t.Errorf("codes %v: %d passed, at most %d may", codes, passed, most)
	}
	if _, there := u.answers["stolen"]; there {
		t.Error("a client prompted under another's name")
	}
	if n := strings.Count(log.String(), "prompts refused"); n != 2 { // porch and thief
		t.Errorf("refusals are logged %d times:\n%s", n, log.String())
	}
	hall.Publish("siskin/"+device+"/prompt", 1, false, `{"id":"anonymous","prompt":"x"}`) // the broker itself drops it
}
