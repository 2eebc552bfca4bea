package daemon_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/mqtt"
	"siskin/mqtt/embedded"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// The embedded broker with users, rules and TLS: the daemon itself is let in, a user prompts under its name and gets the answer, and
// files that make no sense are named.
func TestEmbeddedSecured(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	line, err := embedded.HashPassword("porch", []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	c := tinyConfig(t, "127.0.0.1:1")
	e := &c.MQTT.Embedded
	e.Enabled, e.Listen = true, "127.0.0.1:0"
	e.UsersFile, e.ACLFile = write("users", []byte(line)), write("acl", []byte("pattern write siskin/+/prompt/from/%u\npattern read siskin/#\n"))
	e.CertFile = write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	e.KeyFile = write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}))
	d, _ := startWith(t, c, daemon.Options{})
	answers := make(chan message.Answer, 10)
	o := mqtt.Defaults("ssl://"+d.Broker(), "porch")
	o.Username, o.Password, o.TLS = "porch", []byte("p"), mqtt.TLS{CAFile: e.CertFile}
	o.Subscriptions = []mqtt.Subscription{{Filter: "siskin/" + device + "/answer/+", QoS: 1}}
	o.Handler = func(m mqtt.Message) {
		if a, err := message.ParseAnswer(m.Payload); err == nil {
			answers <- a
		}
	}
	l, err := mqtt.New(o)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.Run(t.Context()) }()
	defer l.Close()
	mqtttest.Eventually(t, "connected", l.Connected)
	for _, topic := range []string{"prompt", "prompt/from/hall", "prompt/from/porch"} { // the first two are not for it
		if err := l.Publish(t.Context(), "siskin/"+device+"/"+topic, 0, false, []byte(`{"id":"`+strings.ReplaceAll(topic, "/", "-")+`","prompt":"hello"}`)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case a := <-answers:
		if a.ID != "prompt-from-porch" || a.Status != message.OK {
			t.Errorf("%+v", a)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no answer")
	}
	for file, want := range map[*string]string{&e.UsersFile: "users_file", &e.ACLFile: "acl_file", &e.KeyFile: "key_file"} {
		good := *file
		*file = write("bad", []byte("nonsense here"))
		if d, err := daemon.New(c, daemon.Options{Log: d.Log}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v", want, d, err)
		}
		*file = good
	}
	e.UsersFile, e.Listen = "", "0.0.0.0:0"
	if _, err := daemon.New(c, daemon.Options{Log: d.Log}); err == nil || !strings.Contains(err.Error(), "authentication") {
		t.Errorf("beyond loopback without users: %v", err)
	}
}
