package quant_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"siskin/model/quant"
)

// Packing is a permutation that UnpackRow undoes, for every format and unit.
func TestPackGroup(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, typ := range q8Types {
		for _, unit := range []int{1, 4, 8} {
			t.Run(fmt.Sprint(typ, unit), func(t *testing.T) {
				p, cols := quant.Packing{Unit: unit}, 3*typ.BlockLen()
				rowBytes := 3 * typ.BlockBytes()
				src := make([]byte, quant.PackRows*rowBytes)
				var before, after [256]int
				for i := range src {
					src[i] = byte(rng.Uint32())
					before[src[i]]++
				}
				group := make([]byte, len(src))
				quant.PackGroup(typ, p, group, src, cols)
				for _, b := range group {
					after[b]++
				}
				if before != after {
					t.Error("packing is not a permutation")
				}
				row := make([]byte, rowBytes)
				for r := range quant.PackRows {
					quant.UnpackRow(typ, p, row, group, r, cols)
					if !bytes.Equal(row, src[r*rowBytes:(r+1)*rowBytes]) {
						t.Fatalf("row %d is not what was packed", r)
					}
				}
			})
		}
	}
}

// The places that the kernels rely on, by hand: all scales, all minima, then word by word.
func TestPackGroupPlaces(t *testing.T) {
	src := make([]byte, quant.PackRows*20)
	for i := range src {
		src[i] = byte(i / 20 * 16) // the row in the high nibble
		src[i] |= byte(i % 20 / 2) // half the place in its block in the low one
	}
	group := make([]byte, len(src))
	quant.PackGroup(quant.Q4_1, quant.Packing{Unit: 4}, group, src, 32)
	for r := range quant.PackRows {
		row := byte(r * 16)
		for at, want := range map[int]byte{
			2 * r: row, 32 + 2*r: row | 1,
			64 + 4*r: row | 2, 64 + 4*r + 2: row | 3, 64 + 3*64 + 4*r: row | 8, 64 + 3*64 + 4*r + 3: row | 9,
		} {
			if group[at] != want {
				t.Errorf("row %d: byte %d is %#02x, want %#02x", r, at, group[at], want)
			}
		}
	}
}
