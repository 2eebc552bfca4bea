package modeltest

import (
	"siskin/model/kernel"
	"siskin/model/quant"
)

// Packing returns a set that is set but for its packed products: it has one for every format, which unpacks the rows and
// multiplies them as plain ones, so the results are those of set to the bit. unit is that of quant.Packing.
func Packing(set *kernel.Set, unit int) *kernel.Set {
	s := *set
	s.Name += "-packed"
	s.Packing = quant.Packing{Unit: unit}
	s.MatMulListedPacked = [quant.NumTypes]kernel.MatMulListed{} // of another layout
	for t := range quant.Type(quant.NumTypes) {
		plain := set.MatMulQ8[t]
		if plain == nil || !t.Packable() {
			s.MatMulPacked[t] = nil
			continue
		}
		s.MatMulPacked[t] = func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
			if rows%quant.PackRows != 0 {
				panic("a packed product of half a group")
			}
			rowBytes := cols / t.BlockLen() * t.BlockBytes()
			tight := make([]byte, rows*rowBytes)
			for r := range rows {
				group := w[r/quant.PackRows*quant.PackRows*rowBytes:][:quant.PackRows*rowBytes]
				quant.UnpackRow(t, s.Packing, tight[r*rowBytes:][:rowBytes], group, r%quant.PackRows, cols)
			}
			plain(dst, dstStride, tight, rows, cols, acts, n)
		}
	}
	return &s
}
