package embedded_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siskin/mqtt"
	"siskin/mqtt/embedded"
	"siskin/mqtt/mqtttest"
)

// users makes a list of one user.
func users(t *testing.T, name, password string) *embedded.Users {
	t.Helper()
	line, err := embedded.HashPassword(name, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	u, err := embedded.ParseUsers([]byte("# users\n\n" + line + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUsers(t *testing.T) {
	u := users(t, "u", "s3cret")
	if !u.Check("u", []byte("s3cret")) || u.Check("u", []byte("s3cre")) || u.Check("v", []byte("s3cret")) || u.Check("", nil) {
		t.Error("who may come in")
	}
	good, err := embedded.HashPassword("u", []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := embedded.HashPassword("u", []byte("p"))
	if err != nil || again == good {
		t.Error("two hashes of a password are the same")
	}
	for what, file := range map[string]string{
		"names nobody": "# nobody\n", "line 2": good + "\n" + good, "not in the form": "u:plain", "line 1": "a b:" + good, "damaged": "u:pbkdf2-sha256$1$QUFBQUFBQUE=$QUE=",
	} {
		if _, err := embedded.ParseUsers([]byte(file)); !errors.Is(err, embedded.ErrUsers) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"", "a:b", "#owner", "a b", "a/b", strings.Repeat("x", 65)} {
		if _, err := embedded.HashPassword(name, []byte("p")); !errors.Is(err, embedded.ErrUsers) {
			t.Errorf("user %q: %v", name, err)
		}
	}
}

const rules = `
topic read public/#
user boss
topic readwrite siskin/#
topic deny siskin/secret/#
pattern write siskin/+/prompt/from/%u
pattern read siskin/+/answer/%c
`

func TestACL(t *testing.T) {
	a, err := embedded.ParseACL([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, client, name string
		write, want        bool
	}{
		{"", "c", "public/a", false, true},
		{"", "c", "public/a", true, false},
		{"", "c", "siskin/k/answer/c", false, true},
		{"", "c", "siskin/k/prompt/from/", true, false}, // no name, no pattern with one
		{"boss", "c", "siskin/k/prompt", true, true},
		{"boss", "c", "siskin/secret/a", false, false},
		{"boss", "c", "public/a", false, false}, // is for those without a name
		{"porch", "c", "siskin/k/prompt/from/porch", true, true},
		{"porch", "c", "siskin/k/prompt/from/hall", true, false},
		{"porch", "c", "siskin/k/prompt", true, false},
		{"+", "c", "siskin/k/prompt/from/hall", true, false},
		{"porch", "#", "siskin/k/answer/x", false, false},
	} {
		if got := a.Allows(c.user, c.client, c.name, c.write); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for _, bad := range []string{"allow x", "user", "topic read a#", "pattern", "topic"} {
		if _, err := embedded.ParseACL([]byte("# x\n" + bad)); !errors.Is(err, embedded.ErrACL) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// issue makes a certificate for 127.0.0.1 that parent has signed, or nobody but itself, valid until then.
func issue(t *testing.T, dir, name string, parent *x509.Certificate, signer *ecdsa.PrivateKey, until time.Time) (cert, key string, parsed *x509.Certificate, private *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if parent == nil {
		parent, signer = c, private
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &private.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, data []byte) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if parsed, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return write(name+".crt", "CERTIFICATE", der), write(name+".key", "EC PRIVATE KEY", raw), parsed, private
}

// With TLS, users and rules: who has a certificate and a password comes in, and writes what it may; an expired certificate, none, and a
// wrong password do not, and the owner always does.
func TestSecured(t *testing.T) {
	dir, year := t.TempDir(), time.Now().AddDate(1, 0, 0)
	ca, _, authority, signer := issue(t, dir, "ca", nil, nil, year)
	serverCert, serverKey, _, _ := issue(t, dir, "server", authority, signer, year)
	goodCert, goodKey, _, _ := issue(t, dir, "good", authority, signer, year)
	oldCert, oldKey, _, _ := issue(t, dir, "old", authority, signer, time.Now().Add(-time.Hour))
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	acl, err := embedded.ParseACL([]byte("user u\ntopic write mine/#\ntopic read theirs/#\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := embedded.New(embedded.Config{
		Listen: "127.0.0.1:0", Limits: embedded.DefaultLimits(), Users: users(t, "u", "p"), ACL: acl, CertRequired: true,
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: pool},
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- b.Run(t.Context()) }()
	defer func() {
		if err := errors.Join(b.Close(), <-ran); err != nil {
			t.Error(err)
		}
	}()
	in := make(chan mqtt.Message, 10)
	link := func(user string, password []byte, cert, key string, attempts int) *mqtt.Link {
		c := mqtt.Defaults("ssl://"+b.Addr(), "client-"+user)
		c.Username, c.Password, c.Attempts, c.BackoffMin = user, password, attempts, time.Millisecond
		c.TLS = mqtt.TLS{CAFile: ca, CertFile: cert, KeyFile: key}
		c.Subscriptions = []mqtt.Subscription{{Filter: "#", QoS: 1}}
		c.Handler = func(m mqtt.Message) { in <- m }
		l, err := mqtt.New(c)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for name, l := range map[string]*mqtt.Link{
		"wrong password": link("u", []byte("x"), goodCert, goodKey, 1), "expired": link("u", []byte("p"), oldCert, oldKey, 1), "none": link("u", []byte("p"), "", "", 1),
	} {
		if err := l.Run(t.Context()); err == nil {
			t.Errorf("%s: came in", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
	ownerName, ownerPassword := b.Owner()
	owner, user := link(ownerName, ownerPassword, "", "", 0), link("u", []byte("p"), goodCert, goodKey, 0)
	for _, l := range []*mqtt.Link{owner, user} {
		go func() { _ = l.Run(t.Context()) }()
		defer l.Close()
		mqtttest.Eventually(t, "connected", l.Connected)
	}
	publish := func(l *mqtt.Link, topic string) {
		t.Helper()
		if err := l.Publish(t.Context(), topic, 0, false, []byte(topic)); err != nil {
			t.Fatal(err)
		}
	}
	publish(user, "mine/a")   // to the owner, and not back
	publish(user, "theirs/a") // to nobody
	publish(owner, "theirs/b")
	publish(owner, "else/b") // to the owner alone
	publish(owner, "end")
	got := map[string]int{}
	for range 5 {
		select {
		case m := <-in:
			got[m.Topic]++
		case <-time.After(5 * time.Second):
			t.Fatalf("only %v", got)
		}
	}
	time.Sleep(50 * time.Millisecond)
	for len(in) > 0 {
		got[(<-in).Topic]++
	}
	if want := map[string]int{"mine/a": 1, "theirs/b": 2, "else/b": 1, "end": 1}; len(got) != len(want) || got["mine/a"] != 1 || got["theirs/b"] != 2 || got["else/b"] != 1 {
		t.Errorf("messages %v, want %v", got, want)
	}
}
