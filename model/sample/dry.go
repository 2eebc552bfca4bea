package sample

import "slices"

// dryState is what the DRY step keeps between calls: its settings in a form quick to search, and scratch.
type dryState struct {
	DRY
	lastN    int                 // look-back in tokens; 0: off
	breakers map[int32][][]int32 // first token of each breaker -> the tokens that follow it
	maxExp   int                 // largest exponent that keeps Base^n a float32; 0: no limit needed
	tail     []int32             // the history, newest first
	match    []int32             // match[k]: length of the run that ends k tokens back and equals the end of the text
	hits     []uint64            // token<<32 | run length
}

// logMaxFloat32 is the natural logarithm of the largest float32.
const logMaxFloat32 = 88.7228391

func (d *dryState) reset(p DRY) {
	d.DRY, d.lastN, d.breakers = p, 0, nil
	if p.Multiplier == 0 || p.Base < 1 || p.LastN <= 0 {
		return
	}
	d.lastN = p.LastN
	d.maxExp = 0
	if p.Base > 1.000001 {
		d.maxExp = int(logMaxFloat32 / log(float64(p.Base)))
	}
	d.breakers = make(map[int32][][]int32, len(p.Breakers))
	for _, b := range p.Breakers {
		if len(b) > 0 {
			d.breakers[b[0]] = append(d.breakers[b[0]], b[1:])
		}
	}
	if cap(d.tail) < d.lastN {
		d.tail, d.match = make([]int32, d.lastN), make([]int32, d.lastN)
		d.hits = make([]uint64, 0, d.lastN)
	}
}

// apply lowers the logits of tokens that would continue a repetition.
func (d *dryState) apply(logits []float32, h *history) {
	n := min(d.lastN, h.n)
	if n <= d.AllowedLength {
		return
	}
	tail := d.tail[:n]
	for i := range tail {
		tail[i] = h.last(i)
	}
	limit := d.sinceBreaker(tail)
	if limit < d.AllowedLength {
		return
	}
	match := d.match[:n]
	selfMatch(match, tail)

	// A run that ends k tokens back was followed by tail[k-1]: that token would make it one longer.
	hits := d.hits[:0]
	for k := 1; k < n; k++ {
		run := min(int(match[k]), limit)
		if run >= d.AllowedLength {
			hits = append(hits, uint64(uint32(tail[k-1]))<<32|uint64(run))
		}
	}
	slices.Sort(hits)
	for i, hit := range hits {
		id := int32(hit >> 32)
		if i+1 < len(hits) && int32(hits[i+1]>>32) == id {
			continue // a longer run follows
		}
		if id >= 0 && int(id) < len(logits) && !d.isBreaker(id) {
			logits[id] -= d.penalty(int(uint32(hit)))
		}
	}
}

// penalty returns Multiplier * Base^(run-AllowedLength), kept finite.
func (d *dryState) penalty(run int) float32 {
	e := run - d.AllowedLength
	if d.maxExp > 0 {
		e = min(e, d.maxExp)
	}
	pow := 1.0
	for range e {
		pow = float64(pow * float64(d.Base))
	}
	return float32(float64(d.Multiplier) * pow)
}

// sinceBreaker returns how many of the newest tokens follow the last breaker sequence; all of them without one.
// tail is newest first.
func (d *dryState) sinceBreaker(tail []int32) int {
	for i, token := range tail {
		longest := -1
		for _, rest := range d.breakers[token] {
			if len(rest) > longest && len(rest) <= i && follows(tail, i, rest) {
				longest = len(rest)
			}
		}
		if longest >= 0 {
			return i - longest
		}
	}
	return len(tail)
}

// follows tells whether the tokens after tail[i] in reading order, tail[i-1], tail[i-2], ..., are rest.
func follows(tail []int32, i int, rest []int32) bool {
	for j, t := range rest {
		if tail[i-1-j] != t {
			return false
		}
	}
	return true
}

// isBreaker tells whether the token alone is a breaker.
func (d *dryState) isBreaker(id int32) bool {
	for _, rest := range d.breakers[id] {
		if len(rest) == 0 {
			return true
		}
	}
	return false
}

// selfMatch sets z[k] to the length of the longest common prefix of x and x[k:] for k >= 1 in linear time: the Z-function
// (Gusfield, "Algorithms on Strings, Trees and Sequences", section 1.4). len(z) = len(x).
func selfMatch(z, x []int32) {
	left, right := 0, 0 // the match that reaches furthest right: x[left:right] == x[:right-left]
	for k := 1; k < len(x); k++ {
		n := 0
		if k < right {
			n = min(right-k, int(z[k-left]))
		}
		for k+n < len(x) && x[n] == x[k+n] {
			n++
		}
		z[k] = int32(n)
		if k+n > right {
			left, right = k, k+n
		}
	}
}
