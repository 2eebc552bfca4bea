package quant_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"siskin/model/quant"
)

// refinedActs are two planes of n rows of random values, with blocks of different size.
func refinedActs(n, cols int) []byte {
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	acts := quant.NewActs(2 * n * cols / quant.ActBlock * quant.ActBytes)
	x := make([]float32, cols)
	for t := range n {
		for i := range x {
			x[i] = float32(rng.NormFloat64() * math.Exp(float64(i/quant.ActBlock%5)))
		}
		quant.QuantizeRefined(acts, x, 2*n, t, n+t)
	}
	return acts
}

// DropSmall follows its definition, touches the first plane nowhere, and treats a row alike in whatever company.
func TestDropSmall(t *testing.T) {
	const cols, least = 10 * quant.ActBlock, 0.75
	for _, n := range []int{1, 3, 64} {
		acts := refinedActs(n, cols)
		before := slices.Clone(quant.ActsOf(acts))
		dropSmall(acts, n, least)
		after, dropped := quant.ActsOf(acts), 0
		for row := range n {
			sum := 0.0
			for b := range cols / quant.ActBlock {
				d := float64(before[b*2*n+row].D)
				sum += d * d
			}
			for b := range cols / quant.ActBlock {
				first, second := b*2*n+row, b*2*n+n+row
				if after[first] != before[first] {
					t.Fatalf("row %d, block %d of the first plane was changed", row, b)
				}
				d := float64(before[first].D)
				share := d * d / (sum * quant.ActBlock / cols)
				switch {
				case share > least*1.0001 && after[second] != before[second], share < least*0.9999 && after[second] != quant.Act{}:
					t.Errorf("row %d, block %d has %.3f of the mean: wrong choice", row, b, share)
				}
				if after[second] == (quant.Act{}) {
					dropped++
				}
			}
		}
		if blocks := n * cols / quant.ActBlock; dropped < blocks/2 || dropped == blocks {
			t.Errorf("%d of %d blocks were dropped", dropped, blocks)
		}
	}
	all := refinedActs(3, cols)
	dropSmall(all, 3, least)
	lone := quant.NewActs(2 * cols / quant.ActBlock * quant.ActBytes)
	for b := range cols / quant.ActBlock {
		for plane := range 2 {
			quant.ActsOf(lone)[b*2+plane] = quant.ActsOf(refinedActs(3, cols))[b*6+plane*3+1]
		}
	}
	dropSmall(lone, 1, least)
	for b := range cols / quant.ActBlock {
		if quant.ActsOf(lone)[b*2+1] != quant.ActsOf(all)[b*6+4] {
			t.Errorf("block %d: a row alone is treated otherwise than among others", b)
		}
	}
}

// dropSmall drops the small blocks of n rows.
func dropSmall(acts []byte, n int, least float32) {
	for t := range n {
		quant.DropSmall(acts, n, t, least, make([]uint64, quant.KeptWords(len(acts)/quant.ActBytes/(2*n)*quant.ActBlock)))
	}
}

// ListKept has a bit for every block of the first plane, and for those of the second that are not dropped.
func TestListKept(t *testing.T) {
	for _, cols := range []int{3 * quant.ActBlock, 64 * quant.ActBlock, 130 * quant.ActBlock} {
		for _, n := range []int{1, 31, 32, 33, 64, 65} {
			acts, blocks, own := refinedActs(n, cols), cols/quant.ActBlock, quant.KeptWords(cols)
			kept := make([]uint64, n*own)
			for row := range n {
				kept[row*own] = ^uint64(0) // what was there before does not count
				quant.DropSmall(acts, n, row, 0.75, kept[row*own:(row+1)*own])
			}
			keep := make([]uint64, quant.ListWords(2*n, cols))
			for i := range keep {
				keep[i] = uint64(i)
			}
			quant.ListKept(keep, kept, n, blocks)
			words := len(keep) / blocks
			for b := range blocks {
				for row := range 64 * words {
					got := keep[b*words+row/64]>>(row%64)&1 == 1
					want := row < n || row < 2*n && quant.ActsOf(acts)[b*2*n+row] != quant.Act{}
					if got != want {
						t.Fatalf("%d columns, %d rows, block %d, row %d: %v, want %v", cols, n, b, row, got, want)
					}
				}
			}
		}
	}
}

func TestListPanics(t *testing.T) {
	acts := quant.NewActs(6 * quant.ActBytes)
	for name, f := range map[string]func(){
		"planes": func() { quant.DropSmall(acts, 2, 0, 1, make([]uint64, 1)) },
		"row":    func() { quant.DropSmall(acts, 3, 3, 1, make([]uint64, 1)) },
		"none":   func() { quant.DropSmall(acts, 0, 0, 1, make([]uint64, 1)) },
		"words":  func() { quant.DropSmall(acts, 3, 0, 1, make([]uint64, 2)) },
		"masks":  func() { quant.ListKept(make([]uint64, 1), make([]uint64, 3), 3, 2) },
		"kept":   func() { quant.ListKept(make([]uint64, 2), make([]uint64, 2), 3, 2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
