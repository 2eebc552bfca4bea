package mqtt

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// load reads the files. TLS 1.2 is the oldest version spoken.
func (t TLS) load(addr string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if t.ServerName != "" {
		out.ServerName = t.ServerName
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("TLS: CA: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("TLS: CA: %s holds no certificate in PEM form", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("TLS: own certificate and its key go together; one of them is missing")
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS: own certificate: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// Types of packets that conn looks at (MQTT 3.1.1, table 2.1).
const (
	typePublish = 3
	typeSuback  = 9
)

// publishSlack is what a PUBLISH may have before its payload: two bytes of
// length, the longest topic, and the packet identifier.
const publishSlack = 2 + 65535 + 2

// maxControl is the longest packet other than PUBLISH; the longest that a broker
// sends, SUBACK, has two bytes and one for each subscription.
const maxControl = 1 << 10

// errPacket means that the broker sends what it must not.
var errPacket = errors.New("broken packet from the broker")

// conn stands between paho and the network, for three things that paho does not
// do: a write has a deadline, also that of a PINGREQ or an acknowledgement; a
// packet of up to 256 MiB is not read into memory, a long PUBLISH is cut
// instead; and a SUBACK that does not fit its SUBSCRIBE, at which paho would
// panic, ends the connection.
type conn struct {
	net.Conn
	in           *bufio.Reader
	writeTimeout time.Duration
	maxPublish   int // bytes behind the fixed header
	subs         int // subscriptions in each SUBSCRIBE
	failed       atomic.Bool

	// Of the packet that is being read:
	header []byte // still to hand out
	pass   int    // bytes of the body still to hand out
	skip   int    // bytes of the body to throw away after that
}

func newConn(c net.Conn, cfg *Config) *conn {
	return &conn{
		Conn: c, in: bufio.NewReader(c), writeTimeout: cfg.WriteTimeout,
		maxPublish: cfg.MaxInbound + 1 + publishSlack, subs: len(cfg.Subscriptions),
	}
}

// Write is net.Conn's with a deadline. Paho writes a packet in one call.
func (c *conn) Write(p []byte) (int, error) {
	err := c.SetWriteDeadline(time.Now().Add(c.writeTimeout))
	n := 0
	if err == nil {
		n, err = c.Conn.Write(p)
	}
	if err != nil {
		c.failed.Store(true)
	}
	return n, err
}

// Read hands out the stream of packets, changed as said above. It is called by
// one goroutine.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if err != nil {
		c.failed.Store(true)
	}
	return n, err
}

func (c *conn) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(c.header) == 0 && c.pass == 0 {
		if c.skip > 0 {
			n, err := c.in.Discard(c.skip)
			c.skip -= n
			if err != nil {
				return 0, err
			}
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.header) > 0 {
		n := copy(p, c.header)
		c.header = c.header[n:]
		return n, nil
	}
	n, err := c.in.Read(p[:min(len(p), c.pass)])
	c.pass -= n
	return n, err
}

// next reads a fixed header and decides what happens to its packet.
func (c *conn) next() error {
	first, err := c.in.ReadByte()
	if err != nil {
		return err
	}
	n := 0
	for shift := 0; ; shift += 7 {
		if shift > 21 {
			return fmt.Errorf("%w: length of more than 4 bytes", errPacket)
		}
		b, err := c.in.ReadByte()
		if err != nil {
			return err
		}
		n |= int(b&127) << shift
		if b&128 == 0 {
			break
		}
	}
	switch kind := first >> 4; {
	case kind == typePublish:
		c.pass = min(n, c.maxPublish)
	case n > maxControl:
		return fmt.Errorf("%w: type %d with %d bytes", errPacket, kind, n)
	case kind == typeSuback && n != 2+c.subs:
		return fmt.Errorf("%w: SUBACK for %d subscriptions, not %d", errPacket, n-2, c.subs)
	default:
		c.pass = n
	}
	c.skip = n - c.pass
	c.header = appendLength([]byte{first}, c.pass)
	return nil
}

// appendLength appends a remaining length (MQTT 3.1.1, section 2.2.3).
func appendLength(b []byte, n int) []byte {
	for n >= 128 {
		b = append(b, byte(n)|128)
		n >>= 7
	}
	return append(b, byte(n))
}
