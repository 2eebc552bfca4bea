package draft

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// reference does what Finder says by looking at all tokens each time.
type reference struct {
	tokens        []int32
	source, match int
}

func (r *reference) append(token int32) {
	kept := r.match > 0 && r.tokens[r.source] == token
	r.tokens = append(r.tokens, token)
	if kept {
		r.source++
		r.match++
		return
	}
	r.match = 0
	for n := 4; n >= 2 && r.match == 0; n-- {
		end := len(r.tokens)
		for at := end - 1; at >= n; at-- { // the latest first
			if end > n && slices.Equal(r.tokens[at-n:at], r.tokens[end-n:]) {
				r.source, r.match = at, n
				break
			}
		}
	}
}

// draft copies byte by byte, so a loop goes round.
func (r *reference) draft(n int) []int32 {
	if r.match == 0 {
		return nil
	}
	text := slices.Clone(r.tokens)
	for i := range n {
		text = append(text, text[r.source+i])
	}
	return text[len(r.tokens):]
}

func check(t *testing.T, f *Finder, tokens []int32) {
	t.Helper()
	r := &reference{}
	f.Reset()
	for i, token := range tokens {
		f.Append(token)
		r.append(token)
		for _, n := range []int{1, MaxDraft} {
			got, want := f.Draft(make([]int32, n)), r.draft(n)
			if f.Match() != r.match || !slices.Equal(got, want) {
				t.Fatalf("after %v: draft %v (match %d), want %v (match %d)", tokens[:i+1], got, f.Match(), want, r.match)
			}
		}
	}
}

func TestFinderAgainstReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	f := NewFinder(300) // used again for every text
	for range 200 {
		alphabet := 1 + rng.IntN(12)
		tokens := make([]int32, 1+rng.IntN(300))
		for i := range tokens {
			tokens[i] = int32(rng.IntN(alphabet)) * 12345
			if back := 1 + rng.IntN(40); i >= back && rng.IntN(3) > 0 {
				tokens[i] = tokens[i-back]
			}
		}
		check(t, f, tokens)
	}
}

func TestDraft(t *testing.T) {
	for _, c := range []struct {
		name   string
		tokens []int32
		match  int
		want   []int32
	}{
		{"nothing", nil, 0, nil},
		{"one token is no match", []int32{1, 2, 3, 1}, 0, nil},
		{"two", []int32{1, 2, 3, 4, 1, 2}, 2, []int32{3, 4, 1, 2, 3}},
		{"loop", []int32{1, 2, 1, 2}, 2, []int32{1, 2, 1, 2, 1}},
		{"same", []int32{7, 7, 7}, 2, []int32{7, 7, 7, 7, 7}},
		{"the latest of two", []int32{1, 2, 3, 1, 2, 4, 9, 1, 2}, 2, []int32{4, 9, 1, 2, 4}},
		{"the longer of two", []int32{5, 1, 2, 3, 6, 1, 2, 4, 5, 1, 2}, 3, []int32{3, 6, 1, 2, 4}},
		{"kept while it is right", []int32{1, 2, 3, 4, 8, 2, 3, 5, 1, 2, 3, 4}, 4, []int32{8, 2, 3, 5, 1}},
		{"ids of 31 bits", []int32{1<<31 - 1, 0, 3, 4, 5, 1<<31 - 1, 0}, 2, []int32{3, 4, 5, 1<<31 - 1, 0}},
	} {
		f := NewFinder(len(c.tokens) + 1)
		for _, token := range c.tokens {
			f.Append(token)
		}
		if got := f.Draft(make([]int32, 5)); f.Match() != c.match || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v (match %d), want %v (match %d)", c.name, got, f.Match(), c.want, c.match)
		}
	}
}

// A finder takes the memory that it says, from the start, and none later, also when it is full.
func TestFinderMemory(t *testing.T) {
	for _, context := range []int{1, 2, 3, 100, 2048} {
		f := NewFinder(context)
		held := cap(f.tokens)
		for i := range f.tables {
			held += len(f.tables[i])
		}
		if got, want := int64(held)*int64(unsafe.Sizeof(int32(0))), FinderBytes(context); got != want {
			t.Errorf("context %d: %d bytes, want %d", context, got, want)
		}
		dst := make([]int32, MaxDraft)
		if n := testing.AllocsPerRun(1, func() {
			f.Reset()
			for i := range 2*context + 5 {
				f.Append(int32(i % 7))
				f.Draft(dst)
			}
		}); n != 0 {
			t.Errorf("context %d: %v allocations", context, n)
		}
		if f.Match() != 0 || len(f.tokens) != context {
			t.Errorf("context %d: overfull: match %d, %d tokens", context, f.Match(), len(f.tokens))
		}
		for n := range f.tables {
			if used := len(f.tables[n]) - count(f.tables[n], 0); used > len(f.tables[n])/2 {
				t.Errorf("context %d: %d of %d places used", context, used, len(f.tables[n]))
			}
		}
	}
	if got := FinderBytes(2048); got != 56<<10 {
		t.Errorf("%d bytes for 2048 tokens, documented are 56 KiB", got)
	}
}

func count(table []int32, v int32) (n int) {
	for _, x := range table {
		if x == v {
			n++
		}
	}
	return n
}

// FuzzFinder: the draft is that of the reference, for any text and any length of it.
func FuzzFinder(f *testing.F) {
	f.Add([]byte("abcabcabcabd"))
	f.Add([]byte(`{"a":1,"b":2} {"a":1,"b":3}`))
	f.Add([]byte{0, 0, 0, 0, 255, 0, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		text = text[:min(len(text), 400)]
		tokens := make([]int32, len(text))
		for i, b := range text {
			tokens[i] = int32(b)
		}
		check(t, NewFinder(max(1, len(tokens))), tokens)
	})
}

// BenchmarkAppend measures one token of a text that fills the context, with its draft.
func BenchmarkAppend(b *testing.B) {
	const context = 2048
	rng := rand.New(rand.NewPCG(3, 4))
	tokens := make([]int32, context)
	for i := range tokens {
		tokens[i] = int32(rng.IntN(500))
	}
	f := NewFinder(context)
	var dst [MaxDraft]int32
	for i := range b.N {
		if i%context == 0 {
			f.Reset()
		}
		f.Append(tokens[i%context])
		f.Draft(dst[:])
	}
}
