package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// Classes of code points that the splitting rules ask for. A code point can be in several.
const (
	letter    = 1 << iota // \p{L}
	number                // \p{N}
	space                 // \s
	punct                 // \p{P}
	combining             // \p{M}
	symbolic              // \p{S}
	upperish              // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]: may begin a word of mixed case
	lowerish              // [\p{Ll}\p{Lm}\p{Lo}\p{M}]: may end one
	decimal               // \d
	wordly                // \w, but for letters and numbers: marks and joining punctuation
	dsLetter              // the letters named by the deepseek-llm rule
	dsPunct               // the punctuation named by the deepseek-llm rule
	dsHan                 // the characters of East Asia named by the deepseek-llm rule
	dsKana                // the characters of East Asia named by the deepseek-v3 rule
	bloomEnd              // the characters that end a word in the bloom rule
)

// class is a set of these.
type class uint16

// dsLetters, dsPuncts and dsHans are the ranges in the three large classes of the deepseek-llm rule, first and last code
// point, as its tokenizer.json lists them.
var (
	dsLetters = [][2]rune{
		{'A', 'Z'},
		{'a', 'z'},
		{0xB5, 0xB5},
		{0xC0, 0xD6},
		{0xD8, 0xF6},
		{0xF8, 0x1BA},
		{0x1BC, 0x1BF},
		{0x1C4, 0x293},
		{0x295, 0x2AF},
		{0x370, 0x373},
		{0x376, 0x377},
		{0x37B, 0x37D},
		{0x37F, 0x37F},
		{0x386, 0x386},
		{0x388, 0x38A},
		{0x38C, 0x38C},
		{0x38E, 0x3A1},
		{0x3A3, 0x3F5},
		{0x3F7, 0x481},
		{0x48A, 0x52F},
		{0x531, 0x556},
		{0x10A0, 0x10C5},
		{0x13A0, 0x13F5},
		{0x13F8, 0x13FD},
		{0x1C90, 0x1CBA},
		{0x1CBD, 0x1CBF},
		{0x1D00, 0x1D2B},
		{0x1D6B, 0x1D77},
		{0x1D79, 0x1D9A},
		{0x1E00, 0x1F15},
		{0x1F18, 0x1F1D},
		{0x1F20, 0x1F45},
		{0x1F48, 0x1F4D},
		{0x1F50, 0x1F57},
		{0x1F59, 0x1F59},
		{0x1F5B, 0x1F5B},
		{0x1F5D, 0x1F5D},
		{0x1F5F, 0x1F7D},
		{0x1F80, 0x1FB4},
		{0x1FB6, 0x1FBC},
		{0x1FBE, 0x1FBE},
		{0x1FC2, 0x1FC4},
		{0x1FC6, 0x1FCC},
		{0x1FD0, 0x1FD3},
		{0x1FD6, 0x1FDB},
		{0x1FE0, 0x1FEC},
		{0x1FF2, 0x1FF4},
		{0x1FF6, 0x1FFC},
		{0x2102, 0x2102},
		{0x2107, 0x2107},
		{0x210A, 0x2113},
		{0x2115, 0x2115},
		{0x2119, 0x211D},
		{0x2124, 0x2124},
		{0x2126, 0x2126},
		{0x2128, 0x2128},
		{0x212A, 0x212D},
		{0x212F, 0x2134},
		{0x2139, 0x2139},
		{0x213C, 0x213F},
		{0x2145, 0x2149},
		{0x214E, 0x214E},
		{0x2183, 0x2184},
		{0x2C00, 0x2C7B},
		{0x2C7E, 0x2CE4},
		{0x2CEB, 0x2CEE},
		{0x2CF2, 0x2CF3},
		{0xA640, 0xA66D},
		{0xA680, 0xA69B},
		{0xA722, 0xA76F},
		{0xA771, 0xA787},
		{0xA78B, 0xA78E},
		{0xAB70, 0xABBF},
		{0xFB00, 0xFB06},
		{0xFB13, 0xFB17},
		{0xFF21, 0xFF3A},
		{0xFF41, 0xFF5A},
		{0x10400, 0x1044F},
		{0x104B0, 0x104D3},
		{0x104D8, 0x104FB},
		{0x10C80, 0x10CB2},
		{0x10CC0, 0x10CF2},
		{0x118A0, 0x118DF},
		{0x1E900, 0x1E943},
	}
	dsPuncts = [][2]rune{{'!', '/'}, {':', '~'}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}, {0x2018, 0x201F}, {0x3000, 0x3002}}
	dsHans   = [][2]rune{{0x4E00, 0x9FA5}, {0x0800, 0x4E00}, {0xAC00, 0xD7FF}}
	dsKanas  = [][2]rune{{0x4E00, 0x9FA5}, {0x3040, 0x309F}, {0x30A0, 0x30FF}}

	bloomEnds = [][2]rune{
		{'(', ')'},
		{'|', '|'},
		{'.', '.'},
		{',', ','},
		{'!', '!'},
		{'?', '?'},
		{0x2026, 0x2026},
		{0x3002, 0x3002},
		{0xFF0C, 0xFF0C},
		{0x3001, 0x3001},
		{0x0964, 0x0964},
		{0x06D4, 0x06D4},
		{0x060C, 0x060C},
	}
)

// pageBits is the number of low bits of a code point that select within a page of the class table.
const pageBits = 8

// classes is a two-level table from code point to classes. Equal pages are stored once: about 80 KB.
type classes struct {
	page []uint16 // (code point >> pageBits) -> index of a page
	data []class  // (page, code point & 0xff)
}

func newClasses() *classes {
	all := make([]class, unicode.MaxRune+1)
	for _, t := range []struct {
		table *unicode.RangeTable
		class class
	}{
		{unicode.L, letter},
		{unicode.N, number},
		{unicode.White_Space, space},
		{unicode.P, punct},
		{unicode.M, combining | upperish | lowerish | wordly},
		{unicode.S, symbolic},
		{unicode.Lu, upperish},
		{unicode.Lt, upperish},
		{unicode.Lm, upperish | lowerish},
		{unicode.Lo, upperish | lowerish},
		{unicode.Ll, lowerish},
		{unicode.Nd, decimal},
		{unicode.Pc, wordly},
	} {
		for _, r := range t.table.R16 {
			mark(all, rune(r.Lo), rune(r.Hi), rune(r.Stride), t.class)
		}
		for _, r := range t.table.R32 {
			mark(all, rune(r.Lo), rune(r.Hi), rune(r.Stride), t.class)
		}
	}
	for _, t := range []struct {
		ranges [][2]rune
		class  class
	}{{dsLetters, dsLetter}, {dsPuncts, dsPunct}, {dsHans, dsHan}, {dsKanas, dsKana}, {bloomEnds, bloomEnd}} {
		for _, r := range t.ranges {
			mark(all, r[0], r[1], 1, t.class)
		}
	}
	c := &classes{page: make([]uint16, 0, len(all)>>pageBits)}
	seen := map[[1 << pageBits]class]uint16{}
	for i := 0; i < len(all); i += 1 << pageBits {
		content := [1 << pageBits]class(all[i:])
		n, ok := seen[content]
		if !ok {
			n = uint16(len(seen))
			seen[content] = n
			c.data = append(c.data, content[:]...)
		}
		c.page = append(c.page, n)
	}
	return c
}

func mark(all []class, lo, hi, stride rune, cl class) {
	for r := lo; r <= hi; r += stride {
		all[r] |= cl
	}
}

// at returns the classes of the first character of b, which must not be empty, and its length in bytes.
func (c *classes) at(b []byte) (cl class, size int) {
	if b[0] < utf8.RuneSelf {
		return c.data[b[0]], 1 // page 0 is the first that newClasses stores
	}
	r, n := utf8.DecodeRune(b)
	return c.data[int(c.page[r>>pageBits])<<pageBits|int(r&(1<<pageBits-1))], n
}

// span returns the length in bytes of the longest prefix of b whose characters are all in one of the classes of mask.
func (c *classes) span(b []byte, mask class) int {
	i := 0
	for i < len(b) {
		class, n := c.at(b[i:])
		if class&mask == 0 {
			break
		}
		i += n
	}
	return i
}

// spanMost is like span for at most that many characters.
func (c *classes) spanMost(b []byte, mask class, most int) int {
	i := 0
	for ; most > 0 && i < len(b); most-- {
		class, n := c.at(b[i:])
		if class&mask == 0 {
			break
		}
		i += n
	}
	return i
}

// spanNot is like span for characters that are in none of the classes of mask.
func (c *classes) spanNot(b []byte, mask class) int {
	i := 0
	for i < len(b) {
		class, n := c.at(b[i:])
		if class&mask != 0 {
			break
		}
		i += n
	}
	return i
}

func (c *classes) stateBytes() int { return 2*len(c.page) + 2*len(c.data) }
