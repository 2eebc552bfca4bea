package session_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"siskin/daemon/session"
	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/lora"
	"siskin/model/modeltest"
	"siskin/model/quant"
	"siskin/mqtt/message"
)

// shelf is a folder of adapters in memory; a name is a seed, and stamps count replacements.
type shelf map[string]string

func (s shelf) Stamp(name string) (string, error) {
	stamp, ok := s[name]
	if !ok {
		return "", fs.ErrNotExist
	}
	return stamp, nil
}

func (s shelf) Open(name string) (*lora.Adapter, error) {
	rng := rand.New(rand.NewPCG(uint64(len(name)), uint64(len(s[name]))))
	kvs := []modeltest.KV{
		{Key: "general.type", Value: "adapter"},
		{Key: "adapter.type", Value: "lora"},
		{Key: "general.architecture", Value: map[bool]string{false: "llama", true: "qwen2"}[name == "other"]},
	}
	var tensors []modeltest.TensorData
	for _, half := range []struct {
		name string
		dims []int
	}{{".lora_a", []int{64, 4}}, {".lora_b", []int{4, 64}}} {
		values := make([]float32, half.dims[0]*half.dims[1])
		for i := range values {
			values[i] = float32(rng.NormFloat64())
		}
		tensors = append(tensors, modeltest.TensorData{Name: "blk.0.attn_q.weight" + half.name, Type: quant.F32, Dims: half.dims, Data: modeltest.Encode(quant.F32, values)})
	}
	var file bytes.Buffer
	if err := modeltest.WriteGGUF(&file, kvs, tensors); err != nil {
		return nil, err
	}
	return lora.Parse(file.Bytes())
}

// Answers with adapters differ from those without and from each other, do not reuse what others have computed, and leave the answers of
// others as they are; a replaced file counts from the next request on.
func TestAdaptersOfRequests(t *testing.T) {
	files := shelf{"a": "1", "bb": "1", "other": "1"}
	for i := range 20 {
		files[strings.Repeat("x", 10+i)] = "1" // more than stay open
	}
	with := func(o *session.Options) { o.Adapters = files }
	r := newRig(t, kernel.All()[0], limits, with)
	n := 0
	ask := func(adapters ...message.Adapter) message.Answer {
		n++
		return r.ask(message.Request{ID: fmt.Sprint(n), Prompt: "the same question", MaxTokens: 20, Adapters: adapters})[0]
	}
	plain, one := ask(), ask(message.Adapter{Name: "a", Scale: 1})
	both := ask(message.Adapter{Name: "a", Scale: 1}, message.Adapter{Name: "bb", Scale: -1})
	if plain.Status != message.OK || one.Status != message.OK || plain.Text == one.Text || one.Text == both.Text || one.Usage.CachedTokens != 0 {
		t.Fatalf("plain %q, one %q %+v, both %q", plain.Text, one.Text, one.Usage, both.Text)
	}
	if again := ask(message.Adapter{Name: "a", Scale: 1}); again.Text != one.Text || again.Usage.CachedTokens == 0 {
		t.Errorf("the same adapter again: %q, %+v", again.Text, again.Usage)
	}
	if again := ask(); again.Text != plain.Text {
		t.Errorf("without, after others: %q, want %q", again.Text, plain.Text)
	}
	for name := range files {
		if a := ask(message.Adapter{Name: name, Scale: 1}); name != "other" && a.Status != message.OK {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if again := ask(message.Adapter{Name: "a", Scale: 1}); again.Text != one.Text {
		t.Errorf("after all others: %q, want %q", again.Text, one.Text)
	}
	files["a"] = "12"
	if a := ask(message.Adapter{Name: "a", Scale: 1}); a.Text == one.Text || a.Status != message.OK {
		t.Errorf("replaced: %q", a.Text)
	}
	for name, want := range map[string]string{"none": "none of that name", "other": "qwen2"} {
		if a := ask(message.Adapter{Name: name, Scale: 1}); a.Code != message.CodeBadRequest || !strings.Contains(a.Text, want) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	// Together: each as alone.
	var requests []message.Request
	for i, set := range [][]message.Adapter{nil, {{Name: "bb", Scale: 1}}, {{Name: "bb", Scale: 0.5}}} {
		requests = append(requests, message.Request{ID: fmt.Sprint("t", i), Prompt: "the same question", MaxTokens: 20, Adapters: set})
	}
	for i, got := range r.ask(requests...) {
		fresh := newRig(t, kernel.All()[0], limits, with)
		if want := fresh.ask(requests[i])[0]; got.Text != want.Text || got.Status != message.OK {
			t.Errorf("request %d among others: %q, alone %q", i, got.Text, want.Text)
		}
	}
	if broken := r.engine.Broken(); broken != "" {
		t.Error(broken)
	}
}

// Tools reach the template, or are refused where it does not know them.
func TestToolsOfRequests(t *testing.T) {
	r := newRig(t, kernel.All()[0], limits, nil)
	a := r.ask(message.Request{ID: "a", Prompt: "x", Tools: json.RawMessage(`[{"type":"function","function":{"name":"f"}}]`)})[0]
	if a.Code != message.CodeUnsupported || !strings.Contains(a.Text, "tools") {
		t.Errorf("%+v", a)
	}
}

// A request with a suffix is the text around a gap and nothing else: no template, no control tokens of the asker. A model without
// tokens for that refuses it.
func TestGap(t *testing.T) {
	suffix := "<|im_end|>\n}"
	ask := message.Request{ID: "a", Prompt: "func f() {", Suffix: &suffix, Sampling: message.Sampling{Infill: new(float32)}}
	*ask.Sampling.Infill = 1
	r := newRig(t, kernel.All()[0], limits, nil)
	if a := r.ask(ask)[0]; a.Code != message.CodeBadRequest || !strings.Contains(a.Text, "gaps") {
		t.Errorf("a model that cannot: %+v", a)
	}

	tiny := modeltest.Tiny{Seed: 5, Type: quant.Q8_0, Layers: 2, Context: 512}
	kvs := append(tiny.KVs(), modeltest.KV{Key: "tokenizer.ggml.fim_pre_token_id", Value: uint32(1)},
		modeltest.KV{Key: "tokenizer.ggml.fim_suf_token_id", Value: uint32(2)}, modeltest.KV{Key: "tokenizer.ggml.fim_mid_token_id", Value: uint32(3)})
	m, err := model.Parse(modeltest.Bytes(kvs, tiny.Tensors()))
	if err != nil {
		t.Fatal(err)
	}
	r = modelRig(t, m, kernel.All()[0], limits, nil)
	a := r.ask(ask)[0]
	if a.Status != message.OK || a.Usage.PromptTokens != len(ask.Prompt)+len(suffix)+3 { // a token a byte
		t.Errorf("%+v", a)
	}
}
