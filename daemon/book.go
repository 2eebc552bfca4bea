package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/journal"
	"siskin/daemon/ledger"
	"siskin/daemon/outbox"
	"siskin/daemon/queue"
	"siskin/mqtt"
	"siskin/mqtt/message"
)

// book is the pipeline's ledger, and what it needs around it. How a request goes through it is in decision record 0020.
type book struct {
	*ledger.Ledger
	disk     *journal.Disk
	clock    func() ledger.Stamp
	maxTries int
	retry    time.Duration // until an answer that could not be written is tried again
	patience time.Duration // with a clock that nobody has set

	mu      sync.Mutex
	refused map[string]bool // ids in the queue whose acceptance failed: their answers are nobody's
	begun   map[string]bool // ids that the session has taken at least once, until they end
	resumed map[string]bool // ids that an earlier process has left, until they are begun
	ended   context.Context
	end     context.CancelFunc
}

// answerRetry is how long a disk that fails is left alone before an answer is written again.
const answerRetry = time.Second

// journalFolder is where what must not be lost is kept; "" is nowhere.
func journalFolder(c *config.Config, o *Options) string {
	if c.Journal.Dir != "" {
		return c.Journal.Dir
	}
	return o.JournalFolder
}

// openBook opens the book of a device, in a folder of its own below folder.
func openBook(c *config.Config, o *Options, device string) (*book, error) {
	if !c.Journal.Enabled {
		return nil, nil
	}
	folder := journalFolder(c, o)
	if folder == "" {
		return nil, nil
	}
	disk, err := journal.OpenDisk(filepath.Join(folder, device))
	if err != nil {
		return nil, fmt.Errorf("journal.dir: %w; name another folder, or set journal.enabled = false", err)
	}
	clock := o.Stamps
	if clock == nil {
		root := o.Root
		if root == nil {
			root = os.DirFS("/")
		}
		clock = ledger.SystemClock(root, c.Journal.TrustClock)
	}
	const segment = 1 << 20
	l, err := ledger.Open(ledger.Options{
		Folder: disk, SegmentBytes: min(segment, max(4096, int64(c.Journal.MaxSize)/16)),
		Limits: ledger.Limits{
			Bytes: int64(c.Journal.MaxSize), Window: c.Journal.Window, Age: c.Journal.WindowAge.Duration,
			Rate: int64(c.Journal.WriteRate), Burst: burstSeconds * int64(c.Journal.WriteRate),
		},
		Clock: clock, Log: o.Log,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), disk.Close())
	}
	b := &book{Ledger: l, disk: disk, clock: clock, maxTries: c.Journal.MaxTries, retry: answerRetry, patience: o.ClockPatience, refused: map[string]bool{}}
	b.begun, b.resumed = map[string]bool{}, map[string]bool{}
	if b.patience == 0 {
		b.patience = DefaultClockPatience
	}
	b.ended, b.end = context.WithCancel(context.Background())
	return b, nil
}

// burstSeconds is for how long requests may come faster than journal.write_rate allows.
const burstSeconds = 16

func (b *book) close() error {
	b.end()
	return errors.Join(b.Ledger.Close(), b.disk.Close())
}

// leave reports whether the end of a request is not to be told: its acceptance failed, or the daemon stops and the next start goes
// on with it.
func (b *book) leave(id string, code message.Code) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	refused := b.refused[id]
	delete(b.refused, id)
	delete(b.begun, id)
	return refused || code == message.CodeShuttingDown
}

// hashOf identifies a message that has no id of its own: by its topic, correlation data and payload.
func hashOf(m *mqtt.Message) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00", m.Topic)
	if len(m.Correlation) > 0 {
		fmt.Fprintf(h, "%x\x00", m.Correlation)
	}
	h.Write(m.Payload)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// repeated deals with a message whose request is in the book already. A message without an id is one only if the broker says that it
// has sent it before: people do ask the same twice.
func (p *pipeline) repeated(m mqtt.Message, r *message.Request) bool {
	id := r.ID
	if id == "" && m.Duplicate {
		id = p.book.FindHash(hashOf(&m))
	}
	if id == "" {
		return false
	}
	switch p.book.Find(id) {
	case ledger.Unknown:
		return false
	case ledger.Accepted:
		p.book.Await(id, func(err error) {
			if err == nil { // else the broker sends it again, or has it acknowledged by the refusal
				p.sayAccepted(m.Topic, &message.Request{ID: id, Correlation: r.Correlation}, p.queue.Depth())
			}
			m.Ack()
		})
	case ledger.Sent:
		p.resend(id)
		m.Ack()
	case ledger.Answered: // it is in the outbox
		m.Ack()
	}
	p.log.Info("request repeated", "id", id)
	return true
}

// resend publishes an answer of the book once more.
func (p *pipeline) resend(id string) {
	a, err := p.book.Load(id)
	if err != nil {
		p.log.Error("answer cannot be repeated", "id", id, "err", err)
		return
	}
	p.send(outbox.Message{Topic: a.Topic, Payload: a.Payload, Correlation: a.Correlation})
}

// bookIn puts a request into the queue and the book. It may run before the book has it, and be finished, but nobody hears of it: the
// answer is behind it in the same log.
func (p *pipeline) bookIn(m mqtt.Message, r message.Request, hash string) error {
	payload, err := r.Encode()
	if err != nil {
		m.Ack()
		return err
	}
	p.order.Lock() // its end waits until the book knows it
	depth, err := p.queue.Put(r)
	if err != nil {
		p.order.Unlock()
	}
	if errors.Is(err, queue.ErrClosed) {
		return nil // without an acknowledgement the broker keeps it for the next start
	}
	if err != nil {
		m.Ack()
		return err
	}
	in := ledger.Request{ID: r.ID, Payload: payload, Received: p.book.clock(), Deadline: r.Deadline, Hash: hash}
	err = p.book.Accept(in, func(err error) {
		if err != nil {
			p.takeBack(r, err)
		} else {
			p.sayAccepted(m.Topic, &r, depth)
			if p.voice != nil {
				p.voice.accepted(r.ID)
			}
		}
		m.Ack()
	})
	p.order.Unlock()
	if err != nil {
		p.takeBack(r, err)
		m.Ack()
	}
	return nil
}

// takeBack refuses a request that is in the queue, or already taken from it.
func (p *pipeline) takeBack(r message.Request, cause error) {
	p.order.Lock()
	if _, place := p.queue.Cancel(r.ID); place == queue.Running { // if it waited, no answer will come
		p.book.mu.Lock()
		p.book.refused[r.ID] = true
		p.book.mu.Unlock()
		p.engine.Load().Cancel(r.ID)
	}
	p.order.Unlock()
	p.refuse(r, &message.Error{Code: message.CodeOverloaded, ID: r.ID, Text: "The request cannot be stored: " + cause.Error() + "; ask again later."})
}

// bookOut makes an answer safe, then sends it. It is tried until the disk takes it: an answer that is sent and not stored would be
// made anew, with another text, after a crash.
func (p *pipeline) bookOut(a ledger.Answer) {
	err := p.book.Answer(a, func(err error) {
		switch {
		case err == nil:
			p.deliver(a)
		case errors.Is(err, ledger.ErrUnknown):
			p.log.Info("an answer to a refused request is dropped", "id", a.ID)
		case p.book.ended.Err() == nil:
			p.log.Error("answer not stored; it is tried again", "id", a.ID, "err", err)
			time.AfterFunc(p.book.retry, func() { p.bookOut(a) })
		}
	})
	if err != nil && p.book.ended.Err() == nil {
		p.log.Error("answer dropped", "id", a.ID, "err", err)
	}
}

// deliver puts a stored answer into the outbox, or does so later if that is full.
func (p *pipeline) deliver(a ledger.Answer) {
	err := p.outbox.Put(outbox.Message{Topic: a.Topic, Payload: a.Payload, Correlation: a.Correlation, Taken: func() {
		if err := p.book.Sent(a.ID); err != nil {
			p.log.Error("delivery not noted", "id", a.ID, "err", err)
		}
	}})
	if err == nil || p.book.ended.Err() != nil {
		return
	}
	id := a.ID
	time.AfterFunc(p.book.retry, func() { // without the payload: the book has it
		if a, err := p.book.Load(id); err == nil && p.book.ended.Err() == nil {
			p.deliver(a)
		}
	})
}

// began is called when the session takes a request. That is a try, once in a process: a request that waits through many restarts has
// done no harm, and one that is handed back for another model has not been begun. It is durable before a request runs that an earlier
// process has left: one that takes the machine down with it must be found out.
func (p *pipeline) began(id string) {
	if p.book == nil || p.book.Find(id) != ledger.Accepted {
		return
	}
	first, durable := p.book.begin(id)
	if !first {
		return
	}
	if err := p.book.Try(id, durable); err != nil {
		p.log.Error("try not noted", "id", id, "err", err)
	}
}

// begin reports whether a request is begun for the first time in this process, and whether an earlier one has left it.
func (b *book) begin(id string) (first, resumed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first, resumed = !b.begun[id], b.resumed[id]
	b.begun[id] = true
	delete(b.resumed, id)
	return first, resumed
}

// over forgets what was known of a request that has ended.
func (b *book) over(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.begun, id)
	delete(b.resumed, id)
}

// resume takes up what the last process left: answers that the broker has not taken, and requests without an answer, in their order.
func (p *pipeline) resume() error {
	if p.book == nil {
		return nil
	}
	for _, id := range p.book.Unsent() {
		a, err := p.book.Load(id)
		if err != nil {
			p.log.Error("an answer of the journal is lost", "id", id, "err", err)
			continue
		}
		p.deliver(a)
	}
	waiting, err := p.book.Waiting()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	now := p.book.clock()
	var unsure []ledger.Request
	for _, r := range waiting {
		if _, known := now.Since(r.Received); !known && r.Deadline > 0 {
			unsure = append(unsure, r)
			continue
		}
		p.resumeOne(r, now)
	}
	if len(waiting) > 0 {
		p.log.Info("requests of the last start are resumed", "requests", len(waiting), "without_clock", len(unsure))
	}
	if len(unsure) > 0 {
		go p.awaitClock(unsure)
	}
	return nil
}

// DefaultClockPatience is how long a clock that nobody has set yet may take after a start: time servers are asked every 64 s at first
// (RFC 5905, section 7.3, MINPOLL).
const DefaultClockPatience = 2 * time.Minute

// awaitClock decides about requests whose age is not known before the clock is set.
func (p *pipeline) awaitClock(unsure []ledger.Request) {
	deadline := time.NewTimer(p.book.patience)
	defer deadline.Stop()
	check := time.NewTicker(time.Second)
	defer check.Stop()
	for len(unsure) > 0 {
		patient := true
		select {
		case <-p.book.ended.Done():
			return
		case <-deadline.C:
			patient = false
		case <-check.C:
		}
		now := p.book.clock()
		rest := unsure[:0]
		for _, r := range unsure {
			switch _, known := now.Since(r.Received); {
			case known:
				p.resumeOne(r, now)
			case patient:
				rest = append(rest, r)
			default:
				p.endWaiting(r, &message.Error{Code: message.CodeExpired, Text: "The device was off, and its clock does not say for how long."})
			}
		}
		unsure = rest
	}
}

// endWaiting answers a request of the book that is not worked on any more.
func (p *pipeline) endWaiting(r ledger.Request, why *message.Error) {
	p.end(p.decode(r), message.Refusal(r.ID, why))
}

// decode reads a request of the book; what cannot be read has the id at least.
func (p *pipeline) decode(r ledger.Request) message.Request {
	limits := p.rules.Load().limits
	limits.PromptBytes, limits.PayloadBytes = journal.MaxRecord, journal.MaxRecord // it was accepted by the rules of its time
	q, err := message.ParseRequest(r.Payload, limits)
	if err != nil {
		p.log.Error("a request of the journal cannot be read", "id", r.ID, "err", err)
		return message.Request{ID: r.ID}
	}
	return q
}

// resumeOne puts a request of the book into the queue again, if it is worth it.
func (p *pipeline) resumeOne(r ledger.Request, now ledger.Stamp) {
	q := p.decode(r)
	for _, effect := range r.Open {
		// It is not done again: a lamp that was switched on may have been switched off since by hand.
		p.log.Warn("the last process ended while something was done for a request: nobody knows whether it was; it is not repeated",
			"id", r.ID, "effect", effect, "status", "unknown")
	}
	age, _ := now.Since(r.Received)
	q.Received, q.Deadline = p.now().Add(-age), r.Deadline
	switch {
	case q.Prompt == "" && q.Suffix == nil && len(q.Messages) == 0:
		p.endWaiting(r, &message.Error{Code: message.CodeInternal, Text: "The stored request is damaged; ask again."})
		return
	case q.Expired(p.now()):
		p.endWaiting(r, &message.Error{Code: message.CodeExpired, Text: "The deadline of the request passed while the device was off."})
		return
	case r.Tries > p.book.maxTries:
		p.bury(r)
		return
	}
	p.book.mu.Lock()
	p.book.resumed[r.ID] = true
	p.book.mu.Unlock()
	if _, err := p.queue.Put(q); err != nil {
		p.endWaiting(r, &message.Error{Code: message.CodeOverloaded, Text: "More was waiting before the restart than may wait now: " + err.Error() + "."})
	}
}

// bury gives up a request during which the process ended again and again.
func (p *pipeline) bury(r ledger.Request) {
	why := fmt.Sprintf("The device stopped %d times while it worked on this request; it is not tried again.", r.Tries)
	p.log.Error("request given up", "id", r.ID, "tries", r.Tries)
	note, err := json.Marshal(map[string]any{"id": r.ID, "reason": why, "tries": r.Tries, "request": json.RawMessage(strings.TrimSpace(string(r.Payload)))})
	if err == nil {
		p.send(outbox.Message{Topic: p.device.Dead(), Payload: note})
	}
	p.endWaiting(r, &message.Error{Code: message.CodeInternal, Text: why})
}

// source is the queue as the session sees it.
type source struct {
	*queue.Queue
	began func(id string)
}

// Take and TryTake are those of the queue.

func (s source) Take(ctx context.Context) (message.Request, error) {
	r, err := s.Queue.Take(ctx)
	if err == nil {
		s.began(r.ID)
	}
	return r, err
}

func (s source) TryTake() (message.Request, bool) {
	r, ok := s.Queue.TryTake()
	if ok {
		s.began(r.ID)
	}
	return r, ok
}
