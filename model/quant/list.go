package quant

import "fmt"

// listRows is the number of rows of a mask of ListActs.
const listRows = 64

// ListWords is the number of masks that ListActs writes for n rows of cols columns.
func ListWords(n, cols int) int { return cols / ActBlock * ((n + listRows - 1) / listRows) }

// DropSmall leaves out blocks of a second plane that matter little. acts is (blocks, 2n) Acts: n rows of QuantizeRefined, row n+t has
// what row t leaves. The rounding of a block grows with its scale, and its error with the square: where the square of the scale of
// row t is less than least times the mean over the blocks of the row, the block of row n+t becomes zeros. That depends on the row
// alone. A row with a NaN keeps everything. It panics if a length does not fit.
func DropSmall(acts []byte, n, t int, least float32) {
	all := ActsOf(acts)
	if n < 1 || len(all)%(2*n) != 0 || t < 0 || t >= n {
		panic(fmt.Sprintf("quant: %d blocks of activations are not two planes of %d rows, or have no row %d", len(all), n, t))
	}
	var energy float32
	for b := t; b < len(all); b += 2 * n {
		d := all[b].D
		energy += float32(d * d)
	}
	least *= float32(2*n) / float32(len(all))
	for b := t; b < len(all); b += 2 * n {
		if d := all[b].D; float32(d*d) < float32(least*energy) {
			all[b+n] = Act{}
		}
	}
}

// ListActs lists the blocks of n rows of Acts, (blocks, n), that are not zeros: bit t%64 of keep[b*words+t/64] stands for
// block b of row t, where words is n/64 rounded up. It panics if a length does not fit.
func ListActs(keep []uint64, acts []byte, n int) {
	all, words := ActsOf(acts), (n+listRows-1)/listRows
	if n < 1 || len(all)%n != 0 {
		panic(fmt.Sprintf("quant: %d blocks of activations are not those of %d rows", len(all), n))
	}
	if len(keep) != len(all)/n*words {
		panic(fmt.Sprintf("quant: %d masks for %d blocks of activations in %d rows: want %d", len(keep), len(all), n, len(all)/n*words))
	}
	clear(keep)
	for b := range len(all) / n {
		for t := range n {
			if all[b*n+t].D != 0 {
				keep[b*words+t/listRows] |= 1 << (t % listRows)
			}
		}
	}
}
