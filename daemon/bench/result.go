package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Keys of the measurements in a result; each has a median, and its extremes behind _min and _max.
const (
	keyRead      = "read_roof_gb_s"
	keyPeak      = "int8_peak_gmac_s"
	keyContended = "contended_decode_tok_s"
)

func prefillKey(n int) string { return fmt.Sprintf("prefill_%d_tok_s", n) }

func batchKey(n int) string { return fmt.Sprintf("batch_%d_tok_s", n) }

func decodeKey(depth int) string {
	if depth == 0 {
		return "decode_tok_s"
	}
	return fmt.Sprintf("decode_%d_tok_s", depth)
}

func depthShareKey(depth int) string { return fmt.Sprintf("decode_%d_depth_share", depth) }

func batchShareKey(n int) string { return fmt.Sprintf("batch_%d_share_of_one", n) }

// Field is one key of a result. Value is a string, a bool, an int, an int64 or a float64; a NaN was not measured.
type Field struct {
	Key   string
	Value any
}

// Result is what was measured of one subject, in the order in which it is printed. As JSON it is one flat object.
type Result struct {
	Fields []Field
}

// Number returns the value of a key as a float64, NaN where it was not measured or is no number.
func (r *Result) Number(key string) float64 {
	for _, f := range r.Fields {
		if f.Key == key {
			switch v := f.Value.(type) {
			case float64:
				return v
			case int:
				return float64(v)
			case int64:
				return float64(v)
			}
		}
	}
	return math.NaN()
}

// MarshalJSON writes the object with its keys in order; what was not measured is null.
func (r Result) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range r.Fields {
		if i > 0 {
			b.WriteByte(',')
		}
		value := f.Value
		if v, ok := value.(float64); ok {
			value = rounded(v)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", f.Key, text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// rounded keeps five digits, more than any measurement is worth; nil for what was not measured.
func rounded(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return json.RawMessage(fmt.Sprintf("%.5g", v))
}

// result sums the runs up.
func (r *runner) result() Result {
	w := r.work
	out := Result{Fields: []Field{
		{"model", r.Name},
		{"kernels", r.Set.Name},
		{"packed", r.Packed},
		{"kv", r.plan.KV.String()},
		{"threads", r.Pool.Workers()},
		{"runs", r.plan.Runs},
		{"tokens", r.plan.Tokens},
		{"prefill_rows", r.plan.Rows},
		{"weight_bytes_per_token", w.WeightBytes},
		{"layer_macs_per_token", w.LayerMACs},
		{"head_macs_per_token", w.HeadMACs},
	}}
	for _, key := range r.keys() {
		low, median, high := spread(r.values[key])
		out.Fields = append(out.Fields, Field{key, median}, Field{key + "_min", low}, Field{key + "_max", high})
	}
	prompt := r.sharePrompt()
	out.Fields = append(out.Fields,
		Field{"int8_peak_instruction", r.probe.Instruction},
		Field{"decode_roof_share", r.share(decodeKey(0), keyRead, float64(w.WeightBytes)/1e9)},
		Field{"prefill_peak_share_prompt", prompt},
		Field{"prefill_peak_share", r.share(prefillKey(prompt), keyPeak, float64(w.LayerMACs)/1e9)},
		Field{"attention_macs_per_token", float64(AttentionMACs(&r.Model.Config, 0, prompt)) / float64(max(1, prompt))},
		Field{"contended_share", r.share(keyContended, decodeKey(0), 1)},
	)
	for _, n := range r.plan.Depths {
		if n > 0 {
			out.Fields = append(out.Fields, Field{depthShareKey(n), r.share(decodeKey(n), decodeKey(0), 1)})
		}
	}
	for _, n := range r.plan.Batches {
		if n > 1 && slices.Contains(r.plan.Batches, 1) {
			out.Fields = append(out.Fields, Field{batchShareKey(n), r.share(batchKey(n), batchKey(1), 1)})
		}
	}
	return out
}

// share is the median over the runs of one measurement times by over another of the same run; NaN if one was not taken.
func (r *runner) share(of, to string, by float64) float64 {
	var shares []float64
	for i, v := range r.values[of] {
		if i < len(r.values[to]) {
			shares = append(shares, v*by/r.values[to][i])
		}
	}
	_, median, _ := spread(shares)
	return median
}

// keys lists the keys of all measurements: what a record always has, and what else was measured.
func (r *runner) keys() []string {
	var keys []string
	for _, n := range with(standardPrompts[:], r.plan.Prompts) {
		keys = append(keys, prefillKey(n))
	}
	for _, n := range with(standardDepths[:], r.plan.Depths) {
		keys = append(keys, decodeKey(n))
	}
	for _, n := range with(standardBatches[:], r.plan.Batches) {
		keys = append(keys, batchKey(n))
	}
	return append(keys, keyContended, keyRead, keyPeak)
}

// with returns the numbers of both, sorted, each once.
func with(a, b []int) []int {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// sharePrompt is the prompt whose speed is compared with the peak: 512 tokens, else the longest one; 0 if there is none.
func (r *runner) sharePrompt() int {
	if slices.Contains(r.plan.Prompts, 512) {
		return 512
	}
	return slices.Max(append(slices.Clone(r.plan.Prompts), 0))
}

// spread returns the extremes and the median of the values; of an even number the lower of the two in the middle. All are
// NaN if there are none.
func spread(values []float64) (low, median, high float64) {
	if len(values) == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return s[0], s[(len(s)-1)/2], s[len(s)-1]
}

// Print writes the result for a person: one line for each measurement, and what it means.
func (r *Result) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	text := map[string]any{}
	for _, f := range r.Fields {
		text[f.Key] = f.Value
	}
	form := "plain"
	if text["packed"] == true {
		form = "packed"
	}
	fmt.Fprintf(t, "%v, %s, kernels %v, %v threads, %v runs: median (extremes)\n",
		text["model"], form, text["kernels"], text["threads"], text["runs"])
	for _, f := range r.Fields {
		v, ok := f.Value.(float64)
		if !ok || math.IsNaN(v) || math.IsNaN(r.Number(f.Key+"_min")) {
			continue
		}
		name, unit := split(f.Key)
		fmt.Fprintf(t, "%s\t%.1f %s\t(%.1f to %.1f)\n", name, v, unit, r.Number(f.Key+"_min"), r.Number(f.Key+"_max"))
	}
	r.printShares(t)
	return t.Flush()
}

func (r *Result) printShares(w io.Writer) {
	line := func(key, format string, args ...any) {
		if share := r.Number(key); !math.IsNaN(share) {
			fmt.Fprintf(w, format+"\n", append([]any{math.Floor(1000*share) / 10}, args...)...)
		}
	}
	line("decode_roof_share", "decode is %.1f %% of the read bandwidth: %.1f MB of weights per token",
		r.Number("weight_bytes_per_token")/1e6)
	line("prefill_peak_share", "prefill is %.1f %% of the int8 peak; at %g tokens, in million multiply-accumulates: %.1f "+
		"per token in the layers' matrices; not counted: %.1f per token in attention, %.1f per prompt in the head",
		r.Number("prefill_peak_share_prompt"), r.Number("layer_macs_per_token")/1e6,
		r.Number("attention_macs_per_token")/1e6, r.Number("head_macs_per_token")/1e6)
	line("contended_share", "decode on a busy machine is %.1f %% of that alone")
	for _, f := range r.Fields {
		if of, ok := strings.CutSuffix(f.Key, "_depth_share"); ok {
			line(f.Key, "decode is %.1f %% behind %s tokens of that behind none", strings.TrimPrefix(of, "decode_"))
		}
		if of, ok := strings.CutSuffix(f.Key, "_share_of_one"); ok {
			line(f.Key, "decode is %.1f %% with %s at a time of that with one", strings.TrimPrefix(of, "batch_"))
		}
	}
}

// split makes words of a key: its name, and its unit.
func split(key string) (name, unit string) {
	for _, u := range [][2]string{{"_tok_s", "tok/s"}, {"_gb_s", "GB/s"}, {"_gmac_s", "GMAC/s"}} {
		if stem, ok := strings.CutSuffix(key, u[0]); ok {
			return strings.ReplaceAll(stem, "_", " "), u[1]
		}
	}
	return strings.ReplaceAll(key, "_", " "), ""
}
