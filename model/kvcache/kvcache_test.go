package kvcache

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"siskin/model/quant"
)

func newCache(t *testing.T, pages, sequences int) *Cache {
	t.Helper()
	return newCacheOf(t, F16, pages, sequences)
}

func newCacheOf(t *testing.T, f Format, pages, sequences int) *Cache {
	t.Helper()
	c, err := New(Shape{Layers: 2, KVHeads: 3, HeadDim: 32, Format: f}, pages, sequences)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExtendTruncateKeepPagesApart(t *testing.T) {
	c := newCache(t, 16, 4)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		seq := rng.IntN(4)
		if rng.IntN(3) == 0 {
			if err := c.Truncate(seq, rng.IntN(c.Len(seq)+1)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		n, room, before := rng.IntN(200), c.Available(seq), c.Len(seq)
		err := c.Extend(seq, n)
		switch {
		case n <= room && err != nil:
			t.Fatalf("extend by %d of %d available: %v", n, room, err)
		case n > room && !errors.Is(err, ErrFull):
			t.Fatalf("extend by %d of %d available: error %v, want ErrFull", n, room, err)
		case n > room && c.Len(seq) != before:
			t.Fatalf("failed extend changed the length from %d to %d", before, c.Len(seq))
		}
		checkPages(t, c, 16)
	}
}

func checkPages(t *testing.T, c *Cache, pages int) {
	t.Helper()
	seen := make(map[int32]bool)
	for _, list := range append([][]int32{c.free}, c.tables...) {
		for _, page := range list {
			if seen[page] {
				t.Fatalf("page %d is held twice", page)
			}
			seen[page] = true
		}
	}
	if len(seen) != pages {
		t.Fatalf("%d of %d pages are accounted for", len(seen), pages)
	}
}

// The blocks of all sequences, pages, layers, heads, keys and values are as long as the format says and lie apart.
func TestBlocksDoNotOverlap(t *testing.T) {
	for f, sizes := range map[Format][2]int{F16: {PageLen * 64, PageLen * 64}, Q8: {PageLen*34 + 4*32, PageLen * 34}, Q4: {PageLen*18 + 4*32, PageLen * 18}} {
		size := sizes[0] + sizes[1]
		c := newCacheOf(t, f, 4, 2)
		if got, want := c.Shape().PageBytes(), 2*3*size; got != want {
			t.Errorf("%v: a page has %d bytes, want %d", f, got, want)
		}
		if got, want := c.Shape().PositionBytes(), 2*3*size/PageLen; got != want {
			t.Errorf("%v: a position has %d bytes, want %d", f, got, want)
		}
		for seq := range 2 {
			if err := c.Extend(seq, PageLen+5); err != nil {
				t.Fatal(err)
			}
		}
		eachBlock(c, func(block []byte, mark byte) {
			for i := range block {
				block[i] = mark
			}
		})
		eachBlock(c, func(block []byte, mark byte) {
			if want := sizes[mark%2]; len(block) != want || cap(block) != want {
				t.Fatalf("%v: block of %d bytes, want %d", f, len(block), want)
			}
			for i := range block {
				if block[i] != mark {
					t.Fatalf("%v: block was overwritten: %d, want %d", f, block[i], mark)
				}
			}
		})
	}
}

// eachBlock calls do for all blocks with two pages of each sequence, with a number for each.
func eachBlock(c *Cache, do func(block []byte, mark byte)) {
	mark := byte(0)
	for seq := range 2 {
		for page := range 2 {
			for layer := range 2 {
				for head := range 3 {
					mark += 2
					do(c.Keys(seq, page, layer, head), mark)
					do(c.Values(seq, page, layer, head), mark+1)
				}
			}
		}
	}
}

// The memory that no sequence holds is named, neighbours together, and nothing of what one holds.
func TestFree(t *testing.T) {
	c := newCache(t, 4, 2)
	size := c.Shape().PageBytes()
	free := func() (sizes []int) {
		c.Free(func(memory []byte) {
			sizes = append(sizes, len(memory)/size)
			for i := range memory {
				memory[i] = 0xff
			}
		})
		return sizes
	}
	if got := free(); !slices.Equal(got, []int{4}) {
		t.Errorf("empty cache: %v", got)
	}
	for _, seq := range []int{0, 1, 0} { // pages 0, 1, 2
		if err := c.Extend(seq, PageLen); err != nil {
			t.Fatal(err)
		}
	}
	held := c.Keys(1, 0, 0, 0)
	clear(held)
	if err := c.Truncate(0, 1); err != nil {
		t.Fatal(err)
	}
	if got := free(); !slices.Equal(got, []int{2}) { // 2 and 3
		t.Errorf("pages 0 and 1 held: %v", got)
	}
	if err := c.Truncate(0, 0); err != nil {
		t.Fatal(err)
	}
	if got := free(); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("page 1 held: %v", got)
	}
	if slices.Max(held) != 0 {
		t.Error("a page that is held was named")
	}
}

func TestFormats(t *testing.T) {
	for headDim, want := range map[int][]Format{
		64: {F16, quant.KVQ8, quant.KVQ4},
		16: {quant.KVQ8, F16, quant.KVQ4}, // heads are filled up to 32 columns in 8 and 4 bits
		12: {quant.KVQ8, quant.KVQ4},      // F16 takes eight columns at a time
	} {
		got := Formats(headDim)
		if !slices.Equal(got, want) {
			t.Errorf("heads of %d columns: %v, want %v", headDim, got, want)
		}
		for i := 1; i < len(got); i++ {
			if a, b := (Shape{1, 1, headDim, got[i-1]}), (Shape{1, 1, headDim, got[i]}); b.PageBytes() >= a.PageBytes() {
				t.Errorf("%v does not take less than %v", got[i], got[i-1])
			}
		}
	}
}

func TestBadArguments(t *testing.T) {
	for name, shape := range map[string]Shape{
		"a head of no columns":         {Layers: 1, KVHeads: 1},
		"a head of 12 columns":         {Layers: 1, KVHeads: 1, HeadDim: 12},
		"a head of 2048 columns in Q8": {Layers: 1, KVHeads: 1, HeadDim: 2048, Format: Q8},
		"a format that does not exist": {Layers: 1, KVHeads: 1, HeadDim: 64, Format: quant.NumKVFormats},
	} {
		if _, err := New(shape, 1, 1); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	c := newCache(t, 1, 1)
	for name, err := range map[string]error{
		"extend sequence 1":    c.Extend(1, 1),
		"extend by -1":         c.Extend(0, -1),
		"truncate beyond end":  c.Truncate(0, 1),
		"truncate sequence -1": c.Truncate(-1, 0),
	} {
		if !errors.Is(err, ErrSequence) {
			t.Errorf("%s: error %v, want ErrSequence", name, err)
		}
	}
}

func TestGrowingDoesNotAllocate(t *testing.T) {
	c := newCache(t, 8, 1)
	if n := testing.AllocsPerRun(100, func() {
		if err := c.Extend(0, 300); err != nil {
			t.Fatal(err)
		}
		if err := c.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%g allocations, want 0", n)
	}
}

func TestNamed(t *testing.T) {
	for _, f := range []Format{F16, Q8, Q4} {
		if got, err := Named(f.String()); got != f || err != nil {
			t.Errorf("%v: %v, error %v", f, got, err)
		}
	}
	for _, name := range []string{"", "q5", "F16"} {
		if _, err := Named(name); err == nil {
			t.Errorf("%q is a format", name)
		}
	}
}
