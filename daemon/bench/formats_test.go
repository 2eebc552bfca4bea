package bench

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"text/tabwriter"

	"siskin/daemon/store"
	"siskin/model"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// The aims for block formats other than the default model's.
const (
	aimRoofShare    = 0.75 // of the read bandwidth, at least, in decoding
	aimPrefillRatio = 1.3  // at most, of the time of a prefill to that of the fastest format
)

// formats are those that a model file may have all its matrices in, and where their blocks have binary16 numbers
// (ggml-common.h): the rest of a block may be any bytes.
var formats = []struct {
	t     quant.Type
	halfs []int
}{
	{quant.Q4_1, []int{0, 2}},
	{quant.Q4_0, []int{0}},
	{quant.Q5_0, []int{0}},
	{quant.Q5_1, []int{0, 2}},
	{quant.Q8_0, []int{0}},
	{quant.Q2_K, []int{80, 82}},
	{quant.Q3_K, []int{108}},
	{quant.Q4_K, []int{0, 2}},
	{quant.Q5_K, []int{0, 2}},
	{quant.Q6_K, []int{208}},
	{quant.IQ4_NL, []int{0}},
	{quant.IQ4_XS, []int{0}},
	{quant.F16, nil},
	{quant.BF16, nil},
	{quant.F32, nil},
}

// Shape of the models: rows that whole blocks of 256 divide, and so many weights that even 2 bits of each are several times a
// third-level cache of 32 MB, which would hand part of them out faster than the memory.
const (
	formatDim    = 1024
	formatHeads  = 16
	formatKV     = 4
	formatFFN    = 2816
	formatLayers = 24
	formatVocab  = 32000
)

// TestFormats measures a whole model in each block format, plain and packed, all in turn in one run, and prints them beside
// the aims. It takes minutes for each kernel set, so it runs only if SISKIN_BENCH_FORMATS names some: make bench-formats.
func TestFormats(t *testing.T) {
	names := os.Getenv("SISKIN_BENCH_FORMATS")
	if names == "" {
		t.Skip("SISKIN_BENCH_FORMATS is not set: make bench-formats measures")
	}
	var sets []*kernel.Set
	for name := range strings.SplitSeq(names, ",") {
		set, err := kernel.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
	}
	dir := t.TempDir()
	for _, f := range formats {
		if err := os.WriteFile(filepath.Join(dir, f.t.String()+".gguf"), formatModel(f.t, f.halfs), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 1)) // as the program does
	for _, set := range sets {
		t.Run(set.Name, func(t *testing.T) { measureFormats(t, dir, set) })
	}
}

func measureFormats(t *testing.T, dir string, set *kernel.Set) {
	pool := kernel.NewPool(runtime.NumCPU())
	defer pool.Close()
	var subjects []Subject
	add := func(path string, packed *store.Packed) {
		m, err := model.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
		s := Subject{Name: strings.TrimSuffix(filepath.Base(path), ".gguf"), Model: m, Set: set, Pool: pool}
		if packed != nil {
			source, err := m.Source()
			if err != nil {
				t.Fatal(err)
			}
			if err := m.UsePacked(packed.Path, &source, set); err != nil {
				t.Fatal(err)
			}
			s.Packed = true
		}
		subjects = append(subjects, s)
	}
	for _, f := range formats {
		path := filepath.Join(dir, f.t.String()+".gguf")
		add(path, nil)
		packed, err := store.Pack(t.Context(), path, set, store.PackOptions{})
		if err != nil {
			t.Logf("%v: only plain: %v", f.t, err)
			continue
		}
		add(path, &packed)
	}
	plan := Plan{Prompts: []int{512}, Depths: []int{0}, Tokens: 64, Rows: 64, Runs: 5, Roof: true, Progress: func(line string) { t.Log(line) }}
	results, err := Run(t.Context(), plan, subjects)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Print(formatTable(set, results))
}

// formatTable shows each format against the aims. A prefill is compared with the fastest of the same kind, plain or packed, by
// its share of the peak, which was measured beside it.
func formatTable(set *kernel.Set, results []Result) string {
	fastest := map[bool]float64{}
	packed := func(r *Result) bool { return field(r, "packed") == "true" }
	for i := range results {
		r := &results[i]
		fastest[packed(r)] = max(fastest[packed(r)], r.Number(prefillKey(512)))
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\tMB a token\tdecode tok/s\tof the roof\tprefill tok/s\tof the int8 peak\tfastest / this\tmissed\n", set.Name)
	for i := range results {
		r := &results[i]
		share, ratio := r.Number("decode_roof_share"), fastest[packed(r)]/r.Number(prefillKey(512))
		var missed []string
		if share < aimRoofShare {
			missed = append(missed, "decode")
		}
		if ratio > aimPrefillRatio {
			missed = append(missed, "prefill")
		}
		kind := map[bool]string{false: "plain", true: "packed"}[packed(r)]
		fmt.Fprintf(w, "%s %s\t%.1f\t%.0f\t%.0f %%\t%.0f\t%.0f %%\t%.2f\t%s\n", field(r, "model"), kind, r.Number("weight_bytes_per_token")/1e6,
			r.Number(decodeKey(0)), math.Floor(100*share), r.Number(prefillKey(512)), math.Floor(100*r.Number("prefill_peak_share")), ratio, cmp.Or(strings.Join(missed, ", "), "-"))
	}
	if err := w.Flush(); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return b.String()
}

// field returns the value of a key as text.
func field(r *Result, key string) string {
	for _, f := range r.Fields {
		if f.Key == key {
			return fmt.Sprint(f.Value)
		}
	}
	return ""
}

// formatModel makes the file of a model whose matrices are noise in format t.
func formatModel(t quant.Type, halfs []int) []byte {
	rng := rand.New(rand.NewPCG(uint64(t), 2))
	matrix := func(name string, cols, rows int) modeltest.TensorData {
		return modeltest.TensorData{Name: name, Type: t, Dims: []int{cols, rows}, Data: noise(rng, t, halfs, cols*rows)}
	}
	norm := func(name string, n int) modeltest.TensorData {
		x := make([]float32, n)
		for i := range x {
			x[i] = 1
		}
		return modeltest.TensorData{Name: name, Type: quant.F32, Dims: []int{n}, Data: modeltest.Encode(quant.F32, x)}
	}
	const kv = formatDim / formatHeads * formatKV
	tensors := []modeltest.TensorData{matrix("token_embd.weight", formatDim, formatVocab), norm("output_norm.weight", formatDim)}
	for i := range formatLayers {
		p := fmt.Sprintf("blk.%d.", i)
		tensors = append(tensors,
			norm(p+"attn_norm.weight", formatDim),
			matrix(p+"attn_q.weight", formatDim, formatDim), matrix(p+"attn_k.weight", formatDim, kv),
			matrix(p+"attn_v.weight", formatDim, kv), matrix(p+"attn_output.weight", formatDim, formatDim),
			norm(p+"ffn_norm.weight", formatDim),
			matrix(p+"ffn_gate.weight", formatDim, formatFFN), matrix(p+"ffn_up.weight", formatDim, formatFFN),
			matrix(p+"ffn_down.weight", formatFFN, formatDim),
		)
	}
	tokens := make([]string, formatVocab)
	for i := range tokens {
		tokens[i] = fmt.Sprint(i)
	}
	return modeltest.Bytes([]modeltest.KV{
		{Key: "general.architecture", Value: "llama"},
		{Key: "llama.context_length", Value: uint32(2048)},
		{Key: "llama.embedding_length", Value: uint32(formatDim)},
		{Key: "llama.block_count", Value: uint32(formatLayers)},
		{Key: "llama.feed_forward_length", Value: uint32(formatFFN)},
		{Key: "llama.attention.head_count", Value: uint32(formatHeads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(formatKV)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		{Key: "llama.rope.dimension_count", Value: uint32(formatDim / formatHeads)},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
	}, tensors)
}

// noise makes n weights: any bytes, with scales that keep activations finite.
func noise(rng *rand.Rand, t quant.Type, halfs []int, n int) []byte {
	if t.IsFloat() {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(0.05 * rng.NormFloat64())
		}
		return modeltest.Encode(t, x)
	}
	data := make([]byte, n/t.BlockLen()*t.BlockBytes())
	for i := 0; i+8 <= len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], rng.Uint64())
	}
	for block := data; len(block) > 0; block = block[t.BlockBytes():] {
		for _, at := range halfs {
			binary.LittleEndian.PutUint16(block[at:], quant.F32ToF16(float32(math.Ldexp(1+rng.Float64(), -12))))
		}
	}
	return data
}

// The weights of TestFormats are small numbers in every format.
func TestFormatNoise(t *testing.T) {
	const n = 4 * 256
	x := make([]float32, n)
	for _, f := range formats {
		if err := quant.Dequantize(f.t, x, noise(rand.New(rand.NewPCG(1, 2)), f.t, f.halfs, n)); err != nil {
			t.Fatal(f.t, err)
		}
		for i, v := range x {
			if !(math.Abs(float64(v)) < 2) {
				t.Fatalf("%v: weight %d is %g", f.t, i, v)
			}
		}
	}
}
