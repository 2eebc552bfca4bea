package model_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/lora"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

func openAdapter(t testing.TB, path string) *lora.Adapter {
	t.Helper()
	a, err := lora.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// The reference has the adapter merged into the weights, in float32.
func TestGoldenAdapter(t *testing.T) {
	m, a := open(t, goldentest.Path(t, "archs", "llama.gguf")), openAdapter(t, goldentest.Path(t, "archs", "llama-lora.gguf"))
	if err := m.CheckAdapter(a); err != nil {
		t.Fatal(err)
	}
	var want golden
	goldentest.JSON(t, &want, "archs", "llama-lora.json")
	for _, set := range kernel.All() {
		for _, step := range []int{len(want.Tokens), 1, 5} {
			s := newState(t, m, set, model.Limits{Rows: len(want.Tokens), Logits: len(want.Tokens), Sequences: 1, Context: 128})
			if err := s.Adapt(0, []model.Adapted{{Adapter: a, Scale: 1}}); err != nil {
				t.Fatal(err)
			}
			var diff, square float64
			row := 0
			for from := 0; from < len(want.Tokens); from += step {
				rows := rowsOf(want.Tokens[from:min(from+step, len(want.Tokens))], from, func(pos int) bool { return slices.Contains(want.Positions, pos) })
				if err := s.Forward(rows); err != nil {
					t.Fatal(err)
				}
				wanted := 0
				for _, r := range rows {
					if !r.Logits {
						continue
					}
					for j, g := range s.Logits(wanted) {
						diff += (float64(g) - want.Rows[row][j]) * (float64(g) - want.Rows[row][j])
						square += want.Rows[row][j] * want.Rows[row][j]
					}
					row, wanted = row+1, wanted+1
				}
			}
			nmse, most := diff/square, 1e-3
			if set.Name == "generic" {
				most = 1e-5
			}
			t.Logf("%s, %d rows a pass: NMSE %.2e (at most %.0e)", set.Name, step, nmse, most)
			if !(nmse <= most) {
				t.Errorf("%s, %d rows a pass: NMSE %.2e", set.Name, step, nmse)
			}
		}
	}
}

// editFile changes the parts of a file before it is written.
type editFile = func(kvs *[]modeltest.KV, tensors *[]modeltest.TensorData)

// tinyAdapter is a random adapter for m, for the tensors that have one of the given endings; edit changes its file.
func tinyAdapter(t testing.TB, m *model.Model, seed uint64, rank int, kind quant.Type, edit editFile, endings ...string) (*lora.Adapter, error) {
	t.Helper()
	return lora.Parse(adapterFile(t, m, seed, rank, kind, edit, endings...))
}

func adapterFile(t testing.TB, m *model.Model, seed uint64, rank int, kind quant.Type, edit editFile, endings ...string) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	kvs := []modeltest.KV{
		{Key: "general.type", Value: "adapter"},
		{Key: "general.architecture", Value: m.Config.Architecture},
		{Key: "adapter.type", Value: "lora"},
		{Key: "adapter.lora.alpha", Value: float32(2 * rank)},
	}
	var tensors []modeltest.TensorData
	for _, base := range m.File().Tensors() {
		if len(base.Dims) < 2 || !slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(base.Name, e) }) {
			continue
		}
		a, b := []int{base.Dims[0], rank}, []int{rank, base.Dims[1]}
		if base.Name == lora.Embedding {
			a, b = []int{rank, base.Dims[1]}, []int{rank, base.Dims[0]}
		}
		a, b = append(a, base.Dims[2:]...), append(b, base.Dims[2:]...)
		for suffix, dims := range map[string][]int{".lora_a": a, ".lora_b": b} {
			n := 1
			for _, d := range dims {
				n *= d
			}
			values := make([]float32, n)
			for i := range values {
				values[i] = float32(rng.NormFloat64()) * 0.05
			}
			tensors = append(tensors, modeltest.TensorData{Name: base.Name + suffix, Type: kind, Dims: dims, Data: modeltest.Encode(kind, values)})
		}
	}
	slices.SortFunc(tensors, func(a, b modeltest.TensorData) int { return strings.Compare(a.Name, b.Name) })
	if edit != nil {
		edit(&kvs, &tensors)
	}
	var file bytes.Buffer
	if err := modeltest.WriteGGUF(&file, kvs, tensors); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// allMatrices are the endings of the tensors that adapters are made for.
var allMatrices = []string{"_q.weight", "_k.weight", "_v.weight", "_output.weight", "_gate.weight", "_up.weight", "_down.weight", "token_embd.weight"}

func tinyLlama(t testing.TB) *model.Model {
	t.Helper()
	m, err := model.Parse(modeltest.Tiny{Seed: 5, Type: quant.Q8_0, Layers: 2, Context: 256}.File())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Sequences with other adapters, or none, do not notice each other: the bits of each are those of the sequence alone. Formats of
// factors, odd ranks, several adapters in any order, scales, and positions from which one is active are all in the mix.
func TestAdaptersOfSequences(t *testing.T) {
	m := tinyLlama(t)
	var adapters []*lora.Adapter
	for i, kind := range []quant.Type{quant.F32, quant.F16, quant.Q8_0, quant.BF16} {
		rank := []int{3, 8, 32, 5}[i]
		a, err := tinyAdapter(t, m, uint64(i), rank, kind, nil, allMatrices[:len(allMatrices)-i]...)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.CheckAdapter(a); err != nil {
			t.Fatal(err)
		}
		adapters = append(adapters, a)
	}
	sets := [][]model.Adapted{
		nil,
		{{Adapter: adapters[0], Scale: 1}},
		{{Adapter: adapters[1], Scale: 0.5}, {Adapter: adapters[2], Scale: -1}, {Adapter: adapters[3], Scale: 2}},
		{{Adapter: adapters[3], Scale: 1, From: 7}},
		{{Adapter: adapters[3], Scale: 2}, {Adapter: adapters[1], Scale: 0.5}, {Adapter: adapters[2], Scale: -1}}, // the third in another order
	}
	tokens := tinyTokens(12)
	for i := range tokens {
		tokens[i] %= int32(m.Config.Vocab)
	}
	all := func(int) bool { return true }
	for _, set := range kernel.All() {
		alone := make([][]float32, len(sets))
		for i, of := range sets {
			s := newState(t, m, set, model.Limits{Rows: 16, Logits: 16, Sequences: 1, Context: 64})
			if err := s.Adapt(0, of); err != nil {
				t.Fatal(err)
			}
			if err := s.Forward(rowsOf(tokens, 0, all)); err != nil {
				t.Fatal(err)
			}
			for pos := range tokens {
				alone[i] = append(alone[i], s.Logits(pos)...)
			}
		}
		s := newState(t, m, set, model.Limits{Rows: 64, Logits: 64, Sequences: len(sets), Context: 64, Positions: 64 * len(sets)})
		for i, of := range sets {
			if err := s.Adapt(i, of); err != nil {
				t.Fatal(err)
			}
		}
		var rows []model.Row
		for i := range sets {
			for _, r := range rowsOf(tokens, 0, all) {
				r.Seq = i
				rows = append(rows, r)
			}
		}
		if err := s.Forward(rows); err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			at := row.Pos * m.Config.Vocab
			if !slices.Equal(s.Logits(i), alone[row.Seq][at:at+m.Config.Vocab]) {
				t.Fatalf("%s: sequence %d, position %d: other logits than alone", set.Name, row.Seq, row.Pos)
			}
		}
		if slices.Equal(alone[0], alone[1]) || slices.Equal(alone[1], alone[2]) || !slices.Equal(alone[2], alone[4]) {
			t.Errorf("%s: adapters do nothing, or their order does", set.Name)
		}
		if v := 7 * m.Config.Vocab; !slices.Equal(alone[0][:v], alone[3][:v]) || slices.Equal(alone[0][v:], alone[3][v:]) {
			t.Errorf("%s: an adapter that is active from position 7 on is not", set.Name)
		}
	}
}

// A pass with adapters allocates nothing, and to change those of a sequence takes no time.
func TestAdaptersDoNotAllocate(t *testing.T) {
	m := tinyLlama(t)
	a, err := tinyAdapter(t, m, 1, 16, quant.F16, nil, allMatrices...)
	if err != nil {
		t.Fatal(err)
	}
	s := newState(t, m, kernel.All()[0], model.Limits{Rows: 32, Logits: 4, Sequences: 2, Context: 64})
	if err := s.Adapt(0, []model.Adapted{{Adapter: a, Scale: 1}}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 20} {
		rows := rowsOf(make([]int32, n), 0, func(pos int) bool { return pos == n-1 })
		if got := leastAllocs(func() {
			if err := s.Forward(rows); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Truncate(0, 0); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("%d rows: %g allocations", n, got)
		}
	}
}

// Whatever does not fit is refused with its name.
func TestAdapterRefused(t *testing.T) {
	m := tinyLlama(t)
	drop := func(n int) editFile {
		return func(_ *[]modeltest.KV, ts *[]modeltest.TensorData) { *ts = (*ts)[n:] }
	}
	key := func(k string, v any) editFile {
		return func(kvs *[]modeltest.KV, _ *[]modeltest.TensorData) {
			*kvs = append(slices.DeleteFunc(*kvs, func(o modeltest.KV) bool { return o.Key == k }), modeltest.KV{Key: k, Value: v})
		}
	}
	rename := func(from, to string) editFile {
		return func(_ *[]modeltest.KV, ts *[]modeltest.TensorData) {
			for i := range *ts {
				(*ts)[i].Name = strings.Replace((*ts)[i].Name, from, to, 1)
			}
		}
	}
	for what, c := range map[string]struct {
		edit editFile
		want string
	}{
		"no adapter":      {key("general.type", "model"), "general.type"},
		"another kind":    {key("adapter.type", "ia3"), `"ia3"`},
		"alpha":           {key("adapter.lora.alpha", float32(-1)), "adapter.lora.alpha"},
		"half":            {drop(1), "is missing"},
		"nothing":         {drop(1000), "no tensors"},
		"a suffix":        {rename(".lora_a", ".lora_c"), "must end in"},
		"an unknown base": {rename("blk.1.", "blk.7."), "blk.7."},
		"another model":   {key("general.architecture", "qwen2"), "qwen2"},
		"a token":         {key("adapter.alora.invocation_tokens", []uint32{1, 100000}), "100000"},
		"no tokens":       {key("adapter.alora.invocation_tokens", []uint32{}), "invocation_tokens"},
	} {
		a, err := tinyAdapter(t, m, 1, 4, quant.F16, func(kvs *[]modeltest.KV, ts *[]modeltest.TensorData) {
			if n := len(*ts); what == "nothing" && n > 0 {
				*ts = nil
				return
			}
			c.edit(kvs, ts)
		}, "_q.weight")
		if err == nil {
			err = m.CheckAdapter(a)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, lora.ErrBad) && !errors.Is(err, model.ErrAdapter) {
			t.Errorf("%s: %v, want %q in it", what, err, c.want)
		}
	}
	a := openAdapter(t, goldentest.Path(t, "archs", "llama-lora.gguf"))
	if err := m.CheckAdapter(a); !errors.Is(err, model.ErrAdapter) || !strings.Contains(err.Error(), "the tensor has") {
		t.Errorf("an adapter of another shape: %v", err)
	}
	if a, err := tinyAdapter(t, m, 1, 32, quant.Q4_0, nil, "_q.weight"); err == nil {
		t.Errorf("factors in Q4_0 are taken: %v", a.Names())
	}
}

// Adapters of experts give what the same adapter gives when it is merged into the weights, and only where it is asked for.
func TestAdapterOfExperts(t *testing.T) {
	r := readReference(t, "testdata/families/granitemoe.json")
	m := r.model(t, quant.F32)
	a, err := tinyAdapter(t, m, 3, 5, quant.F32, nil, "_exps.weight", "attn_q.weight")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CheckAdapter(a); err != nil {
		t.Fatal(err)
	}
	kvs, tensors := r.content(t, quant.F32)
	merged := 0
	for i, x := range tensors {
		pair := a.Pairs[x.Name]
		if pair == nil {
			continue
		}
		values := make([]float32, len(x.Data)/4)
		if err := quant.Dequantize(quant.F32, values, x.Data); err != nil {
			t.Fatal(err)
		}
		for row := range pair.B.Rows * pair.Count {
			b, aRow := make([]float32, pair.Rank), make([]float32, pair.A.Cols)
			pair.B.Row(b, row)
			for k, by := range b {
				pair.A.Row(aRow, row/pair.B.Rows*pair.A.Rows+k)
				for j, v := range aRow {
					values[row*pair.A.Cols+j] += a.Scale(pair, 0.5) * by * v
				}
			}
		}
		tensors[i].Data, merged = modeltest.Encode(quant.F32, values), merged+1
	}
	if merged < 8 {
		t.Fatalf("%d tensors are merged", merged)
	}
	whole, err := model.Parse(modeltest.Bytes(kvs, tensors))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range testSets(t) {
		want, plain := run(t, newState(t, whole, set, tinyLimits), 0, r.Tokens, 20), run(t, newState(t, m, set, tinyLimits), 0, r.Tokens, 20)
		s := newState(t, m, set, tinyLimits)
		if err := s.Adapt(1, []model.Adapted{{Adapter: a, Scale: 0.5}}); err != nil {
			t.Fatal(err)
		}
		got := run(t, s, 1, r.Tokens, 20)
		var diff, square, moved float64
		for i := range want {
			for j := range want[i] {
				d, o := float64(got[i][j])-float64(want[i][j]), float64(plain[i][j])-float64(want[i][j])
				diff, moved, square = diff+d*d, moved+o*o, square+float64(want[i][j])*float64(want[i][j])
			}
		}
		t.Logf("%s: NMSE %.1e against merged weights, %.1e without the adapter", set.Name, diff/square, moved/square)
		if !(diff/square < 1e-9) || !(moved/square > 1e-3) {
			t.Errorf("%s: NMSE %.1e against merged weights, %.1e without the adapter", set.Name, diff/square, moved/square)
		}
		// Beside a sequence without it, row by row, both are as they are alone.
		both := newState(t, m, set, tinyLimits)
		if err := both.Adapt(1, []model.Adapted{{Adapter: a, Scale: 0.5}}); err != nil {
			t.Fatal(err)
		}
		for pos, id := range r.Tokens[:12] {
			if err := both.Forward([]model.Row{{Pos: pos, Token: id, Logits: true}, {Seq: 1, Pos: pos, Token: id, Logits: true}}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(both.Logits(0), plain[pos]) || !slices.Equal(both.Logits(1), got[pos]) {
				t.Fatalf("%s: position %d differs beside another sequence", set.Name, pos)
			}
		}
	}
	wrong, err := tinyAdapter(t, m, 3, 5, quant.F32, func(_ *[]modeltest.KV, ts *[]modeltest.TensorData) {
		for i := range *ts {
			d := (*ts)[i].Dims
			d[len(d)-1], d[len(d)-2] = d[len(d)-2]*d[len(d)-1], 1
			(*ts)[i].Dims = d
		}
	}, "ffn_down_exps.weight")
	if err == nil {
		err = m.CheckAdapter(wrong)
	}
	if err == nil {
		t.Error("an adapter of another number of experts is taken")
	}
}

func TestInvocation(t *testing.T) {
	a := &lora.Adapter{Invocation: []int32{5, 6}}
	for _, c := range []struct {
		tokens []int32
		from   int
		ok     bool
	}{{[]int32{1, 5, 6, 2, 5, 6, 3}, 4, true}, {[]int32{5, 6}, 0, true}, {[]int32{6, 5}, 0, false}, {nil, 0, false}} {
		if from, ok := model.Invoked(a, c.tokens); from != c.from || ok != c.ok {
			t.Errorf("%v: %d, %v", c.tokens, from, ok)
		}
	}
	b := &lora.Adapter{Digest: [32]byte{1}}
	one := func(a *lora.Adapter, scale float32, from int) model.Adapted {
		return model.Adapted{Adapter: a, Scale: scale, From: from}
	}
	for _, c := range []struct {
		a, b []model.Adapted
		same int
	}{
		{nil, nil, -1},
		{[]model.Adapted{one(a, 1, 0), one(b, 1, 0)}, []model.Adapted{one(b, 1, 0), one(a, 1, 0)}, -1},
		{nil, []model.Adapted{one(a, 1, 9)}, 9},
		{[]model.Adapted{one(b, 1, 4)}, []model.Adapted{one(a, 1, 9)}, 4},
		{[]model.Adapted{one(a, 1, 0)}, nil, 0},
		{[]model.Adapted{one(a, 1, 0)}, []model.Adapted{one(a, 2, 0)}, 0},
		{[]model.Adapted{one(a, 0, 0)}, nil, -1},
	} {
		if got := model.SameAdapters(c.a, c.b); got != c.same && !(c.same < 0 && got > 1<<30) {
			t.Errorf("%v and %v: %d, want %d", c.a, c.b, got, c.same)
		}
	}
}

// The default model changes from one open adapter of rank 16 to another within 5 ms; how long a file takes to open is printed.
func TestAdapterSwap(t *testing.T) {
	m := open(t, goldentest.Model(t))
	s := newState(t, m, kernel.All()[0], model.Limits{Rows: 8, Logits: 8, Sequences: 1, Context: 64})
	dir := t.TempDir()
	var adapters []*lora.Adapter
	for i := range uint64(2) {
		path := filepath.Join(dir, fmt.Sprint(i, ".gguf"))
		if err := os.WriteFile(path, adapterFile(t, m, i, 16, quant.F16, nil, allMatrices[:len(allMatrices)-1]...), 0o600); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		a := openAdapter(t, path)
		if err := m.CheckAdapter(a); err != nil {
			t.Fatal(err)
		}
		t.Logf("an adapter of %.1f MB is open after %v", float64(a.Size())/1e6, time.Since(begun))
		adapters = append(adapters, a)
	}
	best := time.Hour
	for i := range 6 {
		begun := time.Now()
		if err := s.Adapt(0, []model.Adapted{{Adapter: adapters[i%2], Scale: 1}}); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(begun))
	}
	t.Logf("swapped in %v (at most 5 ms)", best)
	if best > 5*time.Millisecond {
		t.Errorf("a swap takes %v", best)
	}
}
