package model

import (
	"math"

	"siskin/model/kernel"
	"siskin/model/kvcache"
	"siskin/model/quant"
)

// blockRows is the most rows that one piece of attention serves: each page is unpacked once for the query vectors of all
// of them, 48 for the default model, and a pass still has pieces for all workers. Pieces end at multiples of it, so no two
// workers write keys to one cache line, of which 16 positions share one.
const blockRows = 16

// rowBlock is some rows of the pass, [from, to), that follow each other in one sequence.
type rowBlock struct{ from, to int }

// rotateAndStore rotates the queries and keys of the pass by their positions and appends keys and values to the cache.
func (s *State) rotateAndStore(layer int) {
	s.phase.layer = layer
	if layer == 0 {
		s.divide()
	}
	if len(s.rows) <= serialRows {
		for i := range len(s.blocks) * s.model.Config.KVHeads {
			s.rotateBlock(0, i)
		}
		return
	}
	s.pool.Run(len(s.blocks)*s.model.Config.KVHeads, s.phase.rotateTask)
}

// divide makes the blocks of the pass.
func (s *State) divide() {
	s.blocks = s.blocks[:0]
	for i, row := range s.rows {
		last := len(s.blocks) - 1
		if i > 0 && row.Pos%blockRows != 0 && row.Seq == s.rows[i-1].Seq && row.Pos == s.rows[i-1].Pos+1 {
			s.blocks[last].to = i + 1
			continue
		}
		s.blocks = append(s.blocks, rowBlock{i, i + 1})
	}
}

// rotateBlock serves the rows of one block, one key-value head and the query heads that share it.
func (s *State) rotateBlock(worker, i int) {
	c := &s.model.Config
	block, head := s.blocks[i/c.KVHeads], i%c.KVHeads
	group, half, dim := c.Heads/c.KVHeads, c.RopeDim/2, c.HeadDim
	// The scale of the scores, as exponents of two, is folded into the query: one multiplication per head instead of one
	// per position.
	scale := float32(math.Log2E / math.Sqrt(float64(dim)))
	for i := block.from; i < block.to; i++ {
		cos, sin := s.ropeC[i*half:(i+1)*half], s.ropeS[i*half:(i+1)*half]
		s.set.Rotate(s.q[(i*c.Heads+head*group)*dim:][:group*dim], group, dim, cos, sin, scale)
		key := s.k[(i*c.KVHeads+head)*dim:][:dim]
		s.set.Rotate(key, 1, dim, cos, sin, 1)
		row, page := s.rows[i], s.rows[i].Pos/kvcache.PageLen
		s.attends[worker].Store(
			s.Cache.Keys(row.Seq, page, s.phase.layer, head), s.Cache.Values(row.Seq, page, s.phase.layer, head),
			row.Pos%kvcache.PageLen, key, s.v[(i*c.KVHeads+head)*dim:][:dim])
	}
}

// attend computes the attention of every row of the pass over its own sequence, up to its own position. It reports whether
// it has quantised the result for a matrix of format next, which it does if a group of heads is whole blocks.
func (s *State) attend(layer int, next quant.Type) bool {
	c := &s.model.Config
	s.phase.layer = layer
	s.phase.quantise = !next.IsFloat() && c.Heads/c.KVHeads*c.HeadDim%quant.ActBlock == 0
	s.pool.Run(len(s.blocks)*c.KVHeads, s.phase.attendTask)
	return s.phase.quantise
}

// attendBlock serves the rows of one block and the query heads that share one key-value head (Ainslie et al. 2023, arXiv
// 2305.13245): each key and value is read and unpacked once for all of them. The last blocks, which have the most pages to
// go through, come first.
func (s *State) attendBlock(worker, i int) {
	c := &s.model.Config
	block, head := s.blocks[len(s.blocks)-1-i/c.KVHeads], i%c.KVHeads
	group, dim := c.Heads/c.KVHeads, c.HeadDim
	rows, first := block.to-block.from, s.rows[block.from]
	a := s.attends[worker]
	a.Start(rows * group)
	for r := range rows {
		q := s.q[((block.from+r)*c.Heads+head*group)*dim:]
		for g := range group {
			copy(a.Query(r*group+g), q[g*dim:(g+1)*dim])
		}
	}
	p := kernel.Page{Keys: s.Cache.Keys(first.Seq, 0, s.phase.layer, head), Values: s.Cache.Values(first.Seq, 0, s.phase.layer, head)}
	for page, last := 0, (first.Pos+rows-1)/kvcache.PageLen; page <= last; page++ {
		p.NextKeys, p.NextValues = nil, nil
		if page < last {
			p.NextKeys = s.Cache.Keys(first.Seq, page+1, s.phase.layer, head)
			p.NextValues = s.Cache.Values(first.Seq, page+1, s.phase.layer, head)
		}
		a.Page(p, first.Pos+1-page*kvcache.PageLen, group)
		p.Keys, p.Values = p.NextKeys, p.NextValues
	}
	for r := range rows {
		out := s.heads[((block.from+r)*c.Heads+head*group)*dim:]
		for g := range group {
			a.Result(r*group+g, out[g*dim:(g+1)*dim])
		}
		if s.phase.quantise {
			at, n := head*group*dim/quant.ActBlock, len(s.rows)
			s.set.QuantizeRefined(s.phase.acts[at*2*n*quant.ActBytes:], out[:group*dim], 2*n, block.from+r, n+block.from+r)
		}
	}
}
