package tokenizer

import (
	"bytes"
	"hash/maphash"
)

// maxTokens is the largest vocabulary, and maxMerges the longest list of merges: both have to fit 20 bits, with one value to
// spare. The largest real ones have about 262,000 tokens and 515,000 merges.
const (
	indexBits = 20
	indexMask = 1<<indexBits - 1
	maxTokens = indexMask
	maxMerges = indexMask
)

// flags is what a token is besides plain text.
type flags uint8

const (
	isControl   flags = 1 << iota // its text means something to the model only as this token: <|im_end|>
	isUnknown                     // stands for text without a token; also padding of the vocabulary in some files
	isUser                        // added to the vocabulary by the model's makers: found in text before anything else
	isByte                        // <0x00> to <0xFF>
	isBlank                       // isUser and nothing but white space
	isEOG                         // ends generation
	stripsLeft                    // swallows white space before it
	stripsRight                   // swallows white space after it

	isSpecial = isControl | isUnknown
)

// strTable holds the bytes of all tokens, one after the other.
type strTable struct {
	arena []byte
	ends  []uint32 // (token + 1): where the bytes of token i-1 end; ends[0] is 0
}

func newStrTable(n, size int) strTable {
	return strTable{arena: make([]byte, 0, size), ends: make([]uint32, 1, n+1)}
}

func (s *strTable) append(b []byte) {
	s.arena = append(s.arena, b...)
	s.ends = append(s.ends, uint32(len(s.arena)))
}

func (s *strTable) len() int { return len(s.ends) - 1 }

// at is the bytes of token id, which must be in range.
func (s *strTable) at(id int32) []byte {
	from, to := s.ends[id], s.ends[id+1]
	return s.arena[from:to:to]
}

func (s *strTable) stateBytes() int { return cap(s.arena) + 4*cap(s.ends) }

// strIndex finds tokens by their bytes: an open-addressing hash table. A slot is 0 if empty, else 12 bits of the hash and the
// id + 1 in 20 bits. The hash is seeded, so that no file can be made to collide.
type strIndex struct {
	slots []uint32 // a power of two of them, at most two thirds in use
	seed  maphash.Seed
}

// newStrIndex makes room for n tokens.
func newStrIndex(n int) strIndex {
	return strIndex{slots: make([]uint32, tableSize(n)), seed: maphash.MakeSeed()}
}

// tableSize is the smallest power of two of which n slots are at most two thirds.
func tableSize(n int) int {
	size := 4
	for size*2 < n*3 {
		size *= 2
	}
	return size
}

// find returns the token of s whose bytes are b, -1 if there is none in the index.
func (x *strIndex) find(s *strTable, b []byte) int32 {
	if len(x.slots) == 0 {
		return -1
	}
	h := maphash.Bytes(x.seed, b)
	mask := uint64(len(x.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		slot := x.slots[i]
		if slot == 0 {
			return -1
		}
		if slot>>indexBits == uint32(h>>52) {
			if id := int32(slot&indexMask) - 1; bytes.Equal(s.at(id), b) {
				return id
			}
		}
	}
}

// add puts token id of s in, or returns the one that is already there with the same bytes.
func (x *strIndex) add(s *strTable, id int32) (before int32, ok bool) {
	if before := x.find(s, s.at(id)); before >= 0 {
		return before, false
	}
	h := maphash.Bytes(x.seed, s.at(id))
	mask := uint64(len(x.slots) - 1)
	i := h & mask
	for x.slots[i] != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = uint32(h>>52)<<indexBits | uint32(id+1)
	return -1, true
}

// mergeTable has the merges of BPE, best first, and finds them by the pair of tokens that they join.
type mergeTable struct {
	entries []uint64 // (merge) in order of rank: left << 40 | right << 20 | result
	slots   []uint32 // hash table of indices into entries + 1, with 12 bits of the hash, as in strIndex
	seed    uint64
}

func newMergeTable(n int) mergeTable {
	return mergeTable{
		entries: make([]uint64, 0, n),
		slots:   make([]uint32, tableSize(n)),
		seed:    maphash.String(maphash.MakeSeed(), "merges"),
	}
}

// hash mixes a pair by the finaliser of MurmurHash3.
func (m *mergeTable) hash(pair uint64) uint64 {
	h := pair ^ m.seed
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// find returns rank and result of the merge of left and right, noRank if there is none.
func (m *mergeTable) find(left, right int32) (rank uint32, result int32) {
	pair := uint64(left)<<indexBits | uint64(right)
	h := m.hash(pair)
	mask := uint64(len(m.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		slot := m.slots[i]
		if slot == 0 {
			return noRank, -1
		}
		if slot>>indexBits == uint32(h>>52) {
			rank := slot&indexMask - 1
			if e := m.entries[rank]; e>>indexBits == pair {
				return rank, int32(e & indexMask)
			}
		}
	}
}

// add appends a merge; of several for the same pair the first counts.
func (m *mergeTable) add(left, right, result int32) {
	if rank, _ := m.find(left, right); rank != noRank {
		return
	}
	pair := uint64(left)<<indexBits | uint64(right)
	m.entries = append(m.entries, pair<<indexBits|uint64(result))
	h := m.hash(pair)
	mask := uint64(len(m.slots) - 1)
	i := h & mask
	for m.slots[i] != 0 {
		i = (i + 1) & mask
	}
	m.slots[i] = uint32(h>>52)<<indexBits | uint32(len(m.entries))
}

func (m *mergeTable) stateBytes() int { return 8*cap(m.entries) + 4*cap(m.slots) }
