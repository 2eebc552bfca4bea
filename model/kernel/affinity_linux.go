package kernel

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Pin keeps the calling goroutine, until it ends, on a thread of its own that runs on the given CPUs only. On error it is
// where it was. CPUs from 1024 on are ignored.
func Pin(cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	runtime.LockOSThread()
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("pin a thread to CPUs %v: %w", cpus, err)
	}
	return nil
}
