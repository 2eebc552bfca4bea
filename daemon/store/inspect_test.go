package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siskin/model/gguf"
	"siskin/model/goldentest"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

func TestInspectDefaultModel(t *testing.T) {
	info, err := Inspect(goldentest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.Architecture != "llama" || info.Layers != 30 || info.Embedding != 576 || info.Heads != 9 || info.KVHeads != 3 ||
		info.FeedForward != 1536 || info.ContextLength != 8192 || info.VocabSize != 49152 || info.Parameters != 134515008 ||
		info.Tokenizer != "gpt2" || info.TokenizerPre != "smollm" || !info.ChatTemplate || !info.Supported || info.Size != 98362432 {
		t.Errorf("%+v", info)
	}
	var share float64
	for _, f := range info.Formats {
		share += f.Share
	}
	if len(info.Formats) < 2 || info.Formats[0].Type != "Q4_1" || share < 0.999 || share > 1.001 {
		t.Errorf("formats %+v", info.Formats)
	}
}

func TestInspectGolden(t *testing.T) {
	for _, c := range []struct {
		file      string
		supported bool
		reason    string
	}{
		{"archs/llama.gguf", true, ""},
		{"archs/llama-q4_0.gguf", true, ""},
		{"archs/llama-q8_0.gguf", true, ""},
		{"archs/llama-rope3.gguf", true, ""},
		{"archs/llama-q4_k_m.gguf", true, ""},
		{"archs/llama-iq4_xs.gguf", true, ""},
		{"archs/qwen3.gguf", true, ""},
		{"archs/llama-lora.gguf", false, "siskin adapter add"},
		{"tokenizers/ggml-vocab-llama-bpe.gguf", false, "only a vocabulary"},
		{"archs/lfm2.gguf", true, ""},
		{"archs/bert.gguf", true, ""},
	} {
		info, err := Inspect(goldentest.Path(t, c.file))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if info.Supported != c.supported || !strings.Contains(info.Reason, c.reason) || (info.Reason == "") != c.supported {
			t.Errorf("%s: supported %v, reason %q", c.file, info.Supported, info.Reason)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.gguf")
	if err := os.WriteFile(bad, []byte("GGUF\x03\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(bad); !errors.Is(err, ErrNotModel) || !strings.HasPrefix(err.Error(), bad+": ") {
		t.Errorf("damaged: %v", err)
	}
	if _, err := Inspect(filepath.Join(dir, "none.gguf")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none.gguf: does not exist") {
		t.Errorf("absent: %v", err)
	}
}

// TestInspectOddValues: keys of a wrong kind give a reason, not nonsense.
func TestInspectOddValues(t *testing.T) {
	var b bytes.Buffer
	err := modeltest.WriteGGUF(&b, []modeltest.KV{
		{Key: "general.architecture", Value: "llama"},
		{Key: "general.name", Value: uint32(5)},
		{Key: "llama.block_count", Value: "thirty"},
		{Key: "llama.attention.head_count", Value: []int32{4, 8, 0}},
		{Key: "llama.vocab_size", Value: uint32(77)},
	}, []modeltest.TensorData{{Name: "w", Type: quant.F32, Dims: []int{4}, Data: make([]byte, 16)}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "odd.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Supported || !strings.Contains(info.Reason, `"llama.block_count" is string`) || info.Heads != 8 || info.KVHeads != 8 || info.VocabSize != 77 {
		t.Errorf("%+v", info)
	}
	text, err := json.Marshal(info)
	if err != nil || !strings.Contains(string(text), `"parameters":4,`) {
		t.Errorf("%s %v", text, err)
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	data := modelFile(t, 10, 30)
	for name, b := range map[string][]byte{
		"b.gguf": data, "a.GGUF": data, "bad.gguf": []byte("nonsense"), "c.gguf.part": data[:100], "c.gguf.part.json": []byte(`{"size":5000,"synced":100}`),
		"notes.txt": []byte("x"), "d.gguf.part": nil, "b.gguf.sha256": []byte(sumOf(data) + "  b.gguf\n"), "a.GGUF.sha256": []byte("junk"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub.gguf"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling.gguf")); err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(dir, "b.gguf.sha256"), soon, soon); err != nil {
		t.Fatal(err)
	}
	entries, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "a.GGUF b.gguf bad.gguf c.gguf d.gguf" {
		t.Fatalf("names %s", got)
	}
	if e := entries[1]; e.Info == nil || e.Info.SHA256 != sumOf(data) || e.Error != "" {
		t.Errorf("b: %+v", e)
	}
	if e := entries[0]; e.Info == nil || e.Info.SHA256 != "" {
		t.Errorf("a has a sum out of junk: %+v", e)
	}
	if e := entries[2]; e.Info != nil || !strings.Contains(e.Error, "not a GGUF file") {
		t.Errorf("bad: %+v", e)
	}
	if entries[3].Total != 5000 || entries[3].Size != 100 || entries[4].Total != -1 {
		t.Errorf("unfinished: %+v", entries[3:])
	}
	// A sum older than the file is of another file.
	if err := os.Chtimes(filepath.Join(dir, "b.gguf.sha256"), time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if info, err := Inspect(filepath.Join(dir, "b.gguf")); err != nil || info.SHA256 != "" {
		t.Errorf("stale sum: %+v %v", info.SHA256, err)
	}
	if entries, err := List(filepath.Join(dir, "none")); err != nil || len(entries) != 0 {
		t.Errorf("absent folder: %v %v", entries, err)
	}
	if _, err := List(filepath.Join(dir, "b.gguf")); err == nil {
		t.Error("a file was listed as a folder")
	}
}

// TestCutWhileRead: a model that another process cuts under us gives an error instead of ending the process.
func TestCutWhileRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, modelFile(t, 100, 31), 0o600); err != nil {
		t.Fatal(err)
	}
	err := withModel(path, func(_ []byte, f *gguf.File) error {
		if err := os.Truncate(path, 10); err != nil {
			return err
		}
		w, _ := f.Tensor("w")
		if w.Data[len(w.Data)-1] > 0 {
			return errors.New("read beyond the end of a file")
		}
		return errors.New("read zeros beyond the end of a file")
	})
	if !errors.Is(err, ErrNotModel) || !strings.Contains(err.Error(), "became shorter") {
		t.Errorf("error %v", err)
	}
	// Other panics are not hidden.
	if err := os.WriteFile(path, modelFile(t, 1, 31), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() != "other" {
			t.Error("a panic of another kind was swallowed")
		}
	}()
	_ = withModel(path, func([]byte, *gguf.File) error { panic("other") })
}
