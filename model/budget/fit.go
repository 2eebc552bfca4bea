package budget

import "fmt"

// fitting is one run of Fit.
type fitting struct {
	ask    Ask
	budget int64
	err    error
}

// Fit finds what fits into budget bytes. What gives way, each only if all before has given way as far as it may:
//
//  1. the queue, halved: a rush of requests is refused earlier;
//  2. the prefill batch, halved: prompts are read more slowly;
//  3. the format of keys and values: a little less exact;
//  4. the context, down to the minimum: conversations are forgotten earlier;
//  5. the weights: some are read from the file in every pass, which is slow. The batch then gets back what costs little.
//
// What then is left goes back to the context, then to the batch, then to the queue. Errors: *OverBudget; those of Ask.Cost.
func Fit(budget int64, source string, ask Ask) (Plan, error) {
	f := &fitting{ask: ask, budget: budget}
	least := f.least()
	smallest := f.need(least) - ask.Weights + min(ask.Window, ask.Weights)
	if ask.Strict {
		least = ask.Want
		smallest = f.need(least)
	}
	choice, ok := f.search()
	if !ok {
		choice = least
	}
	items := f.items(choice)
	if f.err != nil {
		return Plan{}, f.err
	}
	plan := Plan{
		Budget: budget, Source: source, Want: ask.Want, Choice: choice, Items: items,
		Steps: f.steps(choice), Smallest: smallest,
	}
	if !ok {
		return plan, &OverBudget{Plan: plan, Need: smallest, Have: budget, Strict: ask.Strict}
	}
	return plan, nil
}

// least is the choice that takes the least memory.
func (f *fitting) least() Choice {
	w := f.ask.Want
	c := Choice{
		QueueBytes: min(w.QueueBytes, f.ask.MinQueue), PrefillBatch: min(w.PrefillBatch, f.ask.MinBatch),
		KV: w.KV, Context: min(w.Context, f.ask.MinContext),
	}
	if n := len(f.ask.Formats); n > 0 {
		c.KV = f.ask.Formats[n-1]
	}
	c.StreamedBytes = max(0, f.ask.Weights-f.ask.Window)
	return c
}

// search goes down the ladder.
func (f *fitting) search() (Choice, bool) {
	want := f.ask.Want
	if f.fits(want) {
		return want, true
	}
	if f.ask.Strict {
		return want, false
	}
	c := want
	for c.QueueBytes/2 >= f.ask.MinQueue && c.QueueBytes > 1 {
		if c.QueueBytes /= 2; f.fits(c) {
			return c, true
		}
	}
	c.QueueBytes = min(want.QueueBytes, f.ask.MinQueue)
	for c.PrefillBatch/2 >= f.ask.MinBatch {
		if c.PrefillBatch /= 2; f.fits(c) {
			return f.widen(c), true
		}
	}
	c.PrefillBatch = min(want.PrefillBatch, f.ask.MinBatch)
	for _, kv := range f.ask.Formats {
		if c.KV = kv; f.fits(c) {
			return f.widen(c), true
		}
	}
	least := f.least()
	least.StreamedBytes = 0
	if f.fits(least) {
		return f.widen(f.lengthen(least)), true
	}
	over := f.need(least) - f.budget
	if over > f.ask.Weights-f.ask.Window {
		return least, false
	}
	least.StreamedBytes = over
	return f.widenStreamed(least), true
}

// streamShare of the weights may be streamed beyond what must be, for a larger batch of prefill.
const streamShare = 8

// widenStreamed gives the batch more while weights are streamed: every pass reads them, so a prompt takes as many times longer
// as its batches are smaller.
func (f *fitting) widenStreamed(c Choice) Choice {
	for n := f.ask.Want.PrefillBatch; n > c.PrefillBatch; n /= 2 {
		wider := c
		wider.PrefillBatch = n
		wider.StreamedBytes = f.need(wider) - f.budget
		if wider.StreamedBytes <= f.ask.Weights-f.ask.Window && wider.StreamedBytes-c.StreamedBytes <= f.ask.Weights/streamShare {
			return wider
		}
	}
	return c
}

// lengthen gives the context what is left.
func (f *fitting) lengthen(c Choice) Choice {
	step := max(1, f.ask.ContextStep)
	low, high := c.Context/step, f.ask.Want.Context/step // low fits
	for low < high {
		middle := (low + high + 1) / 2
		longer := c
		if longer.Context = middle * step; f.fits(longer) {
			low = middle
		} else {
			high = middle - 1
		}
	}
	c.Context = max(c.Context, low*step)
	return c
}

// widen gives the batch, and then the queue, what is left.
func (f *fitting) widen(c Choice) Choice {
	wider := c
	for n := f.ask.Want.PrefillBatch; n > c.PrefillBatch; n /= 2 {
		if wider.PrefillBatch = n; f.fits(wider) {
			c = wider
			break
		}
	}
	wider = c
	for n := f.ask.Want.QueueBytes; n > c.QueueBytes; n /= 2 {
		if wider.QueueBytes = n; f.fits(wider) {
			return wider
		}
	}
	return c
}

func (f *fitting) fits(c Choice) bool { return f.need(c) <= f.budget }

// need is what a choice takes with all weights in memory, or as far as it does not stream them.
func (f *fitting) need(c Choice) int64 {
	c.StreamedBytes = 0
	return total(f.items(c))
}

// items are those of the caller and the weights.
func (f *fitting) items(c Choice) []Item {
	items, err := f.ask.Cost(c)
	if err != nil && f.err == nil {
		f.err = err
	}
	from := "read from the file once, then kept as long as the system does not need the pages"
	if c.StreamedBytes > 0 {
		from = fmt.Sprintf("the part that stays; %s are read from the file in every pass", MiB(c.StreamedBytes))
	}
	return append(items, Item{Name: Weights, Bytes: f.ask.Weights - c.StreamedBytes, Kind: File, From: from})
}

// steps says how a choice differs from what is wanted.
func (f *fitting) steps(c Choice) []string {
	want, steps := f.ask.Want, []string{}
	if c.QueueBytes != want.QueueBytes {
		steps = append(steps, fmt.Sprintf("queue of %s instead of %s", MiB(c.QueueBytes), MiB(want.QueueBytes)))
	}
	if c.PrefillBatch != want.PrefillBatch {
		steps = append(steps, fmt.Sprintf("prefill batch of %d rows instead of %d", c.PrefillBatch, want.PrefillBatch))
	}
	if c.KV != want.KV {
		steps = append(steps, fmt.Sprintf("keys and values in %s instead of %s", c.KV, want.KV))
	}
	if c.Context != want.Context {
		steps = append(steps, fmt.Sprintf("context of %d tokens instead of %d", c.Context, want.Context))
	}
	if c.StreamedBytes > 0 {
		steps = append(steps, fmt.Sprintf("%s of %s of weights are read from the file in every pass", MiB(c.StreamedBytes), MiB(f.ask.Weights)))
	}
	return steps
}
