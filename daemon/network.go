package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"siskin/daemon/config"
	"siskin/daemon/relay"
	"siskin/mqtt"
	"siskin/mqtt/embedded"
	"siskin/mqtt/topic"
)

// Network is the role messaging: the part of a divided daemon that has the network, the certificates and the embedded broker. The other
// part, which has the model, the prompts and the journal, reaches the broker through a socket (config.Daemon.Socket), over which MQTT
// goes as it is.
type Network struct {
	broker *embedded.Broker // nil unless the configuration asks for one
	relay  *relay.Relay
}

// NewNetwork takes the socket, and the address of the embedded broker.
func NewNetwork(c config.Config, o Options) (n *Network, err error) {
	device, err := topic.NewDevice(c.Device)
	if err != nil {
		return nil, err
	}
	options, err := clientOptions(&c)
	if err != nil {
		return nil, err
	}
	n = &Network{}
	if c.MQTT.Embedded.Enabled {
		if n.broker, err = openBroker(&c, &o, device); err != nil {
			return nil, fmt.Errorf("mqtt.embedded: %w", err)
		}
		if err := ownConnection(&c, n.broker, &options); err != nil {
			return nil, errors.Join(fmt.Errorf("mqtt.embedded: %w", err), n.broker.Close())
		}
	}
	n.relay, err = relay.Listen(c.Daemon.Socket, func(ctx context.Context) (net.Conn, error) { return mqtt.Dial(ctx, &options) }, o.Log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("daemon.socket: %w", err), n.Close())
	}
	return n, nil
}

// Broker returns the address of the embedded broker, or "".
func (n *Network) Broker() string {
	if n.broker == nil {
		return ""
	}
	return n.broker.Addr()
}

// Run serves until ctx ends, or a part fails.
func (n *Network) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	var first failure
	start := func(run func(context.Context) error) {
		parts.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				first.set(err)
			}
			cancel()
		})
	}
	start(n.relay.Run)
	if n.broker != nil {
		start(n.broker.Run)
	}
	parts.Wait()
	return first.get()
}

// Close frees what NewNetwork took; after Run there is nothing left.
func (n *Network) Close() error {
	var errs []error
	if n.relay != nil {
		errs = append(errs, n.relay.Close())
	}
	if n.broker != nil {
		errs = append(errs, n.broker.Close())
	}
	return errors.Join(errs...)
}
