package session

import (
	"time"

	"siskin/model"
	"siskin/model/draft"
	"siskin/mqtt/message"
)

// draft decides how many tokens each answer drafts for the next pass. While a prompt is read there are none: rows cost
// their full price then, and the prompt needs them.
func (e *Engine) draft() {
	e.drafting = e.drafting[:0]
	if e.Drafts == 0 {
		return
	}
	for _, j := range e.order {
		if !j.grows() {
			e.drafting = e.drafting[:0]
			break
		}
		// A pass adds one token more than were drafted; beyond the last one nothing need be known.
		j.slot.draft.Limit = j.most - j.usage.CompletionTokens - 1
		e.drafting = append(e.drafting, j.slot.draft)
	}
	e.chooser.Choose(e.drafting)
}

// addDraft adds the rows that check the draft of a slot, behind the row of its last token.
func (e *Engine) addDraft(s *slot) {
	s.drafted = 0
	if len(e.drafting) == 0 {
		return
	}
	var tokens [draft.MaxDraft]int32
	for _, token := range s.draft.Draft(tokens[:s.draft.Drafts]) {
		e.addRow(s, model.Row{Token: token, Logits: true, Draft: true})
		s.drafted++
	}
}

// advance samples the next tokens of an answer from rows of logits that begin with the given one, and returns how many
// rows the answer had. The first row says what comes next. A row behind it counts only if the token that it was computed
// from is the one that was chosen, so every token is sampled from the same logits, in the same order and with the same
// random numbers as without drafts; cancellation and deadline count between tokens. Tokens that were drafted wrong leave
// the cache.
func (e *Engine) advance(s *slot, first int, now time.Time) (rows int) {
	j, drafted := s.job, s.drafted
	keep := len(s.tokens) - drafted
	accepted := 0
	j.usage.DraftedTokens += drafted
	for {
		e.step(j, e.State.Logits(first+accepted), now)
		if accepted == drafted || s.job == nil || j.last != s.tokens[keep+accepted] || e.endOf(j, e.Now()) != message.CodeNone {
			break
		}
		accepted++
		j.usage.AcceptedTokens++
	}
	if s.draft != nil {
		s.draft.Accepted = accepted
	}
	if len(s.tokens) > keep+accepted {
		e.truncate(s, keep+accepted)
	}
	return 1 + drafted
}
