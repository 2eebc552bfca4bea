package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"siskin/daemon"
	"siskin/daemon/config"
)

// withoutNetwork is the configuration of the role inference, if that is asked for.
func (c *runCommand) withoutNetwork(settings config.Config, log *slog.Logger) config.Config {
	if c.Role != "inference" {
		return settings
	}
	settings, unused := settings.ForInference()
	if len(unused) > 0 {
		log.Warn("the role inference has no network: settings without effect", "settings", strings.Join(unused, " "))
	}
	return settings
}

// carry runs the role messaging until ctx ends, and tells the service manager how it goes.
func carry(ctx context.Context, settings config.Config, log *slog.Logger) (err error) {
	m, err := openManager(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	o := options(&settings, log)
	o.Listen = m.listen
	n, err := daemon.NewNetwork(settings, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	status := "carrying " + settings.Daemon.Socket + " to " + settings.MQTT.Broker
	if n.Broker() != "" {
		status = "carrying " + settings.Daemon.Socket + " to the broker of its own at " + n.Broker()
	}
	log.Info("ready", "role", "messaging", "socket", settings.Daemon.Socket, "broker", n.Broker())
	warn(log, m.Ready(status))
	err = n.Run(ctx)
	warn(log, m.Stopping())
	return err
}
