package sample

import "math"

// before is the order of candidates: larger key first, then lower token id.
func before(a, b *candidate) bool {
	return a.key > b.key || (a.key == b.key && a.id < b.id)
}

// best returns the index of the candidate with the largest logit, ties by the lower id. c is not empty.
func best(c []candidate) int {
	b := 0
	for i := range c {
		if c[i].logit > c[b].logit || (c[i].logit == c[b].logit && c[i].id < c[b].id) {
			b = i
		}
	}
	return b
}

// below returns l-m for l <= m, and 0 for two infinities.
func below(l, m float32) float64 {
	if l == m {
		return 0
	}
	return float64(l) - float64(m)
}

// expSum returns the sum of exp(logit-m).
func expSum(c []candidate, m float32) float64 {
	sum := 0.0
	for i := range c {
		sum += exp(below(c[i].logit, m))
	}
	return sum
}

// sigmaFloor returns the smallest logit that top-n-sigma keeps, -Inf if n is not positive. Logits of -Inf do not count.
func sigmaFloor(logits []float32, n float32) float32 {
	if n <= 0 || len(logits) <= 1 {
		return negInf
	}
	m, sum, count := negInf, 0.0, 0
	for _, l := range logits {
		if l > negInf {
			m = max(m, l)
			sum += float64(l)
			count++
		}
	}
	if count == 0 {
		return negInf
	}
	mean, acc := sum/float64(count), 0.0
	for _, l := range logits {
		if l > negInf {
			d := float64(l) - mean
			acc += float64(d * d)
		}
	}
	floor := float64(m) - float64(float64(n)*math.Sqrt(acc/float64(count)))
	if floor != floor { // a logit of +Inf: only its like are kept
		return m
	}
	return float32(floor)
}

// topK appends to c (empty, capacity >= k) the k best logits that are at least floor. While it runs, c is a heap with the
// worst kept candidate on top, so most logits cost one comparison.
func topK(c []candidate, k int, logits []float32, floor float32) []candidate {
	if k == 0 {
		return c
	}
	worst := negInf
	for i, l := range logits {
		if len(c) == k {
			if !(l > worst) { // an equal logit here has a higher id and loses
				continue
			}
			if l >= floor {
				c[0] = newCandidate(l, int32(i))
				siftWorst(c, 0)
				worst = c[0].logit
			}
			continue
		}
		if l >= floor && l > negInf {
			c = append(c, newCandidate(l, int32(i)))
			if len(c) == k {
				for j := k/2 - 1; j >= 0; j-- {
					siftWorst(c, j)
				}
				worst = c[0].logit
			}
		}
	}
	return c
}

// siftWorst restores the heap order below i, the worst candidate on top.
func siftWorst(c []candidate, i int) {
	for {
		j := 2*i + 1
		if j >= len(c) {
			return
		}
		if j+1 < len(c) && before(&c[j], &c[j+1]) {
			j++
		}
		if !before(&c[i], &c[j]) {
			return
		}
		c[i], c[j] = c[j], c[i]
		i = j
	}
}

// siftBest restores the heap order below i, the best candidate on top.
func siftBest(c []candidate, i int) {
	for {
		j := 2*i + 1
		if j >= len(c) {
			return
		}
		if j+1 < len(c) && before(&c[j+1], &c[j]) {
			j++
		}
		if !before(&c[j], &c[i]) {
			return
		}
		c[i], c[j] = c[j], c[i]
		i = j
	}
}

// prefix orders c by key as far as needed and keeps the shortest prefix for which enough(probability sum so far) holds,
// the last candidate included; all of c if it never holds. m and sum are those of the softmax over c.
func prefix(c []candidate, m float32, sum float64, enough func(cum float64) bool) []candidate {
	for i := len(c)/2 - 1; i >= 0; i-- {
		siftBest(c, i)
	}
	// Each popped candidate goes behind the shrinking heap, so the kept ones end up at the end, worst first.
	cum, n := 0.0, len(c)
	for n > 0 {
		n--
		c[0], c[n] = c[n], c[0]
		siftBest(c[:n], 0)
		cum += exp(below(c[n].logit, m)) / sum
		if enough(cum) {
			break
		}
	}
	kept := c[n:]
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		kept[i], kept[j] = kept[j], kept[i]
	}
	return kept
}

// typical keeps the candidates whose -log p is nearest to the entropy until their probability exceeds p.
func typical(c []candidate, p float64) []candidate {
	m := c[best(c)].logit
	sum := expSum(c, m)
	logSum, entropy := log(sum), 0.0
	for i := range c {
		d := below(c[i].logit, m)
		if e := exp(d); e > 0 { // 0 * Inf is no number
			entropy += float64(e / sum * (logSum - d))
		}
	}
	for i := range c {
		d := below(c[i].logit, m)
		c[i].key = -math.Abs((logSum - d) - entropy)
	}
	c = prefix(c, m, sum, func(cum float64) bool { return cum > p })
	for i := range c {
		c[i].key = float64(c[i].logit)
	}
	return c
}

// topP keeps the most probable candidates until their probability is at least p.
func topP(c []candidate, p float64) []candidate {
	m := c[best(c)].logit
	return prefix(c, m, expSum(c, m), func(cum float64) bool { return cum >= p })
}

// minP keeps candidates that are at least p times as probable as the best one, in their order.
func minP(c []candidate, p float64) []candidate {
	floor := float64(c[best(c)].logit) + log(p)
	kept := c[:0]
	for i := range c {
		if float64(c[i].logit) >= floor {
			kept = append(kept, c[i])
		}
	}
	return kept
}

// xtc removes all candidates with a probability of at least threshold but the least probable of them, if there are two
// or more.
func xtc(c []candidate, threshold float64) []candidate {
	m := c[best(c)].logit
	sum := expSum(c, m)
	top, last := 0, -1 // number of top choices; index of the one that stays
	for i := range c {
		if exp(below(c[i].logit, m))/sum >= threshold {
			top++
			if last < 0 || before(&c[last], &c[i]) {
				last = i
			}
		}
	}
	if top < 2 {
		return c
	}
	stays := c[last]
	kept := c[:0]
	for i := range c {
		if !before(&c[i], &stays) {
			kept = append(kept, c[i])
		}
	}
	return kept
}
