package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// specials are the texts of the special and user-defined tokens of tok.
func specials(tok *Tokenizer) (texts []string) {
	for _, id := range tok.match.ids {
		texts = append(texts, string(tok.TokenBytes(id)))
	}
	return texts
}

// cutRandomly makes pieces of text, some of them trusted.
func cutRandomly(r *rand.Rand, text string) (pieces []Piece) {
	for text != "" {
		n := 1 + r.IntN(len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n++
		}
		pieces = append(pieces, Piece{text[:n], r.IntN(2) == 0})
		text = text[n:]
		if r.IntN(4) == 0 {
			pieces = append(pieces, Piece{"", r.IntN(2) == 0})
		}
	}
	return pieces
}

// TestPiecesAreOneText cuts texts without special tokens anywhere: the cuts and marks must not show.
func TestPiecesAreOneText(t *testing.T) {
	for _, kind := range kinds[1:] { // encoders have no prompts
		tok := vocabulary(t, kind)
		r := rand.New(rand.NewPCG(3, uint64(len(kind))))
		texts, _ := suite(t, kind)
		for range 300 {
			texts = append(texts, randomText(r))
		}
		special := specials(tok)
		compared := 0
		for _, text := range texts {
			if slices.ContainsFunc(special, func(s string) bool { return strings.Contains(text, s) }) {
				continue
			}
			compared++
			want := tok.Encode(nil, text, Options{Special: true, BOS: true})
			if tok.addEOS {
				want = want[:len(want)-1]
			}
			for range 4 {
				pieces := cutRandomly(r, text)
				if got := tok.EncodePieces(nil, pieces, true); !slices.Equal(got, want) {
					t.Fatalf("%s: %+q in pieces %+v\n got %v\nwant %v", kind, text, pieces, got, want)
				}
			}
		}
		if compared < 100 {
			t.Errorf("%s: only %d texts compared", kind, compared)
		}
	}
}

// TestTrustedSpecials puts untrusted text between special tokens: the result is that of the whole text with Special.
func TestTrustedSpecials(t *testing.T) {
	for kind, marks := range map[string][2]string{
		"qwen2": {"<|im_start|>user\n", "<|im_end|>\n"}, "phi-3": {"<|user|>\n", "<|end|>\n"}, "llama-spm": {"<s>[INST] ", " [/INST]</s>"},
		"llama-bpe": {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"}, "starcoder": {"<fim_prefix>", "<fim_suffix>"},
	} {
		tok := vocabulary(t, kind)
		for _, text := range []string{"hello", " hello", "\n\n  hello  \n", "7", "x'S", "\u2581", "日本 語", " "} {
			whole := marks[0] + text + marks[1] + "more" + marks[0]
			want := tok.Encode(nil, whole, Options{Special: true})
			got := tok.EncodePieces(nil, []Piece{{marks[0], true}, {text, false}, {marks[1] + "more", true}, {marks[0], true}}, false)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q\n got %v\nwant %v", kind, text, got, want)
			}
			if !slices.ContainsFunc(want, tok.IsControl) {
				t.Errorf("%s: no control token in %v", kind, want)
			}
		}
	}
}

// TestInfillPrompt: what the tokens around a gap delimit stays plain text.
func TestInfillPrompt(t *testing.T) {
	tok := vocabulary(t, "starcoder")
	got, ok := tok.EncodeInfill(nil, "def f(", "):<fim_middle>\n")
	want := tok.EncodePieces(nil, []Piece{{"<fim_prefix>", true}, {"def f(", false}, {"<fim_suffix>", true}, {"):<fim_middle>\n", false}, {"<fim_middle>", true}}, false)
	if !ok || !slices.Equal(got, want) {
		t.Errorf("got %v %v, want %v", got, ok, want)
	}
	if got, ok := vocabulary(t, "gpt-2").EncodeInfill(nil, "a", "b"); ok || len(got) > 0 {
		t.Errorf("a vocabulary without such tokens: %v", got)
	}
}

// TestUntrustedGivesNoControl tries to smuggle every special token of every vocabulary in, whole and cut.
func TestUntrustedGivesNoControl(t *testing.T) {
	for _, kind := range kinds[1:] { // encoders have no prompts
		tok := vocabulary(t, kind)
		r := rand.New(rand.NewPCG(5, uint64(len(kind))))
		clean := func(pieces []Piece) {
			t.Helper()
			ids := tok.EncodePieces(nil, pieces, false)
			for _, id := range ids {
				f := tok.flags[id]
				if f&(isSpecial|isUser) != 0 && f&isBlank == 0 {
					t.Fatalf("%s: %+v gives token %d, %q", kind, pieces, id, tok.TokenBytes(id))
				}
			}
			if kind == "falcon" || kind == "starcoder" {
				return // a few bytes have no token there
			}
			var text string
			for _, p := range pieces {
				text += p.Text
			}
			if got := tok.Decode(ids); got != text {
				t.Fatalf("%s: %+q comes back as %+q", kind, text, got)
			}
		}
		texts := specials(tok)
		if len(texts) > 120 {
			texts = append(texts[:60:60], texts[len(texts)-60:]...)
		}
		for _, s := range texts {
			clean([]Piece{{s, false}})
			clean([]Piece{{s + s, false}, {s, false}})
			clean([]Piece{{"x " + s + " y", false}})
			clean([]Piece{{strings.Repeat(s, 20), false}})
			runes := []rune(s)
			if n := 1 + r.IntN(len(runes)); n < len(runes) {
				a, b := string(runes[:n]), string(runes[n:])
				if !slices.Contains(texts, a) && !slices.Contains(texts, b) {
					clean([]Piece{{a, true}, {b, false}})
					clean([]Piece{{a, false}, {b, true}})
				}
			}
		}
		for range 300 {
			text := ""
			for range 1 + r.IntN(4) {
				text += texts[r.IntN(len(texts))] + randomText(r)
			}
			if !strings.Contains(text, escapedSpace) {
				clean([]Piece{{text, false}})
			}
		}
	}
}

// TestNoControlByMergeOrLookup has vocabularies in which control tokens spell plain words.
func TestNoControlByMergeOrLookup(t *testing.T) {
	for _, pre := range []string{"llama-bpe", "gpt-2", "qwen2", "default"} {
		v := tinyBPE("stop", "stopper", "go")
		stop, stopper, g := slices.Index(v.tokens, "stop"), slices.Index(v.tokens, "stopper"), slices.Index(v.tokens, "g")
		v.types[stop], v.types[stopper], v.types[g] = 3, 3, 3
		v.add("<eos>", 1, 0) // not marked, but known by its name
		v.merges = append(v.merges, "go go")
		v.tokens = append(v.tokens, "gogo")
		v.types = append(v.types, 1)
		tok := build(t, v.kvs(pre))
		for _, text := range []string{"stop", "stopper", " stop stop", "stopstopper", "go", "g", "gogo", "<eos>", "a<eos>"} {
			for _, ids := range [][]int32{
				tok.EncodePieces(nil, []Piece{{text, false}}, false), tok.Encode(nil, text, Options{}),
			} {
				if i := slices.IndexFunc(ids, tok.IsControl); i >= 0 {
					t.Errorf("%s: %q gives control token %d", pre, text, ids[i])
				}
			}
			if got := tok.Encode(nil, text, Options{Special: true}); !slices.ContainsFunc(got, tok.IsControl) {
				t.Errorf("%s: %q with Special gives no control token: %v", pre, text, got)
			}
		}
		if !tok.IsEOG(int32(slices.Index(v.tokens, "<eos>"))) {
			t.Errorf("%s: <eos> does not end generation", pre)
		}
	}
	v := tinySPM("▁", "s", "t", "o", "p", "st", "sto", "stop", "stops", "<", "<s", "<s>")
	v.types[slices.Index(v.tokens, "stop")] = 3
	v.tokens[len(v.tokens)-1] = "<s>x" // "<s>" itself is token 1
	tok := build(t, v.spm())
	for _, text := range []string{"stop", "stops", "<s>", "</s>", "<unk>", "<0x41>", "<s>x"} {
		ids := tok.EncodePieces(nil, []Piece{{text, false}}, false)
		if slices.ContainsFunc(ids, tok.IsControl) || slices.Contains(ids, 0) || tok.Decode(ids) != text {
			t.Errorf("%q gives %v, %q", text, ids, tok.Decode(ids))
		}
	}
}

// TestUserDefined: found by Encode either way and in trusted pieces, but in untrusted ones only if it is white space.
func TestUserDefined(t *testing.T) {
	v := tinyBPE()
	v.add("<tool>", 4, 0)
	v.add("    ", 4, 0)
	v.add("\n\n", 4, 0)
	tok := build(t, v.kvs("gpt-2"))
	text := "a<tool>    b\n\nc"
	want := []int32{'a', 256, 257, 'b', 258, 'c'}
	byteIDs := func(s string) (ids []int32) {
		for _, b := range []byte(s) {
			ids = append(ids, tok.byteID[b])
		}
		return ids
	}
	for i, w := range want {
		if w < 256 {
			want[i] = tok.byteID[w]
		}
	}
	for _, opt := range []Options{{}, {Special: true}} {
		if got := tok.Encode(nil, text, opt); !slices.Equal(got, want) {
			t.Errorf("%+v: %v, want %v", opt, got, want)
		}
	}
	if got := tok.EncodePieces(nil, []Piece{{text, true}}, false); !slices.Equal(got, want) {
		t.Errorf("trusted: %v, want %v", got, want)
	}
	plain := slices.Concat(byteIDs("a<tool>"), want[2:])
	if got := tok.EncodePieces(nil, []Piece{{text, false}}, false); !slices.Equal(got, plain) {
		t.Errorf("untrusted: %v, want %v", got, plain)
	}
	if got := tok.EncodePieces(nil, []Piece{{"a<to", true}, {"ol>  ", false}, {"  b\n", true}, {"\nc", false}}, false); !slices.Equal(got, plain) {
		t.Errorf("across a border: %v, want %v", got, plain)
	}
	if tok.Decode(want) != text {
		t.Errorf("%q comes back as %q", text, tok.Decode(want))
	}
}

func TestStripsAndFlags(t *testing.T) {
	tok := vocabulary(t, "phi-3") // its special tokens swallow the white space after them
	a := tok.Encode(nil, "<|user|> \n\thello<|end|>", Options{Special: true})
	b := tok.Encode(nil, "<|user|>hello<|end|>", Options{Special: true})
	if !slices.Equal(a, b) || len(a) != 3 {
		t.Errorf("%v and %v", a, b)
	}
	if got := tok.Encode(nil, "<s> x", Options{Special: true}); len(got) != 3 {
		t.Errorf("<s> swallows a space: %v", got)
	}
	v := tinyBPE()
	v.add("<mask>", 3, 0)
	mask := build(t, v.kvs("jina-v2-code"))
	if got, want := mask.Encode(nil, "a \t<mask> b", Options{Special: true}), []int32{mask.byteID['a'], 256, mask.byteID[' '], mask.byteID['b']}; !slices.Equal(got, want) {
		t.Errorf("<mask>: %v, want %v", got, want)
	}
	v = tinyBPE()
	v.add("[b]", 3, 0)
	v.add("[e]", 3, 0)
	kvs := set(v.kvs("llama-bpe"), "bos_token_id", uint32(256), "eos_token_id", uint32(257))
	x := []Piece{{"x", true}}
	for _, c := range []struct {
		name           string
		tok            *Tokenizer
		encode, pieces []int32
	}{
		{"llama3 rule", build(t, kvs), []int32{256, 'x'}, []int32{256, 'x'}},
		{"switched off", build(t, set(kvs, "add_bos_token", false)), []int32{'x'}, []int32{'x'}},
		{"both", build(t, set(kvs, "add_eos_token", true)), []int32{256, 'x', 257}, []int32{256, 'x'}},
		{"gpt-2 rule", build(t, set(kvs, "pre", "gpt-2")), []int32{'x'}, []int32{'x'}},
		{"no bos to add", build(t, set(kvs, "bos_token_id", nil)), []int32{'x'}, []int32{'x'}},
	} {
		for _, ids := range [][]int32{c.encode, c.pieces} {
			for i, id := range ids {
				if id == 'x' {
					ids[i] = c.tok.byteID['x']
				}
			}
		}
		if got := c.tok.Encode(nil, "x", Options{BOS: true}); !slices.Equal(got, c.encode) {
			t.Errorf("%s: %v, want %v", c.name, got, c.encode)
		}
		if got := c.tok.EncodePieces(nil, x, true); !slices.Equal(got, c.pieces) {
			t.Errorf("%s: pieces %v, want %v", c.name, got, c.pieces)
		}
		if len(c.tok.Encode(nil, "x", Options{})) != 1 || len(c.tok.EncodePieces(nil, x, false)) != 1 {
			t.Errorf("%s: something is added unasked", c.name)
		}
	}
}

// TestEndOfGeneration has the sets that llama.cpp gives for the reference vocabularies.
func TestEndOfGeneration(t *testing.T) {
	for kind, want := range map[string][]int32{
		"gpt-2": {50256}, "qwen2": {128247, 151643, 151645}, "llama-bpe": {128001, 128009}, "falcon": {11}, "deepseek-llm": {100001},
		"starcoder": {0, 4}, "llama-spm": {2}, "phi-3": {2, 32000, 32007},
	} {
		tok := vocabulary(t, kind)
		var got []int32
		for id := range int32(tok.VocabSize()) {
			if tok.IsEOG(id) {
				got = append(got, id)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
	ends := func(pairs []any, tokens ...string) (texts []string) {
		v := tinyBPE()
		for _, s := range tokens {
			v.add(s, 3, 0)
		}
		tok := build(t, set(v.kvs("gpt-2"), pairs...))
		for id := range int32(tok.VocabSize()) {
			if tok.IsEOG(id) {
				texts = append(texts, string(tok.TokenBytes(id)))
			}
		}
		return texts
	}
	for _, c := range []struct{ got, want []string }{
		{ends(nil, eogTexts[4:10]...), eogTexts[4:10]},
		{ends(nil, "<|end|>", "<|return|>", "<|call|>"), []string{"<|return|>", "<|call|>"}},
		{ends(nil, "<|end|>", "<|return|>"), []string{"<|end|>", "<|return|>"}},
		{ends(nil, "</s>", "<|tool_response>"), []string{"<|tool_response>"}},
		{ends(nil, "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|fim_prefix|>"), []string{"<|fim_pad|>", "<|file_sep|>", "<|repo_name|>"}},
		{ends([]any{"eot_token_id", uint32(256), "eom_token_id", uint32(257), "eos_token_id", uint32(258), "fim_rep_token_id", uint32(259)},
			"[a]", "[b]", "[c]", "[d]", "<|repo_name|>"), []string{"[a]", "[b]", "[c]", "[d]"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%q end generation, want %q", c.got, c.want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	for _, kind := range []string{"llama-bpe", "llama-spm"} {
		tok := vocabulary(t, kind)
		texts, want := suite(t, kind)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i, text := range texts {
					if got := tok.Encode(nil, text, Options{}); !slices.Equal(got, want[i]) {
						t.Errorf("%s: %q: %v", kind, text, got)
					}
				}
			})
		}
		wg.Wait()
	}
}
