package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"siskin/daemon/access"
	"siskin/daemon/config"
	"siskin/daemon/ledger"
	"siskin/daemon/metrics"
	"siskin/daemon/outbox"
	"siskin/daemon/queue"
	"siskin/daemon/session"
	"siskin/daemon/sources"
	"siskin/daemon/task"
	"siskin/mqtt"
	"siskin/mqtt/message"
	"siskin/mqtt/topic"
)

// pipeline joins the ends: it is the only place that knows both where requests come from and where answers go. Data
// flows one way through it: receive -> queue -> session -> answer -> outbox.
type pipeline struct {
	device  topic.Device
	queue   *queue.Queue
	engine  atomic.Pointer[session.Engine]
	outbox  *outbox.Outbox
	home    *home // nil: Home Assistant is not told
	gate    *access.Gate
	sources *sources.Sources // nil: sensors are not read
	pool    *pool            // nil: the device is in no group
	voice   *voice           // nil: no voice assistant is answered
	running func() *engine
	choices *choices
	// chooseModel asks for another model, by its name; it does not wait.
	chooseModel func(name string)
	book        *book // nil: requests and answers are in memory only
	answers     *metrics.Answers
	// tell publishes at QoS 0; it does not wait.
	tell func(m mqtt.Outgoing) error
	log  *slog.Logger
	now  func() time.Time

	order sync.Mutex // accepted goes before answer, and cancel before it is too late
	rules atomic.Pointer[rules]
	short atomic.Bool // of memory: what is new is refused
}

// rules are what a request is checked against; a reload replaces them.
type rules struct {
	limits          message.Limits
	defaultDeadline time.Duration
	replies         topic.Replies
	tasks           task.Set
}

// payloadSlack is what a request may have around its prompt: JSON escapes double a text at worst in practice, and keys
// and numbers are a few hundred bytes.
const payloadSlack = 16 << 10

func newRules(c *config.Config) (*rules, error) {
	replies, err := topic.NewReplies(c.MQTT.ReplyPrefixes)
	if err != nil {
		return nil, err
	}
	limits := message.DefaultLimits()
	limits.PromptBytes = int(c.Queue.MaxPromptBytes)
	limits.PayloadBytes = 2*limits.PromptBytes + payloadSlack
	limits.MaxTokens = c.Generate.MaxTokensLimit
	limits.Deadline = c.Queue.MaxDeadline.Duration
	return &rules{limits: limits, defaultDeadline: c.Queue.DefaultDeadline.Duration, replies: replies, tasks: tasksOf(c)}, nil
}

// receive takes a message from the broker. It returns quickly: whatever takes time happens behind the queue.
func (p *pipeline) receive(m mqtt.Message) {
	if _, own, _ := topic.Parse(m.Topic); p.sources != nil && own == topic.KindNone && p.sources.Wants(m.Topic) {
		if err := p.sources.Take(m.Topic, m.Payload); err != nil {
			p.log.Debug("sources: message left out", "err", err)
		}
		m.Ack()
		return
	}
	if m.Retained { // it would be answered again at every connection
		m.Ack()
		return
	}
	if p.pool != nil && m.Topic == p.pool.group.Prompt() {
		r, err := p.parse(&m, message.ParseRequest)
		p.acceptFrom(access.Anonymous, m, r, err)
		return
	}
	if p.home != nil && m.Topic == p.home.device.StatusTopic() {
		p.home.born(m.Payload)
		m.Ack()
		return
	}
	if p.voice != nil && p.voice.receive(m) {
		return
	}
	switch _, kind, client := topic.Parse(m.Topic); kind {
	case topic.KindPromptFrom:
		r, err := p.parse(&m, message.ParseRequest)
		p.acceptFrom(client, m, r, err)
	case topic.KindPrompt:
		r, err := p.parse(&m, message.ParseRequest)
		p.acceptFrom(access.Anonymous, m, r, err)
	case topic.KindPromptText:
		r, err := p.parse(&m, message.ParseText)
		p.acceptFrom(access.Anonymous, m, r, err)
	case topic.KindCancel:
		p.cancel(m.Payload)
		m.Ack()
	case topic.KindAdapterSet:
		p.chooseAdapter(string(m.Payload))
		m.Ack()
	case topic.KindTaskSet:
		p.chooseTask(string(m.Payload))
		m.Ack()
	case topic.KindModelSet:
		p.chooseModel(strings.TrimSpace(string(m.Payload)))
		m.Ack() // not when it is done: one that takes the machine down with it must not come again
	default:
		p.log.Warn("message on a topic that is not an input", "topic", m.Topic)
		m.Ack()
	}
}

// parse reads a request, and what MQTT 5 says beside it.
func (p *pipeline) parse(m *mqtt.Message, read func([]byte, message.Limits) (message.Request, error)) (message.Request, error) {
	limits := p.rules.Load().limits
	r, err := read(m.Payload, limits)
	if beside := r.Adopt(message.Aside{ReplyTo: m.ResponseTopic, Correlation: m.Correlation, Expiry: m.Expiry}, limits); err == nil {
		err = beside
	}
	return r, err
}

// acceptFrom is accept for a sender that may have to be refused.
func (p *pipeline) acceptFrom(client string, m mqtt.Message, r message.Request, err error) {
	news, refused := p.gate.Allow(client, p.now())
	if refused == nil {
		p.accept(m, r, err)
		return
	}
	m.Ack()
	why := message.Error{Code: message.CodeRateLimited, ID: r.ID, Text: "This sender asks too often; ask again in a minute."}
	if errors.Is(refused, access.ErrForbidden) {
		why.Code, why.Text = message.CodeForbidden, "This sender may not prompt here; see mqtt.access of the configuration."
	}
	if news { // once for a flood
		p.log.Warn("prompts refused", "sender", client, "code", why.Code)
	}
	p.refuse(r, &why)
}

// accept puts a parsed request into the queue and says so, or answers with the reason why not. The broker's message is acknowledged
// when the request is safe, or refused.
func (p *pipeline) accept(m mqtt.Message, r message.Request, err error) {
	if err == nil && p.book != nil && p.repeated(m, &r) {
		return
	}
	hash := ""
	if r.ID == "" && p.book != nil {
		hash = hashOf(&m)
	}
	p.take(m, r, hash, err)
}

// take is accept for a message that is no repetition; hash identifies it where the request has an id of our own.
func (p *pipeline) take(m mqtt.Message, r message.Request, hash string, err error) {
	if err == nil {
		err = p.admit(m.Topic, &r)
	}
	if err == nil && p.book != nil {
		err = p.bookIn(m, r, hash)
	} else if err == nil {
		err = p.enqueue(m.Topic, r)
		m.Ack()
		if err == nil && p.voice != nil {
			p.voice.accepted(r.ID)
		}
	} else {
		m.Ack()
	}
	if err != nil {
		p.refuse(r, err)
	}
}

// refuse answers a request that was not accepted.
func (p *pipeline) refuse(r message.Request, err error) {
	answer := message.Refusal(r.ID, err)
	if answer.ID == "" {
		// Not even an id could be read: the answer goes out under a new one, for whoever watches answers.
		id, idErr := message.NewID(rand.Reader)
		if idErr != nil {
			p.log.Error("refusal without an id", "err", errors.Join(err, idErr))
			return
		}
		answer.ID = id
	}
	level := slog.LevelInfo
	if answer.Code == message.CodeRateLimited || answer.Code == message.CodeForbidden {
		level = slog.LevelDebug // said once already
	}
	p.log.Log(context.Background(), level, "request refused", "id", answer.ID, "code", answer.Code, "reason", err)
	if p.voice != nil {
		p.voice.refused(r.ID)
	}
	if p.outbox.Crowded() { // refusals are the first to go: a flood must not push out the answers of others
		p.answers.Observe(&answer)
		return
	}
	if r.ReplyTo != "" && !p.ofGroup(&r) && p.rules.Load().replies.Check(r.ReplyTo) != nil {
		r.ReplyTo = "" // whatever the refusal is about, it goes nowhere else than answers may
	}
	p.post(r, answer)
}

// ofGroup reports whether the answer of a request goes where those of the group go.
func (p *pipeline) ofGroup(r *message.Request) bool {
	return p.pool != nil && r.ReplyTo == p.pool.group.Answer(r.ID)
}

// admit checks a request by the rules of this device and completes it.
func (p *pipeline) admit(from string, r *message.Request) error {
	if p.short.Load() {
		return &message.Error{Code: message.CodeOverloaded, Text: "The machine is short of memory: ask again in a minute."}
	}
	rules := p.rules.Load()
	r.Received = p.now()
	if err := r.EnsureID(func() (string, error) { return message.NewID(rand.Reader) }); err != nil {
		return err
	}
	if r.Deadline == 0 {
		r.Deadline = rules.defaultDeadline
	}
	if r.ReplyTo != "" {
		if err := rules.replies.Check(r.ReplyTo); err != nil {
			return &message.Error{
				Code: message.CodeForbiddenReply, Field: "reply_to",
				Text: "The topic in reply_to is not allowed here: " + err.Error() + ".",
			}
		}
	}
	if p.pool != nil && from == p.pool.group.Prompt() {
		p.pool.admit(r)
	}
	if r.Task == "" && r.Suffix == nil {
		r.Task = p.task()
	}
	t, err := rules.tasks.Find(r.Task)
	if err != nil {
		return err
	}
	if name := p.choices.adapter(); name != "" && len(r.Adapters) == 0 && t.Adapter == "" {
		r.Adapters = []message.Adapter{{Name: name, Scale: 1}}
	}
	if p.sources != nil && r.Context == "" && r.Suffix == nil {
		if states := p.sources.Text(); states != "" {
			r.Context = statesHeader + states
		}
	}
	return nil
}

// statesHeader tells a model what the lines behind it are.
const statesHeader = "What the devices of the house say at the moment:\n"

// enqueue puts a request into the queue and says so.
func (p *pipeline) enqueue(from string, r message.Request) error {
	// Held until "accepted" is on its way: the answer, which takes it too, must not overtake.
	p.order.Lock()
	defer p.order.Unlock()
	depth, err := p.queue.Put(r)
	if errors.Is(err, queue.ErrDuplicate) {
		// A repetition, by the asker or by the broker, of what is being worked on: it will be answered, once.
		depth, err = p.queue.Depth(), nil
	}
	if err != nil {
		return err
	}
	p.sayAccepted(from, &r, depth)
	return nil
}

// sayAccepted publishes that a request is in the queue, where whoever sent it listens.
func (p *pipeline) sayAccepted(from string, r *message.Request, depth int) {
	to, a := p.device.Accepted(r.ID), message.Accepted{ID: r.ID, QueueDepth: depth}
	if p.pool != nil && from == p.pool.group.Prompt() {
		to, a.Device = p.pool.group.Accepted(r.ID), p.device.Name()
	}
	p.send(outbox.Message{Topic: to, Payload: a.Encode(), Correlation: r.Correlation})
	p.log.Debug("request accepted", "id", r.ID, "queue_depth", depth)
}

// cancel ends a request wherever it is: waiting, or under way.
func (p *pipeline) cancel(payload []byte) {
	c, err := message.ParseCancel(payload)
	if err != nil {
		p.log.Warn("cancel refused", "err", err)
		return
	}
	ids := []string{c.ID}
	if c.All {
		ids = p.queue.IDs()
	}
	for _, id := range ids {
		p.cancelOne(id)
	}
}

func (p *pipeline) cancelOne(id string) {
	p.order.Lock() // a running request is not answered while it is held, as Engine.Cancel asks
	r, place := p.queue.Cancel(id)
	if place == queue.Running {
		p.engine.Load().Cancel(id)
	}
	p.order.Unlock()
	switch place {
	case queue.Waiting:
		p.end(r, message.Refusal(r.ID, session.Ended(message.CodeCancelled)))
	case queue.Nowhere:
		p.log.Info("cancel of an unknown request", "id", id)
	}
}

// expire answers a request whose deadline passed while it waited.
func (p *pipeline) expire(r message.Request) {
	p.order.Lock()   // it may be so young that it is not in the book yet
	p.order.Unlock() //nolint:staticcheck // an empty section: waiting is all
	p.end(r, message.Refusal(r.ID, &message.Error{Code: message.CodeExpired, Text: "The deadline of the request passed before its turn came."}))
}

// answer ends a request that the session took from the queue.
func (p *pipeline) answer(r message.Request, a message.Answer) {
	p.order.Lock()
	p.queue.Done(r.ID)
	p.order.Unlock()
	if p.book != nil && p.book.leave(r.ID, a.Code) {
		return
	}
	p.log.Info("answered", "id", r.ID, "status", a.Status, "code", a.Code,
		"prompt_tokens", a.Usage.PromptTokens, "cached_tokens", a.Usage.CachedTokens, "completion_tokens", a.Usage.CompletionTokens,
		"drafted_tokens", a.Usage.DraftedTokens, "accepted_tokens", a.Usage.AcceptedTokens,
		"queue_ms", a.Timing.QueueMs, "prefill_ms", a.Timing.PrefillMs, "decode_ms", a.Timing.DecodeMs)
	p.end(r, a)
}

// delta passes on a piece of an answer; a lost one is no loss, the answer has all of it.
func (p *pipeline) delta(r message.Request, d message.Delta) {
	if p.voice != nil && p.voice.delta(r.ID, d.Delta) {
		return
	}
	to := p.device.Delta(r.ID)
	if p.ofGroup(&r) {
		to = p.pool.group.Delta(r.ID)
	}
	if err := p.tell(mqtt.Outgoing{Topic: to, Payload: d.Encode(), Correlation: r.Correlation}); err != nil {
		p.log.Debug("delta dropped", "id", r.ID, "err", err)
	}
}

// end sends the answer of a request that was accepted: once it is safe, where there is a book.
func (p *pipeline) end(r message.Request, a message.Answer) {
	if p.book == nil {
		p.post(r, a)
		return
	}
	p.book.over(r.ID)
	p.observe(&a)
	to, payload := p.form(r, &a)
	p.bookOut(ledger.Answer{ID: r.ID, Topic: to, Payload: payload, Correlation: r.Correlation})
}

// observe counts an answer and shows it to Home Assistant.
func (p *pipeline) observe(a *message.Answer) {
	p.answers.Observe(a)
	if p.home != nil {
		p.home.answered(a)
	}
}

// post sends an answer to where the asker wants it.
func (p *pipeline) post(r message.Request, a message.Answer) {
	p.observe(&a)
	to, payload := p.form(r, &a)
	p.send(outbox.Message{Topic: to, Payload: payload, Correlation: r.Correlation})
}

// form is where an answer goes, and as what.
func (p *pipeline) form(r message.Request, a *message.Answer) (to string, payload []byte) {
	if p.voice != nil {
		if to, payload, ok := p.voice.finish(r.ID, a); ok {
			return to, payload
		}
	}
	if r.ReplyTo != "" {
		return r.ReplyTo, a.Encode()
	}
	return p.device.Answer(a.ID), a.Encode()
}

func (p *pipeline) send(m outbox.Message) {
	if err := p.outbox.Put(m); err != nil {
		p.log.Error("message dropped", "err", err)
	}
}

// stop ends the intake: what still waits stays in the book, or, without one, is answered; what comes from now on is refused.
func (p *pipeline) stop() {
	left := p.queue.Close()
	if p.book != nil {
		p.log.Info("requests wait for the next start", "requests", len(left))
		return
	}
	for _, r := range left {
		p.post(r, message.Refusal(r.ID, session.Ended(message.CodeShuttingDown)))
	}
}
