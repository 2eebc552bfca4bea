package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"siskin/daemon/config"
	"siskin/daemon/outbox"
	"siskin/mqtt"
	"siskin/mqtt/embedded"
	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

// openMessaging makes the embedded broker, if there is to be one, and the client. Both begin their work in Run.
func (d *Daemon) openMessaging() error {
	c := &d.config
	if c.MQTT.Embedded.Enabled {
		b, err := openBroker(c, &d.Options, d.pipeline.device)
		if err != nil {
			return fmt.Errorf("mqtt.embedded: %w", err)
		}
		d.broker = b
	}
	options, err := clientOptions(c)
	if err != nil {
		return err
	}
	if d.broker != nil {
		if err := ownConnection(c, d.broker, &options); err != nil {
			return fmt.Errorf("mqtt.embedded: %w", err)
		}
	}
	p := d.pipeline
	for _, filter := range p.device.Inputs() {
		options.Subscriptions = append(options.Subscriptions, mqtt.Subscription{Filter: filter, QoS: 1})
	}
	options.Handler = p.receive
	options.LateAck = true
	if p.sources != nil {
		options.KeepRetained = true // what a sensor said last; receive drops all others
		for _, filter := range p.sources.Filters() {
			options.Subscriptions = append(options.Subscriptions, mqtt.Subscription{Filter: filter, QoS: 0})
		}
	}
	if h := p.home; h != nil {
		options.Subscriptions = append(options.Subscriptions, mqtt.Subscription{Filter: h.device.StatusTopic(), QoS: 1})
		options.Up = h.announce
	}
	options.MaxInbound = p.rules.Load().limits.PayloadBytes
	if p.voice != nil {
		for _, name := range p.voice.topics() {
			options.Subscriptions = append(options.Subscriptions, mqtt.Subscription{Filter: name, QoS: 1})
		}
	}
	options.StatusTopic = p.device.Status()
	options.Online = func() []byte { return d.status(message.Online) }
	options.Offline = d.status(message.Offline)
	options.Logger = d.Log
	if d.client, err = mqtt.New(options); err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	if err := d.openPool(c, options); err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	p.tell = func(m mqtt.Outgoing) error { return d.client.Send(context.Background(), m) }
	return nil
}

// publish hands a message of the outbox to the broker. One that no broker takes, or this one refuses for good, is dropped: behind it
// all others would wait.
func (d *Daemon) publish(ctx context.Context, m outbox.Message) error {
	err := d.client.Send(ctx, mqtt.Outgoing{Topic: m.Topic, QoS: 1, Retain: m.Retain, Payload: m.Payload, Correlation: m.Correlation})
	if errors.Is(err, mqtt.ErrMessage) || errors.Is(err, mqtt.ErrUnwanted) {
		d.Log.Error("message dropped", "err", err)
		return nil
	}
	return err
}

// openBroker makes the embedded broker. Only an address that it would take itself is opened elsewhere.
func openBroker(c *config.Config, o *Options, device topic.Device) (*embedded.Broker, error) {
	e := &c.MQTT.Embedded
	b := embedded.Config{Listen: e.Listen, Limits: brokerLimits(c), Logger: o.Log}
	if folder := journalFolder(c, o); e.Persistence && folder != "" {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		b.StateFile = filepath.Join(folder, device.Name()+".broker")
	}
	if err := secureBroker(&b, e); err != nil {
		return nil, err
	}
	if err := b.Validate(); err != nil || o.Listen == nil {
		return embedded.New(b) // which says what is wrong
	}
	var err error
	if b.Listener, err = o.Listen("broker", b.Listen); err != nil {
		return nil, err
	}
	return embedded.New(b)
}

// secureBroker reads who may use the embedded broker, and how it is encrypted.
func secureBroker(b *embedded.Config, e *config.Embedded) (err error) {
	read := func(key, path string, use func(data []byte) error) {
		if path == "" || err != nil {
			return
		}
		data, readErr := os.ReadFile(path)
		if readErr == nil {
			readErr = use(data)
		}
		if readErr != nil {
			err = fmt.Errorf("%s: %s: %w", key, path, readErr)
		}
	}
	read("users_file", e.UsersFile, func(data []byte) (err error) { b.Users, err = embedded.ParseUsers(data); return err })
	read("acl_file", e.ACLFile, func(data []byte) (err error) { b.ACL, err = embedded.ParseACL(data); return err })
	if e.CertFile == "" || err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
	if err != nil {
		return fmt.Errorf("cert_file, key_file: %w", err)
	}
	b.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	read("client_ca_file", e.ClientCAFile, func(data []byte) error {
		b.TLS.ClientCAs, b.CertRequired = x509.NewCertPool(), true
		if !b.TLS.ClientCAs.AppendCertsFromPEM(data) {
			return errors.New("it holds no certificate in PEM form")
		}
		return nil
	})
	return err
}

// ownConnection lets the daemon's client into its own broker: it trusts the very certificate that the broker has.
func ownConnection(c *config.Config, b *embedded.Broker, o *mqtt.Config) error {
	o.Broker, o.Fallbacks, o.TLS = "tcp://"+reachable(b.Addr()), nil, mqtt.TLS{}
	o.Username, o.Password = b.Owner()
	file := c.MQTT.Embedded.CertFile
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("cert_file: %s holds no certificate in PEM form", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("cert_file: %s: %w", file, err)
	}
	o.Broker = "ssl://" + reachable(b.Addr())
	o.TLS = mqtt.TLS{CAFile: file}
	switch {
	case len(cert.DNSNames) > 0:
		o.TLS.ServerName = cert.DNSNames[0]
	case len(cert.IPAddresses) > 0:
		o.TLS.ServerName = cert.IPAddresses[0].String()
	default:
		return fmt.Errorf("cert_file: %s names no host (subject alternative name), so no client accepts it", file)
	}
	return nil
}

// brokerLimits lets the embedded broker hold as many bytes for clients that are away as the daemon queues.
func brokerLimits(c *config.Config) embedded.Limits {
	limits := embedded.DefaultLimits()
	limits.HeldBytes = min(limits.HeldBytes, int64(c.Queue.MaxBytes))
	return limits
}

// reachable replaces the address of all interfaces by the one that this machine has for itself.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// clientOptions translates the configuration of the connection; it reads the password.
func clientOptions(c *config.Config) (mqtt.Config, error) {
	m := &c.MQTT
	id := m.ClientID
	if id == "" {
		id = "siskin-" + c.Device
	}
	o := mqtt.Defaults(m.Broker, id)
	o.Fallbacks, o.Protocol = m.Fallbacks, m.Protocol
	if o.Protocol == "auto" {
		o.Protocol = mqtt.ProtocolAuto
	}
	o.KeepAlive = m.KeepAlive.Duration
	o.Username = m.Username
	o.TLS = mqtt.TLS{CAFile: m.CAFile, CertFile: m.CertFile, KeyFile: m.KeyFile}
	password, err := ReadSecret(m.PasswordFile)
	if err != nil {
		return o, fmt.Errorf("mqtt.password_file: %w", err)
	}
	o.Password = password
	if err := o.Validate(); err != nil {
		return o, fmt.Errorf("mqtt: %w", err)
	}
	return o, nil
}

// ReadSecret returns the first line of a file, without its end: password files of editors and of systemd credentials end
// differently. No path is no secret.
func ReadSecret(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}
