package draft

import "time"

const (
	// MaxRows is the most rows of a pass with drafts: kernels read the weights once for up to eight rows, and with nine
	// out of ten predictions right the eighth row still has an even chance.
	MaxRows = 8
	// MaxDraft is the longest draft of one answer: the row before it is the next token itself.
	MaxDraft = MaxRows - 1
)

const (
	// interest is what an answer earns for each pass towards startCredit, in passes: the share of the time that drafts
	// may lose in the long run.
	interest = 1.0 / 50
	// startCredit is what the drafts of an answer may lose before any was right, in passes.
	startCredit = 1
	// maxCredit bounds what an answer saves of its gains, in passes, and so what it may lose again in a row.
	maxCredit = 8
	// minGain is the least expected factor of speed that is worth trying: prices are not known better.
	minGain = 1.03
	// patience bounds how much longer a pass of several answers may take because of the drafts of some.
	patience = 1.25
)

// Chooser decides how many tokens each answer drafts, pass by pass: as many as give the most tokens per second by what
// passes have taken and by how often the predictions of each answer were right.
//
// Besides, every answer has a credit, counted in passes without drafts, that bounds what a wrong expectation costs. A
// draft that is checked pays for the time by which the pass grew and earns the tokens that were right; an answer drafts
// only if its credit covers the case that all of the draft is wrong. So n tokens of one answer take at most the time of
// 1.02 n + 1 passes without drafts, as far as prices stand still.
type Chooser struct {
	// Fixed, if positive, is the length of every draft, at most MaxDraft: for measurements and tests. A draft is shorter
	// only at its answer's Limit, and where answers share MaxRows.
	Fixed int

	prices prices
}

// Choose sets Drafts of the answers that grow in the next pass; the pass has one row for each, and one for each drafted
// token. It has at most MaxRows rows if any is drafted.
func (c *Chooser) Choose(answers []*Answer) {
	base := len(answers)
	for _, a := range answers {
		a.consider()
	}
	if c.Fixed > 0 {
		c.fix(answers)
		return
	}
	if base >= MaxRows || !c.prices.price(base) {
		return
	}
	plain := c.prices.expected[base]
	tokens, best := float64(base), minGain*float64(base)/plain
	for rows := base + 1; rows <= min(c.prices.reach, MaxRows); rows++ {
		a := likeliest(answers)
		if a == nil {
			return
		}
		tokens += a.extend()
		if base > 1 && c.prices.expected[rows] > patience*plain {
			return // more rows take no less
		}
		if speed := tokens / c.prices.expected[rows]; speed > best && affordable(answers, rows-base, c.prices.worst[rows]/plain-1) {
			best = speed
			for _, a := range answers {
				a.Drafts = a.trial
			}
		}
	}
}

// fix gives every answer Fixed drafts, in turns while rows last.
func (c *Chooser) fix(answers []*Answer) {
	rows := len(answers)
	for range min(c.Fixed, MaxDraft) {
		for _, a := range answers {
			if a.match > 0 && a.Drafts < a.Limit && rows < MaxRows {
				a.Drafts++
				rows++
			}
		}
	}
}

// likeliest returns the answer whose next drafted token is the most probable to be right; nil: no answer has one.
func likeliest(answers []*Answer) *Answer {
	var best *Answer
	for _, a := range answers {
		if a.ahead > 0 && (best == nil || a.ahead > best.ahead) {
			best = a
		}
	}
	return best
}

// affordable reports whether every answer can pay its part of a loss, in passes, by drafts in all.
func affordable(answers []*Answer, drafts int, loss float64) bool {
	for _, a := range answers {
		if a.trial > 0 && a.credit < loss*float64(a.trial)/float64(drafts) {
			return false
		}
	}
	return true
}

// Settle takes the duration of the pass that Choose has shaped for the same answers, once Accepted is set.
func (c *Chooser) Settle(answers []*Answer, d time.Duration) {
	base, drafts := len(answers), 0
	for _, a := range answers {
		drafts += a.Drafts
	}
	if drafts == 0 {
		c.prices.measure(base, d)
	} else if c.prices.median[base] > 0 { // drafts are fewer than MaxRows together with base, so base is an index
		c.prices.measure(base+drafts, min(d, c.prices.parts(base+drafts, base))) // beyond it, the time was somebody else's
		charge(answers, drafts, c.prices.median[base+drafts]/c.prices.median[base]-1)
	}
	for _, a := range answers {
		if a.credit < startCredit {
			a.credit = min(a.credit+interest, startCredit)
		}
	}
}

// charge takes from each answer its part of the time, in passes, by which drafts have lengthened the pass, and gives what
// the tokens that were right would have taken.
func charge(answers []*Answer, drafts int, extra float64) {
	for _, a := range answers {
		if a.Drafts > 0 {
			a.credit += float64(a.Accepted)/float64(len(answers)) - extra*float64(a.Drafts)/float64(drafts)
			a.credit = min(a.credit, maxCredit)
		}
	}
}
