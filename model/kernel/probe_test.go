package kernel

import (
	"math"
	"testing"
	"time"
)

// Every set has loops that run here, end in time and allocate nothing.
func TestProbe(t *testing.T) {
	data := make([]byte, 1<<20+511)
	for _, s := range All() {
		p := ProbeOf(s)
		if p.Peak == nil || p.PeakMACs < 1 || p.Instruction == "" || p.Read == nil {
			t.Errorf("%s: the probe %+v is not complete", s.Name, p)
			continue
		}
		if n := testing.AllocsPerRun(3, func() {
			for _, turns := range []int{0, 1, 17, MaxTurns} {
				p.Peak(turns)
			}
			p.Read(nil)
			p.Read(data[:511])
			p.Read(data[3:])
		}); n != 0 {
			t.Errorf("%s: %g allocations", s.Name, n)
		}
	}
}

// The loops do the work that they say: twice the turns take twice the time, and no core of today does 4,096 GMAC/s. On a
// busy machine a comparison fails now and then; a loop that does something else fails all of them.
func TestProbeScales(t *testing.T) {
	fastest := func(f func()) time.Duration {
		best := time.Duration(math.MaxInt64)
		for range 10 {
			begun := time.Now()
			f()
			best = min(best, time.Since(begun))
		}
		return best
	}
	doubles := func(what string, work func(share int)) time.Duration {
		var ratio float64
		for range 20 {
			half, whole := fastest(func() { work(1) }), fastest(func() { work(2) })
			if ratio = float64(whole) / float64(half); ratio > 1.6 && ratio < 2.5 {
				return whole
			}
		}
		t.Errorf("%s: twice the work takes %.2f times as long", what, ratio)
		return time.Hour
	}
	data := make([]byte, 1<<18)
	for _, s := range All() {
		p := ProbeOf(s)
		whole := doubles(s.Name+", peak", func(share int) { p.Peak(MaxTurns / 2 * share) })
		if speed := float64(MaxTurns) * float64(p.PeakMACs) / whole.Seconds() / 1e9; speed > 4096 {
			t.Errorf("%s: %.0f GMAC/s are more than a core can do", s.Name, speed)
		}
		doubles(s.Name+", read", func(share int) { p.Read(data[:len(data)/2*share]) })
	}
}

func BenchmarkProbe(b *testing.B) {
	data := make([]byte, 64<<20)
	for i := range data {
		data[i] = 1 // memory that was never written is one page of zeros
	}
	for _, s := range All() {
		p := ProbeOf(s)
		b.Run(s.Name+"/peak", func(b *testing.B) {
			for b.Loop() {
				p.Peak(MaxTurns)
			}
			b.ReportMetric(float64(b.N)*MaxTurns*float64(p.PeakMACs)/b.Elapsed().Seconds()/1e9, "GMAC/s")
		})
		b.Run(s.Name+"/read", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				p.Read(data)
			}
		})
	}
}
