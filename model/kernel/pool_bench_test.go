package kernel

import (
	"fmt"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// spinWork computes for n steps of a few cycles each and leaves the result in x.
//
//go:noinline
func spinWork(x *uint64, n int) {
	s := *x | 1
	for range n {
		s ^= s << 13
		s ^= s >> 7
		s ^= s << 17
	}
	*x = s
}

// stepsPerMicrosecond is how much of spinWork a core does.
func stepsPerMicrosecond() int {
	best, x := time.Hour, uint64(0)
	for range 200 {
		begun := time.Now()
		spinWork(&x, 10000)
		best = min(best, time.Since(begun))
	}
	return int(10000 * time.Microsecond / best)
}

// The overhead of an empty phase, right behind the one before and after work of the caller alone, which is part of the
// time that is shown.
func BenchmarkPoolPhase(b *testing.B) {
	unit := stepsPerMicrosecond()
	for _, gap := range []int{0, 5, 20} {
		b.Run(fmt.Sprintf("gap=%dus", gap), func(b *testing.B) {
			p := NewPool(2)
			defer p.Close()
			task, x := func(_, _ int) {}, uint64(0)
			for b.Loop() {
				p.Run(8, task)
				spinWork(&x, gap*unit)
			}
		})
	}
}

// A pass of decoding in outline: 150 phases of 50 us of work in 16 pieces, so 3.75 ms on two idle cores. With busy
// processes for each of two cores the time is that of a fair share at best, twice as long.
func BenchmarkPoolPass(b *testing.B) {
	unit := stepsPerMicrosecond()
	for _, busy := range []int{0, 2} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("busy=%d/workers=%d", busy, workers), func(b *testing.B) {
				for range busy {
					c := exec.Command("sh", "-c", "while :; do :; done")
					if err := c.Start(); err != nil {
						b.Skip(err)
					}
					defer c.Wait()
					defer c.Process.Kill()
				}
				p := NewPool(workers)
				defer p.Close()
				task := func(_, _ int) { var x uint64; spinWork(&x, 50*unit/16) }
				for b.Loop() {
					for range 150 {
						p.Run(16, task)
					}
				}
			})
		}
	}
}

// The longest of many phases of a pool while the garbage collector runs all the time, in us.
func BenchmarkPoolCollected(b *testing.B) {
	unit := stepsPerMicrosecond()
	for _, collecting := range []bool{false, true} {
		b.Run(fmt.Sprintf("collecting=%t", collecting), func(b *testing.B) {
			stop := make(chan struct{})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for collecting {
					select {
					case <-stop:
						return
					default:
						runtime.GC()
						time.Sleep(time.Millisecond)
					}
				}
			}()
			p := NewPool(2)
			defer p.Close()
			task := func(_, _ int) { var x uint64; spinWork(&x, 50*unit/16) }
			var longest time.Duration
			for b.Loop() {
				begun := time.Now()
				p.Run(16, task)
				longest = max(longest, time.Since(begun))
			}
			close(stop)
			<-ended
			b.ReportMetric(float64(longest)/float64(time.Microsecond), "us-longest")
		})
	}
}
