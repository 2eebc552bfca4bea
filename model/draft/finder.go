package draft

import (
	"math/bits"
	"slices"
)

// The lengths of suffixes that are looked up, in tokens. One token alone occurs before nearly always and says little;
// beyond four the longest match is found anyway, because a match is kept as long as it predicts right.
const (
	minGram = 2
	maxGram = 4
	grams   = maxGram - minGram + 1
)

// Finder holds the tokens of one conversation and an index of their runs of 2, 3 and 4 tokens. Its memory is fixed when it
// is made: see FinderBytes. It is not safe for concurrent use.
//
// The source of the draft is the place behind an earlier occurrence of the last tokens. It is kept as long as the tokens
// that are added are those that it predicts, so that the copy of one record of many alike goes on in the same record.
// When it fails, the new source is the latest earlier occurrence of the last 4 tokens, else of the last 3, else of the
// last 2, else there is none.
type Finder struct {
	tokens []int32 // capacity is the context
	// tables are open addressed, (table length), one for each length of run: the index behind the latest occurrence of
	// the run, 0 where the place is free. They are never more than half full.
	tables [grams][]int32
	shift  uint // from a hash of 64 bits to an index of a table
	source int  // index in tokens of the first drafted token, if match > 0
	match  int  // tokens before source that are equal to the last tokens, at least; 0: no source
}

// NewFinder returns a finder for conversations of up to context tokens, at least 1.
func NewFinder(context int) *Finder {
	size := tableLen(context)
	f := &Finder{tokens: make([]int32, 0, context), shift: uint(64 - bits.Len(uint(size-1)))}
	for i := range f.tables {
		f.tables[i] = make([]int32, size)
	}
	return f
}

// FinderBytes is the memory of a finder for the given context: 4 bytes a token, and 4 bytes a place in 3 tables of at
// least 2 places a token, rounded up to a power of two. 56 KiB for 2,048 tokens.
func FinderBytes(context int) int64 { return 4 * (int64(context) + grams*int64(tableLen(context))) }

// tableLen is a power of two, at least 2.
func tableLen(context int) int { return 1 << bits.Len(uint(2*context-1)) }

// Reset forgets all tokens.
func (f *Finder) Reset() {
	f.tokens, f.source, f.match = f.tokens[:0], 0, 0
	for i := range f.tables {
		clear(f.tables[i])
	}
}

// Append adds the next token of the conversation. It takes the same few steps however long the conversation is, unless
// tokens were chosen to collide: then at most one for each token before. Tokens beyond the context are ignored, and end
// the drafts.
func (f *Finder) Append(token int32) {
	if len(f.tokens) == cap(f.tokens) {
		f.match = 0
		return
	}
	kept := f.match > 0 && f.tokens[f.source] == token
	f.tokens = append(f.tokens, token)
	if kept {
		f.source++
		f.match++
	} else {
		f.match = 0
	}
	for n := minGram; n <= min(maxGram, len(f.tokens)); n++ {
		if before := f.swap(n); before > 0 && !kept {
			f.source, f.match = before, n
		}
	}
}

// swap makes the end of the tokens the latest occurrence of the last n and returns the one before it, or 0.
func (f *Finder) swap(n int) int {
	table, end := f.tables[n-minGram], len(f.tokens)
	run := f.tokens[end-n:]
	for i := f.hash(run); ; i = (i + 1) & (len(table) - 1) {
		switch before := int(table[i]); {
		case before == 0:
			table[i] = int32(end)
			return 0
		case slices.Equal(f.tokens[before-n:before], run):
			table[i] = int32(end)
			return before
		}
	}
}

// hash spreads a run over a table: multiplication by 2^64 over the golden ratio (Knuth, The Art of Computer Programming,
// volume 3, section 6.4), once for each token.
func (f *Finder) hash(run []int32) int {
	const golden = 0x9e3779b97f4a7c15
	h := uint64(0)
	for _, token := range run {
		h = (h ^ uint64(uint32(token))) * golden
		h ^= h >> 32
	}
	return int(h * golden >> f.shift)
}

// Match is the number of tokens before the draft that are known to be equal to the last ones; 0: there is no draft.
func (f *Finder) Match() int { return f.match }

// Draft fills dst with the tokens that are expected next and returns dst, or nil if there is no draft. Where the source
// reaches the end of the conversation, the draft goes on with its own beginning: a loop goes round.
func (f *Finder) Draft(dst []int32) []int32 {
	if f.match == 0 {
		return nil
	}
	for i := range dst {
		if at := f.source + i; at < len(f.tokens) {
			dst[i] = f.tokens[at]
		} else {
			dst[i] = dst[at-len(f.tokens)]
		}
	}
	return dst
}
