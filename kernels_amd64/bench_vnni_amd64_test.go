//go:build !purego && unix

package kernels_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// bestOf reports bytes and multiplications per second of the fastest run: on a shared machine others make most runs slower.
func bestOf(b *testing.B, name string, size int, macs float64, f func()) {
	b.Run(name, func(b *testing.B) {
		best := time.Duration(1 << 62)
		f()
		for b.Loop() {
			start := time.Now()
			f()
			best = min(best, time.Since(start))
		}
		b.ReportMetric(float64(size)/best.Seconds()/1e9, "GB/s")
		if macs > 0 {
			b.ReportMetric(macs/best.Seconds()/1e9, "GMAC/s")
		}
	})
}

// vnniLayouts are the two layouts of a format.
func vnniLayouts(k productCase, w []byte, rows, cols int) []struct {
	name string
	mul  matMulQ8
	w    []byte
} {
	return []struct {
		name string
		mul  matMulQ8
		w    []byte
	}{{"packed", k.packed, packRows(k.typ, w, rows, cols)}, {"plain", k.plain, w}}
}

// BenchmarkVNNIPrompt has many tokens and a layer's matrix, which stays in the second level cache.
func BenchmarkVNNIPrompt(b *testing.B) {
	const n = 64
	for _, k := range vnniCases(b) {
		for _, d := range [][2]int{{576, 1536}, {1536, 576}} {
			rows, cols := d[0], d[1]/k.typ.BlockLen()*k.typ.BlockLen()
			rng := rand.New(rand.NewPCG(1, 2))
			acts, dst := blockActs(normals(rng, n*cols), n), make([]float32, n*rows)
			for _, l := range vnniLayouts(k, blockWeights(rng, k.typ, rows, cols), rows, cols) {
				bestOf(b, fmt.Sprintf("%v/%s/K=%d", k.typ, l.name, cols), len(l.w), float64(rows*cols*n), func() {
					l.mul(dst, rows, l.w, rows, cols, acts, n)
				})
			}
		}
	}
}

// BenchmarkVNNIStream has few tokens and weights far larger than the caches, of which each run takes another part: the
// bandwidth of decoding. Read is what plain loads reach.
func BenchmarkVNNIStream(b *testing.B) {
	const total, part = 512 << 20, 4 << 20
	all := make([]byte, total)
	fill := func(w []byte) {
		copy(all, bytes.Repeat(w, total/len(w)))
	}
	fill(make([]byte, part))
	next := 0
	take := func(size int) []byte {
		if next+size > total {
			next = 0
		}
		next += size
		return all[next-size:][:size]
	}
	var sum uint64
	bestOf(b, "Read", part, 0, func() { sum += readAll(take(part)) })
	for _, k := range vnniCases(b) {
		cols := 1536
		rowBytes := cols / k.typ.BlockLen() * k.typ.BlockBytes()
		rows := part / rowBytes / 32 * 32
		rng := rand.New(rand.NewPCG(1, 2))
		for _, l := range vnniLayouts(k, blockWeights(rng, k.typ, rows, cols), rows, cols) {
			fill(l.w)
			for _, n := range []int{1, 2, 4, 8} {
				acts, dst := blockActs(normals(rng, n*cols), n), make([]float32, n*rows)
				next = 0
				bestOf(b, fmt.Sprintf("%v/%s/n=%d", k.typ, l.name, n), len(l.w), 0, func() {
					l.mul(dst, rows, take(len(l.w)), rows, cols, acts, n)
				})
			}
		}
	}
	b.Log(sum)
}

// readAll reads w, whole cache lines, in one pass.
func readAll(w []byte) (sum uint64) {
	for ; len(w) >= 64; w = w[64:] {
		sum += binary.LittleEndian.Uint64(w)
	}
	return sum
}
