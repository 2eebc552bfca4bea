package embedded

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// takeoverTime is how long a new connection waits for the old one of the same
// client to end.
const takeoverTime = 5 * time.Second

// repair is the hook that mends the engine where it departs from the protocol;
// each has a test. As read and seen at v2.7.9:
//
//   - Identifiers: packets in both directions of a session share one table by
//     packet identifier, though the two sides choose them independently. A
//     PUBLISH from a client makes the broker forget its own unacknowledged
//     message of that number, and a SUBSCRIBE with such a number is refused. So
//     the own message is laid aside while the client's packet is handled.
//   - Order: queued messages are sent again sorted by the second in which they
//     came, those of one second in any order. So each message gets a number of
//     its own for its time, and they are renumbered before the engine sorts.
//   - Expiry: of MQTT 3 messages it is tied to that time, and takes retained
//     messages along. So messages get an expiry in the way of MQTT 5.
//   - Takeover: when a client comes back before its old connection is found
//     dead, the old one's last will may be published after the new connection
//     is up, and the old one's clean-up may remove the new client. So the new
//     one waits until all work on the old one has ended.
//   - Resuming: a session that goes on is copied into the new connection. A
//     message for the old one that comes meanwhile, or is on its way from another
//     client's goroutine, is lost. So such messages are handed on.
//   - A message may be written to a new connection before its CONNACK, which
//     clients take for the end of it. So it waits.
//   - Expired sessions leave their subscriptions behind.
//   - Locks: Clients.GetByListener and Inflight.NextImmediate take a read lock
//     twice, which stops for ever when a writer comes in between. The first is
//     called by Server.Close only, through the listener, which does without it.
//     The second is called for each packet of a client while the engine counts
//     what it may still send to it. So the engine's count is kept at 0, which
//     it takes for "no limit", and the limit of the client is kept here.
type repair struct {
	broker.HookBase
	server   *broker.Server
	listener *listener
	expiry   int64        // of messages, in seconds
	order    atomic.Int64 // number of the last message

	mu    sync.Mutex
	aside map[*broker.Client]map[uint16]packets.Packet // own messages laid aside
	heirs map[*broker.Client]*heir                     // of clients whose session has gone on, for a while
}

// heir is the new connection of a session.
type heir struct {
	client *broker.Client
	up     bool             // the session has been copied
	late   []packets.Packet // messages for the old connection since the copying may have begun
}

func newRepair(server *broker.Server, l *listener, lim Limits) *repair {
	r := &repair{
		server: server, listener: l, expiry: int64(lim.MessageExpiry / time.Second),
		aside: make(map[*broker.Client]map[uint16]packets.Packet),
		heirs: make(map[*broker.Client]*heir),
	}
	// Above all renumbered messages, and near the clock, which wills still use.
	r.order.Store(time.Now().Unix())
	return r
}

// startAt makes messages from now on follow those of a former process.
func (r *repair) startAt(last int64) { r.order.Store(max(r.order.Load(), last+1)) }

// ID names the hook.
func (r *repair) ID() string { return "repair" }

// Provides lists the events that the engine passes on.
func (r *repair) Provides(event byte) bool {
	return slices.Contains([]byte{
		broker.OnPublish, broker.OnSessionEstablish, broker.OnPacketRead, broker.OnPacketProcessed,
		broker.OnPacketEncode, broker.OnPacketSent, broker.OnQosPublish, broker.OnDisconnect, broker.OnClientExpired,
	}, event)
}

// OnPublish gives a message its number, and its expiry unless it is retained.
func (r *repair) OnPublish(_ *broker.Client, pk packets.Packet) (packets.Packet, error) {
	pk.Created = r.order.Add(1)
	if pk.FixedHeader.Retain {
		return pk, nil
	}
	until := time.Now().Unix() + r.expiry
	if own := int64(pk.Properties.MessageExpiryInterval); own > 0 && own < r.expiry {
		until = time.Now().Unix() + own
	}
	// The engine looks at the expiry of version 5 messages only. The version in
	// a packet is replaced by that of the receiver when it is written.
	pk.Expiry, pk.ProtocolVersion = until, 5
	return pk, nil
}

// OnSessionEstablish runs before the engine looks for an old session of the
// client: it ends the old connection and puts the queue in order.
func (r *repair) OnSessionEstablish(cl *broker.Client, pk packets.Packet) {
	r.limitWindow(cl, pk)
	old, ok := r.server.Clients.Get(cl.ID)
	if !ok {
		return
	}
	if conn := old.Net.Conn; conn != nil && !old.Closed() {
		// The goodbye is a courtesy, which a dead connection may not delay.
		_ = conn.SetWriteDeadline(time.Now().Add(byeTime))
		_ = r.server.DisconnectClient(old, packets.ErrSessionTakenOver) // returns its own code
	}
	if at := r.listener.stages(old.Net.Conn); at != nil {
		select {
		case <-at.ended:
		case <-time.After(takeoverTime):
		}
	}
	queue := old.State.Inflight.GetAll(false)
	slices.SortStableFunc(queue, func(a, b packets.Packet) int { return cmp.Compare(a.Created, b.Created) })
	for i, pk := range queue {
		// The engine compares 16 bits, and a session holds fewer than 2^15.
		pk.Created = int64(i)
		old.State.Inflight.Set(pk)
	}
	r.mu.Lock()
	r.heirs[old] = &heir{client: cl}
	r.mu.Unlock()
	// Other goroutines hold the old client for the moment of one publish only.
	time.AfterFunc(takeoverTime, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.heirs, old)
	})
}

// limitWindow notes how many unacknowledged messages an MQTT 5 client takes at a
// time (version 5, 3.1.2.11.3), if fewer than a session may hold.
func (r *repair) limitWindow(cl *broker.Client, pk packets.Packet) {
	most := int(pk.Properties.ReceiveMaximum)
	at := r.listener.stages(cl.Net.Conn)
	if at == nil || most == 0 || most >= int(r.server.Options.Capabilities.MaximumInflight) {
		return
	}
	at.window = make(chan struct{}, most)
}

// OnQosPublish is called after a message has been put into the queue of a
// client. If its session has gone on, the message belongs to the heir.
func (r *repair) OnQosPublish(cl *broker.Client, pk packets.Packet, _ int64, _ int) {
	r.mu.Lock()
	h := r.heirs[cl]
	if h == nil || pk.FixedHeader.Type != packets.Publish {
		r.mu.Unlock()
		return
	}
	if !h.up {
		h.late = append(h.late, pk)
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	if pk, ok := bequeath(h.client, pk); ok {
		_ = h.client.WritePacket(pk) // if it fails, the message waits in the queue
	}
}

// OnPacketEncode is called before a packet is written.
func (r *repair) OnPacketEncode(cl *broker.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		r.handOn(cl, pk.SessionPresent)
		cl.State.Inflight.ResetSendQuota(0)
	case packets.Publish:
		at := r.listener.stages(cl.Net.Conn)
		if at == nil {
			return pk
		}
		select {
		case <-at.greeted:
		case <-at.ended:
		}
		// What is sent again goes out at once when a session resumes, in the
		// goroutine that would read the acknowledgements.
		if at.window != nil && pk.FixedHeader.Qos > 0 && !pk.FixedHeader.Dup {
			select {
			case at.window <- struct{}{}:
			case <-at.ended:
			}
		}
	}
	return pk
}

// OnPacketSent is called after a packet has been written.
func (r *repair) OnPacketSent(cl *broker.Client, pk packets.Packet, _ []byte) {
	if pk.FixedHeader.Type == packets.Connack {
		if at := r.listener.stages(cl.Net.Conn); at != nil {
			close(at.greeted) // there is one CONNACK in the life of a connection
		}
	}
}

// handOn is called when a session has been copied, and the engine is about to
// send its queue again.
func (r *repair) handOn(cl *broker.Client, present bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.heirs {
		if h.client != cl || h.up {
			continue
		}
		h.up = true
		if present {
			for _, late := range h.late {
				bequeath(cl, late)
			}
		}
		h.late = nil
	}
}

// bequeath puts a message into the queue of a client under a number of its own,
// unless it has come with the copy.
func bequeath(cl *broker.Client, pk packets.Packet) (packets.Packet, bool) {
	for _, own := range cl.State.Inflight.GetAll(false) {
		if own.Created == pk.Created && own.TopicName == pk.TopicName {
			return pk, false
		}
	}
	id, err := cl.NextPacketID()
	if err != nil {
		return pk, false // no number is free: the queue is full
	}
	pk.PacketID = uint16(id)
	pk.FixedHeader.Dup = true // it may have been sent on the old connection
	cl.State.Inflight.Set(pk)
	return pk, true
}

// OnPacketRead lays the own message aside whose number a client uses.
func (r *repair) OnPacketRead(cl *broker.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Publish, packets.Subscribe, packets.Unsubscribe:
		own, ok := cl.State.Inflight.Get(pk.PacketID)
		if pk.PacketID == 0 || !ok || own.FixedHeader.Type != packets.Publish {
			return pk, nil
		}
		r.mu.Lock()
		if r.aside[cl] == nil {
			r.aside[cl] = make(map[uint16]packets.Packet)
		}
		r.aside[cl][pk.PacketID] = own
		r.mu.Unlock()
		cl.State.Inflight.Delete(pk.PacketID)
	case packets.Pubcomp:
		r.freeWindow(cl)
	case packets.Puback:
		r.freeWindow(cl)
		r.mu.Lock()
		if _, ok := r.aside[cl][pk.PacketID]; ok {
			delete(r.aside[cl], pk.PacketID)
			pk.PacketID = 0 // the engine would take it for the client's own packet
		}
		r.mu.Unlock()
	}
	return pk, nil
}

// freeWindow counts an acknowledgement. Those of what was sent again were not
// counted before.
func (r *repair) freeWindow(cl *broker.Client) {
	if at := r.listener.stages(cl.Net.Conn); at != nil && at.window != nil {
		select {
		case <-at.window:
		default:
		}
	}
}

// OnPacketProcessed puts messages back. Where the engine still needs the number,
// for a packet of QoS 2, they stay aside.
func (r *repair) OnPacketProcessed(cl *broker.Client, _ packets.Packet, _ error) {
	r.putBack(cl, false)
}

// OnDisconnect puts all messages back, since a lost message is worse than a
// packet of QoS 2 that the client sends again.
func (r *repair) OnDisconnect(cl *broker.Client, _ error, _ bool) { r.putBack(cl, true) }

func (r *repair) putBack(cl *broker.Client, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, own := range r.aside[cl] {
		if _, taken := cl.State.Inflight.Get(id); taken && !all {
			continue
		}
		cl.State.Inflight.Set(own)
		delete(r.aside[cl], id)
	}
	if len(r.aside[cl]) == 0 {
		delete(r.aside, cl)
	}
}

// OnClientExpired drops what the engine leaves of a forgotten session.
func (r *repair) OnClientExpired(cl *broker.Client) {
	cl.ClearInflights()
	r.server.UnsubscribeClient(cl)
}
