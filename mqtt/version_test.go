package mqtt_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siskin/mqtt"
	"siskin/mqtt/mqtttest"
)

// tool runs one of mosquitto's clients.
func tool(t *testing.T, name, addr string, args ...string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	args = append([]string{"-h", host, "-p", port, "-V", "5"}, args...)
	if out, err := exec.CommandContext(t.Context(), mqtttest.Tool(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// What MQTT 5 has beside the payload comes in and goes out; with 3.1.1 it does not exist.
func TestProperties(t *testing.T) {
	t.Parallel()
	mqtttest.Each(t, func(t *testing.T, b mqtttest.Broker) {
		in := make(inbox, 10)
		l := up(t, broker{b, mqtt.Protocol5}.config(b.Addr(), in))
		tool(t, "mosquitto_pub", b.Addr(), "-t", "in", "-q", "1", "-m", "hi", "-D", "publish", "response-topic", "back/1",
			"-D", "publish", "correlation-data", "c\x01d", "-D", "publish", "message-expiry-interval", "7",
			"-D", "publish", "user-property", "a", "b", "-D", "publish", "content-type", "text/plain")
		m := in.next(t)
		if string(m.Payload) != "hi" || m.ResponseTopic != "back/1" || string(m.Correlation) != "c\x01d" || m.Expiry < time.Second || m.Expiry > 7*time.Second {
			t.Errorf("got %+v", m)
		}
		answers := make(inbox, 10)
		cfg := broker{b, mqtt.Protocol5}.config(b.Addr(), answers)
		cfg.ClientID, cfg.Subscriptions = "asker", []mqtt.Subscription{{Filter: "back/#", QoS: 1}}
		up(t, cfg)
		old := cfg
		oldAnswers := make(inbox, 10)
		old.ClientID, old.Protocol, old.Handler = "old", mqtt.Protocol3, func(m mqtt.Message) { oldAnswers <- m }
		up(t, old)
		for _, qos := range []byte{0, 1} {
			if err := l.Send(t.Context(), mqtt.Outgoing{Topic: m.ResponseTopic, QoS: qos, Payload: []byte("answer"), Correlation: m.Correlation}); err != nil {
				t.Fatal(err)
			}
			if a := answers.next(t); string(a.Payload) != "answer" || !bytes.Equal(a.Correlation, m.Correlation) {
				t.Errorf("got %+v", a)
			}
			if a := oldAnswers.next(t); string(a.Payload) != "answer" || a.Correlation != nil {
				t.Errorf("with 3.1.1 got %+v", a)
			}
		}
		if err := l.Send(t.Context(), mqtt.Outgoing{Topic: "t", QoS: 1, Correlation: make([]byte, mqtt.MaxCorrelation+1)}); !errors.Is(err, mqtt.ErrMessage) {
			t.Errorf("too long: %v", err)
		}
	})
}

// oldBroker stands before a broker and speaks 3.1.1 only: whoever comes with another version gets answer, and is hung up on.
func oldBroker(t *testing.T, target, answer string) (addr string, refused func() int) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count := make(chan int, 1)
	count <- 0
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				first := make([]byte, 256)
				n, err := c.Read(first) // CONNECT comes in one piece
				if err != nil || n < 10 {
					return
				}
				i := bytes.Index(first[:n], []byte("MQTT"))
				if first[i+4] != 4 {
					count <- <-count + 1
					_, _ = io.WriteString(c, answer)
					return
				}
				up, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer func() { _ = up.Close() }()
				_, _ = up.Write(first[:n])
				go func() { _, _ = io.Copy(up, c); _ = up.Close() }()
				_, _ = io.Copy(c, up)
			}()
		}
	}()
	t.Cleanup(func() { _ = tcp.Close() })
	return tcp.Addr().String(), func() int { n := <-count; count <- n; return n }
}

// A broker that does not speak MQTT 5 says so, in its own form or that of 5, and is not asked again; one that only hangs up is.
func TestOldBroker(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		asked        int // for three connections
	}{
		{"as 3.1.1 says it", "\x20\x02\x00\x01", 1},
		{"as 5 says it", "\x20\x03\x00\x84\x00", 1},
		{"hangs up", "", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := mqtttest.StartEmbedded(t)
			addr, refused := oldBroker(t, b.Addr(), tt.answer)
			p := mqtttest.NewProxy(t, addr)
			in := make(inbox, 10)
			l := up(t, config(p.Addr(), in))
			for range 2 {
				// Nobody is refused meanwhile: an attempt whose first half was would ask for one version only.
				before := l.Connections()
				p.Cut()
				mqtttest.Eventually(t, "another connection", func() bool { return l.Connections() == before+1 })
			}
			l.mustSend("out", "x")
			if n := refused(); n != tt.asked {
				t.Errorf("MQTT 5 was tried %d times, want %d", n, tt.asked)
			}
			c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "c"})
			c.Publish("in", 1, false, "hello")
			if m := in.next(t); string(m.Payload) != "hello" {
				t.Errorf("got %+v", m)
			}
			c.Close()

			strict := config(addr, nil)
			strict.Protocol, strict.Attempts = mqtt.Protocol5, 1
			bad, err := mqtt.New(strict)
			if err != nil {
				t.Fatal(err)
			}
			if err := bad.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "broker") {
				t.Errorf("error %v", err)
			}
		})
	}
	cfg := config("127.0.0.1:1", nil)
	cfg.Protocol = "4"
	if _, err := mqtt.New(cfg); err == nil || !strings.Contains(err.Error(), `"4"`) {
		t.Errorf("protocol 4: %v", err)
	}
}

// A broker says how long a packet and how many messages it takes, and why it refuses one; nothing else suffers by it.
func TestBrokerSaysWhy(t *testing.T) {
	t.Parallel()
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte("topic readwrite #\ntopic deny secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Lines: []string{"max_packet_size 2000", "max_inflight_messages 3", "acl_file " + acl}})
	cfg := config(b.Addr(), nil)
	var log lockedBuffer
	cfg.Protocol, cfg.Logger = mqtt.Protocol5, slog.New(slog.NewTextHandler(&log, nil))
	l := up(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Publish(ctx, "out", 1, false, make([]byte, 2000)); !errors.Is(err, mqtt.ErrMessage) || !strings.Contains(err.Error(), "2000") {
		t.Errorf("too long: %v", err)
	}
	dropped := l.Dropped()
	if err := l.Publish(ctx, "out", 0, false, make([]byte, 2000)); err != nil {
		t.Error(err)
	}
	mqtttest.Eventually(t, "the long message is dropped", func() bool { return l.Dropped() == dropped+1 })
	if err := l.Publish(ctx, "secret", 1, false, []byte("x")); !errors.Is(err, mqtt.ErrUnwanted) || !strings.Contains(err.Error(), "authori") {
		t.Errorf("forbidden: %v", err)
	}
	sent := make(chan error, 20)
	for range 20 { // mosquitto ends the connection of who has more than three in flight
		go func() { sent <- l.send("out", "x") }()
	}
	for range 20 {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	l.stop()
	if strings.Contains(log.String(), "no connection") {
		t.Errorf("the broker's limits were not kept: %s", log.String())
	}
}

// A broker that ends the connection says why, and so does the log. (Mosquitto 2.0.11 only hangs up.)
func TestGoodbyeOfBroker(t *testing.T) {
	t.Parallel()
	b := mqtttest.StartEmbedded(t)
	cfg := config(b.Addr(), nil)
	var log lockedBuffer
	cfg.Protocol, cfg.Logger = mqtt.Protocol5, slog.New(slog.NewTextHandler(&log, nil))
	up(t, cfg)
	thief := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: cfg.ClientID})
	defer thief.Cut()
	mqtttest.Eventually(t, "the log says why", func() bool { return strings.Contains(log.String(), "session takeover") })
}

// The password is wrong: the reason is the broker's.
func TestRefusedByReason(t *testing.T) {
	t.Parallel()
	passwords := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.CommandContext(t.Context(), mqtttest.Tool(t, "mosquitto_passwd"), "-b", "-c", passwords, "u", "right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(passwords, 0o644); err != nil { // mosquitto gives up root
		t.Fatal(err)
	}
	b := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Lines: []string{"allow_anonymous false", "password_file " + passwords}})
	for _, version := range []string{mqtt.ProtocolAuto, mqtt.Protocol3, mqtt.Protocol5} {
		cfg := config(b.Addr(), nil)
		cfg.Protocol, cfg.Attempts, cfg.Username, cfg.Password = version, 1, "u", []byte("wrong")
		l, err := mqtt.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Run(context.Background()); !errors.Is(err, mqtt.ErrRefused) || !strings.Contains(strings.ToLower(err.Error()), "not authori") {
			t.Errorf("%q: %v", version, err)
		}
	}
}
