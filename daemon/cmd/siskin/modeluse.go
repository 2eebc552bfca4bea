package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"siskin/daemon/store"
	"siskin/mqtt/topic"
)

type useCommand struct {
	brokerFlags
	Name string `arg:"" optional:"" help:"Name of the model, as 'siskin model list' shows it; default: the one of the configuration."`
}

// Run publishes the choice and waits for what the daemon says to it: the state of the model, or an event about why it stays.
func (c *useCommand) Run(ctx context.Context, s *streams) (err error) {
	a, err := c.dial(ctx, "model", "event")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	name := store.Name(c.Name)
	if c.Name == "" {
		name = ""
	}
	if err := a.link.Publish(ctx, a.device.ModelSet(), 1, false, []byte(name)); err != nil {
		return fmt.Errorf("publish the choice: %w", err)
	}
	for {
		select {
		case err := <-a.ended:
			return fmt.Errorf("connection to the broker: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("no other model within %v: the daemon finishes the answers under way first, then it changes", c.Timeout.Round(time.Second))
		case m := <-a.inbox:
			var said struct {
				Installed string `json:"installed_version"`
				ID, Text  string
			}
			if m.Retained || json.Unmarshal(m.Payload, &said) != nil {
				continue
			}
			switch {
			case m.Topic == a.device.Event() && said.ID == topic.KindModelSet.String():
				return errors.New(said.Text)
			case m.Topic == a.device.Model() && (said.Installed == name || name == ""):
				_, err := fmt.Fprintln(s.out, said.Installed, "answers now")
				return err
			}
		}
	}
}
