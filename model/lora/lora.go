// Package lora reads adapters: pairs of thin matrices that are added to those of a model (Hu et al. 2021, arXiv 2106.09685), from
// GGUF files as llama.cpp's convert_lora_to_gguf.py writes them (src/llama-adapter.cpp, read 2026-11-26). An adapter is used where it
// is mapped; the model's own matrices stay as they are.
package lora

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"siskin/model/gguf"
	"siskin/model/mapfile"
	"siskin/model/quant"
)

// ErrBad is wrapped when a file is no adapter, or one that makes no sense.
var ErrBad = errors.New("bad adapter")

const (
	// maxRank bounds the inner dimension: published adapters have 4 to 256.
	maxRank = 1024
	// maxInvocation bounds the tokens that switch an adapter on.
	maxInvocation = 256
)

// Factor is one of the two matrices of a pair: Rows rows of Cols values, tight, of F32, F16 or BF16. For the experts of a layer it is
// Count such matrices, one behind the other; their rows are numbered through.
type Factor struct {
	Type       quant.Type
	Rows, Cols int
	Count      int
	Data       []byte
	rowBytes   int
}

// Slice returns the bytes of rows [from, to).
func (f *Factor) Slice(from, to int) []byte { return f.Data[from*f.rowBytes : to*f.rowBytes] }

// Row writes the values of a row to dst (Cols).
func (f *Factor) Row(dst []float32, row int) {
	_ = quant.Dequantize(f.Type, dst, f.Slice(row, row+1)) // type and size were checked
}

// Pair is what is added to a matrix W of the model: W + scale*B·A, with A (rank, columns of W) and B (rows of W, rank). For the token
// embedding A is transposed, (vocabulary, rank), so that a token is a row.
type Pair struct {
	A, B  Factor
	Rank  int
	Count int // experts, whose tensor has a pair for each; 1 for a tensor that is one matrix
}

// Adapter is an open adapter. It may be read from any goroutine.
type Adapter struct {
	Name         string // general.name; "" if there is none
	Architecture string // of the model that it is for
	// Alpha over the rank is the scale of a pair; 0: the scale is 1.
	Alpha float32
	// Digest identifies the contents: what a cache of keys and values is keyed by.
	Digest [sha256.Size]byte
	// Invocation are the tokens from whose last occurrence on the adapter is active (Activated LoRA, arXiv 2504.12397); empty: always.
	Invocation []int32
	Pairs      map[string]*Pair // by the name of the tensor that is added to

	mapping *mapfile.File
	size    int64
}

// Open maps and reads an adapter. It must not be changed while it is open.
func Open(path string) (*Adapter, error) {
	mapping, err := mapfile.Open(path)
	if err != nil {
		return nil, err
	}
	a, err := Parse(mapping.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, mapping.Close()))
	}
	a.mapping = mapping
	return a, nil
}

// Close unmaps the file; nobody may use the adapter any more.
func (a *Adapter) Close() error {
	if a.mapping == nil {
		return nil
	}
	return a.mapping.Close()
}

// Size is the length of the file in bytes.
func (a *Adapter) Size() int64 { return a.size }

// Rank returns the largest rank of the pairs.
func (a *Adapter) Rank() (rank int) {
	for _, p := range a.Pairs {
		rank = max(rank, p.Rank)
	}
	return rank
}

// Scale returns the factor of a pair for a scale that a user asks for.
func (a *Adapter) Scale(p *Pair, asked float32) float32 {
	if a.Alpha == 0 {
		return asked
	}
	return asked * a.Alpha / float32(p.Rank)
}

// Parse reads an adapter whose file is in memory; data must stay as it is. Errors wrap ErrBad or are those of gguf.
func Parse(data []byte) (*Adapter, error) {
	f, err := gguf.Parse(data)
	if err != nil {
		return nil, err
	}
	a := &Adapter{Pairs: make(map[string]*Pair), size: int64(len(data))}
	if err := a.metadata(f); err != nil {
		return nil, err
	}
	h := sha256.New()
	var word [8]byte
	put := func(v uint64) {
		binary.LittleEndian.PutUint64(word[:], v)
		h.Write(word[:])
	}
	put(uint64(math.Float32bits(a.Alpha)))
	for _, id := range a.Invocation {
		put(uint64(id))
	}
	for _, t := range f.Tensors() {
		if err := a.take(&t); err != nil {
			return nil, err
		}
		h.Write([]byte(t.Name))
		put(uint64(t.Type))
		for _, d := range t.Dims {
			put(uint64(d))
		}
		h.Write(t.Data)
	}
	h.Sum(a.Digest[:0])
	return a, a.complete()
}

func (a *Adapter) metadata(f *gguf.File) error {
	if kind, _ := f.Str("general.type"); kind != "adapter" {
		return fmt.Errorf("general.type is %q, want \"adapter\": %w", kind, ErrBad)
	}
	if kind, _ := f.Str("adapter.type"); kind != "lora" {
		return fmt.Errorf("adapter.type is %q, only \"lora\" is known: %w", kind, ErrBad)
	}
	a.Name, _ = f.Str("general.name")
	a.Architecture, _ = f.Str("general.architecture")
	alpha, _ := f.Float("adapter.lora.alpha")
	if math.IsNaN(alpha) || math.IsInf(alpha, 0) || alpha < 0 {
		return fmt.Errorf("adapter.lora.alpha is %g: %w", alpha, ErrBad)
	}
	a.Alpha = float32(alpha)
	tokens, ok := f.Ints("adapter.alora.invocation_tokens")
	if !ok {
		return nil
	}
	if n := tokens.Len(); n < 1 || n > maxInvocation {
		return fmt.Errorf("adapter.alora.invocation_tokens has %d tokens, want 1 to %d: %w", n, maxInvocation, ErrBad)
	}
	for i := range tokens.Len() {
		id := tokens.At(i)
		if id < 0 || id > math.MaxInt32 {
			return fmt.Errorf("adapter.alora.invocation_tokens: %d is no token: %w", id, ErrBad)
		}
		a.Invocation = append(a.Invocation, int32(id))
	}
	return nil
}

// take makes a factor of a tensor.
func (a *Adapter) take(t *gguf.Tensor) error {
	base, isA := strings.CutSuffix(t.Name, ".lora_a")
	base, isB := strings.CutSuffix(base, ".lora_b")
	switch {
	case strings.HasSuffix(t.Name, "_norm.weight"):
		return nil // what training has left there is not used by others, either
	case !isA && !isB:
		return fmt.Errorf("tensor %s: its name must end in .lora_a or .lora_b: %w", t.Name, ErrBad)
	case len(t.Dims) != 2 && len(t.Dims) != 3:
		return fmt.Errorf("tensor %s has the shape %v, want a matrix, or one for each expert: %w", t.Name, t.Dims, ErrBad)
	}
	f, err := factor(t)
	if err != nil {
		return err
	}
	p := a.Pairs[base]
	if p == nil {
		p = &Pair{}
		a.Pairs[base] = p
	}
	if isA {
		p.A = f
	} else {
		p.B = f
	}
	return nil
}

// factor takes the bytes as they are where kernels multiply with them, and converts Q8_0 to F32.
func factor(t *gguf.Tensor) (Factor, error) {
	f := Factor{Type: t.Type, Rows: t.Dims[1], Cols: t.Dims[0], Count: 1, Data: t.Data}
	if len(t.Dims) == 3 {
		f.Count = t.Dims[2]
	}
	switch t.Type {
	case quant.F32, quant.F16, quant.BF16:
	case quant.Q8_0:
		values := make([]float32, t.Elements())
		if err := quant.Dequantize(t.Type, values, t.Data); err != nil {
			return f, fmt.Errorf("tensor %s: %w: %w", t.Name, err, ErrBad)
		}
		f.Type, f.Data = quant.F32, make([]byte, 4*len(values))
		for i, v := range values {
			binary.LittleEndian.PutUint32(f.Data[4*i:], math.Float32bits(v))
		}
	default:
		return f, fmt.Errorf("tensor %s is in %v, want F32, F16, BF16 or Q8_0: %w", t.Name, t.Type, ErrBad)
	}
	var err error
	if f.rowBytes, err = f.Type.RowBytes(f.Cols); err != nil {
		return f, fmt.Errorf("tensor %s: %w: %w", t.Name, err, ErrBad)
	}
	return f, nil
}

// Embedding is the tensor whose A is transposed.
const Embedding = "token_embd.weight"

// complete checks that both halves of every pair are there and fit each other.
func (a *Adapter) complete() error {
	for _, name := range a.Names() {
		p := a.Pairs[name]
		if p.A.Rows == 0 || p.B.Rows == 0 {
			return fmt.Errorf("tensor %s: one of lora_a and lora_b is missing: %w", name, ErrBad)
		}
		rank := p.A.Rows
		if name == Embedding {
			rank = p.A.Cols
		}
		if rank != p.B.Cols || rank > maxRank {
			return fmt.Errorf("tensor %s: lora_a has the rank %d, lora_b %d; they must be equal and at most %d: %w", name, rank, p.B.Cols, maxRank, ErrBad)
		}
		if p.A.Count != p.B.Count {
			return fmt.Errorf("tensor %s: lora_a is of %d experts, lora_b of %d: %w", name, p.A.Count, p.B.Count, ErrBad)
		}
		p.Rank, p.Count = rank, p.A.Count
	}
	if len(a.Pairs) == 0 {
		return fmt.Errorf("it has no tensors: %w", ErrBad)
	}
	return nil
}

// Names lists the tensors that are added to, sorted.
func (a *Adapter) Names() []string {
	names := make([]string, 0, len(a.Pairs))
	for name := range a.Pairs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
