package sample

import (
	"bytes"
	"math"
	"slices"
)

// Vocabulary is what the infill step must know about tokens.
type Vocabulary interface {
	TokenBytes(id int32) []byte // what a token stands for
	IsControl(id int32) bool    // whether it stands for no text
	IsEOG(id int32) bool        // whether it ends the answer
	EOS() (id int32, ok bool)   // the token to end with
}

const (
	// infillMost bounds the candidates that are compared with each other, of which llama.cpp's users leave 40 (top_k).
	infillMost = 1024
	// infillEnd is how much more often than its share the end must be likely: all ends together, times the number of candidates,
	// times this.
	infillEnd = 3
	// infillLeast is the probability that a text has to have.
	infillLeast = 0.2
)

// infill is the step for text in a gap, where stopping in time matters more than variety (llama.cpp, llama_sampler_infill_apply,
// read 2026-11-26): it ends where an end is likely at all; else tokens that begin alike become one, the likelier, and only likely
// ones stay.
func infill(c []candidate, v Vocabulary) []candidate {
	m := c[best(c)].logit
	c = prefix(c, m, 1, func(float64) bool { return false })
	c = c[:min(len(c), infillMost)]
	sum, text, end := expSum(c, m), 0.0, 0.0
	for i := range c {
		c[i].key = exp(below(c[i].logit, m)) / sum // a probability, from here on
		if v.IsEOG(c[i].id) {
			end += c[i].key
		} else {
			text += c[i].key
		}
	}
	ends := func(t candidate) bool { return v.IsEOG(t.id) }
	if float64(infillEnd*end*float64(len(c))) > text {
		return reweigh(slices.DeleteFunc(c, func(t candidate) bool { return !ends(t) }))
	}
	mergeAlike(c, v)
	c = slices.DeleteFunc(c, func(t candidate) bool { return t.key < infillLeast && !ends(t) })
	texts := 0
	for i := range c {
		if !ends(c[i]) {
			texts++
		}
	}
	if texts == 0 {
		id, ok := v.EOS()
		if !ok {
			return c[:0]
		}
		return append(c[:0], newCandidate(1, id))
	}
	least := normal(c) / float64(texts+1)
	return reweigh(slices.DeleteFunc(c, func(t candidate) bool { return t.key < least && !ends(t) }))
}

// mergeAlike gives the probability of a token that begins with another to the likelier of the two.
func mergeAlike(c []candidate, v Vocabulary) {
	for i := range c {
		head := v.TokenBytes(c[i].id)
		if len(head) == 0 || v.IsControl(c[i].id) {
			continue
		}
		for j := range c {
			if c[i].logit == negInf {
				break
			}
			if i == j || c[j].logit == negInf || v.IsControl(c[j].id) || !bytes.HasPrefix(v.TokenBytes(c[j].id), head) {
				continue
			}
			to, from := &c[i], &c[j]
			if from.key > to.key {
				to, from = from, to
			}
			to.key += from.key
			from.key, from.logit = 0, negInf
		}
	}
}

// normal is the sum of the probabilities of c.
func normal(c []candidate) (sum float64) {
	for i := range c {
		sum += c[i].key
	}
	return sum
}

// reweigh makes logits of probabilities.
func reweigh(c []candidate) []candidate {
	sum := normal(c)
	for i := range c {
		p := c[i].key / sum
		c[i] = newCandidate(float32(math.Log(p)), c[i].id)
	}
	return c
}
