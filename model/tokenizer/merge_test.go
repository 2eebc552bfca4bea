package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// joinSlowly is the definition: join the best pair of parts, leftmost among equals, until none is left.
func joinSlowly(parts []string, rank func(a, b string) (float64, bool)) []string {
	for {
		best, at := 0.0, -1
		for i := 0; i+1 < len(parts); i++ {
			if v, ok := rank(parts[i], parts[i+1]); ok && (at < 0 || v < best) {
				best, at = v, i
			}
		}
		if at < 0 {
			return parts
		}
		parts = slices.Concat(parts[:at], []string{parts[at] + parts[at+1]}, parts[at+2:])
	}
}

// randomWord has letters of a small alphabet, so that merges are frequent.
func randomWord(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte("abcd"[r.IntN(4)])
	}
	return b.String()
}

// TestMergeIsTheDefinition compares both ways of merging, for few symbols and for many, with joinSlowly.
func TestMergeIsTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 21))
	for round := range 60 {
		v := tinyBPE()
		ranks := map[string]float64{}
		known := []string{"a", "b", "c", "d"}
		for range 5 + r.IntN(60) {
			a, b := known[r.IntN(len(known))], known[r.IntN(len(known))]
			if _, ok := ranks[a+" "+b]; ok || len(a+b) > 12 {
				continue
			}
			ranks[a+" "+b] = float64(len(v.merges))
			v.merges = append(v.merges, a+" "+b)
			if !slices.Contains(v.tokens, a+b) {
				v.add(a+b, 1, 0)
				known = append(known, a+b)
			}
		}
		tok := build(t, v.kvs("gpt-2"))
		for _, n := range []int{1, 2, 5, linearMax, linearMax + 1, 100, 300} {
			word := randomWord(r, n)
			want := joinSlowly(strings.Split(word, ""), func(a, b string) (float64, bool) { v, ok := ranks[a+" "+b]; return v, ok })
			var got []string
			for _, id := range tok.Encode(nil, word, Options{}) {
				got = append(got, string(tok.TokenBytes(id)))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("round %d: %s\n got %q\nwant %q\nmerges %q", round, word, got, want, v.merges)
			}
		}
	}
}

// TestPiecesAreTheDefinition does the same with scores, many of them equal, with and without spaces inside of tokens.
func TestPiecesAreTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(22, 22))
	words := 0
	for round := range 80 {
		v := tinySPM("▁", "a", "b", "é")
		scores := map[string]float32{}
		inner := round%2 == 0
		for range 5 + r.IntN(60) {
			var b strings.Builder
			for i := range 2 + r.IntN(4) {
				c := []string{"▁", "a", "b", "é", "日"}[r.IntN(5)]
				if c == "▁" && i > 0 && !inner {
					c = "a"
				}
				b.WriteString(c)
			}
			if piece := b.String(); !slices.Contains(v.tokens, piece) {
				score := float32(-r.IntN(6))
				v.add(piece, 1, score)
				scores[strings.ReplaceAll(piece, "▁", " ")] = score
			}
		}
		tok := build(t, v.spm())
		if tok.wordwise {
			words++
		}
		for _, n := range []int{1, 3, linearMax, linearMax + 1, 200} {
			var parts []string
			parts = append(parts, " ")
			for range n {
				parts = append(parts, []string{" ", "a", "b", "é", "日", "x"}[r.IntN(6)])
			}
			text := strings.Join(parts[1:], "")
			want := joinSlowly(parts, func(a, b string) (float64, bool) { s, ok := scores[a+b]; return -float64(s), ok })
			var got []string
			for _, id := range tok.Encode(nil, text, Options{}) {
				got = append(got, string(tok.TokenBytes(id)))
			}
			// A character without a token is its bytes.
			var spelled []string
			for _, p := range want {
				if p == "日" || p == "x" {
					for _, b := range []byte(p) {
						spelled = append(spelled, string([]byte{b}))
					}
				} else {
					spelled = append(spelled, p)
				}
			}
			if !slices.Equal(got, spelled) {
				t.Fatalf("round %d: %q\n got %q\nwant %q\ntokens %q", round, text, got, spelled, v.tokens[259:])
			}
		}
	}
	if words < 30 || words == 80 {
		t.Errorf("%d of 80 vocabularies can be merged word by word: one way is not tested", words)
	}
}

// TestTables finds everything that was put in, and nothing else.
func TestTables(t *testing.T) {
	const n = 5000
	s, x, m := newStrTable(n, 0), newStrIndex(n), newMergeTable(n)
	for i := range int32(n) {
		s.append(fmt.Appendf(nil, "token %d", i))
		if _, ok := x.add(&s, i); !ok {
			t.Fatalf("token %d is there before", i)
		}
		m.add(i, n-i, i/2)
		m.add(i, n-i, 7) // the first counts
	}
	for i := range int32(n) {
		if got := x.find(&s, fmt.Appendf(nil, "token %d", i)); got != i {
			t.Fatalf("token %d is found as %d", i, got)
		}
		if x.find(&s, fmt.Appendf(nil, "token %d", n+i)) != -1 {
			t.Fatalf("token %d is found", n+i)
		}
		if rank, id := m.find(i, n-i); rank != uint32(i) || id != i/2 {
			t.Fatalf("merge %d has rank %d and gives %d", i, rank, id)
		}
		if rank, _ := m.find(n-i, i); rank != noRank && 2*i != n && rank != uint32(n-i) {
			t.Fatalf("merge of %d and %d has rank %d", n-i, i, rank)
		}
	}
	var none strIndex
	if none.find(&s, []byte("token 1")) != -1 {
		t.Error("an index of nothing finds something")
	}
}
