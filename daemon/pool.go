package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"siskin/daemon/config"
	"siskin/mqtt"
	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

// pool takes requests that a group of devices shares. It has a connection of its own, whose session ends with it: a broker parks
// messages of a shared subscription for a member that is away and keeps its session, and nobody else gets them.
//
// A request that is accepted is this device's until its lease ends, which is its deadline: if the device dies, whoever asked sends the
// same id again, and another one answers; back again after the lease, this one answers that it is expired.
type pool struct {
	p         *pipeline
	group     topic.Group
	lease     time.Duration
	options   mqtt.Config
	high, low int // requests that wait, from which on the device leaves the group, and joins again
}

// openPool prepares the connection of the group, if the configuration names one; options are those of the device's own.
func (d *Daemon) openPool(c *config.Config, options mqtt.Config) error {
	if c.MQTT.Group == "" {
		return nil
	}
	group, err := topic.NewGroup(c.MQTT.Group)
	if err != nil {
		return fmt.Errorf("mqtt.group: %w", err)
	}
	l := &pool{p: d.pipeline, group: group, lease: c.MQTT.Lease.Duration}
	l.high = max(1, min(c.Queue.MaxRequests/2, poolBacklog*c.Model.Parallel))
	l.low = l.high / 2
	options.ClientID += "-pool"
	options.CleanSession, options.KeepRetained = true, false
	options.Subscriptions = []mqtt.Subscription{{Filter: group.Filter(), QoS: 1}}
	options.StatusTopic, options.Online, options.Offline, options.Up = "", nil, nil, nil
	l.options = options
	d.pipeline.pool = l
	_, err = mqtt.New(options) // to know now what is wrong with it
	return err
}

// poolBacklog is how many requests may wait for each answer that grows before others of the group are better off with them.
const poolBacklog = 4

// admit makes a request of the group's one that this device can take: its answer goes where the group's answers go.
func (l *pool) admit(r *message.Request) {
	if r.ReplyTo == "" {
		r.ReplyTo = l.group.Answer(r.ID)
	}
	if r.Deadline == 0 || r.Deadline > l.lease {
		r.Deadline = l.lease
	}
}

// poolCheck is how often the length of the queue is looked at.
const poolCheck = 50 * time.Millisecond

// run is a member of the group while there is room in the queue, until ctx ends.
func (l *pool) run(ctx context.Context) error {
	tick := time.NewTicker(poolCheck)
	defer tick.Stop()
	for ctx.Err() == nil {
		link, err := mqtt.New(l.options)
		if err != nil {
			return err
		}
		member, leave := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- link.Run(member) }()
		for full := false; !full && ctx.Err() == nil; {
			select {
			case <-tick.C:
				full = l.p.queue.Depth() >= l.high
			case <-ctx.Done():
			case err := <-done:
				leave()
				return errors.Join(err, ctx.Err())
			}
		}
		leave()
		if err := <-done; err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() == nil {
			l.p.log.Info("left the group: enough waits here", "requests", l.p.queue.Depth())
		}
		for l.p.queue.Depth() > l.low && ctx.Err() == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
	return nil
}
