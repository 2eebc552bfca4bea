package mqtt_test

import (
	"strings"
	"testing"

	"siskin/mqtt"
)

func TestValidate(t *testing.T) {
	valid := func() mqtt.Config {
		c := mqtt.Defaults("tcp://localhost", "dev")
		c.Subscriptions = []mqtt.Subscription{{Filter: "a/+", QoS: 1}}
		c.Handler = func(mqtt.Message) {}
		return c
	}
	for _, broker := range []string{"tcp://a:1", "mqtt://a", "ssl://a:8883/", "tls://[::1]", "mqtts://1.2.3.4:5", "ws://a", "wss://a:1/x/y", "unix:///run/mosquitto.sock"} {
		c := valid()
		c.Broker = broker
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", broker, err)
		}
	}
	for name, tt := range map[string]struct {
		change func(*mqtt.Config)
		want   string
	}{
		"no broker":            {func(c *mqtt.Config) { c.Broker = "" }, "write it as tcp://"},
		"no scheme":            {func(c *mqtt.Config) { c.Broker = "localhost:1883" }, "write it as tcp://"},
		"scheme":               {func(c *mqtt.Config) { c.Broker = "quic://a" }, `scheme "quic"`},
		"socket":               {func(c *mqtt.Config) { c.Broker = "unix://run/x" }, "unix:///path"},
		"fallback":             {func(c *mqtt.Config) { c.Fallbacks = []string{"tcp://b", "x"} }, `broker "x"`},
		"fallback twice":       {func(c *mqtt.Config) { c.Fallbacks = []string{c.Broker} }, "given twice"},
		"path":                 {func(c *mqtt.Config) { c.Broker = "tcp://a/b" }, "nothing may follow"},
		"credentials":          {func(c *mqtt.Config) { c.Broker = "tcp://u:secret@a" }, "give user name and password apart"},
		"TLS without its own":  {func(c *mqtt.Config) { c.TLS.CAFile = "x" }, "write ssl://"},
		"no client id":         {func(c *mqtt.Config) { c.ClientID = "" }, "client id"},
		"password alone":       {func(c *mqtt.Config) { c.Password = []byte("x") }, "without a user name"},
		"filter":               {func(c *mqtt.Config) { c.Subscriptions[0].Filter = "a#" }, "wildcard"},
		"QoS 2":                {func(c *mqtt.Config) { c.Subscriptions[0].QoS = 2 }, "must be 0 or 1"},
		"twice":                {func(c *mqtt.Config) { c.Subscriptions = append(c.Subscriptions, c.Subscriptions[0]) }, "given twice"},
		"no handler":           {func(c *mqtt.Config) { c.Handler = nil }, "handler: missing"},
		"status topic":         {func(c *mqtt.Config) { c.StatusTopic = "+" }, "status topic"},
		"status without value": {func(c *mqtt.Config) { c.StatusTopic = "s" }, "Online and Offline"},
		"keep-alive":           {func(c *mqtt.Config) { c.KeepAlive = 0 }, "KeepAlive"},
		"back-off":             {func(c *mqtt.Config) { c.BackoffMax = c.BackoffMin - 1 }, "BackoffMax"},
		"in flight":            {func(c *mqtt.Config) { c.MaxInFlight = 0 }, "MaxInFlight"},
	} {
		c := valid()
		tt.change(&c)
		l, err := mqtt.New(c)
		if err == nil || !strings.Contains(err.Error(), tt.want) || l != nil {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
	_, err := mqtt.New(mqtt.Config{})
	if err == nil || strings.Count(err.Error(), "\n") < 10 {
		t.Errorf("not all problems of an empty configuration: %v", err)
	}
}
