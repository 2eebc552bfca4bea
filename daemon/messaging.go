package daemon

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"

	"siskin/daemon/config"
	"siskin/mqtt"
	"siskin/mqtt/embedded"
	"siskin/mqtt/message"
)

// openMessaging makes the embedded broker, if there is to be one, and the client. Both begin their work in Run.
func (d *Daemon) openMessaging() error {
	c := &d.config
	broker := c.MQTT.Broker
	if c.MQTT.Embedded.Enabled {
		b, err := d.openBroker()
		if err != nil {
			return fmt.Errorf("mqtt.embedded: %w", err)
		}
		d.broker = b
		broker = "tcp://" + reachable(b.Addr())
	}
	options, err := clientOptions(c)
	if err != nil {
		return err
	}
	if options.Broker = broker; d.broker != nil {
		options.Fallbacks = nil
	}
	p := d.pipeline
	for _, filter := range p.device.Inputs() {
		options.Subscriptions = append(options.Subscriptions, mqtt.Subscription{Filter: filter, QoS: 1})
	}
	options.Handler = p.receive
	options.LateAck = true
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
	p.tell = func(to string, payload []byte) error {
		return d.client.Publish(context.Background(), to, 0, false, payload)
	}
	return nil
}

// openBroker makes the embedded broker. Only an address that it would take itself is opened elsewhere.
func (d *Daemon) openBroker() (*embedded.Broker, error) {
	b := embedded.Config{Listen: d.config.MQTT.Embedded.Listen, Limits: brokerLimits(&d.config), Logger: d.Log}
	if err := b.Validate(); err != nil || d.Listen == nil {
		return embedded.New(b) // which says what is wrong
	}
	var err error
	if b.Listener, err = d.Listen("broker", b.Listen); err != nil {
		return nil, err
	}
	return embedded.New(b)
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
	o.Fallbacks = m.Fallbacks
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
