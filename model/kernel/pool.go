package kernel

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// spinRounds bounds how often a worker, or the caller, looks at an atomic word before it parks. One look is about a
// nanosecond, so the bound is some 20-40 us: longer than the pause between two phases of a pass, shorter than anything a
// person or another process notices.
const spinRounds = 20000

// Pool divides the rows of a phase among its workers. The caller of Run is worker 0; the other workers are goroutines
// that live until Close. They spin briefly for the next phase and then park, always in Go and never in assembly, so that
// an idle pool costs nothing and the garbage collector is never held up.
//
// A pool serves one Run at a time: it belongs to one engine.
type Pool struct {
	workers int
	// phase is raised once per Run; a worker that sees a new value takes part.
	phase atomic.Uint64
	// next is the first index that nobody has claimed; left counts the workers that have not finished the phase.
	next, left atomic.Int64
	count      int64
	task       func(worker, i int)
	fault      atomic.Pointer[Fault] // of the phase under way
	closed     atomic.Bool
	parked     []parking
	done       parking
	wait       sync.WaitGroup
}

// Fault is what Run panics with when a task has panicked on a worker: the engine that called Run can recover from it,
// which it could not from a panic on a goroutine of the pool.
type Fault struct {
	Value any
	Stack []byte // of the worker
}

// Error gives the value and where it came from.
func (f *Fault) Error() string { return fmt.Sprintf("%v\n%s", f.Value, f.Stack) }

// parking lets one goroutine sleep until it is woken. state is 1 while the owner sleeps or is about to.
type parking struct {
	state atomic.Uint32
	wake  chan struct{}
	_     [48]byte // one cache line each: neighbours spin on their own
}

// Threads is the number of workers for a setting of n: n, or one per core for 0.
func Threads(n int) int {
	if n == 0 {
		return runtime.NumCPU()
	}
	return n
}

// NewPool starts a pool of the given number of workers, the caller of Run included; at least one.
func NewPool(workers int) *Pool {
	p := &Pool{workers: max(1, workers)}
	p.done.wake = make(chan struct{}, 1)
	p.parked = make([]parking, p.workers)
	for w := 1; w < p.workers; w++ {
		p.parked[w].wake = make(chan struct{}, 1)
		p.wait.Add(1)
		go p.work(w)
	}
	return p
}

// Workers returns the number of workers, which bounds the worker argument of a task.
func (p *Pool) Workers() int { return p.workers }

// Run calls task(worker, i) once for every i in [0, count) and returns when all calls have. Indices are claimed one by
// one from a counter, so a worker that the operating system has taken off its core holds up one index only. Calls with
// the same worker never overlap. Nothing is allocated when task is a function value made beforehand. A panic of task ends
// the phase early and comes back as a panic with a *Fault, or with the value itself where the caller ran the task alone.
func (p *Pool) Run(count int, task func(worker, i int)) {
	if p.workers == 1 || count <= 1 {
		for i := range count {
			task(0, i)
		}
		return
	}
	p.task, p.count = task, int64(count)
	p.next.Store(0)
	p.left.Store(int64(p.workers - 1))
	p.phase.Add(1)
	for w := 1; w < p.workers; w++ {
		p.parked[w].unpark()
	}
	p.claim(0)
	p.done.sleepUntil(func() bool { return p.left.Load() == 0 })
	if f := p.fault.Swap(nil); f != nil {
		panic(f)
	}
}

func (p *Pool) claim(worker int) {
	defer func() {
		if v := recover(); v != nil {
			p.fault.CompareAndSwap(nil, &Fault{Value: v, Stack: debug.Stack()})
			p.next.Store(p.count) // nobody claims any more
		}
	}()
	for {
		i := p.next.Add(1) - 1
		if i >= p.count {
			return
		}
		p.task(worker, int(i))
	}
}

func (p *Pool) work(worker int) {
	defer p.wait.Done()
	var seen uint64
	ready := func() bool { return p.phase.Load() != seen || p.closed.Load() }
	for {
		p.parked[worker].sleepUntil(ready)
		if p.closed.Load() {
			return
		}
		seen = p.phase.Load()
		p.claim(worker)
		if p.left.Add(-1) == 0 {
			p.done.unpark()
		}
	}
}

// sleepUntil returns once ready holds: it spins first, then parks. ready must become true before unpark is called.
func (s *parking) sleepUntil(ready func() bool) {
	for i := range spinRounds {
		if ready() {
			return
		}
		if i%1024 == 1023 {
			runtime.Gosched()
		}
	}
	for !ready() {
		s.state.Store(1)
		if ready() {
			// The waker may have seen state 1 already: then its token is taken, now or at the next sleep.
			s.state.Store(0)
			return
		}
		<-s.wake
	}
}

// unpark wakes the sleeper if there is one; a token left from an earlier race is harmless, since sleepers look again.
func (s *parking) unpark() {
	if s.state.Swap(0) == 1 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Close ends the workers; no Run may be under way. It may be called again.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	for w := 1; w < p.workers; w++ {
		p.parked[w].unpark()
	}
	p.wait.Wait()
}
