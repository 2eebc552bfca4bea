package bench

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"siskin/model"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
)

func tiny(t *testing.T, format quant.Type, layers int) *model.Model {
	t.Helper()
	m, err := model.Parse(modeltest.Tiny{Seed: 1, Type: format, Layers: layers, Context: 256}.File())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The work of the tiny model, 64 columns, 4 query and 2 key-value heads of 16, 96 in the gated unit, 259 tokens, by hand:
// Q and O 64*64, K and V 32*64, three of 96*64. Q8_0 takes 34 bytes for 32 weights, Q4_1 takes 20.
func TestWork(t *testing.T) {
	const layer = 2*64*64 + 2*32*64 + 3*96*64
	for _, c := range []struct {
		format       quant.Type
		layers       int
		bytesPer32   int64
		macs, weight int64
	}{
		{quant.Q8_0, 1, 34, layer, layer + 259*64},
		{quant.Q4_1, 3, 20, 3 * layer, 3*layer + 259*64},
		{quant.F16, 2, 64, 2 * layer, 2*layer + 259*64},
	} {
		m := tiny(t, c.format, c.layers)
		got := WorkOf(m)
		want := Work{LayerMACs: c.macs, HeadMACs: 259 * 64, WeightBytes: c.weight / 32 * c.bytesPer32}
		if got != want {
			t.Errorf("%v, %d layers: %+v, want %+v", c.format, c.layers, got, want)
		}
		var read int64
		for _, s := range weightSpans(m) {
			read += int64(len(s))
		}
		if read != got.WeightBytes {
			t.Errorf("%v: %d bytes are read for the roof, %d for a token", c.format, read, got.WeightBytes)
		}
	}
}

// Attention against the sum over positions and heads.
func TestAttentionMACs(t *testing.T) {
	c := &model.Config{Layers: 3, Heads: 4, HeadDim: 16}
	for _, r := range [][2]int{{0, 0}, {0, 1}, {0, 7}, {5, 1}, {100, 13}} {
		var want int64
		for pos := r[0]; pos < r[0]+r[1]; pos++ {
			want += int64(3 * 4 * (pos + 1) * (16 + 16))
		}
		if got := AttentionMACs(c, r[0], r[1]); got != want {
			t.Errorf("%d tokens from %d: %d, want %d", r[1], r[0], got, want)
		}
	}
}

// The default model's work by hand: 30 layers of 576 columns, 9 and 3 heads of 64, 1536, 49,152 tokens; and its bytes from
// the tensor list of the file: all but the norms.
func TestWorkOfDefaultModel(t *testing.T) {
	m, err := model.Open(goldentest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	w := WorkOf(m)
	if want := int64(30 * (2*576*576 + 2*192*576 + 3*1536*576)); w.LayerMACs != want || w.HeadMACs != 49152*576 {
		t.Errorf("%+v, want %d in the layers", w, want)
	}
	var want int64
	for _, tensor := range m.File().Tensors() {
		if len(tensor.Dims) == 2 {
			want += int64(len(tensor.Data))
		}
	}
	if w.WeightBytes != want {
		t.Errorf("%d bytes per token, the matrices of the file have %d", w.WeightBytes, want)
	}
}

// run measures the tiny model with the plan.
func run(ctx context.Context, t *testing.T, plan Plan, sets ...*kernel.Set) ([]Result, error) {
	t.Helper()
	pool := kernel.NewPool(2)
	defer pool.Close()
	var subjects []Subject
	for _, s := range sets {
		subjects = append(subjects, Subject{Name: "tiny", Model: tiny(t, quant.Q8_0, 1), Set: s, Pool: pool})
	}
	return Run(ctx, plan, subjects)
}

// Everything is measured as often as the plan says; the shares follow from the numbers, and are plausible.
func TestRun(t *testing.T) {
	var lines []string
	busy, stopped := 0, 0
	plan := Plan{
		Prompts: []int{7, 32, 300}, Depths: []int{60, 255}, Batches: []int{1, 3, 9}, Tokens: 8, Rows: 5, Runs: 3, Roof: true,
		Busy: func(context.Context) (func() error, error) {
			busy++
			return func() error { stopped++; return nil }, nil
		},
		Progress: func(line string) { lines = append(lines, line) },
	}
	sets := kernel.All()
	results, err := run(t.Context(), t, plan, sets...)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(sets) || busy != 3*len(sets) || stopped != busy {
		t.Errorf("%d results, %d times busy, %d stopped", len(results), busy, stopped)
	}
	if text := strings.Join(lines, "\n"); !strings.Contains(text, "prefill 300 is left out") || !strings.Contains(text, "depth 255 is left out") {
		t.Error(text)
	}
	for i := range results {
		r := &results[i]
		for _, key := range []string{
			"prefill_7_tok_s", "prefill_32_tok_s", "decode_tok_s", "decode_60_tok_s", "batch_3_tok_s", "batch_9_tok_s",
			"contended_decode_tok_s", "read_roof_gb_s", "int8_peak_gmac_s",
		} {
			low, median, high := r.Number(key+"_min"), r.Number(key), r.Number(key+"_max")
			if !(low > 0 && low <= median && median <= high) {
				t.Errorf("%s: %s: %g, %g, %g", sets[i].Name, key, low, median, high)
			}
		}
		for _, key := range []string{"prefill_300_tok_s", "prefill_512_tok_s", "decode_255_tok_s", "batch_8_tok_s"} {
			if v := r.Number(key); !math.IsNaN(v) {
				t.Errorf("%s: %s was not measured, but is %g", sets[i].Name, key, v)
			}
		}
		// No limit above: a tiny model's weights are in the cache, and what else runs here may slow either measurement.
		for _, key := range []string{"decode_roof_share", "prefill_peak_share"} {
			if v := r.Number(key); !(v > 0) {
				t.Errorf("%s: %s is %g", sets[i].Name, key, v)
			}
		}
		checkShares(t, r)
	}
}

func checkShares(t *testing.T, r *Result) {
	t.Helper()
	near := func(key string, want float64) {
		if got := r.Number(key); math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s is %g, want %g", key, got, want)
		}
	}
	const macs, head = 2*64*64 + 2*32*64 + 3*96*64, 259 * 64
	near("layer_macs_per_token", macs)
	near("head_macs_per_token", head)
	near("weight_bytes_per_token", (macs+head)/32*34)
	near("prefill_peak_share_prompt", 32)
	near("attention_macs_per_token", 4*16*2*33.0/2)
	between := func(key, of, to string, by float64) {
		low, high := by*r.Number(of+"_min")/r.Number(to+"_max"), by*r.Number(of+"_max")/r.Number(to+"_min")
		if got := r.Number(key); !(got >= low*(1-1e-9) && got <= high*(1+1e-9)) {
			t.Errorf("%s is %g, want %g to %g", key, got, low, high)
		}
	}
	between("decode_roof_share", "decode_tok_s", "read_roof_gb_s", (macs+head)/32*34/1e9)
	between("prefill_peak_share", "prefill_32_tok_s", "int8_peak_gmac_s", macs/1e9)
	between("contended_share", "contended_decode_tok_s", "decode_tok_s", 1)
	between("decode_60_depth_share", "decode_60_tok_s", "decode_tok_s", 1)
	between("batch_9_share_of_one", "batch_9_tok_s", "batch_1_tok_s", 1)
	var text strings.Builder
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"prefill 32", "decode 60", "batch 9", "read roof", "of the read bandwidth", "of the int8 peak", "busy", "behind 60 tokens", "9 at a time"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "%!") {
		t.Error(text.String())
	}
}

func TestRunFails(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run(ended, t, Quick(), kernel.Generic()); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	plan := Quick()
	plan.Busy = func(context.Context) (func() error, error) { return nil, iotest.ErrTimeout }
	if _, err := run(t.Context(), t, plan, kernel.Generic()); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("no busy process: %v", err)
	}
	plan.Busy = func(context.Context) (func() error, error) { return func() error { return iotest.ErrTimeout }, nil }
	if _, err := run(t.Context(), t, plan, kernel.Generic()); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("busy process that does not end: %v", err)
	}
	plan.Runs = 0
	if _, err := run(t.Context(), t, plan, kernel.Generic()); err == nil {
		t.Error("no runs: no error")
	}
}

// The machine's numbers are those of a machine, with one thread and with two.
func TestMachine(t *testing.T) {
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(i)
	}
	for _, s := range kernel.All() {
		p := kernel.ProbeOf(s)
		one, two := perSecond(readBytes(&p, 1, [][]byte{data[:100], data, data[5:]})), perSecond(readBytes(&p, 2, [][]byte{data}))
		if !(one > 0 && one < 2000 && two > 0 && two < 4000) {
			t.Errorf("%s: reads %g and %g GB/s", s.Name, one, two)
		}
		one, two = perSecond(peakMACs(&p, 1)), perSecond(peakMACs(&p, 2))
		if !(one > 0 && one < 4096 && two > 0 && two < 8192) {
			t.Errorf("%s: %g and %g GMAC/s", s.Name, one, two)
		}
	}
	p := kernel.ProbeOf(kernel.Generic())
	if got, _ := readBytes(&p, 1, [][]byte{data[:100]}); got != 0 {
		t.Errorf("nothing to read: %g", got)
	}
}

func perSecond(done float64, took time.Duration) float64 { return done / 1e9 / took.Seconds() }

// The slices of a measurement are all of it, those of a group take turns, and what was begun ends, after an error too.
func TestSlices(t *testing.T) {
	for n := range 3 * sliceCount {
		all := 0
		for i := range sliceCount {
			from, to := sliceOf(n, i)
			if from != all || to < from {
				t.Fatalf("%d steps: slice %d is [%d, %d), %d were done", n, i, from, to, all)
			}
			all = to
		}
		if all != n {
			t.Errorf("%d steps: %d were done", n, all)
		}
	}
	var order strings.Builder
	named := func(name string, failing error) measurement {
		say := func(what string) { order.WriteString(what + name) }
		return measurement{
			begin: func(context.Context) error { say("+"); return nil },
			slice: func(_ context.Context, i int) amount {
				say("")
				if i == 1 && failing != nil {
					return amount{err: failing}
				}
				return amount{done: 3, took: time.Second}
			},
			end: func() error { say("-"); return nil },
		}
	}
	totals := make([]amount, 2)
	if err := takeTurns(t.Context(), []measurement{named("a", nil), named("b", nil)}, totals); err != nil {
		t.Fatal(err)
	}
	if want := "+a+b" + strings.Repeat("ab", sliceCount) + "-b-a"; order.String() != want {
		t.Errorf("%s, want %s", order.String(), want)
	}
	if want := (amount{done: 3 * sliceCount, took: sliceCount * time.Second}); totals[0] != want || totals[1] != want {
		t.Errorf("%+v, want %+v", totals, want)
	}
	order.Reset()
	err := takeTurns(t.Context(), []measurement{named("a", nil), named("b", io.ErrNoProgress)}, totals)
	if want := "+a+babab-b-a"; !errors.Is(err, io.ErrNoProgress) || order.String() != want {
		t.Errorf("%v, %s, want %s", err, order.String(), want)
	}
}

// A run does all that it counts: every token of every measurement.
func TestRunIsWhole(t *testing.T) {
	pool := kernel.NewPool(2)
	defer pool.Close()
	plan := Plan{Prompts: []int{3, 40, 100}, Depths: []int{0, 70}, Batches: []int{4, 1, 2}, Tokens: 20, Rows: 8, Runs: 1, Roof: true}
	r, err := newRunner(t.Context(), plan, Subject{Name: "tiny", Model: tiny(t, quant.Q8_0, 1), Set: kernel.Generic(), Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer r.state.Close()
	want := map[string]float64{
		"prefill_3_tok_s": 3, "prefill_40_tok_s": 40, "prefill_100_tok_s": 100, "decode_tok_s": 20, "decode_70_tok_s": 20,
		"batch_4_tok_s": 20, "batch_1_tok_s": 5, "batch_2_tok_s": 10,
	}
	for range 2 {
		got := 0
		for _, group := range r.groups {
			totals := make([]amount, len(group))
			if err := takeTurns(t.Context(), group, totals); err != nil {
				t.Fatal(err)
			}
			for i, m := range group {
				if done, ok := want[m.key]; ok {
					got++
					if totals[i].done != done || totals[i].took <= 0 {
						t.Errorf("%s: %g tokens in %v, want %g", m.key, totals[i].done, totals[i].took, done)
					}
				}
			}
		}
		if got != len(want) {
			t.Errorf("%d measurements of tokens, want %d", got, len(want))
		}
	}
}

// A share is of numbers of the same run: the medians of both may be of two.
func TestShare(t *testing.T) {
	r := &runner{values: map[string][]float64{"a": {1, 2, 6}, "b": {4, 2, 2}}}
	if got := r.share("a", "b", 10); got != 10 {
		t.Errorf("%g, want the median of 2.5, 10 and 30", got)
	}
	if got := r.share("a", "c", 1); !math.IsNaN(got) {
		t.Errorf("of what was not taken: %g", got)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct{ values, want []float64 }{
		{[]float64{3}, []float64{3, 3, 3}},
		{[]float64{3, 1, 2}, []float64{1, 2, 3}},
		{[]float64{4, 1, 3, 2}, []float64{1, 2, 4}},
	} {
		low, median, high := spread(c.values)
		if low != c.want[0] || median != c.want[1] || high != c.want[2] {
			t.Errorf("%v: %g %g %g", c.values, low, median, high)
		}
	}
	if _, median, _ := spread(nil); !math.IsNaN(median) {
		t.Errorf("of nothing: %g", median)
	}
}

func TestResultJSON(t *testing.T) {
	r := Result{Fields: []Field{{"b", "x\"y"}, {"a", 1234567.891}, {"n", math.NaN()}, {"i", int64(96438528)}, {"t", true}}}
	got, err := json.Marshal(r)
	if want := `{"b":"x\"y","a":1.2346e+06,"n":null,"i":96438528,"t":true}`; err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}
