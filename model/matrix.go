package model

import (
	"errors"
	"fmt"

	"siskin/model/kernel"
	"siskin/model/quant"
)

// Matrix is a weight matrix in a mapped file: Rows rows of Cols values in the block format Type. Nothing of it is copied.
type Matrix struct {
	Name string // of the tensor, for errors
	Type quant.Type
	Rows int
	Cols int
	// Data is all rows, tight: as in the model file, or, of the first rows of a packed one, whole groups of quant.PackRows
	// rows that are interleaved.
	Data     []byte
	first    int // row of the tensor that is row 0: not 0 where several matrices share a tensor
	total    int // rows of the tensor
	rowBytes int
	packing  quant.Packing
	packed   int // rows that are interleaved
}

// part returns rows [from, to) as a matrix.
func (m *Matrix) part(from, to int) Matrix {
	p := *m
	p.first, p.Rows, p.Data = m.first+from, to-from, m.slice(from, to)
	return p
}

// wholeGroups reports whether interleaved rows of the tensor are all of this matrix or none.
func (m *Matrix) wholeGroups() bool {
	end := m.first + m.Rows
	return m.first%quant.PackRows == 0 && (end%quant.PackRows == 0 || end == m.total)
}

// slice returns the bytes of rows [from, to): whole groups where they are interleaved.
func (m *Matrix) slice(from, to int) []byte { return m.Data[from*m.rowBytes : to*m.rowBytes] }

// holding returns the bytes that hold row i, those of its group where rows are interleaved, and the first row that they hold.
func (m *Matrix) holding(i int) (data []byte, first int) {
	if i >= m.packed {
		return m.slice(i, i+1), i
	}
	first = i / quant.PackRows * quant.PackRows
	return m.slice(first, first+quant.PackRows), first
}

// values writes the values of row i to dst (Cols). row is memory for its bytes, rowBytes of them or more.
func (m *Matrix) values(dst []float32, i int, row []byte) {
	data, first := m.holding(i)
	if i < m.packed {
		quant.UnpackRow(m.Type, m.packing, row[:m.rowBytes], data, i-first, m.Cols)
		data = row[:m.rowBytes]
	}
	// The error cannot occur: format and size were checked at load.
	_ = quant.Dequantize(m.Type, dst, data)
}

// Row writes the values of row i to dst (Cols). It allocates where rows are interleaved.
func (m *Matrix) Row(dst []float32, i int) { m.values(dst, i, make([]byte, m.rowBytes)) }

// matmul multiplies rows [from, to) of w with n rows of quantised activations, as kernel.MatMulQ8 does; keep lists the blocks of
// activations that are not zeros, see kernel.MatMulListed, or is nil. Of a packed matrix
// from is a multiple of quant.PackRows, and so is to, unless it is w.Rows.
func (s *State) matmul(w *Matrix, dst []float32, dstStride, from, to int, acts []byte, n int, keep []uint64) {
	if split := min(to, w.packed); from < split {
		if from%quant.PackRows != 0 {
			panic(fmt.Sprintf("model: product of %s from row %d, inside a group", w.Name, from))
		}
		multiply(s.set.Packed(w.Type), s.set.MatMulListedPacked[w.Type], dst, dstStride, w.slice(from, split), split-from, w.Cols, acts, n, keep)
		if split == to {
			return
		}
		dst, from = dst[split-from:], split
	}
	multiply(s.set.Q8(w.Type), s.set.MatMulListed[w.Type], dst, dstStride, w.slice(from, to), to-from, w.Cols, acts, n, keep)
}

// multiply is listed if there is one and a list, else all.
func multiply(
	all kernel.MatMulQ8, listed kernel.MatMulListed, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64,
) {
	if listed == nil || keep == nil {
		all(dst, dstStride, w, rows, cols, acts, n)
		return
	}
	listed(dst, dstStride, w, rows, cols, acts, n, keep)
}

// Check reports the formats of the model's matrices that a kernel set cannot multiply, naming the first tensor of each.
func (m *Model) Check(set *kernel.Set) error {
	var errs []error
	seen := make(map[quant.Type]bool)
	m.Weights.matrices(func(w *Matrix) {
		switch {
		case seen[w.Type]:
		case !set.Supports(w.Type):
			errs = append(errs, fmt.Errorf("tensor %s: format %v has no kernel: %w", w.Name, w.Type, ErrUnsupported))
		case w.packed > 0 && (w.packing != set.Packing || set.Packed(w.Type) == nil):
			errs = append(errs, fmt.Errorf("tensor %s is packed for other kernels than %s: %w", w.Name, set.Name, ErrUnsupported))
		default:
			return
		}
		seen[w.Type] = true
	})
	return errors.Join(errs...)
}
