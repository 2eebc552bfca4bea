package bench

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"siskin/model/kernel"
)

// How long one measurement of the machine takes: long against a time slice of the scheduler, short in a run.
const (
	readTime = 150 * time.Millisecond
	peakTime = 60 * time.Millisecond
)

// piece is the bytes of one call of a read loop: 75 us at 14 GB/s, so that no call holds up a garbage collection.
const piece = 1 << 20

// readGBs returns the bandwidth, in 10^9 bytes a second, of reading the spans over and over on that many threads. A span
// shorter than a turn of the loop counts nothing.
func readGBs(p *kernel.Probe, threads int, spans [][]byte) float64 {
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
		return 0
	}
	return perSecond(threads, readTime, func(i int) int {
		b := pieces[i%len(pieces)]
		p.Read(b)
		return len(b)
	}) / 1e9
}

// peakGMACs returns the int8 peak, in 10^9 multiply-accumulates a second, of that many threads.
func peakGMACs(p *kernel.Probe, threads int) float64 {
	return perSecond(threads, peakTime, func(int) int {
		p.Peak(kernel.MaxTurns)
		return kernel.MaxTurns * p.PeakMACs
	}) / 1e9
}

// perSecond calls work(0), work(1), ... on threads of their own for at least the given time, and returns the sum of the
// results over the time. The pool of a model is not used: its costs are part of what is compared with this.
func perSecond(threads int, least time.Duration, work func(i int) int) float64 {
	var next, done atomic.Int64
	var wait sync.WaitGroup
	begun := time.Now()
	for range threads {
		wait.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for time.Since(begun) < least {
				done.Add(int64(work(int(next.Add(1) - 1))))
			}
		})
	}
	wait.Wait()
	return float64(done.Load()) / time.Since(begun).Seconds()
}
