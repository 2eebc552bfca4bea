package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestDecodeBytes spells bytes one token each, in every way of spreading them over calls.
func TestDecodeBytes(t *testing.T) {
	tok := build(t, tinyBPE().kvs("gpt-2"))
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"abc", "abc"},
		{"é", "é"},
		{"日本", "日本"},
		{"🙂x", "🙂x"},
		{"\x00", "\x00"},
		{"\xe2\x82", "\ufffd"},
		{"\xe2\x82A", "\ufffdA"},
		{"\xe2A", "\ufffdA"},
		{"\xf0\x9f\x99", "\ufffd"},
		{"\xf0\x9f\x99\xf0\x9f\x99\x82", "\ufffd🙂"},
		{"\xff", "\ufffd"},
		{"\xff\xfe", "\ufffd\ufffd"},
		{"\x80\x80", "\ufffd\ufffd"},
		{"\xc0\x80", "\ufffd\ufffd"},
		{"\xe0\x80\x80", "\ufffd\ufffd\ufffd"},
		{"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
		{"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
		{"a\xf1\x80\xc3\xa9", "a\ufffdé"},
		{"\xf0\x90", "\ufffd"},
		{"\ufffd", "\ufffd"},
		{"\xe2\xe2\x82\xac", "\ufffd€"},
	} {
		d := tok.NewDecoder()
		var got string
		for _, b := range []byte(c.in) {
			part := d.Add(tok.byteID[b])
			if !utf8.ValidString(part) {
				t.Errorf("% x: part %q is not UTF-8", c.in, part)
			}
			got += part
		}
		if got += d.Flush(); got != c.want {
			t.Errorf("% x gives %+q, want %+q", c.in, got, c.want)
		}
		if again := d.Add(tok.byteID['z']) + d.Flush(); again != "z" {
			t.Errorf("after Flush: %q", again)
		}
	}
}

// TestDecodeIsEarly: nothing is held back once the character is whole.
func TestDecodeIsEarly(t *testing.T) {
	tok := build(t, tinyBPE().kvs("gpt-2"))
	d := tok.NewDecoder()
	for i, b := range []byte("€a") {
		want := []string{"", "", "€", "a"}[i]
		if got := d.Add(tok.byteID[b]); got != want {
			t.Errorf("byte %d gives %q, want %q", i, got, want)
		}
	}
}

func TestDecodeSPM(t *testing.T) {
	tok := vocabulary(t, "llama-spm")
	bos, _ := tok.BOS()
	for _, c := range []struct {
		ids  []int32
		want string
	}{
		{[]int32{15043, 3186}, "Hello world"},
		{[]int32{bos, 15043, 3186, 2}, "Hello world"},
		{[]int32{29871, 15043}, " Hello"},           // a space of its own, then ▁Hello
		{[]int32{3 + 0xF0, 3 + 0x9F}, "\ufffd"},     // bytes
		{[]int32{0, 15043}, "Hello"},                // <unk>
		{[]int32{15043, bos, 15043}, "Hello Hello"}, // only the first space is dropped
		{nil, ""},
	} {
		if got := tok.Decode(c.ids); got != c.want {
			t.Errorf("%v decodes to %q, want %q", c.ids, got, c.want)
		}
	}
	data := set(tinySPM("▁", "▁a").spm(), "add_space_prefix", false)
	plain := build(t, data)
	if got := plain.Decode([]int32{260}); got != " a" {
		t.Errorf("without a space prefix: %q", got)
	}
	if got := plain.Encode(nil, " a", Options{}); !slices.Equal(got, []int32{260}) {
		t.Errorf("without a space prefix: %v", got)
	}
}

// TestDecodeRandomTokens: the joined parts are the text of the joined bytes, whatever tokens come.
func TestDecodeRandomTokens(t *testing.T) {
	for _, kind := range []string{"qwen2", "llama-spm"} {
		tok := vocabulary(t, kind)
		r := rand.New(rand.NewPCG(11, 11))
		for range 2000 {
			var raw []byte
			var got strings.Builder
			d := tok.NewDecoder()
			for range r.IntN(12) {
				id := int32(r.IntN(tok.VocabSize()))
				if r.IntN(2) == 0 {
					id = tok.byteID[r.IntN(256)]
				}
				part := d.Add(id)
				if !utf8.ValidString(part) {
					t.Fatalf("%s: token %d gives %q", kind, id, part)
				}
				got.WriteString(part)
				if !tok.IsControl(id) && tok.flags[id]&isUnknown == 0 {
					raw = append(raw, tok.TokenBytes(id)...)
				}
			}
			got.WriteString(d.Flush())
			if tok.spacePrefix {
				raw = []byte(strings.TrimPrefix(string(raw), " "))
			}
			if want := whatwg(raw); got.String() != want {
				t.Fatalf("%s: % x gives %+q, want %+q", kind, raw, got.String(), want)
			}
		}
	}
}

// whatwg decodes UTF-8 by the state machine of the WHATWG Encoding Standard, "UTF-8 decoder", written down step by step.
func whatwg(in []byte) string {
	var out []rune
	var code rune
	need, seen := 0, 0
	lower, upper := byte(0x80), byte(0xBF)
	reset := func() { code, need, seen, lower, upper = 0, 0, 0, 0x80, 0xBF }
	for i := 0; i < len(in); i++ {
		b := in[i]
		if need == 0 {
			switch {
			case b <= 0x7F:
				out = append(out, rune(b))
			case b >= 0xC2 && b <= 0xDF:
				need, code = 1, rune(b&0x1F)
			case b >= 0xE0 && b <= 0xEF:
				if b == 0xE0 {
					lower = 0xA0
				}
				if b == 0xED {
					upper = 0x9F
				}
				need, code = 2, rune(b&0xF)
			case b >= 0xF0 && b <= 0xF4:
				if b == 0xF0 {
					lower = 0x90
				}
				if b == 0xF4 {
					upper = 0x8F
				}
				need, code = 3, rune(b&0x7)
			default:
				out = append(out, utf8.RuneError)
			}
			continue
		}
		if b < lower || b > upper {
			reset()
			out = append(out, utf8.RuneError)
			i-- // restore the byte
			continue
		}
		lower, upper = 0x80, 0xBF
		code = code<<6 | rune(b&0x3F)
		if seen++; seen == need {
			out = append(out, code)
			reset()
		}
	}
	if need != 0 {
		out = append(out, utf8.RuneError)
	}
	return string(out)
}
