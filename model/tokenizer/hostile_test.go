package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"siskin/model/gguf"
	"siskin/model/modeltest"
)

// parse makes a file of the metadata and reads it back.
func parse(t testing.TB, kvs []modeltest.KV) *gguf.File {
	t.Helper()
	var b bytes.Buffer
	if err := modeltest.WriteGGUF(&b, kvs, nil); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// build makes a tokenizer of the metadata.
func build(t testing.TB, kvs []modeltest.KV) *Tokenizer {
	t.Helper()
	tok, err := FromGGUF(parse(t, kvs))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// set returns kvs with the values of keys replaced or added; nil takes a key away.
func set(kvs []modeltest.KV, pairs ...any) []modeltest.KV {
	kvs = slices.Clone(kvs)
	for i := 0; i < len(pairs); i += 2 {
		key := "tokenizer.ggml." + pairs[i].(string)
		kvs = slices.DeleteFunc(kvs, func(kv modeltest.KV) bool { return kv.Key == key })
		if pairs[i+1] != nil {
			kvs = append(kvs, modeltest.KV{Key: key, Value: pairs[i+1]})
		}
	}
	return kvs
}

// tiny vocabularies: ids 0..255 are the bytes, then come what the test adds.
type tiny struct {
	tokens []string
	types  []int32
	scores []float32
	merges []string
}

func (v *tiny) add(text string, typ int32, score float32) {
	v.tokens, v.types, v.scores = append(v.tokens, text), append(v.types, typ), append(v.scores, score)
}

// tinyBPE is a byte-level BPE vocabulary; words are joined from the left.
func tinyBPE(words ...string) *tiny {
	v := new(tiny)
	a := newAlphabet()
	for b := range 256 {
		v.add(string(a.runes[b]), 1, 0)
	}
	for _, w := range words {
		runes := []rune(w)
		for i := 2; i <= len(runes); i++ {
			if part := string(runes[:i]); !slices.Contains(v.tokens, part) {
				v.add(part, 1, 0)
				v.merges = append(v.merges, string(runes[:i-1])+" "+string(runes[i-1:i]))
			}
		}
	}
	return v
}

func (v *tiny) kvs(pre string) []modeltest.KV {
	return []modeltest.KV{
		{Key: keyModel, Value: "gpt2"},
		{Key: keyPre, Value: pre},
		{Key: keyTokens, Value: v.tokens},
		{Key: keyTypes, Value: v.types},
		{Key: keyMerges, Value: v.merges},
	}
}

// tinySPM is a SentencePiece vocabulary: <unk>, <s>, </s>, the bytes, then words with scores that fall.
func tinySPM(words ...string) *tiny {
	v := new(tiny)
	v.add("<unk>", 2, 0)
	v.add("<s>", 3, 0)
	v.add("</s>", 3, 0)
	for b := range 256 {
		v.add(fmt.Sprintf("<0x%02X>", b), 6, 0)
	}
	for i, w := range words {
		v.add(w, 1, -float32(i))
	}
	return v
}

func (v *tiny) spm() []modeltest.KV {
	return []modeltest.KV{
		{Key: keyModel, Value: "llama"}, {Key: keyTokens, Value: v.tokens}, {Key: keyTypes, Value: v.types}, {Key: keyScores, Value: v.scores},
	}
}

func TestHostileVocabularies(t *testing.T) {
	bpe := tinyBPE("the", "Ġthe").kvs("gpt-2")
	spm := tinySPM("▁", "a", "b", "ab").spm()
	n := len(tinyBPE("the", "Ġthe").tokens)
	byteToken := func(text string) []modeltest.KV {
		v := tinySPM("a")
		v.add(text, 6, 0)
		return v.spm()
	}
	for _, c := range []struct {
		name string
		kvs  []modeltest.KV
		is   error  // ErrVocabulary unless given
		want string // in the message
	}{
		{"no model", set(bpe, "model", nil), ErrUnsupported, "tokenizer.ggml.model"},
		{"kind rwkv", set(bpe, "model", "rwkv"), ErrUnsupported, `kind "rwkv"`},
		{"long kind", set(bpe, "model", strings.Repeat("x", 5000)), ErrUnsupported, "xxx…"},
		{"unknown pre", set(bpe, "pre", "tekken-99"), ErrUnsupported, `pre-tokenizer "tekken-99"`},
		{"no tokens", set(bpe, "tokens", nil), nil, "no tokens"},
		{"zero tokens", set(bpe, "tokens", []string{}, "token_type", []int32{}), nil, "no tokens"},
		{"too many tokens", set(bpe, "tokens", manyTokens(maxTokens+1), "token_type", nil), nil, "the most that siskin takes is 1048575"},
		{"duplicate", set(bpe, "tokens", append(tinyBPE().tokens, "a"), "token_type", nil, "merges", []string{}), nil, `tokens 97 and 256 are both "a"`},
		{"duplicate special", set(bpe, "tokens", append(tinyBPE().tokens, "[x]", "[x]"), "token_type", nil, "merges", []string{}), nil, "are both"},
		{"types too short", set(bpe, "token_type", make([]int32, n-1)), nil, fmt.Sprintf("%d token types", n-1)},
		{"types too long", set(bpe, "token_type", make([]int32, n+1)), nil, fmt.Sprintf("for %d tokens", n)},
		{"type 7", set(bpe, "token_type", append(make([]int32, n-1), 7)), nil, fmt.Sprintf("token %d has type 7", n-1)},
		{"type -1", set(bpe, "token_type", append(make([]int32, n-1), -1)), nil, "has type -1"},
		{"scores too short", set(spm, "scores", []float32{1}), nil, "1 scores"},
		{"no scores", set(spm, "scores", nil), nil, "no scores"},
		{"score NaN", set(spm, "scores", append(make([]float32, 262), float32(math.NaN()))), nil, "score of token 262"},
		{"byte <0x-1>", byteToken("<0x-1>"), nil, `"<0x-1>"`},
		{"byte <0xZZ>", byteToken("<0xZZ>"), nil, `"<0xZZ>"`},
		{"byte <0x 1>", byteToken("<0x 1>"), nil, "token 260"},
		{"byte <0x100>", byteToken("<0x100>"), nil, "none of <0x00> to <0xFF>"},
		{"byte empty", byteToken(""), nil, "type byte"},
		{"no merges", set(bpe, "merges", nil), nil, "no merges"},
		{"too many merges", set(bpe, "merges", make([]string, maxMerges+1)), nil, "merges; the most"},
		{"merge without space", set(bpe, "merges", []string{"th"}), nil, `merge 0 is "th"`},
		{"empty merge", set(bpe, "merges", []string{"t h", ""}), nil, "merge 1"},
		{"merge of space", set(bpe, "merges", []string{" "}), nil, "merge 0"},
		{"merge with empty half", set(bpe, "merges", []string{"t "}), nil, `"" is not a token`},
		{"merge unknown left", set(bpe, "merges", []string{"xyz t"}), nil, `"xyz" is not a token`},
		{"merge unknown result", set(bpe, "merges", []string{"h t"}), nil, `"ht" is not a token`},
		{"bos out of range", set(bpe, "bos_token_id", uint32(n)), nil, fmt.Sprintf("bos_token_id is %d, but tokens are 0 to %d", n, n-1)},
		{"eos out of range", set(bpe, "eos_token_id", uint32(1)<<31), nil, "eos_token_id"},
		{"eot negative", set(bpe, "eot_token_id", int32(-7)), nil, "eot_token_id is -7"},
		{"unk out of range", set(spm, "unknown_token_id", uint64(1)<<40), nil, "unknown_token_id"},
		{"add bos without one", set(bpe, "add_bos_token", true), nil, "add_bos_token"},
		{"add eos without one", set(bpe, "add_eos_token", true), nil, "add_eos_token"},
		{"long special", set(bpe, "tokens", append(manyTokens(n-1), strings.Repeat("s", maxSpecial+1)), "token_type", append(make([]int32, n-1), 3), "merges", []string{}), nil, "4097 bytes"},
	} {
		tok, err := FromGGUF(parse(t, c.kvs))
		want := c.is
		if want == nil {
			want = ErrVocabulary
		}
		if err == nil || tok != nil || !errors.Is(err, want) || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 400 {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	wrong := set(bpe, "add_bos_token", "yes")
	var kind *gguf.Error
	if _, err := FromGGUF(parse(t, wrong)); !errors.As(err, &kind) || !strings.Contains(err.Error(), "add_bos_token") {
		t.Errorf("flag of the wrong kind: %v", err)
	}
	for _, key := range []string{"model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eot_token_id", "add_space_prefix"} {
		if _, err := FromGGUF(parse(t, set(bpe, key, 1.5))); !errors.As(err, &kind) {
			t.Errorf("%s of the wrong kind: %v", key, err)
		}
	}
}

func manyTokens(n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("t%d", i)
	}
	return s
}

// TestOddVocabularies are files that work all the same.
func TestOddVocabularies(t *testing.T) {
	bpe := tinyBPE("the", "Ġthe")
	empty := tinyBPE("the")
	empty.add("", 1, 0)
	empty.add("[x]", 3, 0)
	tok := build(t, empty.kvs("gpt-2"))
	// ids: 256 and 257 are th and the, 258 is empty, 259 is [x]
	if ids := tok.Encode(nil, "the [x]", Options{Special: true}); tok.Warning() == "" || len(tok.TokenBytes(258)) != 0 || !slices.Equal(ids, []int32{257, ' ', 259}) {
		t.Errorf("empty token: warning %q, tokens %v", tok.Warning(), ids)
	}
	for _, pre := range []any{nil, "default"} {
		if tok := build(t, set(bpe.kvs(""), "pre", pre)); !strings.Contains(tok.Warning(), "tokenizer.ggml.pre") {
			t.Errorf("pre %v: warning %q", pre, tok.Warning())
		}
	}
	if tok := build(t, bpe.kvs("gpt-2")); tok.Warning() != "" {
		t.Errorf("warning %q about a good file", tok.Warning())
	}
	// -1 as an unsigned number means none; the defaults of SentencePiece apply only where there are such tokens.
	if tok := build(t, set(bpe.kvs("gpt-2"), "bos_token_id", uint32(math.MaxUint32), "eos_token_id", int32(-1))); tok.bos != -1 || tok.eos != -1 {
		t.Errorf("bos %d, eos %d from -1", tok.bos, tok.eos)
	}
	one := []modeltest.KV{{Key: keyModel, Value: "llama"}, {Key: keyTokens, Value: []string{"a"}}, {Key: keyScores, Value: []float32{0}}}
	tok = build(t, one)
	if _, ok := tok.BOS(); ok || !slices.Equal(tok.Encode(nil, "bc", Options{BOS: true}), []int32{0, 0, 0}) || tok.IsEOG(0) {
		t.Errorf("a vocabulary of one, unknown token: bos %v, tokens %v", ok, tok.Encode(nil, "bc", Options{BOS: true}))
	}
	// No types: roles and byte tokens are known by id and name.
	spm := tinySPM("▁", "a")
	tok = build(t, set(spm.spm(), "token_type", nil))
	if got, want := tok.Encode(nil, "aé", Options{BOS: true}), []int32{1, 259, 260, 3 + 0xC3, 3 + 0xA9}; !slices.Equal(got, want) || tok.Decode(got) != "aé" {
		t.Errorf("without types: %v, want %v; %q", got, want, tok.Decode(got))
	}
	for _, id := range []int32{-1, 1 << 30, math.MaxInt32, math.MinInt32, int32(tok.VocabSize())} {
		if tok.TokenBytes(id) != nil || tok.IsControl(id) || tok.IsEOG(id) || tok.Decode([]int32{id}) != "" {
			t.Errorf("id %d is taken for a token", id)
		}
	}
	if score := scoreRank(float32(math.Copysign(0, -1))); score != scoreRank(0) {
		t.Error("-0 and 0 differ in rank")
	}
	order := []float32{float32(math.Inf(1)), math.MaxFloat32, 1, math.SmallestNonzeroFloat32, 0, -math.SmallestNonzeroFloat32, -1, -math.MaxFloat32, float32(math.Inf(-1))}
	for i := 1; i < len(order); i++ {
		if scoreRank(order[i-1]) >= scoreRank(order[i]) || scoreRank(order[i]) == noRank {
			t.Errorf("rank of %v is not below that of %v", order[i-1], order[i])
		}
	}
}
