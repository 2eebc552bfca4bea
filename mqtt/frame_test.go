package mqtt

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/packets"
)

// published is the bytes of a PUBLISH of QoS 1.
func published(t testing.TB, payload string, users int) []byte {
	t.Helper()
	p := &packets.Publish{Topic: "in", QoS: 1, PacketID: 7, Payload: []byte(payload), Properties: &packets.Properties{ResponseTopic: "back"}}
	for range users {
		p.Properties.User = append(p.Properties.User, packets.User{Key: "k", Value: strings.Repeat("v", 60000)})
	}
	b, err := encodePacket(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A long PUBLISH is cut, wherever the cut comes, and the packet behind it is read.
func TestFrames(t *testing.T) {
	const limit = 100 << 10
	for _, tt := range []struct {
		payload, users int
		cut, replies   bool
		least          int // bytes of payload that are left
	}{
		{5, 0, false, true, 5},
		{limit - 200, 0, false, true, limit - 200},
		{1 << 20, 0, true, true, limit - 100},
		{5, 1, false, true, 5},
		{1 << 20, 1, true, true, 30 << 10},
		{5, 10, true, false, 0}, // the properties do not fit: without them
	} {
		r := bufio.NewReader(bytes.NewReader(append(published(t, strings.Repeat("x", tt.payload), tt.users), published(t, "next", 0)...)))
		f, err := readFrame(r, limit)
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.decode()
		if err != nil {
			t.Fatalf("%+v: %v", tt, err)
		}
		m := p.(*packets.Publish)
		if f.cut != tt.cut || m.Topic != "in" || m.PacketID != 7 || len(m.Payload) < tt.least || len(m.Payload) > min(tt.payload, limit) {
			t.Errorf("%+v: cut %v, topic %q, id %d, %d bytes", tt, f.cut, m.Topic, m.PacketID, len(m.Payload))
		}
		if (m.Properties.ResponseTopic == "back") != tt.replies {
			t.Errorf("%+v: response topic %q", tt, m.Properties.ResponseTopic)
		}
		if f, err = readFrame(r, limit); err != nil {
			t.Fatal(err)
		}
		if p, err = f.decode(); err != nil || string(p.(*packets.Publish).Payload) != "next" {
			t.Errorf("%+v: the next packet is %v, %v", tt, p, err)
		}
	}
}

// FuzzFrame reads packets of a hostile broker: an error, or a packet, never a panic, and never more memory than the limit.
func FuzzFrame(f *testing.F) {
	f.Add(published(f, "x", 1))
	f.Add([]byte("\x20\x03\x00\x00\x00\x90\x05\x00\x01\x00\x00\x00"))
	f.Add([]byte("\xe0\x00\x40\x02\x00\x01"))
	f.Add([]byte("\xe0\x09\x8e\x07\x1f\x00\x04gone"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		for {
			got, err := readFrame(r, 1000)
			if err != nil {
				return
			}
			if len(got.body) > maxControl5 || got.kind() == packets.PUBLISH && len(got.body) > 1000 {
				t.Fatalf("%d bytes of type %d", len(got.body), got.kind())
			}
			if _, err := got.decode(); err != nil && !errors.Is(err, errPacket) {
				t.Fatal(err)
			}
		}
	})
}
