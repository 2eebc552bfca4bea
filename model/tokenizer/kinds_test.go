package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"siskin/model/modeltest"
)

// fixture reads a file of testdata; its README says how they were made.
func fixture(t testing.TB, name string, to any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// equalIDs compares the ids of texts.
func equalIDs(t *testing.T, tok *Tokenizer, texts []string, want [][]int32) {
	t.Helper()
	if len(texts) < 100 || len(texts) != len(want) {
		t.Fatalf("%d texts, %d lists of ids", len(texts), len(want))
	}
	for i, text := range texts {
		if got := tok.Encode([]int32{}, text, Options{}); !slices.Equal(got, want[i]) {
			t.Errorf("%+q:\n got %v\nwant %v", text, got, want[i])
		}
	}
}

type unigramCase struct {
	Tokens            []string
	Scores            []float32
	Types             []int32
	Charsmap          []byte
	SpacePrefix       bool `json:"space_prefix"`
	MergeSpaces       bool `json:"merge_spaces"`
	Unknown, EOS, BOS int32
	Texts             []string
	IDs               [][]int32
}

func (c *unigramCase) kvs() []modeltest.KV {
	return []modeltest.KV{
		{Key: keyModel, Value: "t5"},
		{Key: keyTokens, Value: c.Tokens},
		{Key: keyScores, Value: c.Scores},
		{Key: keyTypes, Value: c.Types},
		{Key: keyCharsmap, Value: c.Charsmap},
		{Key: keySpacePrefix, Value: c.SpacePrefix},
		{Key: keyMergeSpace, Value: c.MergeSpaces},
		{Key: keyUNK, Value: c.Unknown},
		{Key: keyEOS, Value: c.EOS},
		{Key: keyBOS, Value: c.BOS},
	}
}

func TestUnigram(t *testing.T) {
	var cases []unigramCase
	fixture(t, "unigram.json", &cases)
	for _, c := range cases {
		tok := build(t, c.kvs())
		equalIDs(t, tok, c.Texts, c.IDs)
		want := append(tok.Encode([]int32{}, "the model", Options{}), c.EOS)
		if got := tok.Encode(nil, "the model", Options{BOS: true}); !slices.Equal(got, want) {
			t.Errorf("with the end of the sequence: %v, want %v", got, want)
		}
		if got := tok.Decode(want); got != "the model" {
			t.Errorf("comes back as %q", got)
		}
	}
	if len(cases) != 3 {
		t.Errorf("%d cases", len(cases))
	}
}

func TestGemma4(t *testing.T) {
	var c struct {
		Tokens, Merges, Texts []string
		Types                 []int32
		IDs                   [][]int32
	}
	fixture(t, "gemma4.json", &c)
	kvs := []modeltest.KV{
		{Key: keyModel, Value: "gemma4"},
		{Key: keyTokens, Value: c.Tokens},
		{Key: keyTypes, Value: c.Types},
		{Key: keyMerges, Value: c.Merges},
		{Key: keyBOS, Value: uint32(2)},
		{Key: keyEOS, Value: uint32(1)},
		{Key: keyUNK, Value: uint32(3)},
		{Key: keyAddBOS, Value: false},
	}
	tok := build(t, kvs)
	equalIDs(t, tok, c.Texts, c.IDs)
	for _, text := range c.Texts {
		want := strings.ReplaceAll(text, escapedSpace, " ")
		if got := tok.Decode(tok.Encode(nil, text, Options{})); got != want {
			t.Errorf("%+q comes back as %+q", text, got)
		}
	}
	if got := tok.Encode(nil, "a", Options{BOS: true}); len(got) != 2 || got[0] != 2 {
		t.Errorf("the token that begins a text is missing: %v", got)
	}
	// Line ends are looked up as a whole before anything merges.
	c.Tokens = append(c.Tokens, "\n\n\n")
	c.Types = append(c.Types, 1)
	tok = build(t, set(kvs, "tokens", c.Tokens, "token_type", c.Types))
	if got := tok.Encode(nil, "\n\n\n", Options{}); !slices.Equal(got, []int32{int32(len(c.Tokens) - 1)}) {
		t.Errorf("three line ends: %v", got)
	}
}

func TestWordPiece(t *testing.T) {
	var c struct {
		Texts []string
		IDs   [][]int32
	}
	fixture(t, "wordpiece.json", &c)
	tok := vocabulary(t, "bert-bge")
	equalIDs(t, tok, c.Texts, c.IDs)
	ids := tok.Encode(nil, "Hello, [MASK]ing Wörld", Options{Special: true, BOS: true})
	if ids[0] != 101 || ids[len(ids)-1] != 102 || !slices.Contains(ids, 103) {
		t.Errorf("special tokens: %v", ids)
	}
	if got := tok.Decode(tok.Encode(nil, "Playing  CHÉSS\n!", Options{})); got != "playing chess !" {
		t.Errorf("comes back as %q", got)
	}
}

// tinyWPM is a vocabulary of [PAD] [UNK] [CLS] [SEP] and words.
func tinyWPM(words ...string) []modeltest.KV {
	v := new(tiny)
	for _, s := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]"} {
		v.add(s, 3, 0)
	}
	for _, w := range words {
		v.add(w, 1, 0)
	}
	return []modeltest.KV{
		{Key: keyModel, Value: "bert"},
		{Key: keyTokens, Value: v.tokens},
		{Key: keyTypes, Value: v.types},
		{Key: keyUNK, Value: uint32(1)},
		{Key: keyCLS, Value: uint32(2)},
		{Key: keySEP, Value: uint32(3)},
	}
}

func TestWordPieceOptions(t *testing.T) {
	kvs := tinyWPM("▁E", "▁e", "▁é", "▁É", "ab", "▁i", "\u0307")
	for _, c := range []struct {
		name string
		set  []any
		text string
		want []int32
	}{
		{"lower case and accents", nil, "Éab", []int32{5, 8}},
		{"case kept", []any{"normalizer.lowercase", false}, "É e", []int32{7, 5}},
		{"case kept, accents not", []any{"normalizer.lowercase", false, "normalizer.strip_accents", true}, "É", []int32{4}},
		{"accents kept, case not", []any{"normalizer.strip_accents", false}, "É İ", []int32{6, 9, 10}},
		{"one part is unknown, so all is", nil, "eabz e", []int32{1, 5}},
		{"no unknown token", []any{"unknown_token_id", int32(-1)}, "z e", []int32{5}},
	} {
		if got := build(t, set(kvs, c.set...)).Encode(nil, c.text, Options{}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := build(t, kvs).Encode(nil, "e", Options{BOS: true}); !slices.Equal(got, []int32{2, 5, 3}) {
		t.Errorf("around a text: %v", got)
	}
	off := build(t, set(kvs, "add_bos_token", false, "add_sep_token", false))
	if got := off.Encode(nil, "e", Options{BOS: true}); !slices.Equal(got, []int32{5}) {
		t.Errorf("around a text, switched off: %v", got)
	}
}

func TestHostileKinds(t *testing.T) {
	var cases []unigramCase
	fixture(t, "unigram.json", &cases)
	good := cases[0].kvs()
	scores := slices.Clone(cases[0].Scores)
	scores[7] = float32(math.Inf(-1))
	header := func(n uint32, more ...byte) []byte { return append(binary.LittleEndian.AppendUint32(nil, n), more...) }
	for _, c := range []struct {
		name string
		kvs  []modeltest.KV
		want string
	}{
		{"score", set(good, "scores", scores), "score of token 7"},
		{"charsmap of 3 bytes", set(good, "precompiled_charsmap", []byte{1, 2, 3}), "3 bytes, too few"},
		{"charsmap too long", set(good, "precompiled_charsmap", header(1<<31, 0, 0, 0, 0, 0)), "2147483648 bytes, but 5 follow"},
		{"charsmap odd", set(good, "precompiled_charsmap", header(3, 0, 0, 0, 0)), "3 bytes"},
		{"charsmap without texts", set(good, "precompiled_charsmap", header(4, 0, 0, 0, 0)), "zero byte"},
		{"charsmap without end", set(good, "precompiled_charsmap", header(4, 0, 0, 0, 0, 'x')), "zero byte"},
		{"two spellings", set(tinyWPM("▁a", " a"), "unknown_token_id", nil), ""},
		{"sep out of range", set(tinyWPM("a"), "seperator_token_id", uint32(9)), "seperator_token_id is 9"},
		{"sep missing", set(tinyWPM("a"), "add_sep_token", true, "seperator_token_id", int32(-1)), "add_sep_token is set"},
	} {
		tok, err := FromGGUF(parse(t, c.kvs))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || tok != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	// A map whose units point anywhere changes nothing and reads nothing outside.
	wild := header(4*300, slices.Repeat([]byte{0xFF, 0x01, 0xFF, 0x7F}, 300)...)
	tok := build(t, set(good, "precompiled_charsmap", append(wild, 'x', 0)))
	for _, text := range cases[0].Texts {
		tok.Encode(nil, text, Options{})
	}
}

// TestOverride names the rule of a file that has none, or one that is not known.
func TestOverride(t *testing.T) {
	v := tinyBPE()
	f := parse(t, v.kvs("tekken-99"))
	if _, err := FromGGUF(f); err == nil || !strings.Contains(err.Error(), "tekken-99") || !strings.Contains(err.Error(), "model.tokenizer_pre") {
		t.Errorf("unknown: %v", err)
	}
	if tok, err := FromGGUFAs(f, "tekken"); err != nil || tok.Warning() != "" || !tok.rule.ignoreMerges {
		t.Errorf("named: %v", err)
	}
	if _, err := FromGGUFAs(parse(t, v.kvs("gpt-2")), "nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("named wrongly: %v", err)
	}
	if tok, err := FromGGUFAs(parse(t, tinySPM("a").spm()), "gpt-2"); err != nil || tok.kind != spm {
		t.Errorf("a kind without rules: %v", err)
	}
}

// TestRuleNames has the names that files use.
func TestRuleNames(t *testing.T) {
	for _, pre := range strings.Fields(`llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral lfm2 qwen2 deepseek-r1-qwen megrez stablelm2 hunyuan qwen35 smollm
		refact starcoder command-r codeshell exaone gpt-2 phi-2 mpt olmo jais exaone4 mellum modern-bert roberta-bpe gpt-4o llama4 kanana2 tekken gemma4
		deepseek-llm deepseek-coder deepseek-v3 falcon glm4 chatglm-bpe minicpm5 midm-2.0 jina-v5-nano dbrx smaug-bpe jais-2 kormo f2llmv2 solar-open grok-2
		bailingmoe bailingmoe2 llada-moe laguna seed-coder ufakzeka exaone-moe minerva-7b mellum2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0
		trillion granite-docling jina-v1-en jina-v2-code talkie minimax-m2 granite-embed-multi-97m granite-embed-multi-311m tiny_aya cohere2moe
		hunyuan-dense joyai-llm hy_v4 bloom poro-chat gpt3-finnish viking sarvam-moe`) {
		r, warning, err := ruleFor(pre)
		if err != nil || warning != "" || len(r.stages) == 0 {
			t.Errorf("%s: %v, %s", pre, err, warning)
		}
		whole := strings.Contains(" llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral lfm2 midm-2.0 jina-v5-nano tekken glm4 chatglm-bpe minicpm5 granite-embed-multi-97m ", " "+pre+" ")
		if r.ignoreMerges != whole {
			t.Errorf("%s: ignoreMerges is %v", pre, r.ignoreMerges)
		}
	}
}

func TestSuppressed(t *testing.T) {
	kvs := set(tinyBPE().kvs("gpt-2"), "suppress_tokens", []int32{5, -1, 300, 7})
	if got := build(t, kvs).Suppressed(); !slices.Equal(got, []int32{5, 7}) {
		t.Errorf("%v", got)
	}
}

// TestSeparator: the vocabularies of RoBERTa end a text with one token, not two.
func TestSeparator(t *testing.T) {
	v := tinyBPE()
	v.add("<s>", 3, 0)
	v.add("</s>", 3, 0)
	kvs := set(v.kvs("roberta-bpe"), "bos_token_id", uint32(256), "eos_token_id", uint32(257), "seperator_token_id", uint32(257), "add_bos_token", true)
	for _, more := range [][]any{nil, {"add_eos_token", true}} {
		got := build(t, set(kvs, more...)).Encode(nil, "a", Options{BOS: true})
		if len(got) != 3 || got[0] != 256 || got[2] != 257 {
			t.Errorf("%v: %v", more, got)
		}
	}
}

// FuzzUnigram: no map, no scores and no text make it fail, and its tokens are in range.
func FuzzUnigram(f *testing.F) {
	var cases []unigramCase
	fixture(f, "unigram.json", &cases)
	for _, c := range cases {
		f.Add(c.Charsmap, c.Texts[0], true, false)
		f.Add(c.Charsmap[:len(c.Charsmap)/2], c.Texts[1], false, true)
	}
	f.Add([]byte{4, 0, 0, 0, 255, 1, 255, 127, 0}, "ab\xff\u2581 c", true, true)
	f.Fuzz(func(t *testing.T, charsmap []byte, text string, prefix, merge bool) {
		kvs := set(cases[0].kvs(), "precompiled_charsmap", charsmap, "add_space_prefix", prefix, "remove_extra_whitespaces", merge)
		tok, err := FromGGUF(parse(t, kvs))
		if err != nil {
			return
		}
		for _, id := range tok.EncodePieces(nil, []Piece{{text, false}}, true) {
			if !tok.has(id) || tok.IsControl(id) {
				t.Fatalf("%+q gives token %d", text, id)
			}
		}
	})
}
