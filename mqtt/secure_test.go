package mqtt_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"siskin/mqtt"
	"siskin/mqtt/mqtttest"
)

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// file writes PEM and gives the path.
func (a *authority) file(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue makes a certificate, signed by a, or by itself for the authority's own.
func (a *authority) issue(name string, ca bool) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	parent, signer := a.cert, a.key
	if ca {
		parent, signer, a.key = c, key, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if ca {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.file(name+".crt", "CERTIFICATE", der), a.file(name+".key", "EC PRIVATE KEY", raw)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	mqtttest.Tool(t, "mosquitto")
	a := &authority{t: t, dir: t.TempDir()}
	ca, _ := a.issue("ca", true)
	serverCert, serverKey := a.issue("server", false)
	cert, key := a.issue("client", false)
	other := &authority{t: t, dir: t.TempDir()}
	otherCA, _ := other.issue("ca", true)
	b := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{Lines: []string{
		"cafile " + ca, "certfile " + serverCert, "keyfile " + serverKey, "require_certificate true",
	}})
	for _, tt := range []struct {
		name string
		tls  mqtt.TLS
		want string // "" connects
	}{
		{"good", mqtt.TLS{CAFile: ca, CertFile: cert, KeyFile: key}, ""},
		{"other authority", mqtt.TLS{CAFile: otherCA, CertFile: cert, KeyFile: key}, "certificate signed by unknown authority"},
		{"other name", mqtt.TLS{CAFile: ca, CertFile: cert, KeyFile: key, ServerName: "x"}, "wanted to match x"},
		{"no own certificate", mqtt.TLS{CAFile: ca}, "connect"}, // with TLS 1.3 the broker just hangs up
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config(b.Addr(), nil)
			cfg.Broker, cfg.TLS = "ssl://"+b.Addr(), tt.tls
			if tt.want == "" {
				up(t, cfg).mustSend("out", "x")
				return
			}
			cfg.Attempts = 1
			l, err := mqtt.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Run(context.Background()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	for name, bad := range map[string]mqtt.TLS{
		"no CA": {CAFile: "/nonexistent"}, "not PEM": {CAFile: os.Args[0]}, "key missing": {CertFile: cert}, "certificate missing": {KeyFile: key},
		"wrong pair": {CertFile: cert, KeyFile: serverKey},
	} {
		cfg := config(b.Addr(), nil)
		cfg.Broker, cfg.TLS = "ssl://"+b.Addr(), bad
		if _, err := mqtt.New(cfg); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%s: error %v, want one about TLS", name, err)
		}
	}
}

// A subscription that the broker does not allow is an error, not silence.
func TestSubscriptionRefused(t *testing.T) {
	t.Parallel()
	b := mqtttest.StartEmbedded(t) // mosquitto refuses no subscription, it only delivers nothing
	cfg := config(b.Addr(), nil)
	cfg.Attempts = 1
	cfg.Subscriptions = []mqtt.Subscription{{Filter: "in", QoS: 1}}
	up(t, cfg).stop()
	cfg.Subscriptions = append(cfg.Subscriptions, mqtt.Subscription{Filter: "$share/g", QoS: 1})
	l, err := mqtt.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Run(context.Background()); !errors.Is(err, mqtt.ErrSubscribe) || !strings.Contains(err.Error(), "$share/g") {
		t.Errorf("error %v, want ErrSubscribe for $share/g", err)
	}
}

// A broker that says nonsense is an error after some attempts, never a panic.
func TestBrokenBroker(t *testing.T) {
	t.Parallel()
	for _, version := range []string{mqtt.ProtocolAuto, mqtt.Protocol3, mqtt.Protocol5} {
		t.Run(cmp.Or(version, "auto"), func(t *testing.T) { testBrokenBroker(t, version) })
	}
}

func testBrokenBroker(t *testing.T, version string) {
	for name, reply := range map[string]string{
		"silence":            "",
		"no CONNACK":         "\x30\x04\x00\x01ax",
		"short CONNACK":      "\x20\x01\x00",
		"unknown code":       "\x20\x02\x00\x77",
		"SUBACK too long":    "\x20\x02\x00\x00\x90\x05\x00\x01\x00\x00\x00",
		"SUBACK for another": "\x20\x02\x00\x00\x90\x04\x12\x34\x00\x00",
		"broken PUBLISH":     "\x20\x02\x00\x00\x32\x03\xff\xff\x00",
		"packet of type 0":   "\x20\x02\x00\x00\x00\x00",
		"SUBACK too long, 5": "\x20\x03\x00\x00\x00\x90\x06\x00\x01\x00\x00\x00\x00",
		"no topic, 5":        "\x20\x03\x00\x00\x00\x30\x03\x00\x00\x00",
		"QoS 3, 5":           "\x20\x03\x00\x00\x00\x36\x06\x00\x01a\x00\x01\x00",
		"endless CONNACK, 5": "\x20\xff\xff\xff\x7f\x00\x00",
		"length of 5, 5":     "\x20\xff\xff\xff\xff\x01\x00",
		"DISCONNECT, 5":      "\x20\x03\x00\x00\x00\xe0\x00",
		"AUTH, 5":            "\xf0\x02\x18\x00",
		"HTTP":               "HTTP/1.1 400 Bad Request\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tcp, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tcp.Close() }()
			go func() {
				for {
					c, err := tcp.Accept()
					if err != nil {
						return
					}
					_, _ = c.Write([]byte(reply))
					go func() {
						_, _ = c.Read(make([]byte, 1000))
						time.Sleep(time.Second)
						_ = c.Close()
					}()
				}
			}()
			cfg := config(tcp.Addr().String(), nil)
			cfg.Protocol, cfg.Attempts = version, 2
			cfg.ConnectTimeout = 200 * time.Millisecond
			l, err := mqtt.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := l.Run(context.Background()); err == nil {
				t.Error("no error")
			}
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// lockedBuffer is for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The log tells of loss and return, and of no secret and no payload.
func TestLog(t *testing.T) {
	t.Parallel()
	b := mqtttest.StartEmbedded(t)
	p := mqtttest.NewProxy(t, b.Addr())
	var log lockedBuffer
	in := make(inbox, 10)
	cfg := config(p.Addr(), in)
	cfg.Username, cfg.Password = "u", []byte("s3cret")
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := up(t, cfg)
	l.mustSend("in", "hidden")
	in.next(t)
	p.Cut()
	mqtttest.Eventually(t, "a second connection", func() bool { return strings.Count(log.String(), "mqtt: connected") == 2 })
	l.stop()
	s := log.String()
	if !strings.Contains(s, "no connection to the broker") || strings.Contains(s, "s3cret") || strings.Contains(s, "hidden") {
		t.Errorf("log:\n%s", s)
	}
}
