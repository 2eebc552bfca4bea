package modeltest

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"siskin/model/quant"
)

// Tiny is the shape of a random model of the architecture llama. Its vocabulary is the 256 bytes, one merged pair and the
// two control tokens of ChatML, so every text can be tokenised; what it answers is noise that depends on Seed alone.
type Tiny struct {
	Seed    uint64
	Type    quant.Type // of the matrices
	Layers  int
	Context int
}

// Shape of the tiny model: as small as the block formats allow.
const (
	tinyDim   = 64
	tinyHeads = 4
	tinyKV    = 2
	tinyFFN   = 96
	tinyVocab = 259
)

// Control tokens of the tiny model: the start and the end of a turn.
const (
	TinyStart = 257
	TinyEnd   = 258
)

// tinyTemplate is ChatML in one line.
const tinyTemplate = `{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

// KVs returns the metadata of the model.
func (m Tiny) KVs() []KV {
	return []KV{
		{"general.architecture", "llama"},
		{"general.name", "tiny"},
		{"llama.context_length", uint32(m.Context)},
		{"llama.embedding_length", uint32(tinyDim)},
		{"llama.block_count", uint32(m.Layers)},
		{"llama.feed_forward_length", uint32(tinyFFN)},
		{"llama.attention.head_count", uint32(tinyHeads)},
		{"llama.attention.head_count_kv", uint32(tinyKV)},
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"llama.rope.dimension_count", uint32(tinyDim / tinyHeads)},
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", "smollm"},
		{"tokenizer.ggml.tokens", byteTokens()},
		{"tokenizer.ggml.token_type", tokenTypes()},
		{"tokenizer.ggml.merges", []string{"t h"}},
		{"tokenizer.ggml.bos_token_id", uint32(TinyStart)},
		{"tokenizer.ggml.eos_token_id", uint32(TinyEnd)},
		{"tokenizer.chat_template", tinyTemplate},
	}
}

// byteTokens lists the characters that GPT-2's byte-level encoding writes for the bytes 0 to 255 (Radford et al. 2019,
// encoder.py, bytes_to_unicode), then a merged pair and the control tokens.
func byteTokens() []string {
	tokens := make([]string, 0, tinyVocab)
	next := rune(256)
	for b := range 256 {
		printable := b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae
		if printable {
			tokens = append(tokens, string(rune(b)))
			continue
		}
		tokens = append(tokens, string(next))
		next++
	}
	return append(tokens, "th", "<|im_start|>", "<|im_end|>")
}

func tokenTypes() []int32 {
	types := make([]int32, tinyVocab)
	for i := range types {
		types[i] = 1 // normal
	}
	types[TinyStart], types[TinyEnd] = 3, 3 // control
	return types
}

// Tensors returns the tensors of the model: seeded normal noise, small enough that activations stay near one.
func (m Tiny) Tensors() []TensorData {
	rng := rand.New(rand.NewPCG(m.Seed, 1))
	noise := func(t quant.Type, name string, mean, spread float64, dims ...int) TensorData {
		n := 1
		for _, d := range dims {
			n *= d
		}
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(mean + spread*rng.NormFloat64())
		}
		return TensorData{Name: name, Type: t, Dims: dims, Data: Encode(t, x)}
	}
	out := []TensorData{
		noise(m.Type, "token_embd.weight", 0, 1, tinyDim, tinyVocab),
		noise(quant.F32, "output_norm.weight", 1, 0.1, tinyDim),
	}
	kv := tinyDim / tinyHeads * tinyKV
	for i := range m.Layers {
		p := fmt.Sprintf("blk.%d.", i)
		out = append(out,
			noise(quant.F32, p+"attn_norm.weight", 1, 0.1, tinyDim),
			noise(m.Type, p+"attn_q.weight", 0, 0.2, tinyDim, tinyDim),
			noise(m.Type, p+"attn_k.weight", 0, 0.2, tinyDim, kv),
			noise(m.Type, p+"attn_v.weight", 0, 0.2, tinyDim, kv),
			noise(m.Type, p+"attn_output.weight", 0, 0.2, tinyDim, tinyDim),
			noise(quant.F32, p+"ffn_norm.weight", 1, 0.1, tinyDim),
			noise(m.Type, p+"ffn_gate.weight", 0, 0.2, tinyDim, tinyFFN),
			noise(m.Type, p+"ffn_up.weight", 0, 0.2, tinyDim, tinyFFN),
			noise(m.Type, p+"ffn_down.weight", 0, 0.2, tinyFFN, tinyDim),
		)
	}
	return out
}

// File returns the whole model file.
func (m Tiny) File() []byte { return Bytes(m.KVs(), m.Tensors()) }

// Bytes is WriteGGUF to memory, for values that it can write; others panic.
func Bytes(kvs []KV, tensors []TensorData) []byte {
	var b bytes.Buffer
	if err := WriteGGUF(&b, kvs, tensors); err != nil {
		panic("modeltest: " + err.Error())
	}
	return b.Bytes()
}
