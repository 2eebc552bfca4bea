package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"siskin/daemon"
	"siskin/mqtt"
	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

// brokerFlags say which daemon to talk to.
type brokerFlags struct {
	Broker  string        `default:"tcp://127.0.0.1:1883" env:"SISKIN_BROKER" help:"Broker of the daemon: tcp://host:port, ssl://host:port, ws://host/path, wss://host/path or unix:///path."`
	Device  string        `env:"SISKIN_DEVICE" help:"Device name of the daemon; default: the one that is online at the broker."`
	User    string        `help:"User name at the broker."`
	Secret  string        `name:"password-file" type:"path" help:"File with the password on its first line."`
	CA      string        `name:"ca-file" type:"path" help:"PEM certificates that the broker's is checked against."`
	Timeout time.Duration `default:"5m" help:"How long to wait for an answer."`
}

// discoverTime is how long to listen for the status of daemons: it is retained, so it comes at once.
const discoverTime = 2 * time.Second

// asker asks a daemon over MQTT: what anybody's program would do, with the same topics and forms.
type asker struct {
	link    *mqtt.Link
	device  topic.Device
	inbox   chan mqtt.Message
	ended   chan error // Run's result
	timeout time.Duration
}

// dial connects to the broker and finds the daemon. Topics are those below the device's that are wanted beside those of requests.
func (f *brokerFlags) dial(ctx context.Context, topics ...string) (*asker, error) {
	id, err := message.NewID(rand.Reader)
	if err != nil {
		return nil, err
	}
	password, err := daemon.ReadSecret(f.Secret)
	if err != nil {
		return nil, err
	}
	a := &asker{inbox: make(chan mqtt.Message, inboxSize), ended: make(chan error, 1), timeout: f.Timeout}
	c := mqtt.Defaults(f.Broker, "siskin-ask-"+id)
	c.CleanSession, c.Attempts, c.KeepRetained = true, 3, true
	c.Username, c.Password, c.TLS.CAFile = f.User, password, f.CA
	c.MaxInbound = 4 << 20
	device := "+"
	if f.Device != "" {
		if a.device, err = topic.NewDevice(f.Device); err != nil {
			return nil, usageError{err}
		}
		device = f.Device
	}
	base := topic.Root + "/" + device + "/"
	for _, name := range append(topics, "status", "accepted/+", "delta/+", "answer/+") {
		c.Subscriptions = append(c.Subscriptions, mqtt.Subscription{Filter: base + name, QoS: 1})
	}
	c.Handler = a.receive
	if a.link, err = mqtt.New(c); err != nil {
		return nil, usageError{err}
	}
	go func() { a.ended <- a.link.Run(ctx) }()
	if err := a.discover(ctx, f); err != nil {
		return nil, errors.Join(err, a.link.Close())
	}
	return a, nil
}

// inboxSize holds the deltas of a fast model while the terminal is slow.
const inboxSize = 4096

// receive hands a message on; what finds no room was a delta of somebody else's flood.
func (a *asker) receive(m mqtt.Message) {
	select {
	case a.inbox <- m:
	default:
	}
}

// discover waits until the daemon, or any one if none is named, says that it is online.
func (a *asker) discover(ctx context.Context, f *brokerFlags) error {
	limit := time.NewTimer(discoverTime + 10*time.Second)
	defer limit.Stop()
	for {
		select {
		case err := <-a.ended:
			return fmt.Errorf("broker %s: %w; is the daemon or its broker running?", f.Broker, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("no daemon is online at %s; start one with 'siskin run', or name it with --device", f.Broker)
		case m := <-a.inbox:
			device, kind, _ := topic.Parse(m.Topic)
			if kind != topic.KindStatus {
				continue
			}
			status, err := message.ParseStatus(m.Payload)
			if err != nil || status.State != message.Online {
				continue
			}
			a.device, err = topic.NewDevice(device)
			return err
		}
	}
}

// ask publishes a request and waits for its answer; deltas go to show as they come. When ctx ends the request is
// cancelled at the daemon.
func (a *asker) ask(ctx context.Context, r message.Request, show func(text string)) (message.Answer, error) {
	id, err := message.NewID(rand.Reader)
	if err != nil {
		return message.Answer{}, err
	}
	r.ID = id
	payload, err := r.Encode()
	if err != nil {
		return message.Answer{}, err
	}
	timeout, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := a.link.Publish(timeout, a.device.Prompt(), 1, false, payload); err != nil {
		return message.Answer{}, fmt.Errorf("publish the prompt: %w", err)
	}
	shown := shownText{show: show}
	for {
		select {
		case err := <-a.ended:
			return message.Answer{}, fmt.Errorf("connection to the broker: %w", err)
		case <-timeout.Done():
			return message.Answer{}, a.giveUp(ctx, id)
		case m := <-a.inbox:
			_, kind, of := topic.Parse(m.Topic)
			if of != id {
				continue
			}
			switch kind {
			case topic.KindDelta:
				if d, err := message.ParseDelta(m.Payload); err == nil {
					shown.delta(d)
				}
			case topic.KindAnswer:
				answer, err := message.ParseAnswer(m.Payload)
				if err == nil && answer.Status == message.OK {
					shown.rest(answer.Text)
				}
				return answer, err
			}
		}
	}
}

// giveUp cancels a request that nobody waits for any more.
func (a *asker) giveUp(ctx context.Context, id string) error {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := a.link.Publish(late, a.device.Cancel(), 1, false, message.Cancel{ID: id}.Encode())
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return errors.Join(fmt.Errorf("no answer within %v; the request is cancelled", a.timeout), err)
}

func (a *asker) close() error { return a.link.Close() }

// shownText prints deltas in order; after a lost one it waits for the whole answer.
type shownText struct {
	show func(string)
	next int // number of the delta that comes next
	text int // bytes shown
}

func (s *shownText) delta(d message.Delta) {
	if d.Seq == s.next {
		s.show(d.Delta)
		s.next++
		s.text += len(d.Delta)
	}
}

// rest prints what the deltas have not brought.
func (s *shownText) rest(text string) {
	if s.text < len(text) {
		s.show(text[s.text:])
	}
}
