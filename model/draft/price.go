package draft

import (
	"math"
	"slices"
	"time"
)

const (
	// samples of the duration of a pass are kept for each number of rows; the price is their median. Two that a busy
	// machine has stretched do not move it, and after three a change has arrived.
	samples = 5
	// staleAfter passes for each sample, of at most staleSamples, a price is doubted, because the machine may have been
	// busy then and the context is longer now: one that a single pass has set is soon tried again, one that was confirmed
	// costs at most one trial in 256 passes.
	staleAfter   = 64
	staleSamples = 4
	// confirmed is how far, as a share, a sample may lie from a doubted price that it confirms.
	confirmed = 0.25
	// firstRow is what one more row is expected to take while no pass has shown it, as a share of the pass: between the
	// tenth of a machine that waits for memory and the whole of one that waits for arithmetic, so that a trial is made only
	// for a draft that is likely to be right.
	firstRow = 0.4
)

// prices knows what passes of 1 to MaxRows rows take.
type prices struct {
	ring   [MaxRows + 1][samples]float64 // seconds
	count  [MaxRows + 1]int              // samples ever
	median [MaxRows + 1]float64
	last   [MaxRows + 1]uint64 // value of passes at the last sample
	passes uint64

	// What price works out, by rows, from the base upwards.
	expected [MaxRows + 1]float64
	worst    [MaxRows + 1]float64
	reach    int // the most rows that may be tried
}

// measure adds the duration of a pass.
func (p *prices) measure(rows int, d time.Duration) {
	p.passes++
	if rows > MaxRows || d <= 0 {
		return
	}
	seconds := d.Seconds()
	if p.stale(rows) && math.Abs(seconds-p.median[rows]) > confirmed*p.median[rows] {
		p.count[rows] = 0
	}
	p.ring[rows][p.count[rows]%samples] = seconds
	p.count[rows]++
	p.last[rows] = p.passes
	var sorted [samples]float64
	held := sorted[:copy(sorted[:], p.ring[rows][:min(p.count[rows], samples)])]
	slices.Sort(held)
	p.median[rows] = held[(len(held)-1)/2]
	for m := 1; m < rows; m++ {
		// Fewer rows never take longer: where they seem to, their price is from a busier time.
		p.median[m] = min(p.median[m], p.median[rows])
	}
}

// stale reports whether the price of so many rows is not known or is doubted.
func (p *prices) stale(rows int) bool {
	return p.passes-p.last[rows] > staleAfter*uint64(min(p.count[rows], staleSamples))
}

// parts is what a pass takes at most: as long as passes of base rows that have the rows together. 0: not known.
func (p *prices) parts(rows, base int) time.Duration {
	return time.Duration(p.median[base] * float64((rows+base-1)/base) * float64(time.Second))
}

// price fills expected and worst for passes of base rows and more; base is below MaxRows. It reports whether the price of
// base is known: without it there is nothing to compare with.
//
// A price that is not known is expected on the line through its known neighbours, or on the line through the two below
// it, or from base on a line of the slope of firstRow. At worst it is that of the next larger known pass, or that of as
// many known smaller passes as have the rows together: a pass is never slower than its parts. Trials go up by one draft,
// then twice as many: a step in the price is met with the cheap side known.
func (p *prices) price(base int) bool {
	if p.median[base] <= 0 {
		return false
	}
	p.expected[base], p.worst[base] = p.median[base], p.median[base]
	low, slope := base, firstRow/float64(base)*p.median[base]
	p.reach = base + 1
	for low < MaxRows {
		high := low + 1
		for high <= MaxRows && p.stale(high) {
			high++
		}
		from, to := p.expected[low], 0.0
		if high <= MaxRows {
			p.reach = base + 2*(high-base)
			to = max(from, p.median[high])
			slope = (to - from) / float64(high-low)
		}
		for r := low + 1; r <= min(high, MaxRows); r++ {
			p.expected[r], p.worst[r] = from+slope*float64(r-low), to
			if high > MaxRows {
				p.worst[r] = from * float64((r+low-1)/low)
			}
		}
		low = high
	}
	return true
}
