package bench

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"siskin/model/kernel"
)

// How long one slice of a measurement of the machine takes, and how long its threads work before: a pool's workers still spin
// then, and caches hold what was there. Without that, reading was 5 to 10 % slower where decoding at depth 2,048 came before.
const (
	readTime = 20 * time.Millisecond
	peakTime = 8 * time.Millisecond
	warmTime = 5 * time.Millisecond
)

// piece is the bytes of one call of a read loop: 75 us at 14 GB/s, so that no call holds up a garbage collection.
const piece = 1 << 20

// readBytes reads the spans over and over on that many threads, and returns how many bytes in how long. A span shorter than a
// turn of the loop counts nothing.
func readBytes(p *kernel.Probe, threads int, spans [][]byte) (float64, time.Duration) {
	const turn = 512 // what Probe.Read may leave out of the end
	var pieces [][]byte
	for _, s := range spans {
		for len(s) >= turn {
			n := min(piece, len(s)/turn*turn)
			pieces = append(pieces, s[:n])
			s = s[n:]
		}
	}
	if len(pieces) == 0 {
		return 0, readTime
	}
	return together(threads, readTime, func(i int) int {
		b := pieces[i%len(pieces)]
		p.Read(b)
		return len(b)
	})
}

// peakMACs returns the multiply-accumulates of int8 of that many threads, and how long they took.
func peakMACs(p *kernel.Probe, threads int) (float64, time.Duration) {
	return together(threads, peakTime, func(int) int {
		p.Peak(kernel.MaxTurns)
		return kernel.MaxTurns * p.PeakMACs
	})
}

// together calls work(0), work(1), ... on threads of their own for the given time, and returns the sum of the results in that
// time: each thread counts what it did over its own time after warmTime, so that waiting for the others at either end costs
// nothing. The pool of a model is not used: its costs are part of what is compared with this.
func together(threads int, least time.Duration, work func(i int) int) (done float64, took time.Duration) {
	var next atomic.Int64
	var wait sync.WaitGroup
	rates := make([]float64, threads)
	for i := range rates {
		wait.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for begun := time.Now(); time.Since(begun) < warmTime; {
				work(int(next.Add(1) - 1))
			}
			begun, done := time.Now(), 0
			for time.Since(begun) < least {
				done += work(int(next.Add(1) - 1))
			}
			rates[i] = float64(done) / time.Since(begun).Seconds()
		})
	}
	wait.Wait()
	for _, rate := range rates {
		done += rate * least.Seconds()
	}
	return done, least
}
