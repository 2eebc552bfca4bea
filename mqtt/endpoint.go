package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// endpoint is a broker as it is reached.
type endpoint struct {
	name   string      // for people
	addr   string      // host:port, or the path of a socket
	web    string      // address of the WebSocket; "" for MQTT by itself
	unix   bool        // addr is a path
	secure *tls.Config // nil without TLS
}

// scheme says how a broker is reached.
type scheme struct {
	secure, web, unix bool
	port              string
}

// schemes are those of an address. The ports are those that IANA has for MQTT, and those of HTTP.
func schemeOf(name string) (scheme, bool) {
	switch name {
	case "tcp", "mqtt":
		return scheme{port: "1883"}, true
	case "ssl", "tls", "mqtts":
		return scheme{secure: true, port: "8883"}, true
	case "ws":
		return scheme{web: true, port: "80"}, true
	case "wss":
		return scheme{secure: true, web: true, port: "443"}, true
	case "unix":
		return scheme{unix: true}, true
	}
	return scheme{}, false
}

// brokers lists Broker and Fallbacks.
func (c *Config) brokers() []string { return append([]string{c.Broker}, c.Fallbacks...) }

// parse takes an address apart; secure is set without a configuration.
func parse(broker string) (e endpoint, secure bool, err error) {
	bad := func(format string, args ...any) (endpoint, bool, error) {
		return endpoint{}, false, fmt.Errorf("broker %q: "+format, append([]any{redact(broker)}, args...)...)
	}
	u, err := url.Parse(broker)
	if err != nil || u.Scheme == "" || u.Hostname() == "" && u.Scheme != "unix" {
		return bad("write it as tcp://host:port, ssl://host:port, ws://host/path, wss://host/path or unix:///path")
	}
	s, known := schemeOf(u.Scheme)
	switch {
	case !known:
		return bad("scheme %q is not one of tcp, mqtt, ssl, tls, mqtts, ws, wss, unix", u.Scheme)
	case u.User != nil:
		return bad("give user name and password apart, not in the address")
	case s.unix && (u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" || u.Fragment != ""):
		return bad("write a socket as unix:///path")
	case s.unix:
		return endpoint{name: broker, addr: u.Path, unix: true}, false, nil
	case u.RawQuery != "" || u.Fragment != "" || !s.web && u.Path != "" && u.Path != "/":
		return bad("nothing may follow the port")
	}
	port := s.port
	if p := u.Port(); p != "" {
		port = p
	}
	e = endpoint{name: net.JoinHostPort(u.Hostname(), port), addr: net.JoinHostPort(u.Hostname(), port)}
	if s.web {
		path := u.Path
		if path == "" {
			path = "/mqtt" // where brokers listen that do not say otherwise
		}
		e.web = (&url.URL{Scheme: u.Scheme, Host: e.addr, Path: path}).String()
		e.name = e.web
	}
	return e, s.secure, nil
}

// endpoints reads all addresses, and the files of TLS if load is true.
func (c *Config) endpoints(load bool) ([]endpoint, error) {
	var out []endpoint
	var errs []error
	anySecure := false
	for i, broker := range c.brokers() {
		if slices.Contains(c.brokers()[:i], broker) {
			errs = append(errs, fmt.Errorf("broker %q: given twice", redact(broker)))
		}
		e, secure, err := parse(broker)
		if err == nil && secure && load {
			e.secure, err = c.TLS.load(e.addr)
		}
		anySecure = anySecure || secure
		out, errs = append(out, e), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if c.TLS != (TLS{}) && !anySecure {
		return nil, fmt.Errorf("broker %q: TLS is configured, but the scheme does not use it; write ssl:// or wss://", redact(c.Broker))
	}
	return out, nil
}

// Dial opens a connection to the broker of a configuration, or to the first of its Fallbacks that can be reached, and says nothing on it: for who
// carries the packets of another process.
func Dial(ctx context.Context, cfg *Config) (net.Conn, error) {
	brokers, err := cfg.endpoints(true)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	var errs []error
	for i := range brokers {
		conn, err := brokers[i].dial(ctx, cfg.ConnectTimeout)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("mqtt: %w", errors.Join(errs...))
}

// dial opens the connection until ctx is done. Unlike paho's own way it reads no environment.
func (e *endpoint) dial(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	network := "tcp"
	switch {
	case e.web != "":
		return e.dialWeb(timeout)
	case e.unix:
		network = "unix"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, e.addr)
	if err != nil || e.secure == nil {
		return conn, err
	}
	t := tls.Client(conn, e.secure)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS with %s: %w", e.addr, err), conn.Close())
	}
	return t, nil
}

// dialWeb opens a WebSocket (RFC 6455; MQTT 3.1.1, section 6). The library has no context for it.
func (e *endpoint) dialWeb(timeout time.Duration) (net.Conn, error) {
	direct := func(*http.Request) (*url.URL, error) { return nil, nil }
	conn, err := paho.NewWebsocket(e.web, e.secure, timeout, nil, &paho.WebsocketOptions{Proxy: direct})
	if err != nil {
		return nil, fmt.Errorf("WebSocket with %s: %w", e.web, err)
	}
	return conn, nil
}
