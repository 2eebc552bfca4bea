package sample

import "slices"

// history is a ring of the last accepted tokens.
type history struct {
	ring    []int32 // capacity is the longest look-back
	next    int     // where the next token goes
	n       int     // tokens held
	scratch []int32 // for penalise; length as ring
}

// reset empties the history and makes it hold size tokens.
func (h *history) reset(size int) {
	if cap(h.ring) < size {
		h.ring, h.scratch = make([]int32, size), make([]int32, size)
	}
	h.ring, h.scratch = h.ring[:size], h.scratch[:size]
	h.next, h.n = 0, 0
}

// push adds a token, dropping the oldest if the ring is full.
func (h *history) push(token int32) {
	if len(h.ring) == 0 {
		return
	}
	h.ring[h.next] = token
	h.next = (h.next + 1) % len(h.ring)
	h.n = min(h.n+1, len(h.ring))
}

// last returns the token i steps back; 0 is the newest. i < h.n.
func (h *history) last(i int) int32 {
	return h.ring[(h.next-1-i+2*len(h.ring))%len(h.ring)]
}

// penalise applies the repeat, frequency and presence penalties to every distinct token among the last RepeatLastN.
func (s *Sampler) penalise(logits []float32) {
	p := &s.p
	window := s.hist.scratch[:min(s.hist.n, p.RepeatLastN)]
	for i := range window {
		window[i] = s.hist.last(i)
	}
	slices.Sort(window)
	for i := 0; i < len(window); {
		id, first := window[i], i
		for i < len(window) && window[i] == id {
			i++
		}
		if id < 0 || int(id) >= len(logits) {
			continue
		}
		l := logits[id]
		// Dividing a negative logit would make the token more likely.
		if l <= 0 {
			l = float32(l * p.RepeatPenalty)
		} else {
			l /= p.RepeatPenalty
		}
		logits[id] = l - (float32(float32(i-first)*p.FrequencyPenalty) + p.PresencePenalty)
	}
}
