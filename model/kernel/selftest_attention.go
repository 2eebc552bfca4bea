package kernel

import (
	"fmt"

	"siskin/model/quant"
)

// testAttention compares the attention of two query vectors over a page and a piece, from keys and values that s has
// stored itself, and the rotation.
func testAttention(s, ref *Set, rng *noise) error {
	const dim, group, positions = 96, 2, quant.KVPage + 21
	q := rng.floats((group + 1) * dim) // and one head more to rotate
	want, got := make([]float32, len(q)), make([]float32, len(q))
	cos, sin := rng.floats(dim/2-5), rng.floats(dim/2-5)
	copy(want, q)
	copy(got, q)
	ref.Rotate(want, group+1, dim, cos, sin, 0.25)
	s.Rotate(got, group+1, dim, cos, sin, 0.25)
	if err := compare(s.Name, "rotate", got, want); err != nil {
		return err
	}
	rows := rng.floats(2 * positions * dim)
	for f := range quant.NumKVFormats {
		for i, set := range []*Set{ref, s} {
			attendAll(set, f, [][]float32{want, got}[i], q[:group*dim], rows, dim, positions)
		}
		if err := compare(s.Name, fmt.Sprintf("attention over %v", f), got[:group*dim], want[:group*dim]); err != nil {
			return err
		}
	}
	return nil
}

// attendAll stores rows, (positions, 2, dim) keys and values, and computes the attention of query vectors that see all.
func attendAll(s *Set, f quant.KVFormat, dst, q, rows []float32, dim, positions int) {
	group := len(q) / dim
	a := NewAttend(s, f, dim, group)
	a.Start(group)
	for g := range group {
		copy(a.Query(g), q[g*dim:])
	}
	a.Begin(nil)
	p := Page{Keys: make([]byte, f.KeyBytes(dim)), Values: make([]byte, f.ValueBytes(dim))}
	for base := 0; base < positions; base += quant.KVPage {
		for pos := range min(quant.KVPage, positions-base) {
			row := rows[(base+pos)*2*dim:]
			a.Store(p.Keys, p.Values, pos, row[:dim], row[dim:2*dim])
		}
		a.Page(p, Span{From: NoWindow, To: positions - base, Group: group})
	}
	a.Fold(nil)
	for g := range group {
		a.Result(g, dst[g*dim:(g+1)*dim])
	}
}
