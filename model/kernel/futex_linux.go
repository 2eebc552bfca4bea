package kernel

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2) within one process (include/uapi/linux/futex.h). golang.org/x/sys has the number of the call
// and no function for it.
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

// nap is how long a sleeper sleeps before it tells Go's scheduler: longer than another process's turn (at most 4 ms with
// the usual tick of 250 Hz), and than the work between two passes.
const nap = 5 * time.Millisecond

// bed is where a sleeper sleeps: the kernel's futex, which is half the way of a channel. The scheduler of Go is not in
// between, and no other thread.
type bed struct{ nap unix.Timespec }

func (b *bed) init() { b.nap = unix.NsecToTimespec(int64(nap)) }

// park returns once state is not 1, or earlier.
//
// For a nap it keeps its place in Go's scheduler: giving it up costs the scheduler's monitor, which takes it 20 us later,
// and the way back; 40 % of all the work where waits are short. This delays no garbage collection, which interrupts the
// call with a signal (EINTR) and then finds the goroutine in Go code.
func (s *sleeper) park() {
	state := uintptr(unsafe.Pointer(&s.state))
	_, _, err := unix.RawSyscall6(unix.SYS_FUTEX, state, futexWaitPrivate, 1, uintptr(unsafe.Pointer(&s.bed.nap)), 0, 0)
	if err == unix.ETIMEDOUT {
		unix.Syscall6(unix.SYS_FUTEX, state, futexWaitPrivate, 1, 0, 0, 0) // all that it may fail with is an early return
	}
}

func (s *sleeper) wake() {
	unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.state)), futexWakePrivate, 1, 0, 0, 0)
}
