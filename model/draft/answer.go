package draft

// Answer is what is known about the drafts of one answer. Begin readies it for the next one; its memory stays.
type Answer struct {
	*Finder
	// Limit is how many tokens may be drafted for the next pass, set by the caller before Chooser.Choose.
	Limit int
	// Drafts is how many are, set by Chooser.Choose; Accepted is how many of them were right, set by the caller before
	// Chooser.Settle.
	Drafts, Accepted int

	rates  [kinds]float64 // share of predictions that were right, by what kind says of the match
	seen   [kinds]int     // predictions that rates are made of, at most rateWindow
	credit float64        // what drafts may lose, in passes without drafts: see Chooser

	trial int     // drafts under consideration
	ahead float64 // probability that all of trial and the one behind them are right
}

// NewAnswer returns one for conversations of up to context tokens, at least 1.
func NewAnswer(context int) *Answer { return &Answer{Finder: NewFinder(context)} }

// kinds of matches: of 2, 3, 4 to 7, and 8 or more tokens.
const kinds = 4

func kind(match int) int {
	switch {
	case match < 4:
		return match - minGram
	case match < 8:
		return 2
	default:
		return 3
	}
}

const (
	// rateWindow is the number of predictions after which old ones fade: a change from copying to free text shows within
	// about ten tokens.
	rateWindow = 16
	// priorWeight is how many predictions the prior counts for.
	priorWeight = 2
)

// priors are the rates that an answer starts with, by kind: a little less than what the default model showed on tasks that
// copy and on free text together (decision record 0009).
var priors = [kinds]float64{0.4, 0.6, 0.75, 0.9}

// Begin forgets everything and reads the prompt.
func (a *Answer) Begin(prompt []int32) {
	a.Finder.Reset()
	for _, token := range prompt {
		a.Append(token)
	}
	a.rates, a.seen, a.credit = priors, [kinds]int{}, startCredit
	a.Drafts, a.Accepted = 0, 0
}

// Take adds the token that was chosen. It is compared with the prediction whether that was drafted or not, so how often
// predictions are right costs nothing to know.
func (a *Answer) Take(token int32) {
	if a.match > 0 {
		right := 0.0
		if a.tokens[a.source] == token {
			right = 1
		}
		k := kind(a.match)
		a.seen[k] = min(a.seen[k]+1, rateWindow-priorWeight)
		a.rates[k] += (right - a.rates[k]) / float64(a.seen[k]+priorWeight)
	}
	a.Append(token)
}

// consider begins the choice of Drafts.
func (a *Answer) consider() {
	a.Drafts, a.Accepted, a.trial, a.ahead = 0, 0, 0, 0
	if a.match > 0 && a.Limit > 0 {
		a.ahead = a.rates[kind(a.match)]
	}
}

// extend considers one more drafted token and returns the probability that it becomes a token of the answer.
func (a *Answer) extend() float64 {
	p := a.ahead
	a.trial++
	a.ahead *= a.rates[kind(a.match+a.trial)]
	if a.trial >= a.Limit {
		a.ahead = 0
	}
	return p
}
