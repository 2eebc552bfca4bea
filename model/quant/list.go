package quant

import (
	"fmt"
	"math/bits"
)

// listRows is the number of rows of a mask of ListKept, and the number of blocks of a word of DropSmall.
const listRows = 64

// ListWords is the number of masks that ListKept writes for n rows of cols columns.
func ListWords(n, cols int) int { return cols / ActBlock * ((n + listRows - 1) / listRows) }

// KeptWords is the number of words that DropSmall writes for a row of cols columns.
func KeptWords(cols int) int { return (cols/ActBlock + listRows - 1) / listRows }

// DropSmall leaves out blocks of a second plane that matter little. acts is (blocks, 2n) Acts: n rows of QuantizeRefined, row n+t has
// what row t leaves. The rounding of a block grows with its scale, and its error with the square: where the square of the scale of
// row t is less than least times the mean over the blocks of the row, the block of row n+t becomes zeros. That depends on the row
// alone. A row with a NaN keeps everything. Bit b%64 of kept[b/64] (KeptWords) says that block b stays. It panics if a length does
// not fit.
func DropSmall(acts []byte, n, t int, least float32, kept []uint64) {
	all := ActsOf(acts)
	if n < 1 || len(all)%(2*n) != 0 || t < 0 || t >= n {
		panic(fmt.Sprintf("quant: %d blocks of activations are not two planes of %d rows, or have no row %d", len(all), n, t))
	}
	blocks := len(all) / (2 * n)
	if words := KeptWords(blocks * ActBlock); len(kept) != words {
		panic(fmt.Sprintf("quant: %d words for %d blocks of a row, want %d", len(kept), blocks, words))
	}
	var energy float32
	for b := t; b < len(all); b += 2 * n {
		d := all[b].D
		energy += float32(d * d)
	}
	least = float32(least/float32(blocks)) * energy
	clear(kept)
	for b := range blocks {
		at := 2*n*b + t
		if d := all[at].D; float32(d*d) < least {
			all[at+n] = Act{}
		} else {
			kept[b/listRows] |= 1 << (b % listRows)
		}
	}
}

// ListKept lists the blocks of n rows in two planes that DropSmall has kept, the first plane whole: keep is (blocks, words) masks,
// bit t%64 of mask t/64 of a block for row t < 2n, and kept what DropSmall wrote for each row, one after the other. It panics if a
// length does not fit.
func ListKept(keep, kept []uint64, n, blocks int) {
	words, own := (2*n+listRows-1)/listRows, KeptWords(blocks*ActBlock)
	if n < 1 || len(keep) != blocks*words || len(kept) != n*own {
		panic(fmt.Sprintf("quant: %d masks and %d words for %d blocks of %d rows, want %d and %d", len(keep), len(kept), blocks, n, blocks*words, n*own))
	}
	for b := range blocks {
		for w := range words {
			first := min(max(0, n-w*listRows), listRows) // rows of the first plane in this mask
			keep[b*words+w] = ^uint64(0) >> (listRows - first)
		}
	}
	for t := range n {
		row := n + t
		for w, left := range kept[t*own : (t+1)*own] {
			for ; left != 0; left &= left - 1 {
				b := w*listRows + bits.TrailingZeros64(left)
				keep[b*words+row/listRows] |= 1 << (row % listRows)
			}
		}
	}
}
