package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// session3 is one connection of MQTT 3.1.1: a paho client that is used once.
// Paho can connect again by itself, but then it completes tokens of lost
// messages as if they had arrived, does not subscribe anew, and pauses up to ten
// minutes.
type session3 struct {
	base
	paho paho.Client
	acks *acks
}

func newSession3(l *Link) *session3 {
	s := &session3{acks: newAcks(l.pending)}
	s.init(l)
	return s
}

// window is that of session: the protocol knows none.
func (s *session3) window() int { return s.link.cfg.MaxInFlight }

// connect dials, introduces the client and subscribes, until ctx is done.
func (s *session3) connect(ctx context.Context) error {
	cfg := &s.link.cfg
	dialling, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	go s.line.run()
	s.paho = paho.NewClient(s.options(dialling))
	token := s.paho.Connect().(*paho.ConnectToken)
	// Paho knows no context. It ends by itself after ConnectTimeout, and at once
	// when its connection does.
	stop := context.AfterFunc(ctx, s.closeConn)
	<-token.Done()
	stop()
	if err := token.Error(); err != nil {
		if code := token.ReturnCode(); code > 0 && code <= packets.ErrRefusedNotAuthorised {
			return fmt.Errorf("%w: %s", ErrRefused, strings.ToLower(packets.ConnackReturnCodes[code]))
		}
		return fmt.Errorf("connect: %w", err)
	}
	if code := token.ReturnCode(); code != 0 {
		return fmt.Errorf("%w: with the unknown code %d", ErrRefused, code)
	}
	s.present = token.SessionPresent()
	return s.subscribe(ctx)
}

// subscribe asks for all subscriptions, on each connection: a broker that was
// restarted has forgotten them.
func (s *session3) subscribe(ctx context.Context) error {
	cfg := &s.link.cfg
	if len(cfg.Subscriptions) == 0 {
		return nil
	}
	filters := make(map[string]byte, len(cfg.Subscriptions))
	for _, sub := range cfg.Subscriptions {
		filters[sub.Filter] = sub.QoS
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	var token *paho.SubscribeToken
	for {
		// No callback: the default handler has been there since before CONNECT,
		// since queued messages come before the reply to SUBSCRIBE.
		token = s.paho.SubscribeMultiple(filters, nil).(*paho.SubscribeToken)
		select {
		case <-token.Done():
		case err := <-s.lost:
			return fmt.Errorf("subscribe: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("subscribe: %w", ctx.Err())
		}
		err := token.Error()
		if err == nil {
			break
		}
		if !isHandover(err) || s.failed() || ctx.Err() != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	for filter, code := range token.Result() {
		if code > 2 {
			return fmt.Errorf("%w: %s", ErrSubscribe, filter)
		}
	}
	return nil
}

// options builds those of a paho client that is used for one connection.
func (s *session3) options(dialling context.Context) *paho.ClientOptions {
	cfg := &s.link.cfg
	o := paho.NewClientOptions().
		AddBroker("tcp://broker"). // a name only: the dialling is ours
		SetClientID(cfg.ClientID).
		SetUsername(cfg.Username).
		SetPassword(string(cfg.Password)).
		SetCleanSession(cfg.CleanSession).
		SetProtocolVersion(4). // 3.1.1, and no second attempt with 3.1
		SetKeepAlive(cfg.KeepAlive).
		SetPingTimeout(min(cfg.KeepAlive, pingTimeout)).
		SetConnectTimeout(cfg.ConnectTimeout).
		SetWriteTimeout(handover). // conn has the real one
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(true).
		SetAutoAckDisabled(true).
		SetStore(s.acks).
		SetDefaultPublishHandler(s.handle).
		SetConnectionLostHandler(func(_ paho.Client, err error) { s.lost <- err })
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		return s.open(dialling)
	})
	if cfg.StatusTopic != "" {
		o.SetBinaryWill(cfg.StatusTopic, cfg.Offline, 1, true)
	}
	return o
}

// handle passes a message on. Paho calls it in one goroutine for a connection.
func (s *session3) handle(_ paho.Client, m paho.Message) {
	s.deliver(Message{Topic: m.Topic(), Payload: m.Payload(), QoS: m.Qos(), Retained: m.Retained(), Duplicate: m.Duplicate()}, m.Ack)
}

// publish hands a message to paho, which writes it soon. An error means that the
// connection is of no use any more.
func (s *session3) publish(it *item) error {
	for {
		if s.failed() {
			return fmt.Errorf("publish to %q: %w", it.topic, net.ErrClosed)
		}
		s.acks.expect(it)
		token := s.paho.Publish(it.topic, it.qos, it.retain, it.payload)
		select {
		case <-token.Done():
		default:
			return nil
		}
		// At QoS 1 done without an error may mean anything; acks knows.
		err := token.Error()
		if err == nil {
			return nil
		}
		if !isHandover(err) {
			return fmt.Errorf("publish to %q: %w", it.topic, err)
		}
	}
}

// handover is how long paho waits until its writer takes a packet. The writer
// may be busy with another one, or may have just ended with the connection: paho
// does not know which, so it is asked again until our connection says.
const handover = 250 * time.Millisecond

// isHandover recognises paho's error after that time by the only thing that
// tells it.
func isHandover(err error) bool { return strings.Contains(err.Error(), "broken by timeout") }

// disconnect says goodbye, so that the broker does not publish the last will.
func (s *session3) disconnect() { s.paho.Disconnect(uint(quiesce / time.Millisecond)) }

// abandon ends what is left of the connection. Without a goodbye before, the
// broker publishes the last will.
func (s *session3) abandon() {
	s.line.close()
	s.closeConn()
	s.paho.Disconnect(1) // paho does not notice that its connection is closed from here
}

// acks tells which messages the broker has taken. It is a paho.Store that keeps
// nothing: paho puts a message of QoS 1 under a key that holds its packet
// identifier before sending it, and deletes the key when a PUBACK comes, and
// never otherwise (net.go, store.go). Tokens of paho do not tell: they are also
// completed, without an error, when a connection is lost.
type acks struct {
	pending *pending

	mu   sync.Mutex
	next *item // the one that the next Put is about
	sent map[string]*item
}

func newAcks(p *pending) *acks { return &acks{pending: p, sent: make(map[string]*item)} }

// expect says which message paho gets next. All come from one goroutine.
func (a *acks) expect(it *item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = it
}

// Put is called by paho before it sends a PUBLISH of QoS 1, and for messages
// that come in, whose keys start differently.
func (a *acks) Put(key string, m packets.ControlPacket) {
	if _, ok := m.(*packets.PublishPacket); !ok || !strings.HasPrefix(key, "o.") {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[key], a.next = a.next, nil
}

// Del is called by paho at a PUBACK.
func (a *acks) Del(key string) {
	a.mu.Lock()
	it := a.sent[key]
	delete(a.sent, key)
	a.mu.Unlock()
	if it != nil {
		a.pending.acked(it)
	}
}

// Open, Close and Reset do nothing; All and Get have nothing to tell, so paho
// does not send again by itself.

func (a *acks) Open()                            {}
func (a *acks) Close()                           {}
func (a *acks) Reset()                           {}
func (a *acks) All() []string                    { return nil }
func (a *acks) Get(string) packets.ControlPacket { return nil }

// redirect makes redirectLog work once.
var redirect sync.Once //nolint:gochecknoglobals // guards variables of paho that are global as well

// redirectLog points paho's loggers, which are variables of its package, at log.
// Later calls do nothing: paho reads the variables without a lock. What paho
// calls an error reaches us as an error too, so it is for debugging only.
func redirectLog(log *slog.Logger) {
	redirect.Do(func() {
		paho.CRITICAL = pahoLog{log, slog.LevelWarn}
		paho.ERROR = pahoLog{log, slog.LevelDebug}
		paho.WARN = pahoLog{log, slog.LevelDebug}
	})
}

// pahoLog is a paho.Logger. Paho logs no payloads at these levels.
type pahoLog struct {
	log   *slog.Logger
	level slog.Level
}

// Println and Printf are those of paho.Logger.

func (p pahoLog) Println(v ...any) {
	if p.log.Enabled(context.Background(), p.level) {
		p.log.Log(context.Background(), p.level, "paho: "+strings.TrimSpace(fmt.Sprintln(v...)))
	}
}

func (p pahoLog) Printf(format string, v ...any) {
	if p.log.Enabled(context.Background(), p.level) {
		p.log.Log(context.Background(), p.level, "paho: "+strings.TrimSpace(fmt.Sprintf(format, v...)))
	}
}
