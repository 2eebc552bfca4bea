package kernel

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on a goroutine whose thread ends with it if f locks it.
func onOwnThread(f func()) {
	var wait sync.WaitGroup
	wait.Go(f)
	wait.Wait()
}

// allowedCPU returns one CPU that this thread may use.
func allowedCPU(t *testing.T) int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			return cpu
		}
	}
	t.Fatal("no CPU is allowed")
	return 0
}

func TestPin(t *testing.T) {
	cpu := allowedCPU(t)
	onOwnThread(func() {
		if err := Pin([]int{cpu}); err != nil {
			t.Error(err)
		}
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(0, &set); err != nil || set.Count() != 1 || !set.IsSet(cpu) {
			t.Errorf("%v: on %d CPUs", err, set.Count())
		}
	})
	onOwnThread(func() {
		if err := Pin([]int{99999}); err == nil {
			t.Error("pinned to a CPU that is not there")
		}
	})
	if got := allowedCPU(t); got != cpu {
		t.Errorf("another thread is pinned too: its first CPU is %d, not %d", got, cpu)
	}
}

// Workers are pinned, or run where they like if that fails, and work alike.
func TestPinnedPool(t *testing.T) {
	for _, cpus := range [][]int{{allowedCPU(t)}, {99999}} {
		p := NewPinnedPool(3, cpus)
		for count := range 50 {
			checkPhase(t, p, count)
		}
		p.Close()
	}
}
