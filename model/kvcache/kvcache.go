// Package kvcache holds the keys and values of several sequences in pages of a shared pool, so that memory follows what
// is used: a long conversation takes the pages that a short one leaves.
//
// One page holds PageLen positions of every layer; inside it the keys of one (layer, kv head) lie together as a block in
// the layout of quant.KVFormat, and so do the values, so that attention over a page is one matrix product for the whole
// group of query heads. Paging follows Kwon et al. 2023 (arXiv 2309.06180), without sharing.
//
// The package does no arithmetic, no locking and no I/O: it belongs to one engine.
package kvcache

import (
	"errors"
	"fmt"
	"slices"

	"siskin/model/quant"
)

// Named returns the format of that name, "f16", "q8" or "q4".
func Named(name string) (Format, error) {
	for f := range quant.NumKVFormats {
		if name == f.String() {
			return f, nil
		}
	}
	return F16, fmt.Errorf("%q is no format of keys and values: want f16, q8 or q4", name)
}

// PageLen is the number of positions in a page.
const PageLen = quant.KVPage

// Format says how keys and values are kept; the zero value is F16.
type Format = quant.KVFormat

// The formats.
const (
	F16 = quant.KVF16 // little-endian binary16: 2 bytes a value
	Q8  = quant.KVQ8  // int8 and a binary16 scale for 64 values, keys turned and as differences: 1.06 bytes a value for heads of 64 columns
	Q4  = quant.KVQ4  // the same in 4 bits: 0.56 bytes a value
)

// Shape says what is stored per position.
type Shape struct {
	Layers  int
	KVHeads int
	HeadDim int // columns of one head, keys and values alike
	Format  Format
}

// PageBytes returns the memory of one page in bytes.
func (s Shape) PageBytes() int { return s.Layers * s.KVHeads * s.headBytes() }

// headBytes is the memory of one (page, layer, kv head): keys, then values.
func (s Shape) headBytes() int { return s.Format.KeyBytes(s.HeadDim) + s.Format.ValueBytes(s.HeadDim) }

// PositionBytes returns the memory of one position in bytes.
func (s Shape) PositionBytes() int { return s.PageBytes() / PageLen }

// Errors of running; test with errors.Is.
var (
	// ErrFull is wrapped when the pool has no page left.
	ErrFull = errors.New("kv cache full")
	// ErrSequence is wrapped when a sequence number or a position is out of range.
	ErrSequence = errors.New("no such sequence or position")
)

// Cache is the pool and the page tables of its sequences.
type Cache struct {
	shape    Shape
	keyBytes int // keys of one (page, layer, kv head)
	memory   []byte
	free     []int32   // pages that no sequence holds
	tables   [][]int32 // (sequence) -> pages in order
	lengths  []int     // (sequence) -> positions stored
}

// New makes a cache of the given number of pages and sequences. The memory is reserved at once and touched by the
// operating system only as pages are written.
func New(shape Shape, pages, sequences int) (*Cache, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	if pages <= 0 {
		return nil, fmt.Errorf("kv cache: %d pages: want at least one", pages)
	}
	return NewIn(make([]byte, pages*shape.PageBytes()), shape, sequences)
}

// check refuses what cannot be stored.
func (s Shape) check() error {
	if s.Layers <= 0 || s.KVHeads <= 0 || s.HeadDim <= 0 {
		return fmt.Errorf("kv cache: shape %+v: all must be positive", s)
	}
	if err := s.Format.Check(s.HeadDim); err != nil {
		return fmt.Errorf("kv cache: %w", err)
	}
	return nil
}

// NewIn is New in memory that the caller has: as many pages as it holds.
func NewIn(memory []byte, shape Shape, sequences int) (*Cache, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	pages := len(memory) / shape.PageBytes()
	if pages == 0 || sequences <= 0 {
		return nil, fmt.Errorf("kv cache: %d pages for %d sequences: both must be positive", pages, sequences)
	}
	c := &Cache{
		shape:    shape,
		keyBytes: shape.Format.KeyBytes(shape.HeadDim),
		memory:   memory[:pages*shape.PageBytes()],
		free:     make([]int32, pages),
		tables:   make([][]int32, sequences),
		lengths:  make([]int, sequences),
	}
	for i := range c.free {
		c.free[i] = int32(pages - 1 - i) // popped from the end: low pages first
	}
	for i := range c.tables {
		c.tables[i] = make([]int32, 0, pages) // no allocation while a sequence grows
	}
	return c, nil
}

// Free calls visit with the memory of the pages that no sequence holds, neighbours together.
func (c *Cache) Free(visit func(memory []byte)) {
	pages, size := slices.Sorted(slices.Values(c.free)), c.shape.PageBytes()
	for from := 0; from < len(pages); {
		to := from + 1
		for to < len(pages) && pages[to] == pages[to-1]+1 {
			to++
		}
		start := int(pages[from]) * size
		visit(c.memory[start : start+(to-from)*size])
		from = to
	}
}

// Formats lists the formats that heads of headDim columns can be kept in, the largest first.
func Formats(headDim int) []Format {
	var out []Format
	for f := range quant.NumKVFormats {
		if f.Check(headDim) == nil {
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b Format) int {
		return b.KeyBytes(headDim) + b.ValueBytes(headDim) - a.KeyBytes(headDim) - a.ValueBytes(headDim)
	})
	return out
}

// Shape returns the shape that the cache was made with.
func (c *Cache) Shape() Shape { return c.shape }

// Sequences returns the number of sequences.
func (c *Cache) Sequences() int { return len(c.tables) }

// Capacity returns the number of positions that all sequences can hold together.
func (c *Cache) Capacity() int { return len(c.memory) / c.shape.PageBytes() * PageLen }

// Available returns how many positions sequence seq can still be extended by.
func (c *Cache) Available(seq int) int {
	return len(c.tables[seq])*PageLen - c.lengths[seq] + len(c.free)*PageLen
}

// Len returns the number of positions of sequence seq.
func (c *Cache) Len(seq int) int { return c.lengths[seq] }

// Extend makes room for n more positions of sequence seq and counts them as stored: the caller writes them next.
// On error nothing has changed.
func (c *Cache) Extend(seq, n int) error {
	if seq < 0 || seq >= len(c.tables) || n < 0 {
		return fmt.Errorf("kv cache: extend sequence %d by %d: %w", seq, n, ErrSequence)
	}
	need := (c.lengths[seq]+n+PageLen-1)/PageLen - len(c.tables[seq])
	if need > len(c.free) {
		return fmt.Errorf("kv cache: sequence %d needs %d pages of %d positions, %d are free: %w",
			seq, need, PageLen, len(c.free), ErrFull)
	}
	for range need {
		last := len(c.free) - 1
		c.tables[seq] = append(c.tables[seq], c.free[last])
		c.free = c.free[:last]
	}
	c.lengths[seq] += n
	return nil
}

// Truncate keeps the first n positions of sequence seq and frees the pages behind them; n = 0 empties it.
func (c *Cache) Truncate(seq, n int) error {
	if seq < 0 || seq >= len(c.tables) || n < 0 || n > c.lengths[seq] {
		return fmt.Errorf("kv cache: truncate sequence %d to %d: %w", seq, n, ErrSequence)
	}
	keep := (n + PageLen - 1) / PageLen
	table := c.tables[seq]
	for i := len(table) - 1; i >= keep; i-- {
		c.free = append(c.free, table[i])
	}
	c.tables[seq] = table[:keep]
	c.lengths[seq] = n
	return nil
}

// Keys returns the keys of page index page of a sequence, a block of quant.KVFormat, for one layer and kv head.
func (c *Cache) Keys(seq, page, layer, head int) []byte {
	return c.block(seq, page, layer, head)[:c.keyBytes:c.keyBytes]
}

// Values is Keys for the values.
func (c *Cache) Values(seq, page, layer, head int) []byte {
	return c.block(seq, page, layer, head)[c.keyBytes:]
}

// Page returns the memory of page index page of a sequence: the blocks of all layers and heads.
func (c *Cache) Page(seq, page int) []byte {
	size := c.shape.PageBytes()
	start := int(c.tables[seq][page]) * size
	return c.memory[start : start+size : start+size]
}

func (c *Cache) block(seq, page, layer, head int) []byte {
	size := c.shape.headBytes()
	start := ((int(c.tables[seq][page])*c.shape.Layers+layer)*c.shape.KVHeads + head) * size
	return c.memory[start : start+size : start+size]
}
