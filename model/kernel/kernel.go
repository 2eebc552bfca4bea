package kernel

import (
	"errors"
	"fmt"
	"strings"

	"siskin/model/quant"
)

// MatMulQ8 multiplies rows of a quantised matrix with rows of quantised activations:
//
//	dst[t*dstStride+r] = dot(w row r, activation row t)   for r < rows, t < n
//
// w holds rows tight rows of cols values in its block format, or, for a packed product, whole groups of quant.PackRows
// rows as quant.PackGroup interleaves them; acts is (cols/32, n) quant.Acts. cols is a multiple of the format's block
// length. The result for one (r, t) is the same to the bit whatever rows and n it is computed with, packed or not, so
// neither batching nor threads nor packing change an answer.
type MatMulQ8 func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int)

// MatMulListed is MatMulQ8 for activations of which many blocks are zeros (quant.DropSmall): keep is (cols/32, n/64 rounded up)
// masks as quant.ListKept makes them, and blocks that they don't name are not multiplied. The results have the same bits.
type MatMulListed func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64)

// MatMulFloat is MatMulQ8 for float weights (little endian F32, F16 or BF16), never packed, and float32 activations x
// (n, cols); cols is any positive number.
type MatMulFloat func(dst []float32, dstStride int, w []byte, rows, cols int, x []float32, n int)

// Set is one implementation of every kernel. All slices belong to the caller; nothing is kept and nothing allocated.
type Set struct {
	// Name as it is written in configurations: "avx512vnni", "avxvnni", "avx2", "i8mm", "dotprod", "neon", "generic".
	Name string

	// Quantize and QuantizeRefined make activations as the functions of quant of the same names do.
	Quantize        func(dst []byte, x []float32, n, t int)
	QuantizeRefined func(dst []byte, x []float32, n, t, low int)

	// MatMulQ8 by weight format; nil where the format is not multiplied with Q8 activations.
	MatMulQ8 [quant.NumTypes]MatMulQ8

	// Packing is the interleaving that MatMulPacked wants; zero where packing does not pay.
	Packing quant.Packing
	// MatMulPacked is MatMulQ8 for packed weights; nil where the format is not packed.
	MatMulPacked [quant.NumTypes]MatMulQ8

	// MatMulListed and MatMulListedPacked are MatMulQ8 and MatMulPacked that leave out blocks of zeros; nil where a product has
	// no use for a list.
	MatMulListed, MatMulListedPacked [quant.NumTypes]MatMulListed

	// MatMulTile multiplies an unpacked tile; formats without a kernel of their own use it, through Tiled. Nil where every
	// format has one.
	MatMulTile MatMulTile

	MatMulF32, MatMulF16, MatMulBF16 MatMulFloat

	Attention

	// ToF16 stores x as little endian binary16, rounded to nearest even; len(dst) = 2 len(x).
	ToF16 func(dst []byte, x []float32)

	// RMSNorm: dst = x / sqrt(mean(x^2) + eps) * w; dst may be x (Zhang and Sennrich 2019, arXiv 1910.07467).
	RMSNorm func(dst, x, w []float32, eps float32)

	// SiluMul: dst = gate * sigmoid(gate) * up; dst may be gate (SwiGLU, Shazeer 2020, arXiv 2002.05202).
	SiluMul func(dst, gate, up []float32)

	// Add: dst += x, of the same length.
	Add func(dst, x []float32)
}

// Float returns the kernel for float weights of type t, or nil.
func (s *Set) Float(t quant.Type) MatMulFloat {
	switch t {
	case quant.F32:
		return s.MatMulF32
	case quant.F16:
		return s.MatMulF16
	case quant.BF16:
		return s.MatMulBF16
	default:
		return nil
	}
}

// Q8 returns the kernel for weights of type t with Q8 activations, or nil.
func (s *Set) Q8(t quant.Type) MatMulQ8 {
	if t >= quant.NumTypes {
		return nil
	}
	return s.MatMulQ8[t]
}

// Packed returns the kernel for packed weights of type t, or nil where the type is not packed.
func (s *Set) Packed(t quant.Type) MatMulQ8 {
	if t >= quant.NumTypes || !s.Packing.Packed() {
		return nil
	}
	return s.MatMulPacked[t]
}

// Supports reports whether weights of type t can be multiplied.
func (s *Set) Supports(t quant.Type) bool { return s.Float(t) != nil || s.Q8(t) != nil }

// complete gives s the products that it has no kernel for: by tiles, or in plain Go.
func complete(s *Set) *Set {
	ref := Generic()
	for t := range quant.Type(quant.NumTypes) {
		switch {
		case s.MatMulQ8[t] != nil || ref.MatMulQ8[t] == nil:
		case s.MatMulTile != nil:
			s.MatMulQ8[t] = Tiled(t, s.MatMulTile)
		default:
			s.MatMulQ8[t] = ref.MatMulQ8[t]
		}
	}
	if s.Add == nil {
		s.Add = ref.Add
	}
	if s.Quantize == nil {
		s.Quantize, s.QuantizeRefined = ref.Quantize, ref.QuantizeRefined
	}
	if s.TileProduct == nil {
		s.Attention = ref.Attention
	}
	if s.QuantizeRows == nil {
		s.QuantizeRows, s.KeyScores, s.MixValues = ref.QuantizeRows, ref.KeyScores, ref.MixValues
	}
	return s
}

// ErrUnknownSet is wrapped by the error of ByName.
var ErrUnknownSet = errors.New("unknown kernel set")

// All lists the sets that this CPU can run, the fastest first; the generic one is always last.
func All() []*Set { return append(candidates(), Generic()) }

// ByName returns the set of that name, or, for "" and "auto", the best one that passes its self-test.
func ByName(name string) (*Set, error) {
	if name == "" || name == "auto" {
		return Best()
	}
	var have []string
	for _, s := range All() {
		if s.Name == name {
			return s, SelfTest(s)
		}
		have = append(have, s.Name)
	}
	return nil, fmt.Errorf("%w %q: this CPU runs %s", ErrUnknownSet, name, strings.Join(have, ", "))
}

// Best returns the first set whose self-test passes. The error joins the failures of the sets that came before it and
// is not nil although a set is returned: the caller reports it and goes on with the set.
func Best() (*Set, error) {
	var failed []error
	for _, s := range All() {
		err := SelfTest(s)
		if err == nil {
			return s, errors.Join(failed...)
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}
