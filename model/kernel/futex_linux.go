package kernel

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2) within one process (include/uapi/linux/futex.h). golang.org/x/sys has the number of the call
// and no function for it.
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

// bed is where a sleeper sleeps: its state is the kernel's futex. A channel would put Go's scheduler and one more thread
// between the kernel and the sleeper, and costs a quarter of all work where waits are short.
//
// A kernel likes to put who is woken on the core of who wakes. Two workers that share a core see that spinning is in vain,
// so they sleep and wake each other all the time, and stay there, be another core idle or not. So a sleeper that moves
// looks where it has been woken, and from where; if that is one core, it leaves it.
type bed struct {
	waker   atomic.Uint32 // CPU of who has roused the sleeper
	own     atomic.Uint32
	moves   bool
	allowed unix.CPUSet // CPUs of the thread, when it was settled
}

// settle lets the sleeper choose its core from now on. It is called by the goroutine that sleeps, whose thread is its own
// until it ends.
func (b *bed) settle() {
	runtime.LockOSThread()
	b.moves = unix.SchedGetaffinity(0, &b.allowed) == nil
}

// park returns once state is not 1, or earlier; all that the call may fail with means so.
func (s *sleeper) park() {
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.state)), futexWaitPrivate, 1, 0, 0, 0)
	if s.moves {
		getCPU(&s.own)
		if cpu := s.own.Load(); cpu == s.waker.Load() {
			s.leave(int(cpu))
		}
	}
}

// leave moves the thread to another CPU than this one, and keeps it from it until it leaves another. That fails where
// there is none, or where the thread has lost the others since: then it stays.
func (b *bed) leave(cpu int) {
	others := b.allowed
	if others.Clear(cpu); others.Count() > 0 {
		_ = unix.SchedSetaffinity(0, &others)
	}
}

// wake does not block, so Go's scheduler need not know of it.
func (s *sleeper) wake() {
	getCPU(&s.waker)
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.state)), futexWakePrivate, 1, 0, 0, 0)
}

// getCPU stores the number of the CPU that the thread runs on; it cannot fail.
func getCPU(to *atomic.Uint32) {
	_, _, _ = unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(to)), 0, 0)
}
