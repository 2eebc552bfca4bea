package tokenizer

import (
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"siskin/model/gguf"
	"siskin/model/goldentest"
)

// slowHere tells tests to do less: under the race detector, and on processors that the tests may be emulated on, everything
// takes ten times as long.
const slowHere = raceEnabled || runtime.GOARCH != "amd64"

// longTexts are size bytes each, most of them one word that nothing cuts.
func longTexts(size int) map[string]string {
	r := rand.New(rand.NewPCG(1, 2))
	letters, chars, ones := new(strings.Builder), new(strings.Builder), new(strings.Builder)
	for letters.Len() < size {
		letters.WriteByte(byte('a' + r.IntN(26)))
	}
	for chars.Len() < size {
		if c := rune(r.IntN(0x30000)); utf8.ValidRune(c) {
			chars.WriteRune(c)
		}
	}
	for ones.Len() < size {
		ones.WriteString("'s\u00a0\n<|")
	}
	return map[string]string{
		"one letter":      strings.Repeat("a", size),
		"spaces":          strings.Repeat(" ", size),
		"newlines":        strings.Repeat("\n", size),
		"space, newline":  strings.Repeat(" \n", size/2),
		"digits":          strings.Repeat("7", size),
		"equals signs":    strings.Repeat("=", size),
		"random letters":  letters.String(),
		"random chars":    chars.String(),
		"broken specials": ones.String(),
		"Han":             strings.Repeat("一", size/3),
		"not UTF-8":       strings.Repeat("\xff\xe4\xb8", size/3),
	}
}

// TestLongWords: a text of 1 MB that is one word takes less than 2 s. Merging that looked at all pairs for each merge would
// take hours.
func TestLongWords(t *testing.T) {
	size, limit := 1<<20, 2*time.Second
	if slowHere {
		size = 1 << 15
	}
	texts := longTexts(size)
	few := []string{"random letters", "spaces"}
	for kind, names := range map[string][]string{
		"qwen2": slices.Sorted(maps.Keys(texts)), "phi-3": few, "llama-bpe": few[:1], "deepseek-llm": few[:1], "falcon": few[1:],
	} {
		tok := vocabulary(t, kind)
		worst, which := time.Duration(0), ""
		for _, name := range names {
			pieces := []Piece{{"x", true}, {texts[name], false}}
			took := func() time.Duration {
				start := time.Now()
				if ids := tok.EncodePieces(nil, pieces, false); len(ids) < size/1100 {
					t.Errorf("%s: %s gives %d tokens", kind, name, len(ids))
				}
				return time.Since(start)
			}
			d := took()
			if d > limit {
				d = min(d, took()) // others use this machine, too
			}
			if d > worst {
				worst, which = d, name
			}
		}
		t.Logf("%s: the slowest text of %d bytes is %s: %v", kind, size, which, worst)
		if worst > limit {
			t.Errorf("%s: %s took %v, more than %v", kind, which, worst, limit)
		}
	}
}

func TestStateBytes(t *testing.T) {
	tok := vocabulary(t, "qwen2")
	got := tok.StateBytes()
	t.Logf("qwen2, %d tokens: %d bytes of tables", tok.VocabSize(), got)
	if got > 6<<20 {
		t.Errorf("tables take %d bytes, more than 6 MiB", got)
	}
	// The least of some runs: under the race detector a sync.Pool forgets a quarter of what it is given.
	allocs := math.Inf(1)
	for range 30 {
		var total int
		run := func() { total += len(tok.Encode(make([]int32, 0, 64), "The sea is deep and blue.", Options{})) }
		allocs = min(allocs, testing.AllocsPerRun(1, run))
	}
	if allocs > 2 { // one is the result
		t.Errorf("a short text costs %v allocations", allocs)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, kind := range []string{"qwen2", "llama-bpe", "starcoder", "deepseek-llm", "falcon", "llama-spm"} {
		b.Run(kind, func(b *testing.B) {
			tok := vocabulary(b, kind)
			texts, _ := suite(b, kind)
			text := strings.Repeat(strings.Join(texts, " ")+"\nThe quick brown fox jumps over the lazy dog, and so do 12 others; it's plain English text.\n", 8)
			ids := tok.Encode(nil, text, Options{})
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				ids = tok.Encode(ids[:0], text, Options{})
			}
		})
	}
}

func BenchmarkEnglish(b *testing.B) {
	text := strings.Repeat("It was a bright cold day in April, and the clocks were striking thirteen. She'd opened the window; 42 birds flew away.\n", 200)
	for _, kind := range []string{"qwen2", "llama-bpe", "llama-spm"} {
		b.Run(kind, func(b *testing.B) {
			tok := vocabulary(b, kind)
			ids := tok.Encode(nil, text, Options{})
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				ids = tok.Encode(ids[:0], text, Options{})
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, kind := range []string{"qwen2", "llama-spm"} {
		b.Run(kind, func(b *testing.B) {
			data, err := os.ReadFile(goldentest.Path(b, "tokenizers", "ggml-vocab-"+kind+".gguf"))
			if err != nil {
				b.Fatal(err)
			}
			f, err := gguf.Parse(data)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := FromGGUF(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
