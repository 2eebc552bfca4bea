package kernel

import (
	"sync/atomic"
	"testing"
	"time"
)

func TestPoolCallsEveryIndexOnce(t *testing.T) {
	for workers := 1; workers <= 5; workers++ {
		p := NewPool(workers)
		for _, count := range []int{0, 1, 2, 3, 7, 64, 1000} {
			calls := make([]atomic.Int32, count)
			busy := make([]atomic.Int32, workers)
			p.Run(count, func(worker, i int) {
				if busy[worker].Add(1) != 1 {
					t.Errorf("worker %d runs two calls at once", worker)
				}
				calls[i].Add(1)
				busy[worker].Add(-1)
			})
			for i := range calls {
				if n := calls[i].Load(); n != 1 {
					t.Fatalf("%d workers: index %d of %d was called %d times", workers, i, count, n)
				}
			}
		}
		p.Close()
		p.Close()
	}
}

// Many phases with pauses of every length around the spin bound, so that parking and waking meet in all orders.
func TestPoolSurvivesParkingRaces(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	var total atomic.Int64
	for i := range 3000 {
		p.Run(5, func(_, i int) { total.Add(int64(i)) })
		if i%100 == 0 {
			time.Sleep(time.Duration(i) * time.Microsecond / 10)
		}
	}
	if got := total.Load(); got != 3000*10 {
		t.Fatalf("sum %d, want %d", got, 3000*10)
	}
}

// A panic on any worker comes back to the caller, and the pool works on.
func TestPoolReturnsPanics(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for i := range 50 {
		func() {
			defer func() {
				f, ok := recover().(*Fault)
				if !ok || f.Value != "broken" || len(f.Stack) == 0 {
					t.Errorf("recovered %v, want a fault", f)
				}
			}()
			p.Run(20, func(_, index int) {
				if index == i%20 {
					panic("broken")
				}
			})
		}()
		var calls atomic.Int32
		p.Run(20, func(_, _ int) { calls.Add(1) })
		if calls.Load() != 20 {
			t.Fatalf("%d calls after a panic, want 20", calls.Load())
		}
	}
}

func TestPoolRunDoesNotAllocate(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	task := func(_, _ int) {}
	if n := testing.AllocsPerRun(100, func() { p.Run(8, task) }); n != 0 {
		t.Fatalf("%g allocations per run, want 0", n)
	}
}

func BenchmarkPoolPhase(b *testing.B) {
	p := NewPool(2)
	defer p.Close()
	task := func(_, _ int) {}
	for b.Loop() {
		p.Run(8, task)
	}
}
