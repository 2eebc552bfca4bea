package model

import (
	"math"
	"sync/atomic"

	"siskin/model/kernel"
	"siskin/model/kvcache"
	"siskin/model/quant"
)

const (
	// blockRows is the most rows that one piece of attention serves: each page is unpacked once for the query vectors of
	// all of them, 48 for the default model, and a pass still has pieces for all workers. Blocks end at multiples of it.
	blockRows = 16
	// partPages and maxParts divide a context: a part is long enough to hide its cost, and few parts need little memory for
	// their results.
	partPages = 4
	maxParts  = 8
	// splitRows is the number of rows up to which the parts of a context are tasks of their own: a pass of one row has only
	// as many blocks as key-value heads.
	splitRows = 8
)

// rowBlock is some rows of the pass, [from, to), that follow each other in one sequence and lie in one page.
type rowBlock struct {
	from, to int
	pages    int // of the context up to the last row
	each     int // pages of a part
	task     int // number of the first task of this block
}

// stretch is the rows of the pass, [from, to), of one sequence in one page. One worker stores their keys: those of 16
// positions share a cache line, and in Q8 all are kept as differences to the first of the page.
type stretch struct{ from, to int }

// parts is the number of parts of the context. The division depends on positions in steps of blockRows alone, so that a
// row's result is the same to the bit whatever shares its pass.
func (b *rowBlock) parts() int { return (b.pages + b.each - 1) / b.each }

// splitAttention is what the tasks of one pass share when parts are tasks of their own.
type splitAttention struct {
	memory []float32      // (splitRows*heads/kvHeads query vectors, kvHeads, maxParts) kernel.PartLen
	left   []atomic.Int32 // (splitRows, kvHeads) parts of a block that are not finished
}

func newSplitAttention(c *Config, kv quant.KVFormat, rows int) splitAttention {
	rows = min(rows, splitRows)
	return splitAttention{
		memory: kernel.AlignedFloats(rows * c.KVHeads * maxParts * kernel.PartLen(kv, c.HeadDim, c.Heads/c.KVHeads)),
		left:   make([]atomic.Int32, rows*c.KVHeads),
	}
}

// divide makes the blocks and stretches of the pass, once for all layers.
func (s *State) divide() {
	s.blocks, s.stretches, s.entangled = s.blocks[:0], s.stretches[:0], false
	for i, row := range s.rows {
		last := len(s.blocks) - 1
		follows := i > 0 && row.Seq == s.rows[i-1].Seq && row.Pos == s.rows[i-1].Pos+1
		if follows && row.Pos%kvcache.PageLen != 0 {
			s.stretches[len(s.stretches)-1].to = i + 1
		} else {
			s.stretches = append(s.stretches, stretch{i, i + 1})
			s.entangled = s.entangled || !follows && s.hasEarlier(i)
		}
		if follows && row.Pos%blockRows != 0 {
			s.blocks[last].to = i + 1
			continue
		}
		pages := row.Pos/kvcache.PageLen + 1
		b := rowBlock{from: i, to: i + 1, pages: pages, each: max(partPages, (pages+maxParts-1)/maxParts)}
		if last >= 0 {
			b.task = s.blocks[last].task + s.blocks[last].parts()*s.model.Config.KVHeads
		}
		s.blocks = append(s.blocks, b)
	}
}

// hasEarlier reports whether a row before the one before row i is of the same sequence.
func (s *State) hasEarlier(i int) bool {
	for _, row := range s.rows[:max(0, i-1)] {
		if row.Seq == s.rows[i].Seq {
			return true
		}
	}
	return false
}

// rotateAndStore rotates the queries and keys of the pass by their positions and appends keys and values to the cache.
func (s *State) rotateAndStore(layer int) {
	s.phase.layer = layer
	if layer == 0 {
		s.divide()
	}
	tasks := len(s.stretches) * s.model.Config.KVHeads
	if len(s.rows) > serialRows && !s.entangled {
		s.pool.Run(tasks, s.phase.rotateTask)
		return
	}
	for i := range tasks {
		s.rotateStretch(0, i)
	}
}

// rotateStretch serves the rows of one stretch, one key-value head and the query heads that share it.
func (s *State) rotateStretch(worker, i int) {
	c := &s.model.Config
	block, head := s.stretches[i/c.KVHeads], i%c.KVHeads
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
	heads, last := c.KVHeads, &s.blocks[len(s.blocks)-1]
	if len(s.rows) > splitRows {
		s.pool.Run(len(s.blocks)*heads, s.phase.attendTask)
		return s.phase.quantise
	}
	for i := range s.blocks {
		for head := range heads {
			s.splits.left[i*heads+head].Store(int32(s.blocks[i].parts()))
		}
	}
	s.pool.Run(last.task+last.parts()*heads, s.phase.partTask)
	return s.phase.quantise
}

// attendBlock serves the rows of one block and the query heads that share one key-value head (Ainslie et al. 2023, arXiv
// 2305.13245): each key and value is read and unpacked once for all of them. The last blocks, which have the most pages to
// go through, come first.
func (s *State) attendBlock(worker, i int) {
	heads := s.model.Config.KVHeads
	block, head := &s.blocks[len(s.blocks)-1-i/heads], i%heads
	a := s.startAttend(worker, block, head)
	for part := range block.parts() {
		s.attendPart(a, block, head, part, nil)
		a.Fold(nil)
	}
	s.finishAttend(a, block, head)
}

// attendOne serves one part of the context of one block and key-value head. Who finishes the last part folds all.
func (s *State) attendOne(worker, i int) {
	heads, index := s.model.Config.KVHeads, len(s.blocks)-1
	for s.blocks[index].task > i {
		index--
	}
	block := &s.blocks[index]
	parts := block.parts()
	head, part := (i-block.task)/parts, (i-block.task)%parts
	a := s.startAttend(worker, block, head)
	s.attendPart(a, block, head, part, s.partMemory(block, head, part))
	if s.splits.left[index*heads+head].Add(-1) > 0 {
		return
	}
	for part := range parts {
		a.Fold(s.partMemory(block, head, part))
	}
	s.finishAttend(a, block, head)
}

// partMemory is the place of the result of one part.
func (s *State) partMemory(block *rowBlock, head, part int) []float32 {
	c, kv := &s.model.Config, s.limits.KV
	one := kernel.PartLen(kv, c.HeadDim, c.Heads/c.KVHeads) // of one row; PartLen of several is at most as many times that
	start := (block.from*c.KVHeads+head*(block.to-block.from))*maxParts + part*(block.to-block.from)
	return s.splits.memory[start*one:][:kernel.PartLen(kv, c.HeadDim, c.Heads/c.KVHeads*(block.to-block.from))]
}

// startAttend gives the query vectors of a block and key-value head to the worker's Attend.
func (s *State) startAttend(worker int, block *rowBlock, head int) *kernel.Attend {
	c, a := &s.model.Config, s.attends[worker]
	group, dim := c.Heads/c.KVHeads, c.HeadDim
	a.Start((block.to - block.from) * group)
	for i := block.from; i < block.to; i++ {
		q := s.q[(i*c.Heads+head*group)*dim:]
		for g := range group {
			copy(a.Query((i-block.from)*group+g), q[g*dim:(g+1)*dim])
		}
	}
	return a
}

// attendPart goes through the pages of one part.
func (s *State) attendPart(a *kernel.Attend, block *rowBlock, head, part int, memory []float32) {
	c, row := &s.model.Config, s.rows[block.from]
	page, end := part*block.each, min((part+1)*block.each, block.pages)
	a.Begin(memory)
	p := kernel.Page{Keys: s.Cache.Keys(row.Seq, page, s.phase.layer, head), Values: s.Cache.Values(row.Seq, page, s.phase.layer, head)}
	for ; page < end; page++ {
		p.NextKeys, p.NextValues = nil, nil
		if page+1 < end {
			p.NextKeys = s.Cache.Keys(row.Seq, page+1, s.phase.layer, head)
			p.NextValues = s.Cache.Values(row.Seq, page+1, s.phase.layer, head)
		}
		a.Page(p, kernel.Span{From: kernel.NoWindow, To: row.Pos + 1 - page*kvcache.PageLen, Group: c.Heads / c.KVHeads})
		p.Keys, p.Values = p.NextKeys, p.NextValues
	}
}

// finishAttend writes the results, and their quantised form.
func (s *State) finishAttend(a *kernel.Attend, block *rowBlock, head int) {
	c := &s.model.Config
	group, dim := c.Heads/c.KVHeads, c.HeadDim
	for i := block.from; i < block.to; i++ {
		out := s.heads[(i*c.Heads+head*group)*dim:]
		for g := range group {
			a.Result((i-block.from)*group+g, out[g*dim:(g+1)*dim])
		}
		if s.phase.quantise {
			at, n := head*group*dim/quant.ActBlock, len(s.rows)
			s.set.QuantizeRefined(s.phase.acts[at*2*n*quant.ActBytes:], out[:group*dim], 2*n, i, n+i)
		}
	}
}
