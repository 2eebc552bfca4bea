package mqtt

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/eclipse/paho.golang/packets"
)

// maxControl5 is the longest packet of MQTT 5 other than PUBLISH: a reason of up
// to 64 KiB (section 3.14.2.2.3), and as much again for what else a broker says.
const maxControl5 = 128 << 10

// frame is one packet of MQTT 5 as it came.
type frame struct {
	first byte
	body  []byte
	cut   bool // a PUBLISH that was longer than this
}

func (f *frame) kind() byte { return f.first >> 4 }

// readFrame reads a packet. Of a PUBLISH that is longer than limit it keeps the
// front; another packet may not be longer than maxControl5.
func readFrame(r *bufio.Reader, limit int) (f frame, err error) {
	if f.first, err = r.ReadByte(); err != nil {
		return f, err
	}
	n, err := readLength(r)
	if err != nil {
		return f, err
	}
	keep := n
	switch {
	case f.kind() == packets.PUBLISH && n > limit:
		keep, f.cut = limit, true
	case f.kind() != packets.PUBLISH && n > maxControl5:
		return f, fmt.Errorf("%w: type %d with %d bytes", errPacket, f.kind(), n)
	}
	f.body = make([]byte, keep)
	if _, err = io.ReadFull(r, f.body); err == nil {
		_, err = r.Discard(n - keep)
	}
	return f, err
}

// readLength reads a remaining length (MQTT 5.0, section 1.5.5).
func readLength(r io.ByteReader) (n int, err error) {
	for shift := 0; shift <= 21; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		n |= int(b&127) << shift
		if b&128 == 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: length of more than 4 bytes", errPacket)
}

// decode reads the packet. Of a PUBLISH whose properties were cut the topic is
// left.
func (f *frame) decode() (p packets.Packet, err error) {
	defer func() { // the module is not written for hostile brokers
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("%w: type %d: %v", errPacket, f.kind(), r)
		}
	}()
	whole := packets.NewControlPacket(f.kind())
	if whole == nil {
		return nil, fmt.Errorf("%w: type %d", errPacket, f.kind())
	}
	p = whole.Content
	body := f.body
	switch q := p.(type) {
	case *packets.Publish:
		q.QoS, q.Duplicate, q.Retain = f.first>>1&3, f.first&8 != 0, f.first&1 != 0
		if f.cut && !f.holdsProperties(q.QoS) {
			body = append(bytes.Clone(f.head(q.QoS)), 0)
		}
	case *packets.Disconnect:
		if len(body) == 0 { // section 3.14.2.1: a normal disconnection
			return p, nil
		}
	}
	if err := p.Unpack(bytes.NewBuffer(body)); err != nil {
		return nil, fmt.Errorf("%w: type %d: %w", errPacket, f.kind(), err)
	}
	return p, nil
}

// head is the topic and the packet identifier of a PUBLISH, as far as they are
// there.
func (f *frame) head(qos byte) []byte {
	if len(f.body) < 2 {
		return f.body
	}
	n := 2 + int(f.body[0])<<8 + int(f.body[1])
	if qos > 0 {
		n += 2
	}
	return f.body[:min(n, len(f.body))]
}

// holdsProperties reports whether the properties of a PUBLISH were not cut.
func (f *frame) holdsProperties(qos byte) bool {
	rest := bytes.NewReader(f.body[len(f.head(qos)):])
	n, err := readLength(rest)
	return err == nil && n <= rest.Len()
}

// encodePacket gives the bytes of a packet. The packets' own WriteTo wants many
// writes.
func encodePacket(p io.WriterTo) ([]byte, error) {
	var b bytes.Buffer
	_, err := p.WriteTo(&b)
	return b.Bytes(), err
}
