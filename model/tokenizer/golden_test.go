package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"siskin/model/gguf"
	"siskin/model/goldentest"
)

// load builds the tokenizer of a file.
func load(t testing.TB, path string) *Tokenizer {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := FromGGUF(f)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// vocabulary builds the tokenizer of a reference vocabulary.
func vocabulary(t testing.TB, kind string) *Tokenizer {
	t.Helper()
	return load(t, goldentest.Path(t, "tokenizers", "ggml-vocab-"+kind+".gguf"))
}

// kinds are the reference vocabularies of the kinds that this package has.
var kinds = []string{"bert-bge", "deepseek-llm", "falcon", "gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2", "starcoder"}

// suite reads the strings and ids that belong to a reference vocabulary. The ids were made without special tokens around.
func suite(t testing.TB, kind string) (texts []string, ids [][]int32) {
	t.Helper()
	path := goldentest.Path(t, "tokenizers", "ggml-vocab-"+kind+".gguf.inp")
	in, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(strings.TrimSuffix(path, ".inp") + ".out")
	if err != nil {
		t.Fatal(err)
	}
	texts = strings.Split(string(in), "\n__ggml_vocab_test__\n")
	texts = texts[:len(texts)-1] // the separator ends each of them
	for line := range strings.Lines(string(out)) {
		var row []int32
		for _, f := range strings.Fields(line) {
			n, err := strconv.ParseInt(f, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			row = append(row, int32(n))
		}
		ids = append(ids, row)
	}
	if len(texts) != len(ids) || len(texts) < 40 {
		t.Fatalf("%s: %d texts, %d lines of ids", filepath.Base(path), len(texts), len(ids))
	}
	return texts, ids
}

func TestGoldenVocabularies(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			tok := vocabulary(t, kind)
			texts, want := suite(t, kind)
			for i, text := range texts {
				got := tok.Encode(nil, text, Options{})
				if !slices.Equal(got, want[i]) {
					t.Errorf("%q:\n got %v\nwant %v", text, got, want[i])
				}
				if back := tok.Decode(got); back != text && tok.kind != wpm { // which keeps neither case nor white space
					t.Errorf("%q comes back as %q", text, back)
				}
			}
			t.Logf("%d texts equal; %d tokens, state %d bytes", len(texts), tok.VocabSize(), tok.StateBytes())
		})
	}
}

func TestGoldenSmolLM(t *testing.T) {
	tok := load(t, goldentest.Model(t))
	var logits map[string]struct{ Tokens []int32 }
	goldentest.JSON(t, &logits, "smollm2-135m-instruct-q4_1", "logits.json")
	for name, ref := range logits {
		text, err := os.ReadFile(goldentest.Path(t, "smollm2-135m-instruct-q4_1", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(nil, string(text), Options{BOS: true}); !slices.Equal(got, ref.Tokens) {
			t.Errorf("%s:\n got %v\nwant %v", name, got, ref.Tokens)
		}
	}
	var chats []struct {
		Prompt, Chat, Text string
		Tokens             []int32
		Greedy             []int32 `json:"reference_greedy"`
	}
	goldentest.JSON(t, &chats, "smollm2-135m-instruct-q4_1", "greedy.json")
	for _, c := range chats {
		if got := tok.Encode(nil, c.Chat, Options{Special: true, BOS: true}); !slices.Equal(got, c.Tokens) {
			t.Errorf("%q:\n got %v\nwant %v", c.Prompt, got, c.Tokens)
		}
		before, after, ok := strings.Cut(c.Chat, c.Prompt)
		if !ok {
			t.Fatalf("prompt %q is not in its chat", c.Prompt)
		}
		pieces := []Piece{{before, true}, {c.Prompt, false}, {after, true}}
		if got := tok.EncodePieces(nil, pieces, true); !slices.Equal(got, c.Tokens) {
			t.Errorf("%q in pieces:\n got %v\nwant %v", c.Prompt, got, c.Tokens)
		}
		got := tok.Decode(c.Greedy)
		if want := strings.ReplaceAll(c.Text, "<|im_end|>", ""); got != want {
			t.Errorf("%v decodes to %q, want %q", c.Greedy, got, want)
		}
	}
	if len(logits) == 0 || len(chats) == 0 {
		t.Fatalf("%d texts and %d chats to compare", len(logits), len(chats))
	}
}
