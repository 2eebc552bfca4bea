package kvcache

import (
	"errors"
	"math/rand/v2"
	"testing"
)

func newCache(t *testing.T, pages, sequences int) *Cache {
	t.Helper()
	c, err := New(Shape{Layers: 2, KVHeads: 3, HeadDim: 4}, pages, sequences)
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

func TestRowsDoNotOverlap(t *testing.T) {
	c := newCache(t, 4, 2)
	for seq := range 2 {
		if err := c.Extend(seq, PageLen+5); err != nil {
			t.Fatal(err)
		}
	}
	mark := byte(0)
	each := func(do func(row []byte, mark byte)) {
		mark = 0
		for seq := range 2 {
			for pos := range c.Len(seq) {
				for layer := range 2 {
					for head := range 3 {
						mark++
						do(c.Key(seq, pos, layer, head), mark)
						mark++
						do(c.Value(seq, pos, layer, head), mark)
					}
				}
			}
		}
	}
	each(func(row []byte, mark byte) {
		for i := range row {
			row[i] = mark
		}
	})
	each(func(row []byte, mark byte) {
		if len(row) != 8 {
			t.Fatalf("row of %d bytes, want 8", len(row))
		}
		for i := range row {
			if row[i] != mark {
				t.Fatalf("row was overwritten: %d, want %d", row[i], mark)
			}
		}
	})
}

func TestBadArguments(t *testing.T) {
	if _, err := New(Shape{Layers: 1, KVHeads: 1}, 1, 1); err == nil {
		t.Error("a head of no columns was accepted")
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
