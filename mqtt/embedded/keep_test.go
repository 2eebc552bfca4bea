package embedded_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siskin/mqtt/embedded"
	"siskin/mqtt/mqtttest"
)

// keeping starts a broker with a state file; stop ends it.
func keeping(t *testing.T, path string, log *bytes.Buffer) (b *embedded.Broker, stop func()) {
	t.Helper()
	b, err := embedded.New(embedded.Config{
		Listen: "127.0.0.1:0", Limits: embedded.DefaultLimits(), StateFile: path, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- b.Run(ctx) }()
	return b, func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
}

// What is retained, and what waits for a session that is away, is there after a restart, once and in order; sessions that end with
// their connection are not, and a file that is damaged is put aside.
func TestKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var log bytes.Buffer
	b, stop := keeping(t, path, &log)
	lasting := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "lasting", Persistent: true})
	lasting.Subscribe("in/#", 1)
	fleeting := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "fleeting"})
	fleeting.Subscribe("in/#", 1)
	lasting.Close()
	fleeting.Close()
	sender := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "sender"})
	const n = 20
	for i := range n {
		sender.Publish("in/a", 1, false, fmt.Sprint(i))
	}
	sender.Publish("state", 1, true, "kept")
	sender.Publish("gone", 1, true, "x")
	sender.Publish("gone", 1, true, "")
	sender.Close()
	stop()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}

	b, stop = keeping(t, path, &log)
	back := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "lasting", Persistent: true})
	if !back.SessionPresent() {
		t.Error("the session is gone")
	}
	for i := range n {
		back.Expect("in/a", fmt.Sprint(i))
	}
	other := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "other"})
	other.Publish("in/b", 1, false, "new") // the subscription is back
	back.Expect("in/b", "new")
	other.Subscribe("state", 1)
	other.Subscribe("gone", 1)
	if m := other.Next(); m.Topic != "state" || m.Payload != "kept" || !m.Retain {
		t.Errorf("%+v", m)
	}
	if again := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "fleeting", Persistent: true}); again.SessionPresent() {
		t.Error("a session that had ended is back")
	} else {
		again.Close()
	}
	back.Close()
	other.Close()
	stop()

	b, stop = keeping(t, path, &log) // nothing comes twice
	back = mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "lasting", Persistent: true})
	if !back.SessionPresent() {
		t.Error("the session is gone")
	}
	back.None(100_000_000)
	back.Close()
	stop()

	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, stop = keeping(t, path, &log)
	fresh := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "lasting", Persistent: true})
	if fresh.SessionPresent() || !strings.Contains(log.String(), "put aside") {
		t.Errorf("a damaged file: %s", log.String())
	}
	fresh.Close()
	stop()
	if _, err := os.Stat(path + ".bad"); err != nil {
		t.Error(err)
	}
}
