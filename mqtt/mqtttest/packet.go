package mqtttest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// Type is the type of a control packet (MQTT 3.1.1, table 2.1).
type Type byte

// The types that tests name.
const (
	Connect    Type = 1
	Connack    Type = 2
	Publish    Type = 3
	Puback     Type = 4
	Pubrec     Type = 5
	Pubrel     Type = 6
	Pubcomp    Type = 7
	Subscribe  Type = 8
	Suback     Type = 9
	Pingreq    Type = 12
	Pingresp   Type = 13
	Disconnect Type = 14
)

// maxPacket bounds what is read; tests send a little over 1 MiB.
const maxPacket = 8 << 20

// Packet is a control packet: its first byte and what follows the length.
type Packet struct {
	First byte
	Body  []byte
}

// Type gives the type of the packet.
func (p Packet) Type() Type { return Type(p.First >> 4) }

// Bytes gives the packet as it is on the wire.
func (p Packet) Bytes() []byte {
	out := []byte{p.First}
	n := len(p.Body)
	for {
		b := byte(n % 128)
		if n /= 128; n > 0 {
			out = append(out, b|128)
			continue
		}
		return append(append(out, b), p.Body...)
	}
}

// ReadPacket reads one packet.
func ReadPacket(r *bufio.Reader) (Packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return Packet{}, err
	}
	n, shift := 0, 0
	for {
		b, err := r.ReadByte()
		if err != nil {
			return Packet{}, err
		}
		n |= int(b&127) << shift
		if b&128 == 0 {
			break
		}
		if shift += 7; shift > 21 {
			return Packet{}, errors.New("packet length of more than 4 bytes")
		}
	}
	if n > maxPacket {
		return Packet{}, errors.New("packet too long for a test")
	}
	p := Packet{First: first, Body: make([]byte, n)}
	_, err = io.ReadFull(r, p.Body)
	return p, err
}

// id gives the packet identifier of all types that start with it.
func (p Packet) id() uint16 {
	if len(p.Body) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(p.Body)
}

// Message is a PUBLISH that came in.
type Message struct {
	Topic   string
	Payload string
	QoS     byte
	Dup     bool
	Retain  bool
	ID      uint16 // packet identifier; 0 for QoS 0
}

// message takes a PUBLISH apart.
func (p Packet) message() (Message, error) {
	m := Message{QoS: p.First >> 1 & 3, Dup: p.First&8 != 0, Retain: p.First&1 != 0}
	rest := p.Body
	n := int(p.id())
	if len(rest) < 2+n {
		return m, errors.New("PUBLISH shorter than its topic")
	}
	m.Topic, rest = string(rest[2:2+n]), rest[2+n:]
	if m.QoS > 0 {
		if len(rest) < 2 {
			return m, errors.New("PUBLISH without identifier")
		}
		m.ID, rest = binary.BigEndian.Uint16(rest), rest[2:]
	}
	m.Payload = string(rest)
	return m, nil
}

// text appends a string with its length.
func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
