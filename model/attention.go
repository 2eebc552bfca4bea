package model

import (
	"math"

	"siskin/model/kvcache"
)

// rotateAndStore rotates the queries and keys of the pass by their positions and appends keys and values to the cache.
func (s *State) rotateAndStore(layer int) {
	s.phase.layer = layer
	s.each(s.phase.rotateTask)
}

func (s *State) rotateRow(_, i int) {
	c := &s.model.Config
	half := c.RopeDim / 2
	cos, sin := s.ropeC[i*half:(i+1)*half], s.ropeS[i*half:(i+1)*half]
	q := s.q[i*c.Heads*c.HeadDim : (i+1)*c.Heads*c.HeadDim]
	// The scale of the scores is folded into the query: one multiplication per head instead of one per position.
	scale := float32(1 / math.Sqrt(float64(c.HeadDim)))
	for h := range c.Heads {
		head := q[h*c.HeadDim : (h+1)*c.HeadDim]
		rotate(head, cos, sin)
		for j := range head {
			head[j] *= scale
		}
	}
	row := s.rows[i]
	width := c.KVHeads * c.HeadDim
	for h := range c.KVHeads {
		key := s.k[i*width+h*c.HeadDim : i*width+(h+1)*c.HeadDim]
		rotate(key, cos, sin)
		s.set.ToF16(s.Cache.Key(row.Seq, row.Pos, s.phase.layer, h), key)
		s.set.ToF16(s.Cache.Value(row.Seq, row.Pos, s.phase.layer, h), s.v[i*width+h*c.HeadDim:i*width+(h+1)*c.HeadDim])
	}
}

// rotate turns the adjacent pairs of head (GGUF's NORM order, which the converter gives to this architecture) by the
// angles whose cosines and sines are given; columns beyond 2*len(cos) stay.
func rotate(head, cos, sin []float32) {
	for j, c := range cos {
		a, b := head[2*j], head[2*j+1]
		head[2*j] = float32(a*c) - float32(b*sin[j])
		head[2*j+1] = float32(a*sin[j]) + float32(b*c)
	}
}

// attend computes the attention of every row of the pass over its own sequence, up to its own position.
func (s *State) attend(layer int) {
	s.phase.layer = layer
	s.pool.Run(len(s.rows)*s.model.Config.KVHeads, s.phase.attendTask)
}

// attendGroup serves one row and the query heads that share one key-value head (Ainslie et al. 2023, arXiv 2305.13245):
// each key and value is read once for the whole group.
func (s *State) attendGroup(worker, i int) {
	c := &s.model.Config
	head, row := i%c.KVHeads, s.rows[i/c.KVHeads]
	group := c.Heads / c.KVHeads
	start := (i/c.KVHeads*c.Heads + head*group) * c.HeadDim
	q, out := s.q[start:start+group*c.HeadDim], s.heads[start:start+group*c.HeadDim]
	stride := s.limits.Context
	scores := s.scores[worker*group*stride : (worker+1)*group*stride]
	n := row.Pos + 1
	for page := 0; page*kvcache.PageLen < n; page++ {
		from := page * kvcache.PageLen
		in := min(n-from, kvcache.PageLen)
		keys := s.Cache.Keys(row.Seq, page, s.phase.layer, head)[:in*c.HeadDim*2]
		s.set.MatMulF16(scores[from:], stride, keys, in, c.HeadDim, q, group)
	}
	for g := range group {
		s.set.Softmax(scores[g*stride : g*stride+n])
	}
	clear(out)
	for page := 0; page*kvcache.PageLen < n; page++ {
		from := page * kvcache.PageLen
		in := min(n-from, kvcache.PageLen)
		values := s.Cache.Values(row.Seq, page, s.phase.layer, head)[:in*c.HeadDim*2]
		s.set.WeightedSumF16(out, scores[from:], stride, values, in, c.HeadDim, group)
	}
}
