package model_test

import (
	"math"
	"strings"
	"testing"

	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

var tiny = modeltest.Tiny{Seed: 7, Type: quant.Q8_0, Layers: 2, Context: 128}

// with returns the metadata with one key replaced, added, or, for nil, removed.
func with(key string, value any) []modeltest.KV {
	var out []modeltest.KV
	found := false
	for _, kv := range tiny.KVs() {
		if kv.Key == key {
			found = true
			if value == nil {
				continue
			}
			kv.Value = value
		}
		out = append(out, kv)
	}
	if !found {
		out = append(out, modeltest.KV{Key: key, Value: value})
	}
	return out
}

// Every file that contradicts itself is refused with an error that names the key or tensor.
func TestBadMetadata(t *testing.T) {
	for _, c := range []struct {
		key   string
		value any
		want  string // in the error
	}{
		{"general.architecture", nil, "general.architecture"},
		{"general.architecture", uint32(3), "general.architecture"},
		{"general.architecture", "mystery", "mystery"},
		{"llama.context_length", nil, "llama.context_length"},
		{"llama.context_length", uint32(0), "llama.context_length"},
		{"llama.context_length", uint64(1) << 60, "llama.context_length"},
		{"llama.embedding_length", uint32(0), "embedding_length"},
		{"llama.embedding_length", uint32(128), "token_embd.weight"},
		{"llama.embedding_length", int32(-64), "embedding_length"},
		{"llama.embedding_length", "64", "embedding_length"},
		{"llama.block_count", uint32(513), "block_count"},
		{"llama.block_count", uint32(3), "blk.2."},
		{"llama.block_count", uint32(1), "blk.1."},
		{"llama.feed_forward_length", uint32(97), "ffn_gate"},
		{"llama.attention.head_count", uint32(0), "head_count"},
		{"llama.attention.head_count", uint32(5), "key-value heads"},
		{"llama.attention.head_count_kv", uint32(3), "key-value heads"},
		{"llama.attention.head_count_kv", uint32(1), "attn_k"},
		{"llama.attention.layer_norm_rms_epsilon", nil, "epsilon"},
		{"llama.attention.layer_norm_rms_epsilon", float32(math.NaN()), "epsilon"},
		{"llama.attention.key_length", uint32(8), "rope.dimension_count"},
		{"llama.attention.value_length", uint32(8), "value_length"},
		{"llama.rope.dimension_count", uint32(7), "rope.dimension_count"},
		{"llama.rope.dimension_count", uint32(18), "rope.dimension_count"},
		{"llama.rope.freq_base", float32(0), "freq_base"},
		{"llama.rope.freq_base", float32(math.Inf(1)), "freq_base"},
		{"llama.rope.scaling.type", "wavy", "wavy"},
		{"llama.rope.scaling.original_context_length", uint32(0), "original_context_length"},
		{"llama.rope.scale_linear", float32(0), "scaling"},
		{"llama.attention.head_count", []uint32{4}, ""},
		{"llama.attention.head_count", []uint32{4, 0}, "query heads"},
		{"llama.attention.head_count", []uint32{4, 1 << 20}, "head_count"},
		{"llama.attention.head_count_kv", []uint32{2}, ""},
		{"llama.attention.head_count_kv", []uint32{}, "head_count_kv"},
		{"llama.feed_forward_length", []uint32{96, 0}, "feed_forward_length"},
		{"llama.attention.sliding_window", uint64(1) << 40, "sliding_window"},
		{"llama.attention.sliding_window_pattern", []bool{true}, ""},
		{"llama.attention.causal", false, "causal"},
		{"llama.attention.clamp_kqv", float32(8), "clamp_kqv"},
		{"llama.attention.max_alibi_bias", float32(8), "max_alibi_bias"},
		{"llama.final_logit_softcapping", float32(30), "final_logit_softcapping"},
		{"llama.embedding_length_per_layer_input", uint32(256), "embedding_length_per_layer_input"},
		{"llama.use_parallel_residual", true, "use_parallel_residual"},
		{"llama.expert_count", uint32(8), "expert"},
	} {
		_, err := model.Parse(modeltest.Bytes(with(c.key, c.value), tiny.Tensors()))
		if c.want == "" && err == nil {
			continue // harmless
		}
		if err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: error %v, want one that names %q", c.key, c.value, err, c.want)
		}
	}
}

func TestBadTensors(t *testing.T) {
	for name, change := range map[string]func(ts []modeltest.TensorData) []modeltest.TensorData{
		"token_embd.weight":        func(ts []modeltest.TensorData) []modeltest.TensorData { return ts[1:] },
		"output_norm.weight":       func(ts []modeltest.TensorData) []modeltest.TensorData { return append(ts[:1], ts[2:]...) },
		"blk.0.attn_q.weight":      func(ts []modeltest.TensorData) []modeltest.TensorData { ts[3].Dims = []int{32, 128}; return ts },
		"blk.0.attn_norm.weight":   func(ts []modeltest.TensorData) []modeltest.TensorData { ts[2].Dims = []int{32, 2}; return ts },
		"blk.0.attn_output.weight": func(ts []modeltest.TensorData) []modeltest.TensorData { ts[6].Dims = []int{64, 64, 1, 1}; return ts },
		"mystery.weight": func(ts []modeltest.TensorData) []modeltest.TensorData {
			return append(ts, modeltest.TensorData{Name: "mystery.weight", Type: quant.F32, Dims: []int{1}, Data: make([]byte, 4)})
		},
		"rope_freqs.weight": func(ts []modeltest.TensorData) []modeltest.TensorData {
			return append(ts, modeltest.TensorData{Name: "rope_freqs.weight", Type: quant.F32, Dims: []int{8}, Data: make([]byte, 32)})
		},
	} {
		_, err := model.Parse(modeltest.Bytes(tiny.KVs(), change(tiny.Tensors())))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s changed: error %v, want one that names it", name, err)
		}
	}
}

// A format without a kernel is named together with the first tensor that has it, before anything runs.
func TestUnsupportedFormat(t *testing.T) {
	ts := tiny.Tensors()
	for i := range ts {
		if ts[i].Name == "blk.0.ffn_down.weight" {
			rowBytes := 96 * 4
			ts[i].Type, ts[i].Data = quant.I32, make([]byte, 64*rowBytes)
		}
	}
	m, err := model.Parse(modeltest.Bytes(tiny.KVs(), ts))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range kernel.All() {
		if err := m.Check(set); err == nil || !strings.Contains(err.Error(), "blk.0.ffn_down.weight") {
			t.Errorf("%s: error %v, want one that names the tensor", set.Name, err)
		}
	}
}

func TestTinyModelRuns(t *testing.T) {
	for _, typ := range []quant.Type{quant.F32, quant.F16, quant.BF16, quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q5_1, quant.Q8_0} {
		shape := tiny
		shape.Type = typ
		m, err := model.Parse(shape.File())
		if err != nil {
			t.Fatal(err)
		}
		ref := run(t, newState(t, m, kernel.Generic(), tinyLimits), 0, byteTokens, 20)
		for _, set := range kernel.All() {
			got := run(t, newState(t, m, set, tinyLimits), 0, byteTokens, 20)
			limit := 1e-5
			if set.MatMulListed[typ] != nil {
				limit = 1e-3 // small blocks of the second plane are left out
			}
			if nmse := nmseOf(got, ref); !(nmse <= limit) {
				t.Errorf("%v, %s: NMSE %.2e against the plain Go set, want at most %g", typ, set.Name, nmse, limit)
			}
		}
	}
}

func nmseOf(got, want [][]float32) float64 {
	var diff, square float64
	for i := range want {
		for j, w := range want[i] {
			diff += float64(got[i][j]-w) * float64(got[i][j]-w)
			square += float64(w) * float64(w)
		}
	}
	return diff / square
}

// Damaged bytes anywhere in the header are refused or harmless, never a crash.
func FuzzParse(f *testing.F) {
	f.Add(tiny.File())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := model.Parse(data)
		if err != nil {
			return
		}
		if m.Config.Dim < 1 || m.WeightBytes() < 1 {
			t.Fatalf("accepted a model of no size: %+v", m.Config)
		}
	})
}

var byteTokens = []int32{84, 104, 105, 115, 32, 105, 115, 32, 97, 257, 0, 255, 128, 33, 258, 1, 2, 3, 256, 10}
