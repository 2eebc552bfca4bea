package model_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"siskin/model"
	"siskin/model/kvcache"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

// reference is a file of testdata/families, see generate.py there.
type reference struct {
	Metadata map[string]json.RawMessage
	Tensors  map[string]struct {
		Dims   []int
		Values []float32
	}
	Tokens    []int32
	Positions []int
	Rows      [][]float64
}

func readReference(t testing.TB, path string) reference {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// model opens the file of the reference.
func (r *reference) model(t testing.TB, format quant.Type) *model.Model {
	t.Helper()
	m, err := model.Parse(modeltest.Bytes(r.content(t, format)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// content is what the file of the reference holds, its matrices in the given format where their rows are whole blocks of it.
func (r *reference) content(t testing.TB, format quant.Type) ([]modeltest.KV, []modeltest.TensorData) {
	t.Helper()
	var kvs []modeltest.KV
	for key, value := range r.Metadata {
		kvs = append(kvs, modeltest.KV{Key: key, Value: metadataValue(t, value)})
	}
	slices.SortFunc(kvs, func(a, b modeltest.KV) int { return strings.Compare(a.Key, b.Key) })
	var tensors []modeltest.TensorData
	for name, x := range r.Tensors {
		values, typ := x.Values, quant.F32
		if values == nil {
			values = counted(name, x.Dims)
		}
		if len(x.Dims) > 1 && !strings.Contains(name, "ffn_gate_inp") && x.Dims[0]%32 == 0 {
			typ = format
		}
		tensors = append(tensors, modeltest.TensorData{Name: name, Type: typ, Dims: x.Dims, Data: modeltest.Encode(typ, values)})
	}
	slices.SortFunc(tensors, func(a, b modeltest.TensorData) int { return strings.Compare(a.Name, b.Name) })
	return kvs, tensors
}

// metadataValue turns a value of a reference into one of a model file: whole numbers are uint32, others float32.
func metadataValue(t testing.TB, raw json.RawMessage) any {
	t.Helper()
	var (
		text  string
		flags []bool
		whole []uint32
		n     uint32
		f     float32
	)
	kinds := []any{&text, &n, &f, &flags, &whole}
	if bytes.ContainsAny(raw, ".e") {
		kinds = []any{&text, &f, &flags} // 10000.0 is a float
	}
	for _, to := range kinds {
		if json.Unmarshal(raw, to) != nil {
			continue
		}
		switch v := to.(type) {
		case *string:
			return *v
		case *uint32:
			return *v
		case *float32:
			return *v
		case *[]bool:
			return *v
		case *[]uint32:
			return *v
		}
	}
	t.Fatalf("metadata value %s", raw)
	return nil
}

// counted returns the values of a tensor, as weights in generate.py does.
func counted(name string, dims []int) []float32 {
	n := 1
	for _, d := range dims {
		n *= d
	}
	hash := fnv.New64a()
	hash.Write([]byte(name))
	state, out := hash.Sum64(), make([]float32, n)
	spread, mean := float32(math.Round(1024*math.Sqrt(3/float64(dims[0])))/1024), float32(0)
	switch {
	case strings.Contains(name, "norm") || strings.Contains(name, "scale"):
		spread, mean = 0.25, 1
	case len(dims) == 1:
		spread = 0.25
	}
	for i := range out {
		state += 0x9E3779B97F4A7C15
		z := state
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		out[i] = mean + float32(spread*float32(float64(z>>40)/(1<<23)-1))
	}
	return out
}

func references(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/families/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no references: %v", err)
	}
	return paths
}

// Every family gives the logits of another program, in every set and in formats with and without quantised kernels.
func TestFamilies(t *testing.T) {
	for _, path := range references(t) {
		r := readReference(t, path)
		for format, most := range map[quant.Type]float64{quant.F32: 1e-5, quant.Q8_0: 2e-2} {
			m := r.model(t, format)
			for _, set := range testSets(t) {
				s := newState(t, m, set, model.Limits{Rows: len(r.Tokens), Logits: len(r.Tokens), Sequences: 1, Context: len(r.Tokens)})
				rows := rowsOf(r.Tokens, 0, func(pos int) bool { return slices.Contains(r.Positions, pos) })
				if err := s.Forward(rows); err != nil {
					t.Fatal(err)
				}
				var diff, square float64
				for i, want := range r.Rows {
					for j, g := range s.Logits(i) {
						diff += (float64(g) - want[j]) * (float64(g) - want[j])
						square += want[j] * want[j]
					}
				}
				t.Logf("%s, %v, %s: NMSE %.2e (at most %.0e)", filepath.Base(path), format, set.Name, diff/square, most)
				if !(diff/square <= most) {
					t.Errorf("%s, %v, %s: NMSE %.2e, want at most %.0e", filepath.Base(path), format, set.Name, diff/square, most)
				}
			}
		}
	}
}

// Files that leave out the kind of scaling mean what their converters meant: a factor is linear, and Phi-3's attn_factor counts.
func TestRopeScalingWithoutType(t *testing.T) {
	for _, name := range []string{"llama_linear", "phi3_long"} {
		r := readReference(t, "testdata/families/"+name+".json")
		set := testSets(t)[0]
		want := run(t, newState(t, r.model(t, quant.F32), set, tinyLimits), 0, r.Tokens, 20)
		for key := range r.Metadata {
			if strings.HasSuffix(key, "rope.scaling.type") {
				delete(r.Metadata, key)
			}
		}
		equalLogits(t, run(t, newState(t, r.model(t, quant.F32), set, tinyLimits), 0, r.Tokens, 20), want, name)
	}
}

// However tokens are divided into passes, whatever shares a pass, and after a rollback, the logits of every family are the
// same to the bit; and a pass allocates nothing.
func TestFamiliesInPieces(t *testing.T) {
	set := testSets(t)[0]
	for _, path := range references(t) {
		r := readReference(t, path)
		m := r.model(t, quant.Q8_0)
		tokens := slices.Concat(r.Tokens, r.Tokens) // more than a page of the cache
		limits := model.Limits{Rows: 24, Logits: 24, Sequences: 2, Context: len(tokens), Positions: 256, KV: kvcache.F16}
		s := newState(t, m, set, limits)
		want := run(t, s, 0, tokens, 1)
		for _, size := range []int{2, 7, 24} {
			if err := s.Cache.Truncate(0, 0); err != nil {
				t.Fatal(err)
			}
			equalLogits(t, run(t, s, 0, tokens, size), want, path, size)
		}
		if err := s.Cache.Truncate(0, 33); err != nil {
			t.Fatal(err)
		}
		for pos := 33; pos < len(tokens); pos++ {
			rows := []model.Row{{Seq: 1, Pos: pos - 33, Token: tokens[pos-33]}, {Pos: pos, Token: tokens[pos], Logits: true}}
			if err := s.Forward(rows); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Logits(0), want[pos]) {
				t.Fatalf("%s: after a rollback the logits at position %d differ", path, pos)
			}
		}
		rows := rowsOf(tokens[:20], 0, func(pos int) bool { return pos == 19 })
		if n := testing.AllocsPerRun(5, func() {
			if s.Cache.Truncate(0, 0) != nil || s.Forward(rows) != nil || s.Forward([]model.Row{{Pos: 20, Token: 5, Logits: true}}) != nil {
				t.Error(path)
			}
		}); n != 0 {
			t.Errorf("%s: %g allocations per pass, want 0", path, n)
		}
	}
}

// Matrices that share a tensor, as fused projections and experts do, give the same bits from a packed file.
func TestFamiliesPacked(t *testing.T) {
	for name, parts := range map[string]int{"phi3_long": 1 + 3*4, "granitemoe": 1 + 3*(4+3+3), "gemma4": 1 + 7*7 - 2*2 + 1} {
		r := readReference(t, "testdata/families/"+name+".json")
		path := filepath.Join(t.TempDir(), name+".gguf")
		if err := os.WriteFile(path, modeltest.Bytes(r.content(t, quant.Q8_0)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, set := range packingSets(t, 4) {
			m := openPacked(t, path, set)
			if n := len(m.PackParts(set)); n != parts {
				t.Errorf("%s: %d parts, want %d", name, n, parts)
			}
			want := run(t, newState(t, open(t, path), set, tinyLimits), 0, r.Tokens, 20)
			equalLogits(t, run(t, newState(t, m, set, tinyLimits), 0, r.Tokens, 20), want, name, set.Name)
		}
	}
}

// A file without one of its tensors, or with a tensor too few columns wide, is refused by name; so is one without a key, or
// the model has a default for it.
func TestFamiliesRefuse(t *testing.T) {
	optional := []string{"output.weight", ".bias", "layer_output_scale", "rope_", ".attn_v.weight"}
	shared := []string{"attn_k.", "attn_k_norm"} // of layers that share keys and values they are ignored
	for _, path := range references(t) {
		r := readReference(t, path)
		kvs, tensors := r.content(t, quant.F32)
		for i, x := range tensors {
			less := slices.Concat(tensors[:i], tensors[i+1:])
			_, err := model.Parse(modeltest.Bytes(kvs, less))
			needed := !slices.ContainsFunc(optional, func(part string) bool { return strings.Contains(x.Name, part) })
			name := strings.TrimSuffix(x.Name, "kv.weight") // attn_qkv may be three
			if needed && (err == nil || !strings.Contains(err.Error(), name)) {
				t.Errorf("%s without %s: error %v", path, x.Name, err)
			}
			bad := slices.Clone(tensors)
			bad[i].Dims = append(slices.Clone(x.Dims), 1)
			if _, err := model.Parse(modeltest.Bytes(kvs, bad)); err == nil || !strings.Contains(err.Error(), x.Name) {
				if !slices.ContainsFunc(shared, func(part string) bool { return strings.Contains(x.Name, part) }) {
					t.Errorf("%s with %s of %v: error %v", path, x.Name, bad[i].Dims, err)
				}
			}
		}
		for i, kv := range kvs {
			_, err := model.Parse(modeltest.Bytes(slices.Concat(kvs[:i], kvs[i+1:]), tensors))
			if err != nil && !errors.Is(err, model.ErrBadModel) && !errors.Is(err, model.ErrUnsupported) && !strings.Contains(err.Error(), kv.Key) {
				t.Errorf("%s without %s: error %v", path, kv.Key, err)
			}
		}
	}
}
