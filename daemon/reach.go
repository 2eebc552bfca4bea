package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"siskin/daemon/config"
	"siskin/mqtt"
	"siskin/mqtt/topic"
)

// reachEvery is how often Reach looks whether the connection is there.
const reachEvery = 20 * time.Millisecond

// Reach connects to the broker of a configuration as the daemon would, with its subscriptions but under a client id of its own, so that a
// daemon that runs is not thrown out, and leaves again. It says why not, at the latest when ctx ends. It is for a person who looks for
// faults.
func Reach(ctx context.Context, c config.Config, log *slog.Logger) error {
	c.MQTT.ClientID = fmt.Sprintf("siskin-doctor-%08x", rand.Uint32())
	options, err := clientOptions(&c)
	if err != nil {
		return err
	}
	device, err := topic.NewDevice(c.Device)
	if err != nil {
		return err
	}
	options.CleanSession, options.Attempts, options.Logger = true, 1+len(options.Fallbacks), log
	options.Subscriptions = []mqtt.Subscription{{Filter: device.Status(), QoS: 1}} // what is for the daemon stays for the daemon
	options.Handler = func(mqtt.Message) {}
	link, err := mqtt.New(options)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- link.Run(running) }()
	tick := time.NewTicker(reachEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return errors.Join(err, ctx.Err(), link.Close())
		case <-tick.C:
			if link.Connected() {
				stop()
				return errors.Join(<-ended, link.Close())
			}
		}
	}
}
