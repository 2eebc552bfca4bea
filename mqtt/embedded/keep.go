package embedded

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// keptVersion is that of the form of a state file.
const keptVersion = 1

// saveEvery is how often the state is saved while something changes: what came since is lost in a crash, as with mosquitto's
// autosave_interval, so clients that want to be sure send again.
const saveEvery = 5 * time.Second

// kept is what survives a restart: sessions with their subscriptions and queues, and retained messages.
type kept struct {
	V        int           `json:"v"`
	Sessions []keptSession `json:"sessions"`
	Retained []keptMessage `json:"retained"`
}

type keptSession struct {
	ID       string                 `json:"id"`
	Username []byte                 `json:"username,omitempty"`
	Version  byte                   `json:"version"`
	Expiry   uint32                 `json:"expiry,omitempty"`
	HasExp   bool                   `json:"has_expiry,omitempty"`
	Filters  []packets.Subscription `json:"filters,omitempty"`
	Queue    []keptMessage          `json:"queue,omitempty"`
}

type keptMessage struct {
	Topic    string             `json:"topic"`
	Payload  []byte             `json:"payload"`
	QoS      byte               `json:"qos"`
	Retain   bool               `json:"retain,omitempty"`
	Dup      bool               `json:"dup,omitempty"`
	Type     byte               `json:"type"`
	PacketID uint16             `json:"packet_id,omitempty"`
	Created  int64              `json:"created"`
	Expiry   int64              `json:"expiry,omitempty"`
	Version  byte               `json:"version"`
	Origin   string             `json:"origin,omitempty"`
	Props    packets.Properties `json:"props"`
}

func keep(pk packets.Packet) keptMessage {
	return keptMessage{
		Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain, Dup: pk.FixedHeader.Dup, Type: pk.FixedHeader.Type,
		PacketID: pk.PacketID, Created: pk.Created, Expiry: pk.Expiry, Version: pk.ProtocolVersion, Origin: pk.Origin, Props: pk.Properties,
	}
}

func (m *keptMessage) packet() packets.Packet {
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: m.Type, Qos: m.QoS, Retain: m.Retain, Dup: m.Dup},
		TopicName:   m.Topic, Payload: m.Payload, PacketID: m.PacketID, Created: m.Created, Expiry: m.Expiry, ProtocolVersion: m.Version, Origin: m.Origin,
		Properties: m.Props,
	}
}

// lasting reports whether a session outlives its connection.
func lasting(cl *broker.Client) bool {
	p := &cl.Properties
	if p.ProtocolVersion == 5 {
		return p.Props.SessionExpiryInterval > 0
	}
	return !p.Clean
}

// collect encodes what is to be kept.
func (b *Broker) collect() ([]byte, error) {
	k := kept{V: keptVersion, Sessions: []keptSession{}, Retained: []keptMessage{}}
	for id, cl := range b.server.Clients.GetAll() {
		if cl.Net.Inline || !lasting(cl) {
			continue
		}
		s := keptSession{
			ID: id, Username: cl.Properties.Username, Version: cl.Properties.ProtocolVersion,
			Expiry: cl.Properties.Props.SessionExpiryInterval, HasExp: cl.Properties.Props.SessionExpiryIntervalFlag,
		}
		for _, f := range cl.State.Subscriptions.GetAll() {
			s.Filters = append(s.Filters, f)
		}
		slices.SortFunc(s.Filters, func(x, y packets.Subscription) int { return cmp.Compare(x.Filter, y.Filter) })
		for _, pk := range cl.State.Inflight.GetAll(false) {
			s.Queue = append(s.Queue, keep(pk))
		}
		slices.SortFunc(s.Queue, func(x, y keptMessage) int { return cmp.Compare(x.PacketID, y.PacketID) })
		k.Sessions = append(k.Sessions, s)
	}
	slices.SortFunc(k.Sessions, func(x, y keptSession) int { return cmp.Compare(x.ID, y.ID) })
	for _, pk := range b.server.Topics.Retained.GetAll() {
		k.Retained = append(k.Retained, keep(pk))
	}
	slices.SortFunc(k.Retained, func(x, y keptMessage) int { return cmp.Compare(x.Topic, y.Topic) })
	return json.Marshal(k)
}

// save writes the state, if it is another than the one that was saved last.
func (b *Broker) save() error {
	if b.stateFile == "" {
		return nil
	}
	data, err := b.collect()
	if err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	b.saving.Lock()
	defer b.saving.Unlock()
	if string(data) == string(b.saved) {
		return nil
	}
	if err := replace(b.stateFile, data); err != nil {
		return fmt.Errorf("embedded broker: state is not saved: %w", err)
	}
	b.saved = data
	return nil
}

// replace writes a file in one step, for its owner alone.
func replace(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".broker-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// load gives the engine what was kept, before clients come in. A file that cannot be read is put aside: a broker without memory is
// better than none.
func (b *Broker) load() error {
	if b.stateFile == "" {
		return nil
	}
	data, err := os.ReadFile(b.stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var k kept
	if err = json.Unmarshal(data, &k); err == nil && k.V != keptVersion {
		err = fmt.Errorf("its form is of version %d, want %d", k.V, keptVersion)
	}
	if err != nil {
		b.log.Error("embedded broker: what was kept cannot be read and is put aside", "file", b.stateFile, "error", err)
		return os.Rename(b.stateFile, b.stateFile+".bad")
	}
	last := int64(0)
	for _, s := range k.Sessions {
		cl := b.server.NewClient(nil, b.listener.ID(), s.ID, false)
		cl.Properties.Username, cl.Properties.ProtocolVersion = s.Username, s.Version
		cl.Properties.Props.SessionExpiryInterval, cl.Properties.Props.SessionExpiryIntervalFlag = s.Expiry, s.HasExp
		cl.Stop(packets.ErrServerShuttingDown) // it is not connected
		b.server.Clients.Add(cl)
		for _, f := range s.Filters {
			b.server.Topics.Subscribe(s.ID, f)
			cl.State.Subscriptions.Add(f.Filter, f)
		}
		for i := range s.Queue {
			cl.State.Inflight.Set(s.Queue[i].packet())
			last = max(last, s.Queue[i].Created)
		}
	}
	for i := range k.Retained {
		b.server.Topics.RetainMessage(k.Retained[i].packet())
	}
	b.repair.startAt(last)
	b.log.Info("embedded broker: sessions and retained messages are back", "sessions", len(k.Sessions), "retained", len(k.Retained))
	return nil
}
