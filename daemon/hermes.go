package daemon

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/ledger"
	"siskin/daemon/outbox"
	"siskin/mqtt"
	"siskin/mqtt/hermes"
	"siskin/mqtt/message"
)

// voice answers a voice assistant that speaks Hermes. Its requests go through the same queue, session and book as all others; what
// differs is in what form they come, and in what form their answers leave. After a restart the sites are forgotten: an old answer
// goes to the device's own topic, for nobody waits for a voice so long.
type voice struct {
	p      *pipeline
	sites  []string // that it answers; empty: all
	intent string   // of a question for the assistant; "" leaves queries to others
	misses bool     // what nobody understood is answered
	wait   time.Duration

	mu    sync.Mutex
	turns map[string]*turn // by the id of the request
}

// turn is an utterance that is being answered.
type turn struct {
	hermes.Utterance
	query     bool          // it came as a query: its dialogue is open
	told      chan struct{} // closed when its intent is on its way or will never be: before that there is nothing to say
	once      sync.Once     // for that
	sentences hermes.Sentences
	said      int // pieces
}

// openVoice prepares the adapter for Hermes, if the configuration says so.
func (d *Daemon) openVoice(c *config.Config) {
	h := &c.Hermes
	if !h.Enabled {
		return
	}
	d.pipeline.voice = &voice{
		p: d.pipeline, sites: h.Sites, intent: h.Intent, misses: h.Fallback, wait: h.Deadline.Duration, turns: map[string]*turn{},
	}
}

// topics are those that it reads.
func (v *voice) topics() []string {
	out := []string{hermes.TopicSessionEnded}
	if v.intent != "" {
		out = append(out, hermes.TopicQuery)
	}
	if v.misses {
		out = append(out, hermes.TopicNotRecognized)
	}
	return out
}

// receive takes a message; it reports whether it is one of Hermes.
func (v *voice) receive(m mqtt.Message) bool {
	switch m.Topic {
	case hermes.TopicQuery, hermes.TopicNotRecognized:
		u, err := hermes.ParseUtterance(m.Payload)
		if err != nil {
			v.p.log.Warn("hermes: message refused", "topic", m.Topic, "err", err)
			m.Ack()
			return true
		}
		if len(v.sites) > 0 && !slices.Contains(v.sites, u.SiteID) || u.Input == "" {
			m.Ack()
			return true
		}
		v.begin(m, u, m.Topic == hermes.TopicQuery)
	case hermes.TopicSessionEnded:
		if e, err := hermes.ParseEnded(m.Payload); err == nil {
			v.forgetSession(e.SessionID)
		}
		m.Ack()
	default:
		return false
	}
	return true
}

// begin makes a request of an utterance.
func (v *voice) begin(m mqtt.Message, u hermes.Utterance, query bool) {
	if query && !u.Allows(v.intent) {
		v.put(hermes.TopicNLUUnknown, u.Unknown)
		m.Ack()
		return
	}
	hash := ""
	if book := v.p.book; book != nil {
		hash = hashOf(&m)
		// The broker did not hear that the first copy was safe. What it caused is not done twice; its answer comes, or has come.
		if m.Duplicate && book.FindHash(hash) != "" {
			v.p.log.Info("hermes: message repeated", "id", book.FindHash(hash))
			m.Ack()
			return
		}
	}
	id, err := message.NewID(rand.Reader)
	if err != nil {
		v.p.log.Error("hermes: no id", "err", err)
		m.Ack()
		return
	}
	r := message.Request{ID: "hermes-" + strings.TrimPrefix(id, "g-"), Prompt: u.Input, Stream: true, Deadline: v.wait}
	if u.SessionID != nil {
		r.Session = sessionName(*u.SessionID)
	}
	v.mu.Lock()
	v.turns[r.ID] = &turn{Utterance: u, query: query, told: make(chan struct{})}
	v.mu.Unlock()
	v.p.take(m, r, hash, nil)
}

func (t *turn) release() { t.once.Do(func() { close(t.told) }) }

// refused is called when a request is not accepted: no intent will come.
func (v *voice) refused(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t := v.turns[id]; t != nil {
		t.release()
	}
}

// effectIntent names, in the book, the publication of an intent: what listens to it does something in the house.
const effectIntent = "intent"

// accepted is called when a request is safe; it does not wait.
func (v *voice) accepted(id string) {
	v.mu.Lock()
	t := v.turns[id]
	v.mu.Unlock()
	switch {
	case t == nil:
	case !t.query:
		t.release()
	case v.p.book == nil:
		v.tell(t, nil)
	default:
		go v.intend(id, t) // it waits for the disk, as this function must not
	}
}

// intend publishes the intent of a query, once: that it is about to is on the disk before, and that it was when the broker has it. After a
// crash in between nobody knows, and it is not repeated.
func (v *voice) intend(id string, t *turn) {
	if err := v.p.book.Effect(id, effectIntent, false); err != nil {
		v.put(hermes.TopicError, func() ([]byte, error) { return t.Error("The intent cannot be stored: " + err.Error()) })
		t.release()
		return
	}
	v.tell(t, func() {
		// An answer that is faster ends the entry, and with it the question whether the intent is out.
		if err := v.p.book.Effect(id, effectIntent, true); err != nil && !errors.Is(err, ledger.ErrUnknown) {
			v.p.log.Error("hermes: publication not noted", "id", id, "err", err)
		}
	})
}

// tell publishes what was understood; taken is called when the broker has the intent.
func (v *voice) tell(t *turn, taken func()) {
	v.put(hermes.TopicParsed, func() ([]byte, error) { return t.Parsed(v.intent) })
	v.send(hermes.TopicIntent(v.intent), taken, func() ([]byte, error) { return t.Intent(v.intent) })
	t.release()
}

// sessionName makes the name of a conversation of a dialogue's id, which may be any text.
func sessionName(id string) string {
	if name := "hermes-" + id; message.CheckID(name) == nil {
		return name
	}
	sum := sha256.Sum256([]byte(id))
	return "hermes-" + hex.EncodeToString(sum[:16])
}

// forgetSession drops what belongs to a dialogue that is over. An answer that is still made is not spoken.
func (v *voice) forgetSession(session string) {
	v.mu.Lock()
	var ids []string
	for id, t := range v.turns {
		if t.query && t.SessionID != nil && *t.SessionID == session {
			ids = append(ids, id)
		}
	}
	v.mu.Unlock()
	for _, id := range ids { // the answer, as cancelled, ends the turn
		v.p.cancelOne(id)
	}
}

// delta speaks the sentences that are complete; it reports whether the request is one of Hermes.
func (v *voice) delta(id, text string) bool {
	t := v.await(id)
	if t == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, piece := range t.sentences.Add(text) {
		v.put(hermes.TopicSay, func() ([]byte, error) { return t.Say(piece, fmt.Sprint(id, "-", t.said)) })
		t.said++
	}
	return true
}

// finish makes the last message of an answer, where to, and ends the turn; ok is false if the request is not one of Hermes.
func (v *voice) finish(id string, a *message.Answer) (to string, payload []byte, ok bool) {
	t := v.await(id)
	if t == nil {
		return "", nil, false
	}
	v.mu.Lock()
	delete(v.turns, id)
	v.mu.Unlock()
	rest := t.sentences.Rest()
	if a.Status != message.OK {
		rest = ""
		if a.Status != message.Cancelled {
			v.put(hermes.TopicError, func() ([]byte, error) { return t.Error(a.Text) })
		}
	}
	var err error
	switch {
	case t.query && t.SessionID != nil && strings.HasSuffix(strings.TrimSpace(a.Text), "?") && a.Status == message.OK:
		to = hermes.TopicContinueSession
		payload, err = t.ContinueSession(rest)
	case t.query && t.SessionID != nil:
		to = hermes.TopicEndSession
		payload, err = t.EndSession(rest)
	default:
		to = hermes.TopicSay
		payload, err = t.Say(rest, fmt.Sprint(id, "-", t.said))
	}
	if err != nil {
		v.p.log.Error("hermes: answer dropped", "id", id, "err", err)
	}
	return to, payload, true
}

// intentPatience bounds the wait for the disk, which has one record to write.
const intentPatience = 2 * time.Second

// await holds back what follows an intent until that is in the outbox before it. It returns the turn of a request; nil is none.
func (v *voice) await(id string) *turn {
	v.mu.Lock()
	t := v.turns[id]
	v.mu.Unlock()
	if t == nil {
		return nil
	}
	select {
	case <-t.told:
	case <-time.After(intentPatience):
	}
	return t
}

// put publishes a message.
func (v *voice) put(to string, form func() ([]byte, error)) { v.send(to, nil, form) }

// send publishes a message; taken is called when the broker has it.
func (v *voice) send(to string, taken func(), form func() ([]byte, error)) {
	payload, err := form()
	if err == nil {
		err = v.p.outbox.Put(outbox.Message{Topic: to, Payload: payload, Taken: taken})
	}
	if err != nil {
		v.p.log.Error("hermes: message dropped", "topic", to, "err", err)
	}
}
