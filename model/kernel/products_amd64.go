//go:build !purego

package kernel

import (
	"unsafe"

	kernels "siskin/kernels_amd64"
	"siskin/model/quant"
)

// product is the form of the 8-bit products of package kernels_amd64.
type product = func(f kernels.Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int)

// withProducts gives s the 8-bit products of one instruction set, plain and packed.
func withProducts(s *Set, mul product) *Set {
	s.Packing = quant.Packing{Unit: 4}
	for t, f := range formats() {
		s.MatMulQ8[t], s.MatMulPacked[t] = productOf(mul, f, false), productOf(mul, f, true)
	}
	return s
}

// listedProduct is the form of the 8-bit products that leave out blocks of zeros.
type listedProduct = func(
	f kernels.Format, packed bool, dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64,
)

// withLists adds the products that leave out blocks of zeros.
func withLists(s *Set, mul listedProduct) *Set {
	for t, f := range formats() {
		s.MatMulListed[t], s.MatMulListedPacked[t] = listedOf(mul, f, false), listedOf(mul, f, true)
	}
	return s
}

func listedOf(mul listedProduct, f kernels.Format, packed bool) MatMulListed {
	return func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int, keep []uint64) {
		mul(f, packed, dst, dstStride, w, rows, cols, acts, n, keep)
	}
}

// formats are those that package kernels_amd64 multiplies with 8-bit activations.
func formats() map[quant.Type]kernels.Format {
	return map[quant.Type]kernels.Format{
		quant.Q4_0:   kernels.Q40,
		quant.Q4_1:   kernels.Q41,
		quant.Q5_0:   kernels.Q50,
		quant.Q5_1:   kernels.Q51,
		quant.Q8_0:   kernels.Q80,
		quant.IQ4_NL: kernels.IQ4NL,
		quant.IQ4_XS: kernels.IQ4XS,
		quant.Q4_K:   kernels.Q4K,
		quant.Q5_K:   kernels.Q5K,
		quant.Q6_K:   kernels.Q6K,
		quant.Q2_K:   kernels.Q2K,
		quant.Q3_K:   kernels.Q3K,
	}
}

func productOf(mul product, f kernels.Format, packed bool) MatMulQ8 {
	return func(dst []float32, dstStride int, w []byte, rows, cols int, acts []byte, n int) {
		mul(f, packed, dst, dstStride, w, rows, cols, acts, n)
	}
}

// mulTileAVX2 is MatMulTile.
func mulTileAVX2(dst []float32, dstStride int, tile *Tile, acts []byte, stride, n int) {
	kernels.MatMulTileAVX2(dst, dstStride, (*byte)(unsafe.Pointer(&tile.Block)), tile.Blocks, acts, stride, n)
}
