//go:build !purego && unix

package kernels_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// tileCase is an 8-bit product under test, for plain and for packed rows.
type tileCase struct {
	isa    string
	typ    quant.Type
	plain  func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int)
	packed func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int)
}

// tilePacking is the packing of the products.
var tilePacking = quant.Packing{Unit: 4}

func tileCases(tb testing.TB) []tileCase {
	needAVX2(tb)
	cases := []tileCase{
		{"AVX2", quant.Q4_0, kernels.MatMulQ40AVX2, kernels.MatMulQ40PackedAVX2},
		{"AVX2", quant.Q4_1, kernels.MatMulQ41AVX2, kernels.MatMulQ41PackedAVX2},
		{"AVX2", quant.Q5_0, kernels.MatMulQ50AVX2, kernels.MatMulQ50PackedAVX2},
		{"AVX2", quant.Q5_1, kernels.MatMulQ51AVX2, kernels.MatMulQ51PackedAVX2},
		{"AVX2", quant.Q8_0, kernels.MatMulQ80AVX2, kernels.MatMulQ80PackedAVX2},
		{"AVX2", quant.IQ4_NL, kernels.MatMulIQ4NLAVX2, kernels.MatMulIQ4NLPackedAVX2},
		{"AVX2", quant.IQ4_XS, kernels.MatMulIQ4XSAVX2, kernels.MatMulIQ4XSPackedAVX2},
		{"AVX2", quant.Q4_K, kernels.MatMulQ4KAVX2, kernels.MatMulQ4KPackedAVX2},
		{"AVX2", quant.Q5_K, kernels.MatMulQ5KAVX2, kernels.MatMulQ5KPackedAVX2},
		{"AVX2", quant.Q6_K, kernels.MatMulQ6KAVX2, kernels.MatMulQ6KPackedAVX2},
		{"AVX2", quant.Q2_K, kernels.MatMulQ2KAVX2, kernels.MatMulQ2KPackedAVX2},
		{"AVX2", quant.Q3_K, kernels.MatMulQ3KAVX2, kernels.MatMulQ3KPackedAVX2},
	}
	if has(tb, "avxvnni") {
		cases = append(cases, []tileCase{
			{"AVXVNNI", quant.Q4_0, kernels.MatMulQ40AVXVNNI, kernels.MatMulQ40PackedAVXVNNI},
			{"AVXVNNI", quant.Q4_1, kernels.MatMulQ41AVXVNNI, kernels.MatMulQ41PackedAVXVNNI},
			{"AVXVNNI", quant.Q5_0, kernels.MatMulQ50AVXVNNI, kernels.MatMulQ50PackedAVXVNNI},
			{"AVXVNNI", quant.Q5_1, kernels.MatMulQ51AVXVNNI, kernels.MatMulQ51PackedAVXVNNI},
			{"AVXVNNI", quant.Q8_0, kernels.MatMulQ80AVXVNNI, kernels.MatMulQ80PackedAVXVNNI},
			{"AVXVNNI", quant.IQ4_NL, kernels.MatMulIQ4NLAVXVNNI, kernels.MatMulIQ4NLPackedAVXVNNI},
			{"AVXVNNI", quant.IQ4_XS, kernels.MatMulIQ4XSAVXVNNI, kernels.MatMulIQ4XSPackedAVXVNNI},
			{"AVXVNNI", quant.Q4_K, kernels.MatMulQ4KAVXVNNI, kernels.MatMulQ4KPackedAVXVNNI},
			{"AVXVNNI", quant.Q5_K, kernels.MatMulQ5KAVXVNNI, kernels.MatMulQ5KPackedAVXVNNI},
			{"AVXVNNI", quant.Q6_K, kernels.MatMulQ6KAVXVNNI, kernels.MatMulQ6KPackedAVXVNNI},
			{"AVXVNNI", quant.Q2_K, kernels.MatMulQ2KAVXVNNI, kernels.MatMulQ2KPackedAVXVNNI},
			{"AVXVNNI", quant.Q3_K, kernels.MatMulQ3KAVXVNNI, kernels.MatMulQ3KPackedAVXVNNI},
		}...)
	}
	return cases
}

// blockWeights returns random blocks with scales and minima of both signs and ordinary size.
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
		quant.PackGroup(t, tilePacking, packed[at:][:group], w[at:][:group], cols)
	}
	return packed
}

// magnitudes returns, for each element of a product, the sum of the sizes of its terms.
func magnitudes(t quant.Type, w []byte, rows, cols int, acts []byte, n, stride int) []float64 {
	out := make([]float64, max(0, n*stride))
	all := quant.ActsOf(acts)
	size, subs := t.BlockBytes(), t.BlockLen()/quant.ActBlock
	for r := range rows {
		row := w[r*cols/t.BlockLen()*size:]
		for b := range cols / quant.ActBlock {
			block := quant.DecodeBlock(t, row[b/subs*size:][:size], b%subs)
			for i := range n {
				a := &all[b*n+i]
				for c, v := range block.V {
					x := math.Abs(float64(block.D[c/16])*float64(v)) + math.Abs(float64(block.M[c/16]))
					out[i*stride+r] += x * math.Abs(float64(a.D)*float64(a.Q[c]))
				}
			}
		}
	}
	return out
}

// compareTile multiplies in guarded memory and compares with the reference, and packed rows with plain ones to the bit.
func compareTile(t *testing.T, mem *arena, k tileCase, w []byte, rows, cols int, acts []byte, n int) {
	t.Helper()
	what := fmt.Sprintf("%s rows %d, cols %d, n %d", k.typ, rows, cols, n)
	stride := rows + rows%3
	want, empty := filled(n*stride), filled(n*stride)
	mem.reset()
	got := put(mem, empty)
	held := mem.take(len(acts), 4)
	copy(held, acts)
	k.plain(got, stride, put(mem, w), rows, cols, held, n)
	mem.check(what)
	quant.MatMulQ8(k.typ, want, stride, w, rows, cols, acts, n)
	size := magnitudes(k.typ, w, rows, cols, acts, n, stride)
	for i := range want {
		diff := math.Abs(float64(got[i]) - float64(want[i]))
		if same := math.Float32bits(got[i]) == math.Float32bits(want[i]) || got[i] != got[i] && want[i] != want[i]; same {
			continue
		}
		// The reference rounds twice in one of 2^29 cases, by 2^-24 of a partial sum.
		if !(diff <= size[i]*0x1p-22) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
	whole := rows / quant.PackRows * quant.PackRows
	packed := put(mem, packRows(k.typ, w, rows, cols))
	again := put(mem, filled(n*stride))
	k.packed(again, stride, packed, whole, cols, held, n)
	mem.check(what + ", packed")
	for i := range n {
		sameBits(t, what+", packed", again[i*stride:][:whole], got[i*stride:][:whole])
		sameBits(t, what+", beyond packed", again[i*stride:][whole:stride], empty[whole:stride])
	}
}

func TestTilesEqualReference(t *testing.T) {
	for _, k := range tileCases(t) {
		t.Run(k.isa+"/"+k.typ.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			mem := newArena(t, rng)
			for rows := range 51 {
				blocks := []int{1, 2, 3, 18}[rng.IntN(4)]
				if k.typ.BlockLen() > 32 {
					blocks = min(blocks, 3)
				}
				cols, n := blocks*k.typ.BlockLen(), []int{0, 1, 2, 3, 15, 17}[rng.IntN(6)]
				compareTile(t, mem, k, blockWeights(rng, k.typ, rows, cols), rows, cols, blockActs(normals(rng, n*cols), n), n)
			}
			for n := range 41 {
				rows, cols := 17, (1+rng.IntN(2))*k.typ.BlockLen()
				compareTile(t, mem, k, blockWeights(rng, k.typ, rows, cols), rows, cols, blockActs(normals(rng, n*cols), n), n)
			}
			compareTile(t, mem, k, blockWeights(rng, k.typ, 33, 512), 33, 512, blockActs(normals(rng, 131*512), 131), 131)
		})
	}
}
