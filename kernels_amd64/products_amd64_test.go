//go:build !purego && unix

package kernels_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// matMulQ8 is a product with 8-bit activations.
type matMulQ8 func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int)

// productCase is a format under test with one instruction set, for plain and for packed rows.
type productCase struct {
	isa           string
	typ           quant.Type
	plain, packed matMulQ8
}

// productCases lists all formats with the product of one instruction set.
func productCases(
	isa string, mul func(f kernels.Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int),
) (cases []productCase) {
	types := []quant.Type{
		kernels.Q40: quant.Q4_0, kernels.Q41: quant.Q4_1, kernels.Q50: quant.Q5_0, kernels.Q51: quant.Q5_1, kernels.Q80: quant.Q8_0, kernels.IQ4NL: quant.IQ4_NL, kernels.IQ4XS: quant.IQ4_XS, kernels.Q4K: quant.Q4_K, kernels.Q5K: quant.Q5_K, kernels.Q6K: quant.Q6_K, kernels.Q2K: quant.Q2_K, kernels.Q3K: quant.Q3_K,
	}
	for f, t := range types {
		of := func(packed bool) matMulQ8 {
			return func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
				mul(kernels.Format(f), packed, dst, dstStride, w, rows, cols, acts, n)
			}
		}
		cases = append(cases, productCase{isa, t, of(false), of(true)})
	}
	return cases
}

// blockWeights returns random blocks whose binary16 numbers are of both signs and ordinary size.
func blockWeights(rng *rand.Rand, t quant.Type, rows, cols int) []byte {
	w := make([]byte, rows*cols/t.BlockLen()*t.BlockBytes())
	for i := range w {
		w[i] = byte(rng.Uint32())
	}
	for i := 0; i < len(w); i += t.BlockBytes() {
		for _, at := range t.Halves() {
			binary.LittleEndian.PutUint16(w[i+at:], quant.F32ToF16(float32(rng.NormFloat64())))
		}
	}
	return w
}

// blockActs quantises n rows.
func blockActs(x []float32, n int) []byte {
	acts := quant.NewActs(len(x) / quant.ActBlock * quant.ActBytes)
	for t := range n {
		quant.Quantize(acts, x[t*len(x)/n:][:len(x)/n], n, t)
	}
	return acts
}

// packRows interleaves all whole groups of rows.
func packRows(t quant.Type, w []byte, rows, cols int) []byte {
	group := quant.PackRows * cols / t.BlockLen() * t.BlockBytes()
	packed := make([]byte, rows/quant.PackRows*group)
	for at := 0; at < len(packed); at += group {
		quant.PackGroup(t, quant.Packing{Unit: 4}, packed[at:][:group], w[at:][:group], cols)
	}
	return packed
}

// magnitudes gives for each element the sum of the magnitudes of what is added up: the measure of its rounding.
func magnitudes(t quant.Type, stride int, w []byte, rows, cols int, acts []byte, n int) []float64 {
	out := make([]float64, n*stride)
	all, size, subs := quant.ActsOf(acts), t.BlockBytes(), t.BlockLen()/quant.ActBlock
	for i := range cols / quant.ActBlock {
		for r := range rows {
			b := quant.DecodeBlock(t, w[(r*cols/t.BlockLen()+i/subs)*size:][:size], i%subs)
			for tok := range n {
				a := &all[i*n+tok]
				for c, q := range a.Q {
					d, m := float64(b.D[c/16])*float64(b.V[c]), float64(b.M[c/16])
					out[tok*stride+r] += (math.Abs(d) + math.Abs(m)) * math.Abs(float64(a.D)*float64(q))
				}
			}
		}
	}
	return out
}

// testListed compares a product that leaves out blocks of zeros with one that does not, to the bit, in either layout. The case
// of a format has its number.
func testListed(
	t *testing.T, cases []productCase,
	all func(f kernels.Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int),
	listed func(f kernels.Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64),
) {
	t.Helper()
	for f, k := range cases {
		t.Run(k.typ.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			for _, d := range []struct{ rows, blocks, n int }{{32, 2, 1}, {48, 3, 7}, {33, 1, 64}, {96, 2, 65}, {64, 1, 130}, {5, 2, 3}, {64, 9216 / k.typ.BlockLen(), 31}} {
				cols := d.blocks * k.typ.BlockLen()
				w, acts := blockWeights(rng, k.typ, d.rows, cols), blockActs(normals(rng, d.n*cols), d.n)
				blocks := quant.ActsOf(acts)
				for i := range blocks {
					if rng.IntN(3) > 0 {
						blocks[i] = quant.Act{}
					}
				}
				keep := make([]uint64, quant.ListWords(d.n, cols))
				words := len(keep) / (cols / quant.ActBlock)
				for i := range blocks {
					if t := i % d.n; blocks[i] != (quant.Act{}) {
						keep[i/d.n*words+t/64] |= 1 << (t % 64)
					}
				}
				for _, packed := range []bool{false, true} {
					if packed {
						if d.rows%quant.PackRows != 0 {
							continue
						}
						w = packRows(k.typ, w, d.rows, cols)
					}
					want, got := make([]float32, d.n*d.rows), make([]float32, d.n*d.rows)
					all(kernels.Format(f), packed, want, d.rows, w, d.rows, cols, acts, d.n)
					listed(kernels.Format(f), packed, got, d.rows, w, d.rows, cols, acts, d.n, keep)
					for i := range want {
						if got[i] != want[i] {
							t.Fatalf("packed %v, %+v: element %d is %v, want %v", packed, d, i, got[i], want[i])
						}
					}
				}
			}
		})
	}
}
