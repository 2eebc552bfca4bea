// Package mqtttest helps tests of everything that talks MQTT: brokers that can
// be killed and started again, a proxy that breaks connections at chosen places,
// and a client that shows the packets as they came. It is for tests only; what
// it starts it ends with the test, and left-overs fail the test.
package mqtttest

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// patience bounds every wait of this package for something that should happen.
const patience = 10 * time.Second

// Broker is a broker under test. Its methods fail the test on any error.
type Broker interface {
	// Name is "embedded" or "mosquitto".
	Name() string
	// Addr is host:port, the same over restarts.
	Addr() string
	// Kill ends the broker without a chance to save anything.
	Kill()
	// Start starts it again after Kill or Stop, on the same address.
	Start()
}

// Each runs a test against the embedded broker and against mosquitto, as
// subtests.
func Each(t *testing.T, test func(t *testing.T, b Broker)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, StartEmbedded(t)) })
	t.Run("mosquitto", func(t *testing.T) { test(t, StartMosquitto(t, MosquittoOptions{})) })
}

// Tool finds a program. If it is absent the test is skipped, or fails under
// SISKIN_TEST_REQUIRE=1.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("SISKIN_TEST_REQUIRE") == "1" {
		t.Fatalf("%s is not installed, and SISKIN_TEST_REQUIRE=1 wants this test to run", name)
	}
	t.Skipf("SKIPPED: %s is not installed; install the package mosquitto or mosquitto-clients to run this test", name)
	return ""
}

// Eventually waits until ok is true and fails the test if that takes too long.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still waiting after %v: %s", patience, what)
		}
	}
}

// freeAddr gives a loopback address that is free now.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	return l.Addr().String()
}

// waitListening waits until somebody accepts at addr.
func waitListening(addr string, giveUp <-chan struct{}) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return true
		}
		select {
		case <-giveUp:
			return false
		default:
		}
	}
	return false
}
