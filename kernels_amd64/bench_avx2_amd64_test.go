//go:build !purego && unix

package kernels_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"siskin/model/quant"
)

// BenchmarkTilePrompt has weights that stay in the cache and a batch of a prompt.
func BenchmarkTilePrompt(b *testing.B) {
	for _, cols := range []int{576, 1536} {
		for _, k := range tileCases(b) {
			if cols%k.typ.BlockLen() != 0 {
				continue
			}
			const rows, n = 512, 64
			rng := rand.New(rand.NewPCG(1, 2))
			w := blockWeights(rng, k.typ, rows, cols)
			packed, acts, dst := packRows(k.typ, w, rows, cols), blockActs(normals(rng, n*cols), n), make([]float32, n*rows)
			benchTile(b, fmt.Sprintf("%s/%v/packed/%dx%d", k.isa, k.typ, rows, cols), 0, rows*cols*n, func() { k.packed(dst, rows, packed, rows, cols, acts, n) })
			benchTile(b, fmt.Sprintf("%s/%v/plain/%dx%d", k.isa, k.typ, rows, cols), 0, rows*cols*n, func() { k.plain(dst, rows, w, rows, cols, acts, n) })
		}
	}
}

// BenchmarkTileStream has few activation rows and weights far larger than the caches: the bandwidth of decoding.
func BenchmarkTileStream(b *testing.B) {
	for _, k := range tileCases(b) {
		const cols = 1536
		rows := (128 << 20) * k.typ.BlockLen() / k.typ.BlockBytes() / cols / 1024 * 1024
		rng := rand.New(rand.NewPCG(1, 2))
		w := blockWeights(rng, k.typ, rows/64, cols)
		packed := bytes.Repeat(packRows(k.typ, w, rows/64, cols), 64)
		w = bytes.Repeat(w, 64)
		for _, n := range []int{1, 2, 4, 8} {
			acts, dst := blockActs(normals(rng, n*cols), n), make([]float32, n*rows)
			benchTile(b, fmt.Sprintf("%s/%v/packed/n=%d", k.isa, k.typ, n), len(w), rows*cols*n, func() { k.packed(dst, rows, packed, rows, cols, acts, n) })
			benchTile(b, fmt.Sprintf("%s/%v/plain/n=%d", k.isa, k.typ, n), len(w), rows*cols*n, func() { k.plain(dst, rows, w, rows, cols, acts, n) })
		}
	}
	sum := make([]byte, 128<<20)
	benchTile(b, "roof", len(sum), 0, func() { bytes.IndexByte(sum, 1) })
}

// benchTile reports the best of many runs, since others disturb.
func benchTile(b *testing.B, name string, size, macs int, f func()) {
	b.Run(name, func(b *testing.B) {
		best := time.Hour
		for b.Loop() {
			start := time.Now()
			f()
			best = min(best, time.Since(start))
		}
		b.ReportMetric(0, "ns/op")
		if size > 0 {
			b.ReportMetric(float64(size)/best.Seconds()/1e9, "GB/s")
		}
		b.ReportMetric(float64(macs)/best.Seconds()/1e9, "GMAC/s")
	})
}

var _ quant.Type
