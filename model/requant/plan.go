package requant

import (
	"errors"
	"fmt"
	"strings"

	"siskin/model/gguf"
	"siskin/model/quant"
	"siskin/model/quant/encode"
)

// Errors of this package; test with errors.Is.
var (
	// ErrSource: the file is one that is not written in other formats.
	ErrSource = errors.New("cannot be quantised")
	// ErrExists: the destination is there and is not to be replaced.
	ErrExists = errors.New("is there already")
	// ErrSame: source and destination are one file.
	ErrSame = errors.New("source and destination are the same file")
	// ErrBusy: another process is writing the destination.
	ErrBusy = errors.New("another process is writing this file")
)

// Reason is why a tensor does not get the format that was asked for.
type Reason int

// The reasons, in the order in which a summary lists them.
const (
	AsAsked Reason = iota
	Vector         // one row, or one of the small tables that no product reads: kept as it is
	Columns        // the columns are not whole blocks
	Output         // the output matrix keeps at least Q6_K
)

// Tensor is what becomes of one tensor.
type Tensor struct {
	gguf.Tensor
	To     quant.Type
	Reason Reason
	Bytes  int64 // in the new file
}

// fallback is what takes the place of a format with blocks of 256 where rows are not whole blocks (llama.cpp,
// src/llama-quant.cpp; the next larger one with blocks of 32), and F16 where they are not even blocks of 32.
var fallback = map[quant.Type]quant.Type{
	quant.Q2_K: quant.Q4_0, quant.Q3_K: quant.Q4_0, quant.Q4_K: quant.Q5_0, quant.Q5_K: quant.Q5_1, quant.Q6_K: quant.Q8_0,
	quant.IQ4_XS: quant.IQ4_NL,
}

// kept are parts of names of small matrices that are not read by products of quantised weights: norms of several heads,
// routers, convolution kernels, positions (the list of llama.cpp, src/llama-quant.cpp, shortened to what families here have).
var kept = []string{
	"_norm", "ffn_gate_inp", "ssm_conv1d", "shortconv.conv", "position_embd", "pos_embd", "token_types", "attn_rel_b",
	"altup", "laurel", "per_layer_model_proj", "rope_freqs", "rope_factors",
}

// Plan decides the format of each tensor of f, in file order. Errors, of kind ErrSource: a part of a split model; an adapter;
// a tensor whose values cannot be computed. encode.ErrFormat: t cannot be written.
func Plan(f *gguf.File, t quant.Type) ([]Tensor, error) {
	if !encode.Supported(t) {
		return nil, fmt.Errorf("%s: %w", t, encode.ErrFormat)
	}
	part, split, err := f.Part()
	if err != nil {
		return nil, fmt.Errorf("a part of a split model %w: %w", ErrSource, err)
	}
	if split {
		return nil, fmt.Errorf("part %d of %d of a split model %w: merge the parts first (llama-gguf-split --merge)", part.No+1, part.Count, ErrSource)
	}
	if kind, ok := f.Str("general.type"); ok && kind != "model" && kind != "mmproj" {
		return nil, fmt.Errorf("a file of the type %q %w: only models are", kind, ErrSource)
	}
	_, untied := f.Tensor("output.weight")
	plan := make([]Tensor, 0, len(f.Tensors()))
	for _, from := range f.Tensors() {
		out := Tensor{Tensor: from}
		output := from.Name == "output.weight" || !untied && from.Name == "token_embd.weight"
		out.To, out.Reason = choose(&from, t, output)
		if out.To != from.Type && !from.Type.Supported() {
			return nil, fmt.Errorf("tensor %s, of the format %s, %w: its values cannot be computed", from.Name, from.Type, ErrSource)
		}
		rowBytes, err := out.To.RowBytes(from.Cols())
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", from.Name, err)
		}
		out.Bytes = int64(rowBytes) * int64(from.Rows())
		plan = append(plan, out)
	}
	return plan, nil
}

// choose gives the format of one tensor.
func choose(from *gguf.Tensor, t quant.Type, output bool) (quant.Type, Reason) {
	if len(from.Dims) < 2 || !strings.HasSuffix(from.Name, ".weight") {
		return from.Type, Vector
	}
	for _, part := range kept {
		if strings.Contains(from.Name, part) {
			return from.Type, Vector
		}
	}
	reason := AsAsked
	if output && bits(t) < bits(quant.Q6_K) {
		t, reason = quant.Q6_K, Output
	}
	if from.Cols()%t.BlockLen() == 0 {
		return t, reason
	}
	if reason == AsAsked {
		reason = Columns
	}
	if small, ok := fallback[t]; ok && from.Cols()%small.BlockLen() == 0 {
		return small, reason
	}
	return quant.F16, reason
}

// bits is what a weight of the format takes.
func bits(t quant.Type) float64 { return 8 * float64(t.BlockBytes()) / float64(t.BlockLen()) }
