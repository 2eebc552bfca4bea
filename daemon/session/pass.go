package session

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"siskin/model"
	"siskin/model/chat"
	"siskin/model/kvcache"
	"siskin/model/sample"
	"siskin/mqtt/message"
)

// admit gives a pending job a slot if there is one, if the whole of prompt and answer is sure to fit the cache beside
// the jobs under way, and if its session is not busy. It reports whether the job left the pending list.
func (e *Engine) admit(j *job) bool {
	if e.busy(j) {
		return false
	}
	if j.prompt == nil {
		// Not before: until its turn has come, the conversation of the session grows.
		if err := e.prepare(j); err != nil {
			e.refuse(j, err)
			return true
		}
	}
	s := e.bestSlot(j)
	if s == nil {
		return false
	}
	need := pagesOf(len(j.prompt) + j.most)
	total := need
	for _, o := range e.order {
		total += o.slot.pages
	}
	if total > e.State.Cache.Capacity()/kvcache.PageLen {
		return false
	}
	e.start(j, s, need)
	return true
}

func pagesOf(positions int) int { return (positions + kvcache.PageLen - 1) / kvcache.PageLen }

// reusable returns how many tokens of the prompt of j need not be run again in slot s: those that it shares, and where the model
// has recurrent layers, which cannot go back to any position, those up to the checkpoint before.
//
// What other adapters have computed is of no use.
func (e *Engine) reusable(s *slot, j *job) int {
	return e.State.Resumable(s.seq, min(s.shared(j.prompt), model.SameAdapters(s.adapters, j.adapters)))
}

// bestSlot returns the idle slot that has the longest beginning of the job's prompt, of equal ones the longest unused.
func (e *Engine) bestSlot(j *job) *slot {
	var best *slot
	shared := 0
	for i := range e.slots {
		s := &e.slots[i]
		if s.job != nil {
			continue
		}
		n := e.reusable(s, j)
		if best == nil || n > shared || n == shared && s.used < best.used {
			best, shared = s, n
		}
	}
	return best
}

// start puts a job into a slot: what the slot shares with the prompt stays in the cache.
func (e *Engine) start(j *job, s *slot, pages int) {
	j.usage.CachedTokens = e.reusable(s, j)
	e.truncate(s, j.usage.CachedTokens)
	if err := e.State.Adapt(s.seq, j.adapters); err != nil {
		panic("session: " + err.Error()) // they were checked, and their number too
	}
	s.adapters = j.adapters
	j.slot, s.job, s.pages, s.drafted = s, j, pages, 0
	e.reclaim(s)
	s.sampler.Reset(j.params)
	for _, id := range j.prompt {
		s.sampler.Accept(id)
	}
	if s.draft != nil {
		s.draft.Begin(j.prompt)
	}
	j.decoder, j.stopper = e.Tokenizer.NewDecoder(), sample.NewStopper(j.request.Stop)
	if j.request.Suffix == nil { // what fills a gap is text and nothing else
		j.speech = chat.NewSpeech(len(j.request.Tools) > 0, j.thinking)
	}
	j.started = e.Now()
	e.pending = slices.DeleteFunc(e.pending, func(o *job) bool { return o == j })
	e.order = append(e.order, j)
}

// reclaim empties idle slots, the longest unused first, until every job under way is sure of the pages reserved for it.
func (e *Engine) reclaim(keep *slot) {
	for {
		promised, held := 0, 0
		var idle *slot
		for i := range e.slots {
			s := &e.slots[i]
			switch {
			case s.job != nil:
				promised += s.pages
			default:
				held += pagesOf(len(s.tokens))
				if s != keep && len(s.tokens) > 0 && (idle == nil || s.used < idle.used) {
					idle = s
				}
			}
		}
		if promised+held <= e.State.Cache.Capacity()/kvcache.PageLen || idle == nil {
			return
		}
		e.truncate(idle, 0)
	}
}

// truncate keeps the first n tokens of a slot; n is 0, what reusable says, or takes back drafts only.
func (e *Engine) truncate(s *slot, n int) {
	left, err := e.State.Truncate(s.seq, n)
	if err != nil || left != n {
		panic(fmt.Sprintf("session: %d tokens are left of %d: %v", left, n, err)) // a broken invariant
	}
	s.tokens = s.tokens[:n]
}

// pass runs the model once for all jobs under way: the next token of every answer, and as much prefill as keeps the pass
// short. A fault in it ends the jobs with an error, not the daemon.
func (e *Engine) pass() {
	if len(e.order) == 0 {
		return
	}
	decodes, prefills := e.collect()
	begun := e.Now()
	if code, err := e.forward(); err != nil {
		e.abandon(code, err)
		return
	}
	now := e.Now()
	e.measure(now.Sub(begun), decodes, prefills)
	if prefills > 0 {
		e.checkpoint()
	}
	for i, wanted := 0, 0; i < len(e.rows); i++ {
		if !e.rows[i].Logits {
			continue
		}
		s := &e.slots[e.rows[i].Seq]
		i += s.drafted
		wanted += e.advance(s, wanted, now)
	}
	if len(e.drafting) > 0 {
		e.chooser.Settle(e.drafting, now.Sub(begun))
	}
}

// checkpoint keeps what a recurrent model needs to come back to the ends of the prompts that the pass has read, or to where it has
// got in them: the next request of a conversation begins alike.
func (e *Engine) checkpoint() {
	if !e.State.Recurrent() {
		return
	}
	for _, j := range e.order {
		if n := len(j.slot.tokens); n > 0 && n <= len(j.prompt) {
			e.State.Checkpoint(j.slot.seq)
		}
	}
}

// collect chooses the rows of the pass and appends their tokens to the slots.
func (e *Engine) collect() (decodes, prefills int) {
	e.rows = e.rows[:0]
	e.draft()
	for _, j := range e.order {
		if j.grows() {
			e.addRow(j.slot, model.Row{Token: j.last, Logits: true})
			e.addDraft(j.slot)
			decodes++
		}
	}
	room := e.chunk() - decodes
	for _, j := range e.order {
		s := j.slot
		for len(s.tokens) < len(j.prompt) && prefills < room {
			next := len(s.tokens)
			e.addRow(s, model.Row{Token: j.prompt[next], Logits: next == len(j.prompt)-1})
			prefills++
		}
	}
	return decodes, prefills
}

// addRow adds a row to the pass, at the end of a slot.
func (e *Engine) addRow(s *slot, row model.Row) {
	row.Seq, row.Pos = s.seq, len(s.tokens)
	e.rows = append(e.rows, row)
	s.tokens = append(s.tokens, row.Token)
	s.used = e.passes
}

// chunk is the number of rows of a pass: as many as run in passTime, by what the last passes took.
func (e *Engine) chunk() int {
	most := e.State.Limits().Rows
	if e.rowTime <= 0 {
		return most
	}
	return min(most, max(minChunk, int(passTime/e.rowTime)))
}

// measure updates the duration of a row from passes that were mostly prefill.
func (e *Engine) measure(d time.Duration, decodes, prefills int) {
	e.passes++
	if prefills < minChunk || prefills < decodes {
		return
	}
	perRow := d / time.Duration(decodes+prefills)
	if e.rowTime == 0 {
		e.rowTime = perRow
	}
	e.rowTime += (perRow - e.rowTime) / 4
}

// forward runs the rows. A panic comes back as an error: of a file that cannot be read, else of a broken invariant.
func (e *Engine) forward() (code message.Code, err error) {
	defer func() {
		switch fault := recover(); {
		case fault == nil:
		case e.Model.Unreadable(fault):
			e.faulty = true
			code, err = message.CodeModelFault, errors.New("the model's file was cut, or its disk does not deliver")
		default:
			code, err = message.CodeInternal, fmt.Errorf("forward pass: %v\n%s", fault, debug.Stack())
		}
	}()
	return message.CodeInternal, e.State.Forward(e.rows)
}

// revive reloads the model. If that fails, all that waits is answered.
func (e *Engine) revive() bool {
	err := errors.New("nobody can reload it")
	if e.Reload != nil {
		err = e.Reload()
	}
	if err == nil {
		e.faulty = false
		e.Log.Info("the model is loaded again")
		return true
	}
	e.Log.Error("the model cannot be read", "err", err)
	for request, ok := e.Source.TryTake(); ok; request, ok = e.Source.TryTake() {
		e.begin(request)
	}
	for len(e.pending) > 0 {
		e.refuse(e.pending[0], Ended(message.CodeModelFault))
	}
	return false
}

// abandon answers every job under way with an error and empties their slots, whose contents are not known.
func (e *Engine) abandon(code message.Code, err error) {
	e.Log.Error("forward pass failed", "rows", len(e.rows), "err", err)
	for len(e.order) > 0 {
		j := e.order[0]
		s := j.slot
		e.finish(j, code)
		e.truncate(s, 0)
	}
}

// step samples the next token of a job from its logits and ends the job if that was the last.
func (e *Engine) step(j *job, logits []float32, now time.Time) {
	if j.decoding.IsZero() {
		j.decoding = now
	}
	e.raw = e.raw[:0]
	if j.request.Sampling.TopLogProbs != nil {
		e.raw = append(e.raw, logits...) // the sampler changes them
	}
	id := j.slot.sampler.Sample(logits)
	if id < 0 {
		e.Log.Error("no token can be sampled: the logits are not numbers", "id", j.request.ID)
		s := j.slot
		e.finish(j, message.CodeInternal)
		e.truncate(s, 0) // what made these logits must not answer anybody else
		return
	}
	if e.Tokenizer.IsEOG(id) {
		e.finish(j, message.CodeNone)
		return
	}
	j.slot.sampler.Accept(id)
	if j.slot.draft != nil {
		j.slot.draft.Take(id)
	}
	j.usage.CompletionTokens++
	if j.request.Sampling.TopLogProbs != nil {
		j.logProbs = append(j.logProbs, e.logProb(id, int(*j.request.Sampling.TopLogProbs)))
	}
	text, stopped := j.stopper.Add(j.decoder.Add(id))
	e.emit(j, text)
	switch {
	case stopped:
		e.finish(j, message.CodeNone)
	case j.usage.CompletionTokens >= j.most:
		e.finish(j, j.mostCode)
	default:
		j.last = id
	}
}
