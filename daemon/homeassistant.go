package daemon

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/memory"
	"siskin/daemon/outbox"
	"siskin/mqtt/homeassistant"
	"siskin/mqtt/message"
)

// home shows the device to Home Assistant. Its methods may be called from any goroutine.
type home struct {
	p       *pipeline
	device  homeassistant.Device
	model   string
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
		p: p, model: d.engine.name, wake: make(chan struct{}, 1),
		device: homeassistant.Device{Topics: p.device, Prefix: c.HomeAssistant.Prefix, Version: d.Version},
	}
	h.metrics = func() homeassistant.Metrics {
		m := homeassistant.Metrics{Queue: p.queue.Depth(), Budget: d.engine.plan.Budget, TokensPerSecond: h.lastSpeed()}
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
	names, err := h.p.adapters.List()
	if err != nil {
		h.p.log.Warn("home assistant: adapters cannot be listed", "err", err)
	}
	d.Adapters = names
	payload, err := d.Config()
	h.put(d.ConfigTopic(), payload, true, err)
	payload, err = homeassistant.Update(h.model)
	h.put(h.p.device.Update(), payload, true, err)
	h.p.sayAdapter()
}

func (h *home) publishMetrics() {
	payload, err := h.metrics().Encode()
	h.put(h.p.device.Metrics(), payload, false, err)
}

func (h *home) put(to string, payload []byte, retain bool, err error) {
	if err == nil {
		err = h.p.outbox.Put(outbox.Message{Topic: to, Payload: payload, Retain: retain})
	}
	if err != nil {
		h.p.log.Error("home assistant: message dropped", "topic", to, "err", err)
	}
}

// answered shows an answer.
func (h *home) answered(a *message.Answer) {
	if a.Timing.DecodeMs > 0 {
		h.mu.Lock()
		h.speed = float64(a.Usage.CompletionTokens) / float64(a.Timing.DecodeMs) * 1000
		h.mu.Unlock()
	}
	payload, err := homeassistant.Event(a)
	h.put(h.p.device.Event(), payload, false, err)
	payload, err = homeassistant.Last(a)
	h.put(h.p.device.Last(), payload, true, err)
	h.publishMetrics()
}

func (h *home) lastSpeed() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.speed
}

// chooseAdapter sets the adapter of requests that name none, and says so. A name that is not there changes nothing.
func (p *pipeline) chooseAdapter(name string) {
	name = strings.TrimSpace(name)
	if name == "" || name == homeassistant.None {
		p.adapter.Store(nil)
	} else {
		names, err := p.adapters.List()
		if err != nil || !slices.Contains(names, name) {
			p.log.Warn("an adapter was chosen that is not there", "adapter", name, "err", err)
		} else {
			p.adapter.Store(&name)
		}
	}
	p.sayAdapter()
}

// sayAdapter publishes the adapter in use.
func (p *pipeline) sayAdapter() {
	name := homeassistant.None
	if chosen := p.adapter.Load(); chosen != nil {
		name = *chosen
	}
	if err := p.outbox.Put(outbox.Message{Topic: p.device.Adapter(), Payload: []byte(name), Retain: true}); err != nil {
		p.log.Error("message dropped", "err", err)
	}
}
