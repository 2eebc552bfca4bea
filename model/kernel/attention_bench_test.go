package kernel

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"siskin/model/quant"
)

// The default model's shape: 9 query heads share 3 key-value heads of 64 columns.
const (
	benchDim    = 64
	benchGroup  = 3
	benchHeads  = 3
	benchLayers = 30
)

// BenchmarkAttendDecode is one decoded token at depth 2048 in all layers, on one core: the cache, far larger than a core's
// own caches, is read once. BenchmarkReadMemory is what the core can read.
func BenchmarkAttendDecode(b *testing.B) {
	const pages = 2048 / quant.KVPage
	for _, set := range All() {
		for f := range quant.NumKVFormats {
			b.Run(fmt.Sprintf("%s/%v", set.Name, f), func(b *testing.B) {
				keyBytes := f.KeyBytes(benchDim)
				size := keyBytes + f.ValueBytes(benchDim)
				c := newContext(rand.New(rand.NewPCG(1, 2)), set, f, benchDim, quant.KVPage)
				memory := bytes.Repeat(append(c.keys[0], c.vals[0]...), pages*benchLayers*benchHeads)
				a := NewAttend(set, f, benchDim, benchGroup)
				blocks := func(layer, page, head int) (keys, values []byte) {
					all := memory[((page*benchLayers+layer)*benchHeads+head)*size:][:size]
					return all[:keyBytes], all[keyBytes:]
				}
				b.SetBytes(int64(len(memory)))
				for b.Loop() {
					for i := range benchLayers * benchHeads {
						a.Start(benchGroup)
						a.Begin(nil)
						layer, head := i/benchHeads, i%benchHeads
						for page := range pages {
							var p Page
							p.Keys, p.Values = blocks(layer, page, head)
							if page+1 < pages {
								p.NextKeys, p.NextValues = blocks(layer, page+1, head)
							}
							a.Page(p, Span{From: NoWindow, To: quant.KVPage * (pages - page), Group: benchGroup})
						}
					}
				}
			})
		}
	}
}

func BenchmarkReadMemory(b *testing.B) {
	memory := make([]byte, 64<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1 // a page of its own
	}
	b.SetBytes(int64(len(memory)))
	for b.Loop() {
		if bytes.IndexByte(memory, 2) >= 0 {
			b.Fatal("found what is not there")
		}
	}
}

// BenchmarkAttendPrefill is the last 64 of 512 positions of a prompt, one layer, on one core. Its GMAC/s count scores and
// sums of positions that a query sees.
func BenchmarkAttendPrefill(b *testing.B) {
	const positions, rows, pass = 512, 16, 64
	for _, set := range All() {
		for f := range quant.NumKVFormats {
			b.Run(fmt.Sprintf("%s/%v", set.Name, f), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				c := newContext(rng, set, f, benchDim, positions)
				a := NewAttend(set, f, benchDim, rows*benchGroup)
				for b.Loop() {
					for first := positions - pass; first < positions; first += rows {
						a.Start(rows * benchGroup)
						a.Begin(nil)
						for page := range (first + rows + quant.KVPage - 1) / quant.KVPage {
							a.Page(Page{Keys: c.keys[page], Values: c.vals[page]}, Span{From: NoWindow, To: first + 1 - page*quant.KVPage, Group: benchGroup})
						}
					}
				}
				macs := 2 * benchDim * benchGroup * pass * (positions - pass/2)
				b.ReportMetric(float64(macs)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}

// BenchmarkTileProduct is the inner loop of both halves of a page, and the share of it that is the group of one decoded
// token.
func BenchmarkTileProduct(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, set := range All() {
		for _, m := range []int{benchGroup, 48} {
			b.Run(fmt.Sprintf("%s/%d", set.Name, m), func(b *testing.B) {
				tile := AlignedFloats(benchDim * quant.KVPage)
				copy(tile, gaussian(rng, len(tile)))
				left, out := gaussian(rng, m*benchDim), AlignedFloats(m*quant.KVPage)
				for b.Loop() {
					set.TileProduct(out, quant.KVPage, left, benchDim, tile, quant.KVPage, m, benchDim, quant.KVPage, nil)
				}
				b.ReportMetric(float64(m*benchDim*quant.KVPage)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}
