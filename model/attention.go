package model

import (
	"math"
	"sync/atomic"

	"siskin/model/arena"
	"siskin/model/kernel"
	"siskin/model/kvcache"
	"siskin/model/quant"
)

const (
	// blockRows is the most rows that one piece of attention serves: each page is unpacked once for the query vectors of
	// all of them, 48 for the default model, and a pass still has pieces for all workers. Blocks end at multiples of it.
	blockRows = 16
	// partPages, partTasks and maxParts divide a context: parts are long enough to hide their cost, parts and key-value heads make
	// tasks for several workers, and few parts need little memory for their results. With three heads, two workers were 3 to
	// 4 % slower in twice as many tasks at depth 2,048 (decision 0011).
	partPages = 4
	partTasks = 12
	maxParts  = 8
	// splitRows is the number of rows up to which the parts of a context are tasks of their own: a pass of one row has only
	// as many blocks as key-value heads.
	splitRows = 8
)

// rowBlock is some rows of the pass, [from, to), that follow each other in one sequence and lie in one page.
type rowBlock struct {
	from, to int
	pages    int // of the context up to the last row
	parts    int // of the context, as even as pages allow
	task     int // parts of the blocks before
}

// stretch is the rows of the pass, [from, to), of one sequence in one page. One worker stores their keys: those of 16
// positions share a cache line, and in Q8 all are kept as differences to the first of the page.
type stretch struct{ from, to int }

// start is the first page of a part, or, of the part behind the last, the number of pages. The division depends on positions in
// steps of blockRows alone, so that a row's result is the same to the bit whatever shares its pass.
func (b *rowBlock) start(part int) int { return b.pages * part / b.parts }

// splitAttention is what the tasks of one pass share when parts are tasks of their own.
type splitAttention struct {
	most   int            // parts of a context; a property of the model, because results depend on the division
	memory []float32      // (splitRows*heads/kvHeads query vectors, kvHeads, most) kernel.PartLen
	left   []atomic.Int32 // (splitRows, kvHeads) parts of a block that are not finished
}

func newSplitAttention(c *Config, kv quant.KVFormat, rows int, a *arena.Arena) splitAttention {
	rows = min(rows, splitRows)
	one := c.most(func(l *LayerConfig) int {
		if l.KVHeads == 0 {
			return 0
		}
		return l.KVHeads * kernel.PartLen(kv, l.HeadDim, l.Heads/l.KVHeads)
	})
	heads := max(1, c.most(func(l *LayerConfig) int { return l.KVHeads }))
	most := min(max(2, (partTasks+heads-1)/heads), maxParts)
	return splitAttention{
		most:   most,
		memory: a.Floats(rows * most * one),
		left:   make([]atomic.Int32, rows*c.KVHeads),
	}
}

// divide makes the blocks and stretches of the pass, once for all layers.
func (s *State) divide() {
	s.blocks, s.stretches, s.entangled, s.divided = s.blocks[:0], s.stretches[:0], false, false
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
		s.divided = s.divided || follows
		pages := row.Pos/kvcache.PageLen + 1
		if s.model.Config.Encoder {
			pages = (s.seen(i) + kvcache.PageLen - 1) / kvcache.PageLen
		}
		b := rowBlock{from: i, to: i + 1, pages: pages, parts: min((pages+partPages-1)/partPages, s.splits.most)}
		if last >= 0 {
			b.task = s.blocks[last].task + s.blocks[last].parts
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

// store appends the keys and values of the pass to the cache. In decoding it only says that the tasks of the attention will,
// which is a phase less: each row is then in a block of its own, or with the rows that it sees.
func (s *State) store(a *Attention) {
	p := &s.phase
	p.of = a
	if a.wideNorm() {
		s.each(p.wideNormTask)
	}
	p.storeLate = len(s.rows) <= splitRows && !s.entangled && !s.divided
	if a.Shared || p.storeLate {
		return
	}
	tasks := len(s.stretches) * a.KVHeads
	if len(s.rows) > serialRows && !s.entangled {
		s.pool.Run(tasks, p.storeTask)
		return
	}
	for i := range tasks {
		s.storeStretch(0, i)
	}
}

// wideNormRow normalises all queries of row i together, and all keys.
func (s *State) wideNormRow(_, i int) {
	a, eps := s.phase.of, s.model.Config.NormEpsilon
	q, k := s.q[i*a.Heads*a.HeadDim:][:a.Heads*a.HeadDim], s.k[i*a.KVHeads*a.HeadDim:][:a.KVHeads*a.HeadDim]
	s.set.RMSNorm(q, q, a.QNorm, eps)
	s.set.RMSNorm(k, k, a.KNorm, eps)
}

// storeStretch serves the rows of one stretch and one key-value head.
func (s *State) storeStretch(worker, i int) {
	block, heads := s.stretches[i/s.phase.of.KVHeads], s.phase.of.KVHeads
	s.storeRows(worker, block.from, block.to, i%heads)
}

// storeRows normalises and rotates the keys of rows [from, to) of one page and one key-value head, and stores them and their values.
func (s *State) storeRows(worker, from, to, head int) {
	a := s.phase.of
	dim := a.HeadDim
	for i := from; i < to; i++ {
		row := s.rows[i]
		key, value := s.k[(i*a.KVHeads+head)*dim:][:dim], s.v[(i*a.KVHeads+head)*dim:][:dim]
		if !a.wideNorm() {
			s.normHeads(key, a.KNorm)
		}
		s.rotate(a, key, i, 1)
		if a.UnitValues {
			s.normHeads(value, s.ones[:dim])
		}
		page := row.Pos / kvcache.PageLen
		s.attends[a.shape][worker].Store(
			s.keys(row.Seq, page, head), s.values(row.Seq, page, head), row.Pos%kvcache.PageLen, key, value)
	}
}

// normHeads normalises each head of x; without weights it does nothing.
func (s *State) normHeads(x, weights []float32) {
	for n := len(weights); n > 0 && len(x) > 0; x = x[n:] {
		s.set.RMSNorm(x[:n], x[:n], weights, s.model.Config.NormEpsilon)
	}
}

// rotate turns the heads of x by the position of row i, if the layer does, and multiplies them by scale.
func (s *State) rotate(a *Attention, x []float32, i int, by float32) {
	if a.Rope == noRope {
		if by != 1 {
			scale(x, by)
		}
		return
	}
	r := &s.rotations[a.Rope]
	cos, sin := r.of(i)
	if r.halves {
		s.set.RotateHalves(x, len(x)/a.HeadDim, a.HeadDim, cos, sin, by)
	} else {
		s.set.Rotate(x, len(x)/a.HeadDim, a.HeadDim, cos, sin, by)
	}
}

// scoreScale is the factor of the scores of a query at position pos.
func (c *Config) scoreScale(l *LayerConfig, pos int) float64 {
	by := c.ScoreScale
	if by == 0 {
		by = 1 / math.Sqrt(float64(l.HeadDim))
	}
	if t := c.Temperature; t.Length > 0 {
		by *= 1 + t.Scale*math.Log1p(float64(pos/t.Length))
	}
	return by
}

// attend computes the attention of every row of the pass over its own sequence, up to its own position. It reports whether
// it has quantised the result for the output projection, which it does if a group of heads is whole blocks.
func (s *State) attend(a *Attention, then region) bool {
	s.phase.of = a
	s.phase.quantise = !a.Gated && !a.O.Type.IsFloat() && a.Heads/a.KVHeads*a.HeadDim%quant.ActBlock == 0
	heads, last := a.KVHeads, &s.blocks[len(s.blocks)-1]
	if len(s.rows) > splitRows {
		s.pool.Run(len(s.blocks)*heads, s.phase.attendTask)
		return s.phase.quantise
	}
	for i := range s.blocks {
		for head := range heads {
			s.splits.left[i*heads+head].Store(int32(s.blocks[i].parts))
		}
	}
	s.pool.RunAhead((last.task+last.parts)*heads, s.phase.partTask, s.ahead(then))
	return s.phase.quantise
}

// attendBlock serves the rows of one block and the query heads that share one key-value head (Ainslie et al. 2023, arXiv
// 2305.13245): each key and value is read and unpacked once for all of them. The last blocks, which have the most pages to
// go through, come first.
func (s *State) attendBlock(worker, i int) {
	heads := s.phase.of.KVHeads
	block, head := &s.blocks[len(s.blocks)-1-i/heads], i%heads
	a := s.startAttend(worker, block, head)
	for part := range block.parts {
		next := kernel.Page{}
		if part+1 < block.parts {
			next = s.firstPage(block, head, part+1)
		}
		s.attendPart(a, block, head, part, nil, next)
		a.Fold(nil)
	}
	s.finishAttend(a, block, head)
}

// attendOne serves one part of the context of one block and key-value head. Who finishes the last part folds all.
func (s *State) attendOne(worker, i int) {
	heads, index := s.phase.of.KVHeads, len(s.blocks)-1
	for s.blocks[index].task*heads > i {
		index--
	}
	block := &s.blocks[index]
	parts := block.parts
	head, part := (i-block.task*heads)/parts, (i-block.task*heads)%parts
	if s.phase.storeLate && part == parts-1 && !s.phase.of.Shared {
		s.storeRows(worker, block.from, block.to, head)
	}
	a := s.startAttend(worker, block, head)
	s.attendPart(a, block, head, part, s.partMemory(block, head, part), s.claimedNext(block, head, part))
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
	c, kv := s.phase.of, s.limits.KV
	one := kernel.PartLen(kv, c.HeadDim, c.Heads/c.KVHeads) // of one row; PartLen of several is at most as many times that
	start := (block.from*c.KVHeads+head*(block.to-block.from))*s.splits.most + part*(block.to-block.from)
	return s.splits.memory[start*one:][:kernel.PartLen(kv, c.HeadDim, c.Heads/c.KVHeads*(block.to-block.from))]
}

// startAttend gives the query vectors of a block and key-value head to the worker's Attend, normalised and rotated there: so each
// task of a context in parts has its own, and nobody waits for another.
func (s *State) startAttend(worker int, block *rowBlock, head int) *kernel.Attend {
	c, a := s.phase.of, s.attends[s.phase.of.shape][worker]
	group, dim := c.Heads/c.KVHeads, c.HeadDim
	a.Start((block.to - block.from) * group)
	for i := block.from; i < block.to; i++ {
		q := s.q[(i*c.Heads+head*group)*dim:]
		// The scale of the scores, as exponents of two, is folded into the query: one multiplication per head instead of one
		// per position.
		scale := float32(math.Log2E * s.model.Config.scoreScale(&c.LayerConfig, s.rows[i].Pos))
		for g := range group {
			query := a.Query((i-block.from)*group + g)
			copy(query, q[g*dim:(g+1)*dim])
			if !c.wideNorm() {
				s.normHeads(query, c.QNorm)
			}
			s.rotate(c, query, i, scale)
		}
	}
	return a
}

// claimedNext is the first page of the part that this worker will probably claim after part: shares are of tasks that follow each
// other. Parts of other blocks are not guessed.
func (s *State) claimedNext(block *rowBlock, head, part int) kernel.Page {
	parts := block.parts
	task := head*parts + part + 1
	if task >= parts*s.phase.of.KVHeads {
		return kernel.Page{}
	}
	return s.firstPage(block, task/parts, task%parts)
}

// firstPage is the keys and values that a part begins with, unless a window hides them.
func (s *State) firstPage(block *rowBlock, head, part int) kernel.Page {
	row, page := s.rows[block.from], block.start(part)
	return kernel.Page{Keys: s.keys(row.Seq, page, head), Values: s.values(row.Seq, page, head)}
}

// attendPart goes through the pages of one part, from the first that the block's first row sees. Those of next are asked for at
// the end: a page that was not costs as much time as two that were.
func (s *State) attendPart(a *kernel.Attend, block *rowBlock, head, part int, memory []float32, next kernel.Page) {
	c, row := s.phase.of, s.rows[block.from]
	page, end := block.start(part), block.start(part+1)
	a.Begin(memory)
	sees := kernel.Span{From: kernel.NoWindow, To: row.Pos + 1, Group: c.Heads / c.KVHeads}
	if s.model.Config.Encoder {
		sees = s.seesBothSides(block, sees.Group)
		page = max(page, sees.From/kvcache.PageLen)
	} else if c.Window > 0 {
		sees.From = row.Pos + 1 - c.Window
		page = max(page, sees.From/kvcache.PageLen)
	}
	if page >= end {
		return
	}
	p := kernel.Page{Keys: s.keys(row.Seq, page, head), Values: s.values(row.Seq, page, head)}
	for ; page < end; page++ {
		p.NextKeys, p.NextValues = next.Keys, next.Values
		if page+1 < end {
			p.NextKeys, p.NextValues = s.keys(row.Seq, page+1, head), s.values(row.Seq, page+1, head)
		}
		start := page * kvcache.PageLen
		span := kernel.Span{From: sees.From - start, To: sees.To - start, Group: sees.Group}
		if sees.End > 0 {
			span.End = sees.End - start
		}
		a.Page(p, span)
		p.Keys, p.Values = p.NextKeys, p.NextValues
	}
}

// seesBothSides is what the rows of a block of an encoder see: all positions, or half a window on each side.
func (s *State) seesBothSides(block *rowBlock, group int) kernel.Span {
	length, row := s.seen(block.from), s.rows[block.from]
	if half := s.phase.of.Window / 2; half > 0 {
		return kernel.Span{From: row.Pos - half, To: row.Pos + half + 1, Group: group, End: length}
	}
	return kernel.Span{From: kernel.NoWindow, To: length, Group: kernel.AllAlike, End: length}
}

// keys returns the block of the cache with the keys of the layer under way. Heads that are narrower than the widest of the
// model use the front of it.
func (s *State) keys(seq, page, head int) []byte {
	a := s.phase.of
	return s.Cache.Keys(seq, page, a.Cache, head)[:s.limits.KV.KeyBytes(a.HeadDim)]
}

// values is keys for values.
func (s *State) values(seq, page, head int) []byte {
	a := s.phase.of
	return s.Cache.Values(seq, page, a.Cache, head)[:s.limits.KV.ValueBytes(a.HeadDim)]
}

// finishAttend writes the results, and their quantised form.
func (s *State) finishAttend(a *kernel.Attend, block *rowBlock, head int) {
	c := s.phase.of
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
