//go:build !purego && unix

package kernels_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
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
			benchTile(b, fmt.Sprintf("%s/%v/packed/%dx%d", k.isa, k.typ, rows, cols), len(w), rows*cols*n, func() { k.packed(dst, rows, packed, rows, cols, acts, n) })
			benchTile(b, fmt.Sprintf("%s/%v/plain/%dx%d", k.isa, k.typ, rows, cols), len(w), rows*cols*n, func() { k.plain(dst, rows, w, rows, cols, acts, n) })
		}
	}
}

// BenchmarkTileFew has weights that stay in the cache and few activation rows.
func BenchmarkTileFew(b *testing.B) {
	const rows, cols = 256, 1536
	for _, k := range tileCases(b) {
		for _, n := range []int{1, 2, 3, 4, 8} {
			rng := rand.New(rand.NewPCG(1, 2))
			w := blockWeights(rng, k.typ, rows, cols)
			packed, acts, dst := packRows(k.typ, w, rows, cols), blockActs(normals(rng, n*cols), n), make([]float32, n*rows)
			benchTile(b, fmt.Sprintf("%s/%v/packed/n=%d", k.isa, k.typ, n), len(w), rows*cols*n, func() { k.packed(dst, rows, packed, rows, cols, acts, n) })
			benchTile(b, fmt.Sprintf("%s/%v/plain/n=%d", k.isa, k.typ, n), len(w), rows*cols*n, func() { k.plain(dst, rows, w, rows, cols, acts, n) })
		}
	}
}

// BenchmarkTileStream has few activation rows and weights far larger than the caches: the bandwidth of decoding, beside
// that of reading alone, in turns over small parts of the weights.
func BenchmarkTileStream(b *testing.B) {
	for _, k := range tileCases(b) {
		const cols, parts = 1536, 32
		rows := (64 << 20) / parts * k.typ.BlockLen() / k.typ.BlockBytes() / cols / 16 * 16
		rng := rand.New(rand.NewPCG(1, 2))
		w := blockWeights(rng, k.typ, rows, cols)
		packed := bytes.Repeat(packRows(k.typ, w, rows, cols), parts)
		w = bytes.Repeat(w, parts)
		size := len(w) / parts
		for _, n := range []int{1, 2, 3, 4, 8} {
			acts, dst := blockActs(normals(rng, n*cols), n), make([]float32, n*rows)
			benchStream(b, fmt.Sprintf("%s/%v/packed/n=%d", k.isa, k.typ, n), size, packed, func(w []byte) { k.packed(dst, rows, w, rows, cols, acts, n) })
			benchStream(b, fmt.Sprintf("%s/%v/plain/n=%d", k.isa, k.typ, n), size, w, func(w []byte) { k.plain(dst, rows, w, rows, cols, acts, n) })
		}
	}
}

// benchStream compares f with reading the weights alone, a part of the given size at a time.
func benchStream(b *testing.B, name string, size int, w []byte, f func(w []byte)) {
	b.Run(name, func(b *testing.B) {
		best, roof := time.Hour, time.Hour
		var sum uint64
		for at := 0; b.Loop(); at = (at + 2*size) % len(w) {
			start := time.Now()
			f(w[at:][:size])
			middle := time.Now()
			words := unsafe.Slice((*uint64)(unsafe.Pointer(&w[at+size])), size/8)
			for i := 0; i+32 <= len(words); i += 32 {
				sum += words[i] + words[i+8] + words[i+16] + words[i+24]
			}
			best, roof = min(best, middle.Sub(start)), min(roof, time.Since(middle))
		}
		if sum == 1 {
			b.Log(sum)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(size)/best.Seconds()/1e9, "GB/s")
		b.ReportMetric(100*roof.Seconds()/best.Seconds(), "%roof")
	})
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
		b.ReportMetric(float64(size)/best.Seconds()/1e9, "GB/s")
		b.ReportMetric(float64(macs)/best.Seconds()/1e9, "GMAC/s")
	})
}
