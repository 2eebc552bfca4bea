package mqtt_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"siskin/mqtt"
	"siskin/mqtt/mqtttest"
)

// free is an address that nobody listened on a moment ago.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Every way to a broker carries messages in both directions, more than one packet of the network at a time.
func TestTransports(t *testing.T) {
	t.Parallel()
	mqtttest.Tool(t, "mosquitto")
	a := &authority{t: t, dir: t.TempDir()}
	ca, _ := a.issue("ca", true)
	cert, key := a.issue("server", false)
	socket := filepath.Join(t.TempDir(), "mosquitto.sock")
	web, secure := free(t), free(t)
	_, webPort, _ := net.SplitHostPort(web)
	_, securePort, _ := net.SplitHostPort(secure)
	b := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Lines: []string{
		"listener 0 " + socket,
		"listener " + webPort + " 127.0.0.1", "protocol websockets",
		"listener " + securePort + " 127.0.0.1", "protocol websockets", "cafile " + ca, "certfile " + cert, "keyfile " + key,
	}})
	for _, broker := range []string{"tcp://" + b.Addr(), "unix://" + socket, "ws://" + web + "/mqtt", "wss://" + secure} {
		scheme, _, _ := strings.Cut(broker, ":")
		t.Run(scheme, func(t *testing.T) {
			in := make(inbox, 10)
			cfg := config("", in)
			cfg.Broker, cfg.ClientID = broker, scheme
			if scheme == "wss" {
				cfg.TLS.CAFile = ca
			}
			l := up(t, cfg)
			other := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "other-" + scheme})
			other.Subscribe("out", 1)
			long := strings.Repeat("long ", 40_000)
			l.mustSend("out", long)
			if m := other.Next(); m.Payload != long {
				t.Errorf("%d bytes arrived", len(m.Payload))
			}
			other.Publish("in", 1, false, long)
			if m := in.next(t); string(m.Payload) != long {
				t.Errorf("%d bytes came in", len(m.Payload))
			}
			other.Cut()
			l.stop()
		})
	}
}

// A broker that is gone is replaced by the next one, with the messages that wait, and that one is kept.
func TestFallbacks(t *testing.T) {
	t.Parallel()
	first, second := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{}), mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	in := make(inbox, 10)
	cfg := config(first.Addr(), in)
	cfg.Fallbacks = []string{"tcp://" + free(t), "tcp://" + second.Addr()}
	l := up(t, cfg)
	watcher := mqtttest.Dial(t, second.Addr(), mqtttest.ClientOptions{ID: "watcher"})
	defer watcher.Cut()
	watcher.Subscribe("out", 1)
	first.Kill()
	const n = 5
	for i := range n {
		l.mustSend("out", fmt.Sprint(i))
	}
	for i := range n {
		watcher.Expect("out", fmt.Sprint(i))
	}
	first.Start()
	watcher.Publish("in", 1, false, "still here")
	if m := in.next(t); string(m.Payload) != "still here" {
		t.Errorf("%s", m.Payload)
	}
	l.stop()
	cfg.Broker, cfg.Fallbacks, cfg.Attempts = "tcp://"+free(t), []string{"tcp://" + free(t)}, 4
	if l, err := mqtt.New(cfg); err != nil {
		t.Fatal(err)
	} else if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("with no broker at all: %v", err)
	}
}
