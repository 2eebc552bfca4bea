package tokenizer

// noRank is the rank of a pair that does not merge.
const noRank = 1<<32 - 1

// maxWord is the longest piece of text that is merged as a whole, in bytes; longer ones are cut. It bounds the memory of an
// encode call: 28 bytes for each byte of the longest word. (Unigram cuts there, too.)
const maxWord = 4 << 20

// linearMax is the number of symbols up to which looking through all pairs for the best is quicker than keeping a heap.
const linearMax = 32

// symbol is a part of a word that is being merged. Its index in scratch.syms is the offset of its first byte in the word.
type symbol struct {
	id     int32  // token, -1 if there is none or it is not looked up yet
	prev   int32  // symbol before, -1 at the start of the word
	next   int32  // symbol after; the length of the word at its end
	rank   uint32 // of the merge with the symbol after, lower is better; noRank if there is none, or this one is merged away
	merged int32  // token that this merge gives
}

// scratch is the working memory of one encode call.
type scratch struct {
	text  []byte  // the whole text, valid UTF-8
	spans []span  // of text
	frag  []byte  // SPM: fragment with the space in front; WPM, UGM: normalised text
	word  []byte  // WPM: word with a space in front
	steps []step  // UGM
	out   []int32 // result; the caller's slice
	syms  []symbol
	heap  []uint64 // min-heap of rank << 32 | symbol; entries whose rank is no longer the symbol's are void
}

// A scratch is kept for the next call unless a long text has made it larger than this.
const (
	keepText = 1 << 16 // bytes
	keepSyms = 1 << 13 // symbols or entries of the heap
)

func (t *Tokenizer) borrow(dst []int32) *scratch {
	s, _ := t.pool.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	s.out = dst
	s.text, s.spans = s.text[:0], s.spans[:0]
	return s
}

// giveBack returns the result and takes back s.
func (t *Tokenizer) giveBack(s *scratch) []int32 {
	out := s.out
	s.out = nil
	if max(cap(s.text), cap(s.frag), cap(s.word)) <= keepText && max(cap(s.syms), cap(s.heap), cap(s.steps)) <= keepSyms {
		t.pool.Put(s)
	}
	return out
}

// start makes s.syms n symbols long. Their content is undefined.
func (s *scratch) start(n int) {
	if cap(s.syms) < n {
		s.syms = make([]symbol, n)
	}
	s.syms = s.syms[:n]
}

// rate sets the rank of the pair of symbol i of word and the one after it.
func (t *Tokenizer) rate(s *scratch, word []byte, i int32) uint32 {
	sym := &s.syms[i]
	sym.rank = noRank
	if int(sym.next) == len(word) {
		return noRank
	}
	if t.kind == spm {
		sym.rank, sym.merged = t.ratePiece(word[i:s.syms[sym.next].next])
	} else if right := s.syms[sym.next].id; sym.id >= 0 && right >= 0 {
		sym.rank, sym.merged = t.merges.find(sym.id, right)
	}
	return sym.rank
}

// join merges symbol i with the one after it and rates the pairs that this makes.
func (t *Tokenizer) join(s *scratch, word []byte, i int32) (left int32, leftRank, rank uint32) {
	sym := &s.syms[i]
	gone := sym.next
	sym.id = sym.merged
	sym.next = s.syms[gone].next
	s.syms[gone].rank = noRank
	if int(sym.next) < len(word) {
		s.syms[sym.next].prev = i
	}
	rank = t.rate(s, word, i)
	if left = sym.prev; left >= 0 {
		return left, t.rate(s, word, left), rank
	}
	return left, noRank, rank
}

// merge joins pairs of the symbols of word, best rank first and leftmost among equals, until no pair is left that merges.
// count is the number of symbols. They must have id, prev and next.
func (t *Tokenizer) merge(s *scratch, word []byte, count int) {
	end := int32(len(word))
	if count > linearMax {
		t.mergeMany(s, word)
		return
	}
	for i := int32(0); i < end; i = s.syms[i].next {
		t.rate(s, word, i)
	}
	for {
		best, at := uint32(noRank), int32(0)
		for i := int32(0); i < end; i = s.syms[i].next {
			if s.syms[i].rank < best {
				best, at = s.syms[i].rank, i
			}
		}
		if best == noRank {
			return
		}
		t.join(s, word, at)
	}
}

// mergeMany is merge in O(n log n).
func (t *Tokenizer) mergeMany(s *scratch, word []byte) {
	h := heap(s.heap[:0])
	for i, end := int32(0), int32(len(word)); i < end; i = s.syms[i].next {
		if rank := t.rate(s, word, i); rank != noRank {
			h = append(h, uint64(rank)<<32|uint64(i))
		}
	}
	h.init()
	for len(h) > 0 {
		var top uint64
		h, top = h.pop()
		i := int32(uint32(top))
		if s.syms[i].rank != uint32(top>>32) {
			continue
		}
		left, leftRank, rank := t.join(s, word, i)
		if rank != noRank {
			h = h.push(uint64(rank)<<32 | uint64(i))
		}
		if leftRank != noRank {
			h = h.push(uint64(leftRank)<<32 | uint64(left))
		}
	}
	s.heap = h[:0]
}

// heap is a binary min-heap. (container/heap would cost an interface call for each comparison and an allocation for each
// value.)
type heap []uint64

func (h heap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h heap) down(i int) {
	x := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if h[child] >= x {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = x
}

func (h heap) push(x uint64) heap {
	h = append(h, x)
	i := len(h) - 1
	for i > 0 && h[(i-1)/2] > x {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = x
	return h
}

func (h heap) pop() (rest heap, top uint64) {
	top = h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	if last > 0 {
		h.down(0)
	}
	return h, top
}
