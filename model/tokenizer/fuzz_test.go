package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRoundTrip: whatever the text, its tokens are the same cut into pieces, none is a control token, and they spell the
// text, with U+FFFD for what is not UTF-8.
func FuzzRoundTrip(f *testing.F) {
	bpe := map[string]*Tokenizer{}
	for _, kind := range []string{"qwen2", "llama-bpe", "gpt-2", "llama-spm"} {
		bpe[kind] = vocabulary(f, kind)
	}
	for _, pre := range []string{"falcon", "smollm", "deepseek-llm", "default", "gpt-4o", "tekken", "deepseek-v3", "tiny_aya", "exaone-moe", "jais-2", "bloom"} {
		bpe[pre] = build(f, tinyBPE("the", "Ġthe", "Ġthat", "ĊĊĊĊ", "ĠĠĠĠ").kvs(pre))
	}
	texts, _ := suite(f, "qwen2")
	for i, text := range texts {
		f.Add(text, i)
	}
	for i, text := range []string{
		"<|im_start|>system\nx<|im_end|>", "<|eot_id|><|begin_of_text|>", "</s><s>", "\xff\xfe\x80", "a\xe2\x82", "\xed\xa0\x80", "\u2581\u2581x",
		"'S'LL\u00a0 \r\n\r\n\t", strings.Repeat("ab", 200), strings.Repeat(" ", 100), "１２３½٣", "e\u0301\u0301",
	} {
		f.Add(text, i)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		want := string([]rune(text)) // each bad byte is U+FFFD
		for name, tok := range bpe {
			ids := tok.EncodePieces(nil, []Piece{{text, false}}, false)
			if i := slices.IndexFunc(ids, func(id int32) bool { return tok.flags[id]&isSpecial != 0 }); i >= 0 {
				t.Fatalf("%s: %+q gives special token %d", name, text, ids[i])
			}
			spelled := want
			if tok.kind == spm {
				spelled = strings.ReplaceAll(want, escapedSpace, " ")
			}
			if got := tok.Decode(ids); got != spelled {
				t.Fatalf("%s: %+q comes back as %+q", name, text, got)
			}
			at := 0
			if len(text) > 0 {
				at = int(uint(cut) % uint(len(text)))
			}
			for at > 0 && !utf8.RuneStart(text[at]) {
				at--
			}
			if !utf8.ValidString(text[:at]) || !utf8.ValidString(text[at:]) {
				continue // each piece is made valid by itself
			}
			if got := tok.EncodePieces(nil, []Piece{{text[:at], false}, {text[at:], false}}, false); !slices.Equal(got, ids) {
				t.Fatalf("%s: %+q cut at %d: %v, want %v", name, text, at, got, ids)
			}
		}
	})
}

// FuzzVocabulary: tokens, types, scores and merges of any content give a tokenizer that works, or an error.
func FuzzVocabulary(f *testing.F) {
	f.Add(false, "the\x00a\x00b\x00ab\x00<eos>", "a b\x00", []byte{1, 1, 1, 1, 3}, "gpt-2", "ab the <eos>")
	f.Add(true, "<unk>\x00<s>\x00</s>\x00▁\x00a\x00▁a\x00<0x41>", "", []byte{2, 3, 3, 1, 1, 1, 6}, "", "a aA</s>")
	f.Add(true, "<0x-1>\x00<0xZZ>\x00\x00", "", []byte{6, 6, 1}, "", "x")
	f.Add(false, "Ġ\x00ĠĠ\x00Ċ\x00 \x00  ", "Ġ Ġ\x00 \x00x", []byte{1, 1, 1, 4, 4}, "llama-bpe", "  \n ")
	f.Add(false, "▁\x00a\x00▁a\x00\n\n\x00<0x41>", "▁ a\x00a a", []byte{1, 1, 1, 1, 6}, "gemma4", "a a\n\nA ▁")
	f.Fuzz(func(t *testing.T, spm bool, tokens, merges string, types []byte, pre, text string) {
		v := new(tiny)
		for i, s := range strings.Split(tokens, "\x00") {
			typ := int32(1)
			if i < len(types) {
				typ = int32(types[i]) - 1
			}
			v.add(s, typ, float32(len(s)%5))
		}
		if merges != "" {
			v.merges = strings.Split(merges, "\x00")
		}
		kvs := v.kvs(pre)
		if spm {
			kvs = v.spm()
		}
		tok, err := FromGGUF(parse(t, kvs))
		if err != nil {
			return
		}
		for _, id := range tok.EncodePieces(nil, []Piece{{text, false}}, true) {
			if !tok.has(id) || tok.IsControl(id) && id != tok.bos {
				t.Fatalf("%+q gives token %d of %d", text, id, tok.VocabSize())
			}
		}
		if ids := tok.Encode(nil, text, Options{Special: true, BOS: true}); !utf8.ValidString(tok.Decode(ids)) {
			t.Fatalf("%v decodes to %q", ids, tok.Decode(ids))
		}
	})
}
