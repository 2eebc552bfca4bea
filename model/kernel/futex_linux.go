package kernel

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2) within one process (include/uapi/linux/futex.h). golang.org/x/sys has the number of the call
// and no function for it.
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

// bed is where a sleeper sleeps: nothing but its state, which is the kernel's futex. A channel would put Go's scheduler
// and one more thread between the kernel and the sleeper, and costs a quarter of all work where waits are short.
type bed struct{}

func (bed) init() {}

// park returns once state is not 1, or earlier; all that the call may fail with means so.
func (s *sleeper) park() {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.state)), futexWaitPrivate, 1, 0, 0, 0)
}

// wake does not block, so Go's scheduler need not know of it.
func (s *sleeper) wake() {
	unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.state)), futexWakePrivate, 1, 0, 0, 0)
}
