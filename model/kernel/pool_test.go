package kernel

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestPoolCallsEveryIndexOnce(t *testing.T) {
	for workers := 1; workers <= 5; workers++ {
		p := NewPool(workers)
		for _, count := range []int{0, 1, 2, 3, 7, 64, 1000} {
			for active := 1; active <= workers; active++ {
				p.SetActive(active)
				checkPhase(t, p, count)
			}
		}
		p.Close()
		p.Close()
	}
}

// checkPhase runs one phase and checks that every index is called once, and by one call of an active worker at a time.
func checkPhase(t *testing.T, p *Pool, count int) {
	t.Helper()
	calls := make([]atomic.Int32, count)
	busy := make([]atomic.Int32, p.Workers())
	p.Run(count, func(worker, i int) {
		if worker >= p.Active() {
			t.Errorf("worker %d of %d active ones takes part", worker, p.Active())
		}
		if busy[worker].Add(1) != 1 {
			t.Errorf("worker %d runs two calls at once", worker)
		}
		calls[i].Add(1)
		busy[worker].Add(-1)
	})
	for i := range calls {
		if n := calls[i].Load(); n != 1 {
			t.Fatalf("%d of %d workers: index %d of %d was called %d times", p.Active(), p.Workers(), i, count, n)
		}
	}
}

// What workers ask for ahead belongs to one phase: it changes from phase to phase, and workers that come late, after a phase has
// ended without them, must not look at that of the next. The race detector sees it.
func TestPoolAsksAhead(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	memory := make([]byte, 4096)
	ahead := make([]Ahead, p.Workers())
	var calls atomic.Int64
	task := func(int, int) { calls.Add(1) }
	const phases = 3000
	for phase := range phases {
		for w := range ahead {
			ahead[w] = Ahead{memory[phase%64*64:], memory[:phase%2]}
		}
		p.SetActive(1 + phase%3)
		p.RunAhead(5, task, ahead[:p.Active()])
	}
	if calls.Load() != 5*phases {
		t.Errorf("%d calls, want %d", calls.Load(), 5*phases)
	}
}

func TestPoolSetActive(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for _, c := range []struct{ set, want int }{{-1, 1}, {0, 1}, {1, 1}, {2, 2}, {3, 3}, {4, 3}} {
		if p.SetActive(c.set); p.Active() != c.want {
			t.Errorf("SetActive(%d): %d are active, want %d", c.set, p.Active(), c.want)
		}
	}
}

// Counts of active workers that change from phase to phase, with pauses of every length around the bound of the spinning
// and beyond a nap, so that parking and waking meet in all orders.
func TestPoolSurvivesParkingRaces(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for i := range 3000 {
		p.SetActive(1 + i%3)
		checkPhase(t, p, i%7)
		if i%100 == 0 {
			time.Sleep(time.Duration(i) * time.Microsecond / 10)
		}
		if i%1000 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Workers that cannot begin hold up nothing: here they do not exist.
func TestPoolDoesNotWaitForWorkersThatHoldNothing(t *testing.T) {
	p := &Pool{active: 3, slots: make([]slot, 3)}
	for count := range 10 {
		checkPhase(t, p, count)
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
		checkPhase(t, p, 20)
	}
}

// All workers panic at once: one fault comes back, and none is left for the next phase.
func TestPoolReturnsOneOfManyPanics(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for range 50 {
		func() {
			defer func() {
				if f, ok := recover().(*Fault); !ok || f.Value != "broken" {
					t.Errorf("recovered %v, want a fault", f)
				}
			}()
			p.Run(20, func(_, _ int) { panic("broken") })
		}()
		checkPhase(t, p, 20)
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

// Garbage collections during phases and naps: they end, and so do the phases.
func TestPoolAndGarbageCollection(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	stop := make(chan struct{})
	collected := make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				collected <- n
				return
			default:
				runtime.GC()
			}
		}
	}()
	for i := range 300 {
		checkPhase(t, p, 50)
		if i%10 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	if n := <-collected; n == 0 {
		t.Fatal("no garbage collection ended")
	}
}

func TestPoolChoosesWorkersByRows(t *testing.T) {
	p := NewPool(4)
	defer p.Close()
	check := func(rows, want int) {
		t.Helper()
		if p.Begin(rows); p.Active() != want {
			t.Errorf("%d rows: %d workers, want %d", rows, p.Active(), want)
		}
	}
	check(1, 4)
	check(100, 4)
	p.SetThreads(2, 3)
	check(1, 2)
	check(DecodeRows, 2)
	check(DecodeRows+1, 3)
	p.SetThreads(0, 9)
	check(1, 1)
	check(9, 4)
}
