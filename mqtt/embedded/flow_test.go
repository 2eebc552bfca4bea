package embedded_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"siskin/mqtt/mqtttest"
)

// An MQTT 5 client gets no more unacknowledged messages than it said it takes
// (version 5, 3.1.2.11.3), and each acknowledgement lets one more come. Mosquitto
// 2.0.11 is no measure here: after the first acknowledgement it sends two.
func TestReceiveMaximum(t *testing.T) {
	t.Parallel()
	b := mqtttest.StartEmbedded(t)
	const most, all = 3, 20
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	text := func(b []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	write := func(first byte, body []byte) {
		if _, err := conn.Write(mqtttest.Packet{First: first, Body: body}.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	read := func(wait time.Duration) (mqtttest.Packet, error) {
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		return mqtttest.ReadPacket(r)
	}
	// Version 5, clean start, no keep-alive, property 33: receive maximum.
	write(byte(mqtttest.Connect)<<4, text(append(text(nil, "MQTT"), 5, 2, 0, 0, 3, 33, 0, most), "five"))
	if p, err := read(5 * time.Second); err != nil || p.Type() != mqtttest.Connack || p.Body[1] != 0 {
		t.Fatalf("CONNACK: % x, %v", p.Body, err)
	}
	write(byte(mqtttest.Subscribe)<<4|2, append(text([]byte{0, 9, 0}, "in"), 1))
	if p, err := read(5 * time.Second); err != nil || p.Type() != mqtttest.Suback {
		t.Fatalf("SUBACK: % x, %v", p.Body, err)
	}
	other := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "other"})
	for i := range all {
		other.Publish("in", 1, false, fmt.Sprintf("%02d", i))
	}
	other.Close()
	var waiting []mqtttest.Packet
	for got := 0; got < all; {
		p, err := read(5 * time.Second)
		if err != nil || p.Type() != mqtttest.Publish {
			t.Fatalf("message %d: packet type %d, %v", got, p.Type(), err)
		}
		if body := string(p.Body); body[len(body)-2:] != fmt.Sprintf("%02d", got) {
			t.Fatalf("message %d is %q", got, body)
		}
		got++
		if waiting = append(waiting, p); len(waiting) == most && got < all {
			if p, err := read(50 * time.Millisecond); err == nil {
				t.Fatalf("%d messages are unacknowledged, and another came: %q", most, p.Body)
			}
			write(byte(mqtttest.Puback)<<4, waiting[0].Body[4:6]) // topic "in" has 2+2 bytes
			waiting = waiting[1:]
		}
	}
}

// Acknowledgements of a client while others publish to it, and a broker that is
// closed while clients come and go: neither stops for ever.
func TestNothingLocksUp(t *testing.T) {
	t.Parallel()
	for range 20 {
		b := mqtttest.StartEmbedded(t)
		sink := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: "sink"})
		sink.Subscribe("in", 1)
		var sent, churn sync.WaitGroup
		for i := range 4 {
			c := mqtttest.Dial(t, b.Addr(), mqtttest.ClientOptions{ID: fmt.Sprint("source", i)})
			sent.Go(func() {
				for range 200 {
					c.Send("in", 1, false, "x")
				}
				c.Flush()
				c.Cut()
			})
		}
		sent.Wait()
		for range 800 {
			sink.Expect("in", "x")
		}
		stop := make(chan struct{})
		for i := range 4 {
			churn.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					conn, err := net.Dial("tcp", b.Addr())
					if err != nil {
						return // closed
					}
					hello := append([]byte{0, 4}, "MQTT\x04\x02\x00\x00\x00\x01"...)
					hello = append(hello, byte('a'+i))
					_, _ = conn.Write(mqtttest.Packet{First: byte(mqtttest.Connect) << 4, Body: hello}.Bytes())
					_, _ = conn.Write(mqtttest.Packet{First: byte(mqtttest.Disconnect) << 4}.Bytes())
					_ = conn.Close()
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
		b.Kill()
		close(stop)
		churn.Wait()
		sink.Cut()
	}
}
