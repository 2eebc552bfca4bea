package daemon

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/memory"
	"siskin/daemon/store"
	"siskin/mqtt/homeassistant"
	"siskin/mqtt/message"
)

// home shows the device to Home Assistant. Its methods may be called from any goroutine.
type home struct {
	p       *pipeline
	device  homeassistant.Device
	folder  func() string // of models
	metrics func() homeassistant.Metrics
	wake    chan struct{} // capacity 1: the discovery is to be published

	mu    sync.Mutex
	speed float64 // of the last answer, tokens a second
}

// openHome prepares the adapter for Home Assistant, if the configuration says so.
func (d *Daemon) openHome(c *config.Config) {
	if !c.HomeAssistant.Enabled {
		return
	}
	p := d.pipeline
	h := &home{
		p: p, folder: d.modelFolder, wake: make(chan struct{}, 1),
		device: homeassistant.Device{Topics: p.device, Prefix: c.HomeAssistant.Prefix, Version: d.Version},
	}
	h.metrics = func() homeassistant.Metrics {
		m := homeassistant.Metrics{Queue: p.queue.Depth(), Budget: d.engine.Load().plan.Budget, TokensPerSecond: h.lastSpeed()}
		if d.Root != nil {
			u := memory.ReadUsage(d.Root)
			m.Memory = u.Anonymous + u.File
		}
		return m
	}
	p.home = h
}

// announce asks for the discovery; it does not wait.
func (h *home) announce() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// born is what Home Assistant says of itself.
func (h *home) born(payload []byte) {
	if strings.TrimSpace(string(payload)) == homeassistant.Online {
		h.announce()
	}
}

// metricsEvery is how often the numbers are published while nothing happens.
const metricsEvery = time.Minute

// run publishes the discovery when it is asked for, and numbers.
func (h *home) run(ctx context.Context) {
	tick := time.NewTicker(metricsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
			h.discover()
		case <-tick.C:
		}
		h.publishMetrics()
	}
}

// discover publishes the discovery and the retained states behind it.
func (h *home) discover() {
	d := h.device
	var err error
	if d.Adapters, err = h.p.adapters().List(); err != nil {
		h.p.log.Warn("home assistant: adapters cannot be listed", "err", err)
	}
	if d.Models, err = store.Answering(h.folder()); err != nil {
		h.p.log.Warn("home assistant: models cannot be listed", "err", err)
	}
	if name := h.p.running().name; !slices.Contains(d.Models, name) { // its file may be gone
		d.Models = append(d.Models, name)
	}
	d.Tasks = h.p.rules.Load().tasks.Names()
	payload, err := d.Config()
	h.p.say(d.ConfigTopic(), payload, true, err)
	h.p.sayModel()
	h.p.sayAdapter()
	h.p.sayTask()
}

func (h *home) publishMetrics() {
	payload, err := h.metrics().Encode()
	h.p.say(h.p.device.Metrics(), payload, false, err)
}

// answered shows an answer.
func (h *home) answered(a *message.Answer) {
	if a.Timing.DecodeMs > 0 {
		h.mu.Lock()
		h.speed = float64(a.Usage.CompletionTokens) / float64(a.Timing.DecodeMs) * 1000
		h.mu.Unlock()
	}
	payload, err := homeassistant.Event(a)
	h.p.say(h.p.device.Event(), payload, false, err)
	payload, err = homeassistant.Last(a)
	h.p.say(h.p.device.Last(), payload, true, err)
	h.publishMetrics()
}

func (h *home) lastSpeed() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.speed
}
