package kernel

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Pool divides the work of a phase among its workers. The caller of Run is worker 0; the other workers are goroutines
// that live until Close. They spin briefly for the next phase and then park, always in Go and never in assembly, so that
// an idle pool costs nothing and the garbage collector is never held up.
//
// Each worker has a share of a phase's indices, of which it claims a quarter of what is left at a time; who is done takes from
// the others' shares. So a core reads weights that lie together, claims cost no traffic between cores until the end of a phase,
// and a worker that the operating system has taken off its core holds up no more than it has claimed: the rest of its share is
// done by others, and a worker that has not begun holds up nothing.
//
// A pool serves one Run at a time: it belongs to one engine.
type Pool struct {
	active          int    // workers that take part; changed between phases only
	decode, prefill int    // workers of passes of few and of many rows
	phase           uint64 // counts the phases that were shared
	slots           []slot
	caller          sleeper
	fault           atomic.Pointer[Fault] // of the phase under way
	closed          atomic.Bool
	wait            sync.WaitGroup

	_       [cacheLines]byte
	pending atomic.Int64 // indices of the phase that are not done
	_       [cacheLines]byte
}

// cacheLines keeps apart what different cores write: two lines of 64 bytes, since the second-level cache of Intel's CPUs
// fetches lines in pairs (Intel 64 and IA-32 Architectures Optimization Reference Manual, section on data prefetching).
const cacheLines = 128

// slot is one worker's share of the phase under way. Only its worker spins on it.
type slot struct {
	// claims is phase<<leftBits + indices of the share that nobody has claimed: one word, so that a claim cannot take
	// an index of another phase than it has seen. 2^40 phases are a year of decoding at 35,000 a second.
	claims atomic.Uint64
	// task, and the index behind the share. They belong to the phase and are read with an index claimed, which keeps the
	// phase from ending.
	task func(worker, i int)
	end  int
	// ahead belongs to the phase like task.
	ahead Ahead
	bed   sleeper
	_     [cacheLines]byte
}

// Ahead is memory that will be read soon, in up to two places; the zero value is none.
type Ahead [2][]byte

func (a *Ahead) prefetch() {
	for _, b := range a {
		prefetch(b)
	}
}

const (
	leftBits = 24
	leftMask = 1<<leftBits - 1
)

// Fault is what Run panics with when a task has panicked on a worker: the engine that called Run can recover from it,
// which it could not from a panic on a goroutine of the pool. It unwraps to the value if that is an error.
type Fault struct {
	Value any
	Stack []byte // of the worker
}

// Error gives the value and where it came from.
func (f *Fault) Error() string { return fmt.Sprintf("%v\n%s", f.Value, f.Stack) }

// Unwrap gives the value if it is an error, such as that of a fault of memory.
func (f *Fault) Unwrap() error {
	err, _ := f.Value.(error)
	return err
}

// NewPool starts a pool of the given number of workers, the caller of Run included; at least one. All of them are active.
func NewPool(workers int) *Pool { return NewPinnedPool(workers, nil) }

// NewPinnedPool is NewPool with workers that run on the given CPUs only, but for the caller of Run, which may call Pin
// itself. Where a worker cannot be pinned it runs anywhere. No CPUs: none is pinned.
func NewPinnedPool(workers int, cpus []int) *Pool {
	n := max(1, workers)
	p := &Pool{active: n, decode: n, prefill: n, slots: make([]slot, n)}
	for w := 1; w < n; w++ {
		p.wait.Add(1)
		go func() {
			defer p.wait.Done()
			debug.SetPanicOnFault(true) // of a mapped file that was cut: then the pass fails, not the process
			if len(cpus) > 0 {
				_ = Pin(cpus) // as promised; the caller's own Pin fails for the same reason and tells
			}
			p.slots[w].bed.settle()
			p.work(w)
		}()
	}
	return p
}

// Workers returns the number of workers, which bounds the worker argument of a task.
func (p *Pool) Workers() int { return len(p.slots) }

// Active returns how many workers take part in a phase.
func (p *Pool) Active() int { return p.active }

// SetActive says how many workers take part in the phases that follow, the caller of Run included: n, but at least one
// and at most Workers. The others stay parked. It costs nothing; no Run may be under way.
func (p *Pool) SetActive(n int) { p.active = min(max(1, n), len(p.slots)) }

// DecodeRows is the largest number of rows with which a pass counts as decoding: what reads the weights counts, not the
// arithmetic. It is also the most rows that the kernels multiply in one walk over the weights.
const DecodeRows = 8

// SetThreads says how many workers take part in passes of at most DecodeRows rows and in larger ones; see Begin and
// SetActive. No Run may be under way.
func (p *Pool) SetThreads(decode, prefill int) {
	p.SetActive(decode)
	p.decode = p.active
	p.SetActive(prefill)
	p.prefill = p.active
}

// Begin chooses the workers of a pass of the given number of rows, for the phases that follow.
func (p *Pool) Begin(rows int) {
	p.active = p.prefill
	if rows <= DecodeRows {
		p.active = p.decode
	}
}

// Run calls task(worker, i) once for every i in [0, count), count < 1<<24, and returns when all calls have. Calls with
// the same worker never overlap. Nothing is allocated when task is a function value made beforehand. A panic of task ends
// the phase early and comes back as a panic with a *Fault, or with the value itself where the caller ran the task alone.
func (p *Pool) Run(count int, task func(worker, i int)) { p.RunAhead(count, task, nil) }

// RunAhead is Run with ahead (Active, or nil), what each worker asks for in its cache when it has nothing left to claim: the memory
// then delivers what the next phase begins with, while this one ends and others do what cannot be shared.
func (p *Pool) RunAhead(count int, task func(worker, i int), ahead []Ahead) {
	n := min(p.active, count)
	if n <= 1 {
		for i := range count {
			task(0, i)
		}
		if len(ahead) > 0 {
			ahead[0].prefetch()
		}
		return
	}
	if count > leftMask {
		panic(fmt.Sprintf("kernel: a phase of %d indices", count))
	}
	p.phase++
	p.pending.Store(int64(count))
	for w := n - 1; w >= 0; w-- {
		from, to := count*w/n, count*(w+1)/n
		s := &p.slots[w]
		s.task, s.end, s.ahead = task, to, Ahead{}
		if w < len(ahead) {
			s.ahead = ahead[w]
		}
		s.claims.Store(p.phase<<leftBits + uint64(to-from))
		s.bed.rouse()
	}
	done, own := p.claim(0, p.phase)
	left := p.pending.Add(-done)
	own.prefetch()
	if left != 0 {
		p.caller.sleepUntil(func() bool { return p.pending.Load() == 0 })
	}
	if f := p.fault.Load(); f != nil {
		p.fault.Store(nil)
		panic(f)
	}
}

// claimPart is the part of what is left of a share that is claimed at a time. A claim waits until all that its core has stored and
// loaded is there. Against one by one, a token takes 0.996 of the time (AVX-512 VNNI, packed), 0.99 (plain) and 0.98 (AVX2); one
// in eight, three and two are no better (daemon/doc/decisions/0007-threads.md).
const claimPart = 4

// claim does what is left of a phase, the worker's own share first, and returns how many indices it has done, and, if there
// were any, what to ask for then.
func (p *Pool) claim(worker int, phase uint64) (done int64, ahead Ahead) {
	claimed := 0 // and not counted as done
	defer func() {
		if v := recover(); v != nil {
			p.fault.CompareAndSwap(nil, &Fault{Value: v, Stack: debug.Stack()})
			done += int64(claimed) + p.cancel(phase)
		}
	}()
	for w := range p.slots {
		s := &p.slots[(worker+w)%len(p.slots)]
		for c := s.claims.Load(); c>>leftBits == phase && c&leftMask != 0; c = s.claims.Load() {
			left := int(c & leftMask)
			n := max(1, left/claimPart)
			if !s.claims.CompareAndSwap(c, c-uint64(n)) {
				continue
			}
			claimed, ahead = n, p.slots[worker].ahead
			for i, task := s.end-left, s.task; n > 0; i, n = i+1, n-1 {
				task(worker, i)
			}
			done, claimed = done+int64(claimed), 0
		}
	}
	return done, ahead
}

// cancel claims what is left of a phase and returns how much it was.
func (p *Pool) cancel(phase uint64) (n int64) {
	for w := range p.slots {
		s := &p.slots[w]
		for c := s.claims.Load(); c>>leftBits == phase && c&leftMask != 0; c = s.claims.Load() {
			if s.claims.CompareAndSwap(c, c&^leftMask) {
				n += int64(c & leftMask)
			}
		}
	}
	return n
}

func (p *Pool) work(worker int) {
	s := &p.slots[worker]
	var seen uint64
	ready := func() bool { return s.claims.Load()>>leftBits != seen || p.closed.Load() }
	for {
		s.bed.sleepUntil(ready)
		if p.closed.Load() {
			return
		}
		seen = s.claims.Load() >> leftBits
		// The caller may begin the next phase as soon as nothing is pending; it may then be roused for nothing.
		done, ahead := p.claim(worker, seen)
		if done != 0 && p.pending.Add(-done) == 0 {
			p.caller.rouse()
		}
		ahead.prefetch()
	}
}

// Close ends the workers; no Run may be under way. It may be called again.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	for w := 1; w < len(p.slots); w++ {
		p.slots[w].bed.rouse()
	}
	p.wait.Wait()
}
